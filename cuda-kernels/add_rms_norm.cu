// add_rms_norm.cu: y = rms_norm(h + f), the post-norm of a residual branch, forward and backward.
//
//   fwd   r = h + f        s = 1 / sqrt(mean_D(r*r) + eps)        y = s*r        u = y + c  (optional)
//   bwd   dr = s * (dy - y * mean_D(dy*y)),  and dr is the gradient of both h and f
//
// There is no gain vector. Backward needs y and s but not r: y is kept anyway as the next layer's input, so this
// op adds one float per row to the tape. u is the next evaluation's input (y + z, or z + (x + y)) formed while y is
// still in registers; it is computed from the rounded y, so it has the bits of a separate add. What a later op adds
// to the gradient of y through u is the caller's to sum into dy.
//
// shapes    h f c y u dy dr [rows, D] fp32 or bf16 row-major;   s [rows] fp32
// numerics  fp32 sums in a fixed order, one rounding at the store, no atomics: equal inputs give equal bits
// cost      3*rows*D elements moved each way (5 forward when u is formed), about 1 FLOP/byte: DRAM-bound
// paths     D % 8 == 0, D <= 1024, 16-byte aligned: 16-byte accesses, the row stays in registers between the passes;
//           any other D or alignment: one element at a time, the second pass reads the row again (from L1 or L2)

#include "common.cuh"

namespace {

using trm::from_float;
using trm::load_pack;
using trm::Pack;
using trm::store_pack;
using trm::to_float;
using trm::warp_sum;

constexpr int WARP = 32;
constexpr int WARPS_PER_BLOCK = 4;
constexpr int PACK = 8;

/** The row of this warp. Rows are independent, so a warp past the end leaves as a whole and no barrier is missed. */
__device__ __forceinline__ int64_t row_of_warp() {
    return static_cast<int64_t>(blockIdx.x) * WARPS_PER_BLOCK + threadIdx.x / WARP;
}

// ---- forward ------------------------------------------------------------------------------------------------------
// No pointer is __restrict__: y and u may alias h, f or c, because each element is read before it is written, by the
// same lane.

/** PACKS packs a lane: neighbouring lanes hold neighbouring packs, so each access of the warp covers 512 bytes. */
template <typename T, int PACKS, bool WITH_U>
__global__ void __launch_bounds__(WARP * WARPS_PER_BLOCK)
    add_rms_norm_fwd_kernel(const T* h, const T* f, const T* c, T* y, T* u, float* s, int64_t rows, int32_t D,
                            float eps) {
    const int64_t row = row_of_warp();
    if (row >= rows) return;
    const int lane = threadIdx.x % WARP;
    const int64_t start = row * D;

    float r[PACKS][PACK];
    float sum = 0.0f;
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int d = (p * WARP + lane) * PACK;
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
    if (s != nullptr && lane == 0) s[row] = scale;

#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int d = (p * WARP + lane) * PACK;
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
__global__ void __launch_bounds__(WARP * WARPS_PER_BLOCK)
    add_rms_norm_fwd_scalar_kernel(const T* h, const T* f, const T* c, T* y, T* u, float* s, int64_t rows, int32_t D,
                                   float eps) {
    const int64_t row = row_of_warp();
    if (row >= rows) return;
    const int lane = threadIdx.x % WARP;
    const int64_t start = row * D;

    float sum = 0.0f;
    for (int64_t d = lane; d < D; d += WARP) {
        const float r = to_float(h[start + d]) + to_float(f[start + d]);
        sum += r * r;
    }
    const float scale = 1.0f / sqrtf(warp_sum(sum) / static_cast<float>(D) + eps);
    if (s != nullptr && lane == 0) s[row] = scale;

    for (int64_t d = lane; d < D; d += WARP) {
        const T rounded = from_float<T>(scale * (to_float(h[start + d]) + to_float(f[start + d])));
        if (u != nullptr) u[start + d] = from_float<T>(to_float(rounded) + to_float(c[start + d]));
        y[start + d] = rounded;
    }
}

// ---- backward -----------------------------------------------------------------------------------------------------
// dr may alias dy or y, for the same reason.

template <typename T, int PACKS>
__global__ void __launch_bounds__(WARP * WARPS_PER_BLOCK)
    add_rms_norm_bwd_kernel(const T* dy, const T* y, const float* s, T* dr, int64_t rows, int32_t D) {
    const int64_t row = row_of_warp();
    if (row >= rows) return;
    const int lane = threadIdx.x % WARP;
    const int64_t start = row * D;

    // Kept as loaded, not widened: in bf16 half the registers, and the conversion is a shift.
    Pack<T> g[PACKS];
    Pack<T> v[PACKS];
    float dot = 0.0f;
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int d = (p * WARP + lane) * PACK;
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
        const int d = (p * WARP + lane) * PACK;
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
__global__ void __launch_bounds__(WARP * WARPS_PER_BLOCK)
    add_rms_norm_bwd_scalar_kernel(const T* dy, const T* y, const float* s, T* dr, int64_t rows, int32_t D) {
    const int64_t row = row_of_warp();
    if (row >= rows) return;
    const int lane = threadIdx.x % WARP;
    const int64_t start = row * D;

    float dot = 0.0f;
    for (int64_t d = lane; d < D; d += WARP) dot += to_float(dy[start + d]) * to_float(y[start + d]);
    const float mean = warp_sum(dot) / static_cast<float>(D);
    const float scale = s[row];

    for (int64_t d = lane; d < D; d += WARP)
        dr[start + d] = from_float<T>(scale * (to_float(dy[start + d]) - to_float(y[start + d]) * mean));
}

// ---- launch choice ------------------------------------------------------------------------------------------------

struct Launch {
    unsigned grid;
    unsigned block;
    int packs;  // packs of eight a lane holds in registers; 0: the scalar path
};

/** Grid dimension x ends at 2^31 - 1. */
constexpr int64_t MAX_ROWS = static_cast<int64_t>(WARPS_PER_BLOCK) * 2147483647;

/** Pure host function: testable without a GPU. */
Launch launch_for(int64_t rows, int32_t D, bool aligned16) {
    Launch l{static_cast<unsigned>((rows + WARPS_PER_BLOCK - 1) / WARPS_PER_BLOCK), WARP * WARPS_PER_BLOCK, 0};
    if (aligned16 && D % PACK == 0) {
        const int needed = (D + WARP * PACK - 1) / (WARP * PACK);
        l.packs = needed == 1 ? 1 : needed == 2 ? 2 : needed <= 4 ? 4 : 0;
    }
    return l;
}

template <typename T, int PACKS>
void launch_fwd_packs(const Launch& l, const T* h, const T* f, const T* c, T* y, T* u, float* s, int64_t rows,
                      int32_t D, float eps, cudaStream_t stream) {
    if (u != nullptr)
        add_rms_norm_fwd_kernel<T, PACKS, true><<<l.grid, l.block, 0, stream>>>(h, f, c, y, u, s, rows, D, eps);
    else
        add_rms_norm_fwd_kernel<T, PACKS, false><<<l.grid, l.block, 0, stream>>>(h, f, c, y, u, s, rows, D, eps);
}

template <typename T>
void launch_fwd(const Launch& l, const void* h_, const void* f_, const void* c_, void* y_, void* u_, float* s,
                int64_t rows, int32_t D, float eps, cudaStream_t stream) {
    const T* h = static_cast<const T*>(h_);
    const T* f = static_cast<const T*>(f_);
    const T* c = static_cast<const T*>(c_);
    T* y = static_cast<T*>(y_);
    T* u = static_cast<T*>(u_);
    switch (l.packs) {
        case 1:
            launch_fwd_packs<T, 1>(l, h, f, c, y, u, s, rows, D, eps, stream);
            break;
        case 2:
            launch_fwd_packs<T, 2>(l, h, f, c, y, u, s, rows, D, eps, stream);
            break;
        case 4:
            launch_fwd_packs<T, 4>(l, h, f, c, y, u, s, rows, D, eps, stream);
            break;
        default:
            add_rms_norm_fwd_scalar_kernel<T><<<l.grid, l.block, 0, stream>>>(h, f, c, y, u, s, rows, D, eps);
    }
}

template <typename T>
void launch_bwd(const Launch& l, const void* dy_, const void* y_, const float* s, void* dr_, int64_t rows, int32_t D,
                cudaStream_t stream) {
    const T* dy = static_cast<const T*>(dy_);
    const T* y = static_cast<const T*>(y_);
    T* dr = static_cast<T*>(dr_);
    switch (l.packs) {
        case 1:
            add_rms_norm_bwd_kernel<T, 1><<<l.grid, l.block, 0, stream>>>(dy, y, s, dr, rows, D);
            break;
        case 2:
            add_rms_norm_bwd_kernel<T, 2><<<l.grid, l.block, 0, stream>>>(dy, y, s, dr, rows, D);
            break;
        case 4:
            add_rms_norm_bwd_kernel<T, 4><<<l.grid, l.block, 0, stream>>>(dy, y, s, dr, rows, D);
            break;
        default:
            add_rms_norm_bwd_scalar_kernel<T><<<l.grid, l.block, 0, stream>>>(dy, y, s, dr, rows, D);
    }
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

/** y = rms_norm(h + f) over the last axis, and u = y + c unless c is NULL.
 *  h, f   in   [rows, D] dtype     y     out  [rows, D] dtype, may alias h, f or c: an element is read, then written
 *  c      in   [rows, D] dtype or NULL: no u                    u  out  [rows, D] dtype, may alias h, f or c
 *  s      out  [rows] fp32, or NULL when no backward pass will follow
 *  dtype  TRM_F32 (0) or TRM_BF16 (1)
 *  Enqueues on `stream`; never allocates, synchronises or reads device memory from the host, so it may be
 *  graph-captured. Returns TRM_OK, TRM_EINVAL (nothing enqueued) or TRM_EDEVICE; trm_cuda_last_error() holds
 *  this thread's text. */
TRM_EXPORT int trm_cuda_add_rms_norm_fwd(const void* h, const void* f, const void* c, void* y, void* u, float* s,
                                         int64_t rows, int32_t D, float eps, int32_t dtype, void* stream) {
    TRM_REQUIRE(rows > 0 && rows <= MAX_ROWS && D > 0, "add_rms_norm_fwd: rows=%lld D=%d: need 0 < rows <= %lld, D > 0",
                static_cast<long long>(rows), D, static_cast<long long>(MAX_ROWS));
    TRM_REQUIRE(dtype == TRM_F32 || dtype == TRM_BF16, "add_rms_norm_fwd: dtype=%d is neither 0 (fp32) nor 1 (bf16)",
                dtype);
    TRM_REQUIRE(h != nullptr && f != nullptr && y != nullptr, "add_rms_norm_fwd: h=%p f=%p y=%p must not be NULL", h, f,
                y);
    if (c == nullptr) u = nullptr;
    TRM_REQUIRE(c == nullptr || u != nullptr, "add_rms_norm_fwd: c=%p is given but u is NULL", c);
    TRM_REQUIRE(u == nullptr || u != y, "add_rms_norm_fwd: u and y are the same buffer %p", u);
    TRM_REQUIRE(eps >= 0.0f, "add_rms_norm_fwd: eps=%g: need eps >= 0", static_cast<double>(eps));
    const uintptr_t element = dtype == TRM_F32 ? 4 : 2;
    TRM_REQUIRE(trm::aligned(h, element) && trm::aligned(f, element) && trm::aligned(c, element) &&
                        trm::aligned(y, element) && trm::aligned(u, element) && trm::aligned(s, 4),
                "add_rms_norm_fwd: h=%p f=%p c=%p y=%p u=%p s=%p: each must be aligned to its element", h, f, c, y, u,
                static_cast<void*>(s));
    const bool aligned16 = trm::aligned(h, 16) && trm::aligned(f, 16) && trm::aligned(c, 16) && trm::aligned(y, 16) &&
                           trm::aligned(u, 16);
    const Launch l = launch_for(rows, D, aligned16);
    const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
    if (dtype == TRM_F32)
        launch_fwd<float>(l, h, f, c, y, u, s, rows, D, eps, cuda_stream);
    else
        launch_fwd<__nv_bfloat16>(l, h, f, c, y, u, s, rows, D, eps, cuda_stream);
    return trm::launch_status("add_rms_norm_fwd");
}

/** dr = gradient of (h + f), from dy = gradient of y.
 *  dy, y  in   [rows, D] dtype     dr    out  [rows, D] dtype, written (=), may alias dy or y
 *  s      in   [rows] fp32, as the forward pass stored it
 *  Enqueues on `stream`, captures and returns as the forward pass does. */
TRM_EXPORT int trm_cuda_add_rms_norm_bwd(const void* dy, const void* y, const float* s, void* dr, int64_t rows,
                                         int32_t D, int32_t dtype, void* stream) {
    TRM_REQUIRE(rows > 0 && rows <= MAX_ROWS && D > 0, "add_rms_norm_bwd: rows=%lld D=%d: need 0 < rows <= %lld, D > 0",
                static_cast<long long>(rows), D, static_cast<long long>(MAX_ROWS));
    TRM_REQUIRE(dtype == TRM_F32 || dtype == TRM_BF16, "add_rms_norm_bwd: dtype=%d is neither 0 (fp32) nor 1 (bf16)",
                dtype);
    TRM_REQUIRE(dy != nullptr && y != nullptr && s != nullptr && dr != nullptr,
                "add_rms_norm_bwd: dy=%p y=%p s=%p dr=%p must not be NULL", dy, y, static_cast<const void*>(s), dr);
    const uintptr_t element = dtype == TRM_F32 ? 4 : 2;
    TRM_REQUIRE(trm::aligned(dy, element) && trm::aligned(y, element) && trm::aligned(dr, element) &&
                        trm::aligned(s, 4),
                "add_rms_norm_bwd: dy=%p y=%p s=%p dr=%p: each must be aligned to its element", dy, y,
                static_cast<const void*>(s), dr);
    const Launch l = launch_for(rows, D, trm::aligned(dy, 16) && trm::aligned(y, 16) && trm::aligned(dr, 16));
    const cudaStream_t cuda_stream = static_cast<cudaStream_t>(stream);
    if (dtype == TRM_F32)
        launch_bwd<float>(l, dy, y, s, dr, rows, D, cuda_stream);
    else
        launch_bwd<__nv_bfloat16>(l, dy, y, s, dr, rows, D, cuda_stream);
    return trm::launch_status("add_rms_norm_bwd");
}
