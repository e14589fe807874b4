package trm.config;

import static trm.config.ConfigKey.dependent;
import static trm.config.ConfigKey.key;
import static trm.config.ValueType.BOOL;
import static trm.config.ValueType.INTEGER;
import static trm.config.ValueType.NUMBER;

/**
 * The sizes of a block, of which the networks f are made.
 *
 * @param hiddenSize channels, D
 * @param heads attention heads; need not divide the channels
 * @param expansion of the MLPs, before 2/3 and rounding up to 256
 * @param mlpActivation between the two products of an MLP, in the token mixer too where that is one
 * @param mlpT whether the token mixer is an MLP over positions; else attention
 * @param ropeTheta base of the rotary angles
 * @param rmsNormEps added to the mean square
 */
public record BlockConfig(
        int hiddenSize,
        int heads,
        double expansion,
        MlpActivation mlpActivation,
        boolean mlpT,
        PosEncodings posEncodings,
        double ropeTheta,
        double rmsNormEps) {
    /** Channels, heads and positions before the tokens. */
    static final int MAX_WIDTH = 1 << 16;

    /** Inner width of an MLP. */
    private static final int MAX_INNER = 1 << 24;

    static final ConfigKey<BlockConfig, Integer> HIDDEN_SIZE =
            key("arch.hidden_size", INTEGER, 512, BlockConfig::hiddenSize, "channels", "Width of the model, D.");

    static final ConfigSection<BlockConfig> KEYS = ConfigSection.of(
            BlockConfig.class,
            "Block",
            HIDDEN_SIZE,
            dependent(
                    "arch.num_heads",
                    INTEGER,
                    in -> in.value(ArchConfig.NAME).publishedHeads(),
                    BlockConfig::heads,
                    "heads",
                    "Attention heads. They need not divide hidden_size: what is left over takes no part in attention."),
            key(
                    "arch.expansion",
                    NUMBER,
                    4.0,
                    BlockConfig::expansion,
                    "",
                    "Inner width of the MLPs over their width, times 2/3 and rounded up to a multiple of 256."),
            key(
                    "arch.mlp_activation",
                    ValueType.words(MlpActivation.values()),
                    MlpActivation.SWIGLU,
                    BlockConfig::mlpActivation,
                    "",
                    "Between the two products of an MLP: swiglu, or normed_swiglu, sigma(g) rms_norm(g u), for Muon."),
            key(
                    "arch.mlp_t",
                    BOOL,
                    false,
                    BlockConfig::mlpT,
                    "",
                    "The token mixer is an MLP over positions; else it is attention."),
            key(
                    "arch.pos_encodings",
                    ValueType.wordsOfAnyCase(PosEncodings.values()),
                    PosEncodings.ROPE,
                    BlockConfig::posEncodings,
                    "",
                    "How positions enter the model: rope (rotary), learned or none."),
            key("arch.rope_theta", NUMBER, 10000.0, BlockConfig::ropeTheta, "", "Base of the rotary angles."),
            key(
                    "arch.rms_norm_eps",
                    NUMBER,
                    1e-5,
                    BlockConfig::rmsNormEps,
                    "",
                    "Added to the mean square by the RMS norm."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public BlockConfig {
        Check.within("arch.hidden_size", hiddenSize, 1, MAX_WIDTH);
        Check.within("arch.num_heads", heads, 1, MAX_WIDTH);
        Check.positive("arch.expansion", expansion);
        Check.positive("arch.rope_theta", ropeTheta);
        Check.positive("arch.rms_norm_eps", rmsNormEps);
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

    /** Channels of one head, d = floor(D / H). */
    public int headWidth() {
        return hiddenSize / heads;
    }

    /**
     * Inner width of an MLP over x values: 2/3 of expansion times x, rounded up to 256.
     *
     * @throws ConfigException if that is beyond all measure, as it may be over the positions of long samples
     */
    public int innerWidth(int x) {
        checkInner(expansion, x, x + " values");
        return (int) ((Math.round(Math.rint(expansion * x * 2 / 3)) + 255) / 256 * 256);
    }
}
