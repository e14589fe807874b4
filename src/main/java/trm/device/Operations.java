package trm.device;

/**
 * The operations of {@code native/include/trm_ops.h} that do work on a device, under their names and with their contracts:
 * operands by device address (0 for none), sizes, {@code TRM_F32} or {@code TRM_BF16}, stream. A backend library's table
 * has all of them; a library of others replaces some by decorating it. Calls allocate nothing once a shape has been seen.
 *
 * <p>Each returns {@code TRM_OK} or a status whose text the table's {@code last_error} has, or throws a
 * {@link DeviceException}. Use {@link Kernels}, which checks operands and turns a status into an exception.
 */
public interface Operations {
    int zero(long p, long bytes, long stream);

    int copy(long to, long from, long bytes, long stream);

    int cast_bf16(long from, long to, long count, long stream);

    int permute_lanes(long x, long out, long B, int N, int D, int dtype, long stream);

    int linear(long x, long w, long y, long M, int N, int K, int dtype, long stream);

    int linear_bwd_x(long dy, long w, long dx, long M, int N, int K, int accumulate, int dtype, long stream);

    int linear_bwd_w(long dy, long x, long dw, long M, int N, int K, int dtype, long stream);

    int mix(long x, long w, long y, long B, int N, int K, int D, int dtype, long stream);

    int mix_bwd_x(long dy, long w, long dx, long B, int N, int K, int D, int accumulate, int dtype, long stream);

    int mix_bwd_w(long dy, long x, long dw, long B, int N, int K, int D, int dtype, long stream);

    int add(long a, long b, long out, long count, int dtype, long stream);

    int add_into(long a, long sum, long count, int dtype, long stream);

    int add_rms_norm(
            long h, long f, long c, long y, long u, long s, long rows, int D, float eps, int dtype, long stream);

    int add_rms_norm_bwd(long dy, long y, long s, long dr, long rows, int D, int dtype, long stream);

    int add_rms_norm_positions(long h, long f, long y, long s, long B, int S, int D, float eps, int dtype, long stream);

    int add_rms_norm_positions_bwd(long dy, long y, long s, long dr, long B, int S, int D, int dtype, long stream);

    int swiglu(long gu, long p, long outer, long inner, int dtype, long stream);

    int swiglu_bwd(long gu, long dp, long dgu, long p, long outer, long inner, int dtype, long stream);

    int position_mlp(
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
            long stream);

    int position_mlp_bwd(
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
            long stream);

    int channel_mlp(
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
            long stream);

    int channel_mlp_bwd(
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
            long stream);

    int linear_swiglu(long x, long w_gate_up, long gu, long p, long M, int I, int K, int dtype, long stream);

    int linear_add_rms_norm(
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
            long stream);

    int attention(long qkv, long cos, long sin, long o, long lse, long B, int S, int A, int d, int dtype, long stream);

    int attention_bwd(
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
            long stream);

    int rotary(long qkv, long cos, long sin, long qk, long B, int S, int A, int d, int dtype, long stream);

    int rotary_bwd(long dqkv, long cos, long sin, long B, int S, int A, int d, int dtype, long stream);

    int embed(
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
            long stream);

    int embed_bwd(
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
            long stream);

    int admit(
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
            long stream);

    int explore(long controls, long minSteps, long B, long firstLane, long seed, double p, int maxSteps, long stream);

    int relax(
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
            long stream);

    int relax_bwd(long d, long dF, long count, double lambda, int dtype, long stream);

    int random_start(
            long halted,
            long keys,
            long controls,
            long z,
            long B,
            long count,
            long seed,
            int draw,
            int dtype,
            long stream);

    int halt_head(long y, long w, long bias, long q, long B, int S, int D, int dtype, long stream);

    int halt_head_bwd(
            long dq, long y, long w, long dy, long dw, long dBias, long B, int S, int D, int dtype, long stream);

    int token_loss(
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
            long stream);

    int halt(
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
            long stream);

    int continue_loss(
            long q,
            long nextQ,
            long steps,
            long target,
            long loss,
            long dq,
            long B,
            int maxSteps,
            double scale,
            long stream);

    int metrics(
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
            long stream);

    int advance(
            long controls,
            double lr,
            double puzzleLr,
            long warmup,
            long total,
            double minRatio,
            double beta1,
            double beta2,
            long stream);

    int grad_norm(long g, long partials, long norm, long total, long count, long stream);

    int clip_gradient(long g, long norm, double max, long count, long stream);

    int adam(
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
            long stream);

    int sign_sgd(long table, long ids, long dRows, long controls, long B, int E, double weightDecay, long stream);
}
