// swiglu.cuh: the gate of a SwiGLU in bf16, two neighbouring elements at a time. swiglu.cu and the fused products share
// it, so that an activation has the same bits wherever it is computed.
//
//   sigma(a) = 1 / (1 + exp(-a))        silu(a) = a sigma(a)        silu'(a) = sigma + silu (1 - sigma)
//
// One reciprocal serves both elements: special functions are what an epilogue has least of. So the pairs matter for the
// last bits: they are columns 2 i and 2 i + 1 everywhere.
#pragma once

#include "common.cuh"

namespace trm {

constexpr float MINUS_LOG2_E = -1.4426950408889634f;

/** sigma of two: two exponentials and one reciprocal of the special function unit. Relative error below 2^-20 where
 *  |a| < 30; exp(-a) stops at 2^60, where silu(a) is zero for any purpose. A NaN gives a number: silu's factor keeps it. */
__device__ __forceinline__ float2 sigma(float a, float b, float minus_log2_e = MINUS_LOG2_E) {
    constexpr float MOST = 60.0f;
    float x = fminf(a * minus_log2_e, MOST), y = fminf(b * minus_log2_e, MOST), inverse;
#if defined(__CUDA_ARCH__)
    asm("ex2.approx.ftz.f32 %0, %0;" : "+f"(x));
    asm("ex2.approx.ftz.f32 %0, %0;" : "+f"(y));
    x += 1.0f;
    y += 1.0f;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(x * y));
#else
    x = 1.0f + exp2f(x);
    y = 1.0f + exp2f(y);
    inverse = 1.0f / (x * y);
#endif
    return make_float2(y * inverse, x * inverse);
}

__device__ __forceinline__ float2 silu(float a, float b, float minus_log2_e = MINUS_LOG2_E) {
    const float2 s = sigma(a, b, minus_log2_e);
    return make_float2(a * s.x, b * s.y);
}

/** silu with the bits of the function above, and its derivative. */
__device__ __forceinline__ float2 silu(float a, float b, float2* slope) {
    const float2 s = sigma(a, b);
    const float2 out = make_float2(a * s.x, b * s.y);
    *slope = make_float2(fmaf(out.x, 1.0f - s.x, s.x), fmaf(out.y, 1.0f - s.y, s.y));
    return out;
}

}  // namespace trm
