package trm.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import trm.config.ComputeType;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.io.SafeTensors;
import trm.model.ModelSizes;
import trm.model.Parameters;
import trm.train.Checkpoint;

/**
 * A checkpoint's weights on a device, ready to be evaluated: the moving average where the run kept one. Owns their
 * memory, and that of whatever else is put into its arena.
 */
record LoadedModel(Backend backend, Arena arena, ModelSizes sizes, Parameters parameters) implements AutoCloseable {
    /**
     * Opens a checkpoint file, also one of others, or a run folder's newest valid one, damaged ones being reported; or the weights of
     * the bundled model of this name, where there is no such file.
     */
    static SafeTensors file(Path runOrFile) {
        Optional<BundledModel> bundled =
                runOrFile.getNameCount() == 1 && !runOrFile.isAbsolute() && Files.notExists(runOrFile)
                        ? BundledModels.named(runOrFile.toString())
                        : Optional.empty();
        return Checkpoint.open(bundled.map(BundledModel::weights).orElse(runOrFile), Cli::message);
    }

    /**
     * Loads the weights.
     *
     * @param lanes puzzles at once
     * @throws trm.io.FormatException if the file is of another architecture
     * @throws trm.device.DeviceException if more memory is asked for than the settings allow
     */
    static LoadedModel load(Backend backend, SafeTensors file, TrainConfig given, DataShape shape, int lanes) {
        TrainConfig config = computable(backend, given);
        Arena arena = new Arena(backend, config.memory().limitBytes());
        try {
            ModelSizes sizes = new ModelSizes(config.arch(), shape, lanes);
            Parameters parameters = new Parameters(backend, arena, sizes, false);
            Checkpoint.used(file, Optional.of(config.average().kept())).ifPresent(Cli::message);
            Checkpoint.readWeights(file, backend, parameters, config.average().kept());
            return new LoadedModel(backend, arena, sizes, parameters);
        } catch (RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    /** The settings, in float32 where the device does not compute in bfloat16: weights that are not float32 are made so. */
    static TrainConfig computable(Backend backend, TrainConfig config) {
        if (backend.capabilities().computes(Dtype.compute(config.arch().dtype().key()))) {
            return config;
        }
        Cli.message(backend.name() + " (" + backend.target() + ") has no products of "
                + config.arch().dtype().key() + ": computing in float32");
        return config.computedIn(ComputeType.FLOAT32);
    }

    static DataShape shapeOf(Dataset data) {
        return new DataShape(data.seqLen(), data.info().vocabSize(), data.info().numPuzzleIdentifiers());
    }

    @Override
    public void close() {
        arena.close();
    }
}
