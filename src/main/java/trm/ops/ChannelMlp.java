package trm.ops;

import trm.device.Arena;
import trm.device.Kernels;
import trm.device.Tensor;

/**
 * out = rms_norm(h + (silu(h G^T) * (h U^T)) W^T) over channels: the second half of a block (reference section 3).
 * Forward and backward; the activation is recomputed from the saved gate and up. One operation
 * of the backend for sizes that it fuses, else composed.
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
    private final boolean fused;

    /** @param scratch shared by all blocks of a network */
    public ChannelMlp(Kernels kernels, BlockSizes sizes, Tensor gateUpWeight, Tensor downWeight, Scratch scratch) {
        this.kernels = kernels;
        this.sizes = sizes;
        this.gateUpWeight = gateUpWeight;
        this.downWeight = downWeight;
        this.activation = scratch.activation().view(0, sizes.rows(), sizes.inner());
        this.branch = scratch.branch();
        this.fused = kernels.fusesChannelMlp(sizes.inner(), sizes.width(), sizes.dtype());
    }

    public static Saved save(Arena arena, BlockSizes s, String name) {
        return new Saved(
                arena.tensor("tape", name + ".gate_up", s.dtype(), s.rows(), 2, s.inner()),
                arena.tensor("tape", name + ".scale", trm.device.Dtype.F32, s.rows()));
    }

    /**
     * h, out [B, S, D]; u = out + c unless c is null (out and u may alias h).
     *
     * @param record whether a backward pass follows
     */
    public void forward(Tensor h, Saved saved, Tensor c, Tensor out, Tensor u, boolean record) {
        if (fused) {
            Tensor kept = record ? saved.gateUp() : null;
            kernels.channelMlp(h, gateUpWeight, downWeight, c, kept, out, u, saved.scale(), sizes.eps());
            return;
        }
        FusedProducts.linearSwiglu(kernels, h, gateUpWeight, saved.gateUp(), activation, sizes.rows(), record);
        FusedProducts.linearAddRmsNorm(
                kernels, activation, downWeight, branch, h, c, out, u, saved.scale(), sizes.eps());
    }

    /** d [B, S, D]: in the gradient of out, out that of h. Uses up {@code saved}; adds to the weight gradients. */
    public void backward(Tensor h, Saved saved, Tensor out, Tensor d, Tensor dGateUpWeight, Tensor dDownWeight) {
        Tensor gateUp = saved.gateUp();
        if (fused) {
            kernels.channelMlpBwd(
                    h, gateUp, out, saved.scale(), gateUpWeight, downWeight, d, dGateUpWeight, dDownWeight);
            return;
        }
        kernels.addRmsNormBwd(d, out, saved.scale(), d);
        FusedProducts.linearSwigluBwd(kernels, d, downWeight, gateUp, activation, sizes.rows());
        kernels.linearBwdW(d, activation, dDownWeight);
        kernels.linearBwdW(gateUp, h, dGateUpWeight);
        kernels.linearBwdX(gateUp, gateUpWeight, d, true);
    }
}
