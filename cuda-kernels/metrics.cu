// metrics.cu: sums over the lanes that halt at a step and have labels, and the losses of all lanes.
//
// numerics  fp64, lanes in order: the bits of the sequential sum
// cost      40 bytes a lane: one block. Its threads load a tile of lanes into shared memory, then one thread a metric
//           adds the tile up, which is a chain of B dependent additions

#include "ops.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;
constexpr int SUMS = TRM_METRIC_Q_CONTINUE_LOSS + 1;

__global__ void __launch_bounds__(THREADS)
    metrics_kernel(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* exact,
                   const int32_t* steps, const int32_t* halted, const double* lane_loss, const double* halt_loss,
                   const double* continue_loss, double* metrics, int64_t B) {
    __shared__ double values[SUMS][THREADS];
    const int i = static_cast<int>(threadIdx.x);
    double sum = i < SUMS ? metrics[i] : 0.0;
    for (int64_t first = 0; first < B; first += THREADS) {
        const int64_t b = first + i;
        if (b < B) {
            const bool counts = halted[b] != 0 && labelled[b] > 0;
            const bool solved = exact[b] != 0;
            values[TRM_METRIC_COUNT][i] = counts ? 1.0 : 0.0;
            values[TRM_METRIC_ACCURACY][i] = counts ? static_cast<double>(hits[b]) / labelled[b] : 0.0;
            values[TRM_METRIC_EXACT_ACCURACY][i] = counts && solved ? 1.0 : 0.0;
            values[TRM_METRIC_Q_HALT_ACCURACY][i] = counts && (q[2 * b] >= 0.0f) == solved ? 1.0 : 0.0;
            values[TRM_METRIC_STEPS][i] = counts ? static_cast<double>(steps[b]) : 0.0;
            values[TRM_METRIC_LM_LOSS][i] = lane_loss[b];
            values[TRM_METRIC_Q_HALT_LOSS][i] = halt_loss[b];
            values[TRM_METRIC_Q_CONTINUE_LOSS][i] = continue_loss != nullptr ? continue_loss[b] : 0.0;
        }
        __syncthreads();  // the tile is complete
        const int64_t count = B - first < THREADS ? B - first : THREADS;
        if (i < SUMS)
            for (int64_t k = 0; k < count; k++) sum += values[i][k];
        __syncthreads();  // the tile has been read
    }
    if (i < SUMS) metrics[i] = sum;
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::metrics(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* exact,
                 const int32_t* steps, const int32_t* halted, const double* lane_loss, const double* halt_loss,
                 const double* continue_loss, double* metrics, int64_t B, trm_stream stream) {
    TRM_CHECK(metrics);
    return launch(metrics_kernel, 1, THREADS, 0, stream, q, hits, labelled, exact, steps, halted, lane_loss, halt_loss,
                  continue_loss, metrics, B);
}

}  // namespace trm
