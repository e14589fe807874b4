package trm.config;

import static trm.config.ConfigKey.dependent;
import static trm.config.ConfigKey.key;
import static trm.config.ValueType.BOOL;
import static trm.config.ValueType.INTEGER;
import static trm.config.ValueType.NUMBER;

/**
 * When a lane is done with its sample.
 *
 * @param noActContinue no continue loss; with it a lane halts when q_halt &gt; q_continue, {@code no_ACT_continue}
 * @param maxSteps supervision steps of a sample at most
 * @param explorationProb probability of drawing a least number of steps
 */
public record HaltingConfig(boolean noActContinue, int maxSteps, double explorationProb) {
    /** Supervision steps of a sample, in training and in evaluations. */
    public static final int MAX_STEPS = 1 << 16;

    static final ConfigSection<HaltingConfig> KEYS = ConfigSection.of(
            HaltingConfig.class,
            "Halting",
            dependent(
                    "arch.no_ACT_continue",
                    BOOL,
                    in -> in.value(ArchConfig.NAME) != Architecture.HRM,
                    HaltingConfig::noActContinue,
                    "",
                    "Train without the continue loss: a lane halts when q_halt > 0, not when q_halt > q_continue."),
            key(
                    "arch.halt_max_steps",
                    INTEGER,
                    16,
                    HaltingConfig::maxSteps,
                    "supervision steps",
                    "Steps after which a lane takes its next sample in any case; 1 is no deep supervision."),
            key(
                    "arch.halt_exploration_prob",
                    NUMBER,
                    0.1,
                    HaltingConfig::explorationProb,
                    "probability",
                    "How often a sample is given a random least number of steps."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public HaltingConfig {
        Check.within("arch.halt_max_steps", maxSteps, 1, MAX_STEPS);
        Check.fraction("arch.halt_exploration_prob", explorationProb);
    }
}
