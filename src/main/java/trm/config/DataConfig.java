package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ConfigSection.optional;

import java.util.HashSet;
import java.util.List;

/**
 * What is trained on.
 *
 * @param paths dataset directories
 * @param shape of the dataset, null to take it from the data
 * @param augment what changes an example as it is taken
 */
public record DataConfig(List<String> paths, DataShape shape, Augment augment) {
    static final ConfigSection<DataConfig> KEYS = ConfigSection.of(
            DataConfig.class,
            "Data",
            key(
                            "data_paths",
                            ValueType.STRINGS,
                            List.of(),
                            DataConfig::paths,
                            "",
                            "Folders of the data set, one at least; several are merged.")
                    .alias("data_path"),
            optional("data_shape", DataShape.KEYS, DataConfig::shape),
            key(
                    "augment",
                    ValueType.words(Augment.values()),
                    Augment.STORED,
                    DataConfig::augment,
                    "",
                    "stored takes examples as the data set has them; fresh draws a symmetry of the puzzle each time one is taken"
                            + " (Sudoku, mazes; compact form)."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public DataConfig {
        Check.that(paths != null && !paths.isEmpty(), "data_paths", paths, "must name at least one dataset directory");
        paths = List.copyOf(paths);
        for (String path : paths) {
            Check.that(!path.isBlank(), "data_paths", paths, "must not contain an empty path");
        }
        Check.that(new HashSet<>(paths).size() == paths.size(), "data_paths", paths, "must not name a directory twice");
    }

    /** Of other data, as they are stored. */
    static DataConfig of(List<String> paths) {
        return new DataConfig(paths, null, Augment.STORED);
    }

    /** Of data that are there. */
    DataConfig with(List<String> newPaths, DataShape newShape) {
        return new DataConfig(newPaths, newShape, augment);
    }
}
