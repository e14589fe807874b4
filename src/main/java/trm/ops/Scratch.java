package trm.ops;

import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.Tensor;

/**
 * Memory that lives within one block's forward or backward, shared by all blocks of a network.
 *
 * @param activation the largest of: SwiGLU activations of either kind, gradients of the attention's inputs
 * @param branch [B, S, D], the branch before it joins the residual
 * @param work what a fused position MLP works in, null where there is none or it needs no memory
 */
public record Scratch(Tensor activation, Tensor branch, Tensor work) {
    /** @param training whether a backward pass follows */
    public static Scratch allocate(Kernels kernels, Arena arena, BlockSizes s, boolean mixer, boolean training) {
        boolean fused = mixer && PositionMlp.fuses(kernels, s);
        long channels = s.rows() * s.inner();
        long mixing = fused ? 0 : mixer ? s.lanes() * s.mixInner() * s.width() : 4 * s.rows() * s.attentionWidth();
        long work = fused
                ? kernels.positionMlpWork(s.lanes(), s.positions(), s.mixInner(), s.width(), s.dtype(), training)
                : 0;
        return new Scratch(
                arena.tensor("scratch", "activation", s.dtype(), Math.max(channels, mixing)),
                arena.tensor("scratch", "branch", s.dtype(), s.lanes(), s.positions(), s.width()),
                work == 0 ? null : arena.tensor("scratch", "position_mlp.work", Dtype.U8, work));
    }
}
