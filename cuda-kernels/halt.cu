// halt.cu: the halting rule with its loss.
//
//   halt  BCE(q, t) = log(1 + e^q) - t q,  derivative sigma(q) - t,  with t = exact
//
// shapes    q dq [B, 2] fp32; the rest [B]: int32, losses fp64
// numerics  fp64
// cost      some 40 bytes a lane: nothing; a thread a lane

#include "ops.cuh"

namespace trm {
namespace {

constexpr int THREADS = 128;

__global__ void __launch_bounds__(THREADS)
    halt_kernel(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* min_steps, int32_t* steps,
                int32_t* halted, int32_t* exact, double* halt_loss, float* dq, int64_t B, int32_t max_steps, bool early,
                double scale) {
    const int64_t b = global_thread();
    if (b >= B) return;
    const double logit = static_cast<double>(q[2 * b]);
    const int32_t solved = hits[b] == labelled[b], step = steps[b] + 1;
    const bool last = step >= max_steps;
    steps[b] = step;
    exact[b] = solved;
    halted[b] = early ? (last || logit > 0) && step >= min_steps[b] : last;
    const double e = exp(-fabs(logit));  // log(1 + e^q) = max(q, 0) + log(1 + e^-|q|)
    halt_loss[b] = (logit < 0 ? 0 : logit) + log1p(e) - (solved ? logit : 0);
    if (dq == nullptr) return;
    const double sigma = logit < 0 ? e / (1 + e) : 1 / (1 + e);
    dq[2 * b] = static_cast<float>(scale * (sigma - solved));
    dq[2 * b + 1] = 0.0f;
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::halt(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* min_steps, int32_t* steps,
              int32_t* halted, int32_t* exact, double* halt_loss, float* dq, int64_t B, int32_t max_steps,
              int32_t training, double scale, trm_stream stream) {
    TRM_REQUIRE(q != nullptr && hits != nullptr && labelled != nullptr && steps != nullptr && halted != nullptr &&
                    exact != nullptr && halt_loss != nullptr,
                "halt: q, hits, labelled, steps, halted, exact or halt_loss is NULL");
    TRM_REQUIRE(B > 0 && max_steps > 0, "halt: B=%lld max_steps=%d must be positive", static_cast<long long>(B),
                max_steps);
    const bool early = training != 0 && max_steps > 1;
    TRM_REQUIRE(!early || min_steps != nullptr, "halt: min_steps is NULL in training");
    return launch("halt", halt_kernel, divide_up(B, THREADS), THREADS, 0, stream, q, hits, labelled, min_steps, steps,
                  halted, exact, halt_loss, dq, B, max_steps, early, scale);
}

}  // namespace trm
