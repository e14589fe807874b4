/* trm_ops.h: the C ABI between the Java trainer and a backend. Every operation is declared once, here or, the optimizers and what
 * connects ranks, in trm_optimizers.h and trm_collectives.h, which are parts of the table. A backend is a shared library that
 * exports one function, trm_backend_table(), returning a table of function pointers. Java opens it with trm_open_backend() and calls
 * the entries. A backend may leave the six products NULL when its Java half has them from a library, and fused operations when
 * their fuses_* is always 0; with any other entry NULL, Java refuses the device and names the operation.
 *
 * Letters: B lanes, S = P + L positions (P puzzle-embedding prefix, L tokens), D channels, V vocabulary, A heads,
 * d head width, I inner width of a SwiGLU, E width of a puzzle vector.
 *
 * Rules for all operations
 *   dtype     TRM_F32 or TRM_BF16, the compute type of every `void*` operand; float*, double*, int32_t* are exactly that
 *   layout    row-major and contiguous, pointers aligned to at least 64 bytes; those of [B], [B, 2], [B, L] and [B, E],
 *             and of y, z, to their rows only: they may begin at any lane, where a batch goes in parts
 *   rounding  statistics, softmax, losses and weight gradients are float32 or wider; results are rounded once, at the
 *             store. Reductions run in an order that depends on the shapes alone: equal inputs give equal bits, for
 *             any number of threads
 *   gradients weight gradients are added to (+=), since one set of weights serves n + 1 applications of f; gradients of
 *             activations overwrite (=) unless the entry says otherwise
 *   errors    TRM_OK, TRM_EINVAL (nothing was done) or TRM_EDEVICE; last_error() holds this thread's text
 *   streams   work is enqueued on `stream`; no entry allocates, synchronises or reads device memory on the host, so
 *             all may be captured. The CPU backend takes NULL and has finished when the call returns
 */
/* clang-format off */
#ifndef TRM_OPS_H
#define TRM_OPS_H

#include <stdint.h>

#include "trm_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRM_ABI_VERSION 7

typedef void* trm_stream;

/** An entry is declared once, here, and named once in a list below. Its comment says what it computes and gives each
 *  operand's shape: operands that are const are read, the others written, those with += added to. TRM_CHECK_<entry> is
 *  what both backends require of the arguments, in the words of trm_checks.h. */
typedef struct trm_backend {
    int32_t abi_version;  /* TRM_ABI_VERSION of the header it was built from */
    int32_t size;         /* sizeof(trm_backend) of that header */
    const char* name;     /* "cpu" or "cuda" */
    const char* target;   /* what the library chose: "amx", "avx512_bf16", "avx512", "avx2", "base", "sm_90", ... */
    const char* (*last_error)(void);

    /** Number of worker threads, the caller included (CPU); at least 1. */
    int (*set_threads)(int32_t threads);

    /** p [bytes] uint8 = 0. */
    int (*zero)(void* p, int64_t bytes, trm_stream stream);
#define TRM_CHECK_zero TRM_NOT_NEGATIVE(bytes) TRM_GIVEN_IF(bytes > 0, p)
    /** to [bytes] uint8 = from [bytes] uint8. */
    int (*copy)(void* to, const void* from, int64_t bytes, trm_stream stream);
#define TRM_CHECK_copy TRM_NOT_NEGATIVE(bytes) TRM_GIVEN_IF(bytes > 0, to, from)
    /** to [count] bfloat16 = round(from), from [count] float32: the working copy of the weights. */
    int (*cast_bf16)(const float* from, void* to, int64_t count, trm_stream stream);
#define TRM_CHECK_cast_bf16 TRM_GIVEN(from, to) TRM_POSITIVE(count)
    /** out[n, b, :] = x[b, n, :]: what makes the sum of products over lanes one product.  x [B, N, D], out
     *  [N, B, D], other memory. */
    int (*permute_lanes)(const void* x, void* out, int64_t B, int32_t N, int32_t D, int32_t dtype, trm_stream stream);
#define TRM_CHECK_permute_lanes TRM_GIVEN(x, out) TRM_APART(x, out) TRM_POSITIVE(B, N, D) TRM_DTYPE(dtype)

    /* ---- products: M or B may be 0 ----------------------------------------------------------------------------- */
    /** y = x W^T.  x [M, K], w [N, K], y [M, N]. */
    int (*linear)(const void* x, const void* w, void* y, int64_t M, int32_t N, int32_t K, int32_t dtype,
                  trm_stream stream);
#define TRM_CHECK_linear TRM_NOT_NEGATIVE(M) TRM_POSITIVE(N, K) TRM_DTYPE(dtype) TRM_GIVEN_IF(M > 0, x, w, y)
    /** dx = dy W, or dx += dy W (accumulate = 1: one rounding of the sum; a library may round the product before).
     *  dy [M, N], w [N, K], dx [M, K]. */
    int (*linear_bwd_x)(const void* dy, const void* w, void* dx, int64_t M, int32_t N, int32_t K, int32_t accumulate,
                        int32_t dtype, trm_stream stream);
#define TRM_CHECK_linear_bwd_x TRM_NOT_NEGATIVE(M) TRM_POSITIVE(N, K) TRM_DTYPE(dtype) TRM_GIVEN_IF(M > 0, dy, w, dx)
    /** dw += dy^T x.  dy [M, N], x [M, K], dw [N, K] float32. */
    int (*linear_bwd_w)(const void* dy, const void* x, float* dw, int64_t M, int32_t N, int32_t K, int32_t dtype,
                        trm_stream stream);
#define TRM_CHECK_linear_bwd_w TRM_NOT_NEGATIVE(M) TRM_POSITIVE(N, K) TRM_DTYPE(dtype) TRM_GIVEN_IF(M > 0, dy, x, dw)
    /** A product over positions: y_b = W x_b for each lane.  x [B, K, D], w [N, K], y [B, N, D]. */
    int (*mix)(const void* x, const void* w, void* y, int64_t B, int32_t N, int32_t K, int32_t D, int32_t dtype,
               trm_stream stream);
#define TRM_CHECK_mix TRM_NOT_NEGATIVE(B) TRM_POSITIVE(N, K, D) TRM_DTYPE(dtype) TRM_GIVEN_IF(B > 0, x, w, y)
    /** dx_b = W^T dy_b, or += (accumulate = 1).  dy [B, N, D], w [N, K], dx [B, K, D]. */
    int (*mix_bwd_x)(const void* dy, const void* w, void* dx, int64_t B, int32_t N, int32_t K, int32_t D,
                     int32_t accumulate, int32_t dtype, trm_stream stream);
#define TRM_CHECK_mix_bwd_x TRM_NOT_NEGATIVE(B) TRM_POSITIVE(N, K, D) TRM_DTYPE(dtype) TRM_GIVEN_IF(B > 0, dy, w, dx)
    /** dw += sum_b dy_b x_b^T.  dy [B, N, D], x [B, K, D], dw [N, K] float32. */
    int (*mix_bwd_w)(const void* dy, const void* x, float* dw, int64_t B, int32_t N, int32_t K, int32_t D,
                     int32_t dtype, trm_stream stream);
#define TRM_CHECK_mix_bwd_w TRM_NOT_NEGATIVE(B) TRM_POSITIVE(N, K, D) TRM_DTYPE(dtype) TRM_GIVEN_IF(B > 0, dy, x, dw)

    /* ---- between the products -------------------------------------------------------------------------------- */
    /** out = a + b.  a, b, out [count]; out may alias either. */
    int (*add)(const void* a, const void* b, void* out, int64_t count, int32_t dtype, trm_stream stream);
#define TRM_CHECK_add TRM_GIVEN(a, b, out) TRM_POSITIVE(count) TRM_DTYPE(dtype)
    /** sum += a: the shares of dx.  a [count], sum [count] float32. */
    int (*add_into)(const void* a, float* sum, int64_t count, int32_t dtype, trm_stream stream);
#define TRM_CHECK_add_into TRM_GIVEN(a, sum) TRM_POSITIVE(count) TRM_DTYPE(dtype)

    /** y = rms_norm(h + f) over the last axis, s = 1 / sqrt(mean_D((h + f)^2) + eps); and u = y + c, of the rounded y
     *  (injection), unless c is NULL.  h f y c u [rows, D], s [rows]; y may alias h or f, u may alias any input. */
    int (*add_rms_norm)(const void* h, const void* f, const void* c, void* y, void* u, float* s, int64_t rows,
                        int32_t D, float eps, int32_t dtype, trm_stream stream);
#define TRM_CHECK_add_rms_norm TRM_GIVEN(h, f, y, s) TRM_INJECTION(c, y, u) TRM_POSITIVE(rows, D) TRM_DTYPE(dtype)
    /** dr = s (dy - y mean_D(dy y)), the gradient of both h and f.  dy y dr [rows, D], s [rows]; dr may alias dy. */
    int (*add_rms_norm_bwd)(const void* dy, const void* y, const float* s, void* dr, int64_t rows, int32_t D,
                            int32_t dtype, trm_stream stream);
#define TRM_CHECK_add_rms_norm_bwd TRM_GIVEN(dy, y, s, dr) TRM_POSITIVE(rows, D) TRM_DTYPE(dtype)
    /** add_rms_norm over positions, without c.  h f y [B, S, D], s [B, D]; y may alias h or f. */
    int (*add_rms_norm_positions)(const void* h, const void* f, void* y, float* s, int64_t B, int32_t S, int32_t D,
                                  float eps, int32_t dtype, trm_stream stream);
#define TRM_CHECK_add_rms_norm_positions TRM_GIVEN(h, f, y, s) TRM_POSITIVE(B, S, D) TRM_DTYPE(dtype)
    /** add_rms_norm_bwd over positions.  dy y dr [B, S, D], s [B, D]; dr may alias dy. */
    int (*add_rms_norm_positions_bwd)(const void* dy, const void* y, const float* s, void* dr, int64_t B, int32_t S,
                                      int32_t D, int32_t dtype, trm_stream stream);
#define TRM_CHECK_add_rms_norm_positions_bwd TRM_GIVEN(dy, y, s, dr) TRM_POSITIVE(B, S, D) TRM_DTYPE(dtype)

    /** p = silu(g) u.  gu [outer, 2, inner]: g is [., 0, .], u is [., 1, .];  p [outer, inner]. */
    int (*swiglu)(const void* gu, void* p, int64_t outer, int64_t inner, int32_t dtype, trm_stream stream);
#define TRM_CHECK_swiglu TRM_GIVEN(gu, p) TRM_POSITIVE(outer, inner) TRM_DTYPE(dtype)
    /** dg = dp u silu'(g), du = dp silu(g), and p = silu(g) u again, unless p is NULL.  gu dgu [outer, 2, inner], p dp
     *  [outer, inner]; dgu may alias gu; p may alias dp. */
    int (*swiglu_bwd)(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int64_t inner, int32_t dtype,
                      trm_stream stream);
#define TRM_CHECK_swiglu_bwd TRM_GIVEN(gu, dp, dgu) TRM_POSITIVE(outer, inner) TRM_DTYPE(dtype)
    /** The gate of a normed SwiGLU, for Muon (docs/specification.md#32-swiglu): p = sigma(g) n with n = r a, a = g u and
     *  r = 1 / sqrt(mean_I(a^2) + eps).  gu [outer, 2, I, inner], p [outer, I, inner]: a norm for each of outer and inner. */
    int (*normed_swiglu)(const void* gu, void* p, int64_t outer, int32_t I, int32_t inner, float eps, int32_t dtype,
                         trm_stream stream);
#define TRM_CHECK_normed_swiglu TRM_GIVEN(gu, p) TRM_POSITIVE(outer, I, inner) TRM_DTYPE(dtype)
    /** With da = r (dp sigma(g) - n mean_I(dp sigma(g) n)): dg = dp n sigma(g) (1 - sigma(g)) + da u, du = da g; and p
     *  again unless it is NULL, with the bits of normed_swiglu.  gu, dgu [outer, 2, I, inner], dp, p [outer, I, inner];
     *  dgu may alias gu, and p dp. */
    int (*normed_swiglu_bwd)(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int32_t I,
                             int32_t inner, float eps, int32_t dtype, trm_stream stream);
#define TRM_CHECK_normed_swiglu_bwd TRM_GIVEN(gu, dp, dgu) TRM_POSITIVE(outer, I, inner) TRM_DTYPE(dtype)

    /** o = softmax(q k^T / sqrt(d)) v over all S positions of a lane, per head.
     *  qkv [B, S, 3, A, d], o [B, S, A, d], lse [B, A, S]: log of the sum of exponentials of a row of scores, or NULL
     *  when no backward pass follows. cos, sin [S, d/2] float32 rotate q and k on load (channel i with i + d/2; the
     *  rotated values are rounded to the compute type), or NULL. In bfloat16 the weights may be rounded to it before they
     *  meet v and do, and the gradient of a score before it meets k and q; their sum and all other sums are float32. */
    int (*attention)(const void* qkv, const float* cos, const float* sin, void* o, float* lse, int64_t B, int32_t S,
                     int32_t A, int32_t d, int32_t dtype, trm_stream stream);
#define TRM_CHECK_attention TRM_GIVEN(qkv, o) TRM_POSITIVE(B, S, A, d) TRM_ROTATION(cos, sin, d) TRM_DTYPE(dtype)
    /** The gradient of attention, of which qkv, cos, sin, o and lse are.
     *  qkv dqkv [B, S, 3, A, d], o d_o [B, S, A, d], lse [B, A, S], cos, sin [S, d/2] or NULL. */
    int (*attention_bwd)(const void* qkv, const float* cos, const float* sin, const void* o, const float* lse,
                         const void* d_o, void* dqkv, int64_t B, int32_t S, int32_t A, int32_t d, int32_t dtype,
                         trm_stream stream);
#define TRM_CHECK_attention_bwd \
    TRM_GIVEN(qkv, o, lse, d_o, dqkv) TRM_POSITIVE(B, S, A, d) TRM_ROTATION(cos, sin, d) TRM_DTYPE(dtype)
    /** For a library's attention, which does not rotate: qk [B, S, 2, A, d] = q and k of qkv [B, S, 3, A, d] as attention
     *  rotates and rounds them. d even; cos, sin [S, d/2]. */
    int (*rotary)(const void* qkv, const float* cos, const float* sin, void* qk, int64_t B, int32_t S, int32_t A,
                  int32_t d, int32_t dtype, trm_stream stream);
#define TRM_CHECK_rotary \
    TRM_GIVEN(qkv, cos, sin, qk) TRM_POSITIVE(B, S, A, d) TRM_ROTATION(cos, sin, d) TRM_DTYPE(dtype)
    /** dq and dk of dqkv [B, S, 3, A, d], the gradients of rotated q and k, become those of q and k, in place: rotated by
     *  -t, rounded once more. dv stays. cos, sin [S, d/2]. */
    int (*rotary_bwd)(void* dqkv, const float* cos, const float* sin, int64_t B, int32_t S, int32_t A, int32_t d,
                      int32_t dtype, trm_stream stream);
#define TRM_CHECK_rotary_bwd \
    TRM_GIVEN(dqkv, cos, sin) TRM_POSITIVE(B, S, A, d) TRM_ROTATION(cos, sin, d) TRM_DTYPE(dtype)

    /* ---- residual sublayers in one pass --------------------------------------------------------------------------- */
    /** What the fused halves below compute is what the operations above compose: products, swiglu or normed_swiglu,
     *  add_rms_norm. They exist for sizes whose weights stay in a cache; fuses_* is 1 for sizes that the backend takes, else 0.
     *  rho, for the normed SwiGLU (normed = 1), is the factor 1 / sqrt(mean_I((g u)^2) + eps) of a row's branch; where it is
     *  NULL, the SwiGLU is the plain one (normed = 0). */
    int32_t (*fuses_position_mlp)(int32_t S, int32_t I, int32_t D, int32_t normed, int32_t dtype);
    /** Bytes of `work` that position_mlp needs, and with backward = 1 those that both need; 0: work may be NULL, or the
     *  sizes are not fused. What is in it does not outlive a call. */
    int64_t (*position_mlp_work)(int64_t B, int32_t S, int32_t I, int32_t D, int32_t dtype, int32_t backward);
    /** y = rms_norm(h + rho Wd (silu(Wg h) * (Wu h))) in each lane, norm over positions; rho = 1 where it is NULL.
     *  h y [B, S, D], w_gate_up [2 I, S], w_down [S, I], s rho [B, D], work [position_mlp_work] uint8; y may alias h. */
    int (*position_mlp)(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, float* rho,
                        void* work, int64_t B, int32_t S, int32_t I, int32_t D, float eps, int32_t dtype,
                        trm_stream stream);
#define TRM_CHECK_position_mlp \
    TRM_GIVEN(h, w_gate_up, w_down, y, s) TRM_POSITIVE(B, S, I, D) TRM_NORMED(rho) \
    TRM_FUSED_SIZES(position_mlp, S, I, D, normed, dtype) \
    TRM_GIVEN_IF(position_mlp_work(B, S, I, D, dtype, 0) > 0, work)
    /** d [B, S, D]: in the gradient of y, out that of h. dw_gate_up [2 I, S] +=, dw_down [S, I] +=.
     *  h y [B, S, D], s [B, D], rho [B, D] or NULL, w_gate_up [2 I, S], w_down [S, I], work [position_mlp_work] uint8. */
    int (*position_mlp_bwd)(const void* h, const void* y, const float* s, const float* rho, const void* w_gate_up,
                            const void* w_down, void* d, float* dw_gate_up, float* dw_down, void* work, int64_t B,
                            int32_t S, int32_t I, int32_t D, int32_t dtype, trm_stream stream);
#define TRM_CHECK_position_mlp_bwd \
    TRM_GIVEN(h, y, s, w_gate_up, w_down, d, dw_gate_up, dw_down) TRM_POSITIVE(B, S, I, D) TRM_NORMED(rho) \
    TRM_FUSED_SIZES(position_mlp, S, I, D, normed, dtype) TRM_GIVEN_IF(position_mlp_work(B, S, I, D, dtype, 1) > 0, work)

    /** As fuses_position_mlp, for channel_mlp. */
    int32_t (*fuses_channel_mlp)(int32_t I, int32_t D, int32_t normed, int32_t dtype);
    /** y = rms_norm(h + rho (silu(h Wg^T) * (h Wu^T)) Wd^T), norm over channels, rho = 1 where it is NULL; u = y + c unless c
     *  is NULL. h c y u [rows, D], w_gate_up [2 I, D], w_down [D, I], s rho [rows]; kept [rows, 2, I]: the gate and up
     *  products, or NULL when no backward pass follows. y may alias h; u may alias h. */
    int (*channel_mlp)(const void* h, const void* w_gate_up, const void* w_down, const void* c, void* kept, void* y,
                       void* u, float* s, float* rho, int64_t rows, int32_t I, int32_t D, float eps, int32_t dtype,
                       trm_stream stream);
#define TRM_CHECK_channel_mlp \
    TRM_GIVEN(h, w_gate_up, w_down, y, s) TRM_INJECTION(c, y, u) TRM_POSITIVE(rows, I, D) TRM_NORMED(rho) \
    TRM_FUSED_SIZES(channel_mlp, I, D, normed, dtype)
    /** d [rows, D]: in the gradient of y, out that of h. dw_gate_up [2 I, D] +=, dw_down [D, I] +=.
     *  h y [rows, D], kept [rows, 2, I], s [rows], rho [rows] or NULL, w_gate_up [2 I, D], w_down [D, I]. */
    int (*channel_mlp_bwd)(const void* h, const void* kept, const void* y, const float* s, const float* rho,
                           const void* w_gate_up, const void* w_down, void* d, float* dw_gate_up, float* dw_down,
                           int64_t rows, int32_t I, int32_t D, int32_t dtype, trm_stream stream);
#define TRM_CHECK_channel_mlp_bwd \
    TRM_GIVEN(h, kept, y, s, w_gate_up, w_down, d, dw_gate_up, dw_down) TRM_POSITIVE(rows, I, D) TRM_NORMED(rho) \
    TRM_FUSED_SIZES(channel_mlp, I, D, normed, dtype)

    /* ---- products with what follows them ------------------------------------------------------------------------- */
    /** What they compute is what the operations named compose. fuses_* is 1 for sizes that the backend takes, else 0. The
     *  normed SwiGLU (normed = 1) is both of them, one after the other, with the squares that the first hands to the second;
     *  where squares is NULL, the SwiGLU is the plain one (normed = 0). */
    int32_t (*fuses_linear_swiglu)(int32_t I, int32_t K, int32_t normed, int32_t dtype);
    /** linear, then swiglu: gu = x w_gate_up^T, p = silu(g) u.  x [M, K], w_gate_up [2 I, K], gu [M, 2, I] or NULL when
     *  no backward pass follows, p [M, I]. squares [M, I / TRM_SQUARES] or NULL: the sums of (g u)^2 over TRM_SQUARES units. */
    int (*linear_swiglu)(const void* x, const void* w_gate_up, void* gu, void* p, float* squares, int64_t M, int32_t I,
                         int32_t K, int32_t dtype, trm_stream stream);
#define TRM_CHECK_linear_swiglu \
    TRM_GIVEN(x, w_gate_up, p) TRM_POSITIVE(M, I, K) TRM_NORMED(squares) \
    TRM_FUSED_SIZES(linear_swiglu, I, K, normed, dtype)
    /** As fuses_linear_swiglu, for linear_add_rms_norm. */
    int32_t (*fuses_linear_add_rms_norm)(int32_t N, int32_t K, int32_t normed, int32_t dtype);
    /** linear, then add_rms_norm: y = rms_norm(h + rho x w^T) over the last axis, s, and u = y + c unless c is NULL; rho = 1 /
     *  sqrt(sum of squares / K + eps) of a row, 1 where squares is NULL.
     *  x [M, K], squares [M, K / TRM_SQUARES] or NULL, w [N, K], h c y u [M, N], s [M]; y may alias h; u may alias h or c. */
    int (*linear_add_rms_norm)(const void* x, const float* squares, const void* w, const void* h, const void* c, void* y,
                               void* u, float* s, int64_t M, int32_t N, int32_t K, float eps, int32_t dtype,
                               trm_stream stream);
#define TRM_CHECK_linear_add_rms_norm \
    TRM_GIVEN(x, w, h, y, s) TRM_INJECTION(c, y, u) TRM_POSITIVE(M, N, K) TRM_NORMED(squares) \
    TRM_FUSED_SIZES(linear_add_rms_norm, N, K, normed, dtype)

    /* ---- input injection --------------------------------------------------------------------------------------- */
    /** x [B, S, D]: the lane's puzzle vector padded with zeros to P*D, or prefix, in front of its token rows; with pos
     *  (learned positions) the sum with it times 0.707106781; everything times sqrt(D).
     *  tokens [B, L], ids [B], embed [V, D], pos [S, D] or NULL, table [identifiers, E] float32 or NULL, prefix [P, D] or
     *  NULL; of these two one at most, and with neither P = 0.
     *  Not checked: each token in 0 .. V - 1, each id in 0 .. identifiers - 1. */
    int (*embed)(const int32_t* tokens, const int32_t* ids, const void* embed, const void* pos, const float* table,
                 const void* prefix, void* x, int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, int32_t dtype,
                 trm_stream stream);
#define TRM_CHECK_embed \
    TRM_GIVEN(tokens, embed, x) TRM_POSITIVE(B, L, D) TRM_NOT_NEGATIVE(P) TRM_DTYPE(dtype) \
    TRM_REQUIRE(table != nullptr || prefix != nullptr || P == 0, "P=%d without a puzzle table or a prefix", P) \
    TRM_REQUIRE(table == nullptr || prefix == nullptr, "a puzzle table and a prefix, P=%d", P) \
    TRM_GIVEN_IF(P > 0 && table != nullptr, ids) \
    TRM_REQUIRE(P == 0 || table == nullptr || (E > 0 && E <= (int64_t) P * D), \
                "E=%d must fit into P=%d positions of D=%d", E, P, D)
    /** From dx [B, S, D] float32: d_embed [V, D] +=, d_pos [S, D] += or NULL, d_rows [B, E] or NULL, d_prefix [P, D] += or
     *  NULL. tokens [B, L].
     *  Not checked: each token in 0 .. V - 1. */
    int (*embed_bwd)(const float* dx, const int32_t* tokens, float* d_embed, float* d_pos, float* d_rows,
                     float* d_prefix, int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, int32_t V,
                     trm_stream stream);
#define TRM_CHECK_embed_bwd \
    TRM_GIVEN(dx, tokens, d_embed) TRM_POSITIVE(B, L, D, V) TRM_NOT_NEGATIVE(P) \
    TRM_REQUIRE(d_rows == nullptr || (E > 0 && E <= (int64_t) P * D), "E=%d must fit into P=%d positions of D=%d", E, P, D)

    /* ---- lanes ------------------------------------------------------------------------------------------------- */
    /** Every halted lane takes the example rows[step % ring, b] of the data set, and steps = 0; others keep theirs. step
     *  is that in controls, which may be NULL when ring = 1.
     *  rows [ring, B] (a row of -1: inputs 0, labels TRM_IGNORE, identifier 0); data_inputs, data_labels [examples, L];
     *  data_ids [examples]; a label equal to ignore_id becomes TRM_IGNORE (ignore_id < 0: none). halted, steps, ids [B];
     *  inputs, labels [B, L]; controls [TRM_CONTROLS].
     *  With origins [examples, 2], data_inputs and data_labels are of tasks, boards of side x side = L tokens, and
     *  example e is made of task origins[e][0] by the record origins[e][1] of augmentations [., 1 + 2 side + V]: a
     *  flag, rows and columns (each a permutation of 0 .. side - 1), and what each of V tokens becomes.
     *      out[r][c] = tokens[in[rows[r]][columns[c]]], or where the flag is 1, tokens[in[columns[c]][rows[r]]]
     *  for inputs and labels alike. Both NULL, side = V = 0: an example is a row of the data set as it is.
     *  Not checked: rows in -1 .. examples - 1, origins within tasks and augmentations, records of permutations and of
     *  tokens below V, data_inputs below V where there are records, the step in controls not negative. */
    int (*admit)(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
                 const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins,
                 const uint8_t* augmentations, int32_t ignore_id, const int32_t* halted, int32_t* steps,
                 int32_t* inputs, int32_t* labels, int32_t* ids, int64_t B, int32_t L, int32_t side, int32_t V,
                 trm_stream stream);
#define TRM_CHECK_admit \
    TRM_GIVEN(rows, data_inputs, data_labels, data_ids, halted, steps, inputs, labels, ids) TRM_POSITIVE(B, L) \
    TRM_REQUIRE((origins == nullptr) == (augmentations == nullptr), "origins and augmentations, one is NULL") \
    TRM_REQUIRE(origins == nullptr || (side > 0 && (int64_t) side * side == L && V > 0), "L=%d side=%d V=%d", L, side, V) \
    TRM_REQUIRE(ring == 1 || (ring > 1 && controls != nullptr), "ring=%d with controls %s", ring, \
                controls == nullptr ? "NULL" : "given")

    /** Fresh augmentation: as `admit` of tasks (rows [ring, B]; data_inputs, data_labels [tasks, L]; data_ids [examples]; origins
     *  [examples, 2], of which the tasks count; halted, steps, ids [B]; inputs, labels [B, L]; controls [TRM_CONTROLS]), but the
     *  record is drawn for lane first_lane + b at the step in controls, of choices in this order:
     *    flag     one of 2, where `transposes`; else 0
     *    rows     box_rows = 0: reversed or not, one of 2. Else a permutation of the side / box_rows bands, then one of the
     *             rows of each band, in the order of the result
     *    columns  likewise, by box_columns
     *    tokens   a permutation of first_token .. V - 1; the others stay
     *  A permutation begins with the identity; for i = n - 1 .. 1 it swaps places i and one of i + 1. Choice k, one of n, is
     *  n w >> 32 for word w = k % 4 of Philox4x32-10, key (seed low, seed high), counter (k / 4, lane, step low, 2^32 - 1). */
    int (*admit_fresh)(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
                       const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins, int32_t ignore_id,
                       const int32_t* halted, int32_t* steps, int32_t* inputs, int32_t* labels, int32_t* ids, int64_t B,
                       int32_t L, int32_t side, int32_t V, int32_t transposes, int32_t box_rows, int32_t box_columns,
                       int32_t first_token, int64_t first_lane, int64_t seed, trm_stream stream);
#define TRM_CHECK_admit_fresh \
    TRM_GIVEN(rows, controls, data_inputs, data_labels, data_ids, origins, halted, steps, inputs, labels, ids) \
    TRM_POSITIVE(B, L, ring) TRM_NOT_NEGATIVE(first_lane, box_rows, box_columns) \
    TRM_REQUIRE(side > 0 && side <= 256 && side * side == L && V > 0 && V <= 256, "L=%d side=%d V=%d", L, side, V) \
    TRM_REQUIRE((box_rows == 0 || side % box_rows == 0) && (box_columns == 0 || side % box_columns == 0) && \
                (transposes == 0 || box_rows == box_columns), "side=%d transposes=%d box_rows=%d box_columns=%d", side, \
                transposes, box_rows, box_columns) \
    TRM_REQUIRE(first_token >= 0 && first_token <= V, "first_token=%d V=%d", first_token, V)

    /** A latent z of every halted lane = init at every position, rounded; others keep theirs.
     *  halted [B], init [D], z [B, S, D]. */
    int (*reset_latent)(const int32_t* halted, const float* init, void* z, int64_t B, int32_t S, int32_t D,
                        int32_t dtype, trm_stream stream);
#define TRM_CHECK_reset_latent TRM_GIVEN(halted, init, z) TRM_POSITIVE(B, S, D) TRM_DTYPE(dtype)

    /** min_steps [B]: m_b of lane first_lane + b at the step in controls [TRM_CONTROLS]: with probability p drawn from
     *  {2, ..., max_steps}, else 0. Philox4x32-10, key (seed low, seed high), counter (global lane, step low, step high,
     *  0): words 0, 1 give the uniform deviate ((w0 >> 5) 2^26 + (w1 >> 6)) / 2^53, compared with p (<); the value is
     *  2 + ((uint64) w2 (max_steps - 1) >> 32). */
    int (*explore)(const double* controls, int32_t* min_steps, int64_t B, int64_t first_lane, int64_t seed, double p,
                   int32_t max_steps, trm_stream stream);
#define TRM_CHECK_explore TRM_GIVEN(controls, min_steps) TRM_POSITIVE(B, max_steps) TRM_NOT_NEGATIVE(first_lane)

    /* ---- equilibrium-style training ----------------------------------------------------------------------------
     * What follows draws for element e of a lane's latent: w = word e % 4 of Philox4x32-10 with key (seed low, seed high)
     * and counter (e / 4, lane, step low, draw), and u = (w + 1/2) / 2^32. The step is that in controls; draw >= 1 tells
     * the draws of a step apart (explore has 0). Values are formed in float32. */

    /** An update of a latent, damped and with noise: state = (1 - lambda) state + lambda f + sigma eps, rounded once, with
     *  eps = Phi^-1(u) standard normal, the lane being first_lane + b. f, state [B, count], other memory;
     *  controls [TRM_CONTROLS] or NULL: sigma = 0 draws nothing. */
    int (*relax)(const void* f, void* state, const double* controls, int64_t B, int64_t count, int64_t first_lane,
                 int64_t seed, int32_t draw, double lambda, double sigma, int32_t dtype, trm_stream stream);
#define TRM_CHECK_relax \
    TRM_GIVEN(f, state) TRM_APART(f, state) TRM_POSITIVE(B, count) TRM_NOT_NEGATIVE(first_lane) TRM_DTYPE(dtype) \
    TRM_REQUIRE(lambda > 0 && lambda <= 1 && sigma >= 0, "lambda=%g sigma=%g", lambda, sigma) \
    TRM_REQUIRE(sigma == 0 || (controls != nullptr && draw > 0), "draw=%d with controls %s", draw, \
                controls == nullptr ? "NULL" : "given")
    /** d: in the gradient of the new state, out that of the old, d = (1 - lambda) d; d_f = lambda d.
     *  d, d_f [count], other memory. */
    int (*relax_bwd)(void* d, void* d_f, int64_t count, double lambda, int32_t dtype, trm_stream stream);
#define TRM_CHECK_relax_bwd \
    TRM_GIVEN(d, d_f) TRM_APART(d, d_f) TRM_POSITIVE(count) TRM_DTYPE(dtype) \
    TRM_REQUIRE(lambda > 0 && lambda <= 1, "lambda=%g", lambda)
    /** z of halted lanes = the normal law cut to +-2, of deviation 1: Phi^-1(1/2 + (u - 1/2) P(|eps| < 2)) / 0.8796...
     *  halted [B], z [B, count]. keys [B] number the lanes, or NULL: the lane is first_lane + b. controls [TRM_CONTROLS]
     *  or NULL: step 0. */
    int (*random_start)(const int32_t* halted, const int32_t* keys, const double* controls, void* z, int64_t B,
                        int64_t count, int64_t first_lane, int64_t seed, int32_t draw, int32_t dtype,
                        trm_stream stream);
#define TRM_CHECK_random_start \
    TRM_GIVEN(halted, z) TRM_POSITIVE(B, count, draw) TRM_NOT_NEGATIVE(first_lane) TRM_DTYPE(dtype)

    /* ---- heads and losses -------------------------------------------------------------------------------------- */
    /** q [B, 2] = y[:, 0, :] W^T + bias, rounded to the compute type before widening.
     *  y [B, S, D], w [2, D], bias [2]. */
    int (*halt_head)(const void* y, const void* w, const void* bias, float* q, int64_t B, int32_t S, int32_t D,
                     int32_t dtype, trm_stream stream);
#define TRM_CHECK_halt_head TRM_GIVEN(y, w, bias, q) TRM_POSITIVE(B, S, D) TRM_DTYPE(dtype)
    /** dy[:, 0, :] += dq W;  dw [2, D] += dq^T y[:, 0, :];  d_bias [2] += sum_b dq.  dq [B, 2], y dy [B, S, D],
     *  w [2, D]. */
    int (*halt_head_bwd)(const float* dq, const void* y, const void* w, void* dy, float* dw, float* d_bias, int64_t B,
                         int32_t S, int32_t D, int32_t dtype, trm_stream stream);
#define TRM_CHECK_halt_head_bwd TRM_GIVEN(dq, y, w, dy, dw, d_bias) TRM_POSITIVE(B, S, D) TRM_DTYPE(dtype)

    /** Token loss of logits [B, S, V] (the first P positions carry none) against labels [B, L].
     *  preds [B, L]: argmax, first index on ties; lane_loss [B]: sum of token losses / max(1, labels); hits, labelled
     *  [B]: correct and labelled tokens; d_logits [B, S, V] or NULL: gradient of scale * sum_b lane_loss, 0 at prefix
     *  and ignored positions; d_logits may alias logits. kind is TRM_STABLEMAX or TRM_SOFTMAX. With TRM_SOFTMAX the loss
     *  may be against smoothed labels, (1 - smoothing) [c = label] + smoothing / V; else smoothing is 0. */
    int (*token_loss)(const void* logits, const int32_t* labels, int32_t* preds, double* lane_loss, int32_t* hits,
                      int32_t* labelled, void* d_logits, int64_t B, int32_t L, int32_t P, int32_t V, int32_t kind,
                      double smoothing, double scale, int32_t dtype, trm_stream stream);
#define TRM_CHECK_token_loss \
    TRM_GIVEN(logits, labels, preds, lane_loss, hits, labelled) TRM_POSITIVE(B, L, V) TRM_NOT_NEGATIVE(P) \
    TRM_REQUIRE(kind == TRM_STABLEMAX || kind == TRM_SOFTMAX, "kind=%d", kind) TRM_DTYPE(dtype) \
    TRM_REQUIRE(smoothing == 0 || (kind == TRM_SOFTMAX && smoothing > 0 && smoothing < 1), "kind=%d smoothing=%g", kind, \
                smoothing)

    /** steps += 1; last = steps >= max_steps; exact = (hits == labelled). halted = (last or wants) and
     *  steps >= min_steps, with wants = q_halt > 0 (rule TRM_HALT_SIGN) or q_halt > q_continue (TRM_HALT_COMPARE);
     *  rule TRM_HALT_LAST or max_steps = 1: halted = last, and min_steps may be NULL. halt_loss = BCE(q_halt, exact);
     *  dq = (scale (sigmoid(q_halt) - exact), 0), or NULL. q, dq [B, 2]; hits, labelled, min_steps, steps, halted, exact,
     *  halt_loss [B]. */
    int (*halt)(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* min_steps, int32_t* steps,
                int32_t* halted, int32_t* exact, double* halt_loss, float* dq, int64_t B, int32_t max_steps,
                int32_t rule, double scale, trm_stream stream);
#define TRM_CHECK_halt \
    TRM_GIVEN(q, hits, labelled, steps, halted, exact, halt_loss) TRM_POSITIVE(B, max_steps) \
    TRM_REQUIRE(rule == TRM_HALT_LAST || rule == TRM_HALT_SIGN || rule == TRM_HALT_COMPARE, "rule=%d", rule) \
    TRM_GIVEN_IF(rule != TRM_HALT_LAST && max_steps > 1, min_steps)

    /** The continue loss, after `halt`. next_q [B, 2]: q of one more forward pass from the lane's new latents.
     *  target [B] = sigmoid(next_q_halt) if steps >= max_steps, else sigmoid(max(next_q_halt, next_q_continue)); loss [B]
     *  = BCE(q_continue, target); dq[:, 1] = scale (sigmoid(q_continue) - target), dq[:, 0] is not touched. q, dq [B, 2],
     *  steps [B]. */
    int (*continue_loss)(const float* q, const float* next_q, const int32_t* steps, double* target, double* loss,
                         float* dq, int64_t B, int32_t max_steps, double scale, trm_stream stream);
#define TRM_CHECK_continue_loss TRM_GIVEN(q, next_q, steps, target, loss, dq) TRM_POSITIVE(B, max_steps)

    /** A start without carry, after `halt` and `continue_loss`: at a step before `from`, the step being that in controls,
     *  every lane halts and no halting loss is trained: halted = 1, dq = 0, halt_loss = 0 and continue_loss = 0. From step
     *  `from` on nothing changes. controls [TRM_CONTROLS]; halted, halt_loss [B], continue_loss [B] or NULL; dq [B, 2]. */
    int (*drop_carry)(const double* controls, int32_t* halted, double* halt_loss, double* continue_loss, float* dq,
                      int64_t B, int64_t from, trm_stream stream);
#define TRM_CHECK_drop_carry TRM_GIVEN(controls, halted, halt_loss, dq) TRM_POSITIVE(B) TRM_NOT_NEGATIVE(from)

    /** Adds one step to metrics [TRM_METRICS], lanes in order. q [B, 2]; hits, labelled, exact, steps, halted,
     *  lane_loss, halt_loss [B]; continue_loss [B] or NULL. */
    int (*metrics)(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* exact,
                   const int32_t* steps, const int32_t* halted, const double* lane_loss, const double* halt_loss,
                   const double* continue_loss, double* metrics, int64_t B, trm_stream stream);
#define TRM_CHECK_metrics TRM_GIVEN(q, hits, labelled, exact, steps, halted, lane_loss, halt_loss, metrics) TRM_POSITIVE(B)

#include "trm_optimizers.h"
#include "trm_collectives.h"
} trm_backend;

/* The entries by who has them. Lists declare and fill the tables of both backends, of captures, of the null backend. */
#define TRM_HOST(X) X(last_error) X(set_threads)
#define TRM_OPERATIONS(X)                                                                                             \
    X(zero) X(copy) X(cast_bf16) X(permute_lanes) X(add) X(add_into) X(add_rms_norm) X(add_rms_norm_bwd)              \
    X(add_rms_norm_positions) X(add_rms_norm_positions_bwd) X(swiglu) X(swiglu_bwd) X(normed_swiglu)                  \
    X(normed_swiglu_bwd) X(attention) X(attention_bwd) X(rotary) X(rotary_bwd) X(embed) X(embed_bwd)                  \
    X(admit) X(admit_fresh) X(reset_latent) X(explore) X(relax) X(relax_bwd) X(random_start)                          \
    X(halt_head) X(halt_head_bwd) X(token_loss) X(halt) X(continue_loss) X(drop_carry) X(metrics) X(advance)          \
    X(grad_norm) X(clip_gradient) X(adam) X(muon_direction) X(muon_iterate) X(muon_update) X(sign_sgd)
/* NULL in a backend whose Java half has them from a library. */
#define TRM_PRODUCTS(X) X(linear) X(linear_bwd_x) X(linear_bwd_w) X(mix) X(mix_bwd_x) X(mix_bwd_w)
/* A backend without a group answers 0 to its fuses_*. */
#define TRM_FUSED_POSITIONS(X) X(fuses_position_mlp) X(position_mlp_work) X(position_mlp) X(position_mlp_bwd)
#define TRM_FUSED_CHANNELS(X) X(fuses_channel_mlp) X(channel_mlp) X(channel_mlp_bwd)
#define TRM_FUSED_PRODUCTS(X) X(fuses_linear_swiglu) X(linear_swiglu) X(fuses_linear_add_rms_norm) X(linear_add_rms_norm)
#define TRM_FUSED(X) TRM_FUSED_POSITIONS(X) TRM_FUSED_CHANNELS(X) TRM_FUSED_PRODUCTS(X)
/* Of a library that connects ranks, which has nothing else but last_error; NULL in the others. */
#define TRM_RANKS(X) X(join) X(leave) X(end_ranks)
#define TRM_COLLECTIVES(X) X(all_reduce) X(all_reduce_double) X(all_gather) X(broadcast)
#define TRM_ENTRIES(X) TRM_HOST(X) TRM_OPERATIONS(X) TRM_PRODUCTS(X) TRM_FUSED(X) TRM_RANKS(X) TRM_COLLECTIVES(X)

/** The one symbol a backend exports. */
__attribute__((visibility("default"))) const trm_backend* trm_backend_table(void);

#ifdef __cplusplus
}
#endif

#endif
