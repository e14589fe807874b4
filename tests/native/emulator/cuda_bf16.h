// cuda_bf16.h of the emulator: bfloat16 with CUDA's names and its rounding, to nearest, ties to even.
#pragma once

#include "cuda_runtime.h"

struct alignas(2) __nv_bfloat16 {
    unsigned short bits;
    __nv_bfloat16() = default;
};

struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

inline float __bfloat162float(__nv_bfloat16 v) { return __uint_as_float(static_cast<unsigned>(v.bits) << 16); }

inline __nv_bfloat16 __float2bfloat16_rn(float v) {
    const unsigned bits = __float_as_uint(v);
    __nv_bfloat16 r;
    if (v != v)
        r.bits = 0x7fff;
    else
        r.bits = static_cast<unsigned short>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    return r;
}

inline float2 __bfloat1622float2(__nv_bfloat162 v) { return {__bfloat162float(v.x), __bfloat162float(v.y)}; }

inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
    return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
