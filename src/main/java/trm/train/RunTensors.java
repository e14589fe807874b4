package trm.train;

import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Kernels;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * All that a training run keeps on its device, in the order in which it is laid out.
 *
 * @param evaluator null without a test split, as {@code testExamples}
 */
public record RunTensors(
        Parameters parameters,
        Kernels.Examples trainExamples,
        DeepSupervision supervision,
        Evaluator evaluator,
        Kernels.Examples testExamples)
        implements AutoCloseable {

    /**
     * What memory must know of a data set.
     *
     * @param train examples to train with
     * @param test examples of the test split, -1 without one
     */
    public record DataSizes(DataShape shape, long train, long test, int trainIgnore, int testIgnore) {
        /** @param test null without a test split */
        public static DataSizes of(Dataset train, Dataset test) {
            DataShape shape = new DataShape(
                    train.seqLen(), train.info().vocabSize(), train.info().numPuzzleIdentifiers());
            return new DataSizes(
                    shape, train.examples(), test == null ? -1 : test.examples(), ignored(train), ignored(test));
        }

        private static int ignored(Dataset data) {
            Integer label = data == null ? null : data.info().ignoreLabelId();
            return label == null ? -1 : label;
        }
    }

    /**
     * Asks the arena for everything.
     *
     * @param totalSteps optimizer steps of the whole run
     */
    public static RunTensors allocate(
            Backend backend, Arena arena, TrainConfig config, DataSizes data, long totalSteps) {
        ModelSizes sizes = new ModelSizes(config.arch(), data.shape(), config.globalBatchSize());
        int length = data.shape().seqLen();
        Parameters parameters = new Parameters(backend, arena, sizes, true);
        Kernels.Examples train = DeviceExamples.allocate(arena, data.train(), length, data.trainIgnore());
        DeepSupervision supervision = new DeepSupervision(backend, arena, sizes, parameters, config, totalSteps, train);
        if (data.test() < 0) {
            return new RunTensors(parameters, train, supervision, null, null);
        }
        try {
            Evaluator evaluator = new Evaluator(
                    backend,
                    arena,
                    sizes.withLanes(config.evaluationLanes()),
                    parameters,
                    config.ema() ? parameters.averagedWeights() : parameters.weights(),
                    config.arch().haltMaxSteps());
            Kernels.Examples test = DeviceExamples.allocate(arena, data.test(), length, data.testIgnore());
            return new RunTensors(parameters, train, supervision, evaluator, test);
        } catch (RuntimeException e) {
            supervision.close();
            throw e;
        }
    }

    /** Gives back what is not the arena's; before the arena is closed. */
    @Override
    public void close() {
        if (evaluator != null) {
            evaluator.close();
        }
        supervision.close();
    }
}
