package trm.ops;

import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.Layout;
import trm.device.Tensor;

/**
 * Token mixing: out = rms_norm(h + attention(h)) over channels, all positions seeing all
 * (docs/specification.md#34-attention), forward and backward (docs/backward.md#attention).
 */
public final class SelfAttention {
    /** What backward needs: qkv [B, S, 3, A, d], the mixed values [B, S, A, d], log-sum-exp and the norm's scales. */
    public record Saved(Tensor qkv, Tensor mixed, Tensor lse, Tensor scale) {}

    /** cos and sin [S, d/2] float32, or both null for a model without rotary positions. */
    public record Rotary(Tensor cos, Tensor sin) {}

    private final Kernels kernels;
    private final BlockSizes sizes;
    private final Tensor qkvWeight;
    private final Tensor outWeight;
    private final Rotary rotary;
    private final Tensor branch;
    private final Tensor dMixed;
    private final Tensor dQkv;

    /** @param scratch shared by all blocks of a network */
    public SelfAttention(
            Kernels kernels, BlockSizes sizes, Tensor qkvWeight, Tensor outWeight, Rotary rotary, Scratch scratch) {
        this.kernels = kernels;
        this.sizes = sizes;
        this.qkvWeight = qkvWeight;
        this.outWeight = outWeight;
        this.rotary = rotary;
        this.branch = scratch.branch();
        long n = sizes.rows() * sizes.attentionWidth();
        this.dMixed = scratch.activation().view(0, n);
        this.dQkv = scratch.activation().view(n, 3 * n);
    }

    public static Saved save(Arena arena, BlockSizes s, String name) {
        int w = s.attentionWidth();
        return new Saved(
                arena.tensor(Layout.TAPE, name + ".qkv", s.dtype(), s.rows(), 3, w),
                arena.tensor(Layout.TAPE, name + ".mixed", s.dtype(), s.rows(), w),
                arena.tensor(Layout.TAPE, name + ".lse", Dtype.F32, s.lanes(), s.heads(), s.positions()),
                arena.tensor(Layout.TAPE, name + ".scale", Dtype.F32, s.rows()));
    }

    /** h, out [B, S, D]. */
    public void forward(Tensor h, Saved saved, Tensor out) {
        kernels.linear(h, qkvWeight, saved.qkv());
        kernels.attention(
                saved.qkv(),
                rotary.cos(),
                rotary.sin(),
                saved.mixed(),
                saved.lse(),
                sizes.lanes(),
                sizes.positions(),
                sizes.heads());
        FusedProducts.linearAddRmsNorm(
                kernels, saved.mixed(), outWeight, branch, h, null, out, null, saved.scale(), sizes.eps());
    }

    /** d [B, S, D]: in the gradient of out, out that of h. Adds to the weight gradients. */
    public void backward(Tensor h, Saved saved, Tensor out, Tensor d, Tensor dQkvWeight, Tensor dOutWeight) {
        kernels.addRmsNormBwd(d, out, saved.scale(), d);
        kernels.linearBwdW(d, saved.mixed(), dOutWeight);
        kernels.linearBwdX(d, outWeight, dMixed, false);
        kernels.attentionBwd(
                saved.qkv(),
                rotary.cos(),
                rotary.sin(),
                saved.mixed(),
                saved.lse(),
                dMixed,
                dQkv,
                sizes.lanes(),
                sizes.positions(),
                sizes.heads());
        kernels.linearBwdW(dQkv, h, dQkvWeight);
        kernels.linearBwdX(dQkv, qkvWeight, d, true);
    }
}
