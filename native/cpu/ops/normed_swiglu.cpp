// normed_swiglu.cpp: the gate of a normed SwiGLU between its two products: sigma(g) * rms_norm(g * u), the norm over I.
//
//   fwd   a = g u,  r = 1 / sqrt(mean_I(a^2) + eps),  n = r a,  p = sigma(g) n
//   bwd   dn = dp sigma(g),  da = r (dn - n mean_I(dn n));  dg = dp n sigma(g) (1 - sigma(g)) + da u,  du = da g
//
// gu [outer, 2, I, inner] holds g and u side by side. Over channels inner is 1, a norm runs along a row. Over positions
// inner is D, a norm runs down the rows, a channel an element of a vector.
// 1 - sigma is computed as exp(-g) sigma, without cancellation; r is computed anew by backward, in the same order.
//
// numerics  r and the means in float32; one rounding at the store
// aliasing  dgu may alias gu, and p dp: what a norm runs over is read whole before its first store, and each element once
//           more before its own
// cost      memory-bound for large tensors. A task is about CHUNK elements of p, or 64 channels of an outer element
#include "ops.h"

namespace trm {
namespace TRM_ISA {

struct Gradients {
    vf dg, du, p;
};

TRM_INLINE vf gated(vf g, vf u, vf r) { return sigmoid_v(g).sigma * (r * (g * u)); }

// With the mean of dn n over I.
TRM_INLINE Gradients gradients(vf g, vf u, vf dp, vf r, vf mean) {
    const auto [sigma, e] = sigmoid_v(g);
    const vf n = r * (g * u);
    const vf da = r * (dp * sigma - n * mean);
    return {dp * n * (sigma * (e * sigma)) + da * u, da * g, sigma * n};
}

// ---- inner = 1: along rows ----------------------------------------------------------------------------------------

template <class T>
TRM_INLINE float row_scale(const T* g, const T* u, int32_t I, float eps) {
    const float sum = sum16(I, [=](int64_t i, int k) TRM_LAMBDA {
        const vf a = load(g + i, k) * load(u + i, k);
        return a * a;
    });
    return 1.0f / __builtin_sqrtf(sum / (float) I + eps);
}

template <class F>
static void each_row(int64_t rows, int32_t I, F body) {
    const int64_t block = CHUNK > I ? CHUNK / I : 1;
    parallel_for(divide_up(rows, block), 2.0 * (double) block * I, [=](int64_t task) {
        for (int64_t row = task * block; row < least(rows, (task + 1) * block); row++) body(row);
    });
}

template <class T>
static void forward_rows(const T* gu, T* p, int64_t rows, int32_t I, float eps) {
    each_row(rows, I, [=](int64_t row) {
        const T *g = gu + row * 2 * I, *u = g + I;
        T* out = p + row * I;
        const vf r = splat(row_scale(g, u, I, eps));
        vectors(I, [=](int64_t i, int k) TRM_LAMBDA { store(out + i, gated(load(g + i, k), load(u + i, k), r), k); });
    });
}

template <class T>
static void backward_rows(const T* gu, const T* dp, T* dgu, T* p, int64_t rows, int32_t I, float eps) {
    each_row(rows, I, [=](int64_t row) {
        const T *g = gu + row * 2 * I, *u = g + I, *d = dp + row * I;
        T *dg = dgu + row * 2 * I, *du = dg + I;
        T* again = p == nullptr ? nullptr : p + row * I;
        const float r = row_scale(g, u, I, eps);
        const float sum = sum16(I, [=](int64_t i, int k) TRM_LAMBDA {
            const vf a = load(g + i, k);
            return load(d + i, k) * sigmoid_v(a).sigma * (r * (a * load(u + i, k)));
        });
        const vf mean = splat(sum / (float) I);
        vectors(I, [=](int64_t i, int k) TRM_LAMBDA {
            const Gradients v = gradients(load(g + i, k), load(u + i, k), load(d + i, k), splat(r), mean);
            if (again != nullptr) store(again + i, v.p, k);
            store(dg + i, v.dg, k);
            store(du + i, v.du, k);
        });
    });
}

// ---- inner > 1: down the rows -------------------------------------------------------------------------------------

static constexpr int64_t CHANNELS = 64;

template <class T>
TRM_INLINE vf column_scale(const T* g, const T* u, int32_t I, int64_t inner, float eps, int k) {
    const vf sum = sum_down(I, [=](int32_t i) TRM_LAMBDA {
        const vf a = load(g + i * inner, k) * load(u + i * inner, k);
        return a * a;
    });
    return 1.0f / sqrt_v(sum / (float) I + eps);
}

// Runs body(o, c, k) for vectors of k channels from c on of each outer element.
template <class F>
static void each_column(int64_t outer, int32_t I, int64_t inner, F body) {
    const int64_t parts = divide_up(inner, CHANNELS);
    parallel_for(outer * parts, 2.0 * I * CHANNELS, [=](int64_t task) {
        const int64_t o = task / parts, first = task % parts * CHANNELS;
        vectors(least(CHANNELS, inner - first), [=](int64_t c, int k) TRM_LAMBDA { body(o, first + c, k); });
    });
}

template <class T>
static void forward_columns(const T* gu, T* p, int64_t outer, int32_t I, int64_t inner, float eps) {
    each_column(outer, I, inner, [=](int64_t o, int64_t c, int k) TRM_LAMBDA {
        const T *g = gu + o * 2 * I * inner + c, *u = g + I * inner;
        T* out = p + o * I * inner + c;
        const vf r = column_scale(g, u, I, inner, eps, k);
        for (int32_t i = 0; i < I; i++) {
            const int64_t at = i * inner;
            store(out + at, gated(load(g + at, k), load(u + at, k), r), k);
        }
    });
}

template <class T>
static void backward_columns(const T* gu, const T* dp, T* dgu, T* p, int64_t outer, int32_t I, int64_t inner,
                             float eps) {
    each_column(outer, I, inner, [=](int64_t o, int64_t c, int k) TRM_LAMBDA {
        const T *g = gu + o * 2 * I * inner + c, *u = g + I * inner, *d = dp + o * I * inner + c;
        T *dg = dgu + o * 2 * I * inner + c, *du = dg + I * inner;
        T* again = p == nullptr ? nullptr : p + o * I * inner + c;
        const vf r = column_scale(g, u, I, inner, eps, k);
        const vf sum = sum_down(I, [=](int32_t i) TRM_LAMBDA {
            const vf a = load(g + i * inner, k);
            return load(d + i * inner, k) * sigmoid_v(a).sigma * (r * (a * load(u + i * inner, k)));
        });
        const vf mean = sum / (float) I;
        for (int32_t i = 0; i < I; i++) {
            const int64_t at = i * inner;
            const Gradients v = gradients(load(g + at, k), load(u + at, k), load(d + at, k), r, mean);
            if (again != nullptr) store(again + at, v.p, k);
            store(dg + at, v.dg, k);
            store(du + at, v.du, k);
        }
    });
}

template <class T>
static void forward(const void* gu, void* p, int64_t outer, int32_t I, int64_t inner, float eps) {
    if (inner == 1)
        forward_rows((const T*) gu, (T*) p, outer, I, eps);
    else
        forward_columns((const T*) gu, (T*) p, outer, I, inner, eps);
}

template <class T>
static void backward(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int32_t I, int64_t inner,
                     float eps) {
    if (inner == 1)
        backward_rows((const T*) gu, (const T*) dp, (T*) dgu, (T*) p, outer, I, eps);
    else
        backward_columns((const T*) gu, (const T*) dp, (T*) dgu, (T*) p, outer, I, inner, eps);
}

int normed_swiglu(const void* gu, void* p, int64_t outer, int32_t I, int32_t inner, float eps, int32_t dtype,
                  trm_stream) {
    TRM_CHECK(normed_swiglu);
    if (dtype == TRM_F32)
        forward<float>(gu, p, outer, I, inner, eps);
    else
        forward<bf16>(gu, p, outer, I, inner, eps);
    return TRM_OK;
}

int normed_swiglu_bwd(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int32_t I, int32_t inner,
                      float eps, int32_t dtype, trm_stream) {
    TRM_CHECK(normed_swiglu_bwd);
    if (dtype == TRM_F32)
        backward<float>(gu, dp, dgu, p, outer, I, inner, eps);
    else
        backward<bf16>(gu, dp, dgu, p, outer, I, inner, eps);
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
