package trm.device;

import static trm.device.Launcher.at;

/**
 * Residual sums and their RMS norm, over channels or over positions. Operands are of the compute type, the scale s is
 * float32: s = 1 / sqrt(mean of squares + eps), what the backward pass needs besides y.
 */
public final class NormKernels {
    private final Operations operations;
    private final Launcher launcher;
    private final long stream;

    NormKernels(Operations operations, Launcher launcher) {
        this.operations = operations;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /**
     * y = rms_norm(h + f) over the last axis, and u = y + c unless c is null.
     *
     * @param h in, [rows, D]
     * @param f in, as h
     * @param c in, as h, or null
     * @param y out, as h; may alias h or f
     * @param u out, as h, or null; may alias any input
     * @param s out, [rows] float32
     */
    public void addRmsNorm(Tensor h, Tensor f, Tensor c, Tensor y, Tensor u, Tensor s, float eps) {
        long rows = s.count();
        long n = h.count();
        int d = (int) (n / rows);
        Dtype t = h.dtype();
        launcher.operation("add_rms_norm")
                .operand(h)
                .operand("f", f, t, n)
                .optional("c", c, t, n)
                .operand("y", y, t, n)
                .optional("u", u, t, n)
                .operand("s", s, Dtype.F32, rows)
                .beginMoving((c == null ? 3 : 5) * n * t.bytes());
        launcher.end(operations.add_rms_norm(at(h), at(f), at(c), at(y), at(u), at(s), rows, d, eps, t.code(), stream));
    }

    /**
     * dr = s (dy - y mean(dy y)), the gradient of both h and f.
     *
     * @param dy in, [rows, D]
     * @param y in, as dy, and s in, [rows] float32: what the forward pass put out
     * @param dr out, as dy; may alias it
     */
    public void addRmsNormBwd(Tensor dy, Tensor y, Tensor s, Tensor dr) {
        long rows = s.count();
        long n = dy.count();
        int d = (int) (n / rows);
        Dtype t = dy.dtype();
        launcher.operation("add_rms_norm_bwd")
                .operand(dy)
                .operand("y", y, t, n)
                .operand("s", s, Dtype.F32, rows)
                .operand("dr", dr, t, n)
                .beginMoving(3 * n * t.bytes());
        launcher.end(operations.add_rms_norm_bwd(at(dy), at(y), at(s), at(dr), rows, d, t.code(), stream));
    }

    /**
     * y = rms_norm(h + f) over positions.
     *
     * @param h in, [B, S, D]
     * @param f in, as h
     * @param y out, as h; may alias h or f
     * @param s out, [B, D] float32
     * @param lanes B
     * @param width D
     */
    public void addRmsNormPositions(Tensor h, Tensor f, Tensor y, Tensor s, long lanes, int width, float eps) {
        long n = h.count();
        int positions = (int) (n / lanes / width);
        Dtype t = h.dtype();
        launcher.operation("add_rms_norm_positions")
                .operand(h)
                .operand("f", f, t, n)
                .operand("y", y, t, n)
                .operand("s", s, Dtype.F32, lanes, width)
                .beginMoving(3 * n * t.bytes());
        launcher.end(operations.add_rms_norm_positions(
                at(h), at(f), at(y), at(s), lanes, positions, width, eps, t.code(), stream));
    }

    /**
     * As {@link #addRmsNormBwd}, over positions.
     *
     * @param dy in, [B, S, D]
     * @param y in, as dy, and s in, [B, D] float32: what the forward pass put out
     * @param dr out, as dy; may alias it
     * @param lanes B
     * @param width D
     */
    public void addRmsNormPositionsBwd(Tensor dy, Tensor y, Tensor s, Tensor dr, long lanes, int width) {
        long n = dy.count();
        int positions = (int) (n / lanes / width);
        Dtype t = dy.dtype();
        launcher.operation("add_rms_norm_positions_bwd")
                .operand(dy)
                .operand("y", y, t, n)
                .operand("s", s, Dtype.F32, lanes, width)
                .operand("dr", dr, t, n)
                .beginMoving(3 * n * t.bytes());
        launcher.end(operations.add_rms_norm_positions_bwd(
                at(dy), at(y), at(s), at(dr), lanes, positions, width, t.code(), stream));
    }
}
