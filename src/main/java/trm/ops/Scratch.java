package trm.ops;

import trm.device.Arena;
import trm.device.Tensor;

/**
 * Memory that lives within one block's forward or backward, shared by all blocks of a network.
 *
 * @param activation the largest of: SwiGLU activations of either kind, gradients of the attention's inputs
 * @param branch [B, S, D], the branch before it joins the residual
 */
public record Scratch(Tensor activation, Tensor branch) {
    public static Scratch allocate(Arena arena, BlockSizes s, boolean mixer) {
        long channels = s.rows() * s.inner();
        long mixing = mixer ? s.lanes() * s.mixInner() * s.width() : 4 * s.rows() * s.attentionWidth();
        return new Scratch(
                arena.tensor("scratch", "activation", s.dtype(), Math.max(channels, mixing)),
                arena.tensor("scratch", "branch", s.dtype(), s.lanes(), s.positions(), s.width()));
    }
}
