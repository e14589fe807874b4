// attention.cpp: softmax(q k^T / sqrt(d)) v per lane and head, rotary positions included.
//
//   fwd   p = exp(s - lse),  s = q k^T / sqrt(d),  lse = log sum exp s,  o = p v
//   bwd   dp = do v^T,  delta = sum_d(do o),  ds = p (dp - delta)
//         dq = ds k / sqrt(d),  dk = ds^T q / sqrt(d),  dv = p^T do;  dq and dk are rotated by -t
//
// A task is one (lane, head). It widens q, k, v into scratch padded to multiples of 16 with zeros, rotates q and k
// (rounded to the compute type, then q is scaled by 1 / sqrt(d) in float32), and takes ROWS queries at a time: their
// scores are one small matrix in the cache. All products go through one register-tiled kernel, `multiply`.
//
// numerics  everything but the rotated q and k is float32 until the store; backward recomputes p from lse
// cost      4 S^2 d FLOP forward, 10 S^2 d backward
#include "ops.h"

namespace trm {
namespace TRM_ISA {

static constexpr int64_t ROWS = 32;
static constexpr int MR = W == 16 ? 8 : 4;  // rows of a register tile, 2 vectors wide

// c [MR, NV W] = (ADD: +=) a b over K; a[m][k] lies at m * rows + k * columns.
template <int NV, bool ADD>
TRM_INLINE void tile(const float* a, int64_t rows, int64_t columns, const float* b, int64_t ldb, float* c, int64_t ldc,
                     int64_t K) {
    vf sum[MR][NV];
#pragma GCC unroll 8
    for (int m = 0; m < MR; m++)
#pragma GCC unroll 2
        for (int n = 0; n < NV; n++) sum[m][n] = ADD ? load(c + m * ldc + n * W) : vf{};
    for (int64_t k = 0; k < K; k++) {
        vf right[NV];
#pragma GCC unroll 2
        for (int n = 0; n < NV; n++) right[n] = load(b + k * ldb + n * W);
#pragma GCC unroll 8
        for (int m = 0; m < MR; m++) {
            const vf left = splat(a[m * rows + k * columns]);
#pragma GCC unroll 2
            for (int n = 0; n < NV; n++) sum[m][n] += left * right[n];
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < MR; m++)
#pragma GCC unroll 2
        for (int n = 0; n < NV; n++) store(c + m * ldc + n * W, sum[m][n]);
}

// c [M, N] = a b; M is rounded up to MR, N a multiple of 16.
template <bool ADD>
static void multiply(const float* a, int64_t rows, int64_t columns, const float* b, int64_t ldb, float* c, int64_t ldc,
                     int64_t M, int64_t N, int64_t K) {
    int64_t n = 0;
    for (; n + 2 * W <= N; n += 2 * W)
        for (int64_t m = 0; m < M; m += MR)
            tile<2, ADD>(a + m * rows, rows, columns, b + n, ldb, c + m * ldc + n, ldc, K);
    for (; n < N; n += W)
        for (int64_t m = 0; m < M; m += MR)
            tile<1, ADD>(a + m * rows, rows, columns, b + n, ldb, c + m * ldc + n, ldc, K);
}

// The padded shape of a head, and the strides of qkv.
struct Head {
    int32_t S, d;
    int64_t Sp, dp;  // S and d rounded up to multiples of 16
    int64_t stride;  // from a position to the next
    const float *cos, *sin;
    float scale;
};

TRM_INLINE Head head_of(int32_t S, int32_t A, int32_t d, const float* cos, const float* sin) {
    return {S,
            d,
            divide_up(S, 16) * 16,
            divide_up(d, 16) * 16,
            (int64_t) 3 * A * d,
            cos,
            sin,
            1.0f / __builtin_sqrtf((float) d)};
}

// to [Sp, dp] = the head's rows, zeros around them; rotated if `rotate` and the head has tables; times `factor`.
template <class T>
static void widen_rows(const Head& H, const T* from, int64_t stride, bool rotate, float factor, float* to) {
    const int32_t half = H.d / 2;
    for (int64_t t = 0; t < H.S; t++) {
        const T* x = from + t * stride;
        float* row = to + t * H.dp;
        if (rotate && H.cos != nullptr) {
            const float* c = H.cos + t * half;
            const float* s = H.sin + t * half;
            vectors(half, [=](int64_t i, int k) TRM_LAMBDA {
                const vf a = load(x + i, k), b = load(x + half + i, k);
                const vf co = load(c + i, k), si = load(s + i, k);
                store(row + i, round_as<T>(a * co - b * si) * factor, k);
                store(row + half + i, round_as<T>(b * co + a * si) * factor, k);
            });
        } else {
            vectors(H.d, [=](int64_t i, int k) TRM_LAMBDA { store(row + i, load(x + i, k) * factor, k); });
        }
        for (int64_t i = H.d; i < H.dp; i++) row[i] = 0.0f;
    }
    memset(to + H.S * H.dp, 0, (size_t) ((H.Sp - H.S) * H.dp) * sizeof(float));
}

// The gradient of widen_rows for one row: rotated by -t, times factor, rounded.
template <class T>
static void store_gradient(const Head& H, const float* row, int64_t t, bool rotate, float factor, T* to) {
    const int32_t half = H.d / 2;
    if (rotate && H.cos != nullptr) {
        const float* c = H.cos + t * half;
        const float* s = H.sin + t * half;
        vectors(half, [=](int64_t i, int k) TRM_LAMBDA {
            const vf a = load(row + i, k) * factor, b = load(row + half + i, k) * factor;
            const vf co = load(c + i, k), si = load(s + i, k);
            store(to + i, a * co + b * si, k);
            store(to + half + i, b * co - a * si, k);
        });
    } else {
        vectors(H.d, [=](int64_t i, int k) TRM_LAMBDA { store(to + i, load(row + i, k) * factor, k); });
    }
}

static void transpose(const Head& H, const float* from, float* to) {
    for (int64_t t = 0; t < H.Sp; t += 16)
        for (int64_t c = 0; c < H.dp; c++)
            for (int64_t j = 0; j < 16; j++) to[c * H.Sp + t + j] = from[(t + j) * H.dp + c];
}

template <class T>
static void forward(const Head& H, const T* q, const T* k, const T* v, T* o, int64_t o_stride, float* lse,
                    float* memory) {
    const int64_t size = H.Sp * H.dp;
    float *queries = memory, *keys = queries + size, *keys_t = keys + size, *values = keys_t + size;
    float *scores = values + size, *out = scores + ROWS * H.Sp;
    widen_rows(H, q, H.stride, true, H.scale, queries);
    widen_rows(H, k, H.stride, true, 1.0f, keys);
    widen_rows(H, v, H.stride, false, 1.0f, values);
    transpose(H, keys, keys_t);
    for (int64_t first = 0; first < H.S; first += ROWS) {
        const int64_t rows = least(ROWS, H.S - first);
        float sums[ROWS];
        multiply<false>(queries + first * H.dp, H.dp, 1, keys_t, H.Sp, scores, H.Sp, rows, H.Sp, H.d);
        for (int64_t r = 0; r < rows; r++) {
            float* row = scores + r * H.Sp;
            for (int64_t j = H.S; j < H.Sp; j++) row[j] = row[0];
            vf most = load(row);
            for (int64_t j = W; j < H.Sp; j += W) {
                const vf x = load(row + j);
                most = x > most ? x : most;
            }
            float max = most[0];
            for (int i = 1; i < W; i++) max = most[i] > max ? most[i] : max;
            for (int64_t j = 0; j < H.Sp; j += W) store(row + j, exp_v(load(row + j) - max));
            for (int64_t j = H.S; j < H.Sp; j++) row[j] = 0.0f;
            sums[r] = sum16(H.Sp, [=](int64_t j, int n) TRM_LAMBDA { return load(row + j, n); });
            if (lse != nullptr) lse[first + r] = max + __builtin_logf(sums[r]);
        }
        multiply<false>(scores, H.Sp, 1, values, H.dp, out, H.dp, rows, H.dp, H.S);
        for (int64_t r = 0; r < rows; r++) {
            const float* row = out + r * H.dp;
            T* to = o + (first + r) * o_stride;
            const float inverse = 1.0f / sums[r];
            vectors(H.d, [=](int64_t i, int n) TRM_LAMBDA { store(to + i, load(row + i, n) * inverse, n); });
        }
    }
}

template <class T>
static void backward(const Head& H, const T* q, const T* k, const T* v, const T* o, int64_t o_stride, const float* lse,
                     const T* d_o, T* dq, T* dk, T* dv, float* memory) {
    const int64_t size = H.Sp * H.dp;
    float *queries = memory, *keys = queries + size, *keys_t = keys + size, *values = keys_t + size;
    float *values_t = values + size, *d_out = values_t + size, *d_keys = d_out + size, *d_values = d_keys + size;
    float *p = d_values + size, *ds = p + ROWS * H.Sp, *d_queries = ds + ROWS * H.Sp;
    widen_rows(H, q, H.stride, true, H.scale, queries);
    widen_rows(H, k, H.stride, true, 1.0f, keys);
    widen_rows(H, v, H.stride, false, 1.0f, values);
    widen_rows(H, d_o, o_stride, false, 1.0f, d_out);
    transpose(H, keys, keys_t);
    transpose(H, values, values_t);
    memset(d_keys, 0, (size_t) (2 * size) * sizeof(float));
    for (int64_t first = 0; first < H.S; first += ROWS) {
        const int64_t rows = least(ROWS, H.S - first);
        multiply<false>(queries + first * H.dp, H.dp, 1, keys_t, H.Sp, p, H.Sp, rows, H.Sp, H.d);
        multiply<false>(d_out + first * H.dp, H.dp, 1, values_t, H.Sp, ds, H.Sp, rows, H.Sp, H.d);
        for (int64_t r = 0; r < rows; r++) {
            const T* o_row = o + (first + r) * o_stride;
            const float* do_row = d_out + (first + r) * H.dp;
            const float delta =
                sum16(H.d, [=](int64_t i, int n) TRM_LAMBDA { return load(do_row + i, n) * load(o_row + i, n); });
            const float shift = lse[first + r];
            float *p_row = p + r * H.Sp, *ds_row = ds + r * H.Sp;
            for (int64_t j = 0; j < H.Sp; j += W) {
                const vf e = exp_v(load(p_row + j) - shift);
                store(p_row + j, e);
                store(ds_row + j, e * (load(ds_row + j) - delta));
            }
            for (int64_t j = H.S; j < H.Sp; j++) p_row[j] = ds_row[j] = 0.0f;
        }
        multiply<false>(ds, H.Sp, 1, keys, H.dp, d_queries, H.dp, rows, H.dp, H.S);
        multiply<true>(ds, 1, H.Sp, queries + first * H.dp, H.dp, d_keys, H.dp, H.S, H.dp, rows);
        multiply<true>(p, 1, H.Sp, d_out + first * H.dp, H.dp, d_values, H.dp, H.S, H.dp, rows);
        for (int64_t r = 0; r < rows; r++)
            store_gradient(H, d_queries + r * H.dp, first + r, true, H.scale, dq + (first + r) * H.stride);
    }
    for (int64_t t = 0; t < H.S; t++) {
        store_gradient(H, d_keys + t * H.dp, t, true, 1.0f, dk + t * H.stride);
        store_gradient(H, d_values + t * H.dp, t, false, 1.0f, dv + t * H.stride);
    }
}

template <class T>
static bool forward_all(const T* qkv, T* o, float* lse, int64_t B, int32_t A, const Head& H) {
    bool short_of_memory = false;
    const int64_t bytes = (4 * H.Sp * H.dp + ROWS * (H.Sp + H.dp)) * (int64_t) sizeof(float);
    const int64_t row = (int64_t) A * H.d;
    parallel_for(B * A, 0.15 * H.S * H.S * H.d, [&](int64_t task) {
        const int64_t b = task / A, a = task % A;
        float* memory = (float*) scratch(bytes);
        if (memory == nullptr) {
            __atomic_store_n(&short_of_memory, true, __ATOMIC_RELAXED);
            return;
        }
        const T* q = qkv + b * H.S * H.stride + a * H.d;
        forward(H, q, q + row, q + 2 * row, o + b * H.S * row + a * H.d, row,
                lse == nullptr ? nullptr : lse + task * H.S, memory);
    });
    return !short_of_memory;
}

template <class T>
static bool backward_all(const T* qkv, const T* o, const float* lse, const T* d_o, T* dqkv, int64_t B, int32_t A,
                         const Head& H) {
    bool short_of_memory = false;
    const int64_t bytes = (8 * H.Sp * H.dp + ROWS * (2 * H.Sp + H.dp)) * (int64_t) sizeof(float);
    const int64_t row = (int64_t) A * H.d;
    parallel_for(B * A, 0.4 * H.S * H.S * H.d, [&](int64_t task) {
        const int64_t b = task / A, a = task % A;
        float* memory = (float*) scratch(bytes);
        if (memory == nullptr) {
            __atomic_store_n(&short_of_memory, true, __ATOMIC_RELAXED);
            return;
        }
        const T* q = qkv + b * H.S * H.stride + a * H.d;
        T* dq = dqkv + b * H.S * H.stride + a * H.d;
        const int64_t at = b * H.S * row + a * H.d;
        backward(H, q, q + row, q + 2 * row, o + at, row, lse + task * H.S, d_o + at, dq, dq + row, dq + 2 * row,
                 memory);
    });
    return !short_of_memory;
}

int attention(const void* qkv, const float* cos, const float* sin, void* o, float* lse, int64_t B, int32_t S, int32_t A,
              int32_t d, int32_t dtype, trm_stream) {
    TRM_CHECK(attention);
    const Head H = head_of(S, A, d, cos, sin);
    const bool done = dtype == TRM_F32 ? forward_all((const float*) qkv, (float*) o, lse, B, A, H)
                                       : forward_all((const bf16*) qkv, (bf16*) o, lse, B, A, H);
    return done ? TRM_OK : device_error("no memory for scratch, S=%d d=%d", S, d);
}

int attention_bwd(const void* qkv, const float* cos, const float* sin, const void* o, const float* lse, const void* d_o,
                  void* dqkv, int64_t B, int32_t S, int32_t A, int32_t d, int32_t dtype, trm_stream) {
    TRM_CHECK(attention_bwd);
    const Head H = head_of(S, A, d, cos, sin);
    const bool done =
        dtype == TRM_F32
            ? backward_all((const float*) qkv, (const float*) o, lse, (const float*) d_o, (float*) dqkv, B, A, H)
            : backward_all((const bf16*) qkv, (const bf16*) o, lse, (const bf16*) d_o, (bf16*) dqkv, B, A, H);
    return done ? TRM_OK : device_error("no memory for scratch, S=%d d=%d", S, d);
}

}  // namespace TRM_ISA
}  // namespace trm
