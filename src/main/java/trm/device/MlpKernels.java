package trm.device;

import static trm.device.Launcher.at;

/**
 * SwiGLU, and the two MLPs of a block as one operation each. Gate and up lie together: gu [outer, 2, inner] has g at
 * [., 0, .] and u at [., 1, .]. Operands are of the compute type, scales and gradients of weights float32.
 */
public final class MlpKernels {
    private final Operations operations;
    private final Capabilities capabilities;
    private final Launcher launcher;
    private final long stream;

    MlpKernels(Operations operations, Capabilities capabilities, Launcher launcher) {
        this.operations = operations;
        this.capabilities = capabilities;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /** p = silu(g) u: gu in [outer, 2, inner], p out [outer, inner]. */
    public void swiglu(Tensor gu, Tensor p, long outer) {
        long inner = gu.count() / 2 / outer;
        Dtype t = gu.dtype();
        launcher.operation("swiglu")
                .operand(gu)
                .operand("p", p, t, outer, inner)
                .beginMoving(3 * outer * inner * t.bytes());
        launcher.end(operations.swiglu(at(gu), at(p), outer, inner, t.code(), stream));
    }

    /**
     * The gradients of g and u from that of p; and p again unless that is null.
     *
     * @param gu in, [outer, 2, inner]
     * @param dp in, [outer, inner]
     * @param dgu out, as gu; may alias it
     * @param p out, as dp, or null; may alias dp
     */
    public void swigluBwd(Tensor gu, Tensor dp, Tensor dgu, Tensor p, long outer) {
        long inner = gu.count() / 2 / outer;
        Dtype t = gu.dtype();
        launcher.operation("swiglu_bwd")
                .operand(gu)
                .operand("dp", dp, t, outer, inner)
                .operand("dgu", dgu, t, gu.count())
                .optional("p", p, t, outer, inner)
                .beginMoving((p == null ? 5 : 6) * outer * inner * t.bytes());
        launcher.end(operations.swiglu_bwd(at(gu), at(dp), at(dgu), at(p), outer, inner, t.code(), stream));
    }

    /**
     * p = sigma(g) rms_norm(g u), the norm over I (docs/specification.md#32-swiglu).
     *
     * @param gu in, [outer, 2, I, inner]; inner is 1 over channels, D over positions
     * @param p out, [outer, I, inner]
     */
    public void normedSwiglu(Tensor gu, Tensor p, long outer, int I, float eps) {
        long n = gu.count() / 2;
        Dtype t = gu.dtype();
        launcher.operation("normed_swiglu").operand(gu).operand("p", p, t, n).beginMoving(3 * n * t.bytes());
        launcher.end(operations.normed_swiglu(at(gu), at(p), outer, I, (int) (n / outer / I), eps, t.code(), stream));
    }

    /**
     * The gradients of g and u from that of p, and p again.
     *
     * @param gu in, [outer, 2, I, inner]
     * @param dp in, [outer, I, inner]
     * @param dgu out, as gu; may alias it
     * @param p out, as dp, or null; may alias dp
     */
    public void normedSwigluBwd(Tensor gu, Tensor dp, Tensor dgu, Tensor p, long outer, int I, float eps) {
        long n = gu.count() / 2;
        Dtype t = gu.dtype();
        launcher.operation("normed_swiglu_bwd")
                .operand(gu)
                .operand("dp", dp, t, n)
                .operand("dgu", dgu, t, 2 * n)
                .optional("p", p, t, n)
                .beginMoving((p == null ? 5 : 6) * n * t.bytes());
        launcher.end(operations.normed_swiglu_bwd(
                at(gu), at(dp), at(dgu), at(p), outer, I, (int) (n / outer / I), eps, t.code(), stream));
    }

    /**
     * y = rms_norm(h + swiglu(h)), both over positions, for sizes of {@link Fusion.PositionMlp}; else
     * {@link ProductKernels#mix}, {@link #swiglu} or {@link #normedSwiglu} and {@link NormKernels#addRmsNormPositions}
     * compose it.
     *
     * @param h in, [B, S, D]
     * @param gateUp in, [2 I, S]
     * @param down in, [S, I]
     * @param y out, as h; may alias it
     * @param s out, [B, D] float32
     * @param rho out, as s: the factor of the normed SwiGLU; null: the plain one
     * @param work scratch of {@link Capabilities#positionMlpWork} bytes, null where that is 0
     */
    public void positionMlp(
            Tensor h, Tensor gateUp, Tensor down, Tensor y, Tensor s, Tensor rho, Tensor work, float eps) {
        Dtype t = h.dtype();
        int positions = down.size(0);
        int inner = down.size(1);
        long lanes = h.shape().dim(0);
        long n = h.count();
        int width = (int) (n / lanes / positions);
        launcher.operation("position_mlp")
                .operand(h)
                .operand("w_gate_up", gateUp, t, 2, inner, positions)
                .operand("w_down", down, t, positions, inner)
                .operand("y", y, t, n)
                .operand("s", s, Dtype.F32, lanes, width)
                .optional("rho", rho, Dtype.F32, lanes, width)
                .scratch("work", work, capabilities.positionMlpWork(lanes, positions, inner, width, t, false))
                .beginProducts(1, lanes * width, 3L * inner, positions);
        launcher.end(operations.position_mlp(
                at(h),
                at(gateUp),
                at(down),
                at(y),
                at(s),
                at(rho),
                at(work),
                lanes,
                positions,
                inner,
                width,
                eps,
                t.code(),
                stream));
    }

    /**
     * Backward of {@link #positionMlp}.
     *
     * @param h in, [B, S, D]; y in, as h, and s and rho in, [B, D] float32: what the forward pass took and put out; rho
     *     is null for the plain SwiGLU
     * @param gateUp in, [2 I, S]; down in, [S, I]
     * @param d in the gradient of y, out that of h; as h
     * @param dGateUp added to, float32, as gateUp; dDown added to, float32, as down
     * @param work scratch of {@link Capabilities#positionMlpWork} bytes, null where that is 0
     */
    public void positionMlpBwd(
            Tensor h,
            Tensor y,
            Tensor s,
            Tensor rho,
            Tensor gateUp,
            Tensor down,
            Tensor d,
            Tensor dGateUp,
            Tensor dDown,
            Tensor work) {
        Dtype t = h.dtype();
        int positions = down.size(0);
        int inner = down.size(1);
        long lanes = h.shape().dim(0);
        long n = h.count();
        int width = (int) (n / lanes / positions);
        launcher.operation("position_mlp_bwd")
                .operand(h)
                .operand("y", y, t, n)
                .operand("s", s, Dtype.F32, lanes, width)
                .optional("rho", rho, Dtype.F32, lanes, width)
                .operand("w_gate_up", gateUp, t, 2, inner, positions)
                .operand("w_down", down, t, positions, inner)
                .operand("d", d, t, n)
                .operand("dw_gate_up", dGateUp, Dtype.F32, gateUp.count())
                .operand("dw_down", dDown, Dtype.F32, down.count())
                .scratch("work", work, capabilities.positionMlpWork(lanes, positions, inner, width, t, true))
                .beginProducts(2, lanes * width, 3L * inner, positions);
        launcher.end(operations.position_mlp_bwd(
                at(h),
                at(y),
                at(s),
                at(rho),
                at(gateUp),
                at(down),
                at(d),
                at(dGateUp),
                at(dDown),
                at(work),
                lanes,
                positions,
                inner,
                width,
                t.code(),
                stream));
    }

    /**
     * y = rms_norm(h + swiglu(h)), both over channels, and u = y + c unless c is null, for sizes of
     * {@link Fusion.ChannelMlp}; else {@link ProductKernels#linearSwiglu} and {@link ProductKernels#linearAddRmsNorm} compose it.
     *
     * @param h in, [rows, D]
     * @param gateUp in, [2 I, D]
     * @param down in, [D, I]
     * @param c in, as h, or null
     * @param kept out, [rows, 2, I]: gate and up for the backward pass; null when none follows
     * @param y out, as h; may alias it
     * @param u out, as h, or null; may alias it
     * @param s out, [rows] float32
     * @param rho out, as s: the factor of the normed SwiGLU; null: the plain one
     */
    public void channelMlp(
            Tensor h,
            Tensor gateUp,
            Tensor down,
            Tensor c,
            Tensor kept,
            Tensor y,
            Tensor u,
            Tensor s,
            Tensor rho,
            float eps) {
        Dtype t = h.dtype();
        int width = down.size(0);
        int inner = down.size(1);
        long n = h.count();
        long rows = n / width;
        launcher.operation("channel_mlp")
                .operand(h)
                .operand("w_gate_up", gateUp, t, 2, inner, width)
                .operand("w_down", down, t, width, inner)
                .optional("c", c, t, n)
                .optional("kept", kept, t, rows, 2L * inner)
                .operand("y", y, t, n)
                .optional("u", u, t, n)
                .operand("s", s, Dtype.F32, rows)
                .optional("rho", rho, Dtype.F32, rows)
                .beginProducts(1, rows, 3L * inner, width);
        launcher.end(operations.channel_mlp(
                at(h),
                at(gateUp),
                at(down),
                at(c),
                at(kept),
                at(y),
                at(u),
                at(s),
                at(rho),
                rows,
                inner,
                width,
                eps,
                t.code(),
                stream));
    }

    /**
     * Backward of {@link #channelMlp}.
     *
     * @param h in, [rows, D]; kept in, [rows, 2, I]; y in, as h; s and rho in, [rows] float32: what the forward pass took
     *     and put out; rho is null for the plain SwiGLU
     * @param gateUp in, [2 I, D]; down in, [D, I]
     * @param d in the gradient of y, out that of h; as h
     * @param dGateUp added to, float32, as gateUp; dDown added to, float32, as down
     */
    public void channelMlpBwd(
            Tensor h,
            Tensor kept,
            Tensor y,
            Tensor s,
            Tensor rho,
            Tensor gateUp,
            Tensor down,
            Tensor d,
            Tensor dGateUp,
            Tensor dDown) {
        Dtype t = h.dtype();
        int width = down.size(0);
        int inner = down.size(1);
        long n = h.count();
        long rows = n / width;
        launcher.operation("channel_mlp_bwd")
                .operand(h)
                .operand("kept", kept, t, rows, 2L * inner)
                .operand("y", y, t, n)
                .operand("s", s, Dtype.F32, rows)
                .optional("rho", rho, Dtype.F32, rows)
                .operand("w_gate_up", gateUp, t, 2, inner, width)
                .operand("w_down", down, t, width, inner)
                .operand("d", d, t, n)
                .operand("dw_gate_up", dGateUp, Dtype.F32, gateUp.count())
                .operand("dw_down", dDown, Dtype.F32, down.count())
                .beginProducts(2, rows, 3L * inner, width);
        launcher.end(operations.channel_mlp_bwd(
                at(h),
                at(kept),
                at(y),
                at(s),
                at(rho),
                at(gateUp),
                at(down),
                at(d),
                at(dGateUp),
                at(dDown),
                rows,
                inner,
                width,
                t.code(),
                stream));
    }
}
