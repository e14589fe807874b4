package trm.ops;

import trm.device.Arena;
import trm.device.AttentionKernels;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.ProductKernels;
import trm.device.Purpose;
import trm.device.Tensor;

/**
 * Token mixing: out = rms_norm(h + attention(h)) over channels, all positions seeing all
 * (docs/specification.md#34-attention), forward and backward (docs/backward.md#attention).
 */
public final class SelfAttention {
    /** What backward needs: qkv [B, S, 3, A, d], the mixed values [B, S, A, d], log-sum-exp and the norm's scales. */
    public record Saved(Tensor qkv, Tensor mixed, Tensor lse, Tensor scale) {}

    private final Kernels kernels;
    private final BlockSizes sizes;
    private final Tensor qkvWeight;
    private final Tensor outWeight;
    private final RotaryTable rotary;
    private final LinearAddRmsNorm projection;
    private final Tensor dMixed;
    private final Tensor dQkv;

    /**
     * @param qkvWeight [3 A d, D], of the compute type, as the next
     * @param outWeight [D, A d]
     * @param scratch shared by all blocks of a network
     */
    public SelfAttention(
            Kernels kernels,
            BlockSizes sizes,
            Tensor qkvWeight,
            Tensor outWeight,
            RotaryTable rotary,
            Scratch scratch) {
        this.kernels = kernels;
        this.sizes = sizes;
        this.qkvWeight = qkvWeight;
        this.outWeight = outWeight;
        this.rotary = rotary;
        this.projection = new LinearAddRmsNorm(
                kernels, scratch.fusions().attentionOut(), outWeight, scratch.branch(), sizes.eps());
        long n = sizes.rows() * sizes.attentionWidth();
        this.dMixed = scratch.activation().view(0, n);
        this.dQkv = scratch.activation().view(n, 3 * n);
    }

    /** Memory for what one application of f saves of this sublayer. */
    public static Saved save(Arena arena, BlockSizes s, String name) {
        int w = s.attentionWidth();
        return new Saved(
                arena.tensor(Purpose.TAPE, name + ".qkv", s.dtype(), s.rows(), 3, w),
                arena.tensor(Purpose.TAPE, name + ".mixed", s.dtype(), s.rows(), w),
                arena.tensor(Purpose.TAPE, name + ".lse", Dtype.F32, s.lanes(), s.heads(), s.positions()),
                arena.tensor(Purpose.TAPE, name + ".scale", Dtype.F32, s.rows()));
    }

    /**
     * @param h in, [B, S, D] of the compute type
     * @param saved out
     * @param out out, as h; may alias it
     */
    public void forward(Tensor h, Saved saved, Tensor out) {
        kernels.products().linear(h, qkvWeight, saved.qkv());
        AttentionKernels attention = kernels.attention();
        attention.attention(
                saved.qkv(),
                rotary.cos(),
                rotary.sin(),
                saved.mixed(),
                saved.lse(),
                sizes.lanes(),
                sizes.positions(),
                sizes.heads());
        projection.forward(saved.mixed(), null, h, null, out, null, saved.scale());
    }

    /**
     * @param h in, [B, S, D], saved in, and out in: what forward took and put out
     * @param d in the gradient of out, out that of h; as h
     * @param dQkvWeight added to, [3 A d, D] float32
     * @param dOutWeight added to, [D, A d] float32
     */
    public void backward(Tensor h, Saved saved, Tensor out, Tensor d, Tensor dQkvWeight, Tensor dOutWeight) {
        ProductKernels products = kernels.products();
        kernels.norms().addRmsNormBwd(d, out, saved.scale(), d);
        products.linearBwdW(d, saved.mixed(), dOutWeight);
        products.linearBwdX(d, outWeight, dMixed, false);
        AttentionKernels attention = kernels.attention();
        attention.attentionBwd(
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
        products.linearBwdW(dQkv, h, dQkvWeight);
        products.linearBwdX(dQkv, qkvWeight, d, true);
    }
}
