package trm.cli;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import trm.config.ArchConfig;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.sudoku.SudokuPuzzle;
import trm.device.Backend;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.RunLog;
import trm.io.SafeTensors;
import trm.lanes.DeviceExamples;
import trm.train.Checkpoint;
import trm.train.MetricsRow;
import trm.train.MetricsRow.Column;
import trm.train.Run;
import trm.train.RunFolder;

/** {@code trm demo}: trains a small model on Sudoku, 4 x 4 or 9 x 9, and shows what it learned; can be repeated. */
@Command(
        name = "demo",
        mixinStandardHelpOptions = true,
        description = {
            "Trains a small model on 4 x 4 Sudoku, shows it solving unseen puzzles, and writes a report: half a minute on two cores.",
            "--side 9 does so on ordinary 9 x 9 puzzles, of 30 to 38 givens: about five minutes."
        },
        footer = {"", "Example: trm demo", "         trm demo --side 9"})
final class DemoCommand implements Callable<Integer> {
    private static final int SHOWN = 3;

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--side",
            defaultValue = "4",
            paramLabel = "N",
            description = "Side of the boards, 4 or 9 (default ${DEFAULT-VALUE}).")
    private int side;

    @Option(
            names = "--run",
            paramLabel = "DIR",
            description = "Folder of the run (default runs/demo, or runs/demo-9x9); a demo that it holds is replaced.")
    private Path run;

    private DemoPuzzles puzzles;

    @Mixin
    private DeviceOption device;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    /** Metrics of the run as they come in. */
    private static final class Rows implements Run.Listener {
        private final Run.Listener next;
        private final List<MetricsRow> rows = new ArrayList<>();

        Rows(Run.Listener next) {
            this.next = next;
        }

        @Override
        public void row(MetricsRow row, long totalSteps) {
            rows.add(row);
            next.row(row, totalSteps);
        }

        @Override
        public void evaluating(long step, long puzzles) {
            next.evaluating(step, puzzles);
        }

        @Override
        public void message(String text) {
            next.message(text);
        }

        /** Step and value of the rows that have the column. */
        List<double[]> points(Column column) {
            return rows.stream()
                    .filter(row -> row.has(column))
                    .map(row -> new double[] {row.step(), row.get(column)})
                    .toList();
        }

        double last(Column column) {
            List<double[]> points = points(column);
            return points.isEmpty() ? Double.NaN : points.get(points.size() - 1)[1];
        }
    }

    @Override
    public Integer call() {
        puzzles = DemoPuzzles.of(side)
                .orElseThrow(() -> new ParameterException(spec.commandLine(), "--side " + side + ": expected 4 or 9"));
        run = run != null ? run : Path.of("runs", puzzles.runName());
        Path dataFolder = run.resolve("data");
        List<String> overrides = new ArrayList<>(puzzles.overrides());
        overrides.addAll(List.of(ConfigLoader.dataPath(dataFolder), "run_name=" + puzzles.runName()));
        TrainConfig settings = config(puzzles.settings(), overrides);
        try (Backend backend = device.open(settings)) {
            TrainConfig config = LoadedModel.computable(backend, settings);
            removeOldRun();
            puzzles.buildOnce(dataFolder);
            Dataset train = Dataset.open(dataFolder, "train");
            Dataset test = Dataset.open(dataFolder, "test");
            Rows rows;
            long began = System.nanoTime();
            try (ProgressPrinter progress = new ProgressPrinter()) {
                rows = new Rows(progress);
                new Run(backend, config, run, rows).run(false);
            }
            double seconds = (System.nanoTime() - began) * 1e-9;
            List<Before> solutions = solve(backend, config, test);
            report(backend, config, train, test, rows, seconds, solutions);
        }
        return 0;
    }

    /** The file in the installation or the current folder, else the copy in the jar. */
    private static TrainConfig config(String name, List<String> overrides) {
        Optional<Path> file = Cli.installed(Path.of("configs", name));
        if (file.isPresent()) {
            return ConfigLoader.load(file.get(), overrides);
        }
        try (InputStream in = DemoCommand.class.getResourceAsStream("/trm/" + name)) {
            if (in == null) {
                throw new FormatException(
                        "configs/" + name + ": not found in the installation, the current folder or the jar");
            }
            return ConfigLoader.parse(new String(in.readAllBytes(), StandardCharsets.UTF_8), name, overrides);
        } catch (IOException e) {
            throw new FormatException(name + ": cannot be read from the jar: " + e, e);
        }
    }

    /** Removes what an earlier demo wrote, its data apart. @throws FormatException if the folder holds another run */
    private void removeOldRun() {
        Path written = run.resolve("config.yaml");
        CheckpointStore store = new CheckpointStore(run.resolve("checkpoints"), 1);
        List<Path> checkpoints = Files.isDirectory(run.resolve("checkpoints")) ? store.list() : List.of();
        boolean demo = Files.isRegularFile(written)
                && puzzles.runName()
                        .equals(ConfigLoader.load(written, List.of()).run().name());
        if (!demo) {
            if (!checkpoints.isEmpty() || Files.exists(written)) {
                throw new FormatException(run + ": holds a run that is not this demo; use another --run folder");
            }
            RunFolder.mark(run);
            return;
        }
        RunFolder.mark(run);
        try {
            for (Path file : checkpoints) {
                Files.delete(file);
            }
            try (DirectoryStream<Path> events = Files.newDirectoryStream(run, "events.out.tfevents.*")) {
                for (Path file : events) {
                    Files.delete(file);
                }
            }
            Files.deleteIfExists(run.resolve("metrics.csv"));
            Files.deleteIfExists(run.resolve(RunLog.FILE));
            Files.deleteIfExists(run.resolve("report.html"));
        } catch (IOException e) {
            throw new FormatException(run + ": cannot remove the earlier demo: " + e, e);
        }
    }

    /** A puzzle as two checkpoints of the run solve it: the first that it kept, and its last. */
    private record Before(long step, SolveTrace.Solution early, SolveTrace.Solution last) {}

    /** Of the unseen puzzles that both checkpoints solve, those that took the first the most steps. */
    private List<Before> solve(Backend backend, TrainConfig config, Dataset test) {
        List<Path> checkpoints = new CheckpointStore(run.resolve("checkpoints"), 1).list();
        SafeTensors first = SafeTensors.open(checkpoints.get(0));
        List<SolveTrace.Solution> early = trace(backend, config, test, first);
        List<SolveTrace.Solution> last = trace(backend, config, test, LoadedModel.file(run));
        long step = Checkpoint.step(first);
        return IntStream.range(0, test.examples())
                .mapToObj(i -> new Before(step, early.get(i), last.get(i)))
                .sorted(Comparator.comparing(
                                (Before b) -> !(b.early().solved() && b.last().solved()))
                        .thenComparingInt(b -> -b.early().solvedAt()))
                .limit(SHOWN)
                .toList();
    }

    /** Every unseen puzzle, by one checkpoint. */
    private static List<SolveTrace.Solution> trace(
            Backend backend, TrainConfig config, Dataset test, SafeTensors checkpoint) {
        int[] rows = IntStream.range(0, test.examples()).toArray();
        List<int[]> puzzles = new ArrayList<>();
        List<int[]> answers = new ArrayList<>();
        for (int row : rows) {
            puzzles.add(test.inputRow(row));
            answers.add(test.labelRow(row));
        }
        try (LoadedModel model =
                LoadedModel.load(backend, checkpoint, config, LoadedModel.shapeOf(test), rows.length)) {
            return SolveTrace.run(
                    model,
                    SudokuPuzzle.INSTANCE,
                    DeviceExamples.upload(backend, model.arena(), test),
                    rows,
                    puzzles,
                    answers,
                    config.arch().halting().maxSteps());
        }
    }

    private static long blanks(int[] inputRow) {
        return IntStream.of(inputRow).filter(token -> token == 1).count();
    }

    private void report(
            Backend backend,
            TrainConfig config,
            Dataset train,
            Dataset test,
            Rows rows,
            double seconds,
            List<Before> solutions) {
        double exact = rows.last(Column.EVAL_EXACT_ACCURACY);
        double meanBlanks = IntStream.range(0, test.examples())
                .mapToLong(row -> blanks(test.inputRow(row)))
                .average()
                .orElse(0);
        long steps = (long) rows.last(Column.STEP);
        Path file = run.resolve("report.html");
        HtmlReport page = page(backend, config, train, test, rows, seconds, solutions, exact, meanBlanks);
        try {
            Files.writeString(file, page.html());
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be written: " + e, e);
        }
        BoardPrinter printer = BoardPrinter.forConsole();
        System.out.println("Three unseen puzzles, early in training and at its end, revised at each supervision step");
        System.out.println("(" + printer.key(SudokuPuzzle.INSTANCE) + ")");
        for (Before b : solutions) {
            System.out.println(format("%nAfter %d training steps: %s", b.step(), verdict(b.early())));
            System.out.print(printer.render(b.early().untilSettled()));
            System.out.println(format("After %d: %s", steps, verdict(b.last())));
            System.out.print(printer.render(b.last().untilSettled()));
        }
        System.out.println(format(
                "%d steps in %.1f s; %.2f %% of %d unseen puzzles solved (%.1f of %d cells blank on average)",
                steps, seconds, 100 * exact, test.examples(), meanBlanks, puzzles.cells()));
        System.out.println("report: " + file);
        if (json) {
            Map<String, Object> out = new LinkedHashMap<>();
            out.put("exact_accuracy", exact);
            out.put("unseen_puzzles", test.examples());
            out.put("mean_blanks", meanBlanks);
            out.put("train_seconds", seconds);
            out.put("steps", steps);
            out.put("report", file.toString());
            Cli.json(out);
        }
    }

    private HtmlReport page(
            Backend backend,
            TrainConfig config,
            Dataset train,
            Dataset test,
            Rows rows,
            double seconds,
            List<Before> solutions,
            double exact,
            double meanBlanks) {
        double speed = rows.points(Column.SAMPLES_PER_SECOND).stream()
                .mapToDouble(point -> point[1])
                .sorted()
                .skip(rows.points(Column.SAMPLES_PER_SECOND).size() / 2)
                .findFirst()
                .orElse(Double.NaN);
        List<HtmlReport.Figure> figures = List.of(
                new HtmlReport.Figure(format("%.2f %%", 100 * exact), "of unseen puzzles solved"),
                new HtmlReport.Figure(format("%d", test.examples()), "unseen puzzles"),
                new HtmlReport.Figure(format("%.0f", rows.last(Column.STEP)), "training steps"),
                new HtmlReport.Figure(format("%.1f s", seconds), "training and evaluation"),
                new HtmlReport.Figure(
                        format("%.1f", speed / config.schedule().globalBatchSize()), "steps per second (median)"),
                new HtmlReport.Figure(format("%.0f", speed), "samples per second (median)"));
        List<HtmlReport.Story> stories = new ArrayList<>();
        for (Before b : solutions) {
            int number = stories.size() / 2 + 1;
            long blank = blanks(b.last().puzzle());
            stories.add(new HtmlReport.Story(
                    format(
                            "Puzzle %d, %d blanks, after %d training steps: %s",
                            number, blank, b.step(), verdict(b.early())),
                    b.early().untilSettled()));
            stories.add(new HtmlReport.Story(
                    format("Puzzle %d after %.0f: %s", number, rows.last(Column.STEP), verdict(b.last())),
                    b.last().untilSettled()));
        }
        return new HtmlReport(
                "A tiny recursive model learns " + side + " \u00d7 " + side + " Sudoku",
                format(
                        "Trained on %d puzzles, evaluated on %d others whose solutions were never seen in training. "
                                + "On average %.1f of the %d cells are blank.",
                        train.info().totalGroups(), test.examples(), meanBlanks, puzzles.cells()),
                figures,
                charts(rows),
                "Three unseen puzzles, early in training and at its end. At each supervision step the model "
                        + "revises its whole answer; halt is the probability it gives to the answer being right. "
                        + "Steps that change nothing more are left out.",
                stories,
                settings(config, train, test),
                machine(backend));
    }

    private static List<HtmlReport.Chart> charts(Rows rows) {
        return List.of(
                new HtmlReport.Chart(
                        "Loss in training",
                        "loss per sample",
                        false,
                        List.of(
                                new HtmlReport.Series("tokens", HtmlReport.BLUE, false, rows.points(Column.LM_LOSS)),
                                new HtmlReport.Series(
                                        "halting", HtmlReport.ORANGE, false, rows.points(Column.Q_HALT_LOSS)))),
                new HtmlReport.Chart(
                        "Accuracy",
                        "share that is right",
                        true,
                        List.of(
                                new HtmlReport.Series(
                                        "cells, training", HtmlReport.BLUE, true, rows.points(Column.ACCURACY)),
                                new HtmlReport.Series(
                                        "puzzles, training",
                                        HtmlReport.ORANGE,
                                        true,
                                        rows.points(Column.EXACT_ACCURACY)),
                                new HtmlReport.Series(
                                        "cells, unseen", HtmlReport.BLUE, false, rows.points(Column.EVAL_ACCURACY)),
                                new HtmlReport.Series(
                                        "puzzles, unseen",
                                        HtmlReport.ORANGE,
                                        false,
                                        rows.points(Column.EVAL_EXACT_ACCURACY)))));
    }

    /** How it ended, and what the steps that are not shown did. */
    private static String verdict(SolveTrace.Solution s) {
        int shown = s.untilSettled().boards().size();
        String rest =
                shown < s.boards().size() ? ", unchanged to step " + s.boards().size() : "";
        return (s.solved() ? "solved at step " + s.solvedAt() : "not solved") + rest;
    }

    private static Map<String, String> settings(TrainConfig config, Dataset train, Dataset test) {
        ArchConfig a = config.arch();
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put(
                "Puzzles",
                train.info().totalGroups() + " for training, " + test.examples() + " unseen, one solution each");
        settings.put(
                "Network",
                a.recursion().layers() + " layers of width " + a.block().hiddenSize() + ", "
                        + (a.block().mlpT()
                                ? "feed-forward over positions"
                                : a.block().heads() + " attention heads"));
        settings.put(
                "Recursion",
                "T = " + a.recursion().cycles() + " cycles of n = "
                        + a.recursion().latentSteps() + " latent updates");
        settings.put("Supervision steps", "at most " + a.halting().maxSteps());
        settings.put("Compute type", a.dtype().key());
        settings.put("Loss", a.loss().type().name().toLowerCase(Locale.ROOT) + " cross-entropy, halting");
        settings.put("Batch", config.schedule().globalBatchSize() + " puzzles");
        settings.put(
                "Optimizer",
                config.optimizer().kind().key() + ", beta " + config.optimizer().beta1() + ", "
                        + config.optimizer().beta2());
        settings.put(
                "Learning rate",
                config.learningRate().base() + " after " + config.learningRate().warmupSteps() + " warm-up steps");
        settings.put("Weight decay", Double.toString(config.optimizer().weightDecay()));
        settings.put(
                "Moving average",
                config.average().kept() ? "rate " + config.average().rate() + ", used for evaluation" : "none");
        settings.put("Seed", Long.toString(config.run().seed()));
        return settings;
    }

    private static String machine(Backend backend) {
        String model = Processor.ofThisMachine().model();
        return "Device " + backend.name() + " (" + backend.target() + ") on "
                + (model.isEmpty() ? "" : model + ", ")
                + Runtime.getRuntime().availableProcessors() + " processors, " + System.getProperty("os.name") + " "
                + System.getProperty("os.arch") + ", Java " + Runtime.version().feature();
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
