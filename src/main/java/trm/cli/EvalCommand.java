package trm.cli;

import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
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
import trm.data.puzzle.Puzzle;
import trm.device.Backend;
import trm.device.LaneKernels;
import trm.evaluation.AdaptiveEvaluator;
import trm.evaluation.AnswerListener;
import trm.evaluation.ArcVotes;
import trm.evaluation.ArcVoting;
import trm.evaluation.BreadthEvaluator;
import trm.evaluation.Breakdown;
import trm.evaluation.Choice;
import trm.evaluation.Evaluation;
import trm.evaluation.Evaluator;
import trm.evaluation.Predictions;
import trm.evaluation.Score;
import trm.evaluation.Validity;
import trm.input.DataException;
import trm.io.SafeTensors;
import trm.lanes.DeviceExamples;
import trm.train.CheckpointName;
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
            "         trm eval runs/demo@best        (the best checkpoint, key checkpoint_best; runs/demo@2000: that of a step)",
            "         trm eval runs/demo --adaptive",
            "         trm eval runs/demo --predictions answers.npz",
            "         trm eval runs/demo --steps 32 --breadth 8 --choose majority"
        })
final class EvalCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(
            paramLabel = "RUN|CHECKPOINT",
            description =
                    "Run folder, .safetensors file, PyTorch's checkpoint, or the name of a bundled model (trm models).")
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
    private PredictionsOption output;

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
        DataFolders trained = CheckpointName.of(checkpoint)
                .run()
                .map(run -> RunData.folders(run, config))
                .orElseGet(() -> DataFolders.of(config.data().paths()));
        DataFolders folders = data != null ? new DataFolders(data) : trained;
        Dataset dataset = folders.open(split);
        KnownPuzzles.requireSymbols(trained, folders);
        requireRules(folders, dataset);
        List<Augmentation> symmetries = symmetries(folders, dataset);
        ArcVoting voting = voting(folders, dataset);
        Optional<Validity> validity = Validity.of(dataset);
        List<Grouping> groupings = Grouping.of(folders, split, dataset);
        DataShape shape = KnownPuzzles.shape(file, config, trained, folders, dataset);
        Breakdown breakdown = new Breakdown(dataset, groupings);
        int lanes = batch > 0 ? batch : config.evaluationLanes();
        int depth = steps > 0 ? steps : config.arch().halting().maxSteps();
        try (Predictions predictions =
                output.begin(dataset, limit, depth, config.arch().haltsOnSign())) {
            List<AnswerListener> listeners = new ArrayList<>(List.of(breakdown));
            Stream.of(voting, validity.orElse(null), predictions)
                    .filter(Objects::nonNull)
                    .forEach(listeners::add);
            long began = System.nanoTime();
            Scores scores;
            try (Backend backend = device.open(config);
                    LoadedModel model = LoadedModel.load(backend, file, config, shape, lanes);
                    Evaluation evaluation = evaluation(model, depth, symmetries, dataset);
                    EvaluationProgress progress =
                            new EvaluationProgress(Math.min(limit, dataset.examples()), folders + ", split " + split)) {
                listeners.add(progress);
                LaneKernels.Examples examples = vote == 1
                        ? DeviceExamples.upload(backend, model.arena(), dataset)
                        : DeviceExamples.uploadCopies(
                                backend, model.arena(), dataset, (int) Math.min(limit, dataset.examples()), symmetries);
                Score score = evaluation
                        .evaluate(examples, limit, () -> false, AnswerListener.all(listeners))
                        .orElseThrow();
                Optional<Score> byRules = evaluation instanceof BreadthEvaluator b ? b.byRules() : Optional.empty();
                scores = new Scores(score, byRules, (System.nanoTime() - began) * 1e-9);
            }
            Breakdown counted =
                    voting == null ? breakdown : Breakdown.of(dataset, groupings, voting.votes(), ArcVotes.ATTEMPTS);
            BreakdownPrinter tables = new BreakdownPrinter(counted.tables(), voting != null);
            report(file.file(), depth, scores, validity, voting, tables);
            output.write(predictions, folders, split);
        } catch (UncheckedIOException e) { // of the file of predictions: what else is read is read whole
            throw output.unwritable(e.getCause());
        }
        return 0;
    }

    private void checkOptions() {
        Cli.atLeast(spec, "--limit", limit, 1);
        Cli.within(spec, "--steps", steps, 0, HaltingConfig.MAX_STEPS);
        Cli.within(spec, "--batch", batch, 0, ScheduleConfig.MAX_LANES);
        Cli.within(spec, "--vote", vote, 1, TriesOption.MOST);
        tries.check(spec, vote);
        output.check(spec);
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

    private void requireRules(DataFolders folders, Dataset dataset) {
        Puzzle kind = Puzzles.of(dataset);
        if (tries.choice() == Choice.RULES && !kind.hasRules()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--choose rules: " + folders + ": found puzzles of the kind '" + kind.key()
                            + "', expected Sudokus or mazes, whose rules are known");
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

    /** @param byRules of the tries that the rules of the puzzle choose, if they were to */
    private record Scores(Score score, Optional<Score> byRules, double seconds) {}

    private Evaluation evaluation(LoadedModel model, int depth, List<Augmentation> symmetries, Dataset dataset) {
        Backend backend = model.backend();
        trm.model.Parameters parameters = model.parameters();
        trm.model.Parameters.WeightSet weights = parameters.weights();
        if (adaptive) {
            return new AdaptiveEvaluator(backend, model.arena(), model.sizes(), parameters, weights, depth);
        }
        if (vote == 1 && tries.plain()) {
            return new Evaluator(backend, model.arena(), model.sizes(), parameters, weights, depth);
        }
        Puzzle kind = Puzzles.of(dataset);
        return new BreadthEvaluator(
                backend,
                model.arena(),
                model.sizes(),
                parameters,
                weights,
                depth,
                tries.of(symmetries, (puzzle, answer) -> kind.solves(dataset.inputRow(puzzle), answer)));
    }

    private void report(
            Path file,
            int depth,
            Scores scores,
            Optional<Validity> validity,
            ArcVoting voting,
            BreakdownPrinter tables) {
        Score score = scores.score();
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
                scores.seconds());
        scores.byRules().ifPresent(EvalCommand::printByRules);
        Map<Integer, Double> pass = voting == null ? Map.of() : voting.votes().pass(ArcVotes.PASS_K);
        if (voting != null) {
            System.out.println(ArcVoting.describe(pass));
            if (voting.votes().unknown() > 0) {
                Cli.message(
                        voting.votes().unknown() + " tasks have test outputs that are not known, [[0]] in their place:"
                                + " they count as wrong");
            }
            if (submission != null) {
                Submission.write(submission, voting.votes());
            }
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
            result.put("seconds", scores.seconds());
            scores.byRules().ifPresent(s -> {
                result.put("exact_accuracy_by_rules", s.exactAccuracy());
                result.put("exact_accuracy_by_rules_low", s.exactInterval().low());
                result.put("exact_accuracy_by_rules_high", s.exactInterval().high());
            });
            pass.forEach((k, value) -> result.put("ARC/pass@" + k, value));
            tables.addTo(result);
            Cli.json(result);
        }
    }

    /** Apart: whoever checks answers by the rules knows more than the model was told. */
    private static void printByRules(Score score) {
        System.out.printf(
                Locale.ROOT,
                "  of the same tries, those that keep the puzzle's rules first: exact accuracy %.4f (95 %%: %.4f to %.4f)%n",
                score.exactAccuracy(),
                score.exactInterval().low(),
                score.exactInterval().high());
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
}
