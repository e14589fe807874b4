package trm.cli;

import java.io.IOException;
import java.nio.file.Files;
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
import trm.data.ArcVotes;
import trm.data.Dataset;
import trm.device.Backend;
import trm.device.Kernels;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.train.ArcVoting;
import trm.train.DeviceExamples;
import trm.train.Evaluator;
import trm.train.Score;

/** Evaluates a checkpoint. */
@Command(
        name = "eval",
        mixinStandardHelpOptions = true,
        description = {
            "Evaluates the moving average of a run or checkpoint on a whole split.",
            "On the test split of ARC the answers to a task's augmented copies vote, as in the published evaluation."
        },
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

    @Option(
            names = "--submission",
            paramLabel = "FILE",
            description = "For ARC: write the first two answers to each test input in the form of a Kaggle submission.")
    private Path submission;

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
        Path folder = data != null ? data : Path.of(config.dataPaths().get(0));
        Dataset dataset = Dataset.open(folder, split);
        ArcVoting voting = voting(folder, dataset);
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
            Kernels.Examples examples = DeviceExamples.upload(backend, model.arena(), dataset);
            Score r =
                    evaluator.evaluate(examples, limit, () -> false, voting).orElseThrow();
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
            Map<Integer, Double> pass =
                    voting == null ? Map.of() : voting.votes().pass(ArcVotes.PASS_K);
            if (voting != null) {
                System.out.println(ArcVoting.describe(pass));
                writeSubmission(voting.votes());
            }
            if (json) {
                Map<String, Object> result = new LinkedHashMap<>();
                result.put("accuracy", r.accuracy());
                result.put("exact_accuracy", r.exactAccuracy());
                result.put("puzzles", r.puzzles());
                result.put("steps", depth);
                result.put("seconds", seconds);
                pass.forEach((k, score) -> result.put("ARC/pass@" + k, score));
                Cli.json(result);
            }
        }
        return 0;
    }

    /** For the test split of ARC data; null for anything else. */
    private ArcVoting voting(Path folder, Dataset dataset) {
        ArcVoting voting = split.equals("test") ? ArcVoting.of(folder, dataset) : null;
        if (submission != null && voting == null) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--submission is for the test split of ARC data; " + folder + " (" + split + ") is none");
        }
        return voting;
    }

    private void writeSubmission(ArcVotes votes) {
        if (submission == null) {
            return;
        }
        try {
            Files.writeString(submission, votes.submission(ArcVotes.ATTEMPTS));
        } catch (IOException e) {
            throw new FormatException(submission + ": cannot be written: " + FormatException.reason(e), e);
        }
        Cli.message("wrote " + submission);
    }
}
