package trm.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.io.AtomicFile;
import trm.io.FormatException;

/** The settings of a checkpoint of PyTorch, in a file beside it, where the published evaluation looks for them. */
record PublishedSettings(Path file, String yaml) {
    /** Where the published training writes the settings of a run, beside its checkpoints. */
    static final String NAME = "all_config.yaml";

    /** @param checkpoint which they are to lie beside */
    PublishedSettings(Path checkpoint, TrainConfig config) {
        this(checkpoint.resolveSibling(NAME), ConfigLoader.toPublishedYaml(config));
    }

    /** @throws FormatException if there are others: they belong to another checkpoint of the folder */
    void refuseOther() {
        try {
            if (Files.exists(file) && !Files.readString(file).equals(yaml)) {
                throw new FormatException(file
                        + ": holds other settings, those of another checkpoint; expected none, or a folder of its own"
                        + " (--force replaces them)");
            }
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
    }

    /** @throws FormatException if that fails */
    void write() {
        try {
            AtomicFile.replace(file, yaml);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
        }
    }
}
