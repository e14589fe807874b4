// halt.cu: the halting rule with its loss, the continue loss, and the start without carry.
//
//   halt      BCE(q, t) = log(1 + e^q) - t q,  derivative sigma(q) - t,  with t = exact
//   continue  the same of q_continue, with t = sigma(q' halt) at the last step, else sigma(max(q' halt, q' continue))
//   carry     dropped before a step: all lanes halt, their halting losses and the gradients of q are 0
//
// shapes    q dq [B, 2] fp32; the rest [B]: int32, losses fp64
// numerics  fp64
// cost      some 40 bytes a lane: nothing; a thread a lane

#include "ops.cuh"

namespace trm {
namespace {

constexpr int THREADS = 128;

// BCE of a logit against a probability, log(1 + e^q) = max(q, 0) + log(1 + e^-|q|), and sigma(q).
struct Logistic {
    double loss, sigma;
};

__device__ __forceinline__ Logistic logistic(double q, double target) {
    const double e = exp(-fabs(q));
    return {(q < 0 ? 0 : q) + log1p(e) - target * q, q < 0 ? e / (1 + e) : 1 / (1 + e)};
}

__global__ void __launch_bounds__(THREADS)
    halt_kernel(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* min_steps, int32_t* steps,
                int32_t* halted, int32_t* exact, double* halt_loss, float* dq, int64_t B, int32_t max_steps,
                int32_t rule, double scale) {
    const int64_t b = global_thread();
    if (b >= B) return;
    const float bar = rule == TRM_HALT_COMPARE ? q[2 * b + 1] : 0.0f;
    const int32_t solved = hits[b] == labelled[b], step = steps[b] + 1;
    const bool last = step >= max_steps;
    steps[b] = step;
    exact[b] = solved;
    halted[b] = rule == TRM_HALT_LAST ? last : (last || q[2 * b] > bar) && step >= min_steps[b];
    const Logistic l = logistic(static_cast<double>(q[2 * b]), solved);
    halt_loss[b] = l.loss;
    if (dq == nullptr) return;
    dq[2 * b] = static_cast<float>(scale * (l.sigma - solved));
    dq[2 * b + 1] = 0.0f;
}

__global__ void __launch_bounds__(THREADS)
    continue_kernel(const float* q, const float* next_q, const int32_t* steps, double* target, double* loss, float* dq,
                    int64_t B, int32_t max_steps, double scale) {
    const int64_t b = global_thread();
    if (b >= B) return;
    const float halts = next_q[2 * b], goes_on = next_q[2 * b + 1];
    const float better = halts > goes_on ? halts : goes_on;
    const double t = logistic(static_cast<double>(steps[b] >= max_steps ? halts : better), 0).sigma;
    const Logistic l = logistic(static_cast<double>(q[2 * b + 1]), t);
    target[b] = t;
    loss[b] = l.loss;
    dq[2 * b + 1] = static_cast<float>(scale * (l.sigma - t));
}

__global__ void __launch_bounds__(THREADS)
    drop_carry_kernel(const double* controls, int32_t* halted, double* halt_loss, double* continue_loss, float* dq,
                      int64_t B, int64_t from) {
    const int64_t b = global_thread();
    if (b >= B || !(controls[TRM_CTRL_STEP] < static_cast<double>(from))) return;
    halted[b] = 1;
    halt_loss[b] = 0;
    if (continue_loss != nullptr) continue_loss[b] = 0;
    dq[2 * b] = dq[2 * b + 1] = 0.0f;
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::halt(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* min_steps, int32_t* steps,
              int32_t* halted, int32_t* exact, double* halt_loss, float* dq, int64_t B, int32_t max_steps, int32_t rule,
              double scale, trm_stream stream) {
    TRM_CHECK(halt);
    if (max_steps == 1) rule = TRM_HALT_LAST;
    return launch(halt_kernel, divide_up(B, THREADS), THREADS, 0, stream, q, hits, labelled, min_steps, steps, halted,
                  exact, halt_loss, dq, B, max_steps, rule, scale);
}

int ops::continue_loss(const float* q, const float* next_q, const int32_t* steps, double* target, double* loss,
                       float* dq, int64_t B, int32_t max_steps, double scale, trm_stream stream) {
    TRM_CHECK(continue_loss);
    return launch(continue_kernel, divide_up(B, THREADS), THREADS, 0, stream, q, next_q, steps, target, loss, dq, B,
                  max_steps, scale);
}

int ops::drop_carry(const double* controls, int32_t* halted, double* halt_loss, double* continue_loss, float* dq,
                    int64_t B, int64_t from, trm_stream stream) {
    TRM_CHECK(drop_carry);
    return launch(drop_carry_kernel, divide_up(B, THREADS), THREADS, 0, stream, controls, halted, halt_loss,
                  continue_loss, dq, B, from);
}

}  // namespace trm
