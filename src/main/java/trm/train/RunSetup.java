package trm.train;

import java.nio.file.Path;
import java.util.List;
import trm.config.BestBy;
import trm.config.ConfigException;
import trm.config.EvaluationConfig;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.device.Backend;
import trm.evaluation.ArcVoting;
import trm.io.FormatException;

/**
 * What stands before a run's folder is touched: its data, and settings that leave nothing open to data and memory.
 *
 * @param config settled with the data and the plan
 * @param totalSteps optimizer steps of the whole run
 */
record RunSetup(Backend backend, TrainConfig config, Path folder, RunData data, long totalSteps, MemoryPlan plan) {

    /**
     * Opens the data and plans the memory.
     *
     * @param movedData where the data of a run that is resumed are now; empty if they are where they were
     * @throws FormatException if the data cannot be read, or fill no batch
     */
    static RunSetup of(Backend backend, TrainConfig given, Path folder, List<Path> movedData, boolean resume) {
        RunData data = resume
                ? RunData.reopen(folder, given, movedData)
                : RunData.open(DataFolders.of(given.data().paths()));
        TrainConfig config = data.settle(given);
        long total = Run.totalSteps(config, data.train());
        if (total < 1) {
            throw new FormatException(data.folders() + ": " + config.schedule().epochs() + " epochs of "
                    + data.train().examples() + " examples fill no batch of global_batch_size: "
                    + config.schedule().globalBatchSize());
        }
        requireSteps(config, total);
        requireEvaluations(config, data);
        config.schedule().requireRanks(backend.collective().ranks());
        config.schedule().requirePass(data.train().info().totalGroups());
        data.requireBatches(config);
        RunTensors.DataSizes sizes = RunTensors.DataSizes.of(data.train(), data.test(), config.data());
        int positions = config.arch().prefixLen() + data.train().seqLen();
        MemoryPlan plan = MemoryPlan.of(
                backend,
                config,
                positions,
                (device, arena, settled) -> RunTensors.allocate(device, arena, settled, sizes, total));
        plan.requireFits();
        // gradients are summed part by part: a resumed run must go on with as many parts
        int parts = plan.settled().memory().microBatches();
        return new RunSetup(backend, config.with(config.memory().recompute(), parts), folder, data, total, plan);
    }

    /** What is asked of evaluations needs a test split, votes need ARC's. */
    private static void requireEvaluations(TrainConfig config, RunData data) {
        EvaluationConfig evaluation = config.evaluation();
        BestBy best = config.checkpoints().best();
        if (data.test() == null) {
            String lacking = " but the data in " + data.folders() + " have no test split to evaluate on";
            refuse(!evaluation.gates().isEmpty(), "gates", "gates are given," + lacking);
            refuse(
                    evaluation.everySteps() > 0,
                    "eval_every_steps",
                    "eval_every_steps is " + evaluation.everySteps() + "," + lacking);
            refuse(evaluation.patience() > 0, "patience", "patience is " + evaluation.patience() + "," + lacking);
            refuse(best != null, "checkpoint_best", "checkpoint_best is given," + lacking);
            refuse(
                    !evaluation.savedOutputs().isEmpty(),
                    "eval_save_outputs",
                    "eval_save_outputs names outputs," + lacking);
        }
        refuse(
                best == BestBy.EVAL_PASS_2 && ArcVoting.of(data.folders(), data.test()) == null,
                "checkpoint_best",
                "checkpoint_best is " + BestBy.EVAL_PASS_2.key() + ", but the data in " + data.folders()
                        + " are none of ARC, where answers vote; expected " + BestBy.EVAL_EXACT_ACCURACY.key());
    }

    private static void refuse(boolean wrong, String key, String message) {
        if (wrong) {
            throw new ConfigException(key, message);
        }
    }

    /** A run that begins at a later step of its schedule has one left. */
    private static void requireSteps(TrainConfig config, long total) {
        long begin = config.run().beginStep();
        if (begin >= total) {
            throw new ConfigException(
                    "begin_step",
                    "begin_step is " + begin + ": the schedule is over at step " + total + " ("
                            + (total == config.schedule().plannedSteps()
                                    ? "planned_steps"
                                    : total == config.schedule().maxSteps() ? "max_steps" : "epochs")
                            + "); must be less");
        }
    }

    /** The same run with as many steps as it has planned. */
    RunSetup withPlannedSteps(int steps) {
        return new RunSetup(backend, config.withPlannedSteps(steps), folder, data, steps, plan);
    }

    /** What memory must know of the data. */
    RunTensors.DataSizes sizes() {
        return RunTensors.DataSizes.of(data.train(), data.test(), config.data());
    }
}
