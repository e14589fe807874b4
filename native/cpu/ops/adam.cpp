// adam.cpp: AdamATan2 or AdamW over the flat parameter buffer, with everything else that passes over it.
//
//   m += (1 - b1)(g - m)      v += (1 - b2)(g^2 - v)
//   ADAM_ATAN2  p = (1 - lr wd) p - lr / (1 - b1^t) atan2(m, sqrt(v) / sqrt(1 - b2^t))
//   ADAMW       p = (1 - lr wd) p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
//   ema = rate ema + (1 - rate) p, or p before step ema_from      bf16_copy = round(p)      g = 0
//
// numerics  float32; the factors that depend on the step alone are computed in float64 and rounded once
// cost      up to 42 bytes a parameter, memory-bound: one pass, blocks of CHUNK parameters
#include <math.h>

#include "ops.h"

namespace trm {
namespace TRM_ISA {

int adam(float* p, float* g, float* m, float* v, float* ema, void* bf16_copy, const double* controls, int64_t count,
         double beta1, double beta2, double weight_decay, double eps, double ema_rate, int64_t ema_from, int32_t kind,
         trm_stream) {
    TRM_CHECK(adam);
    const double lr = controls[TRM_CTRL_LR];
    const float keep = (float) (1 - lr * weight_decay), step = (float) (lr / controls[TRM_CTRL_CORRECTION1]);
    const float widen_v = (float) (1 / ::sqrt(controls[TRM_CTRL_CORRECTION2]));
    const float rate1 = (float) (1 - beta1), rate2 = (float) (1 - beta2), epsilon = (float) eps;
    const float old_share = (float) ema_rate, new_share = (float) (1 - ema_rate);
    const bool averages = !(controls[TRM_CTRL_STEP] < (double) ema_from);
    const bool atan2 = kind == TRM_ADAM_ATAN2;
    bf16* copies = (bf16*) bf16_copy;
    parallel_for(divide_up(count, CHUNK), 2e4, [=](int64_t task) {
        const int64_t at = task * CHUNK;
        vectors(least(CHUNK, count - at), [=](int64_t i, int k) TRM_LAMBDA {
            const int64_t j = at + i;
            const vf grad = load(g + j, k);
            vf first = load(m + j, k), second = load(v + j, k);
            first += rate1 * (grad - first);
            second += rate2 * (grad * grad - second);
            const vf root = sqrt_v(second) * widen_v;
            const vf direction = atan2 ? atan2_v(first, root) : first / (root + epsilon);
            const vf value = keep * load(p + j, k) - step * direction;
            store(m + j, first, k);
            store(v + j, second, k);
            store(p + j, value, k);
            store(g + j, vf{}, k);
            if (ema != nullptr) store(ema + j, averages ? old_share * load(ema + j, k) + new_share * value : value, k);
            if (copies != nullptr) store(copies + j, value, k);
        });
    });
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
