// swiglu.cuh: the gate of a SwiGLU on one element, for bf16: what swiglu.cu, linear_swiglu.cu and its backward share, so
// that an activation has the same bits wherever it is formed.
//
//   t = tanh(a / 2)        sigma(a) = (1 + t) / 2        silu(a) = a/2 + a/2 t
//   silu'(a) = sigma + silu (1 - sigma)
//
// tanh.approx is one instruction of the special function unit, where exp and a division are two; its relative error is
// at most 2^-11 (PTX ISA). So sigma is off by at most 2^-12, silu by |a| 2^-12, silu' by (1 + |a|) 2^-12. For a > 0 that is
// below a quarter of the rounding unit of bf16 (2^-9 relative), since |silu| > |a| / 2. Far below zero, where silu goes to
// zero, it is not small beside silu itself, but beside |a|: for gates spread as N(0, v), any v, its share of the mean square
// is below 1 / 40 of that which rounding the result to bf16 adds.
#pragma once

#include "common.cuh"

namespace trm {

__device__ __forceinline__ float fast_tanh(float a) {
    float t;
    asm("tanh.approx.f32 %0, %1;" : "=f"(t) : "f"(a));
    return t;
}

__device__ __forceinline__ float fast_silu(float a) {
    const float half = 0.5f * a;
    return fmaf(half, fast_tanh(half), half);
}

/** silu(a) and its derivative; silu has the bits of fast_silu. */
__device__ __forceinline__ float fast_silu(float a, float* slope) {
    const float half = 0.5f * a, t = fast_tanh(half);
    const float silu = fmaf(half, t, half);
    *slope = fmaf(silu, fmaf(-0.5f, t, 0.5f), fmaf(0.5f, t, 0.5f));
    return silu;
}

}  // namespace trm
