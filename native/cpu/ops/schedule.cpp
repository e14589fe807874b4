// schedule.cpp: the scalars of the next optimizer step.
//
//   t = step + 1
//   lr(t) = base t / max(1, warmup)                                               for t < warmup
//         = base (ratio + max(0, (1 - ratio) (1 + cos(pi phi)) / 2))              else
//   phi = (t - warmup) / max(1, total - warmup);  correction_i = 1 - beta_i^(t - moments_from)
#include <math.h>

#include "ops.h"

namespace trm {
namespace TRM_ISA {

int advance(double* controls, double lr, double puzzle_lr, int64_t warmup, int64_t total, double min_ratio,
            double beta1, double beta2, int64_t moments_from, trm_stream) {
    TRM_CHECK(advance);
    const double t = controls[TRM_CTRL_STEP] + 1, w = (double) warmup;
    const double updates = t - (double) moments_from;  // that the moments have seen
    double factor;
    if (t < w) {
        factor = t / (w > 1 ? w : 1);
    } else {
        const double span = total - warmup > 1 ? (double) (total - warmup) : 1;
        const double decayed = (1 - min_ratio) * 0.5 * (1 + ::cos(3.14159265358979323846 * ((t - w) / span)));
        factor = min_ratio + (decayed > 0 ? decayed : 0);
    }
    controls[TRM_CTRL_STEP] = t;
    controls[TRM_CTRL_LR] = lr * factor;
    controls[TRM_CTRL_PUZZLE_LR] = puzzle_lr * factor;
    controls[TRM_CTRL_CORRECTION1] = 1 - ::pow(beta1, updates);
    controls[TRM_CTRL_CORRECTION2] = 1 - ::pow(beta2, updates);
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
