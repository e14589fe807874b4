package trm.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.device.Backend;
import trm.io.FormatException;
import trm.train.Run;

/** Trains a model, or continues a run. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        description = "Trains a model from a configuration, or continues a run.",
        footer = {
            "",
            "Example: trm train configs/cpu/sudoku-mlp-small.yaml lr=2e-4 arch.L_cycles=4 --run runs/small",
            "         trm train --resume runs/small",
            "SIGINT and SIGTERM finish the step, write a checkpoint and exit with 130 and 143; an evaluation is given up",
            "and repeated on resume. Exit code 1 if the checkpoint could not be written."
        })
final class TrainCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(
            arity = "0..*",
            paramLabel = "CONFIG.yaml key=value",
            description = "Configuration file and values that replace its own.")
    private List<String> arguments = List.of();

    @Option(names = "--resume", paramLabel = "DIR", description = "Continue the run in this folder.")
    private Path resume;

    @Option(names = "--run", paramLabel = "DIR", description = "Run folder; default runs/<run_name or config name>.")
    private Path run;

    @Mixin
    private DeviceOption device;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        TrainConfig config;
        Path folder;
        if (resume != null) {
            if (!arguments.isEmpty()) {
                throw new ParameterException(
                        spec.commandLine(), "--resume takes its settings from the run; found also " + arguments);
            }
            folder = resume;
            if (!Files.isRegularFile(folder.resolve("config.yaml"))) {
                throw new FormatException(folder + ": no config.yaml, expected the folder of a run");
            }
            config = ConfigLoader.load(folder.resolve("config.yaml"), List.of());
        } else {
            if (arguments.isEmpty()) {
                throw new ParameterException(spec.commandLine(), "expected CONFIG.yaml or --resume DIR");
            }
            Path file = Path.of(arguments.get(0));
            config = ConfigLoader.load(file, arguments.subList(1, arguments.size()));
            String name = config.runName() != null
                    ? config.runName()
                    : file.getFileName().toString().replaceFirst("\\.ya?ml$", "");
            folder = run != null ? run : Path.of("runs", name);
        }
        if (config.dataPaths().isEmpty()) {
            throw new ConfigException("data_paths", "data_paths is empty, expected a data-set folder");
        }
        return train(config, folder);
    }

    private int train(TrainConfig config, Path folder) {
        try (Backend backend = device.open(config);
                ProgressPrinter progress = new ProgressPrinter()) {
            Run.Outcome outcome = StopSignal.run(new Run(backend, config, folder, progress), resume != null);
            if (json) {
                Map<String, Object> result = new LinkedHashMap<>();
                result.put("run", folder.toString());
                result.put("outcome", outcome.name().toLowerCase(java.util.Locale.ROOT));
                Cli.json(result);
            }
            return 0;
        }
    }
}
