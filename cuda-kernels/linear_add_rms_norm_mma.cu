// linear_add_rms_norm_mma.cu: linear_add_rms_norm by mma.sync, for every GPU of compute capability 8.0 and up, and sizes that
// linear_add_rms_norm.cu does not take.
//
//   r = h + rho x W^T        s = 1 / sqrt(mean_N(r^2) + eps)        y = s r        u = y + c  (optional, of the rounded y)
//
// rho = 1 / sqrt(sum of a row's squares / K + eps), K the inner width, or 1 without squares.
//
// shapes    x [M, K], w [N, K], h c y u [M, N] bf16, s [M] fp32, squares [M, K / 128] fp32 or NULL; N a multiple of 64 to 512, K a
//           multiple of 64, with squares of 128, any M
// numerics  fp32; the branch x W^T is not rounded before the sum, one rounding at each store; sums of squares in an order that N
//           alone gives: 16 columns a thread, four threads, the warps. Squares in the order of their parts
// aliasing  y and u may alias h, and u may alias c: a block reads all of h of its rows before it writes there, and a thread
//           its elements of c before those of u
//
// A block has 64 rows and all columns, 64 a warp: the norm needs no other block, and w is read once for 64 rows. It takes every
// gridDim-th tile. A ring of stages holds, in this order, the steps of 32 along K, two halves of h, two halves of c: what the
// epilogue adds and the first steps of the next tile are copied in time. Each thread copies for itself what it adds, the eight
// columns that mma_tile.cuh gives it. Three stages, and two where shared memory ends at 99 KB and N is 512; tensor cores there
// are half as fast or slower, so that the one step ahead lasts as long as two on an A100.
//
// cost      predictions for N = 512, K = 1536, in cycles of a multiprocessor of an A100 (1024 multiply-adds a cycle) for a tile:
//           tensor cores 64*512*1536/1024 = 49.2k. Beside them: shared memory 64 bytes a cycle read by ldmatrix and 36 written
//           by copies, of 128; L2 36 bytes a cycle. The epilogue has nothing beside it: some 1,400 instructions a warp, two
//           warps a scheduler: 3,000. M = 74496: 1164 tiles on 108 multiprocessors, 11 at most, 574k cycles, 0.41 ms at 1.41
//           GHz; mma.sync reaches some 80 % of the tensor cores' rate: 0.50 ms. DRAM 0.53 GB with c, 0.28 ms at 1.9 TB/s. RTX
//           4090: 0.71 ms at 165 TFLOP/s, DRAM 0.53 ms at 1.0 TB/s. K = 512: 11 * 19.4k cycles, 0.15 ms, with mma.sync's rate 0.18;
//           DRAM 0.38 GB with c, 0.20 ms
#include <algorithm>

#include "linear_mma.cuh"
#include "mma_choice.cuh"
#include "mma_tile.cuh"

namespace trm {
namespace {

using namespace mma_tile;

constexpr int ROWS = SIDE;       // of a tile: each warp has them all, and 64 columns
constexpr int MOST_WIDTH = 512;  // N
constexpr int MOST_THREADS = MOST_WIDTH / SIDE * WARP;
constexpr int A_BYTES = ROWS * ROW_BYTES;
static_assert(MOST_THREADS / CHUNKS == ROWS, "at most a copy of x a thread and step");

/** What the warps tell each other. */
struct Exchange {
    float partial[MOST_WIDTH / SIDE][ROWS];  // sums of squares of a warp's columns
    float scale[ROWS], rho[ROWS];
};

__host__ __device__ constexpr int stage_bytes(int N) { return A_BYTES + N * ROW_BYTES; }

constexpr size_t shared_bytes(int N, int stages) {
    return static_cast<size_t>(stages) * static_cast<size_t>(stage_bytes(N)) + sizeof(Exchange);
}

/** WITH_U: c is not NULL. NORMED: squares is not. A block has a warp for each 64 of N. */
template <bool WITH_U, bool NORMED, int STAGES>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    linear_add_rms_norm_mma_kernel(const bf16* x, const float* squares, const bf16* w, const bf16* h, const bf16* c,
                                   bf16* y, bf16* u, float* s, int64_t M, int N, int K, float eps) {
    uint8_t* const shared = dynamic_shared<uint8_t>();
    const Shared ring = shared_address(shared);
    const int stage_size = stage_bytes(N), threads = N / SIDE * WARP, thread = static_cast<int>(threadIdx.x);
    Exchange& exchange = *reinterpret_cast<Exchange*>(shared + STAGES * stage_size);
    const int warp = thread / WARP, lane_id = thread % WARP, g = lane_id / 4;
    const int column = warp * SIDE + lane_id % 4 * PACK;  // this thread's eight, and the eight 32 further
    const int tiles = static_cast<int>(divide_up(M, ROWS)), steps = K / STEP;

    // The stages of all tiles in their order: the steps along K, two halves of h, two of c. Copies run STAGES - 1 ahead.
    constexpr int HALVES = WITH_U ? 4 : 2;
    const int chunk = thread % CHUNKS, a_row = thread / CHUNKS, b_row = lane_id / CHUNKS;
    const bf16* const from_w = w + (warp * SIDE + int64_t{b_row}) * K + chunk * PACK;
    int copy_tile = static_cast<int>(blockIdx.x), copy_step = 0, into = 0;
    const auto copy_next = [&] {
        if (copy_tile < tiles) {
            const Shared stage = ring + static_cast<Shared>(into * stage_size);
            const int64_t row0 = int64_t{copy_tile} * ROWS;
            if (copy_step < steps) {
                const int k = copy_step * STEP;
                for (int row = a_row; row < ROWS; row += threads / CHUNKS)
                    copy_async_16(stage + static_cast<Shared>(place(row, chunk)),
                                  x + (row0 + row) * K + k + chunk * PACK, row0 + row < M);
#pragma unroll
                for (int i = 0; i < SIDE / 8; i++) {  // a warp copies the rows that it multiplies
                    const int to = A_BYTES + place(permuted(b_row + 8 * i), chunk) + warp * SIDE * ROW_BYTES;
                    copy_async_16(stage + static_cast<Shared>(to), from_w + int64_t{i} * 8 * K + k, true);
                }
            } else {  // a thread copies what it adds
                const int half = copy_step - steps;
                const bf16* const from = (half < 2 ? h : c) + (row0 + g) * N + column + half % 2 * 32;
#pragma unroll
                for (int i = 0; i < ROWS / 8; i++)
                    copy_async_16(stage + static_cast<Shared>((i * threads + thread) * 16), from + int64_t{i} * 8 * N,
                                  row0 + g + 8 * i < M);
            }
            into = into == STAGES - 1 ? 0 : into + 1;
            if (++copy_step == steps + HALVES) {
                copy_step = 0;
                copy_tile += static_cast<int>(gridDim.x);
            }
        }
        copy_async_commit();
    };
#pragma unroll
    for (int i = 0; i < STAGES - 1; i++) copy_next();

    const int a_at = place_a(0), b_at = A_BYTES + place_b(warp * SIDE);
    int at = 0;  // the stage of the step
    const auto begin_step = [&] {
        copy_async_wait<STAGES - 2>();
        __syncthreads();  // the step is complete, and all have read the one before it, whose stage is next
        copy_next();
        const int stage = at * stage_size;
        at = at == STAGES - 1 ? 0 : at + 1;
        return stage;
    };
    for (int tile = static_cast<int>(blockIdx.x); tile < tiles; tile += static_cast<int>(gridDim.x)) {
        const int64_t row0 = int64_t{tile} * ROWS;
        float d[4][8][4] = {};
        const int parts = K / TRM_SQUARES;
        float sum[2] = {0.0f, 0.0f};  // of the squares of rows `thread` and `thread` + threads
#pragma unroll 1
        for (int k = 0; k < steps; k++) {
            const int stage = begin_step();
            float part[2] = {0.0f, 0.0f};  // one a step, which arrives during the products
            if (NORMED && k < parts)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const int row = thread + i * threads;
                    if (row < ROWS && row0 + row < M) part[i] = squares[(row0 + row) * parts + k];
                }
            multiply(d, ring + static_cast<Shared>(stage), a_at, b_at);
            if (NORMED)
#pragma unroll
                for (int i = 0; i < 2; i++) sum[i] += part[i];
        }
        if (NORMED)
#pragma unroll
            for (int i = 0; i < 2; i++)
                if (thread + i * threads < ROWS)
                    exchange.rho[thread + i * threads] = rsqrtf(sum[i] / static_cast<float>(K) + eps);

        // d[m][4 half + j][2 i + e] is of row 16 m + 8 i + g, column 32 half + 2 j + e after the thread's first
        float square[8] = {};  // of rows 8 i
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const uint8_t* const own = shared + begin_step() + thread * 16;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                uint32_t add[4];
                load_row(add, own + i * threads * 16);
                const float rho = NORMED ? exchange.rho[8 * i + g] : 1.0f;
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float* const r = d[i / 2][4 * half + j] + i % 2 * 2;
                    r[0] = NORMED ? fmaf(rho, r[0], low(add[j])) : r[0] + low(add[j]);
                    r[1] = NORMED ? fmaf(rho, r[1], high(add[j])) : r[1] + high(add[j]);
                    square[i] = fmaf(r[0], r[0], square[i]);
                    square[i] = fmaf(r[1], r[1], square[i]);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < 8; i++) {
            square[i] += __shfl_xor_sync(FULL_MASK, square[i], 1);
            square[i] += __shfl_xor_sync(FULL_MASK, square[i], 2);
            if (lane_id % 4 == 0) exchange.partial[warp][8 * i + g] = square[i];
        }
        __syncthreads();  // the sums of all warps are complete
        for (int row = thread; row < ROWS; row += threads) {
            float total = 0.0f;
            for (int i = 0; i < N / SIDE; i++) total += exchange.partial[i][row];
            const float scale = rsqrtf(total / static_cast<float>(N) + eps);
            exchange.scale[row] = scale;
            if (row0 + row < M) s[row0 + row] = scale;
        }
        __syncthreads();  // the scales are complete
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const uint8_t* own = nullptr;
            if (WITH_U) own = shared + begin_step() + thread * 16;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float scale = exchange.scale[8 * i + g];
                uint32_t add[4], out[4], added[4];
                if (WITH_U) load_row(add, own + i * threads * 16);
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    const float* const r = d[i / 2][4 * half + j] + i % 2 * 2;
                    out[j] = pack(scale * r[0], scale * r[1]);
                    if (WITH_U) added[j] = pack(low(out[j]) + low(add[j]), high(out[j]) + high(add[j]));
                }
                if (row0 + 8 * i + g < M) {
                    const int64_t to = (row0 + 8 * i + g) * N + column + 32 * half;
                    store_row(y + to, out);
                    if (WITH_U) store_row(u + to, added);
                }
            }
        }
    }
}

// ---- launch choice ------------------------------------------------------------------------------------------------

bool shared_allows(int N, int stages) {
    return shared_bytes(N, stages) <= static_cast<size_t>(device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
}

using Kernel = void (*)(const bf16*, const float*, const bf16*, const bf16*, const bf16*, bf16*, bf16*, float*, int64_t,
                        int, int, float);

template <int STAGES>
Kernel kernel_for(bool with_u, bool normed) {
    if (with_u)
        return normed ? linear_add_rms_norm_mma_kernel<true, true, STAGES>
                      : linear_add_rms_norm_mma_kernel<true, false, STAGES>;
    return normed ? linear_add_rms_norm_mma_kernel<false, true, STAGES>
                  : linear_add_rms_norm_mma_kernel<false, false, STAGES>;
}

}  // namespace

// ---- host ---------------------------------------------------------------------------------------------------------

bool takes_linear_add_rms_norm_mma(int32_t N, int32_t K, int32_t normed, int32_t dtype) {
    return dtype == TRM_BF16 && N > 0 && N % SIDE == 0 && N <= MOST_WIDTH && K >= 2 * STEP &&
           K % (normed == 0 ? 2 * STEP : TRM_SQUARES) == 0 && mma_is_fastest() && shared_allows(N, 2);
}

int linear_add_rms_norm_mma(const bf16* x, const float* squares, const bf16* w, const bf16* h, const bf16* c, bf16* y,
                            bf16* u, float* s, int64_t M, int32_t N, int32_t K, float eps, trm_stream stream) {
    const int warps = N / SIDE, stages = shared_allows(N, 3) ? 3 : 2;
    const int64_t most = device_attribute(cudaDevAttrMultiProcessorCount) * std::max(1, MOST_WIDTH / N);
    const Kernel kernel =
        stages == 3 ? kernel_for<3>(c != nullptr, squares != nullptr) : kernel_for<2>(c != nullptr, squares != nullptr);
    return launch(kernel, std::min<int64_t>(divide_up(M, ROWS), std::max<int64_t>(most, 1)), warps * WARP,
                  shared_bytes(N, stages), stream, x, squares, w, h, c, y, u, s, M, N, K, eps);
}

}  // namespace trm
