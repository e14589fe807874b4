package trm.ops;

import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.Layout;
import trm.device.Tensor;

/**
 * out = rms_norm(h + (silu(h G^T) * (h U^T)) W^T) over channels: the second residual sublayer of a block
 * (docs/specification.md#35-block), forward and backward (docs/backward.md#channel-mlp). The backward pass recomputes the
 * activation from gate and up, and these, where the tape does not keep them, from h by the operation that formed them
 * first, hence with the same bits. One operation of the backend for sizes that it fuses, else composed.
 */
public final class ChannelMlp {
    /** What backward needs: gate and up [B, S, 2, I] and the norm's scales [B * S]. */
    public record Saved(Tensor gateUp, Tensor scale) {}

    private final Kernels kernels;
    private final BlockSizes sizes;
    private final Tensor gateUpWeight;
    private final Tensor downWeight;
    private final Tensor activation;
    private final Tensor branch;
    private final boolean recompute;
    private final boolean fused;

    /** @param scratch shared by all blocks of a network; where it holds gate and up, backward forms them again */
    public ChannelMlp(Kernels kernels, BlockSizes sizes, Tensor gateUpWeight, Tensor downWeight, Scratch scratch) {
        this.kernels = kernels;
        this.sizes = sizes;
        this.gateUpWeight = gateUpWeight;
        this.downWeight = downWeight;
        this.activation = scratch.activation().view(0, sizes.rows(), sizes.inner());
        this.branch = scratch.branch();
        this.recompute = scratch.gateUp() != null;
        this.fused = kernels.fusesChannelMlp(sizes.inner(), sizes.width(), sizes.dtype());
    }

    public static Saved save(Arena arena, BlockSizes s, Scratch scratch, String name) {
        return new Saved(
                scratch.gateUp() != null
                        ? scratch.gateUp().view(0, s.rows(), 2, s.inner())
                        : arena.tensor(Layout.TAPE, name + ".gate_up", s.dtype(), s.rows(), 2, s.inner()),
                arena.tensor(Layout.TAPE, name + ".scale", Dtype.F32, s.rows()));
    }

    /**
     * h, out [B, S, D]; u = out + c unless c is null (out and u may alias h).
     *
     * @param record whether a backward pass follows
     */
    public void forward(Tensor h, Saved saved, Tensor c, Tensor out, Tensor u, boolean record) {
        if (fused) {
            Tensor kept = record && !recompute ? saved.gateUp() : null;
            kernels.channelMlp(h, gateUpWeight, downWeight, c, kept, out, u, saved.scale(), sizes.eps());
            return;
        }
        boolean keep = record && !recompute;
        FusedProducts.linearSwiglu(kernels, h, gateUpWeight, saved.gateUp(), activation, sizes.rows(), keep);
        FusedProducts.linearAddRmsNorm(
                kernels, activation, downWeight, branch, h, c, out, u, saved.scale(), sizes.eps());
    }

    /** d [B, S, D]: in the gradient of out, out that of h. Uses up {@code saved}; adds to the weight gradients. */
    public void backward(Tensor h, Saved saved, Tensor out, Tensor d, Tensor dGateUpWeight, Tensor dDownWeight) {
        Tensor gateUp = saved.gateUp();
        if (fused) {
            if (recompute) { // the fused operation forms them as it goes; its result is dropped, its scale is the same
                kernels.channelMlp(h, gateUpWeight, downWeight, null, gateUp, branch, null, saved.scale(), sizes.eps());
            }
            kernels.channelMlpBwd(
                    h, gateUp, out, saved.scale(), gateUpWeight, downWeight, d, dGateUpWeight, dDownWeight);
            return;
        }
        if (recompute) {
            FusedProducts.gateUp(kernels, h, gateUpWeight, gateUp, activation, sizes.rows());
        }
        kernels.addRmsNormBwd(d, out, saved.scale(), d);
        FusedProducts.linearSwigluBwd(kernels, d, downWeight, gateUp, activation, sizes.rows());
        kernels.linearBwdW(d, activation, dDownWeight);
        kernels.linearBwdW(gateUp, h, dGateUpWeight);
        kernels.linearBwdX(gateUp, gateUpWeight, d, true);
    }
}
