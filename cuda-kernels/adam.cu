// adam.cu: AdamATan2 or AdamW over the flat parameter buffer, with everything else that passes over it.
//
//   m += (1 - b1)(g - m)      v += (1 - b2)(g^2 - v)
//   ADAM_ATAN2  p = (1 - lr wd) p - lr / (1 - b1^t) atan2(m, sqrt(v) / sqrt(1 - b2^t))
//   ADAMW       p = (1 - lr wd) p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
//   ema = rate ema + (1 - rate) p, or p before step ema_from      bf16_copy = round(p)      g = 0
//
// numerics  fp32; the factors that depend on the step alone are computed in fp64, once a block, and rounded once
// cost      up to 42 bytes a parameter (read p g m v ema, write p g m v ema copy): DRAM-bound, one pass

#include "ops.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;
constexpr int64_t BLOCKS = 2048;  // at most: each computes the factors, then strides over the buffer

struct Rates {
    double weight_decay, ema_from;
    float rate1, rate2, epsilon, old_share, new_share;
};

template <int KIND>
__global__ void __launch_bounds__(THREADS) adam_kernel(float* p, float* g, float* m, float* v, float* ema, bf16* copies,
                                                       const double* controls, int64_t count, Rates rates, bool wide) {
    __shared__ float factors[3];
    __shared__ bool begun;
    if (threadIdx.x == 0) {
        const double lr = controls[TRM_CTRL_LR];
        factors[0] = static_cast<float>(1 - lr * rates.weight_decay);
        factors[1] = static_cast<float>(lr / controls[TRM_CTRL_CORRECTION1]);
        factors[2] = static_cast<float>(1 / sqrt(controls[TRM_CTRL_CORRECTION2]));
        begun = !(controls[TRM_CTRL_STEP] < rates.ema_from);
    }
    __syncthreads();
    const float keep = factors[0], step = factors[1], widen_v = factors[2];
    const bool averages = begun;
    const Pack<float> zeros = {};
    for (int64_t at = global_thread() * PACK; at < count; at += static_cast<int64_t>(gridDim.x) * THREADS * PACK) {
        const int64_t n = count - at;
        const Pack<float> grad = load_pack(g + at, n, wide);
        Pack<float> first = load_pack(m + at, n, wide), second = load_pack(v + at, n, wide);
        Pack<float> value = load_pack(p + at, n, wide);
#pragma unroll
        for (int i = 0; i < PACK; i++) {
            first.v[i] += rates.rate1 * (grad.v[i] - first.v[i]);
            second.v[i] += rates.rate2 * (grad.v[i] * grad.v[i] - second.v[i]);
            const float root = sqrtf(second.v[i]) * widen_v;
            const float direction =
                KIND == TRM_ADAM_ATAN2 ? atan2f(first.v[i], root) : first.v[i] / (root + rates.epsilon);
            value.v[i] = keep * value.v[i] - step * direction;
        }
        store_pack(m + at, first, n, wide);
        store_pack(v + at, second, n, wide);
        store_pack(p + at, value, n, wide);
        store_pack(g + at, zeros, n, wide);
        if (ema != nullptr) {
            Pack<float> average = load_pack(ema + at, n, wide);
#pragma unroll
            for (int i = 0; i < PACK; i++)
                average.v[i] = averages ? rates.old_share * average.v[i] + rates.new_share * value.v[i] : value.v[i];
            store_pack(ema + at, average, n, wide);
        }
        if (copies != nullptr) {
            Pack<bf16> rounded;
#pragma unroll
            for (int i = 0; i < PACK; i++) rounded.v[i] = from_float<bf16>(value.v[i]);
            store_pack(copies + at, rounded, n, wide);
        }
    }
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::adam(float* p, float* g, float* m, float* v, float* ema, void* bf16_copy, const double* controls,
              int64_t count, double beta1, double beta2, double weight_decay, double eps, double ema_rate,
              int64_t ema_from, int32_t kind, trm_stream stream) {
    TRM_CHECK(adam);
    const Rates rates = {weight_decay,
                         static_cast<double>(ema_from),
                         static_cast<float>(1 - beta1),
                         static_cast<float>(1 - beta2),
                         static_cast<float>(eps),
                         static_cast<float>(ema_rate),
                         static_cast<float>(1 - ema_rate)};
    const int64_t needed = divide_up(count, THREADS * PACK);
    return launch(kind == TRM_ADAM_ATAN2 ? adam_kernel<TRM_ADAM_ATAN2> : adam_kernel<TRM_ADAMW>,
                  needed < BLOCKS ? needed : BLOCKS, THREADS, 0, stream, p, g, m, v, ema, static_cast<bf16*>(bf16_copy),
                  controls, count, rates, aligned(16, p, g, m, v, ema, bf16_copy));
}

}  // namespace trm
