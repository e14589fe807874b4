package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;

import trm.config.ConfigKey.OnResume;

/**
 * When checkpoints are written, and how many stay.
 *
 * @param everySteps steps between checkpoints, 0 for one at the end
 * @param keep newest checkpoints kept
 * @param best by which column the best evaluation's checkpoint is kept beside them; null for none
 */
public record CheckpointConfig(int everySteps, int keep, BestBy best) {
    static final ConfigSection<CheckpointConfig> KEYS = ConfigSection.of(
            CheckpointConfig.class,
            "Checkpoints",
            key(
                            "checkpoint_every_steps",
                            INTEGER,
                            1000,
                            CheckpointConfig::everySteps,
                            "optimizer steps",
                            "Steps between checkpoints, besides those after each pass and at the end; 0 is none.")
                    .onResume(OnResume.FREE),
            key(
                            "checkpoint_keep",
                            INTEGER,
                            3,
                            CheckpointConfig::keep,
                            "files",
                            "Newest checkpoints that stay; older ones are deleted.")
                    .onResume(OnResume.FREE),
            key(
                            "checkpoint_best",
                            ValueType.optionalWord(BestBy.values()),
                            null,
                            CheckpointConfig::best,
                            "",
                            "Column of metrics.csv whose greatest value's checkpoint stays too, as RUN@best; without it none does.")
                    .onResume(OnResume.FREE));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public CheckpointConfig {
        Check.atLeast("checkpoint_every_steps", everySteps, 0);
        Check.atLeast("checkpoint_keep", keep, 1);
    }
}
