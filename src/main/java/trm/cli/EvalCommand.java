package trm.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.DataShape;
import trm.config.HaltingConfig;
import trm.config.ScheduleConfig;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.Grouping;
import trm.data.Puzzles;
import trm.data.puzzle.Augmentation;
import trm.device.Backend;
import trm.device.LaneKernels;
import trm.evaluation.AdaptiveEvaluator;
import trm.evaluation.ArcVotes;
import trm.evaluation.ArcVoting;
import trm.evaluation.BreadthEvaluator;
import trm.evaluation.Breakdown;
import trm.evaluation.Evaluation;
import trm.evaluation.Evaluator;
import trm.evaluation.Score;
import trm.evaluation.Validity;
import trm.input.DataException;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.lanes.DeviceExamples;
import trm.train.RunData;

/** Evaluates a checkpoint. */
@Command(
        name = "eval",
        mixinStandardHelpOptions = true,
        description = {
            "Evaluates the moving average of a run or checkpoint on a whole split.",
            "On the test split of ARC the answers to a task's augmented copies vote, as in the published evaluation.",
            "Tables count apart by source and rating, where the folder has them, and by the length of a maze's path.",
            "Beyond the papers: --adaptive, --breadth, --choose, --noise, --vote."
        },
        footer = {
            "",
            "Example: trm eval runs/demo --split test --json",
            "         trm eval runs/demo --adaptive",
            "         trm eval runs/demo --steps 32 --breadth 8 --choose majority"
        })
final class EvalCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "RUN|CHECKPOINT", description = "Run folder, .safetensors file or PyTorch's checkpoint.")
    private Path checkpoint;

    @Option(
            names = "--data",
            paramLabel = "DIR",
            description = "Data-set folder; given again, folders are merged; default: the run's own.")
    private List<Path> data;

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

    @Option(
            names = "--adaptive",
            description = "A puzzle takes no further step once its halt head says so; another takes its lane.")
    private boolean adaptive;

    @Option(
            names = "--vote",
            defaultValue = "1",
            paramLabel = "N",
            description = "Also try N - 1 symmetric copies of each Sudoku or maze (default ${DEFAULT-VALUE}).")
    private int vote;

    @Mixin
    private TriesOption tries;

    @Mixin
    private ConfigOption settings;

    @Mixin
    private DeviceOption device;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        checkOptions();
        SafeTensors file = LoadedModel.file(checkpoint);
        TrainConfig config = settings.of(file);
        DataFolders trained = Files.isDirectory(checkpoint)
                ? RunData.folders(checkpoint, config)
                : DataFolders.of(config.data().paths());
        DataFolders folders = data != null ? new DataFolders(data) : trained;
        Dataset dataset = folders.open(split);
        List<Augmentation> symmetries = symmetries(folders, dataset);
        ArcVoting voting = voting(folders, dataset);
        Optional<Validity> validity = Validity.of(dataset);
        List<Grouping> groupings = Grouping.of(folders, split, dataset);
        DataShape shape = KnownPuzzles.shape(file, config, trained, folders, dataset);
        Breakdown breakdown = new Breakdown(dataset, groupings);
        int lanes = batch > 0 ? batch : config.evaluationLanes();
        int depth = steps > 0 ? steps : config.arch().halting().maxSteps();
        long began = System.nanoTime();
        Score score;
        try (Backend backend = device.open(config);
                LoadedModel model = LoadedModel.load(backend, file, config, shape, lanes);
                Evaluation evaluation = evaluation(model, depth, symmetries)) {
            LaneKernels.Examples examples = vote == 1
                    ? DeviceExamples.upload(backend, model.arena(), dataset)
                    : DeviceExamples.uploadCopies(
                            backend, model.arena(), dataset, (int) Math.min(limit, dataset.examples()), symmetries);
            score = evaluation
                    .evaluate(examples, limit, () -> false, (rows, predictions, qHalt) -> {
                        if (voting != null) {
                            voting.answered(rows, predictions, qHalt);
                        }
                        validity.ifPresent(v -> v.answered(rows, predictions, qHalt));
                        breakdown.answered(rows, predictions, qHalt);
                    })
                    .orElseThrow();
        }
        double seconds = (System.nanoTime() - began) * 1e-9;
        Breakdown counted =
                voting == null ? breakdown : Breakdown.of(dataset, groupings, voting.votes(), ArcVotes.ATTEMPTS);
        report(
                file.file(),
                depth,
                score,
                validity,
                seconds,
                voting,
                new BreakdownPrinter(counted.tables(), voting != null));
        return 0;
    }

    private void checkOptions() {
        Cli.atLeast(spec, "--limit", limit, 1);
        Cli.within(spec, "--steps", steps, 0, HaltingConfig.MAX_STEPS);
        Cli.within(spec, "--batch", batch, 0, ScheduleConfig.MAX_LANES);
        Cli.within(spec, "--vote", vote, 1, TriesOption.MOST);
        tries.check(spec);
        if (!List.of("train", "test").contains(split)) {
            throw new ParameterException(spec.commandLine(), "--split " + split + ": expected train or test");
        }
        if (adaptive && (vote > 1 || !tries.plain())) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--adaptive with --breadth, --noise or --vote: tries are compared after equally many steps,"
                            + " expected one of the two");
        }
    }

    /** None without {@code --vote}. */
    private List<Augmentation> symmetries(DataFolders folders, Dataset dataset) {
        if (vote == 1) {
            return List.of();
        }
        try {
            return Puzzles.of(dataset).symmetries(vote, dataset.seqLen(), tries.seed());
        } catch (DataException e) {
            throw new ParameterException(
                    spec.commandLine(), "--vote " + vote + ": " + folders + ": " + e.getMessage(), e);
        }
    }

    private Evaluation evaluation(LoadedModel model, int depth, List<Augmentation> symmetries) {
        Backend backend = model.backend();
        trm.model.Parameters parameters = model.parameters();
        trm.model.Parameters.WeightSet weights = parameters.weights();
        if (adaptive) {
            return new AdaptiveEvaluator(backend, model.arena(), model.sizes(), parameters, weights, depth);
        }
        if (vote == 1 && tries.plain()) {
            return new Evaluator(backend, model.arena(), model.sizes(), parameters, weights, depth);
        }
        return new BreadthEvaluator(
                backend, model.arena(), model.sizes(), parameters, weights, depth, tries.of(symmetries));
    }

    private void report(
            Path file,
            int depth,
            Score score,
            Optional<Validity> validity,
            double seconds,
            ArcVoting voting,
            BreakdownPrinter tables) {
        Score.Interval interval = score.exactInterval();
        System.out.printf(
                Locale.ROOT,
                "%s %s: %d puzzles, %s, accuracy %.4f, exact accuracy %.4f (95 %%: %.4f to %.4f)%s, %.1f s%n",
                file,
                split,
                score.puzzles(),
                adaptive
                        ? String.format(Locale.ROOT, "%.2f steps of at most %d", score.steps(), depth)
                        : depth + " steps",
                score.accuracy(),
                score.exactAccuracy(),
                interval.low(),
                interval.high(),
                validity.map(v -> String.format(Locale.ROOT, ", valid %.4f", v.share()))
                        .orElse(""),
                seconds);
        Map<Integer, Double> pass = voting == null ? Map.of() : voting.votes().pass(ArcVotes.PASS_K);
        if (voting != null) {
            System.out.println(ArcVoting.describe(pass));
            if (voting.votes().unknown() > 0) {
                Cli.message(
                        voting.votes().unknown() + " tasks have test outputs that are not known, [[0]] in their place:"
                                + " they count as wrong");
            }
            writeSubmission(voting.votes());
        }
        tables.print();
        if (json) {
            Map<String, Object> result = new LinkedHashMap<>();
            result.put("accuracy", score.accuracy());
            result.put("exact_accuracy", score.exactAccuracy());
            result.put("exact_accuracy_low", interval.low());
            result.put("exact_accuracy_high", interval.high());
            validity.ifPresent(v -> result.put("valid", v.share()));
            result.put("puzzles", score.puzzles());
            result.put("steps", depth);
            result.put("mean_steps", score.steps());
            result.put("seconds", seconds);
            pass.forEach((k, value) -> result.put("ARC/pass@" + k, value));
            tables.addTo(result);
            Cli.json(result);
        }
    }

    /** For the test split of ARC data; null for anything else. */
    private ArcVoting voting(DataFolders folders, Dataset dataset) {
        ArcVoting voting = split.equals("test") ? ArcVoting.of(folders, dataset) : null;
        if (submission != null && voting == null) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--submission is for the test split of ARC data; " + folders + " (" + split + ") is none");
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
