package trm.device;

import static trm.device.Launcher.at;

/** Rates by the step, norm and limit of the gradient, both optimizers, and the moving average within the dense one. */
public final class OptimizerKernels {
    /** Number of float64 scalars that {@link #advance} writes. */
    public static final int CONTROLS = Operations.CONTROLS;

    /** Room of float64 that {@link #gradNorm} needs. */
    public static final int NORM_PARTIALS = Operations.NORM_PARTIALS;

    /** Learning-rate schedule (docs/specification.md#71-learning-rate-schedule). */
    public record Schedule(double lr, double puzzleLr, long warmup, long total, double minRatio) {}

    /**
     * Constants of the dense optimizer.
     *
     * @param emaFrom first step that the moving average takes in; before it the average is the parameters
     */
    public record Adam(
            double beta1, double beta2, double weightDecay, double eps, double emaRate, long emaFrom, boolean atan2) {}

    private final Operations operations;
    private final Launcher launcher;
    private final long stream;

    OptimizerKernels(Operations operations, Launcher launcher) {
        this.operations = operations;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /** Moves {@code controls} [CONTROLS] float64, in and out, on to the next step: its number, rates, bias corrections. */
    public void advance(Tensor controls, Schedule s, double beta1, double beta2) {
        launcher.operation("advance")
                .operand("controls", controls, Dtype.F64, CONTROLS)
                .begin();
        launcher.end(operations.advance(
                at(controls), s.lr(), s.puzzleLr(), s.warmup(), s.total(), s.minRatio(), beta1, beta2, stream));
    }

    /**
     * norm = sqrt(sum of squares of g), which is also added to the metrics' GRAD_NORM.
     *
     * @param g in, float32, any shape
     * @param partials scratch, [NORM_PARTIALS] float64
     * @param norm out, [1] float64
     * @param metrics added to, [METRICS] float64
     */
    public void gradNorm(Tensor g, Tensor partials, Tensor norm, Tensor metrics) {
        long n = g.count();
        launcher.operation("grad_norm")
                .operand("g", g, Dtype.F32, n)
                .operand("partials", partials, Dtype.F64, NORM_PARTIALS)
                .operand("norm", norm, Dtype.F64, 1)
                .operand("metrics", metrics, Dtype.F64, HeadKernels.METRICS)
                .beginMoving(g.bytes());
        long total = at(metrics) + (long) Metric.GRAD_NORM.ordinal() * Dtype.F64.bytes();
        launcher.end(operations.grad_norm(at(g), at(partials), at(norm), total, n, stream));
    }

    /**
     * g *= max / (norm + 1e-6) where that is below 1.
     *
     * @param g in and out, float32, any shape
     * @param norm in, [1] float64, of {@link #gradNorm}
     */
    public void clipGradient(Tensor g, Tensor norm, double max) {
        long n = g.count();
        launcher.operation("clip_gradient")
                .operand("g", g, Dtype.F32, n)
                .operand("norm", norm, Dtype.F64, 1)
                .beginMoving(2 * g.bytes());
        launcher.end(operations.clip_gradient(at(g), at(norm), max, n, stream));
    }

    /**
     * One update of all parameters; gradients become zero. All tensors have the same number of elements.
     *
     * @param p in and out, float32: parameters
     * @param g in, float32, zero afterwards: gradients
     * @param m in and out, float32: first moments; v in and out, float32: second moments
     * @param ema in and out, float32: moving average, or null
     * @param bf16 out, bfloat16: the new parameters rounded, or null
     * @param controls in, [CONTROLS] float64: number, rate and bias corrections of the step
     */
    public void adam(Tensor p, Tensor g, Tensor m, Tensor v, Tensor ema, Tensor bf16, Tensor controls, Adam c) {
        long n = p.count();
        launcher.operation("adam")
                .operand("p", p, Dtype.F32, n)
                .operand("g", g, Dtype.F32, n)
                .operand("m", m, Dtype.F32, n)
                .operand("v", v, Dtype.F32, n)
                .optional("ema", ema, Dtype.F32, n)
                .optional("bf16_copy", bf16, Dtype.BF16, n)
                .operand("controls", controls, Dtype.F64, CONTROLS)
                .beginMoving(n * (32 + (ema == null ? 0 : 8) + (bf16 == null ? 0 : 2)));
        launcher.end(operations.adam(
                at(p),
                at(g),
                at(m),
                at(v),
                at(ema),
                at(bf16),
                at(controls),
                n,
                c.beta1(),
                c.beta2(),
                c.weightDecay(),
                c.eps(),
                c.emaRate(),
                c.emaFrom(),
                c.atan2() ? Operations.ADAM_ATAN2 : Operations.ADAMW,
                stream));
    }

    /**
     * Sign descent on the puzzle vectors of a batch; a vector that several lanes name takes one step by the sum.
     *
     * @param puzzleTable in and out, [identifiers, E] float32
     * @param ids in, [B] int32
     * @param dRows in, [B, E] float32, of {@link EmbeddingKernels#embedBwd}
     * @param controls in, [CONTROLS] float64: rate of the step
     */
    public void signSgd(Tensor puzzleTable, Tensor ids, Tensor dRows, Tensor controls, double weightDecay) {
        long n = ids.count();
        int width = puzzleTable.size(1);
        launcher.operation("sign_sgd")
                .operand("table", puzzleTable, Dtype.F32, puzzleTable.count())
                .operand("ids", ids, Dtype.I32, n)
                .operand("d_rows", dRows, Dtype.F32, n, width)
                .operand("controls", controls, Dtype.F64, CONTROLS)
                .begin();
        launcher.end(
                operations.sign_sgd(at(puzzleTable), at(ids), at(dRows), at(controls), n, width, weightDecay, stream));
    }
}
