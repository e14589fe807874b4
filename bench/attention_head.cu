// attention_head.cu: a candidate for cuda-kernels/attention_sm90.cu, both directions, up to 960 positions; measured by
// fused_attention.cu, used by nothing. Not yet run on a GPU.
//
// attention_sm90.cu rotates each tile of keys once for every run of queries, which by count takes twice as long as its
// products (cuda-kernels/README.md). Here a block takes a whole head, one run after the other. The side that is rotated (the
// keys; where keys are owned, the queries) is rotated once and stays in shared memory for all runs; the other side streams
// through a ring. A resident tile is replaced by the next head's as soon as the last run has used it.
//
//   fwd          owns 192 queries a run; keys stay, values stream
//   bwd queries  owns 128 queries a run: dq; keys stay, values stream
//   bwd keys     owns 128 keys a run: dk, dv; queries stay, with lse and delta = sum_d(do o); gradients of o stream
//
// The equations and roundings are those of attention_sm90.cu and attention_mma_long_bwd.cu. Cycles of the tensor cores, for
// 192 lanes of 8 heads of 916 positions (12 heads a block): fwd 5 runs * 10 tiles * 1152, bwd 8 * 10 * 1152 and
// 8 * 15 * 1024: 0.43, 0.69 and 0.92 ms at 1.6 GHz if nothing were lost.

#include "attention_head.cuh"

#include "attention_sm90.cuh"

namespace trm {
namespace {

using namespace attention_hopper;

constexpr int MOST = 960;  // positions
constexpr int STREAMED = 5;  // tiles in the ring

/** Shared memory of a block with tiles of ROWS positions: resident tiles, the ring, then this. */
template <int ROWS>
struct Head {
    static constexpr int TILES = MOST / ROWS, TILE_BYTES = ROWS * D * 2;
    uint64_t came[TILES];    // a resident tile, as it is in device memory
    uint64_t turned[TILES];  // it is rotated, and what else the turners make is there
    uint64_t free[TILES];    // the last run has used it
    uint64_t full[STREAMED], empty[STREAMED];
    float shift[TILES][ROWS], delta[TILES][ROWS];
    static constexpr size_t SHARED = 1024 + (TILES + STREAMED) * TILE_BYTES + (3 * TILES + 2 * STREAMED) * 8 + 8 * TILES * ROWS;
};
static_assert(MOST % 96 == 0 && MOST % 64 == 0, "tiles divide it");
static_assert(Head<96>::SHARED <= 232448 && Head<64>::SHARED <= 232448, "more than a block has");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int ROWS>
__device__ __forceinline__ void init(Head<ROWS>& head, int users) {
    if (threadIdx.x == 0) {
        for (int j = 0; j < Head<ROWS>::TILES; j++) {
            barrier_init(&head.came[j], 1);
            barrier_init(&head.turned[j], TURNERS);
            barrier_init(&head.free[j], users);
        }
        for (int s = 0; s < STREAMED; s++) {
            barrier_init(&head.full[s], 1);
            barrier_init(&head.empty[s], users);
        }
        barrier_init_done();
    }
    __syncthreads();
}

/** How many heads this block has of `heads`: every gridDim.x-th. */
__device__ __forceinline__ int own_heads(int heads) {
    const int blocks = static_cast<int>(gridDim.x);
    return (heads - static_cast<int>(blockIdx.x) + blocks - 1) / blocks;
}

/** All copies of a block, by one thread: `resident` and `streamed` are the first channels of head 0. */
template <int ROWS>
__device__ __forceinline__ void copy_all(uint8_t* tiles_at, Head<ROWS>& head, const CUtensorMap* resident_map, int resident,
                                         const CUtensorMap* streamed_map, int streamed, const Attention& H, int heads,
                                         int runs) {
    using R = Head<ROWS>;
    const int tiles = (H.S + ROWS - 1) / ROWS;
    uint8_t* const ring = tiles_at + R::TILES * R::TILE_BYTES;
    RingPlace<STREAMED> at;
    uint32_t phase = 0;
    for (int h = static_cast<int>(blockIdx.x); h < heads; h += static_cast<int>(gridDim.x), phase ^= 1) {
        const int b = h / H.A, channel = h % H.A * D;
        for (int run = 0; run < runs; run++)
#pragma unroll 1
            for (int j = 0; j < tiles; j++) {
                if (run == 0) {
                    barrier_wait(&head.free[j], phase ^ 1);
                    barrier_expect(&head.came[j], R::TILE_BYTES);
                    copy_box(tiles_at + j * R::TILE_BYTES, resident_map, &head.came[j], resident + channel, j * ROWS, b);
                }
                barrier_wait(&head.empty[at.slot], at.phase ^ 1);
                barrier_expect(&head.full[at.slot], R::TILE_BYTES);
                copy_box(ring + at.slot * R::TILE_BYTES, streamed_map, &head.full[at.slot], streamed + channel, j * ROWS, b);
                at.next();
            }
    }
}

/** The turners' part where keys stay. */
template <int ROWS>
__device__ __forceinline__ void turn_all(uint8_t* tiles_at, Head<ROWS>& head, const Attention& H, int heads) {
    int first = 0;
    uint32_t phase = 0;
#pragma unroll 1
    for (int left = own_heads(heads) * ((H.S + ROWS - 1) / ROWS); left > 0; left--) {
        const int j = first / ROWS;
        barrier_wait(&head.came[j], phase);
        if (H.cos != nullptr) {
            turn_rows<ROWS>(shared_address(tiles_at) + j * Head<ROWS>::TILE_BYTES, H, first);
            fence_async();
        }
        barrier_arrive(&head.turned[j]);
        first = first + ROWS < H.S ? first + ROWS : 0;
        if (first == 0) phase ^= 1;
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

/** Where a thread of a warpgroup that owns rows stands: the first of its two rows in the block's run. */
__device__ __forceinline__ int own_row() {
    return static_cast<int>(threadIdx.x) / 128 * 64 - 64 + static_cast<int>(threadIdx.x) % 128 / WARP * 16 +
           static_cast<int>(threadIdx.x) % WARP / 4;
}
#endif

// ---- forward ------------------------------------------------------------------------------------------------------

constexpr int KEYS = 96, FWD_RUN = 192, FWD_THREADS = 512, FWD_COPYING = 32, FWD_MULTIPLYING = 160;
static_assert(sm90::registers_fit(FWD_THREADS, FWD_COPYING, FWD_MULTIPLYING), "no block would ever get them");

__global__ void __launch_bounds__(FWD_THREADS, 1)
    attention_head_fwd_kernel(const __grid_constant__ CUtensorMap map, Attention H, const bf16* qkv, bf16* o, float* lse,
                              int heads) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using R = Head<KEYS>;
    uint8_t* const tiles_at = shared_tiles();
    R& head = *reinterpret_cast<R*>(tiles_at + (R::TILES + STREAMED) * R::TILE_BYTES);
    const int tiles = (H.S + KEYS - 1) / KEYS, runs = (H.S + FWD_RUN - 1) / FWD_RUN;
    init(head, (FWD_THREADS - 128) / WARP);
    if (threadIdx.x < 128) {
        fewer_registers<FWD_COPYING>();
        if (threadIdx.x == 0) copy_all(tiles_at, head, &map, H.A * D, &map, 2 * H.A * D, H, heads, runs);
        else if (threadIdx.x >= WARP) turn_all(tiles_at, head, H, heads);
    } else {
        more_registers<FWD_MULTIPLYING>();
        const int lane = static_cast<int>(threadIdx.x) % WARP, quad = lane % 4;
        const uint64_t keys = describe_k(tiles_at), values = describe_mn(tiles_at + R::TILES * R::TILE_BYTES, 0);
        const float factor = H.scale * LOG2_E;
        RingPlace<STREAMED> at;
        // one count for heads and runs: registers are short
        const int count = own_heads(heads) * runs;
#pragma unroll 1
        for (int n = 0; n < count; n++) {
            {
                const uint32_t phase = static_cast<uint32_t>(n / runs & 1);
                const bool last = n % runs == runs - 1;
                uint32_t q[4][4], p[KEYS / 16][4];
                float s[KEYS / 2], out[D / 2], shrink[2];
                Rows w = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}};
                {
                    const int h = static_cast<int>(blockIdx.x) + n / runs * static_cast<int>(gridDim.x);
                    const int t = n % runs * FWD_RUN + own_row();
                    load_factor(q, qkv + H.qkv_at(h / H.A, h % H.A), H.qkv_stride(), H.S, t, quad);
                    turn_factor(q, H, t, quad);
                }

                barrier_wait(&head.came[0], phase);
                barrier_wait(&head.turned[0], phase);
                wgmma_fence();
                scores(s, q, keys);
                wgmma_commit();
                wgmma_wait<0>();
                pin(s);
                exponentials(s, w, shrink, factor, H.S, quad);
                round_factor(p, s);
#pragma unroll 1
                for (int j = 0; j < tiles - 1; j++) {
                    barrier_wait(&head.came[j + 1], phase);
                    barrier_wait(&head.turned[j + 1], phase);
                    wgmma_fence();
                    scores(s, q, advance(keys, static_cast<uint32_t>((j + 1) * R::TILE_BYTES)));
                    wgmma_commit();
                    barrier_wait(&head.full[at.slot], at.phase);
                    wgmma_fence();
                    weigh(out, p, advance(values, static_cast<uint32_t>(at.slot * R::TILE_BYTES)), j > 0);
                    wgmma_commit();
                    wgmma_wait<1>();
                    pin(s);
                    const bool raised = exponentials(s, w, shrink, factor, H.S - (j + 1) * KEYS, quad);
                    wgmma_wait<0>();
                    pin(out);
                    if (lane == 0) {
                        barrier_arrive(&head.empty[at.slot]);
                        if (last) barrier_arrive(&head.free[j]);
                    }
                    if (raised) {
#pragma unroll
                        for (int i = 0; i < D / 2; i++) out[i] *= shrink[i % 4 / 2];
                    }
                    round_factor(p, s);
                    at.next();
                }
                barrier_wait(&head.full[at.slot], at.phase);
                wgmma_fence();
                weigh(out, p, advance(values, static_cast<uint32_t>(at.slot * R::TILE_BYTES)), tiles > 1);
                wgmma_commit();
                wgmma_wait<0>();
                pin(out);
                if (lane == 0) {
                    barrier_arrive(&head.empty[at.slot]);
                    if (last) barrier_arrive(&head.free[tiles - 1]);
                }
                at.next();

                int done = n;
                asm volatile("" : "+r"(done));  // computed again, too
                const int h = static_cast<int>(blockIdx.x) + done / runs * static_cast<int>(gridDim.x);
                const int t = done % runs * FWD_RUN + own_row();
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float sum = w.sum[r];
                    sum += __shfl_xor_sync(ALL_LANES, sum, 1);
                    sum += __shfl_xor_sync(ALL_LANES, sum, 2);
                    const float inverse = 1.0f / sum;
                    const int row = t + 8 * r;
                    if (lse != nullptr && quad == 0 && row < H.S)
                        lse[static_cast<int64_t>(h) * H.S + row] = w.shift[r] * LN_2 + logf(sum);
                    store_result(o + H.o_at(h / H.A, h % H.A), H.o_stride(), out, r, inverse, row, H.S, quad);
                }
            }
        }
    }
#endif
}

// ---- backward -----------------------------------------------------------------------------------------------------

constexpr int QUERIES = 64, BWD_RUN = 128, BWD_THREADS = 384, BWD_COPYING = 56, BWD_MULTIPLYING = 224;
static_assert(sm90::registers_fit(BWD_THREADS, BWD_COPYING, BWD_MULTIPLYING), "no block would ever get them");

/** Owns queries: dq. */
__global__ void __launch_bounds__(BWD_THREADS, 1)
    attention_head_bwd_queries_kernel(const __grid_constant__ CUtensorMap map, Attention H, const bf16* qkv, const bf16* o,
                                      const float* lse, const bf16* d_o, bf16* dqkv, int heads) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using R = Head<KEYS>;
    uint8_t* const tiles_at = shared_tiles();
    R& head = *reinterpret_cast<R*>(tiles_at + (R::TILES + STREAMED) * R::TILE_BYTES);
    const int tiles = (H.S + KEYS - 1) / KEYS, runs = (H.S + BWD_RUN - 1) / BWD_RUN;
    init(head, (BWD_THREADS - 128) / WARP);
    if (threadIdx.x < 128) {
        fewer_registers<BWD_COPYING>();
        if (threadIdx.x == 0) copy_all(tiles_at, head, &map, H.A * D, &map, 2 * H.A * D, H, heads, runs);
        else if (threadIdx.x >= WARP) turn_all(tiles_at, head, H, heads);
    } else {
        more_registers<BWD_MULTIPLYING>();
        const int lane = static_cast<int>(threadIdx.x) % WARP, quad = lane % 4;
        const uint64_t keys = describe_k(tiles_at), keys_along = describe_mn(tiles_at, 0);
        const uint64_t values = describe_k(tiles_at + R::TILES * R::TILE_BYTES);
        const float factor = H.scale * LOG2_E;
        RingPlace<STREAMED> at;
        uint32_t phase = 0;
        for (int h = static_cast<int>(blockIdx.x); h < heads; h += static_cast<int>(gridDim.x), phase ^= 1)
#pragma unroll 1
            for (int run = 0; run < runs; run++) {
                const int t = run * BWD_RUN + own_row(), b = h / H.A, a = h % H.A;
                const bool last = run == runs - 1;
                uint32_t q[4][4], g[4][4];
                float shift[2], delta[2];
                load_factor(q, o + H.o_at(b, a), H.o_stride(), H.S, t, quad);
                load_factor(g, d_o + H.o_at(b, a), H.o_stride(), H.S, t, quad);
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float sum = 0.0f;
#pragma unroll
                    for (int k = 0; k < 4; k++) sum += dot(q[k][r], g[k][r]) + dot(q[k][r + 2], g[k][r + 2]);
                    sum += __shfl_xor_sync(ALL_LANES, sum, 1);
                    delta[r] = sum + __shfl_xor_sync(ALL_LANES, sum, 2);
                    shift[r] = t + 8 * r < H.S ? lse[static_cast<int64_t>(h) * H.S + t + 8 * r] * LOG2_E : INFINITY;
                }
                load_factor(q, qkv + H.qkv_at(b, a), H.qkv_stride(), H.S, t, quad);
                turn_factor(q, H, t, quad);

                float s[KEYS / 2], dp[KEYS / 2], dq[D / 2];
                uint32_t ds[KEYS / 16][4];
                int before = 0;  // the slot of the tile before
#pragma unroll 1
                for (int j = 0; j < tiles; j++) {
                    const uint32_t tile = static_cast<uint32_t>(j * R::TILE_BYTES);
                    barrier_wait(&head.came[j], phase);
                    barrier_wait(&head.turned[j], phase);
                    wgmma_fence();
                    scores(s, q, advance(keys, tile));
                    wgmma_commit();
                    barrier_wait(&head.full[at.slot], at.phase);
                    wgmma_fence();
                    scores(dp, g, advance(values, static_cast<uint32_t>(at.slot * R::TILE_BYTES)));
                    wgmma_commit();
                    wgmma_wait<1>();  // the sums over the tile before are complete too
                    pin(s);
                    if (last && j > 0 && lane == 0) barrier_arrive(&head.free[j - 1]);
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
                    before = at.slot;
                    if (lane == 0) barrier_arrive(&head.empty[before]);
#pragma unroll
                    for (int i = 0; i < KEYS / 2; i++) s[i] *= dp[i] - delta[i % 4 / 2];
                    round_factor(ds, s);
                    wgmma_fence();
                    weigh(dq, ds, advance(keys_along, tile), j > 0);
                    wgmma_commit();
                    at.next();
                }
                wgmma_wait<0>();
                pin(dq);
                if (last && lane == 0) barrier_arrive(&head.free[tiles - 1]);
                bf16* const to = dqkv + H.qkv_at(b, a);
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
__global__ void __launch_bounds__(BWD_THREADS, 1)
    attention_head_bwd_keys_kernel(const __grid_constant__ CUtensorMap map_q, const __grid_constant__ CUtensorMap map_d_o,
                                   Attention H, const bf16* qkv, const bf16* o, const float* lse, const bf16* d_o, bf16* dqkv,
                                   int heads) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using R = Head<QUERIES>;
    uint8_t* const tiles_at = shared_tiles();
    R& head = *reinterpret_cast<R*>(tiles_at + (R::TILES + STREAMED) * R::TILE_BYTES);
    const int tiles = (H.S + QUERIES - 1) / QUERIES, runs = (H.S + BWD_RUN - 1) / BWD_RUN;
    init(head, (BWD_THREADS - 128) / WARP);
    if (threadIdx.x < 128) {
        fewer_registers<BWD_COPYING>();
        if (threadIdx.x == 0) copy_all(tiles_at, head, &map_q, 0, &map_d_o, 0, H, heads, runs);
        else if (threadIdx.x >= WARP) {
            uint32_t phase = 0;
            for (int h = static_cast<int>(blockIdx.x); h < heads; h += static_cast<int>(gridDim.x), phase ^= 1)
#pragma unroll 1
                for (int first = 0, j = 0; first < H.S; first += QUERIES, j++) {
                    barrier_wait(&head.came[j], phase);
                    if (H.cos != nullptr) turn_rows<QUERIES>(shared_address(tiles_at) + j * R::TILE_BYTES, H, first);
                    // four lanes a row, 16 channels each; gradients from device memory: they stream at another time
                    const int part = turner() % 4;
#pragma unroll 1
                    for (int row = turner() / 4; row < QUERIES; row += TURNERS / 4) {
                        const int t = first + row;
                        float sum = 0.0f;
                        if (t < H.S) {
                            const int64_t i = H.o_at(h / H.A, h % H.A) + static_cast<int64_t>(t) * H.o_stride() + part * 16;
                            const uint4* x = reinterpret_cast<const uint4*>(o + i);
                            const uint4* g = reinterpret_cast<const uint4*>(d_o + i);
#pragma unroll
                            for (int n = 0; n < 2; n++) {
                                const uint4 left = __ldg(x + n), right = __ldg(g + n);
                                sum += dot(left.x, right.x) + dot(left.y, right.y) + dot(left.z, right.z) + dot(left.w, right.w);
                            }
                        }
                        sum += __shfl_xor_sync(ALL_LANES, sum, 1);
                        sum += __shfl_xor_sync(ALL_LANES, sum, 2);
                        if (part != 0) continue;
                        head.delta[j][row] = sum;
                        head.shift[j][row] = t < H.S ? lse[static_cast<int64_t>(h) * H.S + t] * LOG2_E : INFINITY;
                    }
                    fence_async();
                    barrier_arrive(&head.turned[j]);
                }
        }
    } else {
        more_registers<BWD_MULTIPLYING>();
        const int lane = static_cast<int>(threadIdx.x) % WARP, quad = lane % 4;
        uint8_t* const ring = tiles_at + R::TILES * R::TILE_BYTES;
        const uint64_t queries = describe_k(tiles_at), queries_along = describe_mn(tiles_at, 0);
        const uint64_t gradients = describe_k(ring), gradients_along = describe_mn(ring, 0);
        const float factor = H.scale * LOG2_E;
        RingPlace<STREAMED> at;
        uint32_t phase = 0;
        for (int h = static_cast<int>(blockIdx.x); h < heads; h += static_cast<int>(gridDim.x), phase ^= 1)
#pragma unroll 1
            for (int run = 0; run < runs; run++) {
                const int t = run * BWD_RUN + own_row(), b = h / H.A, a = h % H.A;
                const bool last = run == runs - 1;
                const bf16* from = qkv + H.qkv_at(b, a);
                uint32_t k[4][4], v[4][4], p[QUERIES / 16][4], ds[QUERIES / 16][4];
                load_factor(k, from + H.o_stride(), H.qkv_stride(), H.S, t, quad);
                load_factor(v, from + 2 * H.o_stride(), H.qkv_stride(), H.S, t, quad);
                turn_factor(k, H, t, quad);

                float s[QUERIES / 2], dp[QUERIES / 2], dk[D / 2], dv[D / 2];
                int before = 0;  // the slot of the tile before
#pragma unroll 1
                for (int j = 0; j < tiles; j++) {
                    const uint32_t tile = static_cast<uint32_t>(j * R::TILE_BYTES);
                    const uint32_t stage = static_cast<uint32_t>(at.slot * R::TILE_BYTES);
                    barrier_wait(&head.came[j], phase);
                    barrier_wait(&head.turned[j], phase);
                    barrier_wait(&head.full[at.slot], at.phase);
                    wgmma_fence();
                    scores(s, k, advance(queries, tile));
                    wgmma_commit();
                    scores(dp, v, advance(gradients, stage));
                    wgmma_commit();
                    wgmma_wait<1>();  // the sums over the tile before are complete too
                    pin(s);
                    if (j > 0 && lane == 0) {
                        barrier_arrive(&head.empty[before]);
                        if (last) barrier_arrive(&head.free[j - 1]);
                    }
                    const float2* shift = reinterpret_cast<const float2*>(head.shift[j]) + quad;
#pragma unroll
                    for (int n = 0; n < QUERIES / 8; n++) {
                        const float2 x = shift[4 * n];
#pragma unroll
                        for (int i = 0; i < 4; i++)
                            s[4 * n + i] = exp2_of(s[4 * n + i] * factor - (i % 2 == 0 ? x.x : x.y));
                    }
                    round_factor(p, s);
                    wgmma_fence();
                    weigh(dv, p, advance(gradients_along, stage), j > 0);
                    wgmma_commit();
                    wgmma_wait<1>();
                    pin(dp);
                    const float2* delta = reinterpret_cast<const float2*>(head.delta[j]) + quad;
#pragma unroll
                    for (int n = 0; n < QUERIES / 8; n++) {
                        const float2 x = delta[4 * n];
#pragma unroll
                        for (int i = 0; i < 4; i++) s[4 * n + i] *= dp[4 * n + i] - (i % 2 == 0 ? x.x : x.y);
                    }
                    round_factor(ds, s);
                    wgmma_fence();
                    weigh(dk, ds, advance(queries_along, tile), j > 0);
                    wgmma_commit();
                    before = at.slot;
                    at.next();
                }
                wgmma_wait<0>();
                pin(dk);
                pin(dv);
                if (lane == 0) {
                    barrier_arrive(&head.empty[before]);
                    if (last) barrier_arrive(&head.free[tiles - 1]);
                }
                bf16* const to = dqkv + H.qkv_at(b, a) + H.o_stride();
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

/** Describes qkv [B, S, 3 A d] or o [B, S, A d], of `row` elements a position, in boxes of `rows` positions of a head. */
int head_map(CUtensorMap* map, const void* address, const Attention& H, int64_t row, uint32_t rows) {
    const uint64_t width = static_cast<uint64_t>(row), S = static_cast<uint64_t>(H.S), B = static_cast<uint64_t>(H.B);
    return sm90::tensor_map("attention_head", map, address, {{width, S, B}, {1, width, width * S}, {D, rows, 1}});
}

int blocks_for(int64_t heads) {
    const int64_t most = sm90::multiprocessors();
    return static_cast<int>(heads < most ? heads : most);
}

}  // namespace

int attention_head(const Attention& H, const bf16* qkv, bf16* o, float* lse, trm_stream stream) {
    TRM_REQUIRE(H.S <= MOST && H.d == D, "attention_head: S=%d d=%d", H.S, H.d);
    CUtensorMap map;
    const int code = head_map(&map, qkv, H, H.qkv_stride(), KEYS);
    if (code != TRM_OK) return code;
    const int64_t heads = H.B * H.A;
    return sm90::launch_clusters("attention_head", attention_head_fwd_kernel, blocks_for(heads), FWD_THREADS,
                                 Head<KEYS>::SHARED, 1, stream, map, H, qkv, o, lse, static_cast<int>(heads));
}

int attention_head_bwd(const Attention& H, const bf16* qkv, const bf16* o, const float* lse, const bf16* d_o, bf16* dqkv,
                       trm_stream stream) {
    TRM_REQUIRE(H.S <= MOST && H.d == D, "attention_head_bwd: S=%d d=%d", H.S, H.d);
    CUtensorMap map_keys, map_queries, map_d_o;
    int code = head_map(&map_keys, qkv, H, H.qkv_stride(), KEYS);
    if (code == TRM_OK) code = head_map(&map_queries, qkv, H, H.qkv_stride(), QUERIES);
    if (code == TRM_OK) code = head_map(&map_d_o, d_o, H, H.o_stride(), QUERIES);
    if (code != TRM_OK) return code;
    const int64_t heads = H.B * H.A;
    code = sm90::launch_clusters("attention_head_bwd", attention_head_bwd_queries_kernel, blocks_for(heads), BWD_THREADS,
                                 Head<KEYS>::SHARED, 1, stream, map_keys, H, qkv, o, lse, d_o, dqkv, static_cast<int>(heads));
    if (code != TRM_OK) return code;
    return sm90::launch_clusters("attention_head_bwd", attention_head_bwd_keys_kernel, blocks_for(heads), BWD_THREADS,
                                 Head<QUERIES>::SHARED, 1, stream, map_queries, map_d_o, H, qkv, o, lse, d_o, dqkv,
                                 static_cast<int>(heads));
}

}  // namespace trm
