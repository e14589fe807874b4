package trm.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.TrainConfig;
import trm.device.Backend;
import trm.device.MatmulPrecision;
import trm.reproduce.DryRun;
import trm.reproduce.PlannedRun;
import trm.reproduce.Reproduction;
import trm.reproduce.RunSummary;
import trm.reproduce.Shard;
import trm.reproduce.Study;
import trm.reproduce.Sweep;
import trm.reproduce.SweepStudy;
import trm.train.Run;

/** {@code trm sweep}: trains a configuration with several values for some keys, and compares what comes of them. */
@Command(
        name = "sweep",
        mixinStandardHelpOptions = true,
        description = {
            "Trains a configuration with each combination of values and each seed, or goes on with these runs, and reports on them.",
            "Values are separated by commas; first..last is a range of whole numbers, its end included (docs/sweeps.md)."
        },
        footer = {
            "",
            "Example: trm sweep configs/cpu/sudoku-mlp-small.yaml lr=1e-4,3e-4 arch.L_cycles=4,6 seed=0..2 --out runs/rates",
            "         trm sweep configs/sudoku-mlp.yaml lr=1e-4,3e-4 seed=0..2 --jobs 4 --out runs/rates",
            "Called again after any kind of end, it goes on with the runs it was at and repeats no finished one. Exit code 1",
            "if a run failed; the others have run."
        })
final class SweepCommand implements Callable<Integer> {
    private static final int MOST_JOBS = 1024;

    @Spec
    private CommandSpec spec;

    @Parameters(index = "0", paramLabel = "CONFIG.yaml", description = "Configuration file.")
    private Path config;

    @Parameters(
            index = "1..*",
            arity = "0..*",
            paramLabel = "key=value,value",
            description = "Keys with the values to go through, or with one value for all runs.")
    private List<String> keys = List.of();

    @Option(names = "--out", paramLabel = "DIR", description = "Folder of runs and report; default runs/CONFIG-sweep.")
    private Path out;

    @Option(
            names = "--jobs",
            paramLabel = "N",
            defaultValue = "1",
            description = {
                "Runs at once, each in a process of its own: on as many GPUs, where there are any, else on a share each of the",
                "processors (default ${DEFAULT-VALUE})."
            })
    private int jobs;

    @Option(
            names = "--shard",
            paramLabel = "I/N",
            description =
                    "Only run I, I + N, I + 2 N, ... of these, from 0: a part each for the jobs of an array or for several machines.")
    private String shard;

    @Option(
            names = "--dry-run",
            description = "Run nothing; say what the runs take, with --jobs the share of each: steps, time, memory.")
    private boolean dryRun;

    @Mixin
    private RateOption rate;

    @Option(names = "--report-only", description = "Run nothing; report on the runs that are there.")
    private boolean reportOnly;

    @Option(names = "--job", hidden = true, description = "One of the processes of --jobs, i/n: reports nothing.")
    private String job;

    @Mixin
    private DeviceOption device;

    @Override
    public Integer call() {
        Cli.within(spec, "--jobs", jobs, 1, MOST_JOBS);
        if (reportOnly && (jobs > 1 || shard != null)) {
            throw new ParameterException(
                    spec.commandLine(), "--report-only with --jobs or --shard: it runs nothing; leave them out");
        }
        if (dryRun && (reportOnly || jobs > 1 && shard != null) || !dryRun && rate.isGiven()) {
            throw new ParameterException(
                    spec.commandLine(),
                    dryRun
                            ? "--dry-run with " + (reportOnly ? "--report-only" : "--jobs and --shard") + ": give one"
                            : "--rate, --card: expected --dry-run with them");
        }
        Shard part = shard == null ? Shard.ALL : Shard.parse(shard);
        SweepStudy study = new SweepStudy(Sweep.of(config, keys), folder());
        if (dryRun) {
            List<PlannedRun> runs =
                    part.of(study.runs(List.of(), study.sweep().seeds().size()));
            System.out.print(new DryRun(study, runs, rate.rates()).text(command(), jobs));
            return 0;
        }
        if (job != null) {
            endWithParent();
            return failed(run(study, part));
        }
        int code = 0;
        Map<String, String> failures = Map.of();
        if (jobs > 1) {
            JobProcesses processes = processes(study, part);
            code = StopSignal.run(processes::stop, processes::run);
            failures = processes.failures();
        } else if (!reportOnly) {
            failures = run(study, part);
        }
        Study.Written report = study.report(failures);
        System.out.print(report.markdown());
        System.out.flush();
        List<String> files = report.files();
        Cli.message("wrote " + String.join(", ", files.subList(0, files.size() - 1)) + " and "
                + files.get(files.size() - 1) + " in " + study.out());
        int failed = failed(failures);
        return code == 0 ? failed : code;
    }

    /** This call, as it runs in earnest. */
    private String command() {
        List<String> words = new ArrayList<>(List.of("trm", "sweep", config.toString()));
        words.addAll(keys);
        words.addAll(out == null ? List.of() : List.of("--out", out.toString()));
        words.addAll(shard == null ? List.of() : List.of("--shard", shard));
        return words.stream().map(Cli::word).collect(Collectors.joining(" "));
    }

    private static int failed(Map<String, String> failures) {
        failures.forEach((run, message) -> Cli.error(run + ": " + message));
        return failures.isEmpty() ? 0 : 1;
    }

    private Path folder() {
        String name = config.getFileName() == null ? "" : config.getFileName().toString();
        return out != null ? out : Path.of("runs", name.replaceFirst("\\.ya?ml$", "") + "-sweep");
    }

    private Map<String, String> run(SweepStudy study, Shard part) {
        Reproduction reproduction = new Reproduction(study, this::train, Cli::message, true);
        reproduction.run(List.of(), study.sweep().seeds().size(), part);
        return reproduction.failures();
    }

    private Run.Outcome train(TrainConfig settings, Path folder, boolean resume) {
        try (Backend backend = open(settings);
                ProgressPrinter progress = new ProgressPrinter()) {
            return StopSignal.run(new Run(backend, settings, folder, progress), resume);
        }
    }

    /** Jobs that share the processors take a part each, unless the settings say how many threads; bits do not depend on it. */
    private Backend open(TrainConfig settings) {
        int threads = settings.device().threads();
        if (job != null && threads == 0) {
            threads = Math.max(
                    1,
                    Runtime.getRuntime().availableProcessors()
                            / Shard.parse(job).count());
        }
        return device.open(
                threads, MatmulPrecision.of(settings.device().precision().key()));
    }

    /** A process for each run that is not finished: the shard of that run alone. */
    private JobProcesses processes(SweepStudy study, Shard part) {
        List<PlannedRun> all = study.runs(List.of(), study.sweep().seeds().size());
        List<PlannedRun> own = part.of(all);
        Reproduction.check(own);
        study.prepareData(own);
        List<JobProcesses.Task> tasks = new ArrayList<>();
        for (PlannedRun run : own) {
            if (RunSummary.open(run.folder()).filter(RunSummary::finished).isEmpty()) {
                List<String> words = new ArrayList<>(List.of("sweep", config.toString()));
                words.addAll(keys);
                words.addAll(List.of("--out", study.out().toString()));
                words.addAll(List.of("--shard", all.indexOf(run) + "/" + all.size()));
                tasks.add(new JobProcesses.Task(run.label(), words));
            }
        }
        List<String> devices = device.ofJobs(spec, jobs);
        return new JobProcesses(
                IntStream.range(0, jobs)
                        .mapToObj(i -> List.of("--job", i + "/" + jobs, "--device", devices.get(i)))
                        .toList(),
                tasks);
    }

    /** A job whose parent was killed stops as by a signal: its standard input has an end then. */
    private static void endWithParent() {
        Thread thread = new Thread(
                () -> {
                    try {
                        while (System.in.read() >= 0) {}
                    } catch (IOException e) {
                        // as at its end
                    }
                    System.exit(StopSignal.TERMINATED);
                },
                "end with parent");
        thread.setDaemon(true);
        thread.start();
    }
}
