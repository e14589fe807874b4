package trm.ops;

import trm.device.Arena;
import trm.device.Capabilities;
import trm.device.Dtype;
import trm.device.ProductKernels;
import trm.device.Purpose;
import trm.device.Tensor;

/**
 * Memory that lives within one block's forward or backward, shared by all blocks of a network.
 *
 * @param fusions what the device computes as one operation, which decides how much memory that is
 * @param activation the largest of: SwiGLU activations of either kind, gradients of the attention's inputs
 * @param branch [B, S, D], the branch before it joins the residual
 * @param work what a fused position MLP works in, null where there is none or it needs no memory
 * @param gateUp gate and up of either kind, where no tape keeps them; else null
 * @param tapesActivation whether the tape keeps the activations of channel MLPs for their backward pass
 * @param squares [B * S, I / TRM_SQUARES] float32, what the two fused products of a normed channel MLP hand on; else null
 */
public record Scratch(
        Fusions fusions,
        Tensor activation,
        Tensor branch,
        Tensor work,
        Tensor gateUp,
        boolean tapesActivation,
        Tensor squares) {
    /**
     * @param training whether a backward pass follows
     * @param tape what is kept for it
     */
    public static Scratch allocate(
            Capabilities device, Arena arena, BlockSizes s, boolean mixer, boolean training, MlpTape tape) {
        Fusions fusions = Fusions.of(device, s, training);
        boolean fused = mixer && fusions.positionMlp();
        long channels = s.rows() * s.inner();
        long positions = mixer && !fused ? s.lanes() * s.mixInner() * s.width() : 0;
        long attention = mixer ? 0 : 4 * s.rows() * s.attentionWidth();
        long swiglu = Math.max(channels, positions);
        long work = fused ? fusions.positionMlpWork() : 0;
        return new Scratch(
                fusions,
                arena.tensor(Purpose.SCRATCH, "activation", s.dtype(), Math.max(swiglu, attention)),
                arena.tensor(Purpose.SCRATCH, "branch", s.dtype(), s.lanes(), s.positions(), s.width()),
                work == 0 ? null : arena.tensor(Purpose.SCRATCH, "position_mlp.work", Dtype.U8, work),
                tape == MlpTape.NOTHING ? arena.tensor(Purpose.SCRATCH, "gate_up", s.dtype(), 2 * swiglu) : null,
                tape == MlpTape.ACTIVATION && !s.normed() && !fusions.channelMlp(),
                s.normed() && fusions.gateUp()
                        ? arena.tensor(Purpose.SCRATCH, "squares", Dtype.F32, channels / ProductKernels.SQUARES)
                        : null);
    }
}
