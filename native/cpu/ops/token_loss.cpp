// token_loss.cpp: cross entropy of the logits over stablemax or softmax, with its gradient.
//
//   stablemax  s(a) = a + 1 for a >= 0, 1 / (1 - a) below      loss = -log(s(a_label) / sum_c s(a_c))
//              d loss / d a_c = s'(a_c) (1 / sum - [c = label] / s(a_c)),  s' = 1 or 1 / (1 - a)^2 = s^2
//   softmax    loss = log sum_c e^a_c - a_label                 d loss / d a_c = e^a_c / sum - [c = label]
//   smoothed   softmax against t_c = (1 - smoothing) [c = label] + smoothing / V:
//              loss = log sum_c e^a_c - sum_c t_c a_c           d loss / d a_c = e^a_c / sum - t_c
//
// The loss of a lane is the mean over its labelled tokens. A label outside the vocabulary makes it NaN.
//
// numerics  float64, a gradient is rounded once, at its store; argmax takes the first of equal logits
// aliasing  d_logits may alias logits: a row is summed before its gradient is stored, element by element
// cost      a division an element and pass, about 3 ns; a lane a task
#include <math.h>

#include "ops.h"

namespace trm {
namespace TRM_ISA {

static constexpr int SMOOTHED = 2;  // a kind beside those of the ABI

TRM_INLINE double stable(double a) { return a >= 0 ? a + 1 : 1 / (1 - a); }

TRM_INLINE void round_once(double x, float* p) { *p = (float) x; }
// Through float32 the value would be rounded twice. Towards zero, with the last bit set where that loses anything
// (round to odd), the float32 stays on x's side of every bfloat16 tie.
TRM_INLINE void round_once(double x, bf16* p) {
    float f = (float) x;
    uint32_t bits;
    if (f == f && (double) f != x) {
        __builtin_memcpy(&bits, &f, 4);
        bits -= ::fabs((double) f) > ::fabs(x);
        bits |= 1;
        f = bits_float(bits);
    }
    narrow(f, p);
}

template <class T, int KIND>
static void lane(const T* logits, const int32_t* labels, int32_t* preds, double* loss, int32_t* hits, int32_t* labelled,
                 T* d_logits, int32_t L, int32_t P, int32_t V, double smoothing, double scale) {
    const double kept = 1 - smoothing, spread = smoothing / V;
    int32_t count = 0, correct = 0;
    for (int32_t t = 0; t < L; t++) count += labels[t] != TRM_IGNORE;
    const double share = 1.0 / (count > 1 ? count : 1), factor = scale * share;
    double total = 0;
    if (d_logits != nullptr) memset((void*) d_logits, 0, (size_t) P * (size_t) V * sizeof(T));
    for (int32_t t = 0; t < L; t++) {
        const T* row = logits + ((int64_t) P + t) * V;
        T* d_row = d_logits == nullptr ? nullptr : d_logits + ((int64_t) P + t) * V;
        const int32_t label = labels[t];
        int32_t best = 0;
        float most = widen(row[0]);
        for (int32_t c = 1; c < V; c++) {
            const float a = widen(row[c]);
            if (a > most) {
                most = a;
                best = c;
            }
        }
        preds[t] = best;
        if (label == TRM_IGNORE) {
            if (d_row != nullptr) memset((void*) d_row, 0, (size_t) V * sizeof(T));
            continue;
        }
        correct += best == label;
        const bool known = label >= 0 && label < V;
        const double own = known ? (double) widen(row[label]) : (double) NAN;
        double sum = 0, below = 0;
        for (int32_t c = 0; c < V; c++) {
            const double a = (double) widen(row[c]);
            sum += KIND == TRM_STABLEMAX ? stable(a) : ::exp(a - most);
            if (KIND == SMOOTHED) below += most - a;
        }
        if (KIND == SMOOTHED)
            total += ::log(sum) + kept * (most - own) + spread * below;
        else
            total += KIND == TRM_STABLEMAX ? ::log(sum / stable(own)) : ::log(sum) + most - own;
        if (d_row == nullptr) continue;
        const double inverse = 1 / sum;
        for (int32_t c = 0; c < V; c++) {
            const double a = (double) widen(row[c]), hit = c == label;
            if (KIND == TRM_STABLEMAX) {
                const double s = stable(a), slope = a >= 0 ? 1 : s * s, ratio = a >= 0 ? 1 / s : s;
                round_once(factor * (slope * inverse - hit * ratio), d_row + c);
            } else if (KIND == SMOOTHED) {
                round_once(factor * (::exp(a - most) * inverse - (hit * kept + spread)), d_row + c);
            } else {
                round_once(factor * (::exp(a - most) * inverse - hit), d_row + c);
            }
        }
    }
    *loss = total * share;
    *hits = correct;
    *labelled = count;
}

template <class T, int KIND>
static void lanes(const T* logits, const int32_t* labels, int32_t* preds, double* lane_loss, int32_t* hits,
                  int32_t* labelled, T* d_logits, int64_t B, int32_t L, int32_t P, int32_t V, double smoothing,
                  double scale) {
    const int64_t stride = ((int64_t) P + L) * V;
    parallel_for(B, 5.0 * L * V, [=](int64_t b) {
        lane<T, KIND>(logits + b * stride, labels + b * L, preds + b * L, lane_loss + b, hits + b, labelled + b,
                      d_logits == nullptr ? nullptr : d_logits + b * stride, L, P, V, smoothing, scale);
    });
}

int token_loss(const void* logits, const int32_t* labels, int32_t* preds, double* lane_loss, int32_t* hits,
               int32_t* labelled, void* d_logits, int64_t B, int32_t L, int32_t P, int32_t V, int32_t kind,
               double smoothing, double scale, int32_t dtype, trm_stream) {
    TRM_CHECK(token_loss);
#define TRM_LANES(T, KIND) \
    lanes<T, KIND>((const T*) logits, labels, preds, lane_loss, hits, labelled, (T*) d_logits, B, L, P, V, smoothing, \
                   scale)
#define TRM_KINDS(T) \
    if (kind == TRM_STABLEMAX) \
        TRM_LANES(T, TRM_STABLEMAX); \
    else if (smoothing == 0) \
        TRM_LANES(T, TRM_SOFTMAX); \
    else \
        TRM_LANES(T, SMOOTHED)
    if (dtype == TRM_F32) {
        TRM_KINDS(float);
    } else {
        TRM_KINDS(bf16);
    }
#undef TRM_KINDS
#undef TRM_LANES
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
