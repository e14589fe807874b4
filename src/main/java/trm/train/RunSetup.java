package trm.train;

import java.nio.file.Path;
import java.util.List;
import trm.config.ConfigException;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.device.Backend;
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
        if (!config.evaluation().gates().isEmpty() && data.test() == null) {
            throw new ConfigException(
                    "gates",
                    "gates are given, but the data in " + data.folders() + " have no test split to evaluate on");
        }
        if (!config.evaluation().savedOutputs().isEmpty() && data.test() == null) {
            throw new ConfigException(
                    "eval_save_outputs",
                    "eval_save_outputs names outputs, but the data in " + data.folders()
                            + " have no test split to evaluate on");
        }
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
