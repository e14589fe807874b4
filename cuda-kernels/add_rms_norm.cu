// add_rms_norm.cu: y = rms_norm(h + f), the post-norm of a residual branch over channels, forward and backward.
//
//   fwd   r = h + f        s = 1 / sqrt(mean_D(r*r) + eps)        y = s*r        u = y + c  (optional)
//   bwd   dr = s * (dy - y * mean_D(dy*y)),  and dr is the gradient of both h and f
//
// There is no gain vector. Backward needs y and s but not r: y is kept anyway as the next layer's input, so this op
// adds one float per row to the tape. u is the input of the next application of f (y + z, or z + (x + y)), computed
// while y is still in registers; it is computed from the rounded y, so it has the bits of a separate add. What a later
// op adds to the gradient of y through u is the caller's to sum into dy.
//
// shapes    h f c y u dy dr [rows, D] fp32 or bf16 row-major;   s [rows] fp32
// numerics  fp32 sums in a fixed order, one rounding at the store, no atomics: equal inputs give equal bits
// cost      3*rows*D elements moved each way (5 forward with u), about 1 FLOP/byte: DRAM-bound
// paths     D % 8 == 0, D <= 1024, 16-byte aligned: 16-byte accesses, the row stays in registers between the passes;
//           any other D or alignment: one element at a time, the second pass reads the row again (from L1 or L2)

#include "ops.cuh"

namespace trm {
namespace {

constexpr int WARPS_PER_BLOCK = 4, THREADS = WARPS_PER_BLOCK * WARP;

/** The row of this warp. Rows are independent, so a warp past the end leaves as a whole and no barrier is missed. */
__device__ __forceinline__ int64_t row_of_warp() {
    return static_cast<int64_t>(blockIdx.x) * WARPS_PER_BLOCK + threadIdx.x / WARP;
}

// ---- forward ------------------------------------------------------------------------------------------------------
// No pointer is __restrict__: y and u may alias h, f or c, because each element is read before it is written, by the
// same thread.

/** PACKS packs a thread: neighbouring threads hold neighbouring packs, so each access of the warp covers 512 bytes. */
template <typename T, int PACKS, bool WITH_U>
__global__ void __launch_bounds__(THREADS) add_rms_norm_fwd_kernel(const T* h, const T* f, const T* c, T* y, T* u,
                                                                   float* s, int64_t rows, int32_t D, float eps) {
    const int64_t row = row_of_warp();
    if (row >= rows) return;
    const int lane_id = threadIdx.x % WARP;
    const int64_t start = row * D;

    float r[PACKS][PACK];
    float sum = 0.0f;
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int d = (p * WARP + lane_id) * PACK;
        if (d < D) {
            const Pack<T> hp = load_pack(h + start + d);
            const Pack<T> fp = load_pack(f + start + d);
#pragma unroll
            for (int i = 0; i < PACK; i++) {
                r[p][i] = to_float(hp.v[i]) + to_float(fp.v[i]);
                sum += r[p][i] * r[p][i];
            }
        }
    }
    const float scale = 1.0f / sqrtf(warp_sum(sum) / static_cast<float>(D) + eps);
    if (lane_id == 0) s[row] = scale;

#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int d = (p * WARP + lane_id) * PACK;
        if (d < D) {
            Pack<T> yp;
#pragma unroll
            for (int i = 0; i < PACK; i++) yp.v[i] = from_float<T>(scale * r[p][i]);
            if (WITH_U) {
                const Pack<T> cp = load_pack(c + start + d);
                Pack<T> up;
#pragma unroll
                for (int i = 0; i < PACK; i++) up.v[i] = from_float<T>(to_float(yp.v[i]) + to_float(cp.v[i]));
                store_pack(u + start + d, up);
            }
            store_pack(y + start + d, yp);
        }
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_rms_norm_fwd_scalar_kernel(const T* h, const T* f, const T* c, T* y, T* u, float* s, int64_t rows, int32_t D,
                                   float eps) {
    const int64_t row = row_of_warp();
    if (row >= rows) return;
    const int lane_id = threadIdx.x % WARP;
    const int64_t start = row * D;

    float sum = 0.0f;
    for (int64_t d = lane_id; d < D; d += WARP) {
        const float r = to_float(h[start + d]) + to_float(f[start + d]);
        sum += r * r;
    }
    const float scale = 1.0f / sqrtf(warp_sum(sum) / static_cast<float>(D) + eps);
    if (lane_id == 0) s[row] = scale;

    for (int64_t d = lane_id; d < D; d += WARP) {
        const T rounded = from_float<T>(scale * (to_float(h[start + d]) + to_float(f[start + d])));
        if (c != nullptr) u[start + d] = from_float<T>(to_float(rounded) + to_float(c[start + d]));
        y[start + d] = rounded;
    }
}

// ---- backward -----------------------------------------------------------------------------------------------------
// dr may alias dy or y, for the same reason.

template <typename T, int PACKS>
__global__ void __launch_bounds__(THREADS)
    add_rms_norm_bwd_kernel(const T* dy, const T* y, const float* s, T* dr, int64_t rows, int32_t D) {
    const int64_t row = row_of_warp();
    if (row >= rows) return;
    const int lane_id = threadIdx.x % WARP;
    const int64_t start = row * D;

    // Kept as loaded, not widened: in bf16 half the registers, and the conversion is a shift.
    Pack<T> g[PACKS];
    Pack<T> v[PACKS];
    float dot = 0.0f;
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int d = (p * WARP + lane_id) * PACK;
        if (d < D) {
            g[p] = load_pack(dy + start + d);
            v[p] = load_pack(y + start + d);
#pragma unroll
            for (int i = 0; i < PACK; i++) dot += to_float(g[p].v[i]) * to_float(v[p].v[i]);
        }
    }
    const float mean = warp_sum(dot) / static_cast<float>(D);
    const float scale = s[row];

#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int d = (p * WARP + lane_id) * PACK;
        if (d < D) {
            Pack<T> out;
#pragma unroll
            for (int i = 0; i < PACK; i++)
                out.v[i] = from_float<T>(scale * (to_float(g[p].v[i]) - to_float(v[p].v[i]) * mean));
            store_pack(dr + start + d, out);
        }
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_rms_norm_bwd_scalar_kernel(const T* dy, const T* y, const float* s, T* dr, int64_t rows, int32_t D) {
    const int64_t row = row_of_warp();
    if (row >= rows) return;
    const int lane_id = threadIdx.x % WARP;
    const int64_t start = row * D;

    float dot = 0.0f;
    for (int64_t d = lane_id; d < D; d += WARP) dot += to_float(dy[start + d]) * to_float(y[start + d]);
    const float mean = warp_sum(dot) / static_cast<float>(D);
    const float scale = s[row];

    for (int64_t d = lane_id; d < D; d += WARP)
        dr[start + d] = from_float<T>(scale * (to_float(dy[start + d]) - to_float(y[start + d]) * mean));
}

// ---- launch choice ------------------------------------------------------------------------------------------------

/** Packs of eight a thread holds in registers; 0: the scalar path. Pure host function: testable without a GPU. */
int packs_for(int32_t D, bool aligned16) {
    if (!aligned16 || D % PACK != 0) return 0;
    const int needed = (D + WARP * PACK - 1) / (WARP * PACK);
    return needed == 1 ? 1 : needed == 2 ? 2 : needed <= 4 ? 4 : 0;
}

template <typename T, bool WITH_U>
auto fwd_kernel_for(int packs) {
    return packs == 1   ? add_rms_norm_fwd_kernel<T, 1, WITH_U>
           : packs == 2 ? add_rms_norm_fwd_kernel<T, 2, WITH_U>
           : packs == 4 ? add_rms_norm_fwd_kernel<T, 4, WITH_U>
                        : add_rms_norm_fwd_scalar_kernel<T>;
}

template <typename T>
auto bwd_kernel_for(int packs) {
    return packs == 1   ? add_rms_norm_bwd_kernel<T, 1>
           : packs == 2 ? add_rms_norm_bwd_kernel<T, 2>
           : packs == 4 ? add_rms_norm_bwd_kernel<T, 4>
                        : add_rms_norm_bwd_scalar_kernel<T>;
}

template <typename T>
int forward(const void* h, const void* f, const void* c, void* y, void* u, float* s, int64_t rows, int32_t D, float eps,
            trm_stream stream) {
    const int packs = packs_for(D, aligned(16, h, f, c, y, u));
    const auto kernel = c == nullptr ? fwd_kernel_for<T, false>(packs) : fwd_kernel_for<T, true>(packs);
    return launch(kernel, divide_up(rows, WARPS_PER_BLOCK), THREADS, 0, stream, static_cast<const T*>(h),
                  static_cast<const T*>(f), static_cast<const T*>(c), static_cast<T*>(y), static_cast<T*>(u), s, rows,
                  D, eps);
}

template <typename T>
int backward(const void* dy, const void* y, const float* s, void* dr, int64_t rows, int32_t D, trm_stream stream) {
    return launch(bwd_kernel_for<T>(packs_for(D, aligned(16, dy, y, dr))), divide_up(rows, WARPS_PER_BLOCK), THREADS, 0,
                  stream, static_cast<const T*>(dy), static_cast<const T*>(y), s, static_cast<T*>(dr), rows, D);
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::add_rms_norm(const void* h, const void* f, const void* c, void* y, void* u, float* s, int64_t rows, int32_t D,
                      float eps, int32_t dtype, trm_stream stream) {
    TRM_CHECK(add_rms_norm);
    return dtype == TRM_F32 ? forward<float>(h, f, c, y, u, s, rows, D, eps, stream)
                            : forward<bf16>(h, f, c, y, u, s, rows, D, eps, stream);
}

int ops::add_rms_norm_bwd(const void* dy, const void* y, const float* s, void* dr, int64_t rows, int32_t D,
                          int32_t dtype, trm_stream stream) {
    TRM_CHECK(add_rms_norm_bwd);
    return dtype == TRM_F32 ? backward<float>(dy, y, s, dr, rows, D, stream)
                            : backward<bf16>(dy, y, s, dr, rows, D, stream);
}

}  // namespace trm
