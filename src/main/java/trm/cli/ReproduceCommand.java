package trm.cli;

import java.nio.file.Path;
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
import trm.config.TrainConfig;
import trm.device.Backend;
import trm.io.FormatException;
import trm.reproduce.Plan;
import trm.reproduce.Report;
import trm.reproduce.Reproduction;
import trm.reproduce.Scale;
import trm.reproduce.Table;
import trm.train.Run;

/** {@code trm reproduce}: runs the rows of a published table and sets measured values beside the published ones. */
@Command(
        name = "reproduce",
        mixinStandardHelpOptions = true,
        description = {
            "Runs the rows of a published table, or goes on with them, and reports published and measured values.",
            "Tables: sudoku-ablation, latents, depth, sudoku-maze, arc, hrm (docs/reproduce.md lists their rows)."
        },
        footer = {
            "",
            "Example: trm reproduce sudoku-ablation --scale tiny",
            "         trm reproduce depth --only trm-k6-t3,trm-k6-t6 --seeds 3 --data data --out runs/depth",
            "Called again after any kind of end, it goes on with the run it was at and repeats no finished one. Exit code 1",
            "if a row failed; the others have run."
        })
final class ReproduceCommand implements Callable<Integer> {
    /** Runs of a row. */
    private static final int MOST_SEEDS = 1000;

    /** Which settings, where the paper and its published code differ. */
    enum Settings {
        CODE,
        PAPER
    }

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "TABLE[.ROW]", description = "A table, or one of its rows.")
    private String name;

    @Option(names = "--only", split = ",", paramLabel = "ROW", description = "Only these rows, separated by commas.")
    private List<String> only = List.of();

    @Option(names = "--seeds", defaultValue = "1", description = "Runs of each row, seeds 0 to N - 1 (default 1).")
    private int seeds;

    @Option(
            names = "--scale",
            defaultValue = "full",
            description = "full, a fraction of every schedule, or tiny: small models on 4 x 4 Sudoku (default full).")
    private String scale;

    @Option(
            names = "--settings",
            defaultValue = "CODE",
            description = "Where they differ, those of the published code or of the paper's text (default code).")
    private Settings settings;

    @Option(
            names = "--data",
            paramLabel = "DIR",
            description = "Folder with the published data sets under their published names (default data).")
    private Path data;

    @Option(names = "--out", paramLabel = "DIR", description = "Folder of runs and report; default runs/TABLE[-SCALE].")
    private Path out;

    @Option(names = "--report-only", description = "Run nothing; report on the runs that are there.")
    private boolean reportOnly;

    @Mixin
    private DeviceOption device;

    @Override
    public Integer call() {
        Cli.within(spec, "--seeds", seeds, 1, MOST_SEEDS);
        Scale part = Scale.parse(scale);
        if (part.isTiny() && data != null) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--data " + data + ": --scale tiny makes its own data; expected one of the two");
        }
        String[] names = name.split("\\.", 2);
        if (names.length == 2 && !only.isEmpty()) {
            throw new ParameterException(
                    spec.commandLine(), name + " names a row, --only " + String.join(",", only) + " too; give one");
        }
        if (reportOnly && (names.length == 2 || !only.isEmpty() || seeds != 1)) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--report-only with a row, --only or --seeds: the report is of all runs that are there; leave them out");
        }
        Table table = Table.named(names[0]);
        List<Table.Row> rows = table.rows(names.length == 2 ? List.of(names[1]) : only);
        Path configs = Cli.installed(Path.of("configs"))
                .orElseThrow(() ->
                        new FormatException("configs: found neither in the installation nor in the current folder"));
        Plan plan = new Plan(
                part,
                settings == Settings.PAPER,
                configs,
                data != null ? data : Path.of("data"),
                out != null ? out : Path.of("runs", part.equals(Scale.FULL) ? names[0] : names[0] + "-" + scale));
        Map<String, String> failures = reportOnly ? Map.of() : run(plan, rows);
        Report report = new Report(table, plan, failures);
        Optional<String> noChart = report.write();
        System.out.print(report.markdown());
        System.out.flush();
        Cli.message(String.format(
                Locale.ROOT,
                "wrote report.md, report.csv%s in %s",
                noChart.isEmpty() ? " and report.png" : "",
                plan.out()));
        noChart.ifPresent(why -> Cli.message("no chart: " + why));
        failures.forEach((run, message) -> Cli.error(run + ": " + message));
        return failures.isEmpty() ? 0 : 1;
    }

    private Map<String, String> run(Plan plan, List<Table.Row> rows) {
        Reproduction reproduction = new Reproduction(plan, this::train, Cli::message);
        reproduction.run(rows, seeds);
        return reproduction.failures();
    }

    private Run.Outcome train(TrainConfig config, Path folder, boolean resume) {
        try (Backend backend = device.open(config);
                ProgressPrinter progress = new ProgressPrinter()) {
            return StopSignal.run(new Run(backend, config, folder, progress), resume);
        }
    }
}
