package trm.train;

import trm.config.Augment;
import trm.config.ConfigException;
import trm.config.DataConfig;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.FreshSymmetries;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.LaneKernels;
import trm.device.Staging;
import trm.evaluation.Evaluator;
import trm.input.DataException;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * All that a training run keeps on its device, in the order in which it is laid out, and what its checkpoints go through.
 *
 * @param evaluator null without a test split, as {@code testExamples}
 */
public record RunTensors(
        Parameters parameters,
        LaneKernels.Examples trainExamples,
        DeepSupervision supervision,
        Evaluator evaluator,
        LaneKernels.Examples testExamples,
        Staging staging,
        RunRanks ranks,
        CheckpointCopy copy)
        implements AutoCloseable {

    /**
     * What memory must know of the data.
     *
     * @param test null without a test split
     */
    public record DataSizes(DataShape shape, DeviceExamples.Size train, DeviceExamples.Size test) {
        /** @param test null without a test split */
        public static DataSizes of(Dataset train, Dataset test) {
            DataShape shape = new DataShape(
                    train.seqLen(), train.info().vocabSize(), train.info().numPuzzleIdentifiers());
            return new DataSizes(
                    shape, DeviceExamples.Size.of(train), test == null ? null : DeviceExamples.Size.of(test));
        }

        /**
         * As training takes them: with fresh augmentation the records of the training split are not needed.
         *
         * @param test null without a test split
         * @throws ConfigException if the data cannot be augmented as the settings ask
         */
        public static DataSizes of(Dataset train, Dataset test, DataConfig settings) {
            DataSizes sizes = of(train, test);
            if (settings.augment() != Augment.FRESH) {
                return sizes;
            }
            try {
                return new DataSizes(sizes.shape, sizes.train.fresh(FreshSymmetries.of(train)), sizes.test);
            } catch (DataException e) {
                throw new ConfigException(
                        "augment",
                        "augment is " + settings.augment().key() + ": " + String.join(", ", settings.paths()) + ": "
                                + e.getMessage());
            }
        }
    }

    /**
     * Asks the arena for everything that one of the backend's ranks has.
     *
     * @param totalSteps optimizer steps of the whole run
     */
    public static RunTensors allocate(
            Backend backend, Arena arena, TrainConfig config, DataSizes data, long totalSteps) {
        int ranks = backend.collective().ranks();
        ModelSizes sizes =
                new ModelSizes(config.arch(), data.shape(), config.schedule().globalBatchSize() / ranks);
        int length = data.shape().seqLen();
        Parameters parameters = new Parameters(backend, arena, sizes, true);
        LaneKernels.Examples train = DeviceExamples.allocate(arena, data.train(), length);
        DeepSupervision supervision = new DeepSupervision(backend, arena, sizes, parameters, config, totalSteps, train);
        Evaluator evaluator = null;
        LaneKernels.Examples test = null;
        try {
            if (data.test() != null) {
                evaluator = new Evaluator(
                        backend,
                        arena,
                        sizes.withLanes((config.evaluationLanes() + ranks - 1) / ranks),
                        parameters,
                        config.average().kept() ? parameters.averagedWeights() : parameters.weights(),
                        config.arch().halting().maxSteps());
                test = DeviceExamples.allocate(arena, data.test(), length);
            }
            Staging staging = new Staging(backend);
            return new RunTensors(
                    parameters,
                    train,
                    supervision,
                    evaluator,
                    test,
                    staging,
                    new RunRanks(backend, arena),
                    new CheckpointCopy(
                            arena, backend.isOnHost(), staging, Checkpoint.bytes(parameters, supervision, ranks)));
        } catch (RuntimeException e) {
            if (evaluator != null) {
                evaluator.close();
            }
            supervision.close();
            throw e;
        }
    }

    /** Gives back what is not the arena's; before the arena is closed. */
    @Override
    public void close() {
        ranks.close();
        copy.close();
        staging.close();
        if (evaluator != null) {
            evaluator.close();
        }
        supervision.close();
    }
}
