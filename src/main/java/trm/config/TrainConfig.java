package trm.config;

import java.util.HashSet;
import java.util.List;

/**
 * A training run. Names in files are these in lower case with underscores.
 *
 * @param dataPaths dataset directories
 * @param dataShape of the dataset, null to take it from the data
 * @param globalBatchSize rows per step
 * @param epochs passes over the puzzle groups
 * @param evalInterval epochs between evaluations, a divisor of {@code epochs}; null for one at the end
 * @param epochsPerPass epochs whose order the loader draws together, a divisor of {@code evalInterval}; null for as many as
 *     lie between evaluations, as published. A run that is resumed keeps it
 * @param lr base learning rate
 * @param lrMinRatio learning rate at the end, as a fraction of the base
 * @param lrWarmupSteps steps of linear warm-up
 * @param weightDecay of the trained tensors
 * @param puzzleEmbLr base learning rate of the puzzle table
 * @param puzzleEmbWeightDecay of the rows of the puzzle table
 * @param freezeWeights train the puzzle table only
 * @param ema keep a moving average of the weights and evaluate with it
 * @param emaRate share of the old average kept per step
 * @param loadCheckpoint weights to begin with: a checkpoint or run folder, also PyTorch's; null for fresh ones
 * @param runName for the output directory; null to leave it to the program
 * @param optimizer {@code adam_atan2} or {@code adamw}
 * @param maxGradNorm gradients of a larger norm are scaled down to it, 0 for no limit
 * @param checkpointEverySteps steps between checkpoints, 0 for one at the end
 * @param checkpointKeep newest checkpoints kept
 * @param maxSteps last step, 0 to derive it from the epochs
 * @param logEverySteps steps between rows of metrics
 * @param evalPuzzles test examples of an evaluation, spread evenly over the split; 0 for all; the last one of a run takes all
 * @param evalBatchSize rows per evaluation batch, 0 for as many as training takes at once
 * @param threads of the CPU backend, 0 for all; without effect on a GPU
 * @param matmulPrecision of float32 products: {@code float32} or, on a GPU, {@code tf32}
 * @param recompute what the backward pass forms again instead of keeping it; does not change results
 * @param microBatches equal parts of the lanes that go through the network one after the other, 0 for the fewest that
 *     fit; their number changes the order in which gradients are summed
 * @param memory bytes that a run may take on its device, 0 for what is free
 * @param onNan what a loss or gradient that is not finite does to the run
 */
public record TrainConfig(
        ArchConfig arch,
        List<String> dataPaths,
        DataShape dataShape,
        int globalBatchSize,
        int epochs,
        Integer evalInterval,
        Integer epochsPerPass,
        double lr,
        double lrMinRatio,
        int lrWarmupSteps,
        double beta1,
        double beta2,
        double weightDecay,
        double puzzleEmbLr,
        double puzzleEmbWeightDecay,
        boolean freezeWeights,
        boolean ema,
        double emaRate,
        long seed,
        String loadCheckpoint,
        String runName,
        String optimizer,
        double maxGradNorm,
        int checkpointEverySteps,
        int checkpointKeep,
        int maxSteps,
        int logEverySteps,
        int evalPuzzles,
        int evalBatchSize,
        int threads,
        String matmulPrecision,
        Recompute recompute,
        int microBatches,
        long memory,
        OnNan onNan) {
    /** More than any device holds. */
    public static final int MAX_LANES = 1 << 20;

    /**
     * Threads of the CPU. More than the processors of any machine that we know of, and few enough to be started; a multiple
     * of this machine's would make the same file right on one machine and wrong on another.
     */
    private static final int MAX_THREADS = 1024;

    /** Steps between rows of metrics; a run that has fewer writes one at its end. */
    private static final int MAX_LOG_STEPS = 1_000_000;

    /** Seeds of NumPy's legacy generator, which the published loader draws examples with. */
    private static final long MAX_SEED = 0xFFFFFFFFL;

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public TrainConfig {
        Check.present("arch", arch);
        Check.that(
                dataPaths != null && !dataPaths.isEmpty(),
                "data_paths",
                dataPaths,
                "must name at least one dataset directory");
        dataPaths = List.copyOf(dataPaths);
        for (String path : dataPaths) {
            Check.that(!path.isBlank(), "data_paths", dataPaths, "must not contain an empty path");
        }
        Check.that(
                new HashSet<>(dataPaths).size() == dataPaths.size(),
                "data_paths",
                dataPaths,
                "must not name a directory twice");
        Check.atLeast("global_batch_size", globalBatchSize, 1);
        Check.atMost("global_batch_size", globalBatchSize, MAX_LANES);
        Check.atLeast("epochs", epochs, 1);
        if (evalInterval != null) {
            Check.atLeast("eval_interval", evalInterval, 1);
            Check.that(
                    epochs % evalInterval == 0,
                    "eval_interval",
                    evalInterval,
                    "must divide epochs, which is " + epochs);
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
        Check.notNegative("lr", lr);
        Check.fraction("lr_min_ratio", lrMinRatio);
        Check.atLeast("lr_warmup_steps", lrWarmupSteps, 0);
        Check.belowOne("beta1", beta1);
        Check.belowOne("beta2", beta2);
        Check.notNegative("weight_decay", weightDecay);
        Check.notNegative("puzzle_emb_lr", puzzleEmbLr);
        Check.notNegative("puzzle_emb_weight_decay", puzzleEmbWeightDecay);
        Check.that(
                !freezeWeights || arch.puzzleEmbNdim() > 0,
                "freeze_weights",
                freezeWeights,
                "leaves nothing to train, as puzzle_emb_ndim is 0");
        Check.belowOne("ema_rate", emaRate);
        Check.within("seed", seed, 0, MAX_SEED);
        Check.that(
                loadCheckpoint == null || !loadCheckpoint.isBlank(),
                "load_checkpoint",
                loadCheckpoint,
                "must not be empty");
        Check.that(runName == null || !runName.isBlank(), "run_name", runName, "must not be empty");
        Check.oneOf("optimizer", optimizer, List.of("adam_atan2", "adamw"));
        Check.notNegative("max_grad_norm", maxGradNorm);
        Check.that(
                maxGradNorm == 0 || !freezeWeights,
                "max_grad_norm",
                maxGradNorm,
                "leaves nothing to clip, as freeze_weights is true");
        Check.atLeast("checkpoint_every_steps", checkpointEverySteps, 0);
        Check.atLeast("checkpoint_keep", checkpointKeep, 1);
        Check.atLeast("max_steps", maxSteps, 0);
        Check.within("log_every_steps", logEverySteps, 1, MAX_LOG_STEPS);
        Check.atLeast("eval_puzzles", evalPuzzles, 0);
        Check.atLeast("eval_batch_size", evalBatchSize, 0);
        Check.atMost("eval_batch_size", evalBatchSize, MAX_LANES);
        Check.within("threads", threads, 0, MAX_THREADS);
        Check.oneOf("matmul_precision", matmulPrecision, List.of("float32", "tf32"));
        Check.present("recompute", recompute);
        Check.atLeast("micro_batches", microBatches, 0);
        Check.that(
                microBatches == 0 || globalBatchSize % microBatches == 0,
                "micro_batches",
                microBatches,
                "must divide global_batch_size, which is " + globalBatchSize);
        Check.atLeast("memory", memory, 0);
        Check.present("on_nan", onNan);
    }

    /** These settings with the choices about memory made. */
    public TrainConfig with(Recompute recomputed, int parts) {
        return with(globalBatchSize, recomputed, parts);
    }

    /** These settings for another batch size, with the choices about memory made. */
    public TrainConfig with(int batch, Recompute recomputed, int parts) {
        return with(dataPaths, dataShape, epochsPerPass, batch, recomputed, parts);
    }

    /** These settings for data that are there, with the order in which they are drawn. */
    public TrainConfig with(List<String> paths, DataShape shape, int drawnTogether) {
        return with(paths, shape, drawnTogether, globalBatchSize, recompute, microBatches);
    }

    private TrainConfig with(
            List<String> paths, DataShape shape, Integer drawnTogether, int batch, Recompute recomputed, int parts) {
        return new TrainConfig(
                arch,
                paths,
                shape,
                batch,
                epochs,
                evalInterval,
                drawnTogether,
                lr,
                lrMinRatio,
                lrWarmupSteps,
                beta1,
                beta2,
                weightDecay,
                puzzleEmbLr,
                puzzleEmbWeightDecay,
                freezeWeights,
                ema,
                emaRate,
                seed,
                loadCheckpoint,
                runName,
                optimizer,
                maxGradNorm,
                checkpointEverySteps,
                checkpointKeep,
                maxSteps,
                logEverySteps,
                evalPuzzles,
                evalBatchSize,
                threads,
                matmulPrecision,
                recomputed,
                parts,
                memory,
                onNan);
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

    /** Bytes that may be taken: {@code memory}, or as many as there are. */
    public long memoryLimit() {
        return memory > 0 ? memory : Long.MAX_VALUE;
    }

    /** Lanes that go through the network at once: the batch, or one of its parts. */
    public int lanesAtOnce() {
        return globalBatchSize / Math.max(1, microBatches);
    }

    /** Lanes of an evaluation. */
    public int evaluationLanes() {
        return evalBatchSize > 0 ? evalBatchSize : lanesAtOnce();
    }
}
