package trm.ops;

import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.Layout;
import trm.device.Tensor;

/**
 * Token mixing: on the transposed state, out = rms_norm(h + swiglu(h)), where the SwiGLU and the mean of the norm run
 * over positions (docs/specification.md#35-block), forward and backward (docs/backward.md#position-mlp). The state is
 * never transposed: a product over positions is W h_b, lane by lane. The backward pass recomputes gate and up where the
 * tape does not keep them, as in {@link ChannelMlp}. One operation of the backend for sizes that it fuses, else composed.
 */
public final class PositionMlp {
    /** What backward needs: gate and up [B, 2, I, D], null where the backend fuses, and the norm's scales [B, D]. */
    public record Saved(Tensor gateUp, Tensor scale) {}

    private final Kernels kernels;
    private final BlockSizes sizes;
    private final Tensor gateUpWeight;
    private final Tensor downWeight;
    private final Tensor activation;
    private final Tensor branch;
    private final Tensor work;
    private final boolean recompute;
    private final boolean fused;

    /** @param scratch shared by all blocks of a network; where it holds gate and up, backward forms them again */
    public PositionMlp(Kernels kernels, BlockSizes sizes, Tensor gateUpWeight, Tensor downWeight, Scratch scratch) {
        this.kernels = kernels;
        this.sizes = sizes;
        this.gateUpWeight = gateUpWeight;
        this.downWeight = downWeight;
        this.branch = scratch.branch();
        this.work = scratch.work();
        this.recompute = scratch.gateUp() != null;
        this.fused = fuses(kernels, sizes);
        this.activation = fused ? null : scratch.activation().view(0, sizes.lanes(), sizes.mixInner(), sizes.width());
    }

    static boolean fuses(Kernels kernels, BlockSizes s) {
        return kernels.fusesPositionMlp(s.positions(), s.mixInner(), s.width(), s.dtype());
    }

    public static Saved save(Kernels kernels, Arena arena, BlockSizes s, Scratch scratch, String name) {
        Tensor gateUp = null;
        if (!fuses(kernels, s)) {
            gateUp = scratch.gateUp() != null
                    ? scratch.gateUp().view(0, s.lanes(), 2, s.mixInner(), s.width())
                    : arena.tensor(Layout.TAPE, name + ".gate_up", s.dtype(), s.lanes(), 2, s.mixInner(), s.width());
        }
        return new Saved(gateUp, arena.tensor(Layout.TAPE, name + ".scale", Dtype.F32, s.lanes(), s.width()));
    }

    /** h, out [B, S, D]. */
    public void forward(Tensor h, Saved saved, Tensor out) {
        if (fused) {
            kernels.positionMlp(h, gateUpWeight, downWeight, out, saved.scale(), work, sizes.eps());
            return;
        }
        long lanes = sizes.lanes();
        project(h, saved.gateUp());
        kernels.swiglu(saved.gateUp(), activation, lanes);
        kernels.mix(activation, downWeight, branch, lanes, sizes.width());
        kernels.addRmsNormPositions(h, branch, out, saved.scale(), lanes, sizes.width(), sizes.eps());
    }

    /** Gate and up of h: forward and backward must form them alike. */
    private void project(Tensor h, Tensor gateUp) {
        kernels.mix(h, gateUpWeight, gateUp, sizes.lanes(), sizes.width());
    }

    /** d [B, S, D]: in the gradient of out, out that of h. Uses up {@code saved}; adds to the weight gradients. */
    public void backward(Tensor h, Saved saved, Tensor out, Tensor d, Tensor dGateUpWeight, Tensor dDownWeight) {
        if (fused) {
            kernels.positionMlpBwd(
                    h, out, saved.scale(), gateUpWeight, downWeight, d, dGateUpWeight, dDownWeight, work);
            return;
        }
        long lanes = sizes.lanes();
        int width = sizes.width();
        Tensor gateUp = saved.gateUp();
        if (recompute) {
            project(h, gateUp);
        }
        kernels.addRmsNormPositionsBwd(d, out, saved.scale(), d, lanes, width);
        kernels.mixBwdX(d, downWeight, activation, lanes, width, false); // its gradient, then the activation itself
        kernels.swigluBwd(gateUp, activation, gateUp, activation, lanes);
        kernels.mixBwdW(d, activation, dDownWeight, lanes, width);
        kernels.mixBwdW(gateUp, h, dGateUpWeight, lanes, width);
        kernels.mixBwdX(gateUp, gateUpWeight, d, lanes, width, true);
    }
}
