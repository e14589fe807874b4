// add_rms_norm_positions.cu: y = rms_norm(h + f) over the positions of a lane: the post-norm of a token mixer.
//
//   fwd   r = h + f        s = 1 / sqrt(mean_S(r*r) + eps)        y = s*r
//   bwd   dr = s * (dy - y * mean_S(dy*y)),  and dr is the gradient of both h and f
//
// shapes    h f y dy dr [B, S, D] fp32 or bf16 row-major;   s [B, D] fp32
// numerics  fp32 sums: a warp's positions in order, then the warps in order; one rounding at the store, no atomics
// aliasing  y may alias h or f, dr may alias dy or y: only the thread that writes an element reads it, and it reads the
//           element for the last time before it writes
// cost      3*B*S*D elements moved each way: DRAM-bound
// paths     S <= 128, D % 8 == 0, 16-byte aligned: 16-byte accesses; the values stay in registers between the passes
//           (backward in fp32 would need 128 registers for them and takes the other path);
//           else a thread has one channel, and the second pass reads again (from L2, if it still holds them)

#include "ops.cuh"
#include "slab.cuh"

namespace trm {
namespace {

using namespace slab;

constexpr int WARPS = 16, THREADS = WARPS * WARP;
constexpr int KEPT = 8;  // positions of a warp whose packs stay in registers
constexpr int KEPT_POSITIONS = WARPS * KEPT;

// ---- forward ------------------------------------------------------------------------------------------------------

template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_rms_norm_positions_fwd_kernel(const T* h, const T* f, T* y, float* s, int32_t S, int32_t D, float eps) {
    const Place p = place<PACK>(S, D);
    const bool inside = p.channel < D;
    const int warp = threadIdx.x / WARP;
    float r[KEPT][PACK];
    float scale[PACK] = {};
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
        const int32_t t = k * WARPS + warp;
        if (inside && t < S) {
            const Pack<T> hp = load_pack(h + p.at + static_cast<int64_t>(t) * D);
            const Pack<T> fp = load_pack(f + p.at + static_cast<int64_t>(t) * D);
#pragma unroll
            for (int i = 0; i < PACK; i++) {
                r[k][i] = to_float(hp.v[i]) + to_float(fp.v[i]);
                scale[i] += r[k][i] * r[k][i];
            }
        }
    }
    sum_warps<WARPS>(scale);
    if (!inside) return;
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        scale[i] = 1.0f / sqrtf(scale[i] / static_cast<float>(S) + eps);
        if (warp == 0) s[p.b * D + p.channel + i] = scale[i];
    }
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
        const int32_t t = k * WARPS + warp;
        if (t < S) {
            Pack<T> out;
#pragma unroll
            for (int i = 0; i < PACK; i++) out.v[i] = from_float<T>(scale[i] * r[k][i]);
            store_pack(y + p.at + static_cast<int64_t>(t) * D, out);
        }
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_rms_norm_positions_fwd_scalar_kernel(const T* h, const T* f, T* y, float* s, int32_t S, int32_t D, float eps) {
    const Place p = place<1>(S, D);
    const bool inside = p.channel < D;
    const int warp = threadIdx.x / WARP;
    float scale[1] = {};
    for (int32_t t = warp; inside && t < S; t += WARPS) {
        const int64_t at = p.at + static_cast<int64_t>(t) * D;
        const float r = to_float(h[at]) + to_float(f[at]);
        scale[0] += r * r;
    }
    sum_warps<WARPS>(scale);
    if (!inside) return;
    scale[0] = 1.0f / sqrtf(scale[0] / static_cast<float>(S) + eps);
    if (warp == 0) s[p.b * D + p.channel] = scale[0];
    for (int32_t t = warp; t < S; t += WARPS) {
        const int64_t at = p.at + static_cast<int64_t>(t) * D;
        y[at] = from_float<T>(scale[0] * (to_float(h[at]) + to_float(f[at])));
    }
}

// ---- backward -----------------------------------------------------------------------------------------------------

/** The eight 2-byte elements of a word. */
template <typename T>
__device__ __forceinline__ Pack<T> unpack(uint4 word) {
    static_assert(sizeof(Pack<T>) == sizeof(uint4), "a pack of 2-byte elements is one word");
    union {
        uint4 word;
        Pack<T> pack;
    } u = {};
    u.word = word;
    return u.pack;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_rms_norm_positions_bwd_kernel(const T* dy, const T* y, const float* s, T* dr, int32_t S, int32_t D) {
    const Place p = place<PACK>(S, D);
    const bool inside = p.channel < D;
    const int warp = threadIdx.x / WARP;
    uint4 g[KEPT], v[KEPT];  // as loaded: ptxas would give each element of a Pack a register of its own
    float mean[PACK] = {};
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
        const int32_t t = k * WARPS + warp;
        if (inside && t < S) {
            g[k] = *reinterpret_cast<const uint4*>(dy + p.at + static_cast<int64_t>(t) * D);
            v[k] = *reinterpret_cast<const uint4*>(y + p.at + static_cast<int64_t>(t) * D);
            const Pack<T> gp = unpack<T>(g[k]), vp = unpack<T>(v[k]);
#pragma unroll
            for (int i = 0; i < PACK; i++) mean[i] += to_float(gp.v[i]) * to_float(vp.v[i]);
        }
    }
    sum_warps<WARPS>(mean);
    if (!inside) return;
    float scale[PACK];
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        mean[i] /= static_cast<float>(S);
        scale[i] = s[p.b * D + p.channel + i];
    }
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
        const int32_t t = k * WARPS + warp;
        if (t < S) {
            const Pack<T> gp = unpack<T>(g[k]), vp = unpack<T>(v[k]);
            Pack<T> out;
#pragma unroll
            for (int i = 0; i < PACK; i++)
                out.v[i] = from_float<T>(scale[i] * (to_float(gp.v[i]) - to_float(vp.v[i]) * mean[i]));
            store_pack(dr + p.at + static_cast<int64_t>(t) * D, out);
        }
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_rms_norm_positions_bwd_scalar_kernel(const T* dy, const T* y, const float* s, T* dr, int32_t S, int32_t D) {
    const Place p = place<1>(S, D);
    const bool inside = p.channel < D;
    const int warp = threadIdx.x / WARP;
    float mean[1] = {};
    for (int32_t t = warp; inside && t < S; t += WARPS) {
        const int64_t at = p.at + static_cast<int64_t>(t) * D;
        mean[0] += to_float(dy[at]) * to_float(y[at]);
    }
    sum_warps<WARPS>(mean);
    if (!inside) return;
    mean[0] /= static_cast<float>(S);
    const float scale = s[p.b * D + p.channel];
    for (int32_t t = warp; t < S; t += WARPS) {
        const int64_t at = p.at + static_cast<int64_t>(t) * D;
        dr[at] = from_float<T>(scale * (to_float(dy[at]) - to_float(y[at]) * mean[0]));
    }
}

// ---- launch choice ------------------------------------------------------------------------------------------------

bool in_registers(int32_t S, int32_t D, bool aligned16) { return S <= KEPT_POSITIONS && D % PACK == 0 && aligned16; }

template <typename T>
int forward(const void* h, const void* f, void* y, float* s, int64_t B, int32_t S, int32_t D, float eps,
            trm_stream stream) {
    const bool wide = in_registers(S, D, aligned(16, h, f, y));
    const auto kernel = wide ? add_rms_norm_positions_fwd_kernel<T> : add_rms_norm_positions_fwd_scalar_kernel<T>;
    return launch(kernel, B * divide_up(D, WARP * (wide ? PACK : 1)), THREADS, 0, stream, static_cast<const T*>(h),
                  static_cast<const T*>(f), static_cast<T*>(y), s, S, D, eps);
}

template <typename T>
int backward(const void* dy, const void* y, const float* s, void* dr, int64_t B, int32_t S, int32_t D,
             trm_stream stream) {
    auto kernel = add_rms_norm_positions_bwd_scalar_kernel<T>;
    int width = 1;
    if constexpr (sizeof(T) == 2) {
        if (in_registers(S, D, aligned(16, dy, y, dr))) {
            kernel = add_rms_norm_positions_bwd_kernel<T>;
            width = PACK;
        }
    }
    return launch(kernel, B * divide_up(D, WARP * width), THREADS, 0, stream, static_cast<const T*>(dy),
                  static_cast<const T*>(y), s, static_cast<T*>(dr), S, D);
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::add_rms_norm_positions(const void* h, const void* f, void* y, float* s, int64_t B, int32_t S, int32_t D,
                                float eps, int32_t dtype, trm_stream stream) {
    TRM_CHECK(add_rms_norm_positions);
    return dtype == TRM_F32 ? forward<float>(h, f, y, s, B, S, D, eps, stream)
                            : forward<bf16>(h, f, y, s, B, S, D, eps, stream);
}

int ops::add_rms_norm_positions_bwd(const void* dy, const void* y, const float* s, void* dr, int64_t B, int32_t S,
                                    int32_t D, int32_t dtype, trm_stream stream) {
    TRM_CHECK(add_rms_norm_positions_bwd);
    return dtype == TRM_F32 ? backward<float>(dy, y, s, dr, B, S, D, stream)
                            : backward<bf16>(dy, y, s, dr, B, S, D, stream);
}

}  // namespace trm
