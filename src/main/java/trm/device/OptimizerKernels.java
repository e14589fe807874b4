package trm.device;

import static trm.device.Launcher.at;

/** Rates by the step, norm and limit of the gradient, the optimizers, and the moving average within the dense ones. */
public final class OptimizerKernels {
    /** Number of float64 scalars that {@link #advance} writes. */
    public static final int CONTROLS = Operations.CONTROLS;

    /** Room of float64 that {@link #gradNorm} needs. */
    public static final int NORM_PARTIALS = Operations.NORM_PARTIALS;

    /** Numbers of a matrix in the table of Muon, int32. */
    public static final int MUON_FIELDS = Operations.MUON_FIELDS;

    /** Values of a matrix that have one sum of squares of their own. */
    public static final int MUON_CHUNK = Operations.MUON_CHUNK;

    /**
     * Learning-rate schedule (docs/specification.md#71-learning-rate-schedule).
     *
     * @param momentsFrom step after which the moments were zero, which their bias corrections are counted from; 0 for a run that
     *     began there
     */
    public record Schedule(double lr, double puzzleLr, long warmup, long total, double minRatio, long momentsFrom) {}

    /**
     * Constants of the dense optimizer.
     *
     * @param emaFrom first step that the moving average takes in; before it the average is the parameters
     */
    public record Adam(
            double beta1, double beta2, double weightDecay, double eps, double emaRate, long emaFrom, boolean atan2) {}

    /**
     * The matrices that Muon updates, as {@code native/include/trm_ops.h} describes them, and what it works in; what is in
     * {@code x} to {@code partials} does not outlive an update.
     *
     * @param table [matrices, MUON_FIELDS] int32: where each begins, its rows and columns, and where it begins in the others
     * @param x [elements] of the compute type: each as [r, c], r &le; c, rounded up to multiples of 8
     * @param y like x
     * @param gram [squares] of the compute type: [r, r] of each
     * @param polynomial like gram
     * @param partials [sums] float64: one for each MUON_CHUNK values of a matrix
     */
    public record MuonMatrices(Tensor table, Tensor x, Tensor y, Tensor gram, Tensor polynomial, Tensor partials) {}

    /** Coefficients of an iteration of Newton and Schulz, X = a X + (b A + c A A) X with A = X X^T. */
    public record NewtonSchulz(double a, double b, double c) {}

    /** Constants of Muon's update: {@code rate} times the learning rate of the step is its own. */
    public record Muon(double rate, double weightDecay, double emaRate, long emaFrom) {}

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
                at(controls),
                s.lr(),
                s.puzzleLr(),
                s.warmup(),
                s.total(),
                s.minRatio(),
                beta1,
                beta2,
                s.momentsFrom(),
                stream));
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
     * m += (1 - mu)(g - m), U = g + mu (m - g), x = U / max(|U|, 1e-7), matrix by matrix; gradients of the matrices become zero.
     *
     * @param g in and zero afterwards, float32, all parameters; what is not in a matrix is left alone
     * @param m in and out, float32, like g: momentum
     * @param matrices their x out
     */
    public void muonDirection(Tensor g, Tensor m, MuonMatrices matrices, double momentum) {
        Tensor x = matrices.x();
        int count = matrices.table().size(0);
        launcher.operation("muon_direction")
                .operand("g", g, Dtype.F32, m.count())
                .operand("m", m, Dtype.F32, g.count())
                .operand("matrices", matrices.table(), Dtype.I32, count, MUON_FIELDS)
                .operand(
                        "partials",
                        matrices.partials(),
                        Dtype.F64,
                        matrices.partials().count())
                .operand(x)
                .beginMoving(x.count() * 24 + x.bytes());
        launcher.end(operations.muon_direction(
                at(g),
                at(m),
                at(matrices.table()),
                at(matrices.partials()),
                at(x),
                x.count(),
                count,
                momentum,
                x.dtype().code(),
                stream));
    }

    /**
     * An iteration of Newton and Schulz for each matrix.
     *
     * @param x in, one of x and y of the matrices
     * @param y out, the other
     */
    public void muonIterate(Tensor x, Tensor y, MuonMatrices matrices, NewtonSchulz c) {
        Dtype t = x.dtype();
        int count = matrices.table().size(0);
        launcher.operation("muon_iterate")
                .operand(x)
                .operand("matrices", matrices.table(), Dtype.I32, count, MUON_FIELDS)
                .operand("gram", matrices.gram(), t, matrices.polynomial().count())
                .operand("polynomial", matrices.polynomial(), t, matrices.gram().count())
                .operand("y", y, t, x.count())
                .beginMoving(3 * x.bytes() + 3 * matrices.gram().bytes());
        launcher.end(operations.muon_iterate(
                at(x),
                at(matrices.table()),
                at(matrices.gram()),
                at(matrices.polynomial()),
                at(y),
                x.count(),
                count,
                c.a(),
                c.b(),
                c.c(),
                t.code(),
                stream));
    }

    /**
     * p = (1 - lr wd) p - lr sqrt(max(1, rows / columns)) x for each matrix; the moving average and the working copy as
     * {@link #adam} has them.
     *
     * @param x in, one of x and y of the matrices
     * @param p in and out, float32, all parameters; what is not in a matrix is left alone, in the others too
     * @param ema in and out, float32: moving average, or null
     * @param bf16 out, bfloat16: the new parameters rounded, or null
     * @param controls in, [CONTROLS] float64: rate of the step
     */
    public void muonUpdate(
            Tensor x, MuonMatrices matrices, Tensor p, Tensor ema, Tensor bf16, Tensor controls, Muon c) {
        long n = p.count();
        int count = matrices.table().size(0);
        launcher.operation("muon_update")
                .operand(x)
                .operand("matrices", matrices.table(), Dtype.I32, count, MUON_FIELDS)
                .operand("p", p, Dtype.F32, n)
                .optional("ema", ema, Dtype.F32, n)
                .optional("bf16_copy", bf16, Dtype.BF16, n)
                .operand("controls", controls, Dtype.F64, CONTROLS)
                .beginMoving(x.bytes() + x.count() * (8 + (ema == null ? 0 : 8) + (bf16 == null ? 0 : 2)));
        launcher.end(operations.muon_update(
                at(x),
                at(matrices.table()),
                at(p),
                at(ema),
                at(bf16),
                at(controls),
                x.count(),
                count,
                c.rate(),
                c.weightDecay(),
                c.emaRate(),
                c.emaFrom(),
                x.dtype().code(),
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
