package trm.config;

import static trm.config.ConfigSection.part;

import java.util.List;

/** A training run. What its keys say is in each part's table, the names in files with it. */
public record TrainConfig(
        ArchConfig arch,
        DataConfig data,
        ScheduleConfig schedule,
        LearningRateConfig learningRate,
        OptimizerConfig optimizer,
        AverageConfig average,
        RunConfig run,
        CheckpointConfig checkpoints,
        EvaluationConfig evaluation,
        DeviceConfig device,
        MemoryConfig memory) {
    static final ConfigSection<TrainConfig> KEYS = ConfigSection.of(
            TrainConfig.class,
            "Training",
            part(ArchConfig.KEYS, TrainConfig::arch),
            part(DataConfig.KEYS, TrainConfig::data),
            part(ScheduleConfig.KEYS, TrainConfig::schedule),
            part(LearningRateConfig.KEYS, TrainConfig::learningRate),
            part(OptimizerConfig.KEYS, TrainConfig::optimizer),
            part(AverageConfig.KEYS, TrainConfig::average),
            part(RunConfig.KEYS, TrainConfig::run),
            part(CheckpointConfig.KEYS, TrainConfig::checkpoints),
            part(EvaluationConfig.KEYS, TrainConfig::evaluation),
            part(DeviceConfig.KEYS, TrainConfig::device),
            part(MemoryConfig.KEYS, TrainConfig::memory));

    private static final String WITHIN = "eval_interval must be given, and be less than epochs, or eval_every_steps";

    /**
     * @throws ConfigException if values do not go together
     */
    public TrainConfig {
        Check.that(
                !optimizer.freezeWeights() || arch.puzzles().width() > 0,
                "freeze_weights",
                optimizer.freezeWeights(),
                "leaves nothing to train, as puzzle_emb_ndim is 0");
        DepthStage.check(schedule.depthStages(), arch.name(), arch.recursion());
        Check.that(
                schedule.carryFromStep() == 0 || arch.halting().maxSteps() > 1,
                "carry_from_step",
                schedule.carryFromStep(),
                "no lane goes on with its sample in any step, as halt_max_steps is 1; leave it out, or 0");
        Check.that(
                evaluation.gates().isEmpty() || evaluatesWithin(schedule, evaluation),
                "gates",
                Gate.LIST.text().apply(evaluation.gates()),
                "no evaluation before the last one is held to them: " + WITHIN);
        Check.that(
                evaluation.patience() == 0 || evaluatesWithin(schedule, evaluation),
                "patience",
                evaluation.patience(),
                "there is no evaluation before the last one, so none that it could wait for: " + WITHIN);
        Check.that(
                !optimizer.freezeWeights() || average.fromStep() == 0,
                "ema_from_step",
                average.fromStep(),
                "leaves nothing to average, as freeze_weights is true");
        Check.that(
                optimizer.kind() != OptimizerConfig.Kind.MUON || learningRate.base() > 0,
                "lr",
                learningRate.base(),
                "must be above 0 with optimizer: muon, as muon_lr follows its course");
        Check.that(
                memory.microBatches() == 0 || schedule.globalBatchSize() % memory.microBatches() == 0,
                "micro_batches",
                memory.microBatches(),
                "must divide global_batch_size, which is " + schedule.globalBatchSize());
    }

    private static boolean evaluatesWithin(ScheduleConfig schedule, EvaluationConfig evaluation) {
        return evaluation.everySteps() > 0 || schedule.evaluatesWithin();
    }

    /** Whether a run evaluates before its end, if it is long enough. */
    public boolean evaluatesWithin() {
        return evaluatesWithin(schedule, evaluation);
    }

    /** By what the run tells its best evaluation; null if it does not. */
    public BestBy bestBy() {
        boolean asked = checkpoints.best() != null || evaluation.patience() == 0;
        return asked ? checkpoints.best() : BestBy.EVAL_EXACT_ACCURACY;
    }

    /** These settings with the choices about memory made. */
    public TrainConfig with(Recompute recomputed, int parts) {
        return with(arch, data, schedule, memory.with(recomputed, parts));
    }

    /** These settings for another batch size, with the choices about memory made. */
    public TrainConfig with(int batch, Recompute recomputed, int parts) {
        return with(arch, data, schedule.withBatch(batch), memory.with(recomputed, parts));
    }

    /** These settings for data that are there, with the order in which they are drawn. */
    public TrainConfig with(List<String> paths, DataShape shape, int drawnTogether) {
        return with(arch, data.with(paths, shape), schedule.withEpochsPerPass(drawnTogether), memory);
    }

    /** These settings with as many steps as a run has planned. */
    public TrainConfig withPlannedSteps(int steps) {
        return with(arch, data, schedule.withPlannedSteps(steps), memory);
    }

    /**
     * These settings for puzzles that the model does not know: their vectors alone are trained ({@code freeze_weights}), on other data
     * and for so many steps of so many lanes. What the settings ask for the weights, or for memory that is laid out anew, is left out.
     *
     * @param rate of the vectors at the first step; it falls to 0 along half a cosine
     */
    public TrainConfig adapting(List<String> paths, int lanes, int steps, double rate) {
        return new TrainConfig(
                arch,
                DataConfig.of(paths),
                ScheduleConfig.ofSteps(steps, lanes),
                learningRate.ofPuzzles(rate),
                optimizer.frozen(),
                average.fromTheFirst(),
                run.anew(),
                checkpoints,
                EvaluationConfig.whole(),
                device,
                memory.with(Recompute.AUTO, 0));
    }

    /** These settings with another type to compute in. */
    public TrainConfig computedIn(ComputeType dtype) {
        return with(arch.computedIn(dtype), data, schedule, memory);
    }

    private TrainConfig with(
            ArchConfig newArch, DataConfig newData, ScheduleConfig newSchedule, MemoryConfig newMemory) {
        return new TrainConfig(
                newArch,
                newData,
                newSchedule,
                learningRate,
                optimizer,
                average,
                run,
                checkpoints,
                evaluation,
                device,
                newMemory);
    }

    /** Lanes that go through the network at once: the batch, or one of its parts. */
    public int lanesAtOnce() {
        return schedule.globalBatchSize() / Math.max(1, memory.microBatches());
    }

    /** Lanes of an evaluation. */
    public int evaluationLanes() {
        return evaluation.batchSize() > 0 ? evaluation.batchSize() : lanesAtOnce();
    }
}
