// linear_swiglu_mma.cu: linear_swiglu by mma.sync, for every GPU of compute capability 8.0 and up, and sizes that
// linear_swiglu.cu does not take.
//
//   [g u] = x [Wg Wu]^T        p = silu(g) u          g, u rounded to bf16 before the activation
//
// With squares, for the normed SwiGLU, a row's sums of (g u)^2 over 128 inner units as well.
//
// shapes    x [M, K], w_gate_up [2 I, K], gu [M, 2, I] or NULL, p [M, I], squares [M, I / 128] fp32 or NULL; bf16, K a multiple of
//           32 from 64, I a multiple of 64, with squares of 128, any M
// numerics  fp32 sums in a fixed order, one rounding at each store; swiglu.cuh: p has the bits that swiglu gives it. Squares: 8
//           units a thread, four threads, two tiles, two warps
//
// A block of four warps has 128 rows; its tiles, two after each other where I allows it, are 64 gate rows of the weights and
// their 64 up rows. A warp has 64 rows, 32 gates and their 32 ups, so that a thread holds g and u of the same element, eight
// neighbouring ones (mma_tile.cuh), and the epilogue needs no shared memory: the copies of the next tile's first steps are in
// flight during it. Two blocks share a multiprocessor, 48 KB of shared memory and at most 255 registers a thread, so that one's
// epilogue runs beside the other's products.
//
// cost      predictions, in cycles of a multiprocessor of an A100 (1024 multiply-adds a cycle) for a tile: tensor cores
//           128*128*512/1024 = 8192. Beside them: shared memory 64 bytes a cycle read by ldmatrix and 32 written by copies, of
//           128; L2 32 bytes a cycle; special functions 1.5*8192/16 = 768; 1.8k of the 8192 issue slots of each scheduler in
//           the main loop, 0.5k in the epilogue. M = 74496, I = 1536: 582*24 tiles on 108 multiprocessors, 129 each, 1.06M
//           cycles, 0.75 ms at 1.41 GHz and 312 TFLOP/s; mma.sync reaches some 80 % of that: 0.94 ms. DRAM 0.31 GB, 0.76 GB
//           with gu: 0.16 and 0.40 ms at 1.9 TB/s. RTX 4090: 1.4 ms at 165 TFLOP/s; DRAM 0.31 and 0.76 ms at 1.0 TB/s
#include "linear_mma.cuh"
#include "mma_choice.cuh"
#include "mma_tile.cuh"
#include "swiglu.cuh"

namespace trm {
namespace {

using namespace mma_tile;

constexpr int ROWS = 128;  // of a tile
constexpr int UNITS = 64;  // of p, a tile
constexpr int THREADS = 128;
constexpr int STAGES = 3;
constexpr int A_BYTES = ROWS * ROW_BYTES, STAGE_BYTES = A_BYTES + 2 * UNITS * ROW_BYTES;
constexpr size_t SHARED = STAGES * STAGE_BYTES;
static_assert(2 * (SHARED + 1024) <= 100 * 1024, "two blocks a multiprocessor of compute capability 8.6, 8.9 or 12.0");
constexpr int COPIES = ROWS * CHUNKS / THREADS;  // of a thread a step, of x; as many of the weights
static_assert(2 * UNITS == ROWS && THREADS / CHUNKS == 32, "a thread copies the same rows of each 32 of both");

/** KEEP: gu is stored. NORMED: squares are, and `tiles` is 2. */
template <bool KEEP, bool NORMED>
__global__ void __launch_bounds__(THREADS, 2)
    linear_swiglu_mma_kernel(const bf16* x, const bf16* w, bf16* gu, bf16* p, float* squares, int64_t M, int I, int K,
                             int tiles) {
    uint8_t* const shared = dynamic_shared<uint8_t>();
    const Shared ring = shared_address(shared);
    const int warp = static_cast<int>(threadIdx.x) / WARP, lane_id = static_cast<int>(threadIdx.x) % WARP;
    const int warp_row = warp / 2 * SIDE, warp_unit = warp % 2 * (SIDE / 2);

    const int across = I / (tiles * UNITS);
    const int64_t row0 = blockIdx.x / across * int64_t{ROWS};
    const int unit0 = static_cast<int>(blockIdx.x % across) * tiles * UNITS;
    const int rows = static_cast<int>(M - row0 < ROWS ? M - row0 : ROWS);

    // The stages of all tiles in their order: copies run STAGES - 1 steps ahead of the products.
    const int copy_row = static_cast<int>(threadIdx.x) / CHUNKS, chunk = static_cast<int>(threadIdx.x) % CHUNKS;
    const int a_to = place(copy_row, chunk), b_to = A_BYTES + place(permuted(copy_row), chunk);
    const bf16* const from_x = x + (row0 + copy_row) * K + chunk * PACK;
    const bf16* from_w = w + (unit0 + int64_t{copy_row}) * K + chunk * PACK;
    const int64_t gate_to_up = int64_t{I} * K;
    int copy_tile = 0, copy_k = 0, into = 0;
    const auto copy_step = [&] {
        if (copy_tile < tiles) {
            const Shared stage = ring + static_cast<Shared>(into * STAGE_BYTES);
#pragma unroll
            for (int i = 0; i < COPIES; i++)
                copy_async_16(stage + static_cast<Shared>(a_to + i * 32 * ROW_BYTES),
                              from_x + int64_t{i} * 32 * K + copy_k, copy_row + 32 * i < rows);
#pragma unroll
            for (int i = 0; i < COPIES; i++)  // 32 gate rows, their 32 up rows, the next 32 gate rows, ...
                copy_async_16(stage + static_cast<Shared>(b_to + i * 32 * ROW_BYTES),
                              from_w + int64_t{i / 2} * 32 * K + i % 2 * gate_to_up + copy_k, true);
            into = into == STAGES - 1 ? 0 : into + 1;
            copy_k += STEP;
            if (copy_k == K) {
                copy_k = 0;
                copy_tile++;
                from_w += int64_t{UNITS} * K;
            }
        }
        copy_async_commit();
    };
#pragma unroll
    for (int i = 0; i < STAGES - 1; i++) copy_step();

    const int a_at = place_a(warp_row), b_at = A_BYTES + place_b(warp % 2 * SIDE);
    int stage = 0;
    float sum[2] = {0.0f, 0.0f};  // of squares of rows 16 m + 8 i, at i, in the thread of the quad whose number is m
    for (int tile = 0; tile < tiles; tile++) {
        float d[4][8][4] = {};
#pragma unroll 1
        for (int k = 0; k < K; k += STEP) {
            copy_async_wait<STAGES - 2>();
            __syncthreads();  // the step is complete, and all have read the one before it, whose stage is next
            copy_step();
            multiply(d, ring + static_cast<Shared>(stage * STAGE_BYTES), a_at, b_at);
            stage = stage == STAGES - 1 ? 0 : stage + 1;
        }
        // Columns 0 to 31 of the warp are gates, the others the ups of the same units.
        const int unit = unit0 + tile * UNITS + warp_unit + lane_id % 4 * 8;
#pragma unroll
        for (int m = 0; m < 4; m++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                uint32_t gate[4], up[4], out[4];
                float square = 0.0f;
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    gate[j] = pack(d[m][j][2 * i], d[m][j][2 * i + 1]);
                    up[j] = pack(d[m][4 + j][2 * i], d[m][4 + j][2 * i + 1]);
                    const float2 s = silu(low(gate[j]), high(gate[j]));
                    out[j] = pack(s.x * low(up[j]), s.y * high(up[j]));
                    if (NORMED) {
                        const float first = low(gate[j]) * low(up[j]), second = high(gate[j]) * high(up[j]);
                        square = fmaf(first, first, fmaf(second, second, square));
                    }
                }
                if (NORMED) {
                    square += __shfl_xor_sync(FULL_MASK, square, 1);
                    square += __shfl_xor_sync(FULL_MASK, square, 2);
                    if (lane_id % 4 == m) sum[i] += square;
                }
                const int row = warp_row + 16 * m + 8 * i + lane_id / 4;
                if (row < rows) {
                    const int64_t at = (row0 + row) * I;
                    if (KEEP) {
                        store_row(gu + 2 * at + unit, gate);
                        store_row(gu + 2 * at + I + unit, up);
                    }
                    store_row(p + at + unit, out);
                }
            }
    }
    if (NORMED) {
        float* const partial = reinterpret_cast<float*>(shared);  // [2][ROWS], of the warps beside each other
        __syncthreads();                                          // all stages have been read
#pragma unroll
        for (int i = 0; i < 2; i++)
            partial[warp % 2 * ROWS + warp_row + lane_id % 4 * 16 + 8 * i + lane_id / 4] = sum[i];
        __syncthreads();  // the sums of both are complete
        const int row = static_cast<int>(threadIdx.x);
        if (row < rows)
            squares[(row0 + row) * (I / TRM_SQUARES) + unit0 / TRM_SQUARES] = partial[row] + partial[ROWS + row];
    }
}

static_assert(2 * UNITS == TRM_SQUARES && THREADS == ROWS, "a block's tiles have one sum of squares of a row");

}  // namespace

// ---- host ---------------------------------------------------------------------------------------------------------

bool takes_linear_swiglu_mma(int32_t I, int32_t K, int32_t normed, int32_t dtype) {
    return dtype == TRM_BF16 && I > 0 && I % (normed == 0 ? UNITS : TRM_SQUARES) == 0 && K >= 2 * STEP &&
           K % STEP == 0 && mma_is_fastest();
}

int linear_swiglu_mma(const bf16* x, const bf16* w_gate_up, bf16* gu, bf16* p, float* squares, int64_t M, int32_t I,
                      int32_t K, trm_stream stream) {
    const int tiles = I % (2 * UNITS) == 0 ? 2 : 1;
    const auto plain = gu == nullptr ? linear_swiglu_mma_kernel<false, false> : linear_swiglu_mma_kernel<true, false>;
    const auto normed = gu == nullptr ? linear_swiglu_mma_kernel<false, true> : linear_swiglu_mma_kernel<true, true>;
    return launch(squares == nullptr ? plain : normed, divide_up(M, ROWS) * (I / (tiles * UNITS)), THREADS, SHARED,
                  stream, x, w_gate_up, gu, p, squares, M, I, K, tiles);
}

}  // namespace trm
