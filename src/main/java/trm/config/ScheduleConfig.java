package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;
import static trm.config.ValueType.LONG;
import static trm.config.ValueType.NUMBER;
import static trm.config.ValueType.OPTIONAL_INTEGER;

import java.util.List;
import trm.config.ConfigKey.OnResume;

/**
 * How long a run is, and in which portions the data are drawn.
 *
 * @param globalBatchSize rows per step
 * @param epochs passes over the puzzle groups
 * @param evalInterval epochs between evaluations, at most {@code epochs}: what remains of these is the last pass; null for one
 *     evaluation at the end
 * @param epochsPerPass epochs whose order the loader draws together, a divisor of {@code evalInterval}; null for as many as
 *     lie between evaluations, as published. A run that is resumed keeps it
 * @param maxSteps last step, 0 to derive it from the epochs
 * @param carryFromStep first step whose lanes are carried on, 0 for all: before it each sample gets one supervision step and no
 *     halting loss. From SiC (arXiv 2601.19085), where a schedule of supervision steps begins with one and no halting head
 * @param depthStages parts at the run's begin with fewer cycles than the model has, {@code depth_schedule}
 * @param maxTrainSeconds time for the steps of the run, which plans as many as fit; 0 for no limit
 * @param plannedSteps how many that are, 0 as long as the run has not found out
 */
public record ScheduleConfig(
        int globalBatchSize,
        int epochs,
        Integer evalInterval,
        Integer epochsPerPass,
        int maxSteps,
        long carryFromStep,
        List<DepthStage> depthStages,
        double maxTrainSeconds,
        int plannedSteps) {
    /** Rows of a batch: more than any device holds. */
    public static final int MAX_LANES = 1 << 20;

    static final ConfigSection<ScheduleConfig> KEYS = ConfigSection.of(
            ScheduleConfig.class,
            "Schedule",
            key(
                    "global_batch_size",
                    INTEGER,
                    768,
                    ScheduleConfig::globalBatchSize,
                    "lanes",
                    "Samples that a step trains on at once."),
            key(
                            "epochs",
                            INTEGER,
                            50_000,
                            ScheduleConfig::epochs,
                            "epochs",
                            "Length of the run; an epoch draws one example of each group of puzzles.")
                    .onResume(OnResume.LENGTH),
            key(
                            "eval_interval",
                            OPTIONAL_INTEGER,
                            null,
                            ScheduleConfig::evalInterval,
                            "epochs",
                            "Epochs between evaluations; what remains of epochs is the last pass. Without it there is one.")
                    .onResume(OnResume.FREE),
            key(
                    "epochs_per_pass",
                    OPTIONAL_INTEGER,
                    null,
                    ScheduleConfig::epochsPerPass,
                    "epochs",
                    "Epochs whose order is drawn together, a divisor of eval_interval; by default as many as that."),
            key(
                            "max_steps",
                            INTEGER,
                            0,
                            ScheduleConfig::maxSteps,
                            "optimizer steps",
                            "Last step, where the epochs have more; 0 is no limit.")
                    .onResume(OnResume.LENGTH),
            key(
                    "carry_from_step",
                    LONG,
                    0L,
                    ScheduleConfig::carryFromStep,
                    "optimizer steps",
                    "First step after which lanes go on with their samples; before it each has one step, and no halting loss."),
            key(
                    "depth_schedule",
                    DepthStage.LIST,
                    List.of(),
                    ScheduleConfig::depthStages,
                    "",
                    "Smaller H_cycles and L_cycles of the run's first parts, each until a share of its steps."),
            key(
                    "max_train_seconds",
                    NUMBER,
                    0.0,
                    ScheduleConfig::maxTrainSeconds,
                    "seconds",
                    "Time for the steps of the run, which times some and plans as many as fit; 0 is no limit."),
            key(
                    "planned_steps",
                    INTEGER,
                    0,
                    ScheduleConfig::plannedSteps,
                    "optimizer steps",
                    "Last step by max_train_seconds: a run writes it as it begins, and one that has it times nothing."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public ScheduleConfig {
        Check.atLeast("global_batch_size", globalBatchSize, 1);
        Check.atMost("global_batch_size", globalBatchSize, MAX_LANES);
        Check.atLeast("epochs", epochs, 1);
        if (evalInterval != null) {
            Check.atLeast("eval_interval", evalInterval, 1);
            Check.that(
                    evalInterval <= epochs,
                    "eval_interval",
                    evalInterval,
                    "must be at most epochs, which is " + epochs);
        }
        if (epochsPerPass != null) {
            int between = evalInterval == null ? epochs : evalInterval;
            Check.atLeast("epochs_per_pass", epochsPerPass, 1);
            Check.that(
                    between % epochsPerPass == 0,
                    "epochs_per_pass",
                    epochsPerPass,
                    "must divide " + (evalInterval == null ? "epochs" : "eval_interval") + ", which is " + between);
        }
        Check.atLeast("max_steps", maxSteps, 0);
        Check.atLeast("carry_from_step", carryFromStep, 0);
        depthStages = List.copyOf(depthStages);
        Check.notNegative("max_train_seconds", maxTrainSeconds);
        Check.atLeast("planned_steps", plannedSteps, 0);
        Check.that(
                plannedSteps == 0 || maxTrainSeconds > 0,
                "planned_steps",
                plannedSteps,
                "follows from max_train_seconds, which is 0; max_steps limits a run to as many");
    }

    /** A run of so many steps and nothing else, on any data: an epoch has a sample or more, a pass a batch or more. */
    static ScheduleConfig ofSteps(int steps, int batch) {
        int passes = Math.min(steps, Integer.MAX_VALUE / batch);
        return new ScheduleConfig(batch, passes * batch, null, batch, steps, 0, List.of(), 0, 0);
    }

    ScheduleConfig withBatch(int batch) {
        return new ScheduleConfig(
                batch,
                epochs,
                evalInterval,
                epochsPerPass,
                maxSteps,
                carryFromStep,
                depthStages,
                maxTrainSeconds,
                plannedSteps);
    }

    ScheduleConfig withEpochsPerPass(int together) {
        return new ScheduleConfig(
                globalBatchSize,
                epochs,
                evalInterval,
                together,
                maxSteps,
                carryFromStep,
                depthStages,
                maxTrainSeconds,
                plannedSteps);
    }

    ScheduleConfig withPlannedSteps(int steps) {
        return new ScheduleConfig(
                globalBatchSize,
                epochs,
                evalInterval,
                epochsPerPass,
                maxSteps,
                carryFromStep,
                depthStages,
                maxTrainSeconds,
                steps);
    }

    /** The last step that the settings allow, whatever the epochs: {@code max_steps}, and what was planned. */
    public long mostSteps() {
        return Math.min(maxSteps == 0 ? Long.MAX_VALUE : maxSteps, plannedSteps == 0 ? Long.MAX_VALUE : plannedSteps);
    }

    /** Whether the run has yet to find out how many steps fit into its time. */
    public boolean isUnplanned() {
        return maxTrainSeconds > 0 && plannedSteps == 0;
    }

    /** Whether the epochs ask for evaluations before the last one. */
    boolean evaluatesWithin() {
        return evalInterval != null && evalInterval < epochs;
    }

    /** Epochs between evaluations, of a run that evaluates but once all of them. */
    public int epochsBetweenEvaluations() {
        return evalInterval == null ? epochs : evalInterval;
    }

    /** Epochs whose order the loader draws together: a pass. */
    public int passEpochs() {
        return epochsPerPass == null ? epochsBetweenEvaluations() : epochsPerPass;
    }

    /**
     * A pass over the data draws the order of all its groups at once.
     *
     * @param groups of the training data
     * @throws ConfigException if a pass, {@code eval_interval} or else all epochs, visits more groups than can be counted
     */
    public void requirePass(long groups) {
        int passEpochs = passEpochs();
        Check.that(
                groups <= Integer.MAX_VALUE / passEpochs,
                evalInterval == null ? "epochs" : "eval_interval",
                passEpochs,
                "a pass of so many epochs of " + groups + " groups of puzzles visits more than " + Integer.MAX_VALUE
                        + " of them; must be at most " + Math.max(1, Integer.MAX_VALUE / Math.max(1, groups))
                        + (evalInterval == null ? ", or eval_interval be given" : ""));
    }

    /** @throws ConfigException unless so many ranks can share the batch equally */
    public void requireRanks(int ranks) {
        Check.that(
                globalBatchSize % ranks == 0,
                "global_batch_size",
                globalBatchSize,
                ranks + " ranks cannot share it equally; must be a multiple of " + ranks);
    }
}
