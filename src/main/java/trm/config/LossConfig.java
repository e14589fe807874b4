package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.NUMBER;

import java.util.Locale;

/**
 * The losses (docs/specification.md#5-losses). Label smoothing and another weight than the papers' one half are those of SiC
 * (arXiv 2601.19085).
 *
 * @param type of the tokens, {@code loss_type}
 * @param labelSmoothing share of a label that is spread over all tokens of the vocabulary
 * @param haltWeight of the losses of q_halt and q_continue beside that of the tokens, {@code halt_loss_weight}
 */
public record LossConfig(LossType type, double labelSmoothing, double haltWeight) {
    static final ConfigSection<LossConfig> KEYS = ConfigSection.of(
            LossConfig.class,
            "Loss",
            key(
                            "arch.loss.loss_type",
                            ValueType.word(
                                    "stablemax_cross_entropy or softmax_cross_entropy",
                                    LossConfig::parse,
                                    LossType::key),
                            LossType.STABLEMAX,
                            LossConfig::type,
                            "",
                            "Loss of the tokens: stablemax_cross_entropy or softmax_cross_entropy.")
                    .alias("arch.loss_type", "arch.loss"),
            key(
                            "arch.loss.label_smoothing",
                            NUMBER,
                            0.0,
                            LossConfig::labelSmoothing,
                            "",
                            "Share of each label that is spread evenly over the vocabulary; with softmax_cross_entropy.")
                    .alias("arch.label_smoothing"),
            key(
                            "arch.loss.halt_loss_weight",
                            NUMBER,
                            0.5,
                            LossConfig::haltWeight,
                            "",
                            "Weight of the halting loss, and of the continue loss, beside that of the tokens.")
                    .alias("arch.halt_loss_weight"));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public LossConfig {
        Check.belowOne("arch.loss.label_smoothing", labelSmoothing);
        Check.that(
                labelSmoothing == 0 || type == LossType.SOFTMAX,
                "arch.loss.label_smoothing",
                labelSmoothing,
                "smoothed labels are those of a softmax; leave it out, or 0, with loss_type " + type.key()
                        + ", or set loss_type to " + LossType.SOFTMAX.key());
        Check.notNegative("arch.loss.halt_loss_weight", haltWeight);
    }

    private static LossType parse(String text) {
        return switch (text.toLowerCase(Locale.ROOT)) {
            case "stablemax", "stablemax_cross_entropy" -> LossType.STABLEMAX;
            case "softmax", "softmax_cross_entropy" -> LossType.SOFTMAX;
            default -> null;
        };
    }
}
