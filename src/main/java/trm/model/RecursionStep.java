package trm.model;

import java.util.ArrayList;
import java.util.List;
import trm.device.Arena;
import trm.device.Kernels;
import trm.device.Tensor;
import trm.ops.BlockSizes;
import trm.ops.ChannelMlp;
import trm.ops.PositionMlp;
import trm.ops.Scratch;
import trm.ops.SelfAttention;

/**
 * One application of the network f, forward and backward, composed from the primitives: the blocks in order, no final
 * norm. A fused implementation replaces this class under the same contract and is checked against it.
 */
public final class RecursionStep {
    /** What one block saves: the state after its mixing half, after its whole, and each half's own. */
    private record BlockTape(
            SelfAttention.Saved attention, PositionMlp.Saved mixer, ChannelMlp.Saved mlp, Tensor mid, Tensor out) {}

    /** What one evaluation saves. Its input u is written by whoever runs it. */
    public static final class Slot {
        private final Tensor u;
        private final List<BlockTape> blocks;

        private Slot(Tensor u, List<BlockTape> blocks) {
            this.u = u;
            this.blocks = blocks;
        }

        /** Input of f, [B, S, D]. */
        public Tensor u() {
            return u;
        }

        /** Where the last block's output may lie when nobody else needs it elsewhere, [B, S, D]. */
        public Tensor out() {
            return blocks.get(blocks.size() - 1).out;
        }
    }

    private final Kernels kernels;
    private final ModelSizes sizes;
    private final List<SelfAttention> attentions = new ArrayList<>();
    private final List<PositionMlp> mixers = new ArrayList<>();
    private final List<ChannelMlp> mlps = new ArrayList<>();
    private final List<String> layers = new ArrayList<>();
    private final List<Tensor[]> gradients = new ArrayList<>();

    /** @param gradients null for a model that is only evaluated */
    public RecursionStep(
            Kernels kernels,
            ModelSizes sizes,
            Parameters.WeightSet weights,
            Parameters.WeightSet gradients,
            SelfAttention.Rotary rotary,
            Scratch scratch) {
        this.kernels = kernels;
        this.sizes = sizes;
        BlockSizes block = sizes.block();
        for (int i = 0; i < sizes.arch().layers(); i++) {
            String at = "L_level.layers." + i + ".";
            layers.add(at);
            String[] mixing = sizes.arch().mlpT()
                    ? new String[] {at + "mlp_t.gate_up_proj.weight", at + "mlp_t.down_proj.weight"}
                    : new String[] {at + "self_attn.qkv_proj.weight", at + "self_attn.o_proj.weight"};
            String gateUp = at + "mlp.gate_up_proj.weight";
            String down = at + "mlp.down_proj.weight";
            if (sizes.arch().mlpT()) {
                mixers.add(new PositionMlp(kernels, block, weights.get(mixing[0]), weights.get(mixing[1]), scratch));
            } else {
                attentions.add(new SelfAttention(
                        kernels, block, weights.get(mixing[0]), weights.get(mixing[1]), rotary, scratch));
            }
            mlps.add(new ChannelMlp(kernels, block, weights.get(gateUp), weights.get(down), scratch));
            if (gradients != null) {
                this.gradients.add(new Tensor[] {
                    gradients.get(mixing[0]), gradients.get(mixing[1]), gradients.get(gateUp), gradients.get(down)
                });
            }
        }
    }

    /** Memory for what one evaluation saves. */
    public Slot slot(Arena arena, String name) {
        BlockSizes b = sizes.block();
        List<BlockTape> blocks = new ArrayList<>();
        for (String layer : layers) {
            String at = name + "." + layer;
            boolean mixer = sizes.arch().mlpT();
            blocks.add(new BlockTape(
                    mixer ? null : SelfAttention.save(arena, b, at + "self_attn"),
                    mixer ? PositionMlp.save(kernels, arena, b, at + "mlp_t") : null,
                    ChannelMlp.save(arena, b, at + "mlp"),
                    state(arena, at + "mid"),
                    state(arena, at + "out")));
        }
        return new Slot(state(arena, name + ".u"), blocks);
    }

    private Tensor state(Arena arena, String name) {
        return arena.tensor("tape", name, sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width());
    }

    /**
     * out = f(u), and next = out + inject unless inject is null: the sum that the following evaluation starts from.
     * {@code next} may be the slot's own u when no backward pass follows.
     *
     * @param record whether a backward pass follows
     */
    public void forward(Slot slot, Tensor inject, Tensor out, Tensor next, boolean record) {
        Tensor h = slot.u;
        int last = layers.size() - 1;
        for (int i = 0; i <= last; i++) {
            BlockTape t = slot.blocks.get(i);
            if (t.mixer != null) {
                mixers.get(i).forward(h, t.mixer, t.mid);
            } else {
                attentions.get(i).forward(h, t.attention, t.mid);
            }
            boolean end = i == last;
            mlps.get(i)
                    .forward(
                            t.mid,
                            t.mlp,
                            end ? inject : null,
                            end ? out : t.out,
                            end && inject != null ? next : null,
                            record);
            h = t.out;
        }
    }

    /** d: in the gradient of {@code out}, out that of u. Adds to the weight gradients; uses up the slot. */
    public void backward(Slot slot, Tensor out, Tensor d) {
        int last = layers.size() - 1;
        for (int i = last; i >= 0; i--) {
            BlockTape t = slot.blocks.get(i);
            Tensor[] g = gradients.get(i);
            Tensor in = i == 0 ? slot.u : slot.blocks.get(i - 1).out;
            mlps.get(i).backward(t.mid, t.mlp, i == last ? out : t.out, d, g[2], g[3]);
            if (t.mixer != null) {
                mixers.get(i).backward(in, t.mixer, t.mid, d, g[0], g[1]);
            } else {
                attentions.get(i).backward(in, t.attention, t.mid, d, g[0], g[1]);
            }
        }
    }
}
