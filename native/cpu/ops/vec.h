// vec.h: what the operations are written in: vectors of W floats, bf16 conversion, exp, atan2, ordered sums.
//
// Every file of ops/ is compiled once per instruction set (TRM_ISA = base, avx2, avx512, avx512_bf16, amx), in a namespace of that name,
// so that no inline function of one build can stand in for that of another.
//
//   bf16    round to nearest, ties to even; a NaN stays a NaN. The instruction of avx512_bf16 and amx takes denormals as 0
//   exp     Cephes expf: x = n ln 2 + r, |r| <= ln 2 / 2, degree 6; relative error below 2e-7 for -87 < x < 88,
//           clamped above; below it falls to 0 or stays at exp(-87)
//   atan2   Cephes atanf on min/max, one division; relative error below 3e-7; atan2(0, 0) = 0
//   sum16   16 partial sums (element i goes to sum i mod 16), combined pairwise: the same order whatever W is
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "../cpu.h"

#ifndef TRM_ISA
#error "TRM_ISA names the instruction set this file is compiled for"
#endif

#define TRM_INLINE static inline __attribute__((always_inline))
#define TRM_LAMBDA __attribute__((always_inline))

namespace trm {
namespace TRM_ISA {

#if defined(__AVX512F__)
constexpr int W = 16;
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));
typedef uint16_t vh __attribute__((vector_size(32)));
#elif defined(__AVX2__)
constexpr int W = 8;
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
typedef uint32_t vu __attribute__((vector_size(32)));
typedef uint16_t vh __attribute__((vector_size(16)));
#else
constexpr int W = 4;
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));
typedef uint16_t vh __attribute__((vector_size(8)));
#endif

// Elements that an elementwise task handles: 32 KB of float32, small enough to balance, large enough to be worth it.
constexpr int64_t CHUNK = 8192;

struct bf16 {
    uint16_t bits;
};

TRM_INLINE vf splat(float s) { return s - vf{}; }

TRM_INLINE float bits_float(uint32_t u) {
    float f;
    __builtin_memcpy(&f, &u, 4);
    return f;
}

TRM_INLINE float widen(float x) { return x; }
TRM_INLINE float widen(bf16 x) { return bits_float((uint32_t) x.bits << 16); }

TRM_INLINE void narrow(float x, float* p) { *p = x; }
TRM_INLINE void narrow(float x, bf16* p) {
    uint32_t u;
    __builtin_memcpy(&u, &x, 4);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    p->bits = (uint16_t) (nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

// The upper half of each element holds the bfloat16, the lower half is zero.
TRM_INLINE vu rounded_bits(vf x) {
    const vu u = (vu) x;
    const vu even = (u + 0x7fffu + ((u >> 16) & 1u)) & 0xffff0000u;
    const vi nan = (vi) (u & 0x7fffffffu) > 0x7f800000;
    return nan ? (u | 0x400000u) & 0xffff0000u : even;
}

// The bfloat16 of x.
TRM_INLINE vh round_bf16(vf x) {
#if defined(__AVX512BF16__)
    return (vh) _mm512_cvtneps_pbh((__m512) x);
#else
    return __builtin_convertvector(rounded_bits(x) >> 16, vh);
#endif
}

TRM_INLINE vf widen(vh x) {
#if defined(__AVX512F__)
    return (vf) ((vu) _mm512_maskz_cvtepu16_epi32((__mmask16) -1, (__m256i) x) << 16);  // convertvector takes four
#else
    return (vf) (__builtin_convertvector(x, vu) << 16);
#endif
}

// round_as<T>: the value that a store as T and a load would give.
template <class T>
TRM_INLINE vf round_as(vf x) {
    return sizeof(T) == 4 ? x : widen(round_bf16(x));
}

// Loads and stores of k <= W elements; missing elements load as 0. With the constant k = W they are one instruction.
TRM_INLINE vf load(const float* p, int k = W) {
    vf v = {};
    if (k == W)
        __builtin_memcpy(&v, p, sizeof v);
    else
        __builtin_memcpy(&v, p, (size_t) k * sizeof *p);
    return v;
}
TRM_INLINE vf load(const bf16* p, int k = W) {
    vh v = {};
    if (k == W)
        __builtin_memcpy(&v, p, sizeof v);
    else
        __builtin_memcpy(&v, p, (size_t) k * sizeof *p);
    return widen(v);
}
TRM_INLINE void store(float* p, vf v, int k = W) {
    if (k == W)
        __builtin_memcpy(p, &v, sizeof v);
    else
        __builtin_memcpy(p, &v, (size_t) k * sizeof *p);
}
TRM_INLINE void store(bf16* p, vf x, int k = W) {
    const vh v = round_bf16(x);
    if (k == W)
        __builtin_memcpy(p, &v, sizeof v);
    else
        __builtin_memcpy(p, &v, (size_t) k * sizeof *p);
}

// Calls f(i, k) for the vectors of [0, n): k = W, and once less for the remainder.
template <class F>
TRM_INLINE void vectors(int64_t n, F&& f) {
    int64_t i = 0;
    for (; i + W <= n; i += W) f(i, W);
    if (i < n) f(i, (int) (n - i));
}

// The sum over [0, n) of f(i, k), whose elements from k on must be 0.
template <class F>
TRM_INLINE float sum16(int64_t n, F&& f) {
    constexpr int V = 16 / W;
    vf sum[V] = {};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) sum[v] += f(i + v * W, W);
    float partial[16];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
        const int64_t left = n - i - v * W;
        if (left > 0) sum[v] += f(i + v * W, left < W ? (int) left : W);
        store(partial + v * W, sum[v]);
    }
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++) partial[j] += partial[j + half];
    return partial[0];
}

// The sums over [0, n) of f(i), an element of the vector each, in four partial sums.
template <class F>
TRM_INLINE vf sum_down(int32_t n, F&& f) {
    vf sum[4] = {};
    int32_t i = 0;
    for (; i + 4 <= n; i += 4)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) sum[j] += f(i + j);
    for (; i < n; i++) sum[0] += f(i);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

TRM_INLINE vf sqrt_v(vf x) {
#if defined(__AVX512F__)
    return (vf) _mm512_maskz_sqrt_ps((__mmask16) -1, (__m512) x);  // _mm512_sqrt_ps warns in GCC 12
#elif defined(__AVX2__)
    return (vf) _mm256_sqrt_ps((__m256) x);
#elif defined(__SSE2__)
    return (vf) _mm_sqrt_ps((__m128) x);
#else
    for (int i = 0; i < W; i++) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

TRM_INLINE vf exp_v(vf x) {
#if defined(__AVX512F__)
    x = (vf) _mm512_maskz_min_ps((__mmask16) -1, (__m512) splat(88.0f), (__m512) x);  // a NaN in the second stays
    const vf n = (vf) _mm512_maskz_roundscale_ps((__mmask16) -1, (__m512) (x * 1.44269504f), 0);
#else
    x = x < -87.0f ? splat(-87.0f) : x;  // these comparisons are false for a NaN, which passes through
    x = x > 88.0f ? splat(88.0f) : x;
    const vf shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the integer n sits in the low bits
    const vf n = shifted - 12582912.0f;
#endif
    vf r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    vf e = r * 1.9875691500e-4f + 1.3981999507e-3f;
    e = e * r + 8.3334519073e-3f;
    e = e * r + 4.1665795894e-2f;
    e = e * r + 1.6666665459e-1f;
    e = e * r + 5.0000001201e-1f;
    e = e * (r * r) + r + 1.0f;
#if defined(__AVX512F__)
    return (vf) _mm512_maskz_scalef_ps((__mmask16) -1, (__m512) e, (__m512) n);
#else
    return e * (vf) (((vu) shifted << 23) + 0x3f800000u);
#endif
}

// sigma(x) = 1 / (1 + e) and e = exp(-x): 1 - sigma = e sigma without cancellation.
struct Sigmoid {
    vf sigma, e;
};

#if defined(__AVX512F__)
// The number that a SwiGLU spends most on, so with fewer multiplications than exp_v: e = 2^(n/16) 2^(r/16), |r| <= 1/2,
// the first factor from a table of 16 and an exponent, the second of degree 3; the quotient by one Newton step on 14
// bits. Relative error below 2e-7 + 4e-8 |x|.
TRM_INLINE Sigmoid sigmoid_v(vf x) {
    const vf table = {1.0f,        1.04427373f, 1.09050775f, 1.13878858f, 1.18920708f, 1.24185777f,
                      1.29683959f, 1.35425556f, 1.41421354f, 1.47682619f, 1.54221082f, 1.61049032f,
                      1.68179286f, 1.75625217f, 1.8340081f,  1.91520655f};
    constexpr float scale = -23.0831207f;                                             // -16 / ln 2
    x = (vf) _mm512_maskz_min_ps((__mmask16) -1, (__m512) splat(87.0f), (__m512) x);  // a NaN in the second stays
    x = (vf) _mm512_maskz_max_ps((__mmask16) -1, (__m512) splat(-87.0f), (__m512) x);
    const vf shifted = x * scale + 12582912.0f;  // 1.5 * 2^23: the integer n sits in the low bits
    const vf r = x * scale - (shifted - 12582912.0f);
    vf p = r * 1.35508078e-05f + 0.000938384793f;
    p = p * r + 0.0433216988f;
    const vf power = (vf) _mm512_maskz_permutexvar_ps((__mmask16) -1, (__m512i) shifted, (__m512) table);
    const vf whole = (vf) ((vi) power + (((vi) shifted << 19) & (int32_t) 0xff800000));
    const vf e = p * r * whole + whole;
    const vf d = 1.0f + e;
    const vf q = (vf) _mm512_maskz_rcp14_ps((__mmask16) -1, (__m512) d);
    return {q + q * (1.0f - d * q), e};
}
#else
TRM_INLINE Sigmoid sigmoid_v(vf x) {
    const vf e = exp_v(-x);
    return {1.0f / (1.0f + e), e};
}
#endif

// atan2(m, d) for d >= 0.
TRM_INLINE vf atan2_v(vf m, vf d) {
    const vu sign = (vu) m & 0x80000000u;
    const vf a = (vf) ((vu) m & 0x7fffffffu);
    const vi swap = a > d;
    const vf lo = swap ? d : a;
    const vf hi = swap ? a : d;
    const vi far = lo > hi * 0.41421356f;  // tan(pi/8)
    const vf up = far ? lo - hi : lo;
    const vf down = far ? lo + hi : hi;
    const vf t = up / (down == 0.0f ? splat(1.0f) : down);
    const vf z = t * t;
    vf p = z * 8.05374449538e-2f - 1.38776856032e-1f;
    p = p * z + 1.99777106478e-1f;
    p = p * z - 3.33329491539e-1f;
    p = p * z * t + t;
    p = far ? p + 0.785398163f : p;
    p = swap ? 1.57079633f - p : p;
    return (vf) ((vu) p | sign);
}

// A buffer of this thread for intermediate values, 64-byte aligned; it grows when a larger shape first appears. One
// user at a time. NULL when memory is short.
struct Scratch {
    void* memory = nullptr;
    size_t size = 0;
    ~Scratch() { free(memory); }
};

static inline void* scratch(int64_t bytes) {
    static thread_local Scratch own;
    if ((size_t) bytes > own.size) {
        free(own.memory);
        own.size = 0;
        const size_t rounded = ((size_t) bytes + 4095) / 4096 * 4096;
        own.memory = aligned_alloc(64, rounded);
        if (own.memory != nullptr) own.size = rounded;
    }
    return own.memory;
}

TRM_INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
TRM_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace TRM_ISA
}  // namespace trm
