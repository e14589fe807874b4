package trm.ops;

import trm.device.Arena;
import trm.device.Kernels;
import trm.device.Layout;
import trm.device.Tensor;

/**
 * Memory that lives within one block's forward or backward, shared by all blocks of a network.
 *
 * @param activation the largest of: SwiGLU activations of either kind, gradients of the attention's inputs
 * @param branch [B, S, D], the branch before it joins the residual
 * @param gateUp gate and up of either kind, where no tape keeps them; else null
 */
public record Scratch(Tensor activation, Tensor branch, Tensor gateUp) {
    /** @param gateUp whether gate and up live here */
    public static Scratch allocate(Kernels kernels, Arena arena, BlockSizes s, boolean mixer, boolean gateUp) {
        long channels = s.rows() * s.inner();
        long mixing = mixer ? s.lanes() * s.mixInner() * s.width() : 4 * s.rows() * s.attentionWidth();
        long positions = mixer && !PositionMlp.fuses(kernels, s) ? mixing : 0;
        return new Scratch(
                arena.tensor(Layout.SCRATCH, "activation", s.dtype(), Math.max(channels, mixing)),
                arena.tensor(Layout.SCRATCH, "branch", s.dtype(), s.lanes(), s.positions(), s.width()),
                gateUp ? arena.tensor(Layout.SCRATCH, "gate_up", s.dtype(), 2 * Math.max(channels, positions)) : null);
    }
}
