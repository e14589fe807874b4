package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;
import static trm.config.ValueType.LONG;
import static trm.config.ValueType.OPTIONAL_STRING;

import trm.config.ConfigKey.OnResume;

/**
 * Where a run begins, what it is called, what it says.
 *
 * @param seed of all that is drawn
 * @param loadCheckpoint weights to begin with: a checkpoint or run folder, also PyTorch's; null for fresh ones
 * @param beginStep steps of the schedule that those weights have behind them, 0 for a run that begins at its first
 * @param name for the output directory; null to leave it to the program
 * @param logEverySteps steps between rows of metrics
 * @param onNan what a loss or gradient that is not finite does to the run
 */
public record RunConfig(long seed, String loadCheckpoint, long beginStep, String name, int logEverySteps, OnNan onNan) {
    /** Seeds of NumPy's legacy generator, which the published loader draws examples with. */
    private static final long MAX_SEED = 0xFFFFFFFFL;

    /** Steps between rows of metrics; a run that has fewer writes one at its end. */
    private static final int MAX_LOG_STEPS = 1_000_000;

    static final ConfigSection<RunConfig> KEYS = ConfigSection.of(
            RunConfig.class,
            "Run",
            key("seed", LONG, 0L, RunConfig::seed, "", "Of initial weights, order of the data, halting and noise."),
            key(
                    "load_checkpoint",
                    OPTIONAL_STRING,
                    null,
                    RunConfig::loadCheckpoint,
                    "",
                    "Weights to begin with: a checkpoint or the folder of a run, also PyTorch's."),
            key(
                    "begin_step",
                    LONG,
                    0L,
                    RunConfig::beginStep,
                    "optimizer steps",
                    "Steps of the schedule that load_checkpoint has behind it: the run goes on there, without its moments."),
            key(
                            "run_name",
                            OPTIONAL_STRING,
                            null,
                            RunConfig::name,
                            "",
                            "Name of the run's folder; by default that of the configuration's file.")
                    .onResume(OnResume.FREE),
            key(
                            "log_every_steps",
                            INTEGER,
                            10,
                            RunConfig::logEverySteps,
                            "optimizer steps",
                            "Steps between rows of metrics.")
                    .onResume(OnResume.FREE),
            key(
                            "on_nan",
                            ValueType.words(OnNan.values()),
                            OnNan.STOP,
                            RunConfig::onNan,
                            "",
                            "What a loss or gradient that is not finite does to the run: stop ends it, warn goes on.")
                    .onResume(OnResume.FREE));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public RunConfig {
        Check.within("seed", seed, 0, MAX_SEED);
        Check.that(
                loadCheckpoint == null || !loadCheckpoint.isBlank(),
                "load_checkpoint",
                loadCheckpoint,
                "must not be empty");
        Check.atLeast("begin_step", beginStep, 0);
        Check.that(
                beginStep == 0 || loadCheckpoint != null,
                "begin_step",
                beginStep,
                "needs the weights after that step: load_checkpoint, which is not given");
        Check.that(name == null || !name.isBlank(), "run_name", name, "must not be empty");
        Check.within("log_every_steps", logEverySteps, 1, MAX_LOG_STEPS);
    }

    /** Of a run that begins at its first step, with no weights of others. */
    RunConfig anew() {
        return new RunConfig(seed, null, 0, name, logEverySteps, onNan);
    }
}
