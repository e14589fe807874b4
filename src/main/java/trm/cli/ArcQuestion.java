package trm.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import trm.config.ConfigLoader;
import trm.config.HaltingConfig;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.data.arc.ArcBuilder;
import trm.data.arc.ArcPuzzle;
import trm.data.arc.ArcTask;
import trm.data.puzzle.Puzzle;
import trm.evaluation.ArcVotes;
import trm.evaluation.ArcVoting;
import trm.evaluation.Choice;
import trm.input.DataException;
import trm.io.FormatException;
import trm.train.Adaptation;

/**
 * An ARC task. The model does not know it: it is made a data set of its own, as {@code trm data arc} does, the vectors of its copies
 * are trained on the demonstrations ({@link Adaptation}), and the answers to all copies of a test input are put to the vote
 * ({@link ArcVotes}).
 */
record ArcQuestion(ArcTask task) implements SolveQuestion {
    @Override
    public Puzzle kind() {
        return ArcPuzzle.INSTANCE;
    }

    @Override
    public int side() {
        return ArcTask.SIDE;
    }

    @Override
    public String describe() {
        return "an ARC task";
    }

    @Override
    public String training() {
        return "; a small one in minutes: trm data arc --prefix PREFIX --subsets training,evaluation --test-set evaluation"
                + " --aug 8 --limit-test 50 --out data/arc1-aug-8, then trm train configs/cpu/arc-small.yaml";
    }

    @Override
    public void check(CommandSpec spec, Asked asked) {
        asked.arc().check(spec, asked.tries().seed());
        if (asked.steps() != null) {
            Cli.within(spec, "--steps", asked.steps(), 1, HaltingConfig.MAX_STEPS);
        }
        if (!asked.tries().plain() || asked.tries().choice() != Choice.MAJORITY) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--breadth, --noise or --choose with an ARC task: the answers to its copies vote, expected none of"
                            + " them; --augmentations N makes more copies");
        }
    }

    /** What the adaptation did. */
    private record Adapted(int steps, double before, double after, double seconds) {}

    @Override
    public Map<String, Object> solve(Model model, Asked asked) {
        ArcOption options = asked.arc();
        TrainConfig config = asked.steps() == null
                ? model.config()
                : ConfigLoader.parse(
                        ConfigLoader.toYaml(model.config()),
                        model.file().file() + "",
                        List.of("arch.halt_max_steps=" + asked.steps()));
        if (config.arch().puzzles().width() == 0) {
            throw new DataException(model.file().file() + ": its model has no puzzle vectors (puzzle_emb_ndim is 0),"
                    + " expected some to adapt to an ARC task");
        }
        System.out.println(model.name());
        Path folder = temporary();
        try {
            ArcBuilder.Summary made = ArcBuilder.build(
                    task, folder, options.copies(), asked.tries().seed(), Cli::message);
            try (Adaptation adaptation = Adaptation.of(
                    model.backend(), config, model.file(), folder, Math.max(1, options.steps()), options.rate())) {
                int copies = made.identifiers() - 1;
                System.out.println(
                        "task " + task.id() + ": " + count(task.train().size(), "demonstration") + ", "
                                + count(task.test().size(), "test input") + "; itself and "
                                + count(copies - 1, "augmented copy", "augmented copies"));
                Adapted adapted = adapt(adaptation, options);
                ArcVoting voting = ArcVoting.of(DataFolders.of(folder), adaptation.test());
                adaptation.answer(voting);
                List<SolveTrace.Solution> traces = traces(adaptation, model);
                ArcReport report = new ArcReport(task, voting.votes(), BoardPrinter.forConsole());
                report.print(traces);
                options.submission().ifPresent(file -> Submission.write(file, voting.votes()));
                Map<String, Object> result = new LinkedHashMap<>();
                result.put("model", model.name());
                result.put("kind", kind().key());
                result.put("task", task.id());
                result.put("copies", copies);
                result.put("adapt_steps", adapted.steps());
                result.put("adapt_seconds", adapted.seconds());
                result.put("loss_before", adapted.before());
                result.put("loss_after", adapted.after());
                result.put("tests", report.result());
                return result;
            }
        } finally {
            delete(folder);
        }
    }

    private static Adapted adapt(Adaptation adaptation, ArcOption options) {
        System.out.printf(
                Locale.ROOT,
                "adapting the copies' vectors to %s, weights frozen: %s of %s, from a rate of %s%s%n",
                count(adaptation.demonstrations(), "example"),
                count(options.steps(), "step"),
                count(adaptation.lanes(), "lane"),
                options.rate(),
                options.seconds() == 0 ? "" : String.format(Locale.ROOT, ", at most %.1f s", options.seconds()));
        long began = System.nanoTime();
        double before = adaptation.loss();
        int steps = options.steps() == 0
                ? 0
                : adaptation.train(
                        options.seconds(),
                        (step, loss) -> Cli.message(
                                String.format(Locale.ROOT, "  step %d of %d  loss %.4f", step, options.steps(), loss)));
        double after = steps == 0 ? before : adaptation.loss();
        double seconds = (System.nanoTime() - began) * 1e-9;
        System.out.printf(
                Locale.ROOT,
                "  %s in %.1f s; loss of %s, after %s: %.4f before, %.4f adapted%n",
                count(steps, "step"),
                seconds,
                count(adaptation.measured(), "of the examples", "of the examples"),
                count(adaptation.supervisionSteps(), "supervision step"),
                before,
                after);
        return new Adapted(steps, before, after, seconds);
    }

    /** The test inputs as they are, step by step. */
    private List<SolveTrace.Solution> traces(Adaptation adaptation, Model model) {
        int[] rows =
                IntStream.range(0, task.test().size()).toArray(); // of the first puzzle of the split, the task itself
        List<int[]> inputs = new ArrayList<>();
        List<int[]> labels = new ArrayList<>();
        for (int row : rows) {
            inputs.add(adaptation.test().inputRow(row));
            labels.add(adaptation.test().labelRow(row));
        }
        LoadedModel adapted =
                new LoadedModel(model.backend(), adaptation.arena(), adaptation.sizes(), adaptation.parameters());
        return SolveTrace.run(
                adapted, kind(), adaptation.testExamples(), rows, inputs, labels, adaptation.supervisionSteps());
    }

    private static String count(int number, String one) {
        return count(number, one, one + "s");
    }

    private static String count(int number, String one, String many) {
        return number + " " + (number == 1 ? one : many);
    }

    private static Path temporary() {
        try {
            return Files.createTempDirectory("trm-solve-");
        } catch (IOException e) {
            throw new FormatException("a temporary folder cannot be made: " + FormatException.reason(e), e);
        }
    }

    private static void delete(Path folder) {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            Cli.message(folder + ": cannot be removed: " + FormatException.reason(e));
        }
    }
}
