// halt_head.cu: the halting logits, from the first position of the answer.
//
//   fwd   q = y[:, 0, :] W^T + bias, rounded to the compute type before widening
//   bwd   dy[:, 0, :] += dq W,  dW += dq^T y[:, 0, :],  d_bias += sum_b dq
//
// shapes    y dy [B, S, D], w [2, D], bias [2] fp32 or bf16;  q dq [B, 2], dw [2, D], d_bias [2] fp32
// numerics  dot products in fp32, rounded once with the bias; dW and d_bias sum lanes in fp64: a warp its lanes in
//           order, then the warps in order
// cost      2 D a lane: nothing

#include "ops.cuh"

namespace trm {
namespace {

// ---- forward: a warp a lane ---------------------------------------------------------------------------------------

constexpr int LANES_PER_BLOCK = 4, LANE_THREADS = LANES_PER_BLOCK * WARP;

template <typename T>
__global__ void __launch_bounds__(LANE_THREADS)
    halt_head_fwd_kernel(const T* y, const T* w, const T* bias, float* q, int64_t B, int32_t S, int32_t D) {
    const int64_t b = static_cast<int64_t>(blockIdx.x) * LANES_PER_BLOCK + threadIdx.x / WARP;
    if (b >= B) return;
    const int lane_id = threadIdx.x % WARP;
    const T* x = y + b * S * D;
    float dot0 = 0.0f, dot1 = 0.0f;
    for (int32_t d = lane_id; d < D; d += WARP) {
        const float v = to_float(x[d]);
        dot0 += v * to_float(w[d]);
        dot1 += v * to_float(w[static_cast<int64_t>(D) + d]);
    }
    dot0 = warp_sum(dot0);
    dot1 = warp_sum(dot1);
    if (lane_id == 0) {
        q[2 * b] = round_as<T>(dot0 + to_float(bias[0]));
        q[2 * b + 1] = round_as<T>(dot1 + to_float(bias[1]));
    }
}

// ---- backward: a block takes WARP channels of all lanes ------------------------------------------------------------

constexpr int WARPS = 16, THREADS = WARPS * WARP;

template <typename T>
__global__ void __launch_bounds__(THREADS)
    halt_head_bwd_kernel(const float* dq, const T* y, const T* w, T* dy, float* dw, float* d_bias, int64_t B, int32_t S,
                         int32_t D) {
    __shared__ double partial[2][WARPS][WARP];
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP;
    const int64_t d = static_cast<int64_t>(blockIdx.x) * WARP + lane_id;
    double sum0 = 0.0, sum1 = 0.0;
    if (d < D) {
        const float w0 = to_float(w[d]), w1 = to_float(w[D + d]);
        for (int64_t b = warp; b < B; b += WARPS) {
            const int64_t at = b * S * D + d;
            const float q0 = dq[2 * b], q1 = dq[2 * b + 1];
            const double v = static_cast<double>(to_float(y[at]));
            sum0 += q0 * v;
            sum1 += q1 * v;
            dy[at] = from_float<T>(to_float(dy[at]) + (w0 * q0 + w1 * q1));
        }
    }
    partial[0][warp][lane_id] = sum0;
    partial[1][warp][lane_id] = sum1;
    __syncthreads();
    if (warp < 2 && d < D) {
        double sum = 0.0;
        for (int i = 0; i < WARPS; i++) sum += partial[warp][i][lane_id];
        float* to = dw + static_cast<int64_t>(warp) * D + d;
        *to = static_cast<float>(*to + sum);
    }
    if (blockIdx.x == 0 && warp < 2) {
        double sum = 0.0;
        for (int64_t b = lane_id; b < B; b += WARP) sum += static_cast<double>(dq[2 * b + warp]);
        sum = warp_sum(sum);
        if (lane_id == 0) d_bias[warp] = static_cast<float>(d_bias[warp] + sum);
    }
}

template <typename T>
int forward(const void* y, const void* w, const void* bias, float* q, int64_t B, int32_t S, int32_t D,
            trm_stream stream) {
    return launch(halt_head_fwd_kernel<T>, divide_up(B, LANES_PER_BLOCK), LANE_THREADS, 0, stream,
                  static_cast<const T*>(y), static_cast<const T*>(w), static_cast<const T*>(bias), q, B, S, D);
}

template <typename T>
int backward(const float* dq, const void* y, const void* w, void* dy, float* dw, float* d_bias, int64_t B, int32_t S,
             int32_t D, trm_stream stream) {
    return launch(halt_head_bwd_kernel<T>, divide_up(D, WARP), THREADS, 0, stream, dq, static_cast<const T*>(y),
                  static_cast<const T*>(w), static_cast<T*>(dy), dw, d_bias, B, S, D);
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::halt_head(const void* y, const void* w, const void* bias, float* q, int64_t B, int32_t S, int32_t D,
                   int32_t dtype, trm_stream stream) {
    TRM_CHECK(halt_head);
    return dtype == TRM_F32 ? forward<float>(y, w, bias, q, B, S, D, stream)
                            : forward<bf16>(y, w, bias, q, B, S, D, stream);
}

int ops::halt_head_bwd(const float* dq, const void* y, const void* w, void* dy, float* dw, float* d_bias, int64_t B,
                       int32_t S, int32_t D, int32_t dtype, trm_stream stream) {
    TRM_CHECK(halt_head_bwd);
    return dtype == TRM_F32 ? backward<float>(dq, y, w, dy, dw, d_bias, B, S, D, stream)
                            : backward<bf16>(dq, y, w, dy, dw, d_bias, B, S, D, stream);
}

}  // namespace trm
