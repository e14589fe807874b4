// attention_sm90.cu: attention.cu's forward operation for more than 128 positions, bf16, d = 64; Hopper.
//
//   s = q k^T,  m = max s,  p = exp2((s - m) log2(e) / sqrt(d)),  o = p v / sum p,  lse = log sum exp(s / sqrt(d))
//
// A block is persistent and takes 192 queries of a head at a time. Three warpgroups own 64 of them each: q, scores, weights
// and results stay in registers. One more warpgroup feeds a ring of tiles of 96 keys: a warp copies keys and values, the
// others rotate the keys where they lie. While a warpgroup takes the exponentials of one tile, the tensor cores weigh the
// values of the tile before; the other warpgroups fill what is left. As in attention_mma.cu, m is raised only when an
// exponential would exceed 2^RAISE.
//
// shapes    as attention.cu; bf16, d 64, S > 128; pointers 16-byte aligned
// numerics  rotated q and k rounded to bf16; p rounded to bf16 for the product with v, summed unrounded; sums fp32, in a
//           fixed order
// cost      4 S^2 d FLOP a head and S^2 exponentials, S rounded up to tiles. A tile is 192 * 96 * 256 / 4096 = 1152 cycles of
//           the tensor cores and 192 * 96 / 16 = 1152 of the special functions, which overlap; some 650 issue slots of each
//           scheduler. 192 lanes of 8 heads of 916 positions: 58 runs of 10 tiles on each of 132 multiprocessors, 0.42 ms
//           at 1.6 GHz if nothing were lost. DRAM 0.72 GB: 0.24 ms. Measured on an H100: 1.24 ms, 265 TFLOP/s; some 3600
//           cycles a tile. By this count the turners are late: cos and sin are more than L1 holds, and a turner has registers
//           for one load of them at a time, eight a tile, each from L2

#include "attention_sm90.cuh"

namespace trm {
namespace {

using namespace attention_hopper;

constexpr int KEYS = 96, STAGES = 5, GROUPS = 3, QUERIES = 64 * GROUPS, THREADS = 128 * (GROUPS + 1);
constexpr int COPYING = 32, MULTIPLYING = 160;  // registers of a thread
static_assert(sm90::registers_fit(THREADS, COPYING, MULTIPLYING), "no block would ever get them");
constexpr int TILE_BYTES = KEYS * D * 2, STAGE_BYTES = 2 * TILE_BYTES;

struct Barriers {
    uint64_t came[STAGES];    // keys as they are in device memory
    uint64_t keys[STAGES];    // rotated
    uint64_t values[STAGES];
    uint64_t empty[STAGES];   // both have been read
};

constexpr size_t SHARED = 1024 + STAGES * STAGE_BYTES + sizeof(Barriers);

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
/** A run of queries of one head: which, and the first of them. */
struct Task {
    int head, b, a, first;
};

__device__ __forceinline__ Task task_of(const Attention& H, int task) {
    const int runs = (H.S + QUERIES - 1) / QUERIES, head = task / runs;
    return {head, head / H.A, head % H.A, task % runs * QUERIES};
}

/** How many tasks this block has of `tasks`: every gridDim.x-th. */
__device__ __forceinline__ int own_tasks(int tasks) {
    const int blocks = static_cast<int>(gridDim.x);
    return (tasks - static_cast<int>(blockIdx.x) + blocks - 1) / blocks;
}
#endif

__global__ void __launch_bounds__(THREADS, 1)
    attention_sm90_fwd_kernel(const __grid_constant__ CUtensorMap map, Attention H, const bf16* qkv, bf16* o, float* lse,
                              int tasks) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    uint8_t* const ring = shared_tiles();  // of a stage: keys, then values
    Barriers& bar = *reinterpret_cast<Barriers*>(ring + STAGES * STAGE_BYTES);
    const int tiles = (H.S + KEYS - 1) / KEYS;
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            barrier_init(&bar.came[s], 1);
            barrier_init(&bar.keys[s], TURNERS);
            barrier_init(&bar.values[s], 1);
            barrier_init(&bar.empty[s], 4 * GROUPS);
        }
        barrier_init_done();
        prefetch_map(&map);
    }
    __syncthreads();

    RingPlace<STAGES> at;
    if (threadIdx.x < 128) {
        fewer_registers<COPYING>();
        if (threadIdx.x < WARP) {
            if (threadIdx.x != 0) return;
            for (int task = static_cast<int>(blockIdx.x); task < tasks; task += static_cast<int>(gridDim.x)) {
                const Task run = task_of(H, task);
#pragma unroll 1
                for (int j = 0; j < tiles; j++) {
                    uint8_t* const to = ring + at.slot * STAGE_BYTES;
                    barrier_wait(&bar.empty[at.slot], at.phase ^ 1);
                    barrier_expect(&bar.came[at.slot], TILE_BYTES);
                    copy_box(to, &map, &bar.came[at.slot], (H.A + run.a) * D, j * KEYS, run.b);
                    barrier_expect(&bar.values[at.slot], TILE_BYTES);
                    copy_box(to + TILE_BYTES, &map, &bar.values[at.slot], (2 * H.A + run.a) * D, j * KEYS, run.b);
                    at.next();
                }
            }
        } else {
            const Shared tiles_at = shared_address(ring);
            int first = 0;
#pragma unroll 1
            for (int left = own_tasks(tasks) * tiles; left > 0; left--) {
                barrier_wait(&bar.came[at.slot], at.phase);
                if (H.cos != nullptr) {
                    turn_rows<KEYS>(tiles_at + at.slot * STAGE_BYTES, H, first);
                    fence_async();
                }
                barrier_arrive(&bar.keys[at.slot]);
                at.next();
                first = first + KEYS < H.S ? first + KEYS : 0;
            }
        }
    } else {
        more_registers<MULTIPLYING>();
        const int group = static_cast<int>(threadIdx.x) / 128 - 1, lane = static_cast<int>(threadIdx.x) % WARP;
        const int quad = lane % 4, own = group * 64 + static_cast<int>(threadIdx.x) % 128 / WARP * 16 + lane / 4;
        const uint64_t keys = describe_k(ring), values = describe_mn(ring + TILE_BYTES, 0);
        const float factor = H.scale * LOG2_E;
        for (int task = static_cast<int>(blockIdx.x); task < tasks; task += static_cast<int>(gridDim.x)) {
            uint32_t q[4][4], p[KEYS / 16][4];
            float s[KEYS / 2], out[D / 2], shrink[2];
            Rows w = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}};
            {
                const Task run = task_of(H, task);
                load_factor(q, qkv + H.qkv_at(run.b, run.a), H.qkv_stride(), H.S, run.first + own, quad);
                turn_factor(q, H, run.first + own, quad);
            }

            barrier_wait(&bar.came[at.slot], at.phase);
            barrier_wait(&bar.keys[at.slot], at.phase);
            wgmma_fence();
            scores(s, q, advance(keys, static_cast<uint32_t>(at.slot * STAGE_BYTES)));
            wgmma_commit();
            wgmma_wait<0>();
            pin(s);
            exponentials(s, w, shrink, factor, H.S, quad);
            round_factor(p, s);
#pragma unroll 1
            for (int j = 0; j < tiles - 1; j++) {
                RingPlace<STAGES> next = at;
                next.next();
                barrier_wait(&bar.came[next.slot], next.phase);
                barrier_wait(&bar.keys[next.slot], next.phase);
                wgmma_fence();
                scores(s, q, advance(keys, static_cast<uint32_t>(next.slot * STAGE_BYTES)));
                wgmma_commit();
                barrier_wait(&bar.values[at.slot], at.phase);
                wgmma_fence();
                weigh(out, p, advance(values, static_cast<uint32_t>(at.slot * STAGE_BYTES)), j > 0);
                wgmma_commit();
                wgmma_wait<1>();
                pin(s);
                const bool raised = exponentials(s, w, shrink, factor, H.S - (j + 1) * KEYS, quad);
                wgmma_wait<0>();
                pin(out);
                if (lane == 0) barrier_arrive(&bar.empty[at.slot]);
                if (raised) {
#pragma unroll
                    for (int i = 0; i < D / 2; i++) out[i] *= shrink[i % 4 / 2];
                }
                round_factor(p, s);
                at = next;
            }
            barrier_wait(&bar.values[at.slot], at.phase);
            wgmma_fence();
            weigh(out, p, advance(values, static_cast<uint32_t>(at.slot * STAGE_BYTES)), tiles > 1);
            wgmma_commit();
            wgmma_wait<0>();
            pin(out);
            if (lane == 0) barrier_arrive(&bar.empty[at.slot]);
            at.next();

            int done = task;
            asm volatile("" : "+r"(done));  // computed again: registers are short
            const Task end = task_of(H, done);
            const int t = end.first + own;
            bf16* const to = o + H.o_at(end.b, end.a);
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float sum = w.sum[r];
                sum += __shfl_xor_sync(ALL_LANES, sum, 1);
                sum += __shfl_xor_sync(ALL_LANES, sum, 2);
                const float inverse = 1.0f / sum;
                const int row = t + 8 * r;
                if (lse != nullptr && quad == 0 && row < H.S)
                    lse[static_cast<int64_t>(end.head) * H.S + row] = w.shift[r] * LN_2 + logf(sum);
                store_result(to, H.o_stride(), out, r, inverse, row, H.S, quad);
            }
        }
    }
#endif
}

}  // namespace

bool attention_sm90_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o) {
    return dtype == TRM_BF16 && H.d == D && H.S > 128 && H.B * H.A * H.S <= INT32_MAX &&
           aligned(16, qkv, o, H.cos, H.sin) && sm90::available();
}

int attention_sm90(const Attention& H, const void* qkv, void* o, float* lse, trm_stream stream) {
    CUtensorMap map;
    const uint64_t row = static_cast<uint64_t>(H.qkv_stride()), S = static_cast<uint64_t>(H.S);
    const int code = sm90::tensor_map("attention", &map, qkv,
                                      {{row, S, static_cast<uint64_t>(H.B)}, {1, row, row * S}, {D, KEYS, 1}});
    if (code != TRM_OK) return code;
    const int64_t tasks = H.B * H.A * divide_up(H.S, QUERIES), most = sm90::multiprocessors();
    return sm90::launch_clusters("attention", attention_sm90_fwd_kernel, static_cast<int>(tasks < most ? tasks : most),
                                 THREADS, SHARED, 1, stream, map, H, static_cast<const bf16*>(qkv), static_cast<bf16*>(o),
                                 lse, static_cast<int>(tasks));
}

}  // namespace trm
