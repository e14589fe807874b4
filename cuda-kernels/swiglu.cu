// swiglu.cu: the gate of a SwiGLU between its two products.
//
//   fwd   p = silu(g) u,  silu(a) = a sigma(a)
//   bwd   dg = dp u silu'(g),  du = dp silu(g),  silu'(a) = sigma(a) (1 + a (1 - sigma(a)));  p recomputed
//
// fp32: 1 - sigma is computed as exp(-a) sigma, without cancellation; exp(-a) stops at exp(88), so it stays finite.
// bf16: swiglu.cuh, as the fused products compute it.
//
// shapes    gu dgu [outer, 2, inner], g in front of u; p dp [outer, inner]; fp32 or bf16
// numerics  fp32, one rounding at the store
// aliasing  dgu may alias gu, and p dp: a thread reads its elements before it writes at the same places
// cost      3 elements moved an element of p, backward 5, with p 6: DRAM-bound
// paths     inner % 8 == 0 and 16-byte aligned: 16-byte accesses; else one element at a time

#include "ops.cuh"
#include "swiglu.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;

/** Index of a thread's pack: in p, and of its g in gu (u lies `inner` further). Packs do not cross rows. */
struct Place {
    int64_t row, column;
};

__device__ __forceinline__ Place place(int64_t inner) {
    Place p;
    divide(global_thread(), divide_up(inner, PACK), &p.row, &p.column);
    p.column *= PACK;
    return p;
}

__device__ __forceinline__ float exp_of_minus(float a) {
    return expf(fminf(-a, 88.0f));  // a NaN gives a number here; the factor a of both gradients keeps it NaN
}

/** silu of two neighbouring elements. */
template <typename T>
__device__ __forceinline__ float2 silu_of(float a, float b) {
    if (std::is_same<T, bf16>::value) return silu(a, b);
    return make_float2(a / (1.0f + exp_of_minus(a)), b / (1.0f + exp_of_minus(b)));
}

__device__ __forceinline__ float exact_silu(float a, float* slope) {
    const float e = exp_of_minus(a);
    const float sigma = 1.0f / (1.0f + e);
    *slope = sigma * (1.0f + a * (e * sigma));
    return a * sigma;
}

template <typename T>
__device__ __forceinline__ float2 silu_of(float a, float b, float2* slope) {
    if (std::is_same<T, bf16>::value) return silu(a, b, slope);
    return make_float2(exact_silu(a, &slope->x), exact_silu(b, &slope->y));
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    swiglu_fwd_kernel(const T* gu, T* p, int64_t outer, int64_t inner, bool wide) {
    const Place at = place(inner);
    if (at.row >= outer) return;
    const int64_t count = inner - at.column;
    const T* from = gu + at.row * 2 * inner + at.column;
    const Pack<T> g = load_pack(from, count, wide);
    const Pack<T> u = load_pack(from + inner, count, wide);
    Pack<T> out;
#pragma unroll
    for (int i = 0; i < PACK; i += 2) {
        const float2 s = silu_of<T>(to_float(g.v[i]), to_float(g.v[i + 1]));
        out.v[i] = from_float<T>(s.x * to_float(u.v[i]));
        out.v[i + 1] = from_float<T>(s.y * to_float(u.v[i + 1]));
    }
    store_pack(p + at.row * inner + at.column, out, count, wide);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    swiglu_bwd_kernel(const T* gu, const T* dp, T* dgu, T* p, int64_t outer, int64_t inner, bool wide) {
    const Place at = place(inner);
    if (at.row >= outer) return;
    const int64_t count = inner - at.column, gate = at.row * 2 * inner + at.column;
    const Pack<T> g = load_pack(gu + gate, count, wide);
    const Pack<T> u = load_pack(gu + gate + inner, count, wide);
    const Pack<T> d = load_pack(dp + at.row * inner + at.column, count, wide);
    Pack<T> dg, du, recomputed;
#pragma unroll
    for (int i = 0; i < PACK; i += 2) {
        float2 slope;
        const float2 s = silu_of<T>(to_float(g.v[i]), to_float(g.v[i + 1]), &slope);
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const float dout = to_float(d.v[i + j]), up = to_float(u.v[i + j]);
            const float value = j == 0 ? s.x : s.y;
            dg.v[i + j] = from_float<T>(dout * up * (j == 0 ? slope.x : slope.y));
            du.v[i + j] = from_float<T>(dout * value);
            recomputed.v[i + j] = from_float<T>(value * up);
        }
    }
    store_pack(dgu + gate, dg, count, wide);
    store_pack(dgu + gate + inner, du, count, wide);
    if (p != nullptr) store_pack(p + at.row * inner + at.column, recomputed, count, wide);
}

template <typename T>
int forward(const void* gu, void* p, int64_t outer, int64_t inner, trm_stream stream) {
    return launch(swiglu_fwd_kernel<T>, divide_up(outer * divide_up(inner, PACK), THREADS), THREADS, 0, stream,
                  static_cast<const T*>(gu), static_cast<T*>(p), outer, inner, inner % PACK == 0 && aligned(16, gu, p));
}

template <typename T>
int backward(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int64_t inner, trm_stream stream) {
    return launch(swiglu_bwd_kernel<T>, divide_up(outer * divide_up(inner, PACK), THREADS), THREADS, 0, stream,
                  static_cast<const T*>(gu), static_cast<const T*>(dp), static_cast<T*>(dgu), static_cast<T*>(p), outer,
                  inner, inner % PACK == 0 && aligned(16, gu, dp, dgu, p));
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::swiglu(const void* gu, void* p, int64_t outer, int64_t inner, int32_t dtype, trm_stream stream) {
    TRM_CHECK(swiglu);
    return dtype == TRM_F32 ? forward<float>(gu, p, outer, inner, stream) : forward<bf16>(gu, p, outer, inner, stream);
}

int ops::swiglu_bwd(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int64_t inner, int32_t dtype,
                    trm_stream stream) {
    TRM_CHECK(swiglu_bwd);
    return dtype == TRM_F32 ? backward<float>(gu, dp, dgu, p, outer, inner, stream)
                            : backward<bf16>(gu, dp, dgu, p, outer, inner, stream);
}

}  // namespace trm
