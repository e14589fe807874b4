package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;
import static trm.config.ValueType.NUMBER;

/**
 * The learning rates and their course: a linear warm-up, then half a cosine down to a fraction of the base.
 *
 * @param base of the weights
 * @param minRatio learning rate at the end, as a fraction of the base
 * @param warmupSteps steps of linear warm-up
 * @param puzzleBase of the puzzle table
 */
public record LearningRateConfig(double base, double minRatio, int warmupSteps, double puzzleBase) {
    static final ConfigSection<LearningRateConfig> KEYS = ConfigSection.of(
            LearningRateConfig.class,
            "Learning rate",
            key("lr", NUMBER, 1e-4, LearningRateConfig::base, "", "Learning rate of the weights, after the warm-up."),
            key(
                    "lr_min_ratio",
                    NUMBER,
                    1.0,
                    LearningRateConfig::minRatio,
                    "",
                    "Rate at the last step over that after the warm-up, along half a cosine: 0 ends at nothing, 1 keeps it level."),
            key(
                    "lr_warmup_steps",
                    INTEGER,
                    2000,
                    LearningRateConfig::warmupSteps,
                    "optimizer steps",
                    "Steps in which the rate rises from 0, linearly."),
            key(
                    "puzzle_emb_lr",
                    NUMBER,
                    1e-4,
                    LearningRateConfig::puzzleBase,
                    "",
                    "Learning rate of the puzzle embedding, after the warm-up."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public LearningRateConfig {
        Check.notNegative("lr", base);
        Check.fraction("lr_min_ratio", minRatio);
        Check.atLeast("lr_warmup_steps", warmupSteps, 0);
        Check.notNegative("puzzle_emb_lr", puzzleBase);
    }

    /** For puzzle vectors alone: from their own rate at the first step along half a cosine to 0. */
    LearningRateConfig ofPuzzles(double rate) {
        return new LearningRateConfig(base, 0, 0, rate);
    }
}
