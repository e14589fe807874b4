// rotary.cpp: rotary positions (RoPE) apart from attention, for a library's attention that does not rotate.
//
//   rotary      q, k -> qk, position t by t:  x'_i = x_i c - x_{i + d/2} s,  x'_{i + d/2} = x_{i + d/2} c + x_i s
//   rotary_bwd  dq, dk in place, by -t: s changes its sign
//
// numerics  float32, one rounding at the store: the values that attention rotates on load
// cost      8 A d elements moved a position, each way: memory-bound. A task is a lane
#include "ops.h"

namespace trm {
namespace TRM_ISA {

template <class T>
static void rotate(const T* from, T* to, const float* cos, const float* sin, int64_t B, int32_t S, int32_t A, int32_t d,
                   int64_t from_parts, int64_t to_parts, float sign) {
    const int64_t row = (int64_t) A * d, half = d / 2;
    parallel_for(B, 1.0 * (double) S * (double) row, [=](int64_t b) {
        for (int64_t t = 0; t < S; t++) {
            const float* c = cos + t * half;
            const float* s = sin + t * half;
            for (int64_t head = 0; head < 2 * A; head++) {
                const T* x = from + (b * S + t) * from_parts * row + head * d;
                T* y = to + (b * S + t) * to_parts * row + head * d;
                vectors(half, [=](int64_t i, int k) TRM_LAMBDA {
                    const vf low = load(x + i, k), high = load(x + half + i, k);
                    const vf co = load(c + i, k), si = sign * load(s + i, k);
                    store(y + i, low * co - high * si, k);
                    store(y + half + i, high * co + low * si, k);
                });
            }
        }
    });
}

int rotary(const void* qkv, const float* cos, const float* sin, void* qk, int64_t B, int32_t S, int32_t A, int32_t d,
           int32_t dtype, trm_stream) {
    TRM_CHECK(rotary);
    if (dtype == TRM_F32)
        rotate((const float*) qkv, (float*) qk, cos, sin, B, S, A, d, 3, 2, 1.0f);
    else
        rotate((const bf16*) qkv, (bf16*) qk, cos, sin, B, S, A, d, 3, 2, 1.0f);
    return TRM_OK;
}

int rotary_bwd(void* dqkv, const float* cos, const float* sin, int64_t B, int32_t S, int32_t A, int32_t d,
               int32_t dtype, trm_stream) {
    TRM_CHECK(rotary_bwd);
    if (dtype == TRM_F32)
        rotate((const float*) dqkv, (float*) dqkv, cos, sin, B, S, A, d, 3, 3, -1.0f);
    else
        rotate((const bf16*) dqkv, (bf16*) dqkv, cos, sin, B, S, A, d, 3, 3, -1.0f);
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm
