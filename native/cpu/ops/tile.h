// tile.h: products whose operands lie in the cache.
//
//   C[m, n] = sum_k a(m, k) b(k, n)
//
// a(m, k) is one number, spread over a vector; b(k, .) is contiguous. A few rows of a few vectors of the result stay in
// registers while k runs. Columns come in multiples of 16, rows in any number. The order of every sum follows from the
// shapes alone.
#pragma once

#include <type_traits>
#include <utility>

#include "vec.h"

namespace trm {
namespace TRM_ISA {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif

// Element (m, k) is at[m * row + k * step].
struct Left {
    const float* at;
    int64_t row, step;
    Left from_row(int64_t m) const { return {at + m * row, row, step}; }
};

// Row k begins at at + k * row.
struct Right {
    const float* at;
    int64_t row;
    Right from_column(int64_t n) const { return {at + n, row}; }
};

// Calls f(count, first) for `rows` rows in blocks of at most R that differ by at most one row; count is a constant.
template <int R, class F>
TRM_INLINE void block_of(int64_t count, int64_t first, F& f) {
    if (count == R) f(std::integral_constant<int, R>{}, first);
    if constexpr (R > 1)
        if (count < R) block_of<R - 1>(count, first, f);
}

template <int R, class F>
TRM_INLINE void row_blocks(int64_t rows, F&& f) {
    const int64_t blocks = divide_up(rows, R), longer = rows % blocks, count = rows / blocks;
    for (int64_t i = 0, first = 0; i < blocks; i++) {
        const int64_t own = count + (i < longer);
        block_of<R>(own, first, f);
        first += own;
    }
}

template <int R, int C>
TRM_INLINE void multiply_add(vf (&acc)[R][C], const float* a, int64_t a_row, const vf (&b)[C]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        const vf s = splat(a[r * a_row]);
#pragma GCC unroll 8
        for (int c = 0; c < C; c++) acc[r][c] += s * b[c];
    }
}

template <int C>
TRM_INLINE void load_row(vf (&v)[C], Right b, int64_t k) {
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) v[c] = load(b.at + k * b.row + c * W);
}

template <int C>
static __attribute__((noinline)) void product_columns(Left a, Right b, float* c, int64_t c_row, int64_t M, int64_t K,
                                                      bool add) {
    constexpr int R = (REGISTERS - C - 1) / C < 8 ? (REGISTERS - C - 1) / C : 8;
    row_blocks<R>(M, [&](auto count, int64_t m) TRM_LAMBDA {
        constexpr int rows = decltype(count)::value;
        float* out = c + m * c_row;
        vf acc[rows][C];
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int j = 0; j < C; j++) acc[r][j] = add ? load(out + r * c_row + j * W) : vf{};
        const float* left = a.at + m * a.row;
        for (int64_t k = 0; k < K; k++) {
            vf w[C];
            load_row(w, b, k);
            multiply_add(acc, left + k * a.step, a.row, w);
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int j = 0; j < C; j++) store(out + r * c_row + j * W, acc[r][j]);
    });
}

// C = A B, or C += A B. N is a multiple of 16.
static inline void product(Left a, Right b, float* c, int64_t c_row, int64_t M, int64_t N, int64_t K, bool add) {
    constexpr int wide = REGISTERS == 32 ? 4 : 2;
    int64_t n = 0;
    for (; n + wide * W <= N; n += wide * W) product_columns<wide>(a, b.from_column(n), c + n, c_row, M, K, add);
    for (; n + 2 * W <= N; n += 2 * W) product_columns<2>(a, b.from_column(n), c + n, c_row, M, K, add);
    for (; n < N; n += W) product_columns<1>(a, b.from_column(n), c + n, c_row, M, K, add);
}

// ---- the two halves of a SwiGLU -------------------------------------------------------------------------------------

// p = silu(g) u with g = a_gate b_gate, u = a_up b_up: [M, C W] for K products each. Where `kept` is not NULL, g goes
// there and u to `apart` elements after it, rows 2 * apart from each other.
template <int C>
static __attribute__((noinline)) void gate_up(Left a_gate, Left a_up, Right b_gate, Right b_up, int64_t M, int64_t K,
                                              float* p, int64_t p_row, float* kept, int64_t apart) {
    constexpr int R = (REGISTERS - 2 * C - 1) / (2 * C);
    row_blocks<R>(M, [&](auto count, int64_t m) TRM_LAMBDA {
        constexpr int rows = decltype(count)::value;
        vf g[rows][C] = {}, u[rows][C] = {};
        for (int64_t k = 0; k < K; k++) {
            vf w[C];
            load_row(w, b_gate, k);
            multiply_add(g, a_gate.at + m * a_gate.row + k * a_gate.step, a_gate.row, w);
            load_row(w, b_up, k);
            multiply_add(u, a_up.at + m * a_up.row + k * a_up.step, a_up.row, w);
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int c = 0; c < C; c++)
                store(p + (m + r) * p_row + c * W, g[r][c] * sigmoid_v(g[r][c]).sigma * u[r][c]);
        if (kept != nullptr)
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
                for (int c = 0; c < C; c++) {
                    store(kept + (m + r) * 2 * apart + c * W, g[r][c]);
                    store(kept + (m + r) * 2 * apart + apart + c * W, u[r][c]);
                }
    });
}

TRM_INLINE vf silu_slope(vf g, vf sigma, vf e) { return sigma * (1.0f + g * (e * sigma)); }

// What the backward pass makes of g, u and dp: p, dg = dp u silu'(g), du = dp silu(g). NORMED: dp and p take the factor rho,
// dg and du what comes back through it (normed.h).
template <bool NORMED>
TRM_INLINE void swiglu_bwd_store(vf g, vf u, vf dp, float rho, float kappa, float* p, float* dg, float* du) {
    const auto [sigma, e] = sigmoid_v(g);
    const vf silu = g * sigma;
    if (NORMED) {
        const vf dq = dp * rho, da = g * u * -kappa;
        store(p, silu * u * rho);
        store(du, dq * silu + da * g);
        store(dg, dq * u * silu_slope(g, sigma, e) + da * u);
    } else {
        store(p, silu * u);
        store(du, dp * silu);
        store(dg, dp * u * silu_slope(g, sigma, e));
    }
}

// ---- sums along the vectors -----------------------------------------------------------------------------------------

// Element i of the result is the sum of v[i]'s elements, for W vectors; v is used up.
template <int HALF, int... I>
TRM_INLINE vf halves(vf a, vf b, std::integer_sequence<int, I...>) {
    // of each block of 2 HALF elements: the lower halves of a and b side by side, plus the upper ones
    return __builtin_shufflevector(a, b, (I / (2 * HALF) * (2 * HALF) + I % HALF + (I / HALF % 2) * W)...) +
           __builtin_shufflevector(a, b, (I / (2 * HALF) * (2 * HALF) + HALF + I % HALF + (I / HALF % 2) * W)...);
}

template <int HALF>
TRM_INLINE void fold(vf (&v)[W]) {
#pragma GCC unroll 16
    for (int i = 0; i < HALF; i++) v[i] = halves<HALF>(v[i], v[i + HALF], std::make_integer_sequence<int, W>{});
    if constexpr (HALF > 1) fold<HALF / 2>(v);
}

TRM_INLINE vf sums(vf (&v)[W]) {
    fold<W / 2>(v);
    return v[0];
}

// c[s, d] += sum_j b[d, j] a[s, j] for DD * SS = W: a tile of SS rows of c and DD columns.
template <int DD, int SS>
TRM_INLINE void dot_tile(const float* a, int64_t a_row, const float* b, int64_t b_row, float* c, int64_t c_row,
                         int64_t K) {
    static_assert(DD * SS == W, "a tile fills one vector");
    vf acc[W] = {};
    for (int64_t k = 0; k < K; k += W) {
        vf right[DD];
#pragma GCC unroll 16
        for (int d = 0; d < DD; d++) right[d] = load(b + d * b_row + k);
#pragma GCC unroll 16
        for (int s = 0; s < SS; s++) {
            const vf left = load(a + s * a_row + k);
#pragma GCC unroll 16
            for (int d = 0; d < DD; d++) acc[s * DD + d] += left * right[d];
        }
    }
    float sum[W];
    store(sum, sums(acc));
#pragma GCC unroll 16
    for (int s = 0; s < SS; s++)
#pragma GCC unroll 16
        for (int d = 0; d < DD; d++) c[s * c_row + d] += sum[s * DD + d];
}

// c[M, N] += A B^T for a [M, K] and b [N, K], both along the vectors. N and K are multiples of 16.
static inline void dot_product(const float* a, int64_t a_row, const float* b, int64_t b_row, float* c, int64_t c_row,
                               int64_t M, int64_t N, int64_t K) {
    constexpr int SS = W / 4;
    for (int64_t n = 0; n < N; n += W) {
        int64_t m = 0;
        for (; m + SS <= M; m += SS)
            for (int64_t d = n; d < n + W; d += 4)
                dot_tile<4, SS>(a + m * a_row, a_row, b + d * b_row, b_row, c + m * c_row + d, c_row, K);
        for (; m < M; m++) dot_tile<W, 1>(a + m * a_row, a_row, b + n * b_row, b_row, c + m * c_row + n, c_row, K);
    }
}

// to[j, i] = from[i, j] for rows i in first .. first + count of from [rows, columns]; rows of `to` are to_row apart.
static inline void transpose_rows(const float* from, float* to, int64_t rows, int64_t columns, int64_t to_row,
                                  int64_t first, int64_t count) {
    const int64_t end = least(rows, first + count);
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = first; i < end; i++) to[j * to_row + i] = from[i * columns + j];
}

}  // namespace TRM_ISA
}  // namespace trm
