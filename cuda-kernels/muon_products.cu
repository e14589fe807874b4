// muon_products.cu: one iteration of Newton and Schulz for all matrices that Muon updates: three products, three launches.
//
//   A = X X^T        B = b A + c A A        Y = a X + B X        X, Y [r, c], A, B [r, r], r <= c
//
// The sum of each element is formed once and the polynomial joins it in the epilogue, so A, B and Y are rounded once each, as
// with baddbmm. A is symmetric: A A is the product of its rows with its rows, and only B X has a right factor by its rows.
//
// A block's tile is 64 x 64. bf16: four warps, each 32 x 32 in mma.m16n8k16; 64 of the inner dimension a step, the next step
// copied asynchronously meanwhile, rows of 144 bytes so that ldmatrix meets no bank twice. fp32: plain multiply-adds, 4 x 4
// a thread; float32 models are for the CPU and for comparisons.
//
// numerics  fp32 sums in an order that depends on the shapes alone, one rounding at the store
// cost      4 r^2 c + 2 r^3 FLOP. At the published size (two layers of [3072, 512], [512, 1536], [1024, 97], [97, 512]) 10.9
//           GFLOP an iteration, 32.6 in three: 0.1 % of a step's 32.8 TFLOP. Predictions for an H100 at 1.7 GHz. X X^T: 272
//           tiles, two a processor, at most 48 steps, each as long as a copy from L2 takes, some 800 cycles, for its 128
//           mma take 200: 23 us. A A: 8 steps, 4 us. B X: 1248 tiles of 8 steps, five at a time on a processor: 10 us.
//           With three launches 45 us an iteration, 0.14 ms in three

#include <mma.cuh>

#include "muon.cuh"

namespace trm {
namespace {

using namespace muon;

constexpr int TILE = 64;

/** Which of the three. */
enum Stage { GRAM, POLYNOMIAL, APPLY };

struct Operands {
    const void* x;
    void *gram, *polynomial, *y;
    float a, b, c;
};

/** One of the products, out = keep base + scale left right, of a matrix. left [rows, inner]; right [width, inner] by the
 *  columns of out, but with APPLY [inner, width]; base and out [rows, width]. */
template <typename T>
struct Product {
    const T *left, *right, *base;
    T* out;
    int rows, width, inner;
    float keep, scale;
};

template <typename T, Stage STAGE>
__device__ __forceinline__ Product<T> product_of(const Operands& o, const Matrix& m) {
    const T* const x = static_cast<const T*>(o.x) + m.x;
    T* const gram = static_cast<T*>(o.gram) + m.square;
    T* const polynomial = static_cast<T*>(o.polynomial) + m.square;
    if (STAGE == GRAM) return {x, x, nullptr, gram, m.r(), m.r(), m.c(), 0.0f, 1.0f};
    if (STAGE == POLYNOMIAL) return {gram, gram, gram, polynomial, m.r(), m.r(), m.r(), o.b, o.c};
    return {polynomial, x, x, static_cast<T*>(o.y) + m.x, m.r(), m.c(), m.r(), o.a, 1.0f};
}

/** Product and place of a block's unit; false after the last. */
template <typename T, Stage STAGE>
__device__ __forceinline__ bool unit_of(const Operands& o, const int32_t* matrices, int count, int64_t unit,
                                        Product<T>* product, int* row, int* column) {
    Matrix matrix;
    if (!find(matrices, count, &unit, &matrix,
              [](const Matrix& of) { return tiles<TILE>(of.r(), STAGE == APPLY ? of.c() : of.r()); }))
        return false;
    *product = product_of<T, STAGE>(o, matrix);
    const int across = (product->width + TILE - 1) / TILE;
    *row = static_cast<int>(unit / across) * TILE;
    *column = static_cast<int>(unit % across) * TILE;
    return true;
}

// ---- bfloat16 -----------------------------------------------------------------------------------------------------

constexpr int MMA_THREADS = 128;
constexpr int STEP = 64;
constexpr int PITCH = STEP + 8;  // elements of a row in shared memory

/** Begins to copy 64 rows of 64 elements of a matrix [height, width] from (row, column) on; zeros past its ends. */
__device__ __forceinline__ void copy_tile(bf16* to, const bf16* from, int height, int width, int row, int column) {
    const Shared base = shared_address(to);
#pragma unroll
    for (int i = 0; i < TILE * STEP / PACK / MMA_THREADS; i++) {
        const int task = i * MMA_THREADS + static_cast<int>(threadIdx.x), y = task / (STEP / PACK);
        const int x = task % (STEP / PACK) * PACK;
        const bool inside = row + y < height && column + x < width;
        copy_async_16(base + static_cast<Shared>((y * PITCH + x) * sizeof(bf16)),
                      inside ? from + static_cast<int64_t>(row + y) * width + column + x : from, inside);
    }
}

/** d += the tiles' product; this warp's 32 x 32 of it begins at (row, column). */
template <bool RIGHT_BY_ROWS>
__device__ __forceinline__ void multiply(float (&d)[2][4][4], const bf16* left, const bf16* right, int row,
                                         int column) {
    const int lane_id = static_cast<int>(threadIdx.x) % WARP;
    // quarters (0, 0), (8, 0), (0, 8), (8, 8) of 16 x 16: operand A, or transposed two operands B by their rows
    const int by_rows = lane_id % 16 * PITCH + lane_id / 16 * 8;
    // quarters (0, 0), (0, 8), (8, 0), (8, 8): two operands B whose columns are these rows
    const int by_columns = (lane_id % 8 + lane_id / 16 * 8) * PITCH + lane_id / 8 % 2 * 8;
#pragma unroll
    for (int k = 0; k < STEP; k += 16) {
        uint32_t a[2][4], b[2][4];
#pragma unroll
        for (int m = 0; m < 2; m++) ldmatrix_x4(a[m], shared_address(left + (row + 16 * m) * PITCH + k + by_rows));
#pragma unroll
        for (int n = 0; n < 2; n++) {
            if (RIGHT_BY_ROWS)
                ldmatrix_x4_trans(b[n], shared_address(right + k * PITCH + column + 16 * n + by_rows));
            else
                ldmatrix_x4(b[n], shared_address(right + (column + 16 * n) * PITCH + k + by_columns));
        }
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int n = 0; n < 4; n++) mma_16x8x16(d[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
    }
}

/** Stores two neighbouring elements of the product; widths are even. */
__device__ __forceinline__ void store_pair(const Product<bf16>& p, int row, int column, float low, float high) {
    if (row >= p.rows || column >= p.width) return;
    const int64_t at = static_cast<int64_t>(row) * p.width + column;
    low *= p.scale;
    high *= p.scale;
    if (p.base != nullptr) {
        const __nv_bfloat162 base = *reinterpret_cast<const __nv_bfloat162*>(p.base + at);
        low += p.keep * to_float(base.x);
        high += p.keep * to_float(base.y);
    }
    *reinterpret_cast<__nv_bfloat162*>(p.out + at) = __floats2bfloat162_rn(low, high);
}

template <Stage STAGE>
__global__ void __launch_bounds__(MMA_THREADS)
    muon_product_mma_kernel(Operands operands, const int32_t* matrices, int count) {
    __shared__ __align__(16) bf16 left[2][TILE * PITCH];
    __shared__ __align__(16) bf16 right[2][TILE * PITCH];
    const int warp = static_cast<int>(threadIdx.x) / WARP, lane_id = static_cast<int>(threadIdx.x) % WARP;
    const int warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
    for (int64_t unit = blockIdx.x;; unit += gridDim.x) {
        Product<bf16> p;
        int row, column;
        if (!unit_of<bf16, STAGE>(operands, matrices, count, unit, &p, &row, &column)) return;
        const auto copy_step = [&](int k, int into) {
            copy_tile(left[into], p.left, p.rows, p.inner, row, k);
            if (STAGE == APPLY)
                copy_tile(right[into], p.right, p.inner, p.width, k, column);
            else
                copy_tile(right[into], p.right, p.width, p.inner, column, k);
            copy_async_commit();
        };
        float d[2][4][4] = {};
        copy_step(0, 0);
        int used = 0;
        for (int k = 0; k < p.inner; k += STEP, used ^= 1) {
            if (k + STEP < p.inner) {
                copy_step(k + STEP, used ^ 1);
                copy_async_wait<1>();
            } else {
                copy_async_wait<0>();
            }
            __syncthreads();  // the step is complete
            multiply<STAGE == APPLY>(d, left[used], right[used], warp_row, warp_column);
            __syncthreads();  // the step has been read
        }
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int n = 0; n < 4; n++) {
                const int i = row + warp_row + 16 * m + lane_id / 4, j = column + warp_column + 8 * n + lane_id % 4 * 2;
                store_pair(p, i, j, d[m][n][0], d[m][n][1]);
                store_pair(p, i + 8, j, d[m][n][2], d[m][n][3]);
            }
    }
}

// ---- float32 ------------------------------------------------------------------------------------------------------

constexpr int FMA_THREADS = 256;
constexpr int FMA_STEP = 16;

template <Stage STAGE>
__global__ void __launch_bounds__(FMA_THREADS)
    muon_product_fma_kernel(Operands operands, const int32_t* matrices, int count) {
    __shared__ float left[FMA_STEP][TILE + 1], right[FMA_STEP][TILE + 1];
    const int y = static_cast<int>(threadIdx.x) / 16, x = static_cast<int>(threadIdx.x) % 16;
    for (int64_t unit = blockIdx.x;; unit += gridDim.x) {
        Product<float> p;
        int row, column;
        if (!unit_of<float, STAGE>(operands, matrices, count, unit, &p, &row, &column)) return;
        float d[4][4] = {};
        for (int k = 0; k < p.inner; k += FMA_STEP) {
            for (int e = static_cast<int>(threadIdx.x); e < TILE * FMA_STEP; e += FMA_THREADS) {
                const int i = e / FMA_STEP, at = k + e % FMA_STEP;
                const bool inside = row + i < p.rows && at < p.inner;
                left[e % FMA_STEP][i] = inside ? p.left[static_cast<int64_t>(row + i) * p.inner + at] : 0.0f;
                if (STAGE != APPLY) {
                    const bool there = column + i < p.width && at < p.inner;
                    right[e % FMA_STEP][i] = there ? p.right[static_cast<int64_t>(column + i) * p.inner + at] : 0.0f;
                } else {
                    const int inner = k + e / TILE, j = column + e % TILE;
                    const bool there = inner < p.inner && j < p.width;
                    right[e / TILE][e % TILE] = there ? p.right[static_cast<int64_t>(inner) * p.width + j] : 0.0f;
                }
            }
            __syncthreads();  // the step is complete
#pragma unroll
            for (int i = 0; i < FMA_STEP; i++)
#pragma unroll
                for (int m = 0; m < 4; m++)
#pragma unroll
                    for (int n = 0; n < 4; n++) d[m][n] += left[i][y + 16 * m] * right[i][x + 16 * n];
            __syncthreads();  // the step has been read
        }
#pragma unroll
        for (int m = 0; m < 4; m++)
#pragma unroll
            for (int n = 0; n < 4; n++) {
                const int i = row + y + 16 * m, j = column + x + 16 * n;
                if (i >= p.rows || j >= p.width) continue;
                const int64_t at = static_cast<int64_t>(i) * p.width + j;
                p.out[at] = p.scale * d[m][n] + (p.base != nullptr ? p.keep * p.base[at] : 0.0f);
            }
    }
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::muon_iterate(const void* x, const int32_t* matrices, void* gram, void* polynomial, void* y, int64_t elements,
                      int32_t count, double a, double b, double c, int32_t dtype, trm_stream stream) {
    TRM_CHECK(muon_iterate);
    const Operands operands = {
        x, gram, polynomial, y, static_cast<float>(a), static_cast<float>(b), static_cast<float>(c)};
    using Kernel = void (*)(Operands, const int32_t*, int);
    const Kernel mma[] = {muon_product_mma_kernel<GRAM>, muon_product_mma_kernel<POLYNOMIAL>,
                          muon_product_mma_kernel<APPLY>};
    const Kernel fma[] = {muon_product_fma_kernel<GRAM>, muon_product_fma_kernel<POLYNOMIAL>,
                          muon_product_fma_kernel<APPLY>};
    for (int stage = GRAM; stage <= APPLY; stage++) {
        const int code = launch(dtype == TRM_F32 ? fma[stage] : mma[stage], blocks_for(elements, count),
                                dtype == TRM_F32 ? FMA_THREADS : MMA_THREADS, 0, stream, operands, matrices, count);
        if (code != TRM_OK) return code;
    }
    return TRM_OK;
}

}  // namespace trm
