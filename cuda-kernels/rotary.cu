// rotary.cu: rotary positions (RoPE) apart from attention, for a library's attention that does not rotate.
//
//   rotary      q, k -> qk, position t by t:  x'_i = x_i c - x_{i + d/2} s,  x'_{i + d/2} = x_{i + d/2} c + x_i s
//   rotary_bwd  dq, dk in place, by -t: s changes its sign
//
// numerics  fp32, one rounding at the store: the values that attention rotates on load
// cost      8 A d elements moved a position, each way: DRAM-bound; cos and sin come from L2

#include "ops.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;

/** A thread takes 8 channels of the lower half of a head and the 8 they are rotated with. `heads` are those of q and k
 *  together, which lie one after the other; from and to have rows of their own strides. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    rotary_kernel(const T* from, T* to, const float* cos, const float* sin, int64_t total, int32_t S, int32_t heads,
                  int32_t half, int64_t from_stride, int64_t to_stride, float sign, bool wide) {
    const int64_t packs = divide_up(half, PACK);
    int64_t rest = global_thread(), pack, head, row, lane, t;
    if (rest >= total) return;
    divide(rest, packs, &rest, &pack);
    divide(rest, heads, &row, &head);
    divide(row, S, &lane, &t);
    const int64_t i = pack * PACK, n = half - i, at = head * 2 * half + i;
    const Pack<T> low = load_pack(from + row * from_stride + at, n, wide);
    const Pack<T> high = load_pack(from + row * from_stride + at + half, n, wide);
    const Pack<float> c = load_pack(cos + t * half + i, n, wide), s = load_pack(sin + t * half + i, n, wide);
    Pack<T> low_out, high_out;
#pragma unroll
    for (int j = 0; j < PACK; j++) {
        const float a = to_float(low.v[j]), b = to_float(high.v[j]), sine = sign * s.v[j];
        low_out.v[j] = from_float<T>(a * c.v[j] - b * sine);
        high_out.v[j] = from_float<T>(b * c.v[j] + a * sine);
    }
    store_pack(to + row * to_stride + at, low_out, n, wide);
    store_pack(to + row * to_stride + at + half, high_out, n, wide);
}

template <typename T>
int rotate(const void* from, void* to, const float* cos, const float* sin, int64_t B, int32_t S, int32_t A, int32_t d,
           int64_t from_parts, int64_t to_parts, float sign, trm_stream stream) {
    const int32_t half = d / 2;
    const int64_t row = static_cast<int64_t>(A) * d, total = B * S * 2 * A * divide_up(half, PACK);
    return launch(rotary_kernel<T>, divide_up(total, THREADS), THREADS, 0, stream, static_cast<const T*>(from),
                  static_cast<T*>(to), cos, sin, total, S, 2 * A, half, from_parts * row, to_parts * row, sign,
                  half % PACK == 0 && aligned(16, from, to, cos, sin));
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::rotary(const void* qkv, const float* cos, const float* sin, void* qk, int64_t B, int32_t S, int32_t A,
                int32_t d, int32_t dtype, trm_stream stream) {
    TRM_CHECK(rotary);
    return dtype == TRM_F32 ? rotate<float>(qkv, qk, cos, sin, B, S, A, d, 3, 2, 1.0f, stream)
                            : rotate<bf16>(qkv, qk, cos, sin, B, S, A, d, 3, 2, 1.0f, stream);
}

int ops::rotary_bwd(void* dqkv, const float* cos, const float* sin, int64_t B, int32_t S, int32_t A, int32_t d,
                    int32_t dtype, trm_stream stream) {
    TRM_CHECK(rotary_bwd);
    return dtype == TRM_F32 ? rotate<float>(dqkv, dqkv, cos, sin, B, S, A, d, 3, 3, -1.0f, stream)
                            : rotate<bf16>(dqkv, dqkv, cos, sin, B, S, A, d, 3, 3, -1.0f, stream);
}

}  // namespace trm
