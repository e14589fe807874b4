// linear_add_rms_norm.cu: the product that ends a residual branch, with the sum and the norm in its epilogue; Hopper.
// Other GPUs: linear_add_rms_norm_mma.cu.
//
//   r = h + x W^T        s = 1 / sqrt(mean_N(r^2) + eps)        y = s r        u = y + c  (optional, of the rounded y)
//
// With squares, of linear_swiglu.cu, r = h + rho x W^T, rho = 1 / sqrt(sum of a row's squares / K + eps), K the inner width: each
// thread adds up those of its two rows, in their order, before it adds h.
//
// shapes    x [M, K], w [N, K], h c y u [M, N] bf16, s [M] fp32, squares [M, K / 128] fp32 or NULL; N = 512, K a multiple of 64 from 512, any M
// numerics  fp32; the branch x W^T is not rounded before the sum, one rounding at each store; sums of squares in an
//           order that depends on nothing: 64 columns a thread, 4 threads, 2 blocks
// aliasing  y and u may alias h, and u may alias c: what a block writes it has read before, as a whole in the case of h
//           and by halves of its columns in that of c
//
// A cluster of two blocks has 128 rows, 256 columns a block; it takes an equal share of all rows. A producer warp
// issues the TMA loads; two consumer warpgroups compute 64 x 256 of the product each. A ring of four stages holds, in
// this order, the steps of 64 along K (x multicast, half loaded by each block; w of the block's own columns), two
// halves of h, two halves of c: the loads of the next tile are in flight during the epilogue, and need no registers.
// TMA permutes the rows of w as in linear_swiglu.cu, so that a thread has eight neighbouring columns of 16 bytes each.
// The blocks exchange their rows' sums of squares through each other's shared memory (distributed shared memory).
//
// cost      predictions, K = 1536, M = 74496, a tile: tensor cores 128*256*1536*2/4096 = 24.6k cycles; epilogue, some
//           1,000 instructions a warp, 2 warps a scheduler, beside nothing when the warpgroups end together: 2,500. 582
//           tiles on 66 clusters: 9 at most, 244k cycles, 0.16 ms at 1.55 GHz. w is read by every cluster: L2 39 bytes
//           a cycle and multiprocessor, 1.14 GB, which may be more than it gives: 0.16 ms at 7 TB/s. DRAM 0.53 GB with
//           c, 0.18 ms at 3 TB/s. 192 rows would need a quarter less of L2, but three warpgroups do not get the
//           registers. K = 512: DRAM 0.38 GB with c, 0.23 GB without: 0.13 and 0.08 ms

#include "linear_mma.cuh"
#include "mma_choice.cuh"
#include "wgmma_sm90.cuh"

namespace trm {
namespace {

constexpr int GROUPS = 2;          // consumer warpgroups
constexpr int ROWS = 64 * GROUPS;  // of a cluster's tile
constexpr int WIDTH = 512;         // N
constexpr int COLUMNS = 256;       // of a block
constexpr int STEP = 64;           // of K
constexpr int STAGES = 4;
constexpr int THREADS = 128 * (GROUPS + 1);
constexpr int PRODUCER_REGISTERS = 40, CONSUMER_REGISTERS = 232;  // of a thread
static_assert(sm90::registers_fit(THREADS, PRODUCER_REGISTERS, CONSUMER_REGISTERS), "no block would ever get them");
constexpr int A_BYTES = ROWS * STEP * 2, B_BYTES = COLUMNS * STEP * 2, STAGE_BYTES = A_BYTES + B_BYTES;
constexpr int BOX_BYTES = ROWS * 64 * 2;               // 64 columns of h or c
constexpr int HALF_BYTES = COLUMNS / 128 * BOX_BYTES;  // half of its columns
static_assert(HALF_BYTES <= STAGE_BYTES, "half of h in a stage");
// More than STAGES: no block sends its sums for a tile before the other has read those of the previous tile.
constexpr int FEWEST_STEPS = 8;

struct Barriers {
    uint64_t full[STAGES], empty[STAGES], sums[GROUPS];
    float sum[ROWS];  // of the other block
};

constexpr size_t SHARED = 1024 + STAGES * STAGE_BYTES + sizeof(Barriers);
static_assert(SHARED <= 232448, "more than a block of sm_90 has");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
using namespace sm90;

/** A half of h or c in a stage: eight columns of row `row`, the q-th eight of 32-column block t of four. Two rows of a quarter of a
 *  warp meet in the same four chunks, so a load takes twice the time; exchanging t and t ^ 1 in every other row would avoid it, for
 *  eight selects a pair of loads. Which is faster has not been measured. */
__device__ __forceinline__ void load_row(uint32_t (&r)[4], const uint8_t* stage, uint32_t row, int t, uint32_t q) {
    load_chunk(r, stage + t / 2 * BOX_BYTES + swizzled(row, t % 2 * 4 + q));
}
#endif

/** WITH_U: c is not NULL. NORMED: squares is not. */
template <bool WITH_U, bool NORMED>
__global__ void __launch_bounds__(THREADS, 1)
    linear_add_rms_norm_kernel(const __grid_constant__ CUtensorMap map_x, const __grid_constant__ CUtensorMap map_w,
                               const __grid_constant__ CUtensorMap map_h, const __grid_constant__ CUtensorMap map_c,
                               bf16* y, bf16* u, float* s, int64_t M, int steps, float eps, const float* squares) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    uint8_t* const ring = shared_tiles();
    Barriers& bar = *reinterpret_cast<Barriers*>(ring + STAGES * STAGE_BYTES);

    const int rank = static_cast<int>(cluster_rank());
    const int tiles = static_cast<int>((M + ROWS - 1) / ROWS);
    const int clusters = static_cast<int>(gridDim.x) / 2, cluster = static_cast<int>(blockIdx.x) / 2;
    const int first = static_cast<int>(int64_t{tiles} * cluster / clusters);
    const int last = static_cast<int>(int64_t{tiles} * (cluster + 1) / clusters);

    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&bar.full[i], 1);
            barrier_init(&bar.empty[i], 2 * 4 * GROUPS);  // warps of both blocks: x is multicast to both
        }
        for (int i = 0; i < GROUPS; i++) barrier_init(&bar.sums[i], 1);
        barrier_init_done();
        tma_prefetch_map(&map_x);
        tma_prefetch_map(&map_w);
        tma_prefetch_map(&map_h);
        tma_prefetch_map(&map_c);
    }
    cluster_sync();

    PipelineState<STAGES> at;
    if (threadIdx.x < 128) {
        decrease_registers<PRODUCER_REGISTERS>();
        if (threadIdx.x == 0) {
            for (int tile = first; tile < last; tile++) {
#pragma unroll 1
                for (int k = 0; k < steps; k++, at.next()) {
                    uint8_t* const stage = ring + at.stage * STAGE_BYTES;
                    barrier_wait(&bar.empty[at.stage], at.phase ^ 1);
                    barrier_expect(&bar.full[at.stage], STAGE_BYTES);
                    tma_load(stage + rank * (A_BYTES / 2), &map_x, &bar.full[at.stage], k * STEP,
                             tile * ROWS + rank * (ROWS / 2), 0, uint16_t{3});
#pragma unroll 1
                    for (int half = 0; half < 2; half++)
                        tma_load_columns(stage + A_BYTES + half * (B_BYTES / 2), &map_w, &bar.full[at.stage], k * STEP,
                                         rank * (COLUMNS / 32) + half * 4);
                }
#pragma unroll 1
                for (int half = 0; half < (WITH_U ? 4 : 2); half++, at.next()) {  // of h, of c
                    barrier_wait(&bar.empty[at.stage], at.phase ^ 1);
                    barrier_expect(&bar.full[at.stage], HALF_BYTES);
#pragma unroll 1
                    for (int box = 0; box < 2; box++)
                        tma_load(ring + at.stage * STAGE_BYTES + box * BOX_BYTES, half < 2 ? &map_h : &map_c,
                                 &bar.full[at.stage], rank * COLUMNS + half % 2 * (COLUMNS / 2) + box * 64, tile * ROWS,
                                 0);
                }
            }
        }
    } else {
        increase_registers<CONSUMER_REGISTERS>();
        const int group = __shfl_sync(FULL_MASK, static_cast<int>(threadIdx.x) / 128, 0) - 1,
                  lane_id = static_cast<int>(threadIdx.x) % WARP;
        const int row = group * 64 + static_cast<int>(threadIdx.x) % 128 / WARP * 16 + lane_id / 4, q = lane_id % 4;
        const uint64_t a0 = k_major_descriptor(ring + group * 64 * STEP * 2), b0 = k_major_descriptor(ring + A_BYTES);
        const auto release = [&](int stage) {  // this warp has read it; arrives in both blocks
            if (lane_id < 2) barrier_arrive(&bar.empty[stage], static_cast<uint32_t>(lane_id));
        };
        // The same for a half of h or c, which its threads have read by ordinary loads: the other block will write here.
        const auto release_loads = [&](int stage) {
            __syncwarp();
            if (lane_id < 2) barrier_arrive_released(&bar.empty[stage], static_cast<uint32_t>(lane_id));
        };
        uint32_t parity = 0;
        for (int tile = first; tile < last; tile++, parity ^= 1) {
            if (threadIdx.x % 128 == 0) barrier_expect(&bar.sums[group], 64 * sizeof(float));
            float d[128];
            int before = 0;  // the stage of the previous step
#pragma unroll 1
            for (int k = 0; k < steps; k++) {
                barrier_wait(&bar.full[at.stage], at.phase);
                const uint64_t as = advance(a0, static_cast<uint32_t>(at.stage * STAGE_BYTES));
                const uint64_t bs = advance(b0, static_cast<uint32_t>(at.stage * STAGE_BYTES));
                wgmma_fence();
#pragma unroll
                for (int i = 0; i < STEP / 16; i++)
                    wgmma<0, 0>(d, advance(as, i * 32), advance(bs, i * 32), k > 0 || i > 0);
                wgmma_commit();
                if (k > 0) {  // the previous step is complete
                    wgmma_wait<1>();
                    release(before);
                }
                before = at.stage;
                at.next();
            }
            wgmma_wait<0>();
            release(before);
            pin(d);

            float rho[2];
            if (NORMED) {
                const int parts = steps * STEP / TRM_SQUARES;
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const int64_t own = int64_t{tile} * ROWS + row + 8 * i;
                    float sum = 0.0f;
                    for (int part = 0; part < parts && own < M; part++) sum += squares[own * parts + part];
                    rho[i] = rsqrtf(sum / static_cast<float>(steps * STEP) + eps);
                }
            }

            // d[16 t + 4 j + 2 i + e]: row + 8 i, column 32 t + 8 q + 2 j + e of the block
            float square[2] = {0.0f, 0.0f};
#pragma unroll
            for (int half = 0; half < 2; half++) {
                barrier_wait(&bar.full[at.stage], at.phase);
#pragma unroll
                for (int t = 0; t < 4; t++)
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        uint32_t h[4];
                        load_row(h, ring + at.stage * STAGE_BYTES, row + 8 * i, t, q);
#pragma unroll
                        for (int j = 0; j < 4; j++) {
                            float* const r = d + 16 * (4 * half + t) + 4 * j + 2 * i;
                            r[0] = NORMED ? fmaf(rho[i], r[0], low(h[j])) : r[0] + low(h[j]);
                            r[1] = NORMED ? fmaf(rho[i], r[1], high(h[j])) : r[1] + high(h[j]);
                            square[i] = fmaf(r[0], r[0], square[i]);
                            square[i] = fmaf(r[1], r[1], square[i]);
                        }
                    }
                release_loads(at.stage);
                at.next();
            }
#pragma unroll
            for (int i = 0; i < 2; i++) {
                square[i] += __shfl_xor_sync(FULL_MASK, square[i], 1);
                square[i] += __shfl_xor_sync(FULL_MASK, square[i], 2);
                if (q == 0)
                    store_remote(&bar.sum[row + 8 * i], square[i], &bar.sums[group], static_cast<uint32_t>(rank ^ 1));
            }
            barrier_wait_cluster(&bar.sums[group], parity);
            const int64_t m = int64_t{tile} * ROWS + row;
#pragma unroll
            for (int i = 0; i < 2; i++) {
                square[i] = rsqrtf(fmaf(square[i] + bar.sum[row + 8 * i], 1.0f / WIDTH, eps));  // the scale
                if (rank == 0 && q == 0 && m + 8 * i < M) s[m + 8 * i] = square[i];
            }
            const int64_t place = m * WIDTH + rank * COLUMNS + 8 * q;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                if (WITH_U) barrier_wait(&bar.full[at.stage], at.phase);
#pragma unroll
                for (int t = 0; t < 4; t++)
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        uint32_t add[4], out[4], sum[4];
                        if (WITH_U) load_row(add, ring + at.stage * STAGE_BYTES, row + 8 * i, t, q);
#pragma unroll
                        for (int j = 0; j < 4; j++) {
                            const float* const r = d + 16 * (4 * half + t) + 4 * j + 2 * i;
                            out[j] = pack(square[i] * r[0], square[i] * r[1]);
                            if (WITH_U) sum[j] = pack(low(out[j]) + low(add[j]), high(out[j]) + high(add[j]));
                        }
                        if (m + 8 * i < M) {
                            const int64_t to = place + 8 * i * WIDTH + 128 * half + 32 * t;
                            store_row(y + to, out);
                            if (WITH_U) store_row(u + to, sum);
                        }
                    }
                if (WITH_U) {
                    release_loads(at.stage);
                    at.next();
                }
            }
        }
    }
    __syncwarp();
    cluster_sync();  // the other block may still write here, and arrive
#endif
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

/** Whether the kernel above runs here; else that of linear_add_rms_norm_mma.cu. */
static bool takes_linear_add_rms_norm_sm90(int32_t N, int32_t K, int32_t normed, int32_t dtype) {
    return dtype == TRM_BF16 && N == WIDTH && K % (normed == 0 ? STEP : TRM_SQUARES) == 0 && K >= FEWEST_STEPS * STEP &&
           sm90::available() && !mma_forced();
}

int32_t ops::fuses_linear_add_rms_norm(int32_t N, int32_t K, int32_t normed, int32_t dtype) {
    return takes_linear_add_rms_norm_sm90(N, K, normed, dtype) || takes_linear_add_rms_norm_mma(N, K, normed, dtype);
}

int ops::linear_add_rms_norm(const void* x, const float* squares, const void* w, const void* h, const void* c, void* y,
                             void* u, float* s, int64_t M, int32_t N, int32_t K, float eps, int32_t dtype,
                             trm_stream stream) {
    TRM_CHECK(linear_add_rms_norm);
    TRM_REQUIRE(aligned(16, x, w, h, c, y, u), "an operand is not aligned to 16 bytes");
    if (!takes_linear_add_rms_norm_sm90(N, K, normed, dtype))
        return linear_add_rms_norm_mma(static_cast<const bf16*>(x), squares, static_cast<const bf16*>(w),
                                       static_cast<const bf16*>(h), static_cast<const bf16*>(c), static_cast<bf16*>(y),
                                       static_cast<bf16*>(u), s, M, N, K, eps, stream);
    TRM_REQUIRE(M <= INT32_MAX, "M=%lld", static_cast<long long>(M));
    const uint64_t rows = static_cast<uint64_t>(M), depth = static_cast<uint64_t>(K), width = WIDTH;
    const sm90::TensorMapShape state = {{width, rows, 1}, {1, width, width * rows}, {64, ROWS, 1}};
    CUtensorMap map_x, map_w, map_h, map_c;
    int code = sm90::tensor_map(&map_x, x, {{depth, rows, 1}, {1, depth, depth * rows}, {STEP, ROWS / 2, 1}});
    if (code == TRM_OK) code = sm90::tensor_map_of_columns(&map_w, w, width, depth);
    if (code == TRM_OK) code = sm90::tensor_map(&map_h, h, state);
    if (code == TRM_OK) code = sm90::tensor_map(&map_c, c == nullptr ? h : c, state);
    if (code != TRM_OK) return code;
    const int64_t tiles = divide_up(M, ROWS), most = sm90::multiprocessors() / 2,
                  clusters = tiles < most ? tiles : most;
    const auto plain =
        c == nullptr ? linear_add_rms_norm_kernel<false, false> : linear_add_rms_norm_kernel<true, false>;
    const auto factored =
        c == nullptr ? linear_add_rms_norm_kernel<false, true> : linear_add_rms_norm_kernel<true, true>;
    const auto kernel = normed == 0 ? plain : factored;
    return sm90::launch_clusters(kernel, static_cast<int>(2 * clusters), THREADS, SHARED, 2, stream, map_x, map_w,
                                 map_h, map_c, static_cast<bf16*>(y), static_cast<bf16*>(u), s, M, K / STEP, eps,
                                 squares);
}

}  // namespace trm
