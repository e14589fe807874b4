package trm.config;

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
        Check.present("arch.gradient", gradient);
        RecursionRules.check(name, layers, hLayers, cycles, latentSteps, numScales, separateNets, gradient);
        Check.within("arch.puzzle_emb_ndim", puzzleEmbNdim, 0, MAX_PUZZLE_WIDTH);
        Check.within("arch.puzzle_emb_len", puzzleEmbLen, 0, MAX_WIDTH);
        Check.within("arch.halt_max_steps", haltMaxSteps, 1, MAX_STEPS);
        Check.fraction("arch.halt_exploration_prob", haltExplorationProb);
        RecursionRules.checkContinueLoss(name, noActContinue);
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

    /** The networks, in the order of their tensors. */
    public List<Network> networks() {
        return name.networks(layers, hLayers, separateNets);
    }

    /** Names of the latents as checkpoints have them. The first is the answer, which the heads read. */
    public List<String> latents() {
        return name.latents(numScales);
    }

    /** The updates of one cycle. */
    public List<Update> cycle() {
        return name.cycle(latentSteps, numScales, separateNets);
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
        return name.haltsOnSign(noActContinue);
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
