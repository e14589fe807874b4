package trm.reproduce;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import trm.config.MarkdownTable;
import trm.config.MemorySize;
import trm.config.Recompute;
import trm.config.TrainConfig;
import trm.train.MemoryPlan;

/** What the runs of a study will take, which data they lack, and the commands that share them among GPUs. Nothing runs. */
public final class DryRun {
    private final Study study;
    private final List<PlannedRun> runs;
    private final Rates rates;
    private final Map<String, RunCost> costs = new LinkedHashMap<>(); // by row

    /**
     * @param runs those that are asked for
     * @throws trm.config.ConfigException if the rates do not tell how long a run takes
     * @throws trm.io.FormatException if a folder holds a run of other settings
     */
    public DryRun(Study study, List<PlannedRun> runs, Rates rates) {
        this.study = study;
        this.runs = runs;
        this.rates = rates;
        for (PlannedRun run : runs) {
            RunSummary.open(run.folder()).ifPresent(found -> found.resumed(run.config()));
            costs.computeIfAbsent(run.row(), row -> RunCost.of(run.config(), study.data(run), rates));
        }
    }

    /** Hours that a run still takes: none if it is finished; a share of them if it has begun. */
    private double hoursLeft(PlannedRun run) {
        RunCost cost = costs.get(run.row());
        Optional<RunSummary> found = RunSummary.open(run.folder());
        if (found.map(RunSummary::finished).orElse(false)) {
            return 0;
        }
        long done = Math.min(cost.steps(), found.map(RunSummary::step).orElse(0L));
        return cost.hours() * (cost.steps() - done) / Math.max(1, cost.steps());
    }

    /**
     * The plan as people read it, in Markdown.
     *
     * @param command of this study with all its options but those that share it, as on the command line
     * @param gpus that share the runs
     */
    public String text(String command, int gpus) {
        StringBuilder text = new StringBuilder();
        text.append(count(runs.size(), "run")).append(" of ").append(count(costs.size(), "row"));
        text.append(" on ")
                .append(rates.title())
                .append(
                        ".\nHours are of one run; memory is that of operations that are not fused, and without data that are missing.\n\n");
        text.append(rows());
        double all =
                runs.stream().mapToDouble(run -> costs.get(run.row()).hours()).sum();
        double left = runs.stream().mapToDouble(this::hoursLeft).sum();
        text.append('\n').append("Together ").append(hours(all)).append(" device-hours");
        text.append(left < all ? ", of which " + hours(left) + " are left" : "").append(".\n\n");
        text.append(data());
        text.append(commands(command, gpus));
        return text.toString();
    }

    private String rows() {
        List<List<String>> rows = new ArrayList<>();
        costs.forEach((name, cost) -> rows.add(List.of(
                name,
                String.format(Locale.ROOT, "%,d", cost.steps()),
                String.format(Locale.ROOT, "%.4g", cost.step().ms()),
                hours(cost.trainHours()),
                hours(cost.evaluationHours()),
                memory(cost.memory()),
                cost.step().source())));
        return MarkdownTable.of(
                List.of("row", "steps", "ms a step", "training, h", "evaluations, h", "memory", "the step is"), rows);
    }

    private static String memory(MemoryPlan plan) {
        TrainConfig settled = plan.settled();
        List<String> saved = new ArrayList<>();
        if (settled.memory().recompute() != Recompute.NONE) {
            saved.add("recompute " + settled.memory().recompute().key());
        }
        if (settled.memory().microBatches() > 1) {
            saved.add("in " + settled.memory().microBatches() + " parts");
        }
        if (!plan.fits()) {
            saved.add("does not fit");
        }
        return MemorySize.text(plan.totalBytes()) + (saved.isEmpty() ? "" : ", " + String.join(", ", saved));
    }

    /** Each data set once. */
    private String data() {
        Set<DataNeed> needs = new LinkedHashSet<>();
        runs.forEach(run -> needs.add(study.data(run)));
        StringBuilder text = new StringBuilder();
        for (DataNeed need : needs) {
            text.append("- ")
                    .append(need.title())
                    .append(", ")
                    .append(need.folder())
                    .append(": ");
            if (need.isThere()) {
                text.append("there\n");
            } else if (need.command().isEmpty()) {
                text.append("the first run makes it\n");
            } else {
                text.append("missing; make it: ")
                        .append(need.command())
                        .append(" --out ")
                        .append(need.folder())
                        .append("; its sources: ")
                        .append(need.source())
                        .append('\n');
            }
        }
        return text.append('\n').toString();
    }

    private String commands(String command, int gpus) {
        StringBuilder text = new StringBuilder();
        double longest = 0;
        for (int gpu = 0; gpu < gpus; gpu++) {
            List<PlannedRun> own = new Shard(gpu, gpus).of(runs);
            double hours = own.stream().mapToDouble(this::hoursLeft).sum();
            longest = Math.max(longest, hours);
            text.append(command)
                    .append(gpus == 1 ? "" : " --shard " + gpu + "/" + gpus + " --device cuda:" + gpu)
                    .append("   # ")
                    .append(hours(hours))
                    .append(" h: ")
                    .append(own.stream().map(PlannedRun::label).collect(Collectors.joining("; ")))
                    .append('\n');
        }
        return text.append("\nDone after ")
                .append(hours(longest))
                .append(" h.\n")
                .toString();
    }

    private static String count(int n, String thing) {
        return n + " " + thing + (n == 1 ? "" : "s");
    }

    /** Four digits, so that it is exact to a thousandth. */
    static String hours(double hours) {
        return hours == 0 ? "0" : String.format(Locale.ROOT, "%.4g", hours);
    }
}
