package trm.train;

import java.nio.file.Path;
import java.util.List;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.TrainLoader;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.LaneKernels;
import trm.device.Metric;
import trm.evaluation.AnswerListener;
import trm.evaluation.Score;
import trm.io.SafeTensors;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * A trained model meets puzzles that it does not know. Their vectors are trained on their demonstrations, the training split of a
 * folder, while the weights keep their bits; then the model answers the test split. It is a run with {@code load_checkpoint} and
 * {@code freeze_weights} of which nothing is kept: the same loader, the same steps, the same evaluator. Every vector begins as the mean
 * of those that the model knows, as in the published code. Owns its memory on the device; for one thread.
 */
public final class Adaptation implements AutoCloseable {
    /** Times that a listener hears of the loss. */
    private static final int REPORTS = 10;

    /** Follows the steps. */
    @FunctionalInterface
    public interface Listener {
        /** @param loss mean token loss of a sample since it was last told */
        void trained(int step, double loss);
    }

    private final RunSetup setup;
    private final Arena arena;
    private final RunTensors tensors;

    private Adaptation(RunSetup setup, Arena arena, RunTensors tensors) {
        this.setup = setup;
        this.arena = arena;
        this.tensors = tensors;
    }

    /**
     * Loads the weights, the moving average where the file has one and its settings keep it, and the data.
     *
     * @param trained settings of the model, which has puzzle vectors
     * @param folder data set with both splits
     * @param steps that the vectors are trained for at most
     * @param rate of the first step; it falls to 0 with the last
     * @throws trm.io.FormatException if weights or data are not as they should be
     * @throws trm.device.DeviceException if they do not fit into memory
     */
    public static Adaptation of(
            Backend backend, TrainConfig trained, SafeTensors weights, Path folder, int steps, double rate) {
        int lanes = Math.min(
                trained.schedule().globalBatchSize(),
                Dataset.open(folder, "train").examples());
        TrainConfig config = trained.adapting(List.of(folder.toString()), lanes, steps, rate);
        RunSetup setup = RunSetup.of(backend, config, folder, List.of(), false);
        Arena arena = setup.plan().allocate(backend);
        try {
            RunTensors tensors =
                    RunTensors.allocate(backend, arena, setup.plan().settled(), setup.sizes(), setup.totalSteps());
            Adaptation adaptation = new Adaptation(setup, arena, tensors);
            adaptation.load(weights);
            return adaptation;
        } catch (RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    private void load(SafeTensors weights) {
        Backend backend = setup.backend();
        try {
            DeviceExamples.upload(backend, setup.data().train(), tensors.trainExamples());
            DeviceExamples.upload(backend, setup.data().test(), tensors.testExamples());
            boolean averaged = setup.config().average().kept();
            Checkpoint.readForNewPuzzles(weights, backend, tensors.parameters(), averaged);
        } catch (RuntimeException e) {
            tensors.close();
            throw e;
        }
    }

    /** Lanes of a step. */
    public int lanes() {
        return setup.config().schedule().globalBatchSize();
    }

    /** Examples of demonstrations, copies included. */
    public int demonstrations() {
        return setup.data().train().examples();
    }

    /** Steps of supervision of an answer. */
    public int supervisionSteps() {
        return setup.config().arch().halting().maxSteps();
    }

    /**
     * Trains the vectors.
     *
     * @param seconds after which no further step begins; 0 for no limit
     * @return steps done
     * @throws DivergedException if the loss is not finite
     */
    public int train(double seconds, Listener listener) {
        long began = System.nanoTime();
        int steps = (int) setup.totalSteps();
        int every = Math.max(1, steps / REPORTS);
        TrainLoader loader = RunStart.loader(setup);
        loader.startPass();
        int step = 0;
        int told = 0;
        boolean over = false;
        while (step < steps && !over) {
            int[] rows = loader.nextBatch();
            if (rows == null) {
                loader.startPass();
                continue;
            }
            tensors.supervision().step(rows);
            step++;
            over = seconds > 0 && (System.nanoTime() - began) * 1e-9 >= seconds;
            if (step % every == 0 || step == steps || over) {
                tell(step, step - told, listener);
                told = step;
            }
        }
        return step;
    }

    private void tell(int step, int since, Listener listener) {
        MetricsReading reading = tensors.supervision().takeMetrics();
        reading.await();
        double loss = reading.metric(Metric.LM_LOSS) / ((double) since * lanes());
        if (!Double.isFinite(loss)) {
            throw new DivergedException("adaptation: step " + step + ": the loss is " + loss);
        }
        listener.trained(step, loss);
    }

    /** The demonstrations that {@link #loss} looks at: as many as there are lanes, evenly spread. */
    public int measured() {
        return TrainingLoop.evaluationRows(demonstrations(), lanes()).length;
    }

    /** Mean token loss of some demonstrations, the same each time, after all supervision steps. */
    public double loss() {
        int[] rows = TrainingLoop.evaluationRows(demonstrations(), lanes());
        return tensors.evaluator()
                .evaluate(tensors.trainExamples(), rows, () -> false, null)
                .orElseThrow()
                .lmLoss();
    }

    /** Answers the whole test split. */
    public Score answer(AnswerListener answers) {
        return tensors.evaluator()
                .evaluate(tensors.testExamples(), Long.MAX_VALUE, () -> false, answers)
                .orElseThrow();
    }

    public Dataset test() {
        return setup.data().test();
    }

    /** The test split on the device. */
    public LaneKernels.Examples testExamples() {
        return tensors.testExamples();
    }

    public ModelSizes sizes() {
        return new ModelSizes(setup.config().arch(), setup.config().data().shape(), lanes());
    }

    /** Weights and trained vectors. */
    public Parameters parameters() {
        return tensors.parameters();
    }

    public Arena arena() {
        return arena;
    }

    @Override
    public void close() {
        tensors.close();
        arena.close();
    }
}
