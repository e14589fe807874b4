package trm.ops;

import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.MlpKernels;
import trm.device.ProductKernels;
import trm.device.Purpose;
import trm.device.Tensor;

/**
 * out = rms_norm(h + a(h G^T, h U^T) W^T) over channels, with the {@link Activation} a: the second residual sublayer of a block
 * (docs/specification.md#35-block), forward and backward (docs/backward.md#channel-mlp). The backward pass recomputes the
 * activation, where the tape does not keep it, from gate and up, and these, where the tape does not keep them, from h by the operation that formed them
 * first, hence with the same bits. One operation of the backend for sizes that it fuses, else composed.
 */
public final class ChannelMlp {
    /**
     * What backward needs.
     *
     * @param gateUp gate and up [B, S, 2, I]
     * @param activation [B, S, I], null where backward recomputes it
     * @param scale of the norm, [B * S] float32
     * @param rho the activation's factor, as scale, where the device fuses the normed SwiGLU; else null
     */
    public record Saved(Tensor gateUp, Tensor activation, Tensor scale, Tensor rho) {}

    private final Kernels kernels;
    private final BlockSizes sizes;
    private final Tensor gateUpWeight;
    private final Tensor downWeight;
    private final Tensor activation;
    private final Tensor branch;
    private final Tensor squares;
    private final Activation activate;
    private final LinearAddRmsNorm down;
    private final boolean recompute;
    private final boolean fused;
    private final boolean fusesGateUp;

    /**
     * @param gateUpWeight [2 I, D], of the compute type, as the next
     * @param downWeight [D, I]
     * @param scratch shared by all blocks of a network; where it holds gate and up, backward recomputes them
     */
    public ChannelMlp(Kernels kernels, BlockSizes sizes, Tensor gateUpWeight, Tensor downWeight, Scratch scratch) {
        this.kernels = kernels;
        this.sizes = sizes;
        this.gateUpWeight = gateUpWeight;
        this.downWeight = downWeight;
        this.activation = scratch.activation().view(0, sizes.rows(), sizes.inner());
        this.branch = scratch.branch();
        this.squares = scratch.squares();
        this.recompute = scratch.gateUp() != null;
        this.fused = scratch.fusions().channelMlp();
        this.fusesGateUp = scratch.fusions().gateUp();
        this.activate = new Activation(kernels, sizes, sizes.rows(), sizes.inner());
        this.down = new LinearAddRmsNorm(kernels, scratch.fusions().down(), downWeight, branch, sizes.eps());
    }

    /** Memory for what one application of f saves of this sublayer. */
    public static Saved save(Arena arena, BlockSizes s, Scratch scratch, String name) {
        return new Saved(
                scratch.gateUp() != null
                        ? scratch.gateUp().view(0, s.rows(), 2, s.inner())
                        : arena.tensor(Purpose.TAPE, name + ".gate_up", s.dtype(), s.rows(), 2, s.inner()),
                scratch.tapesActivation()
                        ? arena.tensor(Purpose.TAPE, name + ".activation", s.dtype(), s.rows(), s.inner())
                        : null,
                arena.tensor(Purpose.TAPE, name + ".scale", Dtype.F32, s.rows()),
                scratch.fusions().channelMlp() && s.normed()
                        ? arena.tensor(Purpose.TAPE, name + ".rho", Dtype.F32, s.rows())
                        : null);
    }

    /**
     * @param h in, [B, S, D] of the compute type
     * @param saved out
     * @param c in, as h, or null
     * @param out out, as h; may alias it
     * @param u out, as h: out + c unless c is null; may alias h
     * @param taped whether a backward pass follows
     */
    public void forward(Tensor h, Saved saved, Tensor c, Tensor out, Tensor u, boolean taped) {
        Tensor kept = taped && !recompute ? saved.gateUp() : null;
        if (fused) {
            channelMlp(h, c, kept, out, u, saved);
            return;
        }
        Tensor p = taped && saved.activation() != null ? saved.activation() : activation;
        if (fusesGateUp) {
            kernels.products().linearSwiglu(h, gateUpWeight, kept, p, squares);
        } else {
            kernels.products().linear(h, gateUpWeight, saved.gateUp());
            activate.forward(saved.gateUp(), p);
        }
        down.forward(p, squares, h, c, out, u, saved.scale());
    }

    /** All of forward in one operation, where the device fuses it. */
    private void channelMlp(Tensor h, Tensor c, Tensor kept, Tensor out, Tensor u, Saved saved) {
        MlpKernels mlps = kernels.mlps();
        mlps.channelMlp(h, gateUpWeight, downWeight, c, kept, out, u, saved.scale(), saved.rho(), sizes.eps());
    }

    /** Gate and up of h again, by the operation that computed them first. */
    private void recomputeGateUp(Tensor h, Saved saved) {
        if (fused) { // it computes them on the way; its result is dropped, its scale and rho are the same
            channelMlp(h, null, saved.gateUp(), branch, null, saved);
        } else if (fusesGateUp) {
            kernels.products().linearSwiglu(h, gateUpWeight, saved.gateUp(), activation, squares);
        } else {
            kernels.products().linear(h, gateUpWeight, saved.gateUp());
        }
    }

    /**
     * @param h in, [B, S, D], and out in: what forward took and put out
     * @param saved in, used up
     * @param d in the gradient of out, out that of h; as h
     * @param dGateUpWeight added to, [2 I, D] float32
     * @param dDownWeight added to, [D, I] float32
     */
    public void backward(Tensor h, Saved saved, Tensor out, Tensor d, Tensor dGateUpWeight, Tensor dDownWeight) {
        Tensor gateUp = saved.gateUp();
        if (recompute) {
            recomputeGateUp(h, saved);
        }
        if (fused) {
            MlpKernels mlps = kernels.mlps();
            mlps.channelMlpBwd(
                    h,
                    gateUp,
                    out,
                    saved.scale(),
                    saved.rho(),
                    gateUpWeight,
                    downWeight,
                    d,
                    dGateUpWeight,
                    dDownWeight);
            return;
        }
        ProductKernels products = kernels.products();
        kernels.norms().addRmsNormBwd(d, out, saved.scale(), d);
        products.linearBwdX(
                d, downWeight, activation, false); // its gradient, then the activation itself, unless it was kept
        Tensor kept = saved.activation();
        activate.backward(gateUp, activation, kept == null ? activation : null);
        products.linearBwdW(d, kept == null ? activation : kept, dDownWeight);
        products.linearBwdW(gateUp, h, dGateUpWeight);
        products.linearBwdX(gateUp, gateUpWeight, d, true);
    }
}
