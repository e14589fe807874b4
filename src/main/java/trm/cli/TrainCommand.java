package trm.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.device.Backend;
import trm.device.Collective;
import trm.device.DeviceException;
import trm.input.Shown;
import trm.io.SafeTensors;
import trm.status.StatusServer;
import trm.train.Checkpoint;
import trm.train.Resume;
import trm.train.Run;
import trm.train.RunFolder;

/** Trains a model, or continues a run. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        description = "Trains a model from a configuration, or continues a run.",
        footer = {
            "",
            "Example: trm train configs/cpu/sudoku-mlp-small.yaml lr=2e-4 arch.L_cycles=4 --run runs/small",
            "         trm train --resume runs/small",
            "         trm train configs/cpu/sudoku-mlp-small.yaml --run runs/small --resume auto",
            "         trm train runs/small/config.yaml --resume-from-weights weights.safetensors --at-step 2000 --run runs/on",
            "         trm train -m CONFIG.yaml lr=1e-4,3e-4 seed=0..2        (Hydra's multirun: trm sweep with the same words)",
            "SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 finish the step, write a checkpoint and exit with 130, 143, 138 and 140; an",
            "evaluation is given up and repeated on resume. Exit code 1 if the checkpoint could not be written; 3 if an evaluation",
            "did not reach its gate (key gates); 129 if the device or another rank was lost while it trained: start it again."
        })
final class TrainCommand implements Callable<Integer> {
    private static final String AUTO = "auto";

    /** Exit code of a run that a gate stopped. */
    static final int GATED = 3;

    /**
     * Exit code of a run that has lost its device or another rank. As that of a process that a signal has ended it is above 128:
     * schedulers try such a job again.
     */
    static final int LOST = 129;

    /** Folder of the runs that are named by their settings. */
    private static final Path RUNS = Path.of("runs");

    @Spec
    private CommandSpec spec;

    @Parameters(
            arity = "0..*",
            paramLabel = "CONFIG.yaml key=value",
            description = "Configuration file and values that replace its own.")
    private List<String> arguments = List.of();

    @Option(
            names = "--resume",
            paramLabel = "DIR|auto",
            description = {
                "Continue the run in this folder; key=value may change what changes no result.",
                "auto, with CONFIG.yaml: continue the run if it has begun, else begin it."
            })
    private Path resume;

    @Option(
            names = "--resume-from-weights",
            paramLabel = "FILE|RUN",
            description = {
                "Begin a run after a step of its schedule, with these weights and their moving average.",
                "Optimizer moments and lanes are begun anew. Short for load_checkpoint=FILE begin_step=N."
            })
    private Path weights;

    @Option(
            names = "--at-step",
            paramLabel = "N",
            description = "With --resume-from-weights: the steps behind the weights; default: as the file says.")
    private Long atStep;

    @Option(names = "--run", paramLabel = "DIR", description = "Run folder; default runs/<run_name or config name>.")
    private Path run;

    @Option(
            names = "--data",
            split = ",",
            paramLabel = "DIR",
            description =
                    "Data-set folders in place of data_paths; of a run that is resumed: where they were moved to.")
    private List<Path> data = List.of();

    @Mixin
    private DeviceOption device;

    @Option(
            names = "--status-port",
            paramLabel = "N",
            description = {
                "Tell at this port how the run is doing: /healthz, /readyz, /metrics; 0 takes any.",
                "Of several ranks the first listens."
            })
    private Integer statusPort;

    @Option(
            names = "--status-host",
            paramLabel = "HOST",
            description = "Address for --status-port; default 127.0.0.1. 0.0.0.0 lets other machines ask.")
    private String statusHost;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        checkWeights();
        checkStatus();
        boolean auto = resume != null && resume.toString().equals(AUTO);
        if (resume != null && !auto) {
            if (run != null) {
                throw new ParameterException(spec.commandLine(), "--resume DIR names the run folder; found also --run");
            }
            return resume(resume, overridden(resume));
        }
        if (arguments.isEmpty()) {
            throw new ParameterException(spec.commandLine(), "expected CONFIG.yaml or --resume DIR");
        }
        Path file = Path.of(arguments.get(0));
        TrainConfig config = ConfigLoader.load(file, overrides(), Cli::message);
        Path folder = run != null ? run : named(file, config);
        if (auto && RunFolder.hasCheckpoints(folder)) {
            return resume(folder, config);
        }
        return train(config, folder, List.of(), false);
    }

    private void checkWeights() {
        if (weights == null && atStep != null) {
            throw new ParameterException(
                    spec.commandLine(), "--at-step " + atStep + ": expected with --resume-from-weights FILE");
        }
        if (weights != null && resume != null) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--resume " + resume + " continues a run with all it had, --resume-from-weights " + weights
                            + " begins one: expected one of the two");
        }
        if (atStep != null) {
            Cli.atLeast(spec, "--at-step", atStep, 1);
        }
    }

    /** The step after which weights were taken, as it was given or as their file says. */
    private long beginStep() {
        if (atStep != null) {
            return atStep;
        }
        SafeTensors file = Checkpoint.open(weights, Cli::message);
        if (!file.metadata().containsKey("step")) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--resume-from-weights " + weights
                            + ": the file does not say after which step it was written; expected also --at-step N");
        }
        return Checkpoint.step(file);
    }

    private List<String> overrides() {
        List<String> overrides = new ArrayList<>(arguments.subList(1, arguments.size()));
        if (weights != null) {
            overrides.add(ConfigLoader.loadCheckpoint(weights));
            overrides.add("begin_step=" + beginStep());
        }
        if (!data.isEmpty()) {
            overrides.add(ConfigLoader.dataPaths(data));
        }
        return overrides;
    }

    /** A folder below {@code runs/}. */
    private static Path named(Path file, TrainConfig config) {
        String name = config.run().name() != null
                ? config.run().name()
                : file.getFileName().toString().replaceFirst("\\.ya?ml$", "");
        Path folder = RUNS.resolve(name).normalize();
        if (!folder.startsWith(RUNS) || folder.equals(RUNS)) {
            throw new ConfigException(
                    "run_name",
                    (config.run().name() != null ? "run_name is " : file + ": the name of the run is ")
                            + Shown.quoted(name) + ": must name a folder below " + RUNS
                            + "/; --run DIR takes any folder");
        }
        return folder;
    }

    /** The settings of a run with those on the command line. */
    private TrainConfig overridden(Path folder) {
        if (arguments.stream().anyMatch(argument -> !argument.contains("="))) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--resume takes its settings from the run, and key=value to change some; found also " + arguments);
        }
        TrainConfig stored = RunFolder.settings(folder, Cli::message);
        return arguments.isEmpty()
                ? stored
                : ConfigLoader.parse(ConfigLoader.toYaml(stored), folder + " (config.yaml)", arguments);
    }

    private int resume(Path folder, TrainConfig wanted) {
        TrainConfig begun = RunFolder.begun(folder).orElse(wanted);
        List<Path> moved = !data.isEmpty()
                ? data
                : wanted.data().paths().equals(begun.data().paths())
                        ? List.of()
                        : wanted.data().paths().stream().map(Path::of).toList();
        return train(Resume.settle(begun, wanted), folder, moved, true);
    }

    private int train(TrainConfig config, Path folder, List<Path> moved, boolean resumed) {
        try (Backend backend = device.openRank(config);
                ProgressPrinter progress = new ProgressPrinter()) {
            Run training = new Run(backend, config, folder, moved, progress);
            try (StatusServer server = status(backend, training, config)) {
                if (server != null) {
                    training.remark("status at http://" + server.address().getHostString() + ":"
                            + server.address().getPort() + "/metrics");
                }
                return outcome(backend, training, resumed, outcome -> {
                    if (json && backend.collective().rank() == 0) {
                        Map<String, Object> result = new LinkedHashMap<>();
                        result.put("run", folder.toString());
                        result.put("outcome", outcome.name().toLowerCase(Locale.ROOT));
                        Cli.json(result);
                    }
                });
            }
        }
    }

    /** Null where none was asked for, on other ranks than the first, and where it cannot listen: the run is worth more. */
    private StatusServer status(Backend backend, Run training, TrainConfig config) {
        if (statusPort == null || backend.collective().rank() > 0) {
            return null;
        }
        String host = statusHost == null ? "127.0.0.1" : statusHost;
        try {
            return new StatusServer(
                    training.status(), host, statusPort, config.device().collectiveTimeout());
        } catch (IOException e) {
            training.remark("--status-port " + statusPort + ": cannot listen at " + host + ": " + e.getMessage()
                    + "; the run goes on without it");
            return null;
        }
    }

    private void checkStatus() {
        if (statusPort == null && statusHost != null) {
            throw new ParameterException(
                    spec.commandLine(), "--status-host " + statusHost + ": expected with --status-port N");
        }
        if (statusPort != null) {
            Cli.within(spec, "--status-port", statusPort, 0, 65535);
        }
    }

    /**
     * The run to its end. A rank that fails ends the others, which would wait for it. A device or another rank that is lost while the run
     * trains has an exit code of its own, by which schedulers start it again.
     */
    private static int outcome(Backend backend, Run run, boolean resumed, Consumer<Run.Outcome> said) {
        Collective ranks = backend.collective();
        String who = ranks.ranks() > 1 ? "rank " + ranks.rank() + " of " + ranks.ranks() + ": " : "";
        try {
            Run.Outcome outcome = StopSignal.run(run, resumed);
            said.accept(outcome);
            if (outcome == Run.Outcome.STOPPED && !run.isAsked()) {
                return run.stoppedBy().exitCode(); // as of the rank that was
            }
            return outcome == Run.Outcome.GATED ? GATED : 0;
        } catch (RuntimeException | Error e) {
            boolean lost = e instanceof DeviceException && run.status().hasBegun();
            if (!lost && ranks.ranks() == 1) {
                throw e;
            }
            Cli.error(who
                    + Failure.describe(e)
                    + (lost
                            ? "; the last completed step is " + run.status().step()
                                    + ", and --resume goes on from the last checkpoint"
                            : ""));
            int code = lost ? LOST : Main.exitCode(e);
            if (ranks.ranks() > 1) {
                ranks.abort(code);
            }
            return code;
        }
    }
}
