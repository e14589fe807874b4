// tile_bf16.h: products of bfloat16 operands that lie in the cache, summed in float32.
//
//   C[m, n] = sum_k a(m, k) b(k, n)
//
// The processor takes neighbouring k two at a time, from both operands:
//
//   vdpbf16ps  16 columns, one pair:          c[n] += a(m, k) b(k, n) + a(m, k + 1) b(k + 1, n)
//   tdpbf16ps  16 rows, 16 columns, 16 pairs; its tiles come from memory and go there (build amx)
//
// so a row of the left operand is contiguous in k, and the right one keeps rows 2 j and 2 j + 1 interleaved. Sums run in
// an order that follows from the shapes alone; both instructions round each step to nearest and take denormals as 0.
#pragma once

#include "tile.h"

#if defined(__AVX512BF16__)

namespace trm {
namespace TRM_ISA {

// Element (m, k) is at[m * row + k].
struct Left16 {
    const bf16* at;
    int64_t row;
};

// Element (k, n) is at[k / 2 * row + 2 * n + k % 2].
struct Right16 {
    const bf16* at;
    int64_t row;
};

TRM_INLINE int64_t round_up(int64_t n, int64_t unit) { return divide_up(n, unit) * unit; }

// ---- products -------------------------------------------------------------------------------------------------------

#if defined(__AMX_BF16__)

// What a product takes beside its M and K: K comes in multiples of DEPTH, with zeros behind the true one, and a and c have
// memory for rows up to the next multiple of HEIGHT; what those rows hold is nobody's business.
constexpr int64_t DEPTH = 32, HEIGHT = 16;

// Written out because GCC's own do not tell the compiler which memory they read.
template <int TILE>
TRM_INLINE void tile_zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(TILE));
}
template <int TILE>
TRM_INLINE void tile_load(const void* at, int64_t bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(at), "r"(bytes), "i"(TILE) : "memory");
}
template <int TILE>
TRM_INLINE void tile_store(void* at, int64_t bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(at), "r"(bytes), "i"(TILE) : "memory");
}
template <int C, int A, int B>
TRM_INLINE void tile_multiply_add() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}

// A task that computes products has one of these. Eight full tiles: 0 to 3 hold C, two by two, 4 and 5 rows of a, 6 and
// 7 columns of b. To name their shapes takes as long as 20 products of tiles, so it is not done for each product.
struct Products {
    Products() {
        struct alignas(64) {
            uint8_t palette = 1, start = 0, reserved[14] = {};
            uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } shapes;
        asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
    }
    Products(const Products&) = delete;
    ~Products() { asm volatile("tilerelease"); }  // nothing for the system to save when it interrupts what follows
};

template <int TILE>
TRM_INLINE void tile_begin(const float* c, int64_t bytes, bool add) {
    if (add)
        tile_load<TILE>(c, bytes);
    else
        tile_zero<TILE>();
}

// One or two tiles of rows by one or two of columns.
template <bool LOWER, bool RIGHT>
TRM_INLINE void product_tiles(Left16 a, Right16 b, float* c, int64_t c_row, int64_t K, bool add) {
    const int64_t a_bytes = a.row * 2, b_bytes = b.row * 2, c_bytes = c_row * 4;
    tile_begin<0>(c, c_bytes, add);
    if (RIGHT) tile_begin<1>(c + 16, c_bytes, add);
    if (LOWER) tile_begin<2>(c + 16 * c_row, c_bytes, add);
    if (LOWER && RIGHT) tile_begin<3>(c + 16 * c_row + 16, c_bytes, add);
    for (int64_t k = 0; k < K; k += 32) {
        const bf16* right = b.at + k / 2 * b.row;
        tile_load<4>(a.at + k, a_bytes);
        tile_load<6>(right, b_bytes);
        tile_multiply_add<0, 4, 6>();
        if (RIGHT) {
            tile_load<7>(right + 32, b_bytes);
            tile_multiply_add<1, 4, 7>();
        }
        if (LOWER) {
            tile_load<5>(a.at + 16 * a.row + k, a_bytes);
            tile_multiply_add<2, 5, 6>();
            if (RIGHT) tile_multiply_add<3, 5, 7>();
        }
    }
    tile_store<0>(c, c_bytes);
    if (RIGHT) tile_store<1>(c + 16, c_bytes);
    if (LOWER) tile_store<2>(c + 16 * c_row, c_bytes);
    if (LOWER && RIGHT) tile_store<3>(c + 16 * c_row + 16, c_bytes);
}

template <bool LOWER>
TRM_INLINE void product_rows(Left16 a, Right16 b, float* c, int64_t c_row, int64_t N, int64_t K, bool add) {
    int64_t n = 0;
    for (; n + 32 <= N; n += 32) product_tiles<LOWER, true>(a, {b.at + 2 * n, b.row}, c + n, c_row, K, add);
    if (n < N) product_tiles<LOWER, false>(a, {b.at + 2 * n, b.row}, c + n, c_row, K, add);
}

// C = A B, or C += A B. N is a multiple of 16, K of DEPTH.
static __attribute__((noinline)) void product(Left16 a, Right16 b, float* c, int64_t c_row, int64_t M, int64_t N,
                                              int64_t K, bool add) {
    int64_t m = 0;
    for (; m + 16 < M; m += 32) product_rows<true>({a.at + m * a.row, a.row}, b, c + m * c_row, c_row, N, K, add);
    if (m < M) product_rows<false>({a.at + m * a.row, a.row}, b, c + m * c_row, c_row, N, K, add);
}

#else

constexpr int64_t DEPTH = 2, HEIGHT = 1;

struct Products {
    Products() {}
};

TRM_INLINE vf multiply_add_pairs(vf sum, __m512i a, __m512i b) {
    return (vf) _mm512_dpbf16_ps((__m512) sum, (__m512bh) a, (__m512bh) b);
}

TRM_INLINE __m512i splat_pair(const bf16* p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, 4);
    return _mm512_set1_epi32(pair);
}

template <int C>
static __attribute__((noinline)) void product_columns(Left16 a, Right16 b, float* c, int64_t c_row, int64_t M,
                                                      int64_t K, bool add) {
    constexpr int R = (REGISTERS - C - 1) / C < 8 ? (REGISTERS - C - 1) / C : 8;
    row_blocks<R>(M, [&](auto count, int64_t m) TRM_LAMBDA {
        constexpr int rows = decltype(count)::value;
        float* out = c + m * c_row;
        vf acc[rows][C];
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int j = 0; j < C; j++) acc[r][j] = add ? load(out + r * c_row + j * W) : vf{};
        const bf16* left = a.at + m * a.row;
        for (int64_t k = 0; k < K; k += 2) {
            __m512i w[C];
#pragma GCC unroll 8
            for (int j = 0; j < C; j++) w[j] = _mm512_loadu_si512(b.at + k / 2 * b.row + j * 2 * W);
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) {
                const __m512i pair = splat_pair(left + r * a.row + k);
#pragma GCC unroll 8
                for (int j = 0; j < C; j++) acc[r][j] = multiply_add_pairs(acc[r][j], pair, w[j]);
            }
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int j = 0; j < C; j++) store(out + r * c_row + j * W, acc[r][j]);
    });
}

// C = A B, or C += A B. N is a multiple of 16, K of DEPTH.
static inline void product(Left16 a, Right16 b, float* c, int64_t c_row, int64_t M, int64_t N, int64_t K, bool add) {
    int64_t n = 0;
    for (; n + 4 * W <= N; n += 4 * W) product_columns<4>(a, {b.at + 2 * n, b.row}, c + n, c_row, M, K, add);
    for (; n + 2 * W <= N; n += 2 * W) product_columns<2>(a, {b.at + 2 * n, b.row}, c + n, c_row, M, K, add);
    if (n < N) product_columns<1>(a, {b.at + 2 * n, b.row}, c + n, c_row, M, K, add);
}

#endif

// ---- layouts --------------------------------------------------------------------------------------------------------

// The bfloat16 of `even` in the lower halves of the elements, of `odd` in the upper ones: a row of a Right16.
TRM_INLINE __m512i interleaved(__m512i side_by_side) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,  //
                                           23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_maskz_permutexvar_epi16((__mmask32) -1, order, side_by_side);
}

// 16 values rounded, then 16 more.
TRM_INLINE __m512i round_two(vf first, vf second) {
    return (__m512i) _mm512_cvtne2ps_pbh((__m512) second, (__m512) first);
}

TRM_INLINE __m512i join(__m256i first, __m256i second) {
    return (__m512i) __builtin_shufflevector(first, second, 0, 1, 2, 3, 4, 5, 6, 7);
}

TRM_INLINE __m256i lower(__m512i v) { return (__m256i) __builtin_shufflevector(v, v, 0, 1, 2, 3); }
TRM_INLINE __m256i upper(__m512i v) { return (__m256i) __builtin_shufflevector(v, v, 4, 5, 6, 7); }

// A Right16 [rows, columns] from row-major ones; rows up to `padded`, an even number, are 0. Columns in multiples of 16.
static inline void pair_rows(const bf16* from, int64_t from_row, int64_t rows, int64_t padded, int64_t columns,
                             bf16* to, int64_t to_row) {
    for (int64_t k = 0; k < padded; k += 2)
        for (int64_t n = 0; n < columns; n += 16) {
            __m256i v[2] = {};
            for (int64_t i = 0; i < least(2, rows - k); i++)
                v[i] = _mm256_loadu_si256((const __m256i*) (from + (k + i) * from_row + n));
            _mm512_storeu_si512(to + k / 2 * to_row + 2 * n, interleaved(join(v[0], v[1])));
        }
}

// Element j of v[i] becomes element i of v[j].
template <int HALF, int... I>
TRM_INLINE void exchange(vf& a, vf& b, std::integer_sequence<int, I...>) {
    const vf first = __builtin_shufflevector(a, b, (I & HALF ? I - HALF + 16 : I)...);
    const vf second = __builtin_shufflevector(a, b, (I & HALF ? I + 16 : I + HALF)...);
    a = first;
    b = second;
}

template <int HALF = 8>
TRM_INLINE void transpose(vf (&v)[16]) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        if ((i & HALF) == 0) exchange<HALF>(v[i], v[i + HALF], std::make_integer_sequence<int, 16>{});
    if constexpr (HALF > 1) transpose<HALF / 2>(v);
}

// to(j, i) = from(i, j), elements of four bytes, both numbers multiples of 16; rows are *_row bytes apart.
static inline void transpose_words(const void* from, int64_t from_row, int64_t rows, int64_t columns, void* to,
                                   int64_t to_row) {
    for (int64_t i = 0; i < rows; i += 16)
        for (int64_t j = 0; j < columns; j += 16) {
            vf v[16];
#pragma GCC unroll 16
            for (int k = 0; k < 16; k++) __builtin_memcpy(&v[k], (const char*) from + (i + k) * from_row + j * 4, 64);
            transpose(v);
#pragma GCC unroll 16
            for (int k = 0; k < 16; k++) __builtin_memcpy((char*) to + (j + k) * to_row + i * 4, &v[k], 64);
        }
}

}  // namespace TRM_ISA
}  // namespace trm

#endif
