/* trm_ops.h: the C ABI between the Java trainer and a backend. Every operation is declared once, here.
 *
 * A backend is a shared library that exports one function, trm_backend_table(), returning a table of function
 * pointers. Java opens it with trm_open_backend() and calls the entries. A backend may leave the six products NULL when
 * its Java half has them from a library, and fused operations when their fuses_* is always 0; with any other entry NULL,
 * Java refuses the device and names the operation.
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
 *   gradients weight gradients are added to (+=), since one set of weights serves n + 1 evaluations; gradients of
 *             activations overwrite (=) unless the entry says otherwise
 *   errors    TRM_OK, TRM_EINVAL (nothing was done) or TRM_EDEVICE; last_error() holds this thread's text
 *   streams   work is enqueued on `stream`; no entry allocates, synchronises or reads device memory on the host, so
 *             all may be captured. The CPU backend takes NULL and has finished when the call returns
 */
#ifndef TRM_OPS_H
#define TRM_OPS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TRM_ABI_VERSION 4

enum { TRM_OK = 0, TRM_EINVAL = 1, TRM_EDEVICE = 2 };
enum { TRM_F32 = 0, TRM_BF16 = 1 };
enum { TRM_STABLEMAX = 0, TRM_SOFTMAX = 1 };
enum { TRM_ADAM_ATAN2 = 0, TRM_ADAMW = 1 };
/** When a lane halts, besides after max_steps: never (evaluation), at q_halt > 0, at q_halt > q_continue. */
enum { TRM_HALT_LAST = 0, TRM_HALT_SIGN = 1, TRM_HALT_COMPARE = 2 };

/** Label of a token that carries no loss. */
#define TRM_IGNORE (-100)

/** Scalars that change from step to step, in device memory (float64), written by `advance` only. */
enum {
    TRM_CTRL_STEP = 0,          /* number of the current optimizer step, the first is 1 */
    TRM_CTRL_LR = 1,            /* learning rate of the dense optimizer */
    TRM_CTRL_PUZZLE_LR = 2,     /* learning rate of the puzzle table */
    TRM_CTRL_CORRECTION1 = 3,   /* 1 - beta1^t */
    TRM_CTRL_CORRECTION2 = 4,   /* 1 - beta2^t */
    TRM_CTRL_COUNT = 8
};

/** Room that grad_norm needs, in float64. */
enum { TRM_NORM_PARTIALS = 512 };

/** Sums that `metrics` adds to (float64), over the lanes that halt at a step and have labels, unless noted. */
enum {
    TRM_METRIC_COUNT = 0,            /* such lanes */
    TRM_METRIC_ACCURACY = 1,         /* their mean token accuracy */
    TRM_METRIC_EXACT = 2,            /* exactly solved */
    TRM_METRIC_Q_HALT_ACCURACY = 3,  /* (q_halt >= 0) agrees with exact */
    TRM_METRIC_STEPS = 4,            /* supervision steps spent */
    TRM_METRIC_LM_LOSS = 5,          /* over all lanes */
    TRM_METRIC_Q_HALT_LOSS = 6,      /* over all lanes */
    TRM_METRIC_Q_CONTINUE_LOSS = 7,  /* over all lanes */
    TRM_METRIC_GRAD_NORM = 8,        /* norms of the gradient, over the steps: added by grad_norm */
    TRM_METRIC_SIZE = 9
};

typedef void* trm_stream;

typedef struct trm_backend {
    int32_t abi_version;  /* TRM_ABI_VERSION of the header it was built from */
    int32_t size;         /* sizeof(trm_backend) of that header */
    const char* name;     /* "cpu" or "cuda" */
    const char* target;   /* what the library chose: "amx", "avx512_bf16", "avx512", "avx2", "base", "sm_90", ... */
    const char* (*last_error)(void);

    /** Number of worker threads, the caller included (CPU); at least 1. */
    int (*set_threads)(int32_t threads);

    int (*zero)(void* p, int64_t bytes, trm_stream stream);
    int (*copy)(void* to, const void* from, int64_t bytes, trm_stream stream);
    /** to = round(from), [count] float32 to bfloat16: the working copy of the weights. */
    int (*cast_bf16)(const float* from, void* to, int64_t count, trm_stream stream);
    /** out[n, b, :] = x[b, n, :]: what makes the sum of products over lanes one product.  x [B, N, D], out [N, B, D]. */
    int (*permute_lanes)(const void* x, void* out, int64_t B, int32_t N, int32_t D, int32_t dtype, trm_stream stream);

    /* ---- products -------------------------------------------------------------------------------------------- */

    /** y = x W^T.  x [M, K], w [N, K], y [M, N]. */
    int (*linear)(const void* x, const void* w, void* y, int64_t M, int32_t N, int32_t K, int32_t dtype,
                  trm_stream stream);
    /** dx = dy W, or dx += dy W (accumulate = 1: one rounding of the sum; a library may round the product before).  dy [M, N], w [N, K], dx [M, K]. */
    int (*linear_bwd_x)(const void* dy, const void* w, void* dx, int64_t M, int32_t N, int32_t K, int32_t accumulate,
                        int32_t dtype, trm_stream stream);
    /** dw += dy^T x.  dy [M, N], x [M, K], dw [N, K] float32. */
    int (*linear_bwd_w)(const void* dy, const void* x, float* dw, int64_t M, int32_t N, int32_t K, int32_t dtype,
                        trm_stream stream);
    /** A product over positions: y_b = W x_b for each lane.  x [B, K, D], w [N, K], y [B, N, D]. */
    int (*mix)(const void* x, const void* w, void* y, int64_t B, int32_t N, int32_t K, int32_t D, int32_t dtype,
               trm_stream stream);
    /** dx_b = W^T dy_b, or += (accumulate = 1).  dy [B, N, D], w [N, K], dx [B, K, D]. */
    int (*mix_bwd_x)(const void* dy, const void* w, void* dx, int64_t B, int32_t N, int32_t K, int32_t D,
                     int32_t accumulate, int32_t dtype, trm_stream stream);
    /** dw += sum_b dy_b x_b^T.  dy [B, N, D], x [B, K, D], dw [N, K] float32. */
    int (*mix_bwd_w)(const void* dy, const void* x, float* dw, int64_t B, int32_t N, int32_t K, int32_t D,
                     int32_t dtype, trm_stream stream);

    /* ---- between the products -------------------------------------------------------------------------------- */

    /** out = a + b, [count]; out may alias either. */
    int (*add)(const void* a, const void* b, void* out, int64_t count, int32_t dtype, trm_stream stream);
    /** sum += a, [count], sum float32: the shares of dx. */
    int (*add_into)(const void* a, float* sum, int64_t count, int32_t dtype, trm_stream stream);

    /** y = rms_norm(h + f) over the last axis, s = 1 / sqrt(mean_D((h + f)^2) + eps); and u = y + c, of the rounded y
     *  (injection), unless c is NULL.  h f y c u [rows, D], s [rows]; y may alias h or f, u may alias any input. */
    int (*add_rms_norm)(const void* h, const void* f, const void* c, void* y, void* u, float* s, int64_t rows,
                        int32_t D, float eps, int32_t dtype, trm_stream stream);
    /** dr = s (dy - y mean_D(dy y)), the gradient of both h and f; dr may alias dy. */
    int (*add_rms_norm_bwd)(const void* dy, const void* y, const float* s, void* dr, int64_t rows, int32_t D,
                            int32_t dtype, trm_stream stream);
    /** The same over positions.  h f y [B, S, D], s [B, D]; y may alias h or f. */
    int (*add_rms_norm_positions)(const void* h, const void* f, void* y, float* s, int64_t B, int32_t S, int32_t D,
                                  float eps, int32_t dtype, trm_stream stream);
    int (*add_rms_norm_positions_bwd)(const void* dy, const void* y, const float* s, void* dr, int64_t B, int32_t S,
                                      int32_t D, int32_t dtype, trm_stream stream);

    /** p = silu(g) u.  gu [outer, 2, inner]: g is [., 0, .], u is [., 1, .];  p [outer, inner]. */
    int (*swiglu)(const void* gu, void* p, int64_t outer, int64_t inner, int32_t dtype, trm_stream stream);
    /** dg = dp u silu'(g), du = dp silu(g), and p = silu(g) u again unless p is NULL.  dgu [outer, 2, inner], may alias
     *  gu; p [outer, inner], may alias dp. */
    int (*swiglu_bwd)(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int64_t inner, int32_t dtype,
                      trm_stream stream);

    /** o = softmax(q k^T / sqrt(d)) v over all S positions of a lane, per head.
     *  qkv [B, S, 3, A, d], o [B, S, A, d], lse [B, A, S]: log of the sum of exponentials of a row of scores, or NULL
     *  when no backward pass follows. cos, sin [S, d/2] float32 rotate q and k on load (channel i with i + d/2; the
     *  rotated values are rounded to the compute type), or NULL. In bfloat16 the weights may be rounded to it before they
     *  meet v and do, and the gradient of a score before it meets k and q; their sum and all other sums are float32. */
    int (*attention)(const void* qkv, const float* cos, const float* sin, void* o, float* lse, int64_t B, int32_t S,
                     int32_t A, int32_t d, int32_t dtype, trm_stream stream);
    int (*attention_bwd)(const void* qkv, const float* cos, const float* sin, const void* o, const float* lse,
                         const void* d_o, void* dqkv, int64_t B, int32_t S, int32_t A, int32_t d, int32_t dtype,
                         trm_stream stream);
    /** For a library's attention, which does not rotate: qk [B, S, 2, A, d] = q and k of qkv [B, S, 3, A, d] as attention
     *  rotates and rounds them. d even; cos, sin [S, d/2]. */
    int (*rotary)(const void* qkv, const float* cos, const float* sin, void* qk, int64_t B, int32_t S, int32_t A,
                  int32_t d, int32_t dtype, trm_stream stream);
    /** dq and dk of dqkv [B, S, 3, A, d], the gradients of rotated q and k, become those of q and k, in place: rotated by
     *  -t, rounded once more. dv stays. */
    int (*rotary_bwd)(void* dqkv, const float* cos, const float* sin, int64_t B, int32_t S, int32_t A, int32_t d,
                      int32_t dtype, trm_stream stream);

    /* ---- halves of a block in one pass --------------------------------------------------------------------------- */

    /** What the fused halves below compute is what the operations above compose: products, swiglu, add_rms_norm. They
     *  exist for sizes whose weights stay in a cache; fuses_* is 1 for sizes that the backend takes, else 0. */
    int32_t (*fuses_position_mlp)(int32_t S, int32_t I, int32_t D, int32_t dtype);
    /** Bytes of `work` that position_mlp needs, and with backward = 1 those that both need; 0: work may be NULL, or the
     *  sizes are not fused. What is in it does not outlive a call. */
    int64_t (*position_mlp_work)(int64_t B, int32_t S, int32_t I, int32_t D, int32_t dtype, int32_t backward);
    /** y = rms_norm(h + Wd (silu(Wg h) * (Wu h))) for each lane's h [S, D], norm over positions.
     *  h y [B, S, D], w_gate_up [2 I, S], w_down [S, I], s [B, D]; y may alias h. */
    int (*position_mlp)(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, void* work,
                        int64_t B, int32_t S, int32_t I, int32_t D, float eps, int32_t dtype, trm_stream stream);
    /** d [B, S, D]: in the gradient of y, out that of h. dw_gate_up [2 I, S] +=, dw_down [S, I] +=, float32. */
    int (*position_mlp_bwd)(const void* h, const void* y, const float* s, const void* w_gate_up, const void* w_down,
                            void* d, float* dw_gate_up, float* dw_down, void* work, int64_t B, int32_t S, int32_t I,
                            int32_t D, int32_t dtype, trm_stream stream);

    int32_t (*fuses_channel_mlp)(int32_t I, int32_t D, int32_t dtype);
    /** y = rms_norm(h + (silu(h Wg^T) * (h Wu^T)) Wd^T), norm over channels; u = y + c unless c is NULL.
     *  h c y u [rows, D], w_gate_up [2 I, D], w_down [D, I], s [rows]; kept [rows, 2, I]: the gate and up products, or
     *  NULL when no backward pass follows. y and u may alias h. */
    int (*channel_mlp)(const void* h, const void* w_gate_up, const void* w_down, const void* c, void* kept, void* y,
                       void* u, float* s, int64_t rows, int32_t I, int32_t D, float eps, int32_t dtype,
                       trm_stream stream);
    /** d [rows, D]: in the gradient of y, out that of h. dw_gate_up [2 I, D] +=, dw_down [D, I] +=, float32. */
    int (*channel_mlp_bwd)(const void* h, const void* kept, const void* y, const float* s, const void* w_gate_up,
                           const void* w_down, void* d, float* dw_gate_up, float* dw_down, int64_t rows, int32_t I,
                           int32_t D, int32_t dtype, trm_stream stream);

    /* ---- products with what follows them ------------------------------------------------------------------------- */

    /** What they compute is what the operations named compose. fuses_* is 1 for sizes that the backend takes, else 0. */
    int32_t (*fuses_linear_swiglu)(int32_t I, int32_t K, int32_t dtype);
    /** linear, then swiglu: gu = x w_gate_up^T, p = silu(g) u.  x [M, K], w_gate_up [2 I, K], gu [M, 2, I] or NULL when
     *  no backward pass follows, p [M, I]. */
    int (*linear_swiglu)(const void* x, const void* w_gate_up, void* gu, void* p, int64_t M, int32_t I, int32_t K,
                         int32_t dtype, trm_stream stream);
    int32_t (*fuses_linear_add_rms_norm)(int32_t N, int32_t K, int32_t dtype);
    /** linear, then add_rms_norm: y = rms_norm(h + x w^T) over the last axis, s, and u = y + c unless c is NULL.
     *  x [M, K], w [N, K], h c y u [M, N], s [M]; y and u may alias h, u may alias c. */
    int (*linear_add_rms_norm)(const void* x, const void* w, const void* h, const void* c, void* y, void* u, float* s,
                               int64_t M, int32_t N, int32_t K, float eps, int32_t dtype, trm_stream stream);

    /* ---- input injection --------------------------------------------------------------------------------------- */

    /** x [B, S, D]: the lane's puzzle vector padded with zeros to P*D in front of its token rows; with pos (learned
     *  positions [S, D]) the sum with it times 0.707106781; everything times sqrt(D).
     *  tokens [B, L], ids [B], embed [V, D] and pos in the compute type, table [identifiers, E] float32 or NULL
     *  (then P = 0), pos or NULL. Not checked: each token in 0 .. V - 1, each id in 0 .. identifiers - 1. */
    int (*embed)(const int32_t* tokens, const int32_t* ids, const void* embed, const void* pos, const float* table,
                 void* x, int64_t B, int32_t L, int32_t P, int32_t D, int32_t E, int32_t dtype, trm_stream stream);
    /** From dx [B, S, D] float32: d_embed [V, D] +=, d_pos [S, D] += (or NULL), d_rows [B, E] = (or NULL).
     *  Not checked: each token in 0 .. V - 1. */
    int (*embed_bwd)(const float* dx, const int32_t* tokens, float* d_embed, float* d_pos, float* d_rows, int64_t B,
                     int32_t L, int32_t P, int32_t D, int32_t E, int32_t V, trm_stream stream);

    /* ---- lanes ------------------------------------------------------------------------------------------------- */

    /** Every halted lane takes the example rows[step % ring, b] of the data set, initial latents and steps = 0; others
     *  keep theirs. step is that in controls, which may be NULL when ring = 1.
     *  rows [ring, B] int32 (a row of -1: inputs 0, labels TRM_IGNORE, identifier 0); data_inputs, data_labels
     *  [examples, L] uint8; data_ids [examples] int32; a label equal to ignore_id becomes TRM_IGNORE (ignore_id < 0:
     *  none). halted, steps, ids [B]; inputs, labels [B, L]; y, z [B, S, D]; y_init, z_init [D] float32.
     *  With origins [examples, 2] int32, data_inputs and data_labels are [tasks, L], boards of side x side = L tokens, and
     *  example e is made of task origins[e][0] by the record origins[e][1] of augmentations [., 1 + 2 side + V] uint8: a
     *  flag, rows and columns (each a permutation of 0 .. side - 1), and what each of V tokens becomes.
     *      out[r][c] = tokens[in[rows[r]][columns[c]]], or where the flag is 1, tokens[in[columns[c]][rows[r]]]
     *  for inputs and labels alike. Both NULL, side = V = 0: an example is a row of the data set as it is.
     *  Not checked: rows in -1 .. examples - 1, origins within tasks and augmentations, records of permutations and of
     *  tokens below V, data_inputs below V where there are records, the step in controls not negative. */
    int (*admit)(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
                 const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins,
                 const uint8_t* augmentations, int32_t ignore_id, const float* y_init, const float* z_init,
                 const int32_t* halted, int32_t* steps, int32_t* inputs, int32_t* labels, int32_t* ids, void* y,
                 void* z, int64_t B, int32_t L, int32_t S, int32_t D, int32_t side, int32_t V, int32_t dtype,
                 trm_stream stream);

    /** m_b of lane first_lane + b at the step in controls: with probability p drawn from {2, ..., max_steps}, else 0.
     *  Philox4x32-10, key (seed low, seed high), counter (global lane, step low, step high, 0): words 0, 1 give the
     *  uniform deviate ((w0 >> 5) 2^26 + (w1 >> 6)) / 2^53, compared with p (<); the value is
     *  2 + ((uint64) w2 (max_steps - 1) >> 32). */
    int (*explore)(const double* controls, int32_t* min_steps, int64_t B, int64_t first_lane, int64_t seed, double p,
                   int32_t max_steps, trm_stream stream);

    /* ---- equilibrium-style training ---------------------------------------------------------------------------- */

    /** What follows draws for element e of a lane's latent: w = word e % 4 of Philox4x32-10 with key (seed low, seed high)
     *  and counter (e / 4, lane, step low, draw), and u = (w + 1/2) / 2^32. The step is that in controls; draw >= 1 tells
     *  the draws of a step apart (explore has 0). Values are formed in float32. */

    /** An update of a latent, damped and with noise: state = (1 - lambda) state + lambda f + sigma eps, rounded once, with
     *  eps = Phi^-1(u) standard normal, the lane being first_lane + b. f, state [B, count], other memory; sigma = 0 draws
     *  nothing, and controls may be NULL. */
    int (*relax)(const void* f, void* state, const double* controls, int64_t B, int64_t count, int64_t first_lane,
                 int64_t seed, int32_t draw, double lambda, double sigma, int32_t dtype, trm_stream stream);
    /** d: in the gradient of the new state, out that of the old, d = (1 - lambda) d; d_f = lambda d. d, d_f [count], other
     *  memory. */
    int (*relax_bwd)(void* d, void* d_f, int64_t count, double lambda, int32_t dtype, trm_stream stream);
    /** z of halted lanes = the normal law cut to +-2, of deviation 1: Phi^-1(1/2 + (u - 1/2) P(|eps| < 2)) / 0.8796...
     *  halted [B], z [B, count]. keys [B] int32 number the lanes, NULL: lane b is b. controls NULL: step 0. */
    int (*random_start)(const int32_t* halted, const int32_t* keys, const double* controls, void* z, int64_t B,
                        int64_t count, int64_t seed, int32_t draw, int32_t dtype, trm_stream stream);

    /* ---- heads and losses -------------------------------------------------------------------------------------- */

    /** q [B, 2] float32 = y[:, 0, :] W^T + bias, rounded to the compute type before widening.
     *  y [B, S, D], w [2, D], bias [2]. */
    int (*halt_head)(const void* y, const void* w, const void* bias, float* q, int64_t B, int32_t S, int32_t D,
                     int32_t dtype, trm_stream stream);
    /** dy[:, 0, :] += dq W;  dw [2, D] += dq^T y[:, 0, :];  d_bias [2] += sum_b dq.  dq [B, 2]. */
    int (*halt_head_bwd)(const float* dq, const void* y, const void* w, void* dy, float* dw, float* d_bias, int64_t B,
                         int32_t S, int32_t D, int32_t dtype, trm_stream stream);

    /** Token loss of logits [B, S, V] (the first P positions carry none) against labels [B, L].
     *  preds [B, L]: argmax, first index on ties; lane_loss [B] float64: sum of token losses / max(1, labels);
     *  hits, labelled [B]: correct and labelled tokens; d_logits [B, S, V] (or NULL): gradient of
     *  scale * sum_b lane_loss, 0 at prefix and ignored positions; d_logits may alias logits. */
    int (*token_loss)(const void* logits, const int32_t* labels, int32_t* preds, double* lane_loss, int32_t* hits,
                      int32_t* labelled, void* d_logits, int64_t B, int32_t L, int32_t P, int32_t V, int32_t kind,
                      double scale, int32_t dtype, trm_stream stream);

    /** steps += 1; last = steps >= max_steps; exact = (hits == labelled). halted = (last or wants) and
     *  steps >= min_steps, with wants = q_halt > 0 (rule TRM_HALT_SIGN) or q_halt > q_continue (TRM_HALT_COMPARE);
     *  rule TRM_HALT_LAST or max_steps = 1: halted = last. halt_loss [B] float64 = BCE(q_halt, exact);
     *  dq [B, 2] = (scale (sigmoid(q_halt) - exact), 0), or NULL. */
    int (*halt)(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* min_steps, int32_t* steps,
                int32_t* halted, int32_t* exact, double* halt_loss, float* dq, int64_t B, int32_t max_steps,
                int32_t rule, double scale, trm_stream stream);

    /** The continue loss, after `halt`. next_q [B, 2]: q of one more forward pass from the lane's new latents.
     *  target [B] float64 = sigmoid(next_q_halt) if steps >= max_steps, else sigmoid(max(next_q_halt,
     *  next_q_continue)); loss [B] float64 = BCE(q_continue, target); dq[:, 1] = scale (sigmoid(q_continue) - target),
     *  dq[:, 0] is not touched. */
    int (*continue_loss)(const float* q, const float* next_q, const int32_t* steps, double* target, double* loss,
                         float* dq, int64_t B, int32_t max_steps, double scale, trm_stream stream);

    /** Adds one step to metrics [TRM_METRIC_SIZE] float64, lanes in order. continue_loss [B] or NULL. */
    int (*metrics)(const float* q, const int32_t* hits, const int32_t* labelled, const int32_t* exact,
                   const int32_t* steps, const int32_t* halted, const double* lane_loss, const double* halt_loss,
                   const double* continue_loss, double* metrics, int64_t B, trm_stream stream);

    /* ---- optimizers --------------------------------------------------------------------------------------------- */

    /** controls: step += 1, then the rates of docs/specification.md#71-learning-rate-schedule with t = step:
     *  lr(t) = base t / max(1, warmup) for t < warmup, else base (ratio + max(0, (1 - ratio) (1 + cos(pi phi)) / 2)),
     *  phi = (t - warmup) / max(1, total - warmup); and 1 - beta^t. */
    int (*advance)(double* controls, double lr, double puzzle_lr, int64_t warmup, int64_t total, double min_ratio,
                   double beta1, double beta2, trm_stream stream);

    /** norm [1] = sqrt(sum of squares) of the flat gradient g [count], float64; total [1] += norm, unless it is NULL.
     *  partials [TRM_NORM_PARTIALS] float64: room for sums on the way. */
    int (*grad_norm)(const float* g, double* partials, double* norm, double* total, int64_t count, trm_stream stream);
    /** After grad_norm: with c = max / (norm + 1e-6), g [count] *= c (rounded to float32) if c < 1, else g is left alone. */
    int (*clip_gradient)(float* g, const double* norm, double max, int64_t count, trm_stream stream);

    /** One pass over the flat parameter buffer [count]: moments, update with decoupled decay, moving average
     *  (ema or NULL), bf16 working copy (or NULL), gradient set to zero.
     *  ADAM_ATAN2: m += (1 - b1)(g - m), v += (1 - b2)(g^2 - v),
     *              p = (1 - lr wd) p - lr / (1 - b1^t) atan2(m, sqrt(v) / sqrt(1 - b2^t))
     *  ADAMW:      p = (1 - lr wd) p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) */
    int (*adam)(float* p, float* g, float* m, float* v, float* ema, void* bf16_copy, const double* controls,
                int64_t count, double beta1, double beta2, double weight_decay, double eps, double ema_rate,
                int32_t kind, trm_stream stream);

    /** For each distinct identifier i of ids [B]: e_i = (1 - lr wd) e_i - lr sign(sum of its rows of d_rows), in lane
     *  order; sign(0) = 0; other rows of table [identifiers, E] are not touched. Not checked: each id in
     *  0 .. identifiers - 1. */
    int (*sign_sgd)(float* table, const int32_t* ids, const float* d_rows, const double* controls, int64_t B, int32_t E,
                    double weight_decay, trm_stream stream);
} trm_backend;

/** The one symbol a backend exports. */
typedef const trm_backend* (*trm_backend_table_fn)(void);

#ifdef __cplusplus
}
#endif

#endif
