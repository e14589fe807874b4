package trm.ops;

import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.MlpKernels;
import trm.device.ProductKernels;
import trm.device.Purpose;
import trm.device.Tensor;

/**
 * Token mixing: on the transposed state, out = rms_norm(h + swiglu(h)), where the MLP and the mean of the norm run
 * over positions (docs/specification.md#35-block), forward and backward (docs/backward.md#position-mlp). The state is
 * never transposed: a product over positions is W h_b, lane by lane. The backward pass recomputes gate and up where the
 * tape does not keep them, as in {@link ChannelMlp}. One operation of the backend for sizes that it fuses, else composed.
 */
public final class PositionMlp {
    /**
     * What backward needs.
     *
     * @param gateUp gate and up [B, 2, I, D], null where the device fuses
     * @param scale of the norm, [B, D] float32
     * @param rho the activation's factor, as scale, where the device fuses the normed SwiGLU; else null
     */
    public record Saved(Tensor gateUp, Tensor scale, Tensor rho) {}

    private final Kernels kernels;
    private final BlockSizes sizes;
    private final Tensor gateUpWeight;
    private final Tensor downWeight;
    private final Tensor activation;
    private final Tensor branch;
    private final Tensor work;
    private final Activation activate;
    private final boolean recompute;
    private final boolean fused;

    /**
     * @param gateUpWeight [2 I, S], of the compute type, as the next
     * @param downWeight [S, I]
     * @param scratch shared by all blocks of a network; where it holds gate and up, backward recomputes them
     */
    public PositionMlp(Kernels kernels, BlockSizes sizes, Tensor gateUpWeight, Tensor downWeight, Scratch scratch) {
        this.kernels = kernels;
        this.sizes = sizes;
        this.gateUpWeight = gateUpWeight;
        this.downWeight = downWeight;
        this.branch = scratch.branch();
        this.work = scratch.work();
        this.recompute = scratch.gateUp() != null;
        this.fused = scratch.fusions().positionMlp();
        this.activate = new Activation(kernels, sizes, sizes.lanes(), sizes.mixInner());
        this.activation = fused ? null : scratch.activation().view(0, sizes.lanes(), sizes.mixInner(), sizes.width());
    }

    /** Memory for what one application of f saves of this sublayer. */
    public static Saved save(Arena arena, BlockSizes s, Scratch scratch, String name) {
        Tensor gateUp = null;
        boolean fused = scratch.fusions().positionMlp();
        if (!fused) {
            gateUp = scratch.gateUp() != null
                    ? scratch.gateUp().view(0, s.lanes(), 2, s.mixInner(), s.width())
                    : arena.tensor(Purpose.TAPE, name + ".gate_up", s.dtype(), s.lanes(), 2, s.mixInner(), s.width());
        }
        return new Saved(
                gateUp,
                arena.tensor(Purpose.TAPE, name + ".scale", Dtype.F32, s.lanes(), s.width()),
                fused && s.normed()
                        ? arena.tensor(Purpose.TAPE, name + ".rho", Dtype.F32, s.lanes(), s.width())
                        : null);
    }

    /**
     * @param h in, [B, S, D] of the compute type
     * @param saved out
     * @param out out, as h; may alias it
     */
    public void forward(Tensor h, Saved saved, Tensor out) {
        if (fused) {
            MlpKernels mlps = kernels.mlps();
            mlps.positionMlp(h, gateUpWeight, downWeight, out, saved.scale(), saved.rho(), work, sizes.eps());
            return;
        }
        long lanes = sizes.lanes();
        project(h, saved.gateUp());
        activate.forward(saved.gateUp(), activation);
        kernels.products().mix(activation, downWeight, branch, lanes, sizes.width());
        kernels.norms().addRmsNormPositions(h, branch, out, saved.scale(), lanes, sizes.width(), sizes.eps());
    }

    /** Gate and up of h: forward and backward must compute them alike. */
    private void project(Tensor h, Tensor gateUp) {
        kernels.products().mix(h, gateUpWeight, gateUp, sizes.lanes(), sizes.width());
    }

    /**
     * @param h in, [B, S, D], and out in: what forward took and put out
     * @param saved in, used up
     * @param d in the gradient of out, out that of h; as h
     * @param dGateUpWeight added to, [2 I, S] float32
     * @param dDownWeight added to, [S, I] float32
     */
    public void backward(Tensor h, Saved saved, Tensor out, Tensor d, Tensor dGateUpWeight, Tensor dDownWeight) {
        if (fused) {
            MlpKernels mlps = kernels.mlps();
            mlps.positionMlpBwd(
                    h, out, saved.scale(), saved.rho(), gateUpWeight, downWeight, d, dGateUpWeight, dDownWeight, work);
            return;
        }
        long lanes = sizes.lanes();
        int width = sizes.width();
        Tensor gateUp = saved.gateUp();
        if (recompute) {
            project(h, gateUp);
        }
        ProductKernels products = kernels.products();
        kernels.norms().addRmsNormPositionsBwd(d, out, saved.scale(), d, lanes, width);
        products.mixBwdX(d, downWeight, activation, lanes, width, false); // its gradient, then the activation itself
        activate.backward(gateUp, activation, activation);
        products.mixBwdW(d, activation, dDownWeight, lanes, width);
        products.mixBwdW(gateUp, h, dGateUpWeight, lanes, width);
        products.mixBwdX(gateUp, gateUpWeight, d, lanes, width, true);
    }
}
