package trm.device;

import static trm.device.Launcher.at;

/**
 * Matrix products: over channels (linear), alone and with what follows them, and over positions, lane by lane (mix). Operands are of the compute type,
 * gradients of weights float32. M is the number of rows, what remains of x's elements by its last axis K.
 */
public final class ProductKernels {
    /** Inner units of a row whose (g u)^2 {@link #linearSwiglu} adds up to one of its squares. */
    public static final int SQUARES = Operations.SQUARES;

    private final Operations operations;
    private final Launcher launcher;
    private final long stream;

    ProductKernels(Operations operations, Launcher launcher) {
        this.operations = operations;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /** y = x W^T: x in [M, K], w in [N, K], y out [M, N]. */
    public void linear(Tensor x, Tensor w, Tensor y) {
        int n = w.size(0);
        int k = w.size(1);
        long m = x.count() / k;
        Dtype t = x.dtype();
        launcher.operation("linear")
                .operand("x", x, t, m, k)
                .operand("w", w, t, n, k)
                .operand("y", y, t, m, n)
                .beginProducts(1, m, n, k);
        launcher.end(operations.linear(at(x), at(w), at(y), m, n, k, t.code(), stream));
    }

    /** dx = dy W: dy in [M, N], w in [N, K], dx out [M, K], or added to when {@code accumulate}. */
    public void linearBwdX(Tensor dy, Tensor w, Tensor dx, boolean accumulate) {
        int n = w.size(0);
        int k = w.size(1);
        long m = dy.count() / n;
        int add = accumulate ? 1 : 0;
        Dtype t = dy.dtype();
        launcher.operation("linear_bwd_x")
                .operand("dy", dy, t, m, n)
                .operand("w", w, t, n, k)
                .operand("dx", dx, t, m, k)
                .beginProducts(1, m, k, n);
        launcher.end(operations.linear_bwd_x(at(dy), at(w), at(dx), m, n, k, add, t.code(), stream));
    }

    /** dw += dy^T x: dy in [M, N], x in [M, K], dw added to, [N, K] float32. */
    public void linearBwdW(Tensor dy, Tensor x, Tensor dw) {
        int n = dw.size(0);
        int k = dw.size(1);
        long m = x.count() / k;
        Dtype t = x.dtype();
        launcher.operation("linear_bwd_w")
                .operand("dy", dy, t, m, n)
                .operand("x", x, t, m, k)
                .operand("dw", dw, Dtype.F32, n, k)
                .beginProducts(1, n, k, m);
        launcher.end(operations.linear_bwd_w(at(dy), at(x), at(dw), m, n, k, t.code(), stream));
    }

    /** y_b = W x_b for each lane: x in [B, K, D], w in [N, K], y out [B, N, D]; {@code lanes} B, {@code width} D. */
    public void mix(Tensor x, Tensor w, Tensor y, long lanes, int width) {
        int n = w.size(0);
        int k = w.size(1);
        Dtype t = x.dtype();
        launcher.operation("mix")
                .operand("x", x, t, lanes, k, width)
                .operand("w", w, t, n, k)
                .operand("y", y, t, lanes, n, width)
                .beginProducts(lanes, n, width, k);
        launcher.end(operations.mix(at(x), at(w), at(y), lanes, n, k, width, t.code(), stream));
    }

    /** dx_b = W^T dy_b: dy in [B, N, D], w in [N, K], dx out [B, K, D], or added to when {@code accumulate}. */
    public void mixBwdX(Tensor dy, Tensor w, Tensor dx, long lanes, int width, boolean accumulate) {
        int n = w.size(0);
        int k = w.size(1);
        int add = accumulate ? 1 : 0;
        Dtype t = dy.dtype();
        launcher.operation("mix_bwd_x")
                .operand("dy", dy, t, lanes, n, width)
                .operand("w", w, t, n, k)
                .operand("dx", dx, t, lanes, k, width)
                .beginProducts(lanes, k, width, n);
        launcher.end(operations.mix_bwd_x(at(dy), at(w), at(dx), lanes, n, k, width, add, t.code(), stream));
    }

    /** dw += sum_b dy_b x_b^T: dy in [B, N, D], x in [B, K, D], dw added to, [N, K] float32. */
    public void mixBwdW(Tensor dy, Tensor x, Tensor dw, long lanes, int width) {
        int n = dw.size(0);
        int k = dw.size(1);
        Dtype t = x.dtype();
        launcher.operation("mix_bwd_w")
                .operand("dy", dy, t, lanes, n, width)
                .operand("x", x, t, lanes, k, width)
                .operand("dw", dw, Dtype.F32, n, k)
                .beginProducts(lanes, n, k, width);
        launcher.end(operations.mix_bwd_w(at(dy), at(x), at(dw), lanes, n, k, width, t.code(), stream));
    }

    /**
     * gu = x W^T and p = silu(g) u, for sizes of {@link Fusion.LinearSwiglu}; else {@link #linear} and
     * {@link MlpKernels#swiglu} compose it.
     *
     * @param x in, [M, K]
     * @param w in, [2 I, K]
     * @param gu out, [M, 2, I]; null when no backward pass follows
     * @param p out, [M, I]
     * @param squares out, [M, I / TRM_SQUARES] float32, sums of (g u)^2 for the normed SwiGLU; null: the plain one
     */
    public void linearSwiglu(Tensor x, Tensor w, Tensor gu, Tensor p, Tensor squares) {
        int k = w.size(1);
        int inner = w.size(0) / 2;
        long m = x.count() / k;
        Dtype t = x.dtype();
        launcher.operation("linear_swiglu")
                .operand("x", x, t, m, k)
                .operand("w_gate_up", w, t, 2, inner, k)
                .optional("gu", gu, t, m, 2L * inner)
                .operand("p", p, t, m, inner)
                .optional("squares", squares, Dtype.F32, m, inner / SQUARES)
                .beginProducts(1, m, 2L * inner, k);
        launcher.end(operations.linear_swiglu(at(x), at(w), at(gu), at(p), at(squares), m, inner, k, t.code(), stream));
    }

    /**
     * y = rms_norm(h + x W^T) over the last axis, and u = y + c unless c is null; for sizes of
     * {@link Fusion.LinearAddRmsNorm}, else {@link #linear} and {@link NormKernels#addRmsNorm} compose it.
     *
     * @param x in, [M, K]
     * @param squares in, what {@link #linearSwiglu} put out with x, whose rows then have the factor of the normed SwiGLU; or
     *     null
     * @param w in, [N, K]
     * @param h in, [M, N]
     * @param c in, as h, or null
     * @param y out, as h; may alias h
     * @param u out, as h, or null; may alias h or c
     * @param s out, [M] float32
     */
    public void linearAddRmsNorm(
            Tensor x, Tensor squares, Tensor w, Tensor h, Tensor c, Tensor y, Tensor u, Tensor s, float eps) {
        int n = w.size(0);
        int k = w.size(1);
        long m = x.count() / k;
        Dtype t = x.dtype();
        launcher.operation("linear_add_rms_norm")
                .operand("x", x, t, m, k)
                .optional("squares", squares, Dtype.F32, m, k / SQUARES)
                .operand("w", w, t, n, k)
                .operand("h", h, t, m, n)
                .optional("c", c, t, m, n)
                .operand("y", y, t, m, n)
                .optional("u", u, t, m, n)
                .operand("s", s, Dtype.F32, m)
                .beginProducts(1, m, n, k);
        launcher.end(operations.linear_add_rms_norm(
                at(x), at(squares), at(w), at(h), at(c), at(y), at(u), at(s), m, n, k, eps, t.code(), stream));
    }
}
