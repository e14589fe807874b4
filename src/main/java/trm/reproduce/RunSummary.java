package trm.reproduce;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import trm.config.ConfigLoader;
import trm.config.Difference;
import trm.config.TrainConfig;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.MetricsCsv;
import trm.io.RunLog;
import trm.io.SafeTensors;
import trm.train.BestEvaluation;
import trm.train.Checkpoint;
import trm.train.MetricsRow.Column;

/** What the folder of one run says about it: settings, metrics, newest checkpoint, log. Nothing is kept beside these. */
public final class RunSummary {
    private static final Pattern DEVICE = Pattern.compile(" device (\\S+) \\(");

    private final Path folder;
    private final TrainConfig config;
    private final Checkpoint.Progress progress; // null before the first checkpoint
    private final List<Map<String, Double>> rows;

    private RunSummary(Path folder) {
        this.folder = folder;
        config = ConfigLoader.load(folder.resolve("config.yaml"), List.of());
        progress = progress(folder);
        Path metrics = folder.resolve("metrics.csv");
        rows = Files.exists(metrics) ? MetricsCsv.read(metrics) : List.of();
    }

    /** Of the newest checkpoint; null before the first. One that its run replaces by a newer one meanwhile is passed over. */
    private static Checkpoint.Progress progress(Path folder) {
        CheckpointStore store = new CheckpointStore(folder.resolve("checkpoints"), 1);
        while (true) {
            List<Path> checkpoints = store.list();
            if (checkpoints.isEmpty()) {
                return null;
            }
            Path newest = checkpoints.get(checkpoints.size() - 1);
            try {
                return Checkpoint.progress(SafeTensors.open(newest));
            } catch (FormatException e) {
                if (Files.exists(newest)) {
                    throw e;
                }
            }
        }
    }

    /**
     * Empty if no run has begun there.
     *
     * @throws FormatException if a file of the run cannot be read
     */
    public static Optional<RunSummary> open(Path folder) {
        return Files.isRegularFile(folder.resolve("config.yaml"))
                ? Optional.of(new RunSummary(folder))
                : Optional.empty();
    }

    /**
     * The runs in the folders {@code seed-N} of a row, by seed.
     *
     * @param expected settings of each seed
     * @throws FormatException if a file of a run cannot be read, or a run has other settings
     */
    static Map<Integer, RunSummary> seeds(Path row, IntFunction<TrainConfig> expected) {
        Map<Integer, RunSummary> runs = new TreeMap<>();
        if (Files.isDirectory(row)) {
            try (Stream<Path> seeds = Files.list(row)) {
                seeds.map(path -> path.getFileName().toString())
                        .filter(name -> name.matches("seed-\\d{1,6}"))
                        .map(name -> Integer.parseInt(name.substring("seed-".length())))
                        .forEach(seed -> open(row.resolve("seed-" + seed)).ifPresent(run -> {
                            run.resumed(expected.apply(seed));
                            runs.put(seed, run);
                        }));
            } catch (IOException e) {
                throw new FormatException(row + ": cannot be listed: " + FormatException.reason(e), e);
            }
        }
        return runs;
    }

    /** Whether there is a checkpoint to go on from. */
    public boolean begun() {
        return progress != null;
    }

    /** Whether the last step was done, evaluated and kept, or the run's patience came to its end before. */
    public boolean finished() {
        return progress != null && progress.finished(config.evaluation().patience());
    }

    /** Optimizer steps in the newest checkpoint. */
    public long step() {
        return progress == null ? 0 : progress.step();
    }

    /** Optimizer steps of the run as it is meant to end; 0 before the first checkpoint. */
    public long totalSteps() {
        return progress == null ? 0 : progress.totalSteps();
    }

    /**
     * Settings to go on with: those expected, with what they leave open as the run has it.
     *
     * @throws FormatException if the run has other settings, the place of the data apart
     */
    public TrainConfig resumed(TrainConfig expected) {
        TrainConfig goal = expected.with(
                        expected.memory().recompute(), config.memory().microBatches())
                .with(
                        config.data().paths(),
                        config.data().shape(),
                        expected.schedule().passEpochs());
        if (expected.schedule().isUnplanned()) {
            goal = goal.withPlannedSteps(config.schedule().plannedSteps());
        }
        TrainConfig run = config.with(
                config.data().paths(), config.data().shape(), config.schedule().passEpochs());
        for (Difference difference : Difference.between(run, goal)) {
            throw new FormatException(folder.resolve("config.yaml") + ": found '" + difference.key() + ": "
                    + difference.first() + "', expected '" + difference.key() + ": " + difference.second()
                    + "': a run of another scale or of other settings; use another --out folder");
        }
        return goal.with(
                expected.data().paths(), goal.data().shape(), goal.schedule().passEpochs());
    }

    /** The best evaluation, of a run that tells it ({@code checkpoint_best}, {@code patience}) and has evaluated. */
    Optional<BestEvaluation> best() {
        return progress == null ? Optional.empty() : progress.best();
    }

    /** What the last evaluation found in a column of metrics, NaN if it has none of it, or before the first. */
    public double evaluation(Column column) {
        return lastEvaluation().map(row -> row.get(column.title())).orElse(Double.NaN);
    }

    /** What the last row of training says in a column of metrics, NaN if it has none of it, or before the first. */
    double training(Column column) {
        return rows.stream()
                .filter(row -> row.containsKey(Column.SAMPLES_PER_SECOND.title()))
                .reduce((first, second) -> second)
                .map(row -> row.get(column.title()))
                .orElse(Double.NaN);
    }

    /** The settings of the run. */
    public TrainConfig config() {
        return config;
    }

    /** Per cent solved in the last evaluation; of ARC's tasks, with two answers. NaN before the first evaluation. */
    public double percent() {
        return lastEvaluation()
                .map(row -> 100
                        * row.getOrDefault(
                                Column.EVAL_PASS_2.title(), row.getOrDefault(Column.EVAL_EXACT_ACCURACY.title(), 0.0)))
                .orElse(Double.NaN);
    }

    /** Step of the last evaluation, 0 before the first. */
    public long evaluatedStep() {
        return lastEvaluation()
                .map(row -> row.get(Column.STEP.title()).longValue())
                .orElse(0L);
    }

    private Optional<Map<String, Double>> lastEvaluation() {
        return rows.stream()
                .filter(row -> row.containsKey(Column.EVAL_PUZZLES.title()))
                .reduce((first, second) -> second);
    }

    /** Hours of training and evaluation; the clock of a resumed run begins anew, so its parts are added. */
    public double hours() {
        double total = 0;
        double last = 0;
        for (Map<String, Double> row : rows) {
            double elapsed = row.getOrDefault(Column.ELAPSED_SECONDS.title(), last);
            total += elapsed >= last ? elapsed - last : elapsed;
            last = elapsed;
        }
        return total / 3600;
    }

    /** Optimizer steps a second of training, evaluations apart, and pauses between two parts of a run; NaN before the first row of metrics. */
    public double stepsPerSecond() {
        double step = 0;
        double seconds = 0;
        for (Map<String, Double> row : rows) {
            Double rate = row.get(Column.SAMPLES_PER_SECOND.title());
            if (rate != null) {
                double now = row.get(Column.STEP.title());
                seconds += (now - step) * config.schedule().globalBatchSize() / rate;
                step = now;
            }
        }
        return step / seconds;
    }

    /**
     * What the evaluations found. The time to one is that of the steps until then, each at the rate of the fastest row since the
     * evaluation before: what else the machine did counts little.
     */
    public Curve curve() {
        List<Curve.Point> points = new ArrayList<>();
        double fastest = 0;
        double seconds = 0;
        long before = 0;
        for (Map<String, Double> row : rows) {
            long step = row.get(Column.STEP.title()).longValue();
            fastest = Math.max(fastest, row.getOrDefault(Column.SAMPLES_PER_SECOND.title(), 0.0));
            if (row.containsKey(Column.EVAL_PUZZLES.title())) {
                seconds +=
                        step == before ? 0 : (step - before) * config.schedule().globalBatchSize() / fastest;
                before = step;
                fastest = 0;
                points.add(new Curve.Point(
                        step,
                        seconds,
                        row.get(Column.EVAL_PUZZLES.title()).longValue(),
                        row.getOrDefault(Column.EVAL_EXACT_ACCURACY.title(), 0.0)));
            }
        }
        return new Curve(points);
    }

    /** Name of the device that the run, or its last part, ran on; empty if the log does not say. */
    public String device() {
        Path log = folder.resolve(RunLog.FILE);
        if (!Files.exists(log)) {
            return "";
        }
        try (var lines = Files.lines(log)) {
            return lines.map(DEVICE::matcher)
                    .filter(Matcher::find)
                    .map(matcher -> matcher.group(1))
                    .reduce("", (first, second) -> second);
        } catch (IOException e) {
            throw new FormatException(log + ": cannot be read: " + FormatException.reason(e), e);
        }
    }
}
