package trm.reproduce;

import java.util.Optional;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.reproduce.Rates.Expected;
import trm.train.DepthSchedule;
import trm.train.Devices;
import trm.train.MemoryPlan;
import trm.train.Run;
import trm.train.RunTensors;

/**
 * What a run on one GPU takes: steps, memory, time. Reading the data, checkpoints and what a start takes are not in it.
 *
 * @param steps optimizer steps of the whole run
 * @param step one of them, of the deepest recursion where that grows
 * @param trainHours all of them
 * @param evaluationHours all evaluations of the run
 * @param memory the plan; without the data set where that is not there
 */
public record RunCost(long steps, Expected step, double trainHours, double evaluationHours, MemoryPlan memory) {
    private static final double MS_PER_HOUR = 3.6e6;

    /** @throws trm.config.ConfigException if there is nothing to tell the time from */
    public static RunCost of(TrainConfig config, DataNeed data, Rates rates) {
        DataFolders folders = DataFolders.of(config.data().paths());
        Optional<Dataset> train = folders.openIfThere("train");
        Optional<Dataset> test = folders.openIfThere("test");
        RunTensors.DataSizes sizes = train.map(
                        there -> RunTensors.DataSizes.of(there, test.orElse(null), config.data()))
                .orElseGet(() -> new RunTensors.DataSizes(
                        config.data().shape(),
                        DeviceExamples.Size.expanded(0, -1),
                        DeviceExamples.Size.expanded(0, -1)));
        long steps = train.map(there -> Run.totalSteps(config, there))
                .orElseGet(() -> Run.totalSteps(config, data.samples(), 1));
        long tests = test.map(Dataset::examples).map(Integer::longValue).orElse(data.testSamples());
        return of(config, sizes, steps, tests, rates);
    }

    /**
     * As above, of data whose sizes are known.
     *
     * @param tests samples of an evaluation of all
     */
    public static RunCost of(TrainConfig config, RunTensors.DataSizes data, long steps, long tests, Rates rates) {
        DataShape shape = data.shape();
        ModelSizes model =
                new ModelSizes(config.arch(), shape, config.schedule().globalBatchSize());
        long most = rates.memoryBytes() > 0 ? rates.memoryBytes() : Long.MAX_VALUE;
        MemoryPlan plan = MemoryPlan.of(
                Devices.absentGpu(),
                Math.min(most, config.memory().limitBytes()),
                config,
                model.positions(),
                (backend, arena, settled) -> RunTensors.allocate(backend, arena, settled, data, steps));
        return of(plan, model, steps, tests, rates);
    }

    /**
     * As above, of a plan that is made.
     *
     * @param model of the lanes of one rank; what ranks wait for each other is not known, and not in it
     */
    public static RunCost of(MemoryPlan plan, ModelSizes model, long steps, long tests, Rates rates) {
        TrainConfig settled = plan.settled();
        Expected step = rates.step(model, settled.memory());
        double likeLast = new DepthSchedule(settled, steps).flops(model) / model.flops(true);
        return new RunCost(
                steps,
                step,
                likeLast * step.ms() / MS_PER_HOUR,
                evaluationMs(settled, model, steps, tests, rates) / MS_PER_HOUR,
                plan);
    }

    /** All evaluations but the last may be of fewer samples ({@code eval_puzzles}); each takes all supervision steps. */
    private static double evaluationMs(TrainConfig config, ModelSizes model, long steps, long tests, Rates rates) {
        if (tests == 0 || steps == 0) {
            return 0;
        }
        long evaluations = Math.max(
                1,
                Math.round(
                        (double) config.schedule().epochs() / config.schedule().epochsBetweenEvaluations()));
        int puzzles = config.evaluation().puzzles();
        long within = puzzles == 0 ? tests : Math.min(puzzles, tests);
        int ranks = config.schedule().globalBatchSize() / model.lanes();
        int lanes = (config.evaluationLanes() + ranks - 1) / ranks;
        long atOnce = (long) ranks * lanes;
        long batches = (evaluations - 1) * ((within + atOnce - 1) / atOnce) + (tests + atOnce - 1) / atOnce;
        return batches
                * config.arch().halting().maxSteps()
                * rates.evaluation(model.withLanes(lanes)).ms();
    }

    /** Training and evaluations. */
    public double hours() {
        return trainHours + evaluationHours;
    }
}
