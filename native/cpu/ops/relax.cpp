// relax.cpp: a latent's update, damped and with noise, forward and backward.
//
//   fwd   state = (1 - lambda) state + lambda f + sigma eps
//   bwd   d_f = lambda d,   d = (1 - lambda) d          d: of the new state, then of the old
//
// numerics  one expression in float32, rounded at the store; eps as random.h draws it, whatever the number of threads
// cost      3 elements moved and, with noise, some 10 ns an element on one core: the draws bind
#include "random.h"
#include "ops.h"

namespace trm {
namespace TRM_ISA {

static constexpr int64_t BLOCK = 1024;  // elements of a lane whose noise lies on the stack

template <class T>
static void relax_all(const T* f, T* state, int64_t B, int64_t count, Draw first, float lambda, float keep,
                      float sigma) {
    const int64_t blocks = divide_up(count, BLOCK);
    parallel_for(B * blocks, sigma != 0 ? 1e4 : 500, [=](int64_t task) {
        const int64_t b = task / blocks, from = task % blocks * BLOCK, n = least(BLOCK, count - from);
        const int64_t at = b * count + from;
        alignas(64) float noise[BLOCK];
        if (sigma == 0) {
            vectors(n, [=](int64_t i, int k) TRM_LAMBDA {
                store(state + at + i, keep * load(state + at + i, k) + lambda * load(f + at + i, k), k);
            });
            return;
        }
        Draw draw = first;
        draw.lane += (uint32_t) b;
        deviates(draw, from, noise, n, [](uint32_t w) TRM_LAMBDA { return normal(w); });
        const float* eps = noise;
        vectors(n, [=](int64_t i, int k) TRM_LAMBDA {
            const vf damped = keep * load(state + at + i, k) + lambda * load(f + at + i, k);
            store(state + at + i, damped + sigma * load(eps + i, k), k);
        });
    });
}

template <class T>
static void relax_backward(T* d, T* d_f, int64_t count, float lambda, float keep) {
    parallel_for(divide_up(count, CHUNK), 4e3, [=](int64_t task) {
        const int64_t at = task * CHUNK;
        vectors(least(CHUNK, count - at), [=](int64_t i, int k) TRM_LAMBDA {
            const vf g = load(d + at + i, k);
            store(d_f + at + i, lambda * g, k);
            store(d + at + i, keep * g, k);
        });
    });
}

int relax(const void* f, void* state, const double* controls, int64_t B, int64_t count, int64_t first_lane,
          int64_t seed, int32_t draw, double lambda, double sigma, int32_t dtype, trm_stream) {
    TRM_CHECK(relax);
    const Draw first = {(uint64_t) seed, (uint32_t) first_lane,
                        sigma == 0 ? 0 : (uint32_t) (int64_t) controls[TRM_CTRL_STEP], (uint32_t) draw};
    const float keep = (float) (1 - lambda);
    if (dtype == TRM_F32)
        relax_all((const float*) f, (float*) state, B, count, first, (float) lambda, keep, (float) sigma);
    else
        relax_all((const bf16*) f, (bf16*) state, B, count, first, (float) lambda, keep, (float) sigma);
    return TRM_OK;
}

int relax_bwd(void* d, void* d_f, int64_t count, double lambda, int32_t dtype, trm_stream) {
    TRM_CHECK(relax_bwd);
    const float keep = (float) (1 - lambda);
    if (dtype == TRM_F32)
        relax_backward((float*) d, (float*) d_f, count, (float) lambda, keep);
    else
        relax_backward((bf16*) d, (bf16*) d_f, count, (float) lambda, keep);
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
