// relax.cu: a latent's update, damped and with noise, forward and backward.
//
//   fwd   state = (1 - lambda) state + lambda f + sigma eps
//   bwd   d_f = lambda d,   d = (1 - lambda) d          d: of the new state, then of the old
//
// shapes    f state [B, count], d d_f [count] in the compute type
// numerics  one expression in fp32, rounded at the store; eps as random.cuh draws it
// cost      3 elements moved each way: DRAM-bound without noise; with it some 100 integer operations a pack

#include "ops.cuh"
#include "random.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;

/** A thread takes a pack of a lane's elements: what two Philox calls draw. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    relax_kernel(const T* f, T* state, const double* controls, int64_t B, int64_t count, int64_t first_lane,
                 uint64_t seed, uint32_t number, float lambda, float keep, float sigma, bool wide) {
    const int64_t packs = divide_up(count, PACK);
    int64_t b, pack;
    divide(global_thread(), packs, &b, &pack);
    if (b >= B) return;
    const int64_t from = pack * PACK, at = b * count + from;
    const Pack<T> update = load_pack(f + at, count - from, wide);
    Pack<T> kept = load_pack(state + at, count - from, wide);
    float noise[PACK] = {};
    if (sigma != 0) {
        uint32_t w[PACK];
        words({seed, static_cast<uint32_t>(first_lane + b), current_step(controls), number}, from, w);
#pragma unroll
        for (int i = 0; i < PACK; i++) noise[i] = sigma * normal(w[i]);
    }
#pragma unroll
    for (int i = 0; i < PACK; i++)
        kept.v[i] = from_float<T>(keep * to_float(kept.v[i]) + lambda * to_float(update.v[i]) + noise[i]);
    store_pack(state + at, kept, count - from, wide);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    relax_bwd_kernel(T* d, T* d_f, int64_t count, float lambda, float keep, bool wide) {
    const int64_t at = global_thread() * PACK;
    if (at >= count) return;
    Pack<T> own = load_pack(d + at, count - at, wide), update;
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        const float g = to_float(own.v[i]);
        update.v[i] = from_float<T>(lambda * g);
        own.v[i] = from_float<T>(keep * g);
    }
    store_pack(d_f + at, update, count - at, wide);
    store_pack(d + at, own, count - at, wide);
}

template <typename T>
int launch_relax(const void* f, void* state, const double* controls, int64_t B, int64_t count, int64_t first_lane,
                 int64_t seed, int32_t draw, double lambda, double sigma, trm_stream stream) {
    const bool wide = count % PACK == 0 && aligned(16, f, state);
    return launch(relax_kernel<T>, divide_up(B * divide_up(count, PACK), THREADS), THREADS, 0, stream,
                  static_cast<const T*>(f), static_cast<T*>(state), controls, B, count, first_lane,
                  static_cast<uint64_t>(seed), static_cast<uint32_t>(draw), static_cast<float>(lambda),
                  static_cast<float>(1 - lambda), static_cast<float>(sigma), wide);
}

template <typename T>
int launch_relax_bwd(void* d, void* d_f, int64_t count, double lambda, trm_stream stream) {
    return launch(relax_bwd_kernel<T>, divide_up(count, THREADS * PACK), THREADS, 0, stream, static_cast<T*>(d),
                  static_cast<T*>(d_f), count, static_cast<float>(lambda), static_cast<float>(1 - lambda),
                  aligned(16, d, d_f));
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::relax(const void* f, void* state, const double* controls, int64_t B, int64_t count, int64_t first_lane,
               int64_t seed, int32_t draw, double lambda, double sigma, int32_t dtype, trm_stream stream) {
    TRM_CHECK(relax);
    return dtype == TRM_F32
               ? launch_relax<float>(f, state, controls, B, count, first_lane, seed, draw, lambda, sigma, stream)
               : launch_relax<bf16>(f, state, controls, B, count, first_lane, seed, draw, lambda, sigma, stream);
}

int ops::relax_bwd(void* d, void* d_f, int64_t count, double lambda, int32_t dtype, trm_stream stream) {
    TRM_CHECK(relax_bwd);
    return dtype == TRM_F32 ? launch_relax_bwd<float>(d, d_f, count, lambda, stream)
                            : launch_relax_bwd<bf16>(d, d_f, count, lambda, stream);
}

}  // namespace trm
