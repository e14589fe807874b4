// linear_swiglu.cu: the first product of a SwiGLU with its gate in the epilogue; Hopper. Other GPUs: linear_swiglu_mma.cu.
//
//   [g u] = x [Wg Wu]^T        p = silu(g) u          g, u rounded to bf16 before the activation
//
// With squares, for the normed SwiGLU, a row's sum of (g u)^2 over the tile's 128 inner units as well: of the 32 of each of
// four neighbouring threads, added by the quad. linear_add_rms_norm.cu makes the row's factor of them.
//
// shapes    x [M, K], w_gate_up [2 I, K], gu [M, 2, I] or NULL, p [M, I], squares [M, I / 128] fp32 or NULL; bf16, K = 512, I a multiple of 128, any M
// numerics  fp32 sums in a fixed order, one rounding at each store; swiglu.cuh: p has the bits that swiglu gives it
//
// Tiles and pipeline: linear_swiglu.cuh. A block's tile is 128 x 256: 128 gate rows of the weights and the 128 up rows
// that belong to them, so that a thread holds g and u of the same element. Each of the two blocks of a cluster
// multicasts one half of the weights. TMA permutes the rows of the weights (tensor_map_of_columns): a thread's
// accumulators are eight neighbouring columns, stored as 16 bytes straight from registers, and the epilogue needs no
// shared memory. After its last product a tile is only rounded, into half as many registers; the epilogue of a tile,
// gate and stores, runs between the products of the next tile, an eighth a step.
//
// cost      predictions, in cycles of a multiprocessor for a tile: tensor cores 2*128*256*512/4096 = 8192; then some
//           200 until the next product, of which the other warpgroup hides little when both end together. Beside them:
//           special functions 1.5*16384/16 = 1536, some 2,000 of the 8192 issue slots of each scheduler; shared memory
//           80 bytes a cycle read by the products and 32 written by copies, of 128; L2 16 bytes a cycle. M = 74496, I =
//           1536, 132 multiprocessors: 53 tiles each, 53 * 8450 = 448k cycles: 0.29 ms at 1.55 GHz, 0.8 PFLOP/s. DRAM
//           0.31 GB, 0.76 GB with gu: 0.1 and 0.25 ms at 3 TB/s

#include "linear_mma.cuh"
#include "linear_swiglu.cuh"
#include "mma_choice.cuh"
#include "swiglu.cuh"
#include "wgmma_sm90.cuh"

namespace trm {
namespace {

using namespace linear_swiglu;

constexpr int STEPS = MOST_STEPS;  // K = 512: a step of a tile finishes an eighth of the previous tile
constexpr int B_BYTES = 2 * COLUMNS * STEP * 2;

struct Barriers {
    uint64_t full_a[STEPS], empty_a[STEPS], full_b[STAGES], empty_b[STAGES];
    float minus_log2_e, zero;  // that a compiler must not know: they bind an activation to its place
};

constexpr size_t SHARED = ALIGNMENT + STEPS * A_BYTES + STAGES * B_BYTES + sizeof(Barriers);
static_assert(SHARED <= MOST_SHARED, "more than a block has");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
using namespace sm90;
#endif

static_assert(COLUMNS == TRM_SQUARES, "a tile has one sum of squares of a row");

/** KEEP: gu is stored. NORMED: squares are. */
template <bool KEEP, bool NORMED>
__global__ void __launch_bounds__(THREADS, 1)
    linear_swiglu_kernel(const __grid_constant__ CUtensorMap map_x, const __grid_constant__ CUtensorMap map_w, bf16* gu,
                         bf16* p, int64_t M, int I, float* squares) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    uint8_t* const a = shared_tiles();
    uint8_t* const b = a + STEPS * A_BYTES;
    Barriers& bar = *reinterpret_cast<Barriers*>(b + STAGES * B_BYTES);

    // a unit: 256 rows (128 a block), COLUMNS columns; columns innermost
    const int tiles = I / COLUMNS, rank = static_cast<int>(cluster_rank());
    const int64_t units = (M + 2 * ROWS - 1) / (2 * ROWS) * tiles;
    const int clusters = static_cast<int>(gridDim.x) / 2, cluster = static_cast<int>(blockIdx.x) / 2;
    const int64_t first = share(units, cluster, clusters), last = share(units, cluster + 1, clusters);
    int64_t row = first / tiles * 2 * ROWS + rank * ROWS;
    int tile = static_cast<int>(first % tiles);

    if (threadIdx.x == 0) {
        for (int k = 0; k < STEPS; k++) {
            barrier_init(&bar.full_a[k], 1);
            barrier_init(&bar.empty_a[k], WARPS);
        }
        for (int s = 0; s < STAGES; s++) {
            barrier_init(&bar.full_b[s], 1);
            barrier_init(&bar.empty_b[s], 2 * WARPS);  // of both blocks: a multicast writes into both
        }
        barrier_init_done();
        bar.minus_log2_e = MINUS_LOG2_E;
        bar.zero = 0.0f;
        tma_prefetch_map(&map_x);
        tma_prefetch_map(&map_w);
    }
    cluster_sync();

    if (threadIdx.x < 128) {
        decrease_registers<PRODUCER_REGISTERS>();
        if (threadIdx.x == 0) {
            PipelineState<STAGES> at;
            uint32_t phase_a = 0;
            bool fresh = true;  // whether the unit has other rows than the previous one
            for (int64_t unit = first; unit < last; unit++) {
                if (fresh && unit + tiles - tile < last)
#pragma unroll 1
                    for (int k = 0; k < STEPS; k++) tma_prefetch(&map_x, k * STEP, static_cast<int>(row) + 2 * ROWS, 0);
#pragma unroll 1
                for (int k = 0; k < STEPS; k++) {
                    if (fresh) {
                        barrier_wait(&bar.empty_a[k], phase_a ^ 1);
                        barrier_expect(&bar.full_a[k], A_BYTES);
                        tma_load(a + k * A_BYTES, &map_x, &bar.full_a[k], k * STEP, static_cast<int>(row), 0);
                    }
                    barrier_wait(&bar.empty_b[at.stage], at.phase ^ 1);
                    barrier_expect(&bar.full_b[at.stage], B_BYTES);
                    // block 0 loads the gate rows for both, block 1 the up rows
                    tma_load_columns(b + at.stage * B_BYTES + rank * (B_BYTES / 2), &map_w, &bar.full_b[at.stage],
                                     k * STEP, (rank * I + tile * COLUMNS) / 32, uint16_t{3});
                    at.next();
                }
                if (fresh) phase_a ^= 1;
                fresh = ++tile == tiles;
                if (fresh) {
                    tile = 0;
                    row += 2 * ROWS;
                }
            }
        }
    } else {
        increase_registers<CONSUMER_REGISTERS>();
        const int group = __shfl_sync(FULL_MASK, static_cast<int>(threadIdx.x) / 128, 0) - 1,
                  lane_id = static_cast<int>(threadIdx.x) % WARP;
        const int q = lane_id % 4;
        const int row_in_tile = group * 64 + static_cast<int>(threadIdx.x) % 128 / WARP * 16 + lane_id / 4;
        const uint64_t a0 = k_major_descriptor(a + group * 64 * STEP * 2), b0 = k_major_descriptor(b);
        // The previous tile: pairs of g and u, rounded, of which each step of this tile finishes eight elements while
        // the tensor cores work. pair[8 c + 2 j + h]: row h, gates of columns 32 c + 8 q + 2 j + {0, 1}; 32 further:
        // ups.
        uint32_t pair[64] = {};
        int64_t m = M;  // no previous tile yet
        bf16 *to = p, *keep = gu;
        float square = 0.0f, *sum_at = squares;
        const uint32_t none = __float_as_uint(load_here(&bar.zero));
        // @return 0, which is known when the eighth is
        const auto finish = [&](int step) {
            const int h = step / 4, c = step % 4;
            const float minus_log2_e = load_here(&bar.minus_log2_e);
            const uint32_t late = NORMED ? __float_as_uint(load_here(&bar.zero)) : 0;  // squares need no -log2 e
            uint32_t gate[4], up[4], out[4];
            if (NORMED && c == 0) square = 0.0f;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                gate[j] = pair[8 * c + 2 * j + h];
                up[j] = pair[32 + 8 * c + 2 * j + h] | late;
                const float2 s = silu(low(gate[j]), high(gate[j]), minus_log2_e);
                out[j] = pack(s.x * low(up[j]), s.y * high(up[j]));
                if (NORMED) {
                    const float first = low(gate[j]) * low(up[j]), second = high(gate[j]) * high(up[j]);
                    square = fmaf(first, first, fmaf(second, second, square));
                }
            }
            if (NORMED && c == 3) {  // the last of this row: of its four threads the first stores
                square += __shfl_xor_sync(FULL_MASK, square, 1);
                square += __shfl_xor_sync(FULL_MASK, square, 2);
                if (q == 0 && m + 8 * h < M) sum_at[8 * h * tiles] = square;
            }
            if (m + 8 * h < M) {
                if (KEEP) {
                    store_row(keep + 16 * h * I + 32 * c, gate);
                    store_row(keep + 16 * h * I + I + 32 * c, up);
                }
                store_row(to + 8 * h * I + 32 * c, out);
            }
            return (out[0] | out[1] | out[2] | out[3]) & none;
        };
        PipelineState<STAGES> at;
        uint32_t phase_a = 0;
        bool fresh = true;
        for (int64_t unit = first; unit < last; unit++) {
            const bool done = tile == tiles - 1;  // with these rows
            float d[128];
            int before = 0;  // the stage of the previous step
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                if (fresh) barrier_wait(&bar.full_a[k], phase_a);
                barrier_wait(&bar.full_b[at.stage], at.phase);
                const uint64_t ak = advance(a0, static_cast<uint32_t>(k * A_BYTES));
                const uint64_t bk = advance(b0, static_cast<uint32_t>(at.stage * B_BYTES));
                wgmma_fence();
#pragma unroll
                for (int i = 0; i < STEP / 16; i++)
                    wgmma<0, 0>(d, advance(ak, i * 32), advance(bk, i * 32), k > 0 || i > 0);
                wgmma_commit();
                wgmma_wait<1>();  // the previous step is complete, and ptxas keeps what follows behind it
                if (k > 0) {      // this warp has read its stage
                    if (lane_id < 2) barrier_arrive(&bar.empty_b[before], static_cast<uint32_t>(lane_id));
                    if (done && lane_id == 0) barrier_arrive(&bar.empty_a[k - 1]);
                }
                const uint32_t known = finish(k);
                if (k ==
                    STEPS - 1) {  // a wait that has long ended keeps the last eighth before the one for all products
                    barrier_wait(&bar.full_b[at.stage], at.phase ^ known);
                    __syncwarp();  // before the lanes that release the stage: it must not be filled twice meanwhile
                }
                before = at.stage;
                at.next();
            }
            wgmma_wait<0>();
            if (lane_id < 2) barrier_arrive(&bar.empty_b[before], static_cast<uint32_t>(lane_id));
            if (done && lane_id == 0) barrier_arrive(&bar.empty_a[STEPS - 1]);
            pin(d);
#pragma unroll
            for (int i = 0; i < 64; i++) pair[i] = pack(d[2 * i], d[2 * i + 1]);
            m = row + row_in_tile;
            to = p + m * I + tile * COLUMNS + 8 * q;
            if (NORMED) sum_at = squares + m * tiles + tile;
            if (KEEP) keep = gu + 2 * m * I + tile * COLUMNS + 8 * q;

            if (fresh) phase_a ^= 1;
            fresh = ++tile == tiles;
            if (fresh) {
                tile = 0;
                row += 2 * ROWS;
            }
        }
#pragma unroll
        for (int k = 0; k < STEPS; k++) finish(k);
    }
    __syncwarp();
    cluster_sync();  // the other block may still write here, and arrive
#endif
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

/** Whether the kernel above runs here; else that of linear_swiglu_mma.cu. */
static bool takes_linear_swiglu_sm90(int32_t I, int32_t K, int32_t dtype) {
    return K == STEPS * STEP && fits(K, I, dtype) && !mma_forced();
}

int32_t ops::fuses_linear_swiglu(int32_t I, int32_t K, int32_t normed, int32_t dtype) {
    return takes_linear_swiglu_sm90(I, K, dtype) || takes_linear_swiglu_mma(I, K, normed, dtype);
}

int ops::linear_swiglu(const void* x, const void* w_gate_up, void* gu, void* p, float* squares, int64_t M, int32_t I,
                       int32_t K, int32_t dtype, trm_stream stream) {
    TRM_CHECK(linear_swiglu);
    TRM_REQUIRE(aligned(16, x, w_gate_up, gu, p), "an operand is not aligned to 16 bytes");
    if (!takes_linear_swiglu_sm90(I, K, dtype))
        return linear_swiglu_mma(static_cast<const bf16*>(x), static_cast<const bf16*>(w_gate_up),
                                 static_cast<bf16*>(gu), static_cast<bf16*>(p), squares, M, I, K, stream);
    TRM_REQUIRE(M <= INT32_MAX, "M=%lld", static_cast<long long>(M));
    CUtensorMap map_x, map_w;
    int code = sm90::tensor_map(&map_x, x, matrix(M, K, ROWS));
    if (code != TRM_OK) return code;
    code = sm90::tensor_map_of_columns(&map_w, w_gate_up, 2 * static_cast<uint64_t>(I), static_cast<uint64_t>(K));
    if (code != TRM_OK) return code;
    const auto plain = gu == nullptr ? linear_swiglu_kernel<false, false> : linear_swiglu_kernel<true, false>;
    const auto normed_kernel = gu == nullptr ? linear_swiglu_kernel<false, true> : linear_swiglu_kernel<true, true>;
    const auto kernel = normed == 0 ? plain : normed_kernel;
    return sm90::launch_clusters(kernel, blocks_for(divide_up(M, 2 * ROWS) * (I / COLUMNS), 2), THREADS, SHARED, 2,
                                 stream, map_x, map_w, static_cast<bf16*>(gu), static_cast<bf16*>(p), M, I, squares);
}

}  // namespace trm
