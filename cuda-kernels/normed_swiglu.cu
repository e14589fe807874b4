// normed_swiglu.cu: the gate of a normed SwiGLU between its two products: sigma(g) * rms_norm(g * u), the norm over I.
//
//   fwd   a = g u,  r = 1 / sqrt(mean_I(a^2) + eps),  n = r a,  p = sigma(g) n
//   bwd   dn = dp sigma(g),  da = r (dn - n mean_I(dn n));  dg = dp n sigma(g) (1 - sigma(g)) + da u,  du = da g
//
// 1 - sigma is computed as exp(-g) sigma, without cancellation; exp(-g) stops at exp(80), within
// what the fast division takes; that has no slow path, whose calls would spill.
//
// shapes    gu dgu [outer, 2, I, inner], g in front of u; p dp [outer, I, inner]; fp32 or bf16
// numerics  fp32 sums in an order that depends on the shapes alone; one rounding at the store; r is computed anew by
//           backward, in the same order, so that p has the same bits
// aliasing  dgu may alias gu, and p dp: only the thread that writes an element reads it, and it reads the element for the
//           last time before it writes
// cost      3 elements moved an element of p and 2 again, from L2 if it still holds them; backward 5 and 6: DRAM-bound
// paths     inner = 1 (over channels): a warp a norm. Else (over positions) a block has a slab of 256 columns, whose rows
//           its warps share. I, or inner, % 8 == 0 and 16-byte aligned: 16-byte accesses; else one element at a time

#include "ops.cuh"
#include "slab.cuh"

namespace trm {
namespace {

constexpr int ROWS_PER_BLOCK = 4, ROW_THREADS = ROWS_PER_BLOCK * WARP;
constexpr int SLAB_WARPS = 8, SLAB_THREADS = SLAB_WARPS * WARP;  // with 16 the gradient spills

struct Sigmoid {
    float sigma, rest;  // rest = 1 - sigma
};

__device__ __forceinline__ Sigmoid sigmoid(float g) {
    const float e = expf(fminf(-g, 80.0f));  // a NaN gives a number here; n keeps it NaN
    const float sigma = __fdividef(1.0f, 1.0f + e);
    return {sigma, e * sigma};
}

// ---- a pack of elements: of one norm (inner = 1), or of eight -------------------------------------------------------

/** Adds the squares of a, element by element. */
template <typename T>
__device__ __forceinline__ void add_squares(const Pack<T>& g, const Pack<T>& u, float (&sum)[PACK]) {
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        const float a = to_float(g.v[i]) * to_float(u.v[i]);
        sum[i] += a * a;
    }
}

/** Adds dn n, element by element. */
template <typename T>
__device__ __forceinline__ void add_products(const Pack<T>& g, const Pack<T>& u, const Pack<T>& dp,
                                             const float (&r)[PACK], float (&sum)[PACK]) {
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        const float gate = to_float(g.v[i]);
        sum[i] += to_float(dp.v[i]) * sigmoid(gate).sigma * (r[i] * (gate * to_float(u.v[i])));
    }
}

template <typename T>
__device__ __forceinline__ Pack<T> gated(const Pack<T>& g, const Pack<T>& u, const float (&r)[PACK]) {
    Pack<T> p;
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        const float gate = to_float(g.v[i]);
        p.v[i] = from_float<T>(sigmoid(gate).sigma * (r[i] * (gate * to_float(u.v[i]))));
    }
    return p;
}

/** g, u and dp become dg, du and p. */
template <typename T>
__device__ __forceinline__ void gradients(Pack<T>& g, Pack<T>& u, Pack<T>& dp, const float (&r)[PACK],
                                          const float (&mean)[PACK]) {
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        const float gate = to_float(g.v[i]), up = to_float(u.v[i]), d = to_float(dp.v[i]);
        const Sigmoid s = sigmoid(gate);
        const float n = r[i] * (gate * up);
        const float da = r[i] * (d * s.sigma - n * mean[i]);
        g.v[i] = from_float<T>(d * n * (s.sigma * s.rest) + da * up);
        u.v[i] = from_float<T>(da * gate);
        dp.v[i] = from_float<T>(s.sigma * n);
    }
}

__device__ __forceinline__ float scale_of(float sum, int32_t I, float eps) {
    return 1.0f / sqrtf(sum / static_cast<float>(I) + eps);
}

// ---- inner = 1: a warp a norm ---------------------------------------------------------------------------------------

/** The sum over the warp's row; a thread's eight sums in pairs, the same bits in every thread. */
__device__ __forceinline__ float row_sum(const float (&v)[PACK]) {
    return warp_sum(((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])));
}

__device__ __forceinline__ void fill(float (&v)[PACK], float value) {
#pragma unroll
    for (int i = 0; i < PACK; i++) v[i] = value;
}

/** r of the row of g and u [I]. */
template <typename T>
__device__ __forceinline__ float row_scale(const T* g, const T* u, int32_t I, float eps, bool wide) {
    float sum[PACK] = {};
    for (int32_t i = static_cast<int32_t>(threadIdx.x) % WARP * PACK; i < I; i += WARP * PACK)
        add_squares(load_pack(g + i, I - i, wide), load_pack(u + i, I - i, wide), sum);
    return scale_of(row_sum(sum), I, eps);
}

template <typename T>
__global__ void __launch_bounds__(ROW_THREADS)
    normed_swiglu_rows_kernel(const T* gu, T* p, int64_t rows, int32_t I, float eps, bool wide) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * ROWS_PER_BLOCK + threadIdx.x / WARP;
    if (row >= rows) return;
    const T *g = gu + row * 2 * I, *u = g + I;
    float r[PACK];
    fill(r, row_scale(g, u, I, eps, wide));
    for (int32_t i = static_cast<int32_t>(threadIdx.x) % WARP * PACK; i < I; i += WARP * PACK)
        store_pack(p + row * I + i, gated(load_pack(g + i, I - i, wide), load_pack(u + i, I - i, wide), r), I - i,
                   wide);
}

template <typename T>
__global__ void __launch_bounds__(ROW_THREADS)
    normed_swiglu_rows_bwd_kernel(const T* gu, const T* dp, T* dgu, T* p, int64_t rows, int32_t I, float eps,
                                  bool wide) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * ROWS_PER_BLOCK + threadIdx.x / WARP;
    if (row >= rows) return;
    const T *g = gu + row * 2 * I, *u = g + I, *d = dp + row * I;
    const int32_t first = static_cast<int32_t>(threadIdx.x) % WARP * PACK;
    float r[PACK], mean[PACK], sum[PACK] = {};
    fill(r, row_scale(g, u, I, eps, wide));
    for (int32_t i = first; i < I; i += WARP * PACK)
        add_products(load_pack(g + i, I - i, wide), load_pack(u + i, I - i, wide), load_pack(d + i, I - i, wide), r,
                     sum);
    fill(mean, row_sum(sum) / static_cast<float>(I));
    for (int32_t i = first; i < I; i += WARP * PACK) {
        Pack<T> gp = load_pack(g + i, I - i, wide), up = load_pack(u + i, I - i, wide);
        Pack<T> out = load_pack(d + i, I - i, wide);
        gradients(gp, up, out, r, mean);
        store_pack(dgu + row * 2 * I + i, gp, I - i, wide);
        store_pack(dgu + row * 2 * I + I + i, up, I - i, wide);
        if (p != nullptr) store_pack(p + row * I + i, out, I - i, wide);
    }
}

// ---- inner > 1: a block a slab of columns ---------------------------------------------------------------------------

template <typename T>
__device__ __forceinline__ void column_scales(const T* g, const T* u, int32_t I, int64_t inner, int64_t count,
                                              float eps, bool wide, float (&r)[PACK]) {
    fill(r, 0.0f);
    for (int32_t i = threadIdx.x / WARP; count > 0 && i < I; i += SLAB_WARPS)
        add_squares(load_pack(g + i * inner, count, wide), load_pack(u + i * inner, count, wide), r);
    slab::sum_warps<SLAB_WARPS>(r);
#pragma unroll
    for (int k = 0; k < PACK; k++) r[k] = scale_of(r[k], I, eps);
}

template <typename T>
__global__ void __launch_bounds__(SLAB_THREADS)
    normed_swiglu_columns_kernel(const T* gu, T* p, int32_t I, int32_t inner, float eps, bool wide) {
    const slab::Place at = slab::place<PACK>(2 * I, inner);
    const int64_t count = inner - at.channel;  // columns of this thread, none if it is not positive
    const T *g = gu + at.at, *u = g + static_cast<int64_t>(I) * inner;
    T* out = p + at.b * I * inner + at.channel;
    float r[PACK];
    column_scales(g, u, I, inner, count, eps, wide, r);
    for (int32_t i = threadIdx.x / WARP; count > 0 && i < I; i += SLAB_WARPS) {
        const int64_t row = static_cast<int64_t>(i) * inner;
        store_pack(out + row, gated(load_pack(g + row, count, wide), load_pack(u + row, count, wide), r), count, wide);
    }
}

template <typename T>
__global__ void __launch_bounds__(SLAB_THREADS)
    normed_swiglu_columns_bwd_kernel(const T* gu, const T* dp, T* dgu, T* p, int32_t I, int32_t inner, float eps,
                                     bool wide) {
    const slab::Place at = slab::place<PACK>(2 * I, inner);
    const int64_t count = inner - at.channel, half = static_cast<int64_t>(I) * inner;
    const int64_t outer = at.b * half + at.channel;
    const T *g = gu + at.at, *u = g + half, *d = dp + outer;
    T* dg = dgu + at.at;
    float r[PACK], mean[PACK] = {};
    column_scales(g, u, I, inner, count, eps, wide, r);
    for (int32_t i = threadIdx.x / WARP; count > 0 && i < I; i += SLAB_WARPS) {
        const int64_t row = static_cast<int64_t>(i) * inner;
        add_products(load_pack(g + row, count, wide), load_pack(u + row, count, wide), load_pack(d + row, count, wide),
                     r, mean);
    }
    slab::sum_warps<SLAB_WARPS>(mean);
#pragma unroll
    for (int k = 0; k < PACK; k++) mean[k] /= static_cast<float>(I);
    for (int32_t i = threadIdx.x / WARP; count > 0 && i < I; i += SLAB_WARPS) {
        const int64_t row = static_cast<int64_t>(i) * inner;
        Pack<T> gp = load_pack(g + row, count, wide), up = load_pack(u + row, count, wide);
        Pack<T> out = load_pack(d + row, count, wide);
        gradients(gp, up, out, r, mean);
        store_pack(dg + row, gp, count, wide);
        store_pack(dg + half + row, up, count, wide);
        if (p != nullptr) store_pack(p + outer + row, out, count, wide);
    }
}

// ---- launch choice ------------------------------------------------------------------------------------------------

template <typename T>
int forward(const void* gu, void* p, int64_t outer, int32_t I, int32_t inner, float eps, trm_stream stream) {
    const bool wide = (inner == 1 ? I : inner) % PACK == 0 && aligned(16, gu, p);
    if (inner == 1)
        return launch(normed_swiglu_rows_kernel<T>, divide_up(outer, ROWS_PER_BLOCK), ROW_THREADS, 0, stream,
                      static_cast<const T*>(gu), static_cast<T*>(p), outer, I, eps, wide);
    return launch(normed_swiglu_columns_kernel<T>, outer * divide_up(inner, WARP * PACK), SLAB_THREADS, 0, stream,
                  static_cast<const T*>(gu), static_cast<T*>(p), I, inner, eps, wide);
}

template <typename T>
int backward(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int32_t I, int32_t inner, float eps,
             trm_stream stream) {
    const bool wide = (inner == 1 ? I : inner) % PACK == 0 && aligned(16, gu, dp, dgu, p);
    if (inner == 1)
        return launch(normed_swiglu_rows_bwd_kernel<T>, divide_up(outer, ROWS_PER_BLOCK), ROW_THREADS, 0, stream,
                      static_cast<const T*>(gu), static_cast<const T*>(dp), static_cast<T*>(dgu), static_cast<T*>(p),
                      outer, I, eps, wide);
    return launch(normed_swiglu_columns_bwd_kernel<T>, outer * divide_up(inner, WARP * PACK), SLAB_THREADS, 0, stream,
                  static_cast<const T*>(gu), static_cast<const T*>(dp), static_cast<T*>(dgu), static_cast<T*>(p), I,
                  inner, eps, wide);
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::normed_swiglu(const void* gu, void* p, int64_t outer, int32_t I, int32_t inner, float eps, int32_t dtype,
                       trm_stream stream) {
    TRM_CHECK(normed_swiglu);
    return dtype == TRM_F32 ? forward<float>(gu, p, outer, I, inner, eps, stream)
                            : forward<bf16>(gu, p, outer, I, inner, eps, stream);
}

int ops::normed_swiglu_bwd(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int32_t I, int32_t inner,
                           float eps, int32_t dtype, trm_stream stream) {
    TRM_CHECK(normed_swiglu_bwd);
    return dtype == TRM_F32 ? backward<float>(gu, dp, dgu, p, outer, I, inner, eps, stream)
                            : backward<bf16>(gu, dp, dgu, p, outer, I, inner, eps, stream);
}

}  // namespace trm
