// muon.cu: what Muon does with a gradient before it is orthogonalised, and with the result; muon_products.cu has the
// iterations between. For each matrix W [rows, columns] of a table:
//
//   direction   m += (1 - mu)(g - m)      U = g + mu (m - g)      X = U / max(|U|_F, 1e-7)      g = 0
//   update      W = (1 - lr wd) W - lr sqrt(max(1, rows / columns)) X
//               ema = rate ema + (1 - rate) W, or W before step ema_from      bf16_copy = round(W)
//
// shapes    X [r, c] with r <= c, transposed where rows > columns; r and c rounded up to multiples of 8, zeros there
// numerics  fp32, one rounding at the store of X; squares are added in fp64, a chunk of TRM_MUON_CHUNK values at a time and
//           the chunks in order: equal inputs give equal bits. Factors of the step are formed in fp64, rounded once
// cost      direction 26 bytes a value in two launches (read g m, write U m; read U, write g and X), update 20 in one: 4 bytes
//           more than adam's 42

#include "muon.cuh"

namespace trm {
namespace {

using namespace muon;

constexpr int THREADS = 256;
constexpr int TILE = 64;
constexpr double LEAST_NORM = 1e-7;

__global__ void __launch_bounds__(THREADS)
    muon_momentum_kernel(float* g, float* m, const int32_t* matrices, double* partials, int count, float rate, float mu,
                         bool aligned) {
    __shared__ double warps[THREADS / WARP];
    for (int64_t unit = blockIdx.x;; unit += gridDim.x) {
        int64_t chunk = unit;
        Matrix matrix;
        if (!find(matrices, count, &chunk, &matrix, [](const Matrix& of) {
                return divide_up(static_cast<int64_t>(of.rows) * of.columns, TRM_MUON_CHUNK);
            }))
            return;
        const int64_t values = static_cast<int64_t>(matrix.rows) * matrix.columns, first = chunk * TRM_MUON_CHUNK;
        const int64_t last = first + TRM_MUON_CHUNK < values ? first + TRM_MUON_CHUNK : values;
        float* const gradient = g + matrix.offset;
        float* const momentum = m + matrix.offset;
        const bool wide = matrix.offset % PACK == 0 && aligned;
        double sum = 0.0;
        for (int64_t at = first + static_cast<int>(threadIdx.x) * PACK; at < last; at += THREADS * PACK) {
            Pack<float> grad = load_pack(gradient + at, last - at, wide);
            Pack<float> mean = load_pack(momentum + at, last - at, wide);
#pragma unroll
            for (int i = 0; i < PACK; i++) {
                mean.v[i] += rate * (grad.v[i] - mean.v[i]);
                grad.v[i] += mu * (mean.v[i] - grad.v[i]);
                sum += static_cast<double>(grad.v[i]) * grad.v[i];
            }
            store_pack(momentum + at, mean, last - at, wide);
            store_pack(gradient + at, grad, last - at, wide);
        }
        sum = block_sum<THREADS / WARP>(sum, warps);
        if (threadIdx.x == 0) partials[matrix.partial + chunk] = sum;
        __syncthreads();  // the sums of the warps have been read
    }
}

/** A tile of 64 x 64 of a weight, through shared memory where X is its transpose, so that both are read and written along
 *  their rows. `row`, `column` are where the tile begins in X. */
struct Tile {
    Matrix matrix;
    int row, column;

    __device__ __forceinline__ int weight_row() const { return matrix.tall() ? column : row; }
    __device__ __forceinline__ int weight_column() const { return matrix.tall() ? row : column; }
};

__device__ __forceinline__ bool tile_of(const int32_t* matrices, int count, int64_t unit, Tile* tile) {
    if (!find(matrices, count, &unit, &tile->matrix, [](const Matrix& of) { return tiles<TILE>(of.r(), of.c()); }))
        return false;
    const int number = static_cast<int>(unit), across = (tile->matrix.c() + TILE - 1) / TILE;
    tile->row = number / across * TILE;
    tile->column = number % across * TILE;
    return true;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    muon_normalise_kernel(float* g, const int32_t* matrices, const double* partials, T* x, int count) {
    __shared__ double warps[THREADS / WARP];
    __shared__ float values[TILE][TILE + 1];
    for (int64_t unit = blockIdx.x;; unit += gridDim.x) {
        Tile tile;
        if (!tile_of(matrices, count, unit, &tile)) return;
        const Matrix& matrix = tile.matrix;
        const int64_t chunks = divide_up(static_cast<int64_t>(matrix.rows) * matrix.columns, TRM_MUON_CHUNK);
        double sum = 0.0;
        for (int64_t i = threadIdx.x; i < chunks; i += THREADS) sum += partials[matrix.partial + i];
        const double norm = sqrt(block_sum<THREADS / WARP>(sum, warps));
        const float factor = static_cast<float>(1 / (norm < LEAST_NORM ? LEAST_NORM : norm));
        for (int e = static_cast<int>(threadIdx.x); e < TILE * TILE; e += THREADS) {
            const int i = e / TILE, j = e % TILE, row = tile.weight_row() + i, column = tile.weight_column() + j;
            const bool inside = row < matrix.rows && column < matrix.columns;
            float* const at = g + matrix.offset + static_cast<int64_t>(row) * matrix.columns + column;
            values[i][j] = inside ? *at * factor : 0.0f;
            if (inside) *at = 0.0f;
        }
        __syncthreads();
        for (int e = static_cast<int>(threadIdx.x); e < TILE * TILE; e += THREADS) {
            const int i = e / TILE, j = e % TILE, row = tile.row + i, column = tile.column + j;
            if (row < matrix.r() && column < matrix.c())
                x[matrix.x + static_cast<int64_t>(row) * matrix.c() + column] =
                    from_float<T>(matrix.tall() ? values[j][i] : values[i][j]);
        }
        __syncthreads();  // the tile has been read
    }
}

struct Rates {
    double rate, weight_decay, ema_from;
    float old_share, new_share;
};

template <typename T>
__global__ void __launch_bounds__(THREADS)
    muon_update_kernel(const T* x, const int32_t* matrices, float* p, float* ema, bf16* copies, const double* controls,
                       int count, Rates rates) {
    __shared__ float values[TILE][TILE + 1];
    for (int64_t unit = blockIdx.x;; unit += gridDim.x) {
        Tile tile;
        if (!tile_of(matrices, count, unit, &tile)) return;
        const Matrix& matrix = tile.matrix;
        const double lr = rates.rate * controls[TRM_CTRL_LR];  // for each tile anew: what lives longer is spilled
        const float keep = static_cast<float>(1 - lr * rates.weight_decay);
        const bool averages = !(controls[TRM_CTRL_STEP] < rates.ema_from);
        // Without the slow paths of division and root, whose calls would spill.
        const float ratio =
            fmaxf(1.0f, __fdividef(static_cast<float>(matrix.rows), static_cast<float>(matrix.columns)));
        const float step = static_cast<float>(lr) * (ratio * rsqrtf(ratio));
        for (int e = static_cast<int>(threadIdx.x); e < TILE * TILE; e += THREADS) {
            const int i = e / TILE, j = e % TILE, row = tile.row + i, column = tile.column + j;
            const bool inside = row < matrix.r() && column < matrix.c();
            values[i][j] = inside ? to_float(x[matrix.x + static_cast<int64_t>(row) * matrix.c() + column]) : 0.0f;
        }
        __syncthreads();
        for (int e = static_cast<int>(threadIdx.x); e < TILE * TILE; e += THREADS) {
            const int i = e / TILE, j = e % TILE, row = tile.weight_row() + i, column = tile.weight_column() + j;
            if (row >= matrix.rows || column >= matrix.columns) continue;
            const int64_t at = matrix.offset + static_cast<int64_t>(row) * matrix.columns + column;
            const float value = keep * p[at] - step * (matrix.tall() ? values[j][i] : values[i][j]);
            p[at] = value;
            if (ema != nullptr) ema[at] = averages ? rates.old_share * ema[at] + rates.new_share * value : value;
            if (copies != nullptr) copies[at] = from_float<bf16>(value);
        }
        __syncthreads();  // the tile has been read
    }
}

template <typename T>
int direction(float* g, float* m, const int32_t* matrices, double* partials, T* x, int64_t elements, int32_t count,
              double momentum, trm_stream stream) {
    const int64_t blocks = blocks_for(elements, count);
    const int code = launch(muon_momentum_kernel, blocks, THREADS, 0, stream, g, m, matrices, partials, count,
                            static_cast<float>(1 - momentum), static_cast<float>(momentum), aligned(16, g, m));
    if (code != TRM_OK) return code;
    return launch(muon_normalise_kernel<T>, blocks, THREADS, 0, stream, g, matrices, partials, x, count);
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::muon_direction(float* g, float* m, const int32_t* matrices, double* partials, void* x, int64_t elements,
                        int32_t count, double momentum, int32_t dtype, trm_stream stream) {
    TRM_CHECK(muon_direction);
    return dtype == TRM_F32
               ? direction(g, m, matrices, partials, static_cast<float*>(x), elements, count, momentum, stream)
               : direction(g, m, matrices, partials, static_cast<bf16*>(x), elements, count, momentum, stream);
}

int ops::muon_update(const void* x, const int32_t* matrices, float* p, float* ema, void* bf16_copy,
                     const double* controls, int64_t elements, int32_t count, double rate, double weight_decay,
                     double ema_rate, int64_t ema_from, int32_t dtype, trm_stream stream) {
    TRM_CHECK(muon_update);
    const Rates rates = {rate, weight_decay, static_cast<double>(ema_from), static_cast<float>(ema_rate),
                         static_cast<float>(1 - ema_rate)};
    const int64_t blocks = blocks_for(elements, count);
    bf16* const copies = static_cast<bf16*>(bf16_copy);
    if (dtype == TRM_F32)
        return launch(muon_update_kernel<float>, blocks, THREADS, 0, stream, static_cast<const float*>(x), matrices, p,
                      ema, copies, controls, count, rates);
    return launch(muon_update_kernel<bf16>, blocks, THREADS, 0, stream, static_cast<const bf16*>(x), matrices, p, ema,
                  copies, controls, count, rates);
}

}  // namespace trm
