package trm.ops;

import trm.device.Capabilities;
import trm.device.Fusion;

/**
 * What a device computes as one operation, for the sizes of one block and its activation. Asked once, when a network is made.
 *
 * @param positionMlp the token mixer
 * @param channelMlp the MLP over channels
 * @param gateUp within the MLP over channels: the product to gate and up, with SwiGLU; of the normed SwiGLU only with down
 * @param down within the MLP over channels: the product that ends it, with residual sum and norm
 * @param attentionOut the product that ends attention, with residual sum and norm
 * @param positionMlpWork bytes of scratch that the token mixer needs, its backward pass included; 0 where it is not fused
 */
public record Fusions(
        boolean positionMlp,
        boolean channelMlp,
        boolean gateUp,
        boolean down,
        boolean attentionOut,
        long positionMlpWork) {
    /** @param training whether a backward pass follows */
    public static Fusions of(Capabilities device, BlockSizes s, boolean training) {
        boolean mixer =
                device.fuses(new Fusion.PositionMlp(s.positions(), s.mixInner(), s.width(), s.normed(), s.dtype()));
        Fusion.LinearAddRmsNorm down = new Fusion.LinearAddRmsNorm(s.width(), s.inner(), s.normed(), s.dtype());
        Fusion.LinearAddRmsNorm plain = new Fusion.LinearAddRmsNorm(s.width(), s.inner(), false, s.dtype());
        boolean gateUp = device.fuses(new Fusion.LinearSwiglu(s.inner(), s.width(), s.normed(), s.dtype()))
                && (!s.normed() || device.fuses(down));
        return new Fusions(
                mixer,
                device.fuses(new Fusion.ChannelMlp(s.inner(), s.width(), s.normed(), s.dtype())),
                gateUp,
                device.fuses(gateUp ? down : plain),
                device.fuses(new Fusion.LinearAddRmsNorm(s.width(), s.attentionWidth(), false, s.dtype())),
                mixer
                        ? device.positionMlpWork(s.lanes(), s.positions(), s.mixInner(), s.width(), s.dtype(), training)
                        : 0);
    }
}
