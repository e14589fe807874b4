// attention_sm90_bwd.cu: the gradients of attention_sm90.cu.
//
//   p = exp2(s log2(e) / sqrt(d) - lse log2(e)),  dp = do v^T,  delta = sum_d(do o),  ds = p (dp - delta)
//   dq = ds k / sqrt(d),  dk = ds^T q / sqrt(d),  dv = p^T do;  dq and dk are rotated by -t
//
// Two kernels, so that every sum has one owner and a fixed order: one owns 128 queries and walks over keys (three
// products), one owns 128 keys and walks over queries (four). Both are persistent, two warpgroups own 64 rows each, which
// stay in registers as left factors; every right factor is a tile of positions as it lies in memory, read along channels
// or along positions. p and ds never leave the registers. The products of a tile queue up behind the sums of the one
// before, so the tensor cores have work while exponentials are taken.
//
// shapes    as attention.cu; bf16, d 64, S > 128; pointers 16-byte aligned
// numerics  rotated q and k, p and ds are rounded to bf16 for the products; delta from the rounded o; sums fp32, fixed
//           order, no atomics
// cost      14 S^2 d FLOP a head, of which 10 are needed, and 2 S^2 exponentials, S rounded up to tiles. Cycles of the tensor
//           cores: 3 * 160 for 64 queries x 80 keys, 4 * 128 for 64 keys x 64 queries. 192 lanes of 8 heads of 916
//           positions: 12288 runs * (12 * 960 + 15 * 1024) cycles / 132: 1.6 ms at 1.6 GHz if nothing were lost

#include "attention_sm90.cuh"

namespace trm {
namespace {

using namespace attention_hopper;

constexpr int GROUPS = 2, RUN = 64 * GROUPS, THREADS = 128 * (GROUPS + 1), STAGES = 5;
constexpr int COPYING = 56, MULTIPLYING = 224;  // registers of a thread
static_assert(sm90::registers_fit(THREADS, COPYING, MULTIPLYING), "no block would ever get them");
constexpr int KEYS = 80;     // of a tile, where queries are owned
constexpr int QUERIES = 64;  // of a tile, where keys are owned

/** A ring of pairs of tiles of ROWS positions. */
template <int ROWS>
struct Ring {
    static constexpr int TILE_BYTES = ROWS * D * 2, STAGE_BYTES = 2 * TILE_BYTES;
    uint64_t came[STAGES];    // both tiles, as they are in device memory
    uint64_t turned[STAGES];  // the first is rotated, and what else the turners make is there
    uint64_t empty[STAGES];   // both have been read
    float shift[STAGES][ROWS], delta[STAGES][ROWS];
    static constexpr size_t SHARED = 1024 + STAGES * STAGE_BYTES + (9 * STAGES + 2 * STAGES * ROWS) * 8;
};
static_assert(sizeof(Ring<KEYS>) + 1024 + STAGES * Ring<KEYS>::STAGE_BYTES <= Ring<KEYS>::SHARED, "of a block");
static_assert(sizeof(Ring<QUERIES>) + 1024 + STAGES * Ring<QUERIES>::STAGE_BYTES <= Ring<QUERIES>::SHARED, "of a block");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int ROWS>
__device__ __forceinline__ void init(Ring<ROWS>& ring) {
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            barrier_init(&ring.came[s], 1);
            barrier_init(&ring.turned[s], TURNERS);
            barrier_init(&ring.empty[s], 4 * GROUPS);
        }
        barrier_init_done();
    }
    __syncthreads();
}

/** The copies of all tasks of this block, by one thread. The tiles' first channels are `first` and `second`, plus those of
 *  the head. */
template <int ROWS>
__device__ __forceinline__ void copy_tiles(uint8_t* tiles_at, Ring<ROWS>& ring, const CUtensorMap* map_first,
                                           const CUtensorMap* map_second, int first, int second, const Attention& H,
                                           int tasks) {
    const int tiles = (H.S + ROWS - 1) / ROWS;
    RingPlace<STAGES> at;
    for (int task = static_cast<int>(blockIdx.x); task < tasks; task += static_cast<int>(gridDim.x)) {
        const Task run = task_of(H, task, RUN);
#pragma unroll 1
        for (int j = 0; j < tiles; j++) {
            uint8_t* const to = tiles_at + at.slot * Ring<ROWS>::STAGE_BYTES;
            barrier_wait(&ring.empty[at.slot], at.phase ^ 1);
            barrier_expect(&ring.came[at.slot], Ring<ROWS>::STAGE_BYTES);
            copy_box(to, map_first, &ring.came[at.slot], first + run.a * D, j * ROWS, run.b);
            copy_box(to + Ring<ROWS>::TILE_BYTES, map_second, &ring.came[at.slot], second + run.a * D, j * ROWS, run.b);
            at.next();
        }
    }
}

__device__ __forceinline__ float dot(uint32_t a, uint32_t b) {
    return low(a) * low(b) + high(a) * high(b);
}

/** Rotates a thread's row r of gradients by -t. */
__device__ __forceinline__ void turn_back(float (&x)[D / 2], const Attention& H, int r, int t, int quad) {
    if (H.cos == nullptr || t >= H.S) return;
#pragma unroll
    for (int j = 0; j < D / 16; j++) {
        const int64_t i = static_cast<int64_t>(t) * (D / 2) + 8 * j + 2 * quad;
        const float2 c = __ldg(reinterpret_cast<const float2*>(H.cos + i));
        const float2 s = __ldg(reinterpret_cast<const float2*>(H.sin + i));
        float* a = x + 4 * j + 2 * r;
        float* b = a + D / 4;
        const float a0 = a[0] * c.x + b[0] * s.x, a1 = a[1] * c.y + b[1] * s.y;
        b[0] = b[0] * c.x - a[0] * s.x;
        b[1] = b[1] * c.y - a[1] * s.y;
        a[0] = a0;
        a[1] = a1;
    }
}
#endif

/** Owns queries: dq. */
__global__ void __launch_bounds__(THREADS, 1)
    attention_sm90_bwd_queries_kernel(const __grid_constant__ CUtensorMap map, Attention H, const bf16* qkv, const bf16* o,
                                      const float* lse, const bf16* d_o, bf16* dqkv, int tasks) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using R = Ring<KEYS>;
    uint8_t* const tiles_at = shared_tiles();  // of a stage: keys, then values
    R& ring = *reinterpret_cast<R*>(tiles_at + STAGES * R::STAGE_BYTES);
    const int tiles = (H.S + KEYS - 1) / KEYS;
    init(ring);

    if (threadIdx.x < 128) {
        fewer_registers<COPYING>();
        if (threadIdx.x == 0) {
            copy_tiles(tiles_at, ring, &map, &map, H.A * D, 2 * H.A * D, H, tasks);
        } else if (threadIdx.x >= WARP) {
            RingPlace<STAGES> at;
            int first = 0;
#pragma unroll 1
            for (int left = own_tasks(tasks) * tiles; left > 0; left--) {
                barrier_wait(&ring.came[at.slot], at.phase);
                if (H.cos != nullptr) {
                    turn_rows<KEYS>(shared_address(tiles_at) + at.slot * R::STAGE_BYTES, H, first);
                    fence_async();
                }
                barrier_arrive(&ring.turned[at.slot]);
                at.next();
                first = first + KEYS < H.S ? first + KEYS : 0;
            }
        }
    } else {
        more_registers<MULTIPLYING>();
        const int group = static_cast<int>(threadIdx.x) / 128 - 1, lane = static_cast<int>(threadIdx.x) % WARP;
        const int quad = lane % 4, own = group * 64 + static_cast<int>(threadIdx.x) % 128 / WARP * 16 + lane / 4;
        const uint64_t keys = describe_k(tiles_at), values = describe_k(tiles_at + R::TILE_BYTES);
        const uint64_t keys_along = describe_mn(tiles_at, 0);
        const float factor = H.scale * LOG2_E;
        RingPlace<STAGES> at;
        for (int task = static_cast<int>(blockIdx.x); task < tasks; task += static_cast<int>(gridDim.x)) {
            const Task run = task_of(H, task, RUN);
            const int t = run.first + own;
            uint32_t q[4][4], g[4][4];
            float shift[2], delta[2];
            load_factor(q, o + H.o_at(run.b, run.a), H.o_stride(), H.S, t, quad);
            load_factor(g, d_o + H.o_at(run.b, run.a), H.o_stride(), H.S, t, quad);
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float sum = 0.0f;
#pragma unroll
                for (int k = 0; k < 4; k++) sum += dot(q[k][r], g[k][r]) + dot(q[k][r + 2], g[k][r + 2]);
                sum += __shfl_xor_sync(ALL_LANES, sum, 1);
                delta[r] = sum + __shfl_xor_sync(ALL_LANES, sum, 2);
                shift[r] = t + 8 * r < H.S ? lse[static_cast<int64_t>(run.head) * H.S + t + 8 * r] * LOG2_E : INFINITY;
            }
            load_factor(q, qkv + H.qkv_at(run.b, run.a), H.qkv_stride(), H.S, t, quad);
            turn_factor(q, H, t, quad);

            float s[KEYS / 2], dp[KEYS / 2], dq[D / 2];
            uint32_t ds[KEYS / 16][4];
            int before = 0;  // the slot of the tile before
#pragma unroll 1
            for (int j = 0; j < tiles; j++) {
                const uint32_t stage = static_cast<uint32_t>(at.slot * R::STAGE_BYTES);
                barrier_wait(&ring.came[at.slot], at.phase);
                barrier_wait(&ring.turned[at.slot], at.phase);
                wgmma_fence();
                scores(s, q, advance(keys, stage));
                wgmma_commit();
                scores(dp, g, advance(values, stage));
                wgmma_commit();
                wgmma_wait<1>();  // the sums over the tile before are complete too
                pin(s);
                if (j > 0 && lane == 0) barrier_arrive(&ring.empty[before]);
#pragma unroll
                for (int i = 0; i < KEYS / 2; i++) s[i] = exp2_of(s[i] * factor - shift[i % 4 / 2]);
                const int inside = H.S - j * KEYS;
                if (inside < KEYS) {
#pragma unroll
                    for (int i = 0; i < KEYS / 2; i++)
                        if (i / 4 * 8 + 2 * quad + i % 2 >= inside) s[i] = 0.0f;
                }
                wgmma_wait<0>();
                pin(dp);
#pragma unroll
                for (int i = 0; i < KEYS / 2; i++) s[i] *= dp[i] - delta[i % 4 / 2];
                round_factor(ds, s);
                wgmma_fence();
                weigh(dq, ds, advance(keys_along, stage), j > 0);
                wgmma_commit();
                before = at.slot;
                at.next();
            }
            wgmma_wait<0>();
            pin(dq);
            if (lane == 0) barrier_arrive(&ring.empty[before]);
            bf16* const to = dqkv + H.qkv_at(run.b, run.a);
#pragma unroll
            for (int r = 0; r < 2; r++) {
                turn_back(dq, H, r, t + 8 * r, quad);
                store_result(to, H.qkv_stride(), dq, r, H.scale, t + 8 * r, H.S, quad);
            }
        }
    }
#endif
}

/** Owns keys: dk, dv. */
__global__ void __launch_bounds__(THREADS, 1)
    attention_sm90_bwd_keys_kernel(const __grid_constant__ CUtensorMap map_q, const __grid_constant__ CUtensorMap map_d_o,
                                   Attention H, const bf16* qkv, const bf16* o, const float* lse, bf16* dqkv, int tasks) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using R = Ring<QUERIES>;
    uint8_t* const tiles_at = shared_tiles();  // of a stage: queries, then gradients of the outputs
    R& ring = *reinterpret_cast<R*>(tiles_at + STAGES * R::STAGE_BYTES);
    const int tiles = (H.S + QUERIES - 1) / QUERIES;
    init(ring);

    if (threadIdx.x < 128) {
        fewer_registers<COPYING>();
        if (threadIdx.x == 0) {
            copy_tiles(tiles_at, ring, &map_q, &map_d_o, 0, 0, H, tasks);
        } else if (threadIdx.x >= WARP) {
            RingPlace<STAGES> at;
            for (int task = static_cast<int>(blockIdx.x); task < tasks; task += static_cast<int>(gridDim.x)) {
                const Task run = task_of(H, task, RUN);
#pragma unroll 1
                for (int first = 0; first < H.S; first += QUERIES) {
                    const Shared stage = shared_address(tiles_at) + at.slot * R::STAGE_BYTES;
                    barrier_wait(&ring.came[at.slot], at.phase);
                    if (H.cos != nullptr) turn_rows<QUERIES>(stage, H, first);
                    // four lanes a row, 16 channels each
                    const int part = turner() % 4;
#pragma unroll 1
                    for (int row = turner() / 4; row < QUERIES; row += TURNERS / 4) {
                        const int t = first + row;
                        float sum = 0.0f;
                        if (t < H.S) {
                            const uint2* from = reinterpret_cast<const uint2*>(
                                o + H.o_at(run.b, run.a) + static_cast<int64_t>(t) * H.o_stride() + part * 16);
#pragma unroll
                            for (int i = 0; i < 4; i++) {
                                uint32_t g[2];
                                load_pairs(g, stage + R::TILE_BYTES + swizzled(row, part * 2 + i / 2) + i % 2 * 8);
                                const uint2 x = __ldg(from + i);
                                sum += dot(x.x, g[0]) + dot(x.y, g[1]);
                            }
                        }
                        sum += __shfl_xor_sync(ALL_LANES, sum, 1);
                        sum += __shfl_xor_sync(ALL_LANES, sum, 2);
                        if (part != 0) continue;
                        ring.delta[at.slot][row] = sum;
                        ring.shift[at.slot][row] = t < H.S ? lse[static_cast<int64_t>(run.head) * H.S + t] * LOG2_E : INFINITY;
                    }
                    fence_async();
                    barrier_arrive(&ring.turned[at.slot]);
                    at.next();
                }
            }
        }
    } else {
        more_registers<MULTIPLYING>();
        const int group = static_cast<int>(threadIdx.x) / 128 - 1, lane = static_cast<int>(threadIdx.x) % WARP;
        const int quad = lane % 4, own = group * 64 + static_cast<int>(threadIdx.x) % 128 / WARP * 16 + lane / 4;
        const uint64_t queries = describe_k(tiles_at), gradients = describe_k(tiles_at + R::TILE_BYTES);
        const uint64_t queries_along = describe_mn(tiles_at, 0), gradients_along = describe_mn(tiles_at + R::TILE_BYTES, 0);
        const float factor = H.scale * LOG2_E;
        RingPlace<STAGES> at;
        for (int task = static_cast<int>(blockIdx.x); task < tasks; task += static_cast<int>(gridDim.x)) {
            const Task run = task_of(H, task, RUN);
            const int t = run.first + own;
            const bf16* from = qkv + H.qkv_at(run.b, run.a);
            uint32_t k[4][4], v[4][4], p[QUERIES / 16][4], ds[QUERIES / 16][4];
            load_factor(k, from + H.o_stride(), H.qkv_stride(), H.S, t, quad);
            load_factor(v, from + 2 * H.o_stride(), H.qkv_stride(), H.S, t, quad);
            turn_factor(k, H, t, quad);

            float s[QUERIES / 2], dp[QUERIES / 2], dk[D / 2], dv[D / 2];
            int before = 0;  // the slot of the tile before
#pragma unroll 1
            for (int j = 0; j < tiles; j++) {
                const uint32_t stage = static_cast<uint32_t>(at.slot * R::STAGE_BYTES);
                barrier_wait(&ring.came[at.slot], at.phase);
                barrier_wait(&ring.turned[at.slot], at.phase);
                wgmma_fence();
                scores(s, k, advance(queries, stage));
                wgmma_commit();
                scores(dp, v, advance(gradients, stage));
                wgmma_commit();
                wgmma_wait<1>();  // the sums over the tile before are complete too
                pin(s);
                if (j > 0 && lane == 0) barrier_arrive(&ring.empty[before]);
                const float2* shift = reinterpret_cast<const float2*>(ring.shift[at.slot]) + quad;
#pragma unroll
                for (int n = 0; n < QUERIES / 8; n++) {
                    const float2 x = shift[4 * n];
#pragma unroll
                    for (int i = 0; i < 4; i++) s[4 * n + i] = exp2_of(s[4 * n + i] * factor - (i % 2 == 0 ? x.x : x.y));
                }
                round_factor(p, s);
                wgmma_fence();
                weigh(dv, p, advance(gradients_along, stage), j > 0);
                wgmma_commit();
                wgmma_wait<1>();
                pin(dp);
                const float2* delta = reinterpret_cast<const float2*>(ring.delta[at.slot]) + quad;
#pragma unroll
                for (int n = 0; n < QUERIES / 8; n++) {
                    const float2 x = delta[4 * n];
#pragma unroll
                    for (int i = 0; i < 4; i++) s[4 * n + i] *= dp[4 * n + i] - (i % 2 == 0 ? x.x : x.y);
                }
                round_factor(ds, s);
                wgmma_fence();
                weigh(dk, ds, advance(queries_along, stage), j > 0);
                wgmma_commit();
                before = at.slot;
                at.next();
            }
            wgmma_wait<0>();
            pin(dk);
            pin(dv);
            if (lane == 0) barrier_arrive(&ring.empty[before]);
            bf16* const to = dqkv + H.qkv_at(run.b, run.a) + H.o_stride();
#pragma unroll
            for (int r = 0; r < 2; r++) {
                turn_back(dk, H, r, t + 8 * r, quad);
                store_result(to, H.qkv_stride(), dk, r, H.scale, t + 8 * r, H.S, quad);
                store_result(to + H.o_stride(), H.qkv_stride(), dv, r, 1.0f, t + 8 * r, H.S, quad);
            }
        }
    }
#endif
}

}  // namespace

bool attention_sm90_bwd_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o, const void* d_o,
                             const void* dqkv) {
    return fits(H, dtype) && aligned(16, qkv, o, d_o, dqkv, H.cos, H.sin);
}

int attention_sm90_bwd(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o, void* dqkv,
                       trm_stream stream) {
    CUtensorMap map_keys, map_queries, map_d_o;
    int code = head_map(&map_keys, "attention_bwd", qkv, H, H.qkv_stride(), KEYS);
    if (code == TRM_OK) code = head_map(&map_queries, "attention_bwd", qkv, H, H.qkv_stride(), QUERIES);
    if (code == TRM_OK) code = head_map(&map_d_o, "attention_bwd", d_o, H, H.o_stride(), QUERIES);
    if (code != TRM_OK) return code;
    const int64_t tasks = H.B * H.A * divide_up(H.S, RUN), most = sm90::multiprocessors();
    const int blocks = static_cast<int>(tasks < most ? tasks : most);
    const bf16 *in = static_cast<const bf16*>(qkv), *out = static_cast<const bf16*>(o);
    code = sm90::launch_clusters("attention_bwd", attention_sm90_bwd_queries_kernel, blocks, THREADS, Ring<KEYS>::SHARED, 1,
                                 stream, map_keys, H, in, out, lse, static_cast<const bf16*>(d_o), static_cast<bf16*>(dqkv),
                                 static_cast<int>(tasks));
    if (code != TRM_OK) return code;
    return sm90::launch_clusters("attention_bwd", attention_sm90_bwd_keys_kernel, blocks, THREADS, Ring<QUERIES>::SHARED, 1,
                                 stream, map_queries, map_d_o, H, in, out, lse, static_cast<bf16*>(dqkv),
                                 static_cast<int>(tasks));
}

}  // namespace trm
