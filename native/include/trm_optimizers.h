/* trm_optimizers.h: the entries of the table that update what is trained. A part of struct trm_backend, by the rules of
 * trm_ops.h, which includes it in its place. */
/* clang-format off */
    /* ---- optimizers --------------------------------------------------------------------------------------------- */
    /** controls [TRM_CONTROLS]: step += 1, then the rates of docs/specification.md#71-learning-rate-schedule with t = step:
     *  lr(t) = base t / max(1, warmup) for t < warmup, else base (ratio + max(0, (1 - ratio) (1 + cos(pi phi)) / 2)),
     *  phi = (t - warmup) / max(1, total - warmup); and 1 - beta^k, k = t - moments_from: the moments were zero after that
     *  step, 0 for a run that began there. */
    int (*advance)(double* controls, double lr, double puzzle_lr, int64_t warmup, int64_t total, double min_ratio,
                   double beta1, double beta2, int64_t moments_from, trm_stream stream);
#define TRM_CHECK_advance TRM_GIVEN(controls) TRM_NOT_NEGATIVE(warmup, total, moments_from)

    /** norm [1] = sqrt(sum of squares) of the flat gradient g [count]; total [1] += norm, unless it is NULL.
     *  partials [TRM_NORM_PARTIALS]: room for sums on the way. */
    int (*grad_norm)(const float* g, double* partials, double* norm, double* total, int64_t count, trm_stream stream);
#define TRM_CHECK_grad_norm TRM_GIVEN(g, partials, norm) TRM_POSITIVE(count)
    /** After grad_norm: with c = max / (norm + 1e-6), g *= c (rounded to float32) if c < 1, else g is left alone.
     *  g [count], norm [1]. */
    int (*clip_gradient)(float* g, const double* norm, double max, int64_t count, trm_stream stream);
#define TRM_CHECK_clip_gradient TRM_GIVEN(g, norm) TRM_POSITIVE(count) TRM_REQUIRE(max > 0, "max=%g must be positive", max)

    /** One pass over the flat parameter buffer: moments, update with decoupled decay, moving average (ema), bfloat16
     *  working copy, gradient set to zero. p g m v [count]; ema [count] or NULL; bf16_copy [count] bfloat16 or NULL;
     *  controls [TRM_CONTROLS]. ema = ema_rate ema + (1 - ema_rate) p, or p where the step in controls is less than
     *  ema_from. kind is
     *      TRM_ADAM_ATAN2: m += (1 - b1)(g - m), v += (1 - b2)(g^2 - v),
     *                      p = (1 - lr wd) p - lr / (1 - b1^t) atan2(m, sqrt(v) / sqrt(1 - b2^t))
     *      TRM_ADAMW:      p = (1 - lr wd) p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) */
    int (*adam)(float* p, float* g, float* m, float* v, float* ema, void* bf16_copy, const double* controls,
                int64_t count, double beta1, double beta2, double weight_decay, double eps, double ema_rate,
                int64_t ema_from, int32_t kind, trm_stream stream);
#define TRM_CHECK_adam \
    TRM_GIVEN(p, g, m, v, controls) TRM_POSITIVE(count) \
    TRM_REQUIRE(kind == TRM_ADAM_ATAN2 || kind == TRM_ADAMW, "kind=%d", kind)

    /* Muon (docs/specification.md#76-muon), for all matrices that a table names. Row i of matrices [count, 6]: where matrix
     * i begins in g, m, p, ema and bf16_copy [parameters], its rows and columns, and where what is its own begins in x and y
     * [elements], in gram and polynomial [squares] and in partials [sums], one for each TRM_MUON_CHUNK of its values. x holds
     * it as X [r, c], r <= c, transposed if rows > columns; r and c rounded up to multiples of 8 with zeros; gram has [r, r].
     * Not checked: the table. */
    /** m += (1 - mu)(g - m), U = g + mu (m - g), x = U / max(|U|, 1e-7) by Frobenius' norm, g = 0.  g m [parameters],
     *  matrices [count, 6], partials [sums], x [elements]. */
    int (*muon_direction)(float* g, float* m, const int32_t* matrices, double* partials, void* x, int64_t elements,
                          int32_t count, double momentum, int32_t dtype, trm_stream stream);
#define TRM_CHECK_muon_direction TRM_GIVEN(g, m, matrices, partials, x) TRM_POSITIVE(elements, count) TRM_DTYPE(dtype)
    /** An iteration of Newton and Schulz: A = X X^T, B = b A + c A A, Y = a X + B X.  x y [elements], gram polynomial
     *  [squares] of the compute type: A and B, or B + a I; matrices [count, 6]. */
    int (*muon_iterate)(const void* x, const int32_t* matrices, void* gram, void* polynomial, void* y,
                        int64_t elements, int32_t count, double a, double b, double c, int32_t dtype,
                        trm_stream stream);
#define TRM_CHECK_muon_iterate \
    TRM_GIVEN(x, matrices, gram, polynomial, y) TRM_APART(x, y) TRM_APART(gram, polynomial) \
    TRM_POSITIVE(elements, count) TRM_DTYPE(dtype)
    /** p = (1 - lr wd) p - lr sqrt(max(1, rows / columns)) X, with lr = rate times the learning rate in controls
     *  [TRM_CONTROLS]; ema, bf16_copy as adam has them, or NULL.  x [elements], matrices [count, 6], p ema [parameters],
     *  bf16_copy [parameters] bfloat16. */
    int (*muon_update)(const void* x, const int32_t* matrices, float* p, float* ema, void* bf16_copy,
                       const double* controls, int64_t elements, int32_t count, double rate, double weight_decay,
                       double ema_rate, int64_t ema_from, int32_t dtype, trm_stream stream);
#define TRM_CHECK_muon_update TRM_GIVEN(x, matrices, p, controls) TRM_POSITIVE(elements, count) TRM_DTYPE(dtype)

    /** For each distinct identifier i of ids [B]: e_i = (1 - lr wd) e_i - lr sign(sum of its rows of d_rows [B, E]), in
     *  lane order; sign(0) = 0; other rows of table [identifiers, E] are not touched. controls [TRM_CONTROLS]. Not
     *  checked: each id in 0 .. identifiers - 1. */
    int (*sign_sgd)(float* table, const int32_t* ids, const float* d_rows, const double* controls, int64_t B, int32_t E,
                    double weight_decay, trm_stream stream);
#define TRM_CHECK_sign_sgd TRM_GIVEN(table, ids, d_rows, controls) TRM_POSITIVE(B, E)
