package trm.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Option;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.train.Checkpoint;

/** The option {@code --config} of the commands that take a checkpoint: PyTorch's files hold weights only. */
final class ConfigOption {
    @Option(
            names = "--config",
            paramLabel = "CONFIG.yaml",
            description = "Settings of a checkpoint that carries none, as PyTorch's; default: " + PublishedSettings.NAME
                    + " beside it.")
    private Path config;

    /** The settings given, else the checkpoint's own, else those of a published run, if there are any. */
    Optional<TrainConfig> find(SafeTensors file) {
        Path beside = file.file().toAbsolutePath().resolveSibling(PublishedSettings.NAME);
        if (config != null) {
            return Optional.of(ConfigLoader.load(config, List.of()));
        }
        return Checkpoint.config(file)
                .or(() -> Files.isRegularFile(beside)
                        ? Optional.of(ConfigLoader.load(beside, List.of()))
                        : Optional.empty());
    }

    /** @throws FormatException if there are none */
    TrainConfig of(SafeTensors file) {
        return find(file)
                .orElseThrow(() -> new FormatException(file.file() + ": carries no settings, and there is no "
                        + PublishedSettings.NAME + " beside it; give --config CONFIG.yaml"));
    }
}
