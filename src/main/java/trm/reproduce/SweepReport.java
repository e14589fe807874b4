package trm.reproduce;

import de.siegmar.fastcsv.writer.CsvWriter;
import de.siegmar.fastcsv.writer.LineDelimiter;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.DoubleStream;
import trm.config.Axis;
import trm.config.BestBy;
import trm.io.FormatException;
import trm.train.BestEvaluation;
import trm.train.MetricsRow.Column;

/**
 * What the arms of a sweep came to: {@code report.md}, {@code sweep.csv} with a line for each arm, {@code runs.csv} with one for
 * each run, and the learning curves as {@code report.svg}. All of it is read from the folders of the runs; only finished ones count.
 */
final class SweepReport {
    private static final String NOTHING = "\u2013";

    /** An arm and those of its runs that are there, by seed. */
    private record Line(Sweep.Arm arm, Map<Long, RunSummary> runs) {
        List<RunSummary> finished() {
            return runs.values().stream().filter(RunSummary::finished).toList();
        }
    }

    private final SweepStudy study;
    private final Map<String, String> failures;
    private final List<Line> lines = new ArrayList<>();
    private final BestBy by; // null for the last evaluation

    /** @throws FormatException if a file of a run cannot be read, or a run has other settings */
    SweepReport(SweepStudy study, Map<String, String> failures) {
        this.study = study;
        this.failures = failures;
        Sweep sweep = study.sweep();
        by = sweep.config(sweep.arms().get(0), sweep.seeds().get(0)).bestBy();
        for (Sweep.Arm arm : sweep.arms()) {
            Map<Long, RunSummary> runs = new LinkedHashMap<>();
            for (long seed : sweep.seeds()) {
                RunSummary.open(study.folder(arm, seed)).ifPresent(run -> {
                    run.resumed(sweep.config(arm, seed));
                    runs.put(seed, run);
                });
            }
            lines.add(new Line(arm, runs));
        }
    }

    /** What arms are compared by, a share: of a run that tells its best evaluation that one, else the last. */
    private double score(RunSummary run) {
        return by == null
                ? run.percent() / 100
                : run.best().map(BestEvaluation::value).orElse(Double.NaN);
    }

    private String scored() {
        return by == null ? "solved in the last evaluation" : by.key() + " in the best evaluation";
    }

    /**
     * Over the finished runs of an arm.
     *
     * @param spread standard deviation of a sample, NaN below two
     */
    private record Scores(int count, double mean, double spread, double least, double most) {
        static Scores of(DoubleStream values) {
            double[] all = values.toArray();
            double mean = DoubleStream.of(all).average().orElse(Double.NaN);
            double squares =
                    DoubleStream.of(all).map(x -> (x - mean) * (x - mean)).sum();
            return new Scores(
                    all.length,
                    mean,
                    all.length < 2 ? Double.NaN : Math.sqrt(squares / (all.length - 1)),
                    DoubleStream.of(all).min().orElse(Double.NaN),
                    DoubleStream.of(all).max().orElse(Double.NaN));
        }
    }

    private Scores scores(Line line) {
        return Scores.of(line.finished().stream().mapToDouble(this::score));
    }

    /** The arm with the greatest mean, the first of several; empty before the first finished run. */
    private Optional<Line> best() {
        return lines.stream()
                .filter(line -> !line.finished().isEmpty())
                .max(Comparator.<Line>comparingDouble(line -> scores(line).mean())
                        .thenComparing(line -> -lines.indexOf(line)));
    }

    /** @throws FormatException if a file cannot be written */
    void write() {
        ReportFiles.folder(study.out());
        ReportFiles.replace(study.out().resolve("report.md"), markdown());
        ReportFiles.replace(study.out().resolve("sweep.csv"), sweepCsv());
        ReportFiles.replace(study.out().resolve("runs.csv"), runsCsv());
        ReportFiles.replace(study.out().resolve("report.svg"), svg());
    }

    String markdown() {
        StringBuilder text =
                new StringBuilder("# Sweep of " + study.sweep().config().getFileName() + "\n\n");
        study.sweep()
                .axes()
                .forEach(axis -> text.append("- `" + axis.key() + "`: " + String.join(", ", axis.values()) + "\n"));
        text.append("- `seed`: "
                + String.join(
                        ", ",
                        study.sweep().seeds().stream().map(String::valueOf).toList())
                + "\n");
        if (!study.sweep().fixed().isEmpty()) {
            text.append("- in all runs: `" + String.join("`, `", study.sweep().fixed()) + "`\n");
        }
        text.append("\n" + summary() + "\n\n| arm | runs | " + scored()
                + ", % | \u00b1 | least to greatest | hours | steps/s |\n|---|---|---|---|---|---|---|\n");
        lines.forEach(line -> text.append(row(cells(line))));
        text.append(
                "\nOf finished runs: the mean over the seeds, \u00b1 the standard deviation of a sample. Hours add up all runs"
                        + " of an arm, evaluations\nincluded. Steps/s: training alone.\n");
        if (by == null) {
            text.append("The last evaluation is what counts; with `checkpoint_best` it is each run's best.\n");
        }
        text.append("\n![puzzles solved by training step, a thin line a seed](report.svg)\n")
                .append("\n## Runs\n\n| arm | seed | " + scored() + ", % | at step | steps | puzzles |\n"
                        + "|---|---|---|---|---|---|\n");
        lines.forEach(line -> line.runs().forEach((seed, run) -> {
            if (run.finished()) {
                text.append(row(cells(line, seed, run)));
            }
        }));
        Report.section(text, "Not finished", unfinished());
        Report.failed(text, failures);
        return text.toString();
    }

    private String summary() {
        int finished = lines.stream().mapToInt(line -> line.finished().size()).sum();
        int all = lines.size() * study.sweep().seeds().size();
        String runs = finished + " of " + all + " runs are finished.";
        return best().map(line -> "**Best: `" + line.arm().name() + "`**, "
                        + percent(scores(line).mean()) + " %. " + runs)
                .orElse(runs);
    }

    private List<String> cells(Line line) {
        Scores scores = scores(line);
        int planned = study.sweep().seeds().size();
        double hours =
                line.runs().values().stream().mapToDouble(RunSummary::hours).sum();
        Scores rates = Scores.of(line.finished().stream().mapToDouble(RunSummary::stepsPerSecond));
        return List.of(
                line.arm().name(),
                scores.count() + (scores.count() < planned ? " of " + planned : ""),
                percent(scores.mean()),
                percent(scores.spread()),
                scores.count() < 2 ? NOTHING : percent(scores.least()) + " to " + percent(scores.most()),
                String.format(Locale.ROOT, "%.3f", hours),
                scores.count() == 0 ? NOTHING : String.format(Locale.ROOT, "%.2f", rates.mean()));
    }

    private List<String> cells(Line line, long seed, RunSummary run) {
        return List.of(
                line.arm().name(),
                Long.toString(seed),
                percent(score(run)),
                Long.toString(run.best()
                        .filter(best -> by != null)
                        .map(BestEvaluation::step)
                        .orElse(run.evaluatedStep())),
                run.step() + (run.step() < run.totalSteps() ? " of " + run.totalSteps() : ""),
                String.format(Locale.ROOT, "%.0f", run.evaluation(Column.EVAL_PUZZLES)));
    }

    private static String percent(double share) {
        return Double.isNaN(share) ? NOTHING : String.format(Locale.ROOT, "%.2f", 100 * share);
    }

    private static String row(List<String> cells) {
        return "| " + String.join(" | ", cells) + " |\n";
    }

    private List<String> unfinished() {
        List<String> items = new ArrayList<>();
        for (Line line : lines) {
            for (long seed : study.sweep().seeds()) {
                RunSummary run = line.runs().get(seed);
                if (run == null || !run.finished()) {
                    items.add(line.arm().name() + ", seed " + seed + ": " + state(run));
                }
            }
        }
        return items;
    }

    private static String state(RunSummary run) {
        return run == null
                ? "not run"
                : run.begun() ? "at step " + run.step() + " of " + run.totalSteps() : "no checkpoint yet";
    }

    /** A line for each arm. */
    String sweepCsv() {
        List<String> titles = new ArrayList<>(List.of("arm"));
        study.sweep().axes().stream().map(Axis::key).forEach(titles::add);
        titles.addAll(List.of("runs", "finished", "mean", "standard_deviation", "least", "greatest", "best"));
        List<List<String>> rows = new ArrayList<>();
        Optional<Line> best = best();
        for (Line line : lines) {
            Scores scores = scores(line);
            List<String> row = new ArrayList<>(List.of(line.arm().name()));
            row.addAll(line.arm().values());
            row.add(Integer.toString(study.sweep().seeds().size()));
            row.add(Integer.toString(scores.count()));
            row.addAll(numbers(scores.mean(), scores.spread(), scores.least(), scores.most()));
            row.add(Boolean.toString(best.filter(line::equals).isPresent()));
            rows.add(row);
        }
        return csv(titles, rows);
    }

    /** A line for each run, also of those that are not finished. */
    String runsCsv() {
        List<String> titles = new ArrayList<>(List.of("arm"));
        study.sweep().axes().stream().map(Axis::key).forEach(titles::add);
        titles.addAll(List.of("seed", "folder", "finished", "step", "total_steps", "score", "evaluated_step"));
        titles.addAll(
                List.of("eval_puzzles", "eval_accuracy", "eval_exact_accuracy", "best_value", "best_step", "hours"));
        List<List<String>> rows = new ArrayList<>();
        for (Line line : lines) {
            line.runs().forEach((seed, run) -> {
                List<String> row = new ArrayList<>(List.of(line.arm().name()));
                row.addAll(line.arm().values());
                row.add(Long.toString(seed));
                row.add(study.out().relativize(study.folder(line.arm(), seed)).toString());
                row.add(Boolean.toString(run.finished()));
                row.addAll(List.of(Long.toString(run.step()), Long.toString(run.totalSteps())));
                row.addAll(numbers(score(run)));
                row.add(Long.toString(run.evaluatedStep()));
                row.addAll(numbers(
                        run.evaluation(Column.EVAL_PUZZLES),
                        run.evaluation(Column.EVAL_ACCURACY),
                        run.evaluation(Column.EVAL_EXACT_ACCURACY),
                        run.best().map(BestEvaluation::value).orElse(Double.NaN)));
                row.add(run.best().map(best -> Long.toString(best.step())).orElse(""));
                row.addAll(numbers(run.hours()));
                rows.add(row);
            });
        }
        return csv(titles, rows);
    }

    /** With all their digits; empty for NaN. */
    private static List<String> numbers(double... values) {
        return DoubleStream.of(values)
                .mapToObj(value -> Double.isNaN(value) ? "" : Double.toString(value))
                .toList();
    }

    private static String csv(List<String> titles, List<List<String>> rows) {
        StringWriter text = new StringWriter();
        try (CsvWriter writer =
                CsvWriter.builder().lineDelimiter(LineDelimiter.LF).build(text)) {
            writer.writeRecord(titles);
            rows.forEach(writer::writeRecord);
        } catch (IOException e) {
            throw new UncheckedIOException(e); // a text takes everything
        }
        return text.toString();
    }

    /** Plots of as many arms as there are colours, the first arm in each. */
    String svg() {
        List<CurvesChart.Entry> entries = lines.stream()
                .filter(line -> !line.finished().isEmpty())
                .map(line -> new CurvesChart.Entry(
                        line.arm().name(),
                        line.finished().stream().map(RunSummary::curve).toList()))
                .toList();
        List<CurvesChart.Plot> plots = new ArrayList<>();
        for (int i = 1; i < Math.max(2, entries.size()) && !entries.isEmpty(); i += CurvesChart.MOST) {
            List<CurvesChart.Entry> of = new ArrayList<>(List.of(entries.get(0)));
            of.addAll(entries.subList(Math.min(i, entries.size()), Math.min(i + CurvesChart.MOST, entries.size())));
            plots.add(new CurvesChart.Plot(
                    entries.size() <= 1 + CurvesChart.MOST
                            ? "all arms"
                            : "arms 1 and " + (i + 1) + " to " + (i + of.size() - 1),
                    of));
        }
        return CurvesChart.svg("sweep of " + study.sweep().config().getFileName(), plots);
    }
}
