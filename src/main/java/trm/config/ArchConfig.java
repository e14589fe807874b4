package trm.config;

import java.util.List;

/**
 * The model. Names of the published configuration are given where they differ.
 *
 * @param name {@code trm}, the only model of this version
 * @param hiddenSize channels, D
 * @param heads attention heads, {@code num_heads}; need not divide the channels
 * @param expansion of the feed-forward layers, before 2/3 and rounding up to 256
 * @param mlpT a feed-forward layer over positions in place of attention, {@code mlp_t}
 * @param ropeTheta base of the rotary angles
 * @param rmsNormEps added to the mean square
 * @param layers blocks of the network, {@code L_layers}
 * @param hLayers {@code H_layers}, without effect in this model
 * @param cycles T, {@code H_cycles}
 * @param latentSteps n, {@code L_cycles}
 * @param puzzleEmbNdim width of the puzzle vectors, 0 for none
 * @param puzzleEmbLen positions in front of the tokens, 0 for as few as hold the puzzle vector
 * @param noActContinue no continue loss, {@code no_ACT_continue}; with it a lane halts when q_halt &gt; q_continue
 * @param haltMaxSteps supervision steps per sample
 * @param haltExplorationProb probability of drawing a least number of steps
 * @param lossType {@code loss.loss_type}
 * @param dtype compute type, {@code float32} or {@code bfloat16}; {@code forward_dtype}
 */
public record ArchConfig(
        String name,
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
        int puzzleEmbNdim,
        int puzzleEmbLen,
        boolean noActContinue,
        int haltMaxSteps,
        double haltExplorationProb,
        LossType lossType,
        String dtype) {

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public ArchConfig {
        Check.that("trm".equals(name), "arch.name", name, "not supported by this version; supported: trm");
        Check.atLeast("arch.hidden_size", hiddenSize, 1);
        Check.atLeast("arch.num_heads", heads, 1);
        Check.positive("arch.expansion", expansion);
        Check.present("arch.pos_encodings", posEncodings);
        Check.positive("arch.rope_theta", ropeTheta);
        Check.positive("arch.rms_norm_eps", rmsNormEps);
        Check.atLeast("arch.L_layers", layers, 1);
        Check.atLeast("arch.H_layers", hLayers, 0);
        Check.atLeast("arch.H_cycles", cycles, 1);
        Check.atLeast("arch.L_cycles", latentSteps, 1);
        Check.atLeast("arch.puzzle_emb_ndim", puzzleEmbNdim, 0);
        Check.atLeast("arch.puzzle_emb_len", puzzleEmbLen, 0);
        Check.atLeast("arch.halt_max_steps", haltMaxSteps, 1);
        Check.fraction("arch.halt_exploration_prob", haltExplorationProb);
        Check.present("arch.loss.loss_type", lossType);
        Check.oneOf("arch.forward_dtype", dtype, List.of("float32", "bfloat16"));
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
                puzzleEmbLen == 0 || puzzleEmbNdim <= (long) puzzleEmbLen * hiddenSize,
                "arch.puzzle_emb_ndim",
                puzzleEmbNdim,
                "must be at most puzzle_emb_len x hidden_size, " + puzzleEmbLen + " x " + hiddenSize + " = "
                        + (long) puzzleEmbLen * hiddenSize);
        double unrounded = Math.rint(expansion * hiddenSize * 2 / 3);
        Check.that(
                unrounded >= 1 && unrounded <= 1 << 24,
                "arch.expansion",
                expansion,
                "with hidden_size " + hiddenSize + " the inner width is " + unrounded + "; must be between 1 and "
                        + (1 << 24));
    }

    /** Whether training has the continue loss: not where every sample halts at its first step anyway. */
    public boolean hasContinueLoss() {
        return !noActContinue && haltMaxSteps > 1;
    }

    /** Positions in front of the tokens, P. */
    public int prefixLen() {
        return puzzleEmbLen != 0 ? puzzleEmbLen : (int) (((long) puzzleEmbNdim + hiddenSize - 1) / hiddenSize);
    }

    /** Channels of one head, d = floor(D / A). */
    public int headWidth() {
        return hiddenSize / heads;
    }

    /** Inner width of a feed-forward layer over x values: 2/3 of expansion times x, rounded up to 256. */
    public int innerWidth(int x) {
        return (int) ((Math.round(Math.rint(expansion * x * 2 / 3)) + 255) / 256 * 256);
    }
}
