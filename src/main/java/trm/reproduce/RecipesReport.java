package trm.reproduce;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import trm.config.Difference;
import trm.config.TrainConfig;
import trm.evaluation.Score;
import trm.io.FormatException;

/**
 * What the arms of a study did to its learning curves: {@code report.md}, {@code report.csv} with every evaluation, and the curves as
 * {@code report.svg}. All of it is read from the folders of the runs; only finished ones count.
 */
final class RecipesReport {
    private static final String NOTHING = "\u2013";
    private static final String STEPS = "%,.0f";
    private static final String SECONDS = "%,.0f";
    private static final String PERCENT = "%.1f";
    private static final String RATE = "%.2f";

    /** An arm and its runs by seed. */
    private record Line(Recipes.Arm arm, TrainConfig config, Map<Integer, RunSummary> runs) {
        List<RunSummary> finished() {
            return runs.values().stream().filter(RunSummary::finished).toList();
        }

        /** Over the finished runs, of which there is one at least. */
        private Spread spread(ToDoubleFunction<RunSummary> value) {
            return Spread.of(finished().stream().mapToDouble(value));
        }
    }

    private final RecipesStudy study;
    private final Map<String, String> failures;
    private final List<Line> lines;

    RecipesReport(RecipesStudy study, Map<String, String> failures) {
        this.study = study;
        this.failures = failures;
        lines = study.recipes().arms().stream()
                .map(arm -> new Line(
                        arm,
                        study.config(arm, 0),
                        RunSummary.seeds(study.out().resolve(arm.name()), seed -> study.config(arm, seed))))
                .toList();
    }

    /** @throws FormatException if a file cannot be written */
    void write() {
        ReportFiles.folder(study.out());
        ReportFiles.replace(study.out().resolve("report.md"), markdown());
        ReportFiles.replace(study.out().resolve("report.csv"), csv());
        ReportFiles.replace(study.out().resolve("report.svg"), svg());
    }

    String markdown() {
        StringBuilder text = new StringBuilder("# " + study.recipes().title() + "\n\n" + settings() + "\n\n");
        text.append("| arm | differs in | runs | solved at the end, % | steps to 50 % | of base's | steps to 90 %")
                .append(
                        " | seconds to 50 % | seconds to 90 % | steps/s |\n|---|---|---|---|---|---|---|---|---|---|\n");
        lines.forEach(line -> text.append(row(cells(line))));
        text.append(
                        "\nThe median over the seeds and, in brackets, the least and the greatest value. Steps to a share of the")
                .append(
                        " unseen puzzles: where the line from the last\nevaluation below it to the first above it crosses it;")
                .append(
                        " \"of base's\" is the quotient of the medians. Seconds are those of the training steps alone,\neach")
                .append(
                        " at the rate of the fastest row since the evaluation before. Differences within the brackets show nothing.\n")
                .append("\n![unseen puzzles solved by training step, a thin line a seed](report.svg)\n")
                .append("\n## Runs\n\n| arm | seed | solved at the end, % (95 %) | steps to 50 % | steps to 90 %")
                .append(
                        " | seconds to 50 % | seconds to 90 % | seconds | steps/s |\n|---|---|---|---|---|---|---|---|---|\n");
        lines.forEach(line -> line.runs().forEach((seed, run) -> {
            if (run.finished()) {
                text.append(row(cells(line, seed, run)));
            }
        }));
        Report.section(text, "Not finished", unfinished());
        Report.failed(text, failures);
        return text.toString();
    }

    private String settings() {
        TrainConfig config = lines.get(0).config();
        return format(
                "%s, made of `data/sudoku`; TRM of width %d, T = %d, n = %d, batch %d, %s, %d epochs (`configs/recipes/base.yaml`)%s.",
                study.recipes().puzzles(),
                config.arch().block().hiddenSize(),
                config.arch().recursion().cycles(),
                config.arch().recursion().latentSteps(),
                config.schedule().globalBatchSize(),
                config.arch().dtype().key(),
                config.schedule().epochs(),
                devices().isEmpty() ? "" : ", on " + devices());
    }

    private String devices() {
        return lines.stream()
                .flatMap(line -> line.runs().values().stream())
                .map(RunSummary::device)
                .filter(device -> !device.isEmpty())
                .distinct()
                .sorted()
                .collect(Collectors.joining(" and "));
    }

    private List<String> cells(Line line) {
        List<String> cells = new ArrayList<>(List.of(line.arm().name(), differences(line)));
        int finished = line.finished().size();
        int begun = line.runs().size();
        cells.add(finished + (finished < begun ? " of " + begun : ""));
        if (finished == 0) {
            cells.addAll(Collections.nCopies(7, NOTHING));
            return cells;
        }
        cells.add(line.spread(RunSummary::percent).text(PERCENT));
        cells.add(line.spread(run -> run.curve().stepsTo(0.5)).text(STEPS));
        cells.add(ofBase(line));
        cells.add(line.spread(run -> run.curve().stepsTo(0.9)).text(STEPS));
        cells.add(line.spread(run -> run.curve().secondsTo(0.5)).text(SECONDS));
        cells.add(line.spread(run -> run.curve().secondsTo(0.9)).text(SECONDS));
        cells.add(line.spread(run -> run.curve().stepsPerSecond()).text(RATE));
        return cells;
    }

    /** Keys without their tables. */
    private String differences(Line line) {
        String text = Difference.between(lines.get(0).config(), line.config()).stream()
                .map(difference -> "`" + difference.key().replaceFirst(".*\\.", "") + ": " + difference.second() + "`")
                .collect(Collectors.joining(", "));
        return text.isEmpty() ? NOTHING : text;
    }

    /** The median of the steps to 50 %, over that of the first arm. */
    private String ofBase(Line line) {
        Line base = lines.get(0);
        if (line == base || base.finished().isEmpty()) {
            return NOTHING;
        }
        double own = line.spread(run -> run.curve().stepsTo(0.5)).median();
        double first = base.spread(run -> run.curve().stepsTo(0.5)).median();
        return own == Curve.NEVER || first == Curve.NEVER ? NOTHING : format(RATE, own / first);
    }

    private static List<String> cells(Line line, int seed, RunSummary run) {
        Curve curve = run.curve();
        Curve.Point last = curve.points().get(curve.points().size() - 1);
        Score.Interval interval = Score.wilson(Math.round(last.exact() * last.puzzles()), last.puzzles());
        return List.of(
                line.arm().name(),
                Integer.toString(seed),
                format("%.1f (%.1f to %.1f)", 100 * last.exact(), 100 * interval.low(), 100 * interval.high()),
                Spread.text(STEPS, curve.stepsTo(0.5)),
                Spread.text(STEPS, curve.stepsTo(0.9)),
                Spread.text(SECONDS, curve.secondsTo(0.5)),
                Spread.text(SECONDS, curve.secondsTo(0.9)),
                format(SECONDS, last.seconds()),
                format(RATE, curve.stepsPerSecond()));
    }

    private static String row(List<String> cells) {
        return "| " + String.join(" | ", cells) + " |\n";
    }

    private List<String> unfinished() {
        List<String> items = new ArrayList<>();
        for (Line line : lines) {
            if (line.runs().isEmpty()) {
                items.add(line.arm().name() + ": not run");
            }
            line.runs().forEach((seed, run) -> {
                if (!run.finished()) {
                    items.add(line.arm().name() + ", seed " + seed + ": "
                            + (run.begun()
                                    ? "stopped at step " + run.step() + " of " + run.totalSteps()
                                    : "no checkpoint yet"));
                }
            });
        }
        return items;
    }

    /** A line for each evaluation of each run, also of those that are not finished. */
    String csv() {
        StringBuilder text =
                new StringBuilder("study,arm,seed,finished,step,training_seconds,puzzles,exact_accuracy\n");
        for (Line line : lines) {
            line.runs().forEach((seed, run) -> {
                for (Curve.Point point : run.curve().points()) {
                    text.append(format(
                            "%s,%s,%d,%s,%d,%.1f,%d,%.6f\n",
                            study.recipes().name(),
                            line.arm().name(),
                            seed,
                            run.finished(),
                            point.step(),
                            point.seconds(),
                            point.puzzles(),
                            point.exact()));
                }
            });
        }
        return text.toString();
    }

    /** The curves of the arms that have finished runs. */
    String svg() {
        List<Line> finished =
                lines.stream().filter(line -> !line.finished().isEmpty()).toList();
        return CurvesChart.svg(study.recipes().title(), plots(finished));
    }

    /** One plot of all arms if the colours suffice, else one for each theme. */
    private static List<CurvesChart.Plot> plots(List<Line> lines) {
        if (lines.isEmpty()) {
            return List.of();
        }
        List<Line> others = lines.subList(1, lines.size());
        if (others.size() <= CurvesChart.MOST) {
            return List.of(new CurvesChart.Plot(
                    "all arms", lines.stream().map(RecipesReport::entry).toList()));
        }
        List<CurvesChart.Plot> plots = new ArrayList<>();
        for (Recipes.Theme theme : Recipes.Theme.values()) {
            List<CurvesChart.Entry> of = new ArrayList<>(others.stream()
                    .filter(line -> line.arm().theme() == theme)
                    .map(RecipesReport::entry)
                    .toList());
            if (!of.isEmpty()) {
                of.add(0, entry(lines.get(0)));
                plots.add(new CurvesChart.Plot(theme.title(), of));
            }
        }
        return plots;
    }

    private static CurvesChart.Entry entry(Line line) {
        return new CurvesChart.Entry(
                line.arm().name(),
                line.finished().stream().map(RunSummary::curve).toList());
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
