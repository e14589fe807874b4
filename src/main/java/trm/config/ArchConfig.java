package trm.config;

import java.util.ArrayList;
import java.util.List;

/**
 * The model. Names of the published configuration are given where they differ.
 *
 * @param name which of the papers' systems
 * @param hiddenSize channels, D
 * @param heads attention heads, {@code num_heads}; need not divide the channels
 * @param expansion of the feed-forward layers, before 2/3 and rounding up to 256
 * @param mlpT a feed-forward layer over positions in place of attention, {@code mlp_t}
 * @param ropeTheta base of the rotary angles
 * @param rmsNormEps added to the mean square
 * @param layers blocks of the network that updates z, and y unless that has its own, {@code L_layers}
 * @param hLayers blocks of the network that updates y, {@code H_layers}; without effect where one network does both
 * @param cycles T, {@code H_cycles}
 * @param latentSteps n, {@code L_cycles}
 * @param numScales latents z: one for each of the n updates in {@code trm_hier6}, else 1
 * @param separateNets a network for z and one for y, in {@code trm} and {@code trm_hier6}
 * @param gradient updates that are differentiated
 * @param puzzleEmbNdim width of the puzzle vectors, 0 for none
 * @param puzzleEmbLen positions in front of the tokens, 0 for as few as hold the puzzle vector
 * @param noActContinue no continue loss, {@code no_ACT_continue}; with it a lane halts when q_halt &gt; q_continue
 * @param haltMaxSteps supervision steps per sample
 * @param haltExplorationProb probability of drawing a least number of steps
 * @param lossType {@code loss.loss_type}
 * @param dtype compute type, {@code float32} or {@code bfloat16}; {@code forward_dtype}
 * @param equilibrium how a latent takes what the network puts out, and where it starts
 */
public record ArchConfig(
        Architecture name,
        int hiddenSize,
        int heads,
        double expansion,
        boolean mlpT,
        PosEncodings posEncodings,
        double ropeTheta,
        double rmsNormEps,
        int layers,
        int hLayers,
        int cycles,
        int latentSteps,
        int numScales,
        boolean separateNets,
        GradientSpan gradient,
        int puzzleEmbNdim,
        int puzzleEmbLen,
        boolean noActContinue,
        int haltMaxSteps,
        double haltExplorationProb,
        LossType lossType,
        String dtype,
        Equilibrium equilibrium) {

    /** Channels, heads and positions before the tokens. */
    private static final int MAX_WIDTH = 1 << 16;

    /** Width of a puzzle vector. */
    private static final int MAX_PUZZLE_WIDTH = 1 << 20;

    /** Inner width of a feed-forward layer. */
    private static final int MAX_INNER = 1 << 24;

    /** T, n, and the blocks of a network. */
    private static final int MAX_REPEATS = 1024;

    /** Latents z. */
    private static final int MAX_SCALES = 64;

    /** Blocks that one cycle applies, each of which keeps tensors for the backward pass. */
    private static final long MAX_BLOCKS = 1 << 12;

    /** Supervision steps of a sample, in training and in evaluations. */
    public static final int MAX_STEPS = 1 << 16;

    /** A network f: its name in checkpoints, and how many blocks it has. */
    public record Network(String name, int layers) {}

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public ArchConfig {
        Check.present("arch.name", name);
        Check.within("arch.hidden_size", hiddenSize, 1, MAX_WIDTH);
        Check.within("arch.num_heads", heads, 1, MAX_WIDTH);
        Check.positive("arch.expansion", expansion);
        Check.present("arch.pos_encodings", posEncodings);
        Check.positive("arch.rope_theta", ropeTheta);
        Check.positive("arch.rms_norm_eps", rmsNormEps);
        checkRecursion(name, layers, hLayers, cycles, latentSteps, numScales, separateNets, gradient);
        Check.within("arch.puzzle_emb_ndim", puzzleEmbNdim, 0, MAX_PUZZLE_WIDTH);
        Check.within("arch.puzzle_emb_len", puzzleEmbLen, 0, MAX_WIDTH);
        Check.within("arch.halt_max_steps", haltMaxSteps, 1, MAX_STEPS);
        Check.fraction("arch.halt_exploration_prob", haltExplorationProb);
        Check.that(
                name != Architecture.HRM || !noActContinue,
                "arch.no_ACT_continue",
                noActContinue,
                "hrm always learns when to continue; leave it out, or false");
        Check.that(
                name != Architecture.TRANSFORMER || noActContinue,
                "arch.no_ACT_continue",
                noActContinue,
                "transformers_baseline has no continue loss; leave it out, or true");
        Check.present("arch.loss.loss_type", lossType);
        Check.oneOf("arch.forward_dtype", dtype, List.of("float32", "bfloat16"));
        Check.present("arch.relaxation", equilibrium);
        if (!mlpT) {
            Check.that(
                    heads <= hiddenSize,
                    "arch.num_heads",
                    heads,
                    "must be at most hidden_size, which is " + hiddenSize);
            int width = hiddenSize / heads;
            Check.that(
                    posEncodings != PosEncodings.ROPE || width % 2 == 0,
                    "arch.num_heads",
                    heads,
                    "with hidden_size " + hiddenSize + " the head width is " + width
                            + "; rotary positions need an even one");
        }
        Check.that(
                puzzleEmbNdim > 0 || puzzleEmbLen == 0,
                "arch.puzzle_emb_len",
                puzzleEmbLen,
                "must be 0 when puzzle_emb_ndim is 0");
        Check.that(
                puzzleEmbLen == 0 || !name.packsPuzzleVector(),
                "arch.puzzle_emb_len",
                puzzleEmbLen,
                name.key() + " always has as few positions as hold the puzzle vector; leave it out, or 0");
        Check.that(
                puzzleEmbLen == 0 || puzzleEmbNdim <= (long) puzzleEmbLen * hiddenSize,
                "arch.puzzle_emb_ndim",
                puzzleEmbNdim,
                "must be at most puzzle_emb_len x hidden_size, " + puzzleEmbLen + " x " + hiddenSize + " = "
                        + (long) puzzleEmbLen * hiddenSize);
        Check.that(
                Math.rint(expansion * hiddenSize * 2 / 3) >= 1,
                "arch.expansion",
                expansion,
                "with hidden_size " + hiddenSize + " the inner width is 0; must be larger");
        checkInner(expansion, hiddenSize, "hidden_size " + hiddenSize);
    }

    private static void checkInner(double expansion, int x, String of) {
        double inner = Math.rint(expansion * x * 2 / 3);
        Check.that(
                inner <= MAX_INNER,
                "arch.expansion",
                expansion,
                "with " + of + " the inner width is " + inner + "; must be at most " + MAX_INNER);
    }

    private static void checkRecursion(
            Architecture name,
            int layers,
            int hLayers,
            int cycles,
            int latentSteps,
            int numScales,
            boolean separateNets,
            GradientSpan gradient) {
        Check.present("arch.gradient", gradient);
        if (name == Architecture.TRANSFORMER) {
            String single = name.key() + " is one network (H_layers) applied once; ";
            Check.that(layers == 0, "arch.L_layers", layers, single + "leave it out, or 0");
            Check.that(cycles == 1, "arch.H_cycles", cycles, single + "leave it out, or 1");
            Check.that(latentSteps == 0, "arch.L_cycles", latentSteps, single + "leave it out, or 0");
            Check.that(
                    gradient == GradientSpan.LAST_CYCLE,
                    "arch.gradient",
                    gradient.key(),
                    single + "must be last_cycle");
        } else {
            Check.within("arch.L_layers", layers, 1, MAX_REPEATS);
            Check.within("arch.H_cycles", cycles, 1, MAX_REPEATS);
            Check.within("arch.L_cycles", latentSteps, 1, MAX_REPEATS);
        }
        Check.that(
                !separateNets || name == Architecture.TRM || name == Architecture.MULTI_SCALE,
                "arch.separate_nets",
                separateNets,
                "only trm and trm_hier6 have a choice; " + name.key() + " has "
                        + (name == Architecture.HRM ? "two networks anyway" : "one network"));
        boolean second = separateNets || name == Architecture.HRM || name == Architecture.TRANSFORMER;
        Check.within("arch.H_layers", hLayers, second ? 1 : 0, MAX_REPEATS);
        long blocks = (long) layers * latentSteps + (second ? hLayers : layers);
        Check.that(
                blocks <= MAX_BLOCKS,
                "arch.L_layers",
                layers,
                "with L_cycles " + latentSteps + " a cycle applies " + blocks + " blocks; must be at most "
                        + MAX_BLOCKS);
        if (name == Architecture.MULTI_SCALE) {
            Check.within("arch.num_scales", numScales, 1, MAX_SCALES);
            Check.that(
                    latentSteps <= numScales,
                    "arch.L_cycles",
                    latentSteps,
                    "must be at most num_scales, which is " + numScales + ": each update has a latent of its own");
        } else {
            Check.that(numScales == 1, "arch.num_scales", numScales, "only trm_hier6 has several latents z; must be 1");
        }
        Check.that(
                name != Architecture.HRM || gradient == GradientSpan.ONE_STEP,
                "arch.gradient",
                gradient.key(),
                "hrm differentiates its last two updates only; must be one_step");
    }

    /** The networks, in the order of their tensors. */
    public List<Network> networks() {
        List<Network> networks = new ArrayList<>();
        if (separateNets || name == Architecture.HRM || name == Architecture.TRANSFORMER) {
            networks.add(new Network("H_level", hLayers));
        }
        if (name != Architecture.TRANSFORMER) {
            networks.add(new Network("L_level", layers));
        }
        return networks;
    }

    /** Names of the latents as checkpoints have them. The first is the answer, which the heads read. */
    public List<String> latents() {
        return switch (name) {
            case TRM, HRM -> List.of("H", "L");
            case SINGLE_Z -> List.of("L");
            case TRANSFORMER -> List.of("H");
            case MULTI_SCALE -> {
                List<String> latents = new ArrayList<>(List.of("H"));
                for (int i = 1; i <= numScales; i++) {
                    latents.add("L" + i);
                }
                yield latents;
            }
        };
    }

    /** Whether training has the continue loss: not where every sample halts at its first step anyway. */
    public boolean hasContinueLoss() {
        return !noActContinue && haltMaxSteps > 1;
    }

    /**
     * Whether a lane halts at q_halt &gt; 0; else at q_halt &gt; q_continue
     * (docs/specification.md#6-deep-supervision-and-halting).
     */
    public boolean haltsOnSign() {
        return noActContinue && name != Architecture.TRANSFORMER;
    }

    /** Positions in front of the tokens, P. */
    public int prefixLen() {
        return puzzleEmbLen != 0 ? puzzleEmbLen : (int) (((long) puzzleEmbNdim + hiddenSize - 1) / hiddenSize);
    }

    /** Channels of one head, d = floor(D / A). */
    public int headWidth() {
        return hiddenSize / heads;
    }

    /**
     * Inner width of a feed-forward layer over x values: 2/3 of expansion times x, rounded up to 256.
     *
     * @throws ConfigException if that is beyond all measure, as it may be over the positions of long samples
     */
    public int innerWidth(int x) {
        checkInner(expansion, x, x + " values");
        return (int) ((Math.round(Math.rint(expansion * x * 2 / 3)) + 255) / 256 * 256);
    }
}
