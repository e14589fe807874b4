package trm.config;

import static trm.config.ConfigKey.dependent;
import static trm.config.ConfigKey.key;
import static trm.config.ValueType.BOOL;
import static trm.config.ValueType.LONG;
import static trm.config.ValueType.NUMBER;

/**
 * The moving average of the weights (docs/specification.md#74-moving-average). That it may begin later is from SiC (arXiv 2601.19085),
 * where it has a rate of 0.9 from step 5,000 on.
 *
 * @param kept whether there is one; evaluations then use it, {@code ema}
 * @param rate share of the old average kept per step
 * @param fromStep first step that is averaged; before it the average is the weights, {@code ema_from_step}
 */
public record AverageConfig(boolean kept, double rate, long fromStep) {
    static final ConfigSection<AverageConfig> KEYS = ConfigSection.of(
            AverageConfig.class,
            "Moving average",
            dependent(
                    "ema",
                    BOOL,
                    in -> in.value(ArchConfig.NAME) != Architecture.HRM,
                    AverageConfig::kept,
                    "",
                    "Keep a moving average of the weights, and evaluate with it."),
            key("ema_rate", NUMBER, 0.999, AverageConfig::rate, "", "Share of the old average that a step keeps."),
            key(
                    "ema_from_step",
                    LONG,
                    0L,
                    AverageConfig::fromStep,
                    "optimizer steps",
                    "First step that the average takes in; before it the average is the weights themselves."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public AverageConfig {
        Check.belowOne("ema_rate", rate);
        Check.atLeast("ema_from_step", fromStep, 0);
        Check.that(
                kept || fromStep == 0,
                "ema_from_step",
                fromStep,
                "begins no average, as ema is false; leave it out, or 0");
    }

    /** From the first step on. */
    AverageConfig fromTheFirst() {
        return new AverageConfig(kept, rate, 0);
    }
}
