package trm.ops;

import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.Layout;
import trm.device.Tensor;

/**
 * Memory that lives within one block's forward or backward, shared by all blocks of a network.
 *
 * @param activation the largest of: SwiGLU activations of either kind, gradients of the attention's inputs
 * @param branch [B, S, D], the branch before it joins the residual
 * @param work what a fused position MLP works in, null where there is none or it needs no memory
 * @param gateUp gate and up of either kind, where no tape keeps them; else null
 */
public record Scratch(Tensor activation, Tensor branch, Tensor work, Tensor gateUp) {
    /**
     * @param training whether a backward pass follows
     * @param gateUp whether gate and up live here
     */
    public static Scratch allocate(
            Kernels kernels, Arena arena, BlockSizes s, boolean mixer, boolean training, boolean gateUp) {
        boolean fused = mixer && PositionMlp.fuses(kernels, s);
        long channels = s.rows() * s.inner();
        long positions = mixer && !fused ? s.lanes() * s.mixInner() * s.width() : 0;
        long attention = mixer ? 0 : 4 * s.rows() * s.attentionWidth();
        long swiglu = Math.max(channels, positions);
        long work = fused
                ? kernels.positionMlpWork(s.lanes(), s.positions(), s.mixInner(), s.width(), s.dtype(), training)
                : 0;
        return new Scratch(
                arena.tensor(Layout.SCRATCH, "activation", s.dtype(), Math.max(swiglu, attention)),
                arena.tensor(Layout.SCRATCH, "branch", s.dtype(), s.lanes(), s.positions(), s.width()),
                work == 0 ? null : arena.tensor(Layout.SCRATCH, "position_mlp.work", Dtype.U8, work),
                gateUp ? arena.tensor(Layout.SCRATCH, "gate_up", s.dtype(), 2 * swiglu) : null);
    }
}
