// attention_sm90.cuh: what attention on Hopper is made of: a tile rotated where it lies, rows of a head in registers, the
// products between them. One warpgroup feeds the others: its first warp copies, its other three (the turners) rotate.
#pragma once

#include "attention.cuh"
#include "sm90.cuh"

namespace trm {
namespace attention_hopper {

constexpr int D = 64;  // of a head: a row of a tile is 128 bytes

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
using namespace sm90;
using Shared = uint32_t;

constexpr int TURNERS = 128 - WARP;  // threads, which rotate keys
constexpr float RAISE = 8.0f;  // 2^8 times 2^31 keys is far from overflow
constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

/** This thread's number among the turners, read anew for each tile: their registers are few. */
__device__ __forceinline__ int turner() {
    int thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread - WARP;
}

__device__ __forceinline__ float exp2_of(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/** Rotates a pair of channels i and a pair i + d / 2, and rounds them. */
__device__ __forceinline__ void rotate(uint32_t& a, uint32_t& b, float2 c, float2 s) {
    const float a0 = low(a), a1 = high(a), b0 = low(b), b1 = high(b);
    a = pack(a0 * c.x - b0 * s.x, a1 * c.y - b1 * s.y);
    b = pack(b0 * c.x + a0 * s.x, b1 * c.y + a1 * s.y);
}

__device__ __forceinline__ void load_pairs(uint32_t (&r)[2], Shared from) {
    asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(from) : "memory");
}

__device__ __forceinline__ void store_pairs(Shared to, const uint32_t (&r)[2]) {
    asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(to), "r"(r[0]), "r"(r[1]) : "memory");
}

/** Rotates a tile of ROWS positions in place, position `first` in its row 0, by all turners: every 24th row is a thread's,
 *  a pack of 8 channels and the one it is rotated with, 64 bytes further or less. */
template <int ROWS>
__device__ __forceinline__ void turn_rows(Shared tile, const Attention& H, int first) {
    const int thread = turner(), row = thread / 4;
    const int end = (first + ROWS < H.S ? first + ROWS : H.S) * (D / 2);
    Shared at = tile + swizzled(row, thread % 4);
#pragma unroll 1
    for (int table = (first + row) * (D / 2) + thread % 4 * 8; table < end; table += TURNERS / 4 * (D / 2)) {
#pragma unroll 1
        for (int half = 0; half < 8; half += 4) {
            const float4 c = __ldg(reinterpret_cast<const float4*>(H.cos + table + half));
            const float4 s = __ldg(reinterpret_cast<const float4*>(H.sin + table + half));
            uint32_t a[2], b[2];
            load_pairs(a, at + half * 2);
            load_pairs(b, (at ^ 64) + half * 2);
            rotate(a[0], b[0], {c.x, c.y}, {s.x, s.y});
            rotate(a[1], b[1], {c.z, c.w}, {s.z, s.w});
            store_pairs(at + half * 2, a);
            store_pairs((at ^ 64) + half * 2, b);
        }
        at += TURNERS / 4 * 128;  // a multiple of eight rows: the swizzle is the same
    }
}

/** A thread's rows of a head, positions t and t + 8, as left factors of the products over channels; zeros past the end. */
__device__ __forceinline__ void load_factor(uint32_t (&q)[4][4], const bf16* from, int64_t stride, int S, int t, int quad) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int at = t + 8 * r;
        const bool inside = at < S;
        const bf16* row = from + static_cast<int64_t>(at) * stride + 2 * quad;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            q[k][r] = inside ? __ldg(reinterpret_cast<const uint32_t*>(row + 16 * k)) : 0;
            q[k][r + 2] = inside ? __ldg(reinterpret_cast<const uint32_t*>(row + 16 * k + 8)) : 0;
        }
    }
}

/** Rotates what load_factor gave. */
__device__ __forceinline__ void turn_factor(uint32_t (&q)[4][4], const Attention& H, int t, int quad) {
    if (H.cos == nullptr) return;
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const int at = t + r % 2 * 8;
        if (at >= H.S) continue;
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const int64_t i = static_cast<int64_t>(at) * (D / 2) + 16 * k + r / 2 * 8 + 2 * quad;
            rotate(q[k][r], q[k + 2][r], __ldg(reinterpret_cast<const float2*>(H.cos + i)),
                   __ldg(reinterpret_cast<const float2*>(H.sin + i)));
        }
    }
}

/** s [64, 2 N] = (rows in registers) (rows of a tile)^T, over channels. */
template <int N>
__device__ __forceinline__ void scores(float (&s)[N], const uint32_t (&q)[4][4], uint64_t tile) {
#pragma unroll
    for (int k = 0; k < 4; k++) wgmma<0>(s, q[k], advance(tile, k * 32), k > 0);
}

/** o [64, d] (+)= (weights in registers) (rows of a tile), over 16 N positions. */
template <int N>
__device__ __forceinline__ void weigh(float (&o)[D / 2], const uint32_t (&p)[N][4], uint64_t tile, bool add) {
#pragma unroll
    for (int k = 0; k < N; k++) wgmma<1>(o, p[k], advance(tile, k * 2048), add || k > 0);
}

/** Weights, rounded, as left factors of the products over positions. */
template <int N>
__device__ __forceinline__ void round_factor(uint32_t (&p)[N][4], const float (&s)[8 * N]) {
#pragma unroll
    for (int k = 0; k < N; k++)
#pragma unroll
        for (int i = 0; i < 4; i++) p[k][i] = pack(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
}

/** Stores a thread's row r (of two) of results, times `factor`, to the row of position t, if there is one. All lanes call. */
__device__ __forceinline__ void store_result(bf16* to, int64_t stride, const float (&x)[D / 2], int r, float factor, int t,
                                             int S, int quad) {
#pragma unroll
    for (int c = 0; c < 2; c++) {
        uint32_t pairs[4];
#pragma unroll
        for (int i = 0; i < 4; i++) pairs[i] = pack(x[16 * c + 4 * i + 2 * r] * factor, x[16 * c + 4 * i + 2 * r + 1] * factor);
        transpose_quad(pairs);
        if (t < S) store_row(to + static_cast<int64_t>(t) * stride + 32 * c + 8 * quad, pairs);
    }
}
/** What a thread knows of its rows t and t + 8. */
struct Rows {
    float shift[2], sum[2];  // m log2(e) / sqrt(d); this lane's share of the sum
};

/** Scores become exponentials. Whether m was raised, and by what factor earlier exponentials shrink then. */
template <int N>
__device__ __forceinline__ bool exponentials(float (&s)[N], Rows& w, float (&shrink)[2], float factor, int inside,
                                             int quad) {
    if (inside < 2 * N) {
#pragma unroll
        for (int i = 0; i < N; i++)
            if (i / 4 * 8 + 2 * quad + i % 2 >= inside) s[i] = -INFINITY;
    }
    float top[2];
    bool far = false;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float x = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
        for (int n = 1; n < N / 4; n++) x = fmaxf(x, fmaxf(s[4 * n + 2 * r], s[4 * n + 2 * r + 1]));
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 1));
        top[r] = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 2)) * factor;
        far = far || top[r] - w.shift[r] > RAISE;
    }
    const bool raised = __any_sync(ALL_LANES, far);
    if (raised) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float shift = fmaxf(w.shift[r], top[r]);
            shrink[r] = exp2f(w.shift[r] - shift);
            w.sum[r] *= shrink[r];
            w.shift[r] = shift;
        }
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        s[i] = exp2_of(s[i] * factor - w.shift[i % 4 / 2]);
        w.sum[i % 4 / 2] += s[i];
    }
    return raised;
}
#endif

}  // namespace attention_hopper
}  // namespace trm
