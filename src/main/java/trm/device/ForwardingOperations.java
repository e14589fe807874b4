package trm.device;

/** Calls every operation of another; a decorator overrides those that it does itself. */
public abstract class ForwardingOperations implements Operations {
    private final Operations next;

    /** @param next whose operations serve where this has none of its own */
    protected ForwardingOperations(Operations next) {
        this.next = next;
    }

    @Override
    public int zero(long p, long bytes, long stream) {
        return next.zero(p, bytes, stream);
    }

    @Override
    public int copy(long to, long from, long bytes, long stream) {
        return next.copy(to, from, bytes, stream);
    }

    @Override
    public int cast_bf16(long from, long to, long count, long stream) {
        return next.cast_bf16(from, to, count, stream);
    }

    @Override
    public int permute_lanes(long x, long out, long B, int N, int D, int dtype, long stream) {
        return next.permute_lanes(x, out, B, N, D, dtype, stream);
    }

    @Override
    public int linear(long x, long w, long y, long M, int N, int K, int dtype, long stream) {
        return next.linear(x, w, y, M, N, K, dtype, stream);
    }

    @Override
    public int linear_bwd_x(long dy, long w, long dx, long M, int N, int K, int accumulate, int dtype, long stream) {
        return next.linear_bwd_x(dy, w, dx, M, N, K, accumulate, dtype, stream);
    }

    @Override
    public int linear_bwd_w(long dy, long x, long dw, long M, int N, int K, int dtype, long stream) {
        return next.linear_bwd_w(dy, x, dw, M, N, K, dtype, stream);
    }

    @Override
    public int mix(long x, long w, long y, long B, int N, int K, int D, int dtype, long stream) {
        return next.mix(x, w, y, B, N, K, D, dtype, stream);
    }

    @Override
    public int mix_bwd_x(
            long dy, long w, long dx, long B, int N, int K, int D, int accumulate, int dtype, long stream) {
        return next.mix_bwd_x(dy, w, dx, B, N, K, D, accumulate, dtype, stream);
    }

    @Override
    public int mix_bwd_w(long dy, long x, long dw, long B, int N, int K, int D, int dtype, long stream) {
        return next.mix_bwd_w(dy, x, dw, B, N, K, D, dtype, stream);
    }

    @Override
    public int add(long a, long b, long out, long count, int dtype, long stream) {
        return next.add(a, b, out, count, dtype, stream);
    }

    @Override
    public int add_into(long a, long sum, long count, int dtype, long stream) {
        return next.add_into(a, sum, count, dtype, stream);
    }

    @Override
    public int add_rms_norm(
            long h, long f, long c, long y, long u, long s, long rows, int D, float eps, int dtype, long stream) {
        return next.add_rms_norm(h, f, c, y, u, s, rows, D, eps, dtype, stream);
    }

    @Override
    public int add_rms_norm_bwd(long dy, long y, long s, long dr, long rows, int D, int dtype, long stream) {
        return next.add_rms_norm_bwd(dy, y, s, dr, rows, D, dtype, stream);
    }

    @Override
    public int add_rms_norm_positions(
            long h, long f, long y, long s, long B, int S, int D, float eps, int dtype, long stream) {
        return next.add_rms_norm_positions(h, f, y, s, B, S, D, eps, dtype, stream);
    }

    @Override
    public int add_rms_norm_positions_bwd(
            long dy, long y, long s, long dr, long B, int S, int D, int dtype, long stream) {
        return next.add_rms_norm_positions_bwd(dy, y, s, dr, B, S, D, dtype, stream);
    }

    @Override
    public int swiglu(long gu, long p, long outer, long inner, int dtype, long stream) {
        return next.swiglu(gu, p, outer, inner, dtype, stream);
    }

    @Override
    public int swiglu_bwd(long gu, long dp, long dgu, long p, long outer, long inner, int dtype, long stream) {
        return next.swiglu_bwd(gu, dp, dgu, p, outer, inner, dtype, stream);
    }

    @Override
    public int position_mlp(
            long h,
            long w_gate_up,
            long w_down,
            long y,
            long s,
            long work,
            long B,
            int S,
            int I,
            int D,
            float eps,
            int dtype,
            long stream) {
        return next.position_mlp(h, w_gate_up, w_down, y, s, work, B, S, I, D, eps, dtype, stream);
    }

    @Override
    public int position_mlp_bwd(
            long h,
            long y,
            long s,
            long w_gate_up,
            long w_down,
            long d,
            long dw_gate_up,
            long dw_down,
            long work,
            long B,
            int S,
            int I,
            int D,
            int dtype,
            long stream) {
        return next.position_mlp_bwd(
                h, y, s, w_gate_up, w_down, d, dw_gate_up, dw_down, work, B, S, I, D, dtype, stream);
    }

    @Override
    public int channel_mlp(
            long h,
            long w_gate_up,
            long w_down,
            long c,
            long kept,
            long y,
            long u,
            long s,
            long rows,
            int I,
            int D,
            float eps,
            int dtype,
            long stream) {
        return next.channel_mlp(h, w_gate_up, w_down, c, kept, y, u, s, rows, I, D, eps, dtype, stream);
    }

    @Override
    public int channel_mlp_bwd(
            long h,
            long kept,
            long y,
            long s,
            long w_gate_up,
            long w_down,
            long d,
            long dw_gate_up,
            long dw_down,
            long rows,
            int I,
            int D,
            int dtype,
            long stream) {
        return next.channel_mlp_bwd(
                h, kept, y, s, w_gate_up, w_down, d, dw_gate_up, dw_down, rows, I, D, dtype, stream);
    }

    @Override
    public int linear_swiglu(long x, long w_gate_up, long gu, long p, long M, int I, int K, int dtype, long stream) {
        return next.linear_swiglu(x, w_gate_up, gu, p, M, I, K, dtype, stream);
    }

    @Override
    public int linear_add_rms_norm(
            long x,
            long w,
            long h,
            long c,
            long y,
            long u,
            long s,
            long M,
            int N,
            int K,
            float eps,
            int dtype,
            long stream) {
        return next.linear_add_rms_norm(x, w, h, c, y, u, s, M, N, K, eps, dtype, stream);
    }

    @Override
    public int attention(
            long qkv, long cos, long sin, long o, long lse, long B, int S, int A, int d, int dtype, long stream) {
        return next.attention(qkv, cos, sin, o, lse, B, S, A, d, dtype, stream);
    }

    @Override
    public int attention_bwd(
            long qkv,
            long cos,
            long sin,
            long o,
            long lse,
            long dO,
            long dqkv,
            long B,
            int S,
            int A,
            int d,
            int dtype,
            long stream) {
        return next.attention_bwd(qkv, cos, sin, o, lse, dO, dqkv, B, S, A, d, dtype, stream);
    }

    @Override
    public int rotary(long qkv, long cos, long sin, long qk, long B, int S, int A, int d, int dtype, long stream) {
        return next.rotary(qkv, cos, sin, qk, B, S, A, d, dtype, stream);
    }

    @Override
    public int rotary_bwd(long dqkv, long cos, long sin, long B, int S, int A, int d, int dtype, long stream) {
        return next.rotary_bwd(dqkv, cos, sin, B, S, A, d, dtype, stream);
    }

    @Override
    public int embed(
            long tokens,
            long ids,
            long embed,
            long pos,
            long table,
            long x,
            long B,
            int L,
            int P,
            int D,
            int E,
            int dtype,
            long stream) {
        return next.embed(tokens, ids, embed, pos, table, x, B, L, P, D, E, dtype, stream);
    }

    @Override
    public int embed_bwd(
            long dx,
            long tokens,
            long dEmbed,
            long dPos,
            long dRows,
            long B,
            int L,
            int P,
            int D,
            int E,
            int V,
            long stream) {
        return next.embed_bwd(dx, tokens, dEmbed, dPos, dRows, B, L, P, D, E, V, stream);
    }

    @Override
    public int admit(
            long rows,
            long controls,
            int ring,
            long dataInputs,
            long dataLabels,
            long dataIds,
            long origins,
            long augmentations,
            int ignoreId,
            long yInit,
            long zInit,
            long halted,
            long steps,
            long inputs,
            long labels,
            long ids,
            long y,
            long z,
            long B,
            int L,
            int S,
            int D,
            int side,
            int V,
            int dtype,
            long stream) {
        return next.admit(
                rows,
                controls,
                ring,
                dataInputs,
                dataLabels,
                dataIds,
                origins,
                augmentations,
                ignoreId,
                yInit,
                zInit,
                halted,
                steps,
                inputs,
                labels,
                ids,
                y,
                z,
                B,
                L,
                S,
                D,
                side,
                V,
                dtype,
                stream);
    }

    @Override
    public int explore(
            long controls, long minSteps, long B, long firstLane, long seed, double p, int maxSteps, long stream) {
        return next.explore(controls, minSteps, B, firstLane, seed, p, maxSteps, stream);
    }

    @Override
    public int relax(
            long f,
            long state,
            long controls,
            long B,
            long count,
            long firstLane,
            long seed,
            int draw,
            double lambda,
            double sigma,
            int dtype,
            long stream) {
        return next.relax(f, state, controls, B, count, firstLane, seed, draw, lambda, sigma, dtype, stream);
    }

    @Override
    public int relax_bwd(long d, long dF, long count, double lambda, int dtype, long stream) {
        return next.relax_bwd(d, dF, count, lambda, dtype, stream);
    }

    @Override
    public int random_start(
            long halted,
            long keys,
            long controls,
            long z,
            long B,
            long count,
            long seed,
            int draw,
            int dtype,
            long stream) {
        return next.random_start(halted, keys, controls, z, B, count, seed, draw, dtype, stream);
    }

    @Override
    public int halt_head(long y, long w, long bias, long q, long B, int S, int D, int dtype, long stream) {
        return next.halt_head(y, w, bias, q, B, S, D, dtype, stream);
    }

    @Override
    public int halt_head_bwd(
            long dq, long y, long w, long dy, long dw, long dBias, long B, int S, int D, int dtype, long stream) {
        return next.halt_head_bwd(dq, y, w, dy, dw, dBias, B, S, D, dtype, stream);
    }

    @Override
    public int token_loss(
            long logits,
            long labels,
            long preds,
            long laneLoss,
            long hits,
            long labelled,
            long dLogits,
            long B,
            int L,
            int P,
            int V,
            int kind,
            double scale,
            int dtype,
            long stream) {
        return next.token_loss(
                logits, labels, preds, laneLoss, hits, labelled, dLogits, B, L, P, V, kind, scale, dtype, stream);
    }

    @Override
    public int halt(
            long q,
            long hits,
            long labelled,
            long minSteps,
            long steps,
            long halted,
            long exact,
            long haltLoss,
            long dq,
            long B,
            int maxSteps,
            int rule,
            double scale,
            long stream) {
        return next.halt(
                q, hits, labelled, minSteps, steps, halted, exact, haltLoss, dq, B, maxSteps, rule, scale, stream);
    }

    @Override
    public int continue_loss(
            long q,
            long nextQ,
            long steps,
            long target,
            long loss,
            long dq,
            long B,
            int maxSteps,
            double scale,
            long stream) {
        return next.continue_loss(q, nextQ, steps, target, loss, dq, B, maxSteps, scale, stream);
    }

    @Override
    public int metrics(
            long q,
            long hits,
            long labelled,
            long exact,
            long steps,
            long halted,
            long laneLoss,
            long haltLoss,
            long continueLoss,
            long metrics,
            long B,
            long stream) {
        return next.metrics(
                q, hits, labelled, exact, steps, halted, laneLoss, haltLoss, continueLoss, metrics, B, stream);
    }

    @Override
    public int advance(
            long controls,
            double lr,
            double puzzleLr,
            long warmup,
            long total,
            double minRatio,
            double beta1,
            double beta2,
            long stream) {
        return next.advance(controls, lr, puzzleLr, warmup, total, minRatio, beta1, beta2, stream);
    }

    @Override
    public int grad_norm(long g, long partials, long norm, long total, long count, long stream) {
        return next.grad_norm(g, partials, norm, total, count, stream);
    }

    @Override
    public int clip_gradient(long g, long norm, double max, long count, long stream) {
        return next.clip_gradient(g, norm, max, count, stream);
    }

    @Override
    public int adam(
            long p,
            long g,
            long m,
            long v,
            long ema,
            long bf16Copy,
            long controls,
            long count,
            double beta1,
            double beta2,
            double weightDecay,
            double eps,
            double emaRate,
            int kind,
            long stream) {
        return next.adam(
                p, g, m, v, ema, bf16Copy, controls, count, beta1, beta2, weightDecay, eps, emaRate, kind, stream);
    }

    @Override
    public int sign_sgd(
            long table, long ids, long dRows, long controls, long B, int E, double weightDecay, long stream) {
        return next.sign_sgd(table, ids, dRows, controls, B, E, weightDecay, stream);
    }
}
