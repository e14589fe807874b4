// grad_norm.cpp: the Euclidean norm of the flat gradient, sqrt(sum of squares), and clipping by it.
//
//   clip   c = max / (norm + 1e-6), as torch.nn.utils.clip_grad_norm_ has it;  g = c g if c < 1
//
// numerics  float64: the square of a float is exact. 16 sums a task, added in order, then the tasks in order; their
//           number, at most TRM_NORM_PARTIALS, follows from count alone
// cost      4 bytes a parameter, memory-bound, one pass; clipping 8 more where it changes something
#include <math.h>

#include "ops.h"

namespace trm {
namespace TRM_ISA {

int grad_norm(const float* g, double* partials, double* norm, double* total, int64_t count, trm_stream) {
    TRM_CHECK(grad_norm);
    int64_t share = divide_up(count, TRM_NORM_PARTIALS);
    if (share < CHUNK) share = CHUNK;
    const int64_t tasks = divide_up(count, share);
    parallel_for(tasks, 0.2 * (double) share, [=](int64_t task) {
        const float* x = g + task * share;
        const int64_t n = least(share, count - task * share);
        double sums[16] = {};
        int64_t i = 0;
        for (; i + 16 <= n; i += 16)
            for (int k = 0; k < 16; k++) sums[k] += (double) x[i + k] * x[i + k];
        for (int k = 0; i + k < n; k++) sums[k] += (double) x[i + k] * x[i + k];
        double sum = 0;
        for (const double s : sums) sum += s;
        partials[task] = sum;
    });
    double sum = 0;
    for (int64_t task = 0; task < tasks; task++) sum += partials[task];
    *norm = ::sqrt(sum);
    if (total != nullptr) *total += *norm;
    return TRM_OK;
}

int clip_gradient(float* g, const double* norm, double max, int64_t count, trm_stream) {
    TRM_CHECK(clip_gradient);
    const double c = max / (*norm + 1e-6);
    if (!(c < 1)) return TRM_OK;
    const float factor = (float) c;
    parallel_for(divide_up(count, CHUNK), 0.1 * CHUNK, [=](int64_t task) {
        float* x = g + task * CHUNK;
        const int64_t n = least(CHUNK, count - task * CHUNK);
        for (int64_t i = 0; i < n; i++) x[i] *= factor;
    });
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
