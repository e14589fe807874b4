package trm.config;

import static trm.config.ConfigKey.dependent;
import static trm.config.ConfigKey.key;
import static trm.config.ValueType.BOOL;
import static trm.config.ValueType.NUMBER;

/**
 * The moving average of the weights.
 *
 * @param kept whether there is one; evaluations then use it, {@code ema}
 * @param rate share of the old average kept per step
 */
public record AverageConfig(boolean kept, double rate) {
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
            key("ema_rate", NUMBER, 0.999, AverageConfig::rate, "", "Share of the old average that a step keeps."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public AverageConfig {
        Check.belowOne("ema_rate", rate);
    }
}
