package trm.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
import trm.reproduce.DryRun;
import trm.reproduce.Plan;
import trm.reproduce.PlannedRun;
import trm.reproduce.PublishedStudy;
import trm.reproduce.Recipes;
import trm.reproduce.RecipesStudy;
import trm.reproduce.Reproduction;
import trm.reproduce.Scale;
import trm.reproduce.Shard;
import trm.reproduce.Study;
import trm.reproduce.Table;
import trm.train.Run;

/** {@code trm reproduce}: runs the rows of a published table, or of a study of our own, and reports on them. */
@Command(
        name = "reproduce",
        mixinStandardHelpOptions = true,
        description = {
            "Runs the rows of a published table, or goes on with them, and reports published and measured values.",
            "Tables: sudoku-ablation, latents, depth, sudoku-maze, arc, hrm (docs/reproduce.md lists their rows).",
            "recipes and recipes-mixed compare levers of training on a CPU (docs/recipes.md); they have scale tiny only."
        },
        footer = {
            "",
            "Example: trm reproduce sudoku-ablation --scale tiny",
            "         trm reproduce depth --only trm-k6-t3,trm-k6-t6 --seeds 3 --data data --out runs/depth",
            "         trm reproduce recipes --scale tiny --only base,muon --seeds 3",
            "         trm reproduce sudoku-ablation --seeds 3 --dry-run --gpus 8",
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
            names = "--shard",
            paramLabel = "I/N",
            description = {
                "Only run I, I + N, I + 2 N, ... of these, from 0: a part each for the jobs of an array or for several machines.",
                "They need no connection but the folder, which they share."
            })
    private String shard;

    @Option(
            names = "--scale",
            defaultValue = "full",
            description =
                    "full, a fraction of every schedule, or tiny: small models, of the papers' tables on 4 x 4 Sudoku"
                            + " (default full).")
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

    @Option(
            names = "--dry-run",
            description = {
                "Run nothing; say what the runs take: steps, time, memory; which data are missing, and how to get them; the",
                "commands, one a GPU."
            })
    private boolean dryRun;

    @Option(
            names = "--gpus",
            paramLabel = "N",
            defaultValue = "1",
            description = "With --dry-run: GPUs that share the runs (default 1).")
    private int gpus;

    @Mixin
    private RateOption rate;

    @Option(names = "--report-only", description = "Run nothing; report on the runs that are there.")
    private boolean reportOnly;

    @Mixin
    private DeviceOption device;

    @Override
    public Integer call() {
        Cli.within(spec, "--seeds", seeds, 1, MOST_SEEDS);
        Cli.within(spec, "--gpus", gpus, 1, MOST_SEEDS);
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
        if (reportOnly && (names.length == 2 || !only.isEmpty() || seeds != 1 || shard != null)) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--report-only with a row, --only, --seeds or --shard: the report is of all runs that are there; leave them"
                            + " out");
        }
        List<String> rows = names.length == 2 ? List.of(names[1]) : only;
        Path folder = out != null ? out : Path.of("runs", part.equals(Scale.FULL) ? names[0] : names[0] + "-" + scale);
        if (!dryRun && (gpus != 1 || rate.isGiven()) || dryRun && (reportOnly || gpus > 1 && shard != null)) {
            throw new ParameterException(
                    spec.commandLine(),
                    dryRun
                            ? "--dry-run with " + (reportOnly ? "--report-only" : "--gpus and --shard") + ": give one"
                            : "--gpus, --rate, --card: expected --dry-run with them");
        }
        Optional<Recipes> recipes = Recipes.named(names[0]);
        Study study = recipes.isPresent() ? recipes(recipes.get(), part, folder) : published(names[0], part, folder);
        if (dryRun) {
            List<PlannedRun> runs = (shard == null ? Shard.ALL : Shard.parse(shard)).of(study.runs(rows, seeds));
            System.out.print(new DryRun(study, runs, rate.rates()).text(command(), gpus));
            return 0;
        }
        Map<String, String> failures = reportOnly ? Map.of() : run(study, rows);
        Study.Written report = study.report(failures);
        System.out.print(report.markdown());
        System.out.flush();
        List<String> files = report.files();
        Cli.message("wrote " + String.join(", ", files.subList(0, files.size() - 1)) + " and "
                + files.get(files.size() - 1) + " in " + folder);
        report.noChart().ifPresent(why -> Cli.message("no chart: " + why));
        failures.forEach((run, message) -> Cli.error(run + ": " + message));
        return failures.isEmpty() ? 0 : 1;
    }

    /** This call, as it runs in earnest. */
    private String command() {
        List<String> words = new ArrayList<>(List.of("trm", "reproduce", name));
        option(words, "--only", only.isEmpty() ? null : String.join(",", only));
        option(words, "--seeds", seeds == 1 ? null : Integer.toString(seeds));
        option(words, "--shard", shard);
        option(words, "--scale", scale.equals("full") ? null : scale);
        option(words, "--settings", settings == Settings.PAPER ? "paper" : null);
        option(words, "--data", data == null ? null : data.toString());
        option(words, "--out", out == null ? null : out.toString());
        return String.join(" ", words);
    }

    private static void option(List<String> words, String name, String value) {
        if (value != null) {
            words.add(name);
            words.add(Cli.word(value));
        }
    }

    private Study published(String table, Scale part, Path folder) {
        Path sets = data != null ? data : Path.of("data");
        return new PublishedStudy(
                Table.named(table), new Plan(part, settings == Settings.PAPER, installed("configs"), sets, folder));
    }

    private Study recipes(Recipes recipes, Scale part, Path folder) {
        if (!part.isTiny()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--scale " + scale + ": " + recipes.name() + " is a study of small models, expected --scale tiny");
        }
        if (settings == Settings.PAPER) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--settings paper: " + recipes.name() + " has settings of its own, configs/recipes; leave it out");
        }
        return new RecipesStudy(recipes, installed("configs"), installed("data/sudoku"), folder);
    }

    private static Path installed(String folder) {
        return Cli.installed(Path.of(folder))
                .orElseThrow(() ->
                        new FormatException(folder + ": found neither in the installation nor in the current folder"));
    }

    private Map<String, String> run(Study study, List<String> rows) {
        Reproduction reproduction = new Reproduction(study, this::train, Cli::message);
        reproduction.run(rows, seeds, shard == null ? Shard.ALL : Shard.parse(shard));
        return reproduction.failures();
    }

    private Run.Outcome train(TrainConfig config, Path folder, boolean resume) {
        try (Backend backend = device.open(config);
                ProgressPrinter progress = new ProgressPrinter()) {
            return StopSignal.run(new Run(backend, config, folder, progress), resume);
        }
    }
}
