package trm.reproduce;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.DoubleStream;
import trm.config.TrainConfig;
import trm.io.FormatException;

/**
 * Published and measured values of one table, side by side: {@code report.md}, {@code report.csv} and, where Java can draw,
 * {@code report.png}. All that is measured is read from the folders of the runs, also from those of other seeds and rows
 * than were just asked for.
 */
public final class Report {
    private static final String NOTHING = "\u2013";

    /** A row and its runs by seed. */
    private record Line(Table.Row row, Map<Integer, RunSummary> runs) {
        List<RunSummary> finished() {
            return runs.values().stream().filter(RunSummary::finished).toList();
        }

        double mean() {
            return finished().stream()
                    .mapToDouble(RunSummary::percent)
                    .average()
                    .orElse(Double.NaN);
        }

        /** Standard deviation of a sample, over the seeds; NaN below two. */
        double spread() {
            double mean = mean();
            int count = finished().size();
            double squares = finished().stream()
                    .mapToDouble(RunSummary::percent)
                    .map(x -> (x - mean) * (x - mean))
                    .sum();
            return count < 2 ? Double.NaN : Math.sqrt(squares / (count - 1));
        }

        private String measured() {
            return finished().isEmpty()
                    ? NOTHING
                    : percent(mean()) + (finished().size() < 2 ? "" : " \u00b1 " + percent(spread()));
        }

        private String of(DoubleStream values, String pattern) {
            return runs.isEmpty() ? NOTHING : format(pattern, values.sum());
        }
    }

    private final Table table;
    private final Plan plan;
    private final Map<String, String> failures;
    private final List<Line> lines;

    /**
     * @param failures messages of runs that could not go on, by row and seed
     * @throws FormatException if a file of a run cannot be read, or a run has other settings than the plan
     */
    public Report(Table table, Plan plan, Map<String, String> failures) {
        this.table = table;
        this.plan = plan;
        this.failures = failures;
        lines = table.rows().stream()
                .map(row -> new Line(
                        row,
                        RunSummary.seeds(
                                plan.out().resolve(row.setup().name()), seed -> plan.config(row.setup(), seed))))
                .toList();
    }

    /**
     * Writes the three files.
     *
     * @return why there is no chart, if there is none
     * @throws FormatException if a file cannot be written
     */
    public Optional<String> write() {
        Path chart = plan.out().resolve("report.png");
        try {
            Files.createDirectories(plan.out());
            Files.deleteIfExists(chart);
        } catch (IOException e) {
            throw new FormatException(plan.out() + ": cannot be written: " + FormatException.reason(e), e);
        }
        Optional<String> obstacle = ReportChart.write(
                chart,
                table.title(),
                lines.stream().map(line -> line.row().name()).toList(),
                lines.stream().map(line -> line.row().published()).toList(),
                lines.stream().map(Line::mean).toList(),
                lines.stream().map(Line::spread).toList());
        String picture = obstacle.map(why -> "No chart: " + why + ".\n")
                .orElse("![published and measured, per cent](report.png)\n");
        ReportFiles.replace(plan.out().resolve("report.md"), markdown() + "\n" + picture);
        ReportFiles.replace(plan.out().resolve("report.csv"), csv());
        return obstacle;
    }

    /** All but the chart. */
    public String markdown() {
        StringBuilder text = new StringBuilder("# " + table.title() + "\n\n" + scale() + "\n" + settings() + "\n\n");
        text.append(
                "| row | system | published | measured | runs | of full schedule | device-hours | steps/s | ran |\n");
        text.append("|---|---|---|---|---|---|---|---|---|\n");
        for (Line line : lines) {
            text.append(String.join(
                    " | ",
                    "| " + line.row().name(),
                    line.row().system(),
                    line.row().publishedText(),
                    line.measured(),
                    line.finished().size()
                            + (line.finished().size() < line.runs().size()
                                    ? " of " + line.runs().size()
                                    : ""),
                    share(line),
                    line.of(line.runs().values().stream().mapToDouble(RunSummary::hours), "%.3f"),
                    line.runs().isEmpty()
                            ? NOTHING
                            : format(
                                    "%.2f",
                                    line.runs().values().stream()
                                            .mapToDouble(RunSummary::stepsPerSecond)
                                            .average()
                                            .orElse(Double.NaN)),
                    ran(line) + " |\n"));
        }
        text.append(
                        "\nPer cent of test puzzles solved (on ARC: of tasks, with two answers) in the last evaluation of each")
                .append(
                        " finished run: mean, and \u00b1 the standard deviation of a sample where there are several seeds.")
                .append("\nOOM: out of memory in the paper. Device-hours add up all runs of a row")
                .append(devices().isEmpty() ? "" : ", on " + devices())
                .append("; on a GPU they are GPU-hours. Steps/s: training alone.\n");
        section(text, "Short of the full schedule", shortRows());
        failed(text, failures);
        return text.toString();
    }

    /** A list under a title, unless it is empty. */
    static void section(StringBuilder text, String title, List<String> items) {
        if (!items.isEmpty()) {
            text.append("\n## ").append(title).append("\n\n");
            items.forEach(item -> text.append("- ").append(item).append('\n'));
        }
    }

    /** Runs that failed, and why. */
    static void failed(StringBuilder text, Map<String, String> failures) {
        section(
                text,
                "Failed",
                failures.entrySet().stream()
                        .map(failure -> failure.getKey() + ": " + failure.getValue())
                        .toList());
    }

    private String scale() {
        if (plan.scale().isTiny()) {
            return "Scale tiny: small models with the T and n of each row, "
                    + plan.scale().tinySteps()
                    + " steps on generated 4 x 4 Sudoku instead of the task of the table."
                    + "\nThe measured values show that the systems train; they cannot be compared with the published ones.";
        }
        return plan.scale().fraction() == 1
                ? "Scale full: the whole published schedule."
                : "Scale " + plan.scale().fraction() + ": this fraction of the published epochs and warm-up steps.";
    }

    private String settings() {
        return plan.paper()
                ? "Settings of TRM: what the paper's text says (60,000 epochs on Sudoku and mazes, n = 6 on mazes and ARC,"
                        + " AdamW)."
                : "Settings: those of the published code (50,000 epochs of TRM on Sudoku and mazes, n = 4 on mazes and ARC,"
                        + " AdamATan2).";
    }

    /** The part of the published steps that the least advanced run of a row has done. */
    private String share(Line line) {
        if (line.runs().isEmpty()) {
            return NOTHING;
        }
        return plan.scale().isTiny()
                ? "tiny"
                : format(
                        "%.3g %%",
                        line.runs().values().stream()
                                .filter(RunSummary::begun)
                                .mapToDouble(run -> 100.0 * run.step() / fullSteps(line.row(), run))
                                .min()
                                .orElse(0));
    }

    /** Steps of the published schedule on the data of a run. */
    private double fullSteps(Table.Row row, RunSummary run) {
        int whole = plan.published(row.setup()).schedule().epochs();
        return (double) run.totalSteps()
                * whole
                / plan.config(row.setup(), 0).schedule().epochs();
    }

    private String ran(Line line) {
        TrainConfig config = plan.config(line.row().setup(), 0);
        String file = plan.scale().isTiny()
                ? "cpu/" + line.row().setup().mini()
                : line.row().setup().config();
        return file + ": T = " + config.arch().recursion().cycles() + ", n = "
                + config.arch().recursion().latentSteps() + ", "
                + (plan.scale().isTiny()
                        ? config.schedule().maxSteps() + " steps"
                        : config.schedule().epochs() + " epochs")
                + ", "
                + config.optimizer().kind().key();
    }

    private String devices() {
        return String.join(
                " and ",
                lines.stream()
                        .flatMap(line -> line.runs().values().stream())
                        .map(RunSummary::device)
                        .filter(device -> !device.isEmpty())
                        .distinct()
                        .sorted()
                        .toList());
    }

    private List<String> shortRows() {
        List<String> items = new ArrayList<>();
        for (Line line : lines) {
            if (line.runs().isEmpty()) {
                items.add(line.row().name() + ": not run");
            }
            line.runs().forEach((seed, run) -> {
                String of = line.row().name() + ", seed " + seed + ": ";
                String last = run.evaluatedStep() == 0
                        ? "not evaluated yet"
                        : percent(run.percent()) + " at step " + run.evaluatedStep();
                if (!run.begun()) {
                    items.add(of + "no checkpoint yet");
                } else if (!run.finished()) {
                    items.add(of + "stopped at step " + run.step() + " of " + run.totalSteps() + ", " + last);
                } else if (plan.scale().isTiny()) {
                    items.add(of + run.step() + " steps of a small model");
                } else if (plan.scale().fraction() < 1) {
                    items.add(of + run.step() + " of " + Math.round(fullSteps(line.row(), run)) + " steps");
                }
            });
        }
        return items;
    }

    /** A line for each run, or one without values for a row that has none. */
    public String csv() {
        StringBuilder text =
                new StringBuilder("table,row,published,seed,measured,evaluated_step,step,total_steps,finished,"
                        + "device_hours,steps_per_second,device,config,T,n,epochs,optimizer\n");
        for (Line line : lines) {
            TrainConfig config = plan.config(line.row().setup(), 0);
            String start =
                    table.name() + "," + line.row().name() + "," + line.row().publishedText() + ",";
            String file = plan.scale().isTiny()
                    ? "cpu/" + line.row().setup().mini()
                    : line.row().setup().config();
            String end = file + "," + config.arch().recursion().cycles() + ","
                    + config.arch().recursion().latentSteps() + ","
                    + config.schedule().epochs() + ","
                    + config.optimizer().kind().key() + "\n";
            if (line.runs().isEmpty()) {
                text.append(start).append(",".repeat(9)).append(end);
            }
            line.runs().forEach((seed, run) -> text.append(start)
                    .append(seed)
                    .append(',')
                    .append(number(run.percent()))
                    .append(',')
                    .append(run.evaluatedStep())
                    .append(',')
                    .append(run.step())
                    .append(',')
                    .append(run.totalSteps())
                    .append(',')
                    .append(run.finished())
                    .append(',')
                    .append(number(run.hours()))
                    .append(',')
                    .append(number(run.stepsPerSecond()))
                    .append(',')
                    .append(run.device())
                    .append(',')
                    .append(end));
        }
        return text.toString();
    }

    private static String number(double value) {
        return Double.isNaN(value) ? "" : Double.toString(value);
    }

    /** With one decimal. */
    static String percent(double value) {
        return format("%.1f", value);
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
