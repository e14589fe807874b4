package trm.device;

import java.util.Map;

/**
 * The operations of a backend over tensors: checks sizes and types, calls the table, turns a status into a
 * {@link DeviceException}. Equations, aliasing and gradients' accumulate-or-overwrite stand in
 * {@code native/include/trm_ops.h}, entry by entry, under the same names.
 */
public final class Kernels {
    /** Number of float64 scalars that {@link #advance} writes. */
    public static final int CONTROLS = 8;

    /** Number of float64 sums that {@link #metrics} adds to; indices are {@link Metric}'s ordinals. */
    public static final int METRICS = 8;

    /** Positions in the metrics record. */
    public enum Metric {
        COUNT,
        ACCURACY,
        EXACT_ACCURACY,
        Q_HALT_ACCURACY,
        STEPS,
        LM_LOSS,
        Q_HALT_LOSS,
        Q_CONTINUE_LOSS
    }

    /** When a lane halts before its last step; ordinals are the ABI's {@code TRM_HALT_*}. */
    public enum HaltRule {
        /** Never: evaluation. */
        LAST,
        /** q_halt &gt; 0. */
        SIGN,
        /** q_halt &gt; q_continue. */
        COMPARE
    }

    private final NativeOps.Table table;
    private final long stream;
    private Map<String, long[]> profile; // calls and nanoseconds by operation, null unless asked for
    private long mark;

    public Kernels(NativeOps.Table table, long stream) {
        this.table = table;
        this.stream = stream;
    }

    /**
     * Begins to count calls and time by operation; for a backend whose calls finish before they return. Time is counted
     * from the end of the call before, so the host's own share is in it.
     *
     * @param record filled with {calls, nanoseconds}, or null to stop
     */
    public void profile(Map<String, long[]> record) {
        profile = record;
        mark = System.nanoTime();
    }

    private void check(int status, String operation) {
        if (profile != null) {
            long now = System.nanoTime();
            long[] entry = profile.computeIfAbsent(operation, name -> new long[2]);
            entry[0]++;
            entry[1] += now - mark;
            mark = now;
        }
        if (status != 0) {
            throw new DeviceException(operation + ": " + table.last_error().getString());
        }
    }

    private static long ptr(Tensor t) {
        return t == null ? 0 : t.address();
    }

    /** The address of a tensor that must have {@code count} elements of a type; null only where {@code optional}. */
    private static long ptr(Tensor t, Dtype dtype, long count, String what) {
        if (t.dtype() != dtype || t.count() != count) {
            throw new DeviceException(what + " is " + t + ", expected " + dtype + " with " + count + " elements");
        }
        return t.address();
    }

    private static long optional(Tensor t, Dtype dtype, long count, String what) {
        return t == null ? 0 : ptr(t, dtype, count, what);
    }

    private static int size(Tensor t, int axis) {
        return (int) t.shape().dim(axis);
    }

    /** @param threads worker threads of a CPU backend, 0 for all processors */
    public void setThreads(int threads) {
        check(table.set_threads(threads), "set_threads");
    }

    /** For a backend whose memory is the host's. */
    public void copyFromHost(Tensor to, long from, long bytes) {
        check(table.copy(to.address(), from, bytes, stream), "copy");
    }

    /** For a backend whose memory is the host's. */
    public void copyToHost(Tensor from, long to) {
        check(table.copy(to, from.address(), from.bytes(), stream), "copy");
    }

    public void zero(Tensor t) {
        check(table.zero(t.address(), t.bytes(), stream), "zero");
    }

    public void copy(Tensor from, Tensor to) {
        ptr(to, from.dtype(), from.count(), "copy: to");
        check(table.copy(to.address(), from.address(), from.bytes(), stream), "copy");
    }

    /** float32 to bfloat16. */
    public void castBf16(Tensor from, Tensor to) {
        long n = from.count();
        check(table.cast_bf16(ptr(from, Dtype.F32, n, "from"), ptr(to, Dtype.BF16, n, "to"), n, stream), "cast_bf16");
    }

    /** y [M, N] = x [M, K] W^T, w [N, K]. */
    public void linear(Tensor x, Tensor w, Tensor y) {
        int n = size(w, 0);
        int k = size(w, 1);
        long m = x.count() / k;
        Dtype t = x.dtype();
        check(
                table.linear(
                        ptr(x, t, m * k, "linear: x"),
                        ptr(w, t, (long) n * k, "linear: w"),
                        ptr(y, t, m * n, "linear: y"),
                        m,
                        n,
                        k,
                        t.code(),
                        stream),
                "linear");
    }

    /** dx [M, K] = dy [M, N] W, or += when {@code accumulate}. */
    public void linearBwdX(Tensor dy, Tensor w, Tensor dx, boolean accumulate) {
        int n = size(w, 0);
        int k = size(w, 1);
        long m = dy.count() / n;
        Dtype t = dy.dtype();
        check(
                table.linear_bwd_x(
                        ptr(dy, t, m * n, "linear_bwd_x: dy"),
                        ptr(w, t, (long) n * k, "linear_bwd_x: w"),
                        ptr(dx, t, m * k, "linear_bwd_x: dx"),
                        m,
                        n,
                        k,
                        accumulate ? 1 : 0,
                        t.code(),
                        stream),
                "linear_bwd_x");
    }

    /** dw [N, K] float32 += dy^T [N, M] x [M, K]. */
    public void linearBwdW(Tensor dy, Tensor x, Tensor dw) {
        int n = size(dw, 0);
        int k = size(dw, 1);
        long m = x.count() / k;
        Dtype t = x.dtype();
        check(
                table.linear_bwd_w(
                        ptr(dy, t, m * n, "linear_bwd_w: dy"),
                        ptr(x, t, m * k, "linear_bwd_w: x"),
                        ptr(dw, Dtype.F32, (long) n * k, "linear_bwd_w: dw"),
                        m,
                        n,
                        k,
                        t.code(),
                        stream),
                "linear_bwd_w");
    }

    /** y_b [N, D] = W [N, K] x_b [K, D] for each of B lanes. */
    public void mix(Tensor x, Tensor w, Tensor y, long lanes, int width) {
        int n = size(w, 0);
        int k = size(w, 1);
        Dtype t = x.dtype();
        check(
                table.mix(
                        ptr(x, t, lanes * k * width, "mix: x"),
                        ptr(w, t, (long) n * k, "mix: w"),
                        ptr(y, t, lanes * n * width, "mix: y"),
                        lanes,
                        n,
                        k,
                        width,
                        t.code(),
                        stream),
                "mix");
    }

    /** dx_b = W^T dy_b, or += when {@code accumulate}. */
    public void mixBwdX(Tensor dy, Tensor w, Tensor dx, long lanes, int width, boolean accumulate) {
        int n = size(w, 0);
        int k = size(w, 1);
        Dtype t = dy.dtype();
        check(
                table.mix_bwd_x(
                        ptr(dy, t, lanes * n * width, "mix_bwd_x: dy"),
                        ptr(w, t, (long) n * k, "mix_bwd_x: w"),
                        ptr(dx, t, lanes * k * width, "mix_bwd_x: dx"),
                        lanes,
                        n,
                        k,
                        width,
                        accumulate ? 1 : 0,
                        t.code(),
                        stream),
                "mix_bwd_x");
    }

    /** dw [N, K] float32 += sum_b dy_b x_b^T. */
    public void mixBwdW(Tensor dy, Tensor x, Tensor dw, long lanes, int width) {
        int n = size(dw, 0);
        int k = size(dw, 1);
        Dtype t = x.dtype();
        check(
                table.mix_bwd_w(
                        ptr(dy, t, lanes * n * width, "mix_bwd_w: dy"),
                        ptr(x, t, lanes * k * width, "mix_bwd_w: x"),
                        ptr(dw, Dtype.F32, (long) n * k, "mix_bwd_w: dw"),
                        lanes,
                        n,
                        k,
                        width,
                        t.code(),
                        stream),
                "mix_bwd_w");
    }

    /** out = a + b; out may alias either. */
    public void add(Tensor a, Tensor b, Tensor out) {
        Dtype t = a.dtype();
        long n = a.count();
        check(table.add(a.address(), ptr(b, t, n, "add: b"), ptr(out, t, n, "add: out"), n, t.code(), stream), "add");
    }

    /** sum (float32) += a. */
    public void addInto(Tensor a, Tensor sum) {
        long n = a.count();
        check(
                table.add_into(
                        a.address(),
                        ptr(sum, Dtype.F32, n, "add_into: sum"),
                        n,
                        a.dtype().code(),
                        stream),
                "add_into");
    }

    /** y = rms_norm(h + f) over the last axis, s [rows] its scale; u = y + c unless c is null. */
    public void addRmsNorm(Tensor h, Tensor f, Tensor c, Tensor y, Tensor u, Tensor s, float eps) {
        long rows = s.count();
        long n = h.count();
        Dtype t = h.dtype();
        check(
                table.add_rms_norm(
                        h.address(),
                        ptr(f, t, n, "add_rms_norm: f"),
                        optional(c, t, n, "add_rms_norm: c"),
                        ptr(y, t, n, "add_rms_norm: y"),
                        optional(u, t, n, "add_rms_norm: u"),
                        ptr(s, Dtype.F32, rows, "add_rms_norm: s"),
                        rows,
                        (int) (n / rows),
                        eps,
                        t.code(),
                        stream),
                "add_rms_norm");
    }

    /** dr = s (dy - y mean(dy y)); dr may alias dy. */
    public void addRmsNormBwd(Tensor dy, Tensor y, Tensor s, Tensor dr) {
        long rows = s.count();
        long n = dy.count();
        Dtype t = dy.dtype();
        check(
                table.add_rms_norm_bwd(
                        dy.address(),
                        ptr(y, t, n, "add_rms_norm_bwd: y"),
                        s.address(),
                        ptr(dr, t, n, "add_rms_norm_bwd: dr"),
                        rows,
                        (int) (n / rows),
                        t.code(),
                        stream),
                "add_rms_norm_bwd");
    }

    /** y = rms_norm(h + f) over the positions of [B, S, D]; s [B, D]. */
    public void addRmsNormPositions(Tensor h, Tensor f, Tensor y, Tensor s, long lanes, int width, float eps) {
        long n = h.count();
        int positions = (int) (n / lanes / width);
        Dtype t = h.dtype();
        check(
                table.add_rms_norm_positions(
                        h.address(),
                        ptr(f, t, n, "add_rms_norm_positions: f"),
                        ptr(y, t, n, "add_rms_norm_positions: y"),
                        ptr(s, Dtype.F32, lanes * width, "add_rms_norm_positions: s"),
                        lanes,
                        positions,
                        width,
                        eps,
                        t.code(),
                        stream),
                "add_rms_norm_positions");
    }

    public void addRmsNormPositionsBwd(Tensor dy, Tensor y, Tensor s, Tensor dr, long lanes, int width) {
        long n = dy.count();
        int positions = (int) (n / lanes / width);
        Dtype t = dy.dtype();
        check(
                table.add_rms_norm_positions_bwd(
                        dy.address(),
                        ptr(y, t, n, "add_rms_norm_positions_bwd: y"),
                        ptr(s, Dtype.F32, lanes * width, "add_rms_norm_positions_bwd: s"),
                        ptr(dr, t, n, "add_rms_norm_positions_bwd: dr"),
                        lanes,
                        positions,
                        width,
                        t.code(),
                        stream),
                "add_rms_norm_positions_bwd");
    }

    /** p [outer, inner] = silu(g) u of gu [outer, 2, inner]. */
    public void swiglu(Tensor gu, Tensor p, long outer) {
        long inner = gu.count() / 2 / outer;
        Dtype t = gu.dtype();
        check(
                table.swiglu(gu.address(), ptr(p, t, outer * inner, "swiglu: p"), outer, inner, t.code(), stream),
                "swiglu");
    }

    /** dgu from dp; dgu may alias gu. */
    public void swigluBwd(Tensor gu, Tensor dp, Tensor dgu, long outer) {
        long inner = gu.count() / 2 / outer;
        Dtype t = gu.dtype();
        check(
                table.swiglu_bwd(
                        gu.address(),
                        ptr(dp, t, outer * inner, "swiglu_bwd: dp"),
                        ptr(dgu, t, gu.count(), "swiglu_bwd: dgu"),
                        outer,
                        inner,
                        t.code(),
                        stream),
                "swiglu_bwd");
    }

    /** o [B, S, A, d] from qkv [B, S, 3, A, d]; cos, sin [S, d/2] or null; lse [B, A, S] or null. */
    public void attention(
            Tensor qkv, Tensor cos, Tensor sin, Tensor o, Tensor lse, long lanes, int positions, int heads) {
        Dtype t = qkv.dtype();
        long n = qkv.count() / 3;
        int d = (int) (n / lanes / positions / heads);
        long table2 = (long) positions * (d / 2);
        check(
                table.attention(
                        qkv.address(),
                        optional(cos, Dtype.F32, table2, "attention: cos"),
                        optional(sin, Dtype.F32, table2, "attention: sin"),
                        ptr(o, t, n, "attention: o"),
                        optional(lse, Dtype.F32, lanes * heads * positions, "attention: lse"),
                        lanes,
                        positions,
                        heads,
                        d,
                        t.code(),
                        stream),
                "attention");
    }

    public void attentionBwd(
            Tensor qkv,
            Tensor cos,
            Tensor sin,
            Tensor o,
            Tensor lse,
            Tensor dO,
            Tensor dqkv,
            long lanes,
            int positions,
            int heads) {
        Dtype t = qkv.dtype();
        long n = qkv.count() / 3;
        int d = (int) (n / lanes / positions / heads);
        check(
                table.attention_bwd(
                        qkv.address(),
                        ptr(cos),
                        ptr(sin),
                        ptr(o, t, n, "attention_bwd: o"),
                        ptr(lse, Dtype.F32, lanes * heads * positions, "attention_bwd: lse"),
                        ptr(dO, t, n, "attention_bwd: d_o"),
                        ptr(dqkv, t, 3 * n, "attention_bwd: dqkv"),
                        lanes,
                        positions,
                        heads,
                        d,
                        t.code(),
                        stream),
                "attention_bwd");
    }

    /** x [B, S, D] from tokens [B, L]; pos and table may be null. */
    public void embed(Tensor tokens, Tensor ids, Tensor embed, Tensor pos, Tensor puzzleTable, Tensor x) {
        int[] s = injectionSizes(tokens, x);
        Dtype t = x.dtype();
        check(
                table.embed(
                        ptr(tokens, Dtype.I32, tokens.count(), "embed: tokens"),
                        ptr(ids, Dtype.I32, size(tokens, 0), "embed: ids"),
                        ptr(embed, t, embed.count(), "embed: embed"),
                        optional(pos, t, (long) (s[0] + s[1]) * s[2], "embed: pos"),
                        optional(puzzleTable, Dtype.F32, puzzleTable == null ? 0 : puzzleTable.count(), "embed: table"),
                        x.address(),
                        size(tokens, 0),
                        s[0],
                        s[1],
                        s[2],
                        puzzleTable == null ? 0 : size(puzzleTable, 1),
                        t.code(),
                        stream),
                "embed");
    }

    /** From dx [B, S, D] float32: dEmbed [V, D] +=, dPos += (or null), dRows [B, E] = (or null). */
    public void embedBwd(Tensor dx, Tensor tokens, Tensor dEmbed, Tensor dPos, Tensor dRows) {
        int[] s = injectionSizes(tokens, dx);
        check(
                table.embed_bwd(
                        ptr(dx, Dtype.F32, dx.count(), "embed_bwd: dx"),
                        tokens.address(),
                        ptr(dEmbed, Dtype.F32, dEmbed.count(), "embed_bwd: d_embed"),
                        ptr(dPos),
                        ptr(dRows),
                        size(tokens, 0),
                        s[0],
                        s[1],
                        s[2],
                        dRows == null ? 0 : size(dRows, 1),
                        size(dEmbed, 0),
                        stream),
                "embed_bwd");
    }

    /** L, P, D. */
    private static int[] injectionSizes(Tensor tokens, Tensor x) {
        int length = size(tokens, 1);
        return new int[] {length, size(x, 1) - length, size(x, 2)};
    }

    /** The lanes of a batch: all [B] or [B, ...] tensors that {@link #admit} may refill. */
    public record Lanes(Tensor halted, Tensor steps, Tensor inputs, Tensor labels, Tensor ids, Tensor y, Tensor z) {}

    /** A device-resident data set: inputs and labels [examples, L] uint8, ids [examples] int32. */
    public record Examples(Tensor inputs, Tensor labels, Tensor ids, int ignoreLabel) {}

    /** Every halted lane takes the example {@code rows[b]} (-1: an empty one). */
    public void admit(Tensor rows, Examples data, Tensor yInit, Tensor zInit, Lanes lanes) {
        Tensor y = lanes.y();
        long n = y.shape().dim(0);
        check(
                table.admit(
                        ptr(rows, Dtype.I32, n, "admit: rows"),
                        data.inputs().address(),
                        data.labels().address(),
                        data.ids().address(),
                        data.ignoreLabel(),
                        ptr(yInit, Dtype.F32, size(y, 2), "admit: y_init"),
                        ptr(zInit, Dtype.F32, size(y, 2), "admit: z_init"),
                        ptr(lanes.halted(), Dtype.I32, n, "admit: halted"),
                        ptr(lanes.steps(), Dtype.I32, n, "admit: steps"),
                        lanes.inputs().address(),
                        lanes.labels().address(),
                        ptr(lanes.ids(), Dtype.I32, n, "admit: ids"),
                        y.address(),
                        ptr(lanes.z(), y.dtype(), y.count(), "admit: z"),
                        n,
                        size(lanes.inputs(), 1),
                        size(y, 1),
                        size(y, 2),
                        y.dtype().code(),
                        stream),
                "admit");
    }

    /** Draws minSteps [B]. */
    public void explore(Tensor controls, Tensor minSteps, long firstLane, long seed, double p, int maxSteps) {
        check(
                table.explore(
                        ptr(controls, Dtype.F64, CONTROLS, "explore: controls"),
                        ptr(minSteps, Dtype.I32, minSteps.count(), "explore: min_steps"),
                        minSteps.count(),
                        firstLane,
                        seed,
                        p,
                        maxSteps,
                        stream),
                "explore");
    }

    /** q [B, 2] float32 from y [B, S, D]. */
    public void haltHead(Tensor y, Tensor w, Tensor bias, Tensor q) {
        long n = y.shape().dim(0);
        Dtype t = y.dtype();
        check(
                table.halt_head(
                        y.address(),
                        ptr(w, t, 2L * size(y, 2), "halt_head: w"),
                        ptr(bias, t, 2, "halt_head: bias"),
                        ptr(q, Dtype.F32, 2 * n, "halt_head: q"),
                        n,
                        size(y, 1),
                        size(y, 2),
                        t.code(),
                        stream),
                "halt_head");
    }

    /** dy[:, 0, :] +=, dw +=, dBias +=. */
    public void haltHeadBwd(Tensor dq, Tensor y, Tensor w, Tensor dy, Tensor dw, Tensor dBias) {
        long n = y.shape().dim(0);
        Dtype t = y.dtype();
        check(
                table.halt_head_bwd(
                        ptr(dq, Dtype.F32, 2 * n, "halt_head_bwd: dq"),
                        y.address(),
                        ptr(w, t, 2L * size(y, 2), "halt_head_bwd: w"),
                        ptr(dy, t, y.count(), "halt_head_bwd: dy"),
                        ptr(dw, Dtype.F32, 2L * size(y, 2), "halt_head_bwd: dw"),
                        ptr(dBias, Dtype.F32, 2, "halt_head_bwd: d_bias"),
                        n,
                        size(y, 1),
                        size(y, 2),
                        t.code(),
                        stream),
                "halt_head_bwd");
    }

    /** What the token loss says of each lane. */
    public record TokenResults(Tensor preds, Tensor laneLoss, Tensor hits, Tensor labelled) {}

    /** Token loss of logits [B, S, V] against labels [B, L]; dLogits may be null or alias logits. */
    public void tokenLoss(
            Tensor logits, Tensor labels, TokenResults out, Tensor dLogits, boolean softmax, double scale) {
        long n = logits.shape().dim(0);
        int length = size(labels, 1);
        check(
                table.token_loss(
                        logits.address(),
                        ptr(labels, Dtype.I32, n * length, "token_loss: labels"),
                        ptr(out.preds(), Dtype.I32, n * length, "token_loss: preds"),
                        ptr(out.laneLoss(), Dtype.F64, n, "token_loss: lane_loss"),
                        ptr(out.hits(), Dtype.I32, n, "token_loss: hits"),
                        ptr(out.labelled(), Dtype.I32, n, "token_loss: labelled"),
                        optional(dLogits, logits.dtype(), logits.count(), "token_loss: d_logits"),
                        n,
                        length,
                        size(logits, 1) - length,
                        size(logits, 2),
                        softmax ? 1 : 0,
                        scale,
                        logits.dtype().code(),
                        stream),
                "token_loss");
    }

    /** What the halting rule says of each lane. */
    public record HaltResults(Tensor exact, Tensor haltLoss, Tensor dq) {}

    /** Counts the step, decides which lanes halt, and the halt loss; {@code out.dq} may be null. */
    public void halt(
            Tensor q,
            TokenResults tokens,
            Tensor minSteps,
            Lanes lanes,
            HaltResults out,
            int maxSteps,
            HaltRule rule,
            double scale) {
        long n = lanes.steps().count();
        check(
                table.halt(
                        ptr(q, Dtype.F32, 2 * n, "halt: q"),
                        tokens.hits().address(),
                        tokens.labelled().address(),
                        ptr(minSteps, Dtype.I32, n, "halt: min_steps"),
                        lanes.steps().address(),
                        lanes.halted().address(),
                        ptr(out.exact(), Dtype.I32, n, "halt: exact"),
                        ptr(out.haltLoss(), Dtype.F64, n, "halt: halt_loss"),
                        optional(out.dq(), Dtype.F32, 2 * n, "halt: dq"),
                        n,
                        maxSteps,
                        rule.ordinal(),
                        scale,
                        stream),
                "halt");
    }

    /** What the continue loss says of each lane: target and loss, [B] float64. */
    public record ContinueResults(Tensor target, Tensor loss) {}

    /** After {@link #halt}: target and loss from nextQ [B, 2] of one more forward pass, and dq[:, 1] = its gradient. */
    public void continueLoss(
            Tensor q, Tensor nextQ, Lanes lanes, ContinueResults out, Tensor dq, int maxSteps, double scale) {
        long n = lanes.steps().count();
        check(
                table.continue_loss(
                        ptr(q, Dtype.F32, 2 * n, "continue_loss: q"),
                        ptr(nextQ, Dtype.F32, 2 * n, "continue_loss: next_q"),
                        lanes.steps().address(),
                        ptr(out.target(), Dtype.F64, n, "continue_loss: target"),
                        ptr(out.loss(), Dtype.F64, n, "continue_loss: loss"),
                        ptr(dq, Dtype.F32, 2 * n, "continue_loss: dq"),
                        n,
                        maxSteps,
                        scale,
                        stream),
                "continue_loss");
    }

    /** Adds one step to metrics [METRICS]; {@code continueLoss} [B] or null. */
    public void metrics(
            Tensor q, TokenResults tokens, HaltResults halts, Lanes lanes, Tensor continueLoss, Tensor metrics) {
        long n = lanes.steps().count();
        check(
                table.metrics(
                        q.address(),
                        tokens.hits().address(),
                        tokens.labelled().address(),
                        halts.exact().address(),
                        lanes.steps().address(),
                        lanes.halted().address(),
                        tokens.laneLoss().address(),
                        halts.haltLoss().address(),
                        optional(continueLoss, Dtype.F64, n, "metrics: continue_loss"),
                        ptr(metrics, Dtype.F64, METRICS, "metrics: metrics"),
                        n,
                        stream),
                "metrics");
    }

    /** Learning-rate schedule, reference section 7. */
    public record Schedule(double lr, double puzzleLr, long warmup, long total, double minRatio) {}

    /** Controls to the next step. */
    public void advance(Tensor controls, Schedule s, double beta1, double beta2) {
        check(
                table.advance(
                        ptr(controls, Dtype.F64, CONTROLS, "advance: controls"),
                        s.lr(),
                        s.puzzleLr(),
                        s.warmup(),
                        s.total(),
                        s.minRatio(),
                        beta1,
                        beta2,
                        stream),
                "advance");
    }

    /** Constants of the dense optimizer. */
    public record Adam(double beta1, double beta2, double weightDecay, double eps, double emaRate, boolean atan2) {}

    /** One update of all parameters, moving average (or null) and bf16 copy (or null); gradients become zero. */
    public void adam(Tensor p, Tensor g, Tensor m, Tensor v, Tensor ema, Tensor bf16, Tensor controls, Adam c) {
        long n = p.count();
        check(
                table.adam(
                        ptr(p, Dtype.F32, n, "adam: p"),
                        ptr(g, Dtype.F32, n, "adam: g"),
                        ptr(m, Dtype.F32, n, "adam: m"),
                        ptr(v, Dtype.F32, n, "adam: v"),
                        optional(ema, Dtype.F32, n, "adam: ema"),
                        optional(bf16, Dtype.BF16, n, "adam: bf16_copy"),
                        ptr(controls, Dtype.F64, CONTROLS, "adam: controls"),
                        n,
                        c.beta1(),
                        c.beta2(),
                        c.weightDecay(),
                        c.eps(),
                        c.emaRate(),
                        c.atan2() ? 0 : 1,
                        stream),
                "adam");
    }

    /** Sign descent on the rows of the puzzle table named by ids. */
    public void signSgd(Tensor puzzleTable, Tensor ids, Tensor dRows, Tensor controls, double weightDecay) {
        long n = ids.count();
        check(
                table.sign_sgd(
                        ptr(puzzleTable, Dtype.F32, puzzleTable.count(), "sign_sgd: table"),
                        ptr(ids, Dtype.I32, n, "sign_sgd: ids"),
                        ptr(dRows, Dtype.F32, n * size(puzzleTable, 1), "sign_sgd: d_rows"),
                        ptr(controls, Dtype.F64, CONTROLS, "sign_sgd: controls"),
                        n,
                        size(puzzleTable, 1),
                        weightDecay,
                        stream),
                "sign_sgd");
    }
}
