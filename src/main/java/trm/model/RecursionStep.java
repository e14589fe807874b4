package trm.model;

import java.util.ArrayList;
import java.util.List;
import trm.config.ArchConfig;
import trm.config.Recompute;
import trm.device.Arena;
import trm.device.Kernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.ops.BlockSizes;
import trm.ops.ChannelMlp;
import trm.ops.MlpTape;
import trm.ops.PositionMlp;
import trm.ops.RotaryTable;
import trm.ops.Scratch;
import trm.ops.SelfAttention;

/**
 * One application of a network f, forward and backward, composed from the primitives: its blocks in order, no final norm.
 * A block is two residual sublayers: a token mixer (attention, or an MLP over positions), then an MLP over channels. This
 * class knows all networks of a system; a slot belongs to one of them. A fused implementation replaces this class under the
 * same contract and is checked against it.
 *
 * <p>What an application tapes, besides its input u, is up to {@link Recompute}: everything; all but gate and up; the
 * input of each block; nothing more. Backward recomputes the rest by the operations that computed it first, on the same
 * operands, hence with the same bits: each block into one tape that all blocks of all applications share, and before that,
 * where only u is taped, the inputs of the blocks.
 */
public final class RecursionStep {
    /**
     * What one block tapes.
     *
     * @param attention the token mixer's own, null where that is an MLP
     * @param mlpT the token mixer's own, null where that is attention
     * @param mlp the channel MLP's own
     * @param mid state between the two residual sublayers, [B, S, D]
     * @param out state after both, [B, S, D]
     */
    private record BlockTape(
            SelfAttention.Saved attention, PositionMlp.Saved mlpT, ChannelMlp.Saved mlp, Tensor mid, Tensor out) {
        BlockTape withOut(Tensor other) {
            return new BlockTape(attention, mlpT, mlp, mid, other);
        }
    }

    /** What one application tapes. Its input u is written by whoever runs it. */
    public static final class Slot {
        private final Tensor u;
        private final int first; // of the network's blocks among those of all networks
        private final List<BlockTape> blocks;

        private Slot(Tensor u, int first, List<BlockTape> blocks) {
            this.u = u;
            this.first = first;
            this.blocks = blocks;
        }

        /** Input of f, [B, S, D]. */
        public Tensor u() {
            return u;
        }

        /** Where the last block's output lies when nobody else needs it elsewhere, [B, S, D]; slots may share it. */
        public Tensor out() {
            return blocks.get(blocks.size() - 1).out;
        }
    }

    private final ModelSizes sizes;
    private final List<SelfAttention> attentions = new ArrayList<>();
    private final List<PositionMlp> mlpTs = new ArrayList<>();
    private final List<ChannelMlp> mlps = new ArrayList<>();
    private final List<String> layers = new ArrayList<>(); // of all networks, one after the other, as the four around
    private final List<Tensor[]> gradients = new ArrayList<>();
    private final Scratch scratch;
    private final Recompute recompute;
    private final List<Tensor> inputs = new ArrayList<>(); // of the blocks but the first, of the application at hand
    private BlockTape shared; // of the block at hand, null until needed

    /**
     * @param gradients null for a model that is only evaluated
     * @param recompute what backward recomputes; without gradients a slot tapes nothing at all
     */
    public RecursionStep(
            Kernels kernels,
            ModelSizes sizes,
            Parameters.WeightSet weights,
            Parameters.WeightSet gradients,
            RotaryTable rotary,
            Scratch scratch,
            Recompute recompute) {
        this.sizes = sizes;
        this.scratch = scratch;
        this.recompute = recompute;
        BlockSizes block = sizes.block();
        for (ArchConfig.Network network : sizes.arch().networks()) {
            for (int i = 0; i < network.layers(); i++) {
                layers.add(network.name() + ".layers." + i + ".");
            }
        }
        for (String at : layers) {
            String[] mixer = sizes.arch().block().mlpT()
                    ? new String[] {at + "mlp_t.gate_up_proj.weight", at + "mlp_t.down_proj.weight"}
                    : new String[] {at + "self_attn.qkv_proj.weight", at + "self_attn.o_proj.weight"};
            String gateUp = at + "mlp.gate_up_proj.weight";
            String down = at + "mlp.down_proj.weight";
            if (sizes.arch().block().mlpT()) {
                mlpTs.add(new PositionMlp(kernels, block, weights.get(mixer[0]), weights.get(mixer[1]), scratch));
            } else {
                attentions.add(new SelfAttention(
                        kernels, block, weights.get(mixer[0]), weights.get(mixer[1]), rotary, scratch));
            }
            mlps.add(new ChannelMlp(kernels, block, weights.get(gateUp), weights.get(down), scratch));
            if (gradients != null) {
                this.gradients.add(new Tensor[] {
                    gradients.get(mixer[0]), gradients.get(mixer[1]), gradients.get(gateUp), gradients.get(down)
                });
            }
        }
    }

    /**
     * Memory for what one application tapes.
     *
     * @param network an index of {@link ArchConfig#networks()}
     */
    public Slot slot(Arena arena, String name, int network) {
        List<ArchConfig.Network> networks = sizes.arch().networks();
        int first = 0;
        for (int i = 0; i < network; i++) {
            first += networks.get(i).layers();
        }
        int count = networks.get(network).layers();
        List<BlockTape> blocks = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            blocks.add(tape(arena, name + "." + layers.get(first + i), i, i == count - 1));
        }
        return new Slot(state(arena, name + ".u"), first, blocks);
    }

    private BlockTape tape(Arena arena, String at, int layer, boolean last) {
        boolean training = !gradients.isEmpty();
        if (training && !recomputesBlocks()) {
            return allocate(arena, at);
        }
        if (shared == null) {
            shared = allocate(arena, "block.");
        }
        if (!training || last) {
            return shared;
        }
        if (recompute == Recompute.LAYERS) {
            return shared.withOut(state(arena, at + "out"));
        }
        if (inputs.size() == layer) {
            inputs.add(state(arena, "block" + layer + ".out"));
        }
        return shared.withOut(inputs.get(layer));
    }

    private BlockTape allocate(Arena arena, String at) {
        BlockSizes b = sizes.block();
        boolean mlpT = sizes.arch().block().mlpT();
        return new BlockTape(
                mlpT ? null : SelfAttention.save(arena, b, at + "self_attn"),
                mlpT ? PositionMlp.save(arena, b, scratch, at + "mlp_t") : null,
                ChannelMlp.save(arena, b, scratch, at + "mlp"),
                state(arena, at + "mid"),
                state(arena, at + "out"));
    }

    /** What the tape keeps of an MLP in the differentiated cycle; a block that is recomputed as a whole has it for a short while. */
    static MlpTape mlpTape(Recompute recompute) {
        return switch (recompute) {
            case NONE -> MlpTape.ACTIVATION;
            case GATE_UP -> MlpTape.NOTHING;
            default -> MlpTape.GATE_UP;
        };
    }

    /** Whether backward recomputes each block. */
    private boolean recomputesBlocks() {
        return recompute == Recompute.LAYERS || recompute == Recompute.APPLICATIONS;
    }

    private Tensor state(Arena arena, String name) {
        return arena.tensor(Purpose.TAPE, name, sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width());
    }

    /** Whether {@link Slot#out} is a slot's own and stays as it is until backward, which needs the output. */
    public boolean tapesOutputs() {
        return !gradients.isEmpty() && !recomputesBlocks();
    }

    /**
     * out = f(u), and next = out + inject unless inject is null: the sum that the following application starts from. All
     * are [B, S, D].
     *
     * @param next may be the slot's own u when no backward pass follows
     * @param taped whether a backward pass follows
     */
    public void forward(Slot slot, Tensor inject, Tensor out, Tensor next, boolean taped) {
        int last = slot.blocks.size() - 1;
        boolean keep = taped && !recomputesBlocks();
        for (int i = 0; i < last; i++) {
            block(slot, i, null, slot.blocks.get(i).out, null, keep);
        }
        block(slot, last, inject, out, inject != null ? next : null, keep);
    }

    /** Block i of an application from its input: its tape, and u = out + c unless c is null. */
    private void block(Slot slot, int i, Tensor c, Tensor out, Tensor u, boolean keep) {
        BlockTape t = slot.blocks.get(i);
        int layer = slot.first + i;
        if (t.mlpT != null) {
            mlpTs.get(layer).forward(input(slot, i), t.mlpT, t.mid);
        } else {
            attentions.get(layer).forward(input(slot, i), t.attention, t.mid);
        }
        mlps.get(layer).forward(t.mid, t.mlp, c, out, u, keep);
    }

    private static Tensor input(Slot slot, int i) {
        return i == 0 ? slot.u : slot.blocks.get(i - 1).out;
    }

    /**
     * Adds to the weight gradients; uses up the slot.
     *
     * @param out in: what forward put out, [B, S, D]; without effect unless the step {@link #tapesOutputs()}
     * @param d in: the gradient of {@code out}, out: that of u, [B, S, D]
     */
    public void backward(Slot slot, Tensor out, Tensor d) {
        int last = slot.blocks.size() - 1;
        if (recompute == Recompute.APPLICATIONS) {
            for (int i = 0; i < last; i++) {
                block(slot, i, null, slot.blocks.get(i).out, null, false);
            }
        }
        for (int i = last; i >= 0; i--) {
            BlockTape t = slot.blocks.get(i);
            if (recomputesBlocks()) {
                block(slot, i, null, t.out, null, true);
            }
            int layer = slot.first + i;
            Tensor[] g = gradients.get(layer);
            Tensor in = input(slot, i);
            mlps.get(layer).backward(t.mid, t.mlp, i == last && !recomputesBlocks() ? out : t.out, d, g[2], g[3]);
            if (t.mlpT != null) {
                mlpTs.get(layer).backward(in, t.mlpT, t.mid, d, g[0], g[1]);
            } else {
                attentions.get(layer).backward(in, t.attention, t.mid, d, g[0], g[1]);
            }
        }
    }
}
