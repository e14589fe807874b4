// halt.cpp: the halting head, the halting rule with its loss, the continue loss, the start without carry, and the metrics of
// lanes that halt.
//
//   head      q = y[:, 0, :] W^T + bias          dy[:, 0, :] += dq W,  dW += dq^T y[:, 0, :],  d_bias += sum_b dq
//   halt      BCE(q, t) = log(1 + e^q) - t q,  derivative sigma(q) - t,  with t = exact
//   continue  the same of q_continue, with t = sigma(q' halt) at the last step, else sigma(max(q' halt, q' continue))
//   carry     dropped before a step: all lanes halt, their halting losses and the gradients of q are 0
//   metrics   sums over halting lanes with labels, in lane order
//
// numerics  dot products in float32, rounded once with the bias; losses and metrics float64; dW sums lanes in float64
// cost      2 D a lane: nothing
#include <math.h>

#include "ops.h"

namespace trm {
namespace TRM_ISA {

template <class T>
static void head_forward(const T* y, const T* w, const T* bias, float* q, int64_t B, int32_t S, int32_t D) {
    constexpr int64_t block = 16;
    parallel_for(divide_up(B, block), 0.5 * block * D, [=](int64_t task) {
        for (int64_t b = task * block; b < least(B, (task + 1) * block); b++) {
            const T* x = y + b * S * D;
            for (int j = 0; j < 2; j++) {
                const T* row = w + (int64_t) j * D;
                const float dot =
                    sum16(D, [=](int64_t i, int k) TRM_LAMBDA { return load(x + i, k) * load(row + i, k); });
                T rounded;
                narrow(dot + widen(bias[j]), &rounded);
                q[2 * b + j] = widen(rounded);
            }
        }
    });
}

static constexpr int64_t CHANNELS = 64;

template <class T>
static void head_backward(const float* dq, const T* y, const T* w, T* dy, float* dw, float* d_bias, int64_t B,
                          int32_t S, int32_t D) {
    parallel_for(divide_up(D, CHANNELS), 2.0 * (double) B * CHANNELS, [=](int64_t task) {
        const int64_t first = task * CHANNELS, width = least(CHANNELS, D - first);
        double sum[2][CHANNELS] = {};
        for (int64_t b = 0; b < B; b++) {
            const T* x = y + b * S * D + first;
            T* dx = dy + b * S * D + first;
            const float q0 = dq[2 * b], q1 = dq[2 * b + 1];
            for (int64_t i = 0; i < width; i++) {
                const double value = (double) widen(x[i]);
                sum[0][i] += q0 * value;
                sum[1][i] += q1 * value;
            }
            vectors(width, [=](int64_t i, int k) TRM_LAMBDA {
                const vf g = load(w + first + i, k) * q0 + load(w + D + first + i, k) * q1;
                store(dx + i, load(dx + i, k) + g, k);
            });
        }
        for (int64_t j = 0; j < 2; j++)
            for (int64_t i = 0; i < width; i++) {
                float* to = dw + j * D + first + i;
                *to = (float) (*to + sum[j][i]);
            }
    });
    for (int j = 0; j < 2; j++) {
        double sum = 0;
        for (int64_t b = 0; b < B; b++) sum += dq[2 * b + j];
        d_bias[j] = (float) (d_bias[j] + sum);
    }
}

int halt_head(const void* y, const void* w, const void* bias, float* q, int64_t B, int32_t S, int32_t D, int32_t dtype,
              trm_stream) {
    TRM_CHECK(halt_head);
    if (dtype == TRM_F32)
        head_forward((const float*) y, (const float*) w, (const float*) bias, q, B, S, D);
    else
        head_forward((const bf16*) y, (const bf16*) w, (const bf16*) bias, q, B, S, D);
    return TRM_OK;
}

int halt_head_bwd(const float* dq, const void* y, const void* w, void* dy, float* dw, float* d_bias, int64_t B,
                  int32_t S, int32_t D, int32_t dtype, trm_stream) {
    TRM_CHECK(halt_head_bwd);
    if (dtype == TRM_F32)
        head_backward(dq, (const float*) y, (const float*) w, (float*) dy, dw, d_bias, B, S, D);
    else
        head_backward(dq, (const bf16*) y, (const bf16*) w, (bf16*) dy, dw, d_bias, B, S, D);
    return TRM_OK;
}

// BCE of a logit against a probability, log(1 + e^q) = max(q, 0) + log(1 + e^-|q|), and sigma(q).
struct Logistic {
    double loss, sigma;
};

static Logistic logistic(double q, double target) {
    const double e = ::exp(-::fabs(q));
    return {(q < 0 ? 0 : q) + ::log1p(e) - target * q, q < 0 ? e / (1 + e) : 1 / (1 + e)};
}

int halt(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* min_steps, int32_t* steps,
         int32_t* halted, int32_t* exact, double* halt_loss, float* dq, int64_t B, int32_t max_steps, int32_t rule,
         double scale, trm_stream) {
    TRM_CHECK(halt);
    const bool early = rule != TRM_HALT_LAST && max_steps > 1;
    for (int64_t b = 0; b < B; b++) {
        const float bar = rule == TRM_HALT_COMPARE ? q[2 * b + 1] : 0;
        const int32_t solved = hits[b] == labelled[b], step = steps[b] + 1;
        const bool last = step >= max_steps;
        steps[b] = step;
        exact[b] = solved;
        halted[b] = early ? (last || q[2 * b] > bar) && step >= min_steps[b] : last;
        const Logistic l = logistic((double) q[2 * b], solved);
        halt_loss[b] = l.loss;
        if (dq == nullptr) continue;
        dq[2 * b] = (float) (scale * (l.sigma - solved));
        dq[2 * b + 1] = 0;
    }
    return TRM_OK;
}

int continue_loss(const float* q, const float* next_q, const int32_t* steps, double* target, double* loss, float* dq,
                  int64_t B, int32_t max_steps, double scale, trm_stream) {
    TRM_CHECK(continue_loss);
    for (int64_t b = 0; b < B; b++) {
        const float halts = next_q[2 * b], goes_on = next_q[2 * b + 1];
        const float better = halts > goes_on ? halts : goes_on;
        target[b] = logistic((double) (steps[b] >= max_steps ? halts : better), 0).sigma;
        const Logistic l = logistic((double) q[2 * b + 1], target[b]);
        loss[b] = l.loss;
        dq[2 * b + 1] = (float) (scale * (l.sigma - target[b]));
    }
    return TRM_OK;
}

int drop_carry(const double* controls, int32_t* halted, double* halt_loss, double* continue_loss, float* dq, int64_t B,
               int64_t from, trm_stream) {
    TRM_CHECK(drop_carry);
    if (!(controls[TRM_CTRL_STEP] < (double) from)) return TRM_OK;
    for (int64_t b = 0; b < B; b++) {
        halted[b] = 1;
        halt_loss[b] = 0;
        if (continue_loss != nullptr) continue_loss[b] = 0;
        dq[2 * b] = dq[2 * b + 1] = 0;
    }
    return TRM_OK;
}

int metrics(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* exact, const int32_t* steps,
            const int32_t* halted, const double* lane_loss, const double* halt_loss, const double* continue_loss,
            double* metrics, int64_t B, trm_stream) {
    TRM_CHECK(metrics);
    for (int64_t b = 0; b < B; b++) {
        metrics[TRM_METRIC_LM_LOSS] += lane_loss[b];
        metrics[TRM_METRIC_Q_HALT_LOSS] += halt_loss[b];
        if (continue_loss != nullptr) metrics[TRM_METRIC_Q_CONTINUE_LOSS] += continue_loss[b];
        if (halted[b] == 0 || labelled[b] <= 0) continue;
        metrics[TRM_METRIC_COUNT] += 1;
        metrics[TRM_METRIC_ACCURACY] += (double) hits[b] / labelled[b];
        metrics[TRM_METRIC_EXACT_ACCURACY] += exact[b] != 0;
        metrics[TRM_METRIC_Q_HALT_ACCURACY] += (q[2 * b] >= 0) == (exact[b] != 0);
        metrics[TRM_METRIC_STEPS] += steps[b];
    }
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
