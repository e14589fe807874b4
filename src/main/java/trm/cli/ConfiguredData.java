package trm.cli;

import java.util.Optional;
import trm.config.ConfigException;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.data.Dataset;

/**
 * What a configuration says of its data, for commands that need none: the data set where it is there, else {@code
 * data_shape}.
 */
final class ConfiguredData {
    private ConfiguredData() {}

    /** A split of {@code data_paths}, if it is there. */
    static Optional<Dataset> open(TrainConfig config, String split) {
        return DataFolders.of(config.data().paths()).openIfThere(split);
    }

    /**
     * The shape of the data.
     *
     * @param source what messages call the configuration
     * @throws ConfigException if there are neither data nor data_shape, or they contradict each other
     */
    static DataShape shape(TrainConfig config, String source) {
        return shape(config, source, open(config, "train"));
    }

    /** As {@link #shape(TrainConfig, String)}, of training data that have been opened. */
    static DataShape shape(TrainConfig config, String source, Optional<Dataset> train) {
        String folders = String.join(", ", config.data().paths());
        if (train.isPresent()) {
            return DataShape.of(config.data().shape(), LoadedModel.shapeOf(train.get()), folders);
        }
        if (config.data().shape() == null) {
            throw new ConfigException(
                    "data_shape",
                    source
                            + ": no data_shape, expected {seq_len: , vocab_size: , num_puzzle_identifiers: }, as there is no"
                            + " data set in " + folders);
        }
        return config.data().shape();
    }
}
