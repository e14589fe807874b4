package trm.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.device.Backend;
import trm.io.SafeTensors;
import trm.train.DeviceExamples;
import trm.train.Evaluator;

/** Evaluates a checkpoint. */
@Command(
        name = "eval",
        mixinStandardHelpOptions = true,
        description = "Evaluates the moving average of a run or checkpoint on a whole split.",
        footer = {"", "Example: trm eval runs/demo --split test --json"})
final class EvalCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "RUN|CHECKPOINT", description = "Run folder, .safetensors file or PyTorch's checkpoint.")
    private Path checkpoint;

    @Option(names = "--data", paramLabel = "DIR", description = "Data-set folder; default: the run's own.")
    private Path data;

    @Option(names = "--split", defaultValue = "test", description = "train or test (default ${DEFAULT-VALUE}).")
    private String split;

    @Option(names = "--limit", defaultValue = "9223372036854775807", description = "Only the first N puzzles.")
    private long limit;

    @Option(
            names = "--steps",
            defaultValue = "0",
            description = "Supervision steps; default: the run's halt_max_steps.")
    private int steps;

    @Option(names = "--batch", defaultValue = "0", description = "Lanes at once; default: the run's.")
    private int batch;

    @Mixin
    private ConfigOption settings;

    @Mixin
    private DeviceOption device;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        Cli.atLeast(spec, "--limit", limit, 1);
        Cli.atLeast(spec, "--steps", steps, 0);
        Cli.atLeast(spec, "--batch", batch, 0);
        if (!List.of("train", "test").contains(split)) {
            throw new ParameterException(spec.commandLine(), "--split " + split + ": expected train or test");
        }
        SafeTensors file = LoadedModel.file(checkpoint);
        TrainConfig config = settings.of(file);
        Dataset dataset =
                Dataset.open(data != null ? data : Path.of(config.dataPaths().get(0)), split);
        int lanes = batch > 0 ? batch : config.evaluationLanes();
        int depth = steps > 0 ? steps : config.arch().haltMaxSteps();
        long began = System.nanoTime();
        try (Backend backend = device.open(config);
                LoadedModel model = LoadedModel.load(backend, file, config, LoadedModel.shapeOf(dataset), lanes);
                Evaluator evaluator = new Evaluator(
                        backend,
                        model.arena(),
                        model.sizes(),
                        model.parameters(),
                        model.parameters().weights(),
                        depth)) {
            Evaluator.Result r = evaluator.evaluate(DeviceExamples.upload(backend, model.arena(), dataset), limit);
            double seconds = (System.nanoTime() - began) * 1e-9;
            System.out.printf(
                    Locale.ROOT,
                    "%s %s: %d puzzles, %d steps, accuracy %.4f, exact accuracy %.4f, %.1f s%n",
                    file.file(),
                    split,
                    r.puzzles(),
                    depth,
                    r.accuracy(),
                    r.exactAccuracy(),
                    seconds);
            if (json) {
                Map<String, Object> result = new LinkedHashMap<>();
                result.put("accuracy", r.accuracy());
                result.put("exact_accuracy", r.exactAccuracy());
                result.put("puzzles", r.puzzles());
                result.put("steps", depth);
                result.put("seconds", seconds);
                Cli.json(result);
            }
        }
        return 0;
    }
}
