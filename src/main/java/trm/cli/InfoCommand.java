package trm.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.ConfigKey;
import trm.config.ConfigLoader;
import trm.config.ConfigPage;
import trm.config.DataShape;
import trm.config.Equilibrium;
import trm.config.MemorySize;
import trm.config.OptimizerConfig;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.CudaInstallation;
import trm.device.DeviceException;
import trm.device.Host;
import trm.device.MatmulPrecision;
import trm.device.Mpi;
import trm.device.NativeBuild;
import trm.device.PlanningBackend;
import trm.device.RankLaunch;
import trm.device.Tensor;
import trm.model.ModelSizes;
import trm.model.RecursionSchedule;
import trm.train.DeepSupervision;
import trm.train.DepthSchedule;
import trm.train.Devices;
import trm.train.MetricsPage;
import trm.train.Muon;
import trm.train.Run;

/** {@code trm info}: versions, what this machine offers, and what a configuration asks of it. */
@Command(
        name = "info",
        mixinStandardHelpOptions = true,
        description = {
            "Prints versions and what this machine offers: processor, memory, CUDA.",
            "With a configuration first the size of its model, the work of a step and of the whole run. Needs no data, but",
            "then the run's steps follow from --groups.",
            "With --keys instead all keys of configurations: default, unit, meaning.",
            "With --metrics instead all columns of metrics.csv: unit, over which samples, meaning."
        },
        footer = {
            "",
            "Example: trm info --json",
            "         trm info configs/sudoku-mlp.yaml global_batch_size=128 --groups 1000",
            "         trm info --keys",
            "         trm info --metrics",
        })
final class InfoCommand implements Callable<Integer> {
    @Parameters(
            arity = "0..*",
            paramLabel = "CONFIG.yaml key=value",
            description =
                    "Configuration, with data_shape where its data are not there, and values that replace its own.")
    private List<String> arguments = List.of();

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--groups",
            paramLabel = "N",
            defaultValue = "0",
            description = "Groups of training puzzles, one example of each an epoch, where data_paths is not there.")
    private long groups;

    @Option(names = "--keys", description = "Print the keys of configurations, in Markdown, and nothing else.")
    private boolean keys;

    @Option(names = "--metrics", description = "Print the columns of metrics.csv, in Markdown, and nothing else.")
    private boolean metrics;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        Cli.within(spec, "--groups", groups, 0, Integer.MAX_VALUE);
        if (keys || metrics) {
            return printPage();
        }
        TrainConfig config = null;
        Optional<Dataset> train = Optional.empty();
        DataShape shape = null;
        if (!arguments.isEmpty()) {
            config = ConfigLoader.load(Path.of(arguments.get(0)), arguments.subList(1, arguments.size()), Cli::message);
            train = ConfiguredData.open(config, "train");
            shape = ConfiguredData.shape(config, arguments.get(0), train);
        }
        if (groups > 0 && (config == null || train.isPresent())) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--groups " + groups + ": "
                            + (config == null
                                    ? "expected a configuration with it"
                                    : "the data of " + arguments.get(0) + " are there and say how many; leave it out"));
        }
        CudaInstallation cuda = CudaInstallation.ofThisMachine();
        Map<String, Object> result = new LinkedHashMap<>();
        putVersions(result);
        putMachine(result);
        putCuda(result, cuda);
        putRanks(result);
        if (config != null) {
            Map<String, Object> plan = plan(config, shape, train);
            result.putAll(plan);
            print(plan, config.arch().equilibrium());
            System.out.println();
        }
        print(result, cuda);
        if (json) {
            Cli.json(result);
        }
        return 0;
    }

    /** A table of the documentation. */
    private int printPage() {
        if (keys && metrics) {
            throw new ParameterException(spec.commandLine(), "--keys: expected no --metrics with it");
        }
        if (!arguments.isEmpty() || groups > 0) {
            throw new ParameterException(
                    spec.commandLine(),
                    (keys ? "--keys" : "--metrics") + ": expected no configuration and no --groups with it");
        }
        if (json && keys) {
            Cli.json(Map.of(
                    "keys", ConfigPage.keys().stream().map(InfoCommand::fields).toList()));
        } else if (json) {
            Cli.json(Map.of("columns", MetricsPage.entries()));
        } else {
            System.out.print(keys ? ConfigPage.markdown() : MetricsPage.markdown());
        }
        return 0;
    }

    private static Map<String, Object> fields(ConfigKey<?, ?> key) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("name", key.name());
        fields.put("aliases", key.aliases());
        fields.put("default", key.defaultText());
        fields.put("unit", key.unit());
        fields.put("meaning", key.sentence());
        fields.put("may_change_on_resume", key.onResume().text());
        return fields;
    }

    private static void putVersions(Map<String, Object> result) {
        result.put("version", Main.VERSION);
        result.put("java", System.getProperty("java.version"));
        result.put("os", System.getProperty("os.name") + " " + System.getProperty("os.version"));
        result.put("platform", NativeBuild.platform());
        result.put("onednn", NativeBuild.oneDnn());
        result.put("javacpp", NativeBuild.javaCpp());
    }

    private static void putMachine(Map<String, Object> result) {
        Processor processor = Processor.ofThisMachine();
        result.put("processor", processor.model());
        result.put("cpu_features", processor.features());
        try (Backend backend = Devices.open("cpu", 0, MatmulPrecision.FLOAT32, line -> {})) {
            result.put("cpu_target", backend.target());
        }
        Host host = Devices.host();
        result.put("processors", Runtime.getRuntime().availableProcessors());
        result.put("threads", host.threads());
        result.put("threads_why", host.threadsWhy());
        result.put("memory_bytes", host.memoryBytes());
        result.put("memory_is_limited", host.memoryIsLimited());
        result.put("java_heap_bytes", Runtime.getRuntime().maxMemory());
    }

    private static void putCuda(Map<String, Object> result, CudaInstallation cuda) {
        result.put("cuda_driver", fields(cuda.driver()));
        result.put("cuda_driver_version", cuda.driverVersion());
        result.put("gpus", cuda.gpus());
        result.put(
                "cuda_libraries",
                cuda.libraries().stream().map(InfoCommand::fields).toList());
        result.put("cuda_searched", cuda.searched().stream().map(Path::toString).toList());
        result.put("cuda_kernels", NativeBuild.carries("libtrm_cuda.so"));
        result.put("cuda_targets", NativeBuild.cudaTargets());
        List<String> obstacles = Devices.cudaObstacles(0, cuda);
        result.put("cuda_obstacles", obstacles);
        result.put("device", obstacles.isEmpty() ? "cuda:0" : "cpu");
    }

    /** What a training would take from the environment of this process. */
    private static void putRanks(Map<String, Object> result) {
        try {
            RankLaunch launch = RankLaunch.of(System.getenv());
            result.put("rank", launch.rank());
            result.put("ranks", launch.ranks());
            result.put("ranks_why", launch.describe());
        } catch (DeviceException e) {
            result.put("rank", null);
            result.put("ranks", null);
            result.put("ranks_why", "refused: " + e.getMessage());
        }
        result.put("mpi", NativeBuild.carries(Mpi.LIBRARY));
    }

    private static Map<String, Object> fields(CudaInstallation.Library library) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("name", library.name());
        fields.put("found", library.found());
        fields.put("path", library.found() ? library.path().toString() : null);
        fields.put("version", library.version());
        fields.put("needed", library.needed());
        fields.put("required", library.required());
        fields.put("how_to_get", library.howToGet());
        return fields;
    }

    /** What a training step of the model takes, data set and evaluation apart. */
    private Map<String, Object> plan(TrainConfig config, DataShape shape, Optional<Dataset> train) {
        ModelSizes sizes =
                new ModelSizes(config.arch(), shape, config.schedule().globalBatchSize());
        Map<String, Object> plan = new LinkedHashMap<>();
        try (Backend device = Devices.open("auto", 0, MatmulPrecision.FLOAT32, line -> {});
                Backend backend = new PlanningBackend(device);
                Arena arena = new Arena(backend)) {
            trm.model.Parameters parameters = new trm.model.Parameters(backend, arena, sizes, true);
            new DeepSupervision(backend, arena, sizes, parameters, config, 1, null).close();
            Tensor table = parameters.puzzleTable();
            plan.put("batch", sizes.lanes());
            plan.put("dtype", config.arch().dtype().key());
            plan.put("arch", config.arch().name().key());
            plan.put("parameters", parameters.trainedCount());
            plan.put("network_parameters", parameters.networkCount());
            plan.put("embedding_parameters", parameters.trainedCount() - parameters.networkCount());
            plan.put("puzzle_embedding_values", table == null ? 0 : table.count());
            plan.put("depth", RecursionSchedule.depth(config.arch()));
            plan.put("forward_passes", config.arch().hasContinueLoss() ? 2 : 1);
            plan.put("relaxation", config.arch().equilibrium().relaxation());
            plan.put("latent_noise", config.arch().equilibrium().latentNoise());
            plan.put("random_start", config.arch().equilibrium().randomStart());
            plan.put("flops_per_step", sizes.flops(true));
            plan.put(
                    "optimizer_flops_per_step",
                    config.optimizer().kind() == OptimizerConfig.Kind.MUON
                            ? Muon.flops(
                                    parameters.blockMatrices(),
                                    config.optimizer().muon().steps())
                            : 0.0);
            Long steps = steps(config, train);
            plan.put("steps", steps);
            plan.put(
                    "max_train_seconds",
                    config.schedule().isUnplanned() ? config.schedule().maxTrainSeconds() : null);
            plan.put("flops", steps == null ? null : new DepthSchedule(config, steps).flops(sizes));
            plan.put("model_bytes", arena.totalBytes());
            plan.put("model_bytes_by_purpose", arena.bytesByPurpose());
        }
        return plan;
    }

    /** Optimizer steps of the run: by its data, else by {@code --groups}, else at most max_steps or what is planned; null if nothing tells. */
    private Long steps(TrainConfig config, Optional<Dataset> train) {
        if (train.isPresent()) {
            config.schedule().requirePass(train.get().info().totalGroups());
            return Run.totalSteps(config, train.get());
        }
        if (groups > 0) {
            config.schedule().requirePass(groups);
            return Run.totalSteps(config, groups, 1);
        }
        long most = config.schedule().mostSteps();
        return most < Long.MAX_VALUE ? most : null;
    }

    private static void print(Map<String, Object> result, CudaInstallation cuda) {
        line("trm-cuda", result.get("version"));
        line("Java", result.get("java") + ", heap up to " + MemorySize.text((long) result.get("java_heap_bytes")));
        line("system", result.get("os") + ", " + result.get("platform"));
        line("libraries", "oneDNN " + result.get("onednn") + ", JavaCPP " + result.get("javacpp"));
        line("processor", result.get("processor") + ", " + result.get("processors") + " processors");
        line("threads", result.get("threads") + " (" + result.get("threads_why") + ")");
        line("features", Processor.ofThisMachine().features().stream().collect(Collectors.joining(" ")));
        line("native code", "built for " + result.get("cpu_target") + " (TRM_CPU_ISA narrows the choice)");
        line(
                "memory",
                MemorySize.text((long) result.get("memory_bytes"))
                        + (result.get("memory_is_limited").equals(true) ? " (limit of a control group)" : ""));
        line(
                "ranks",
                result.get("ranks_why")
                        + (result.get("mpi").equals(true)
                                ? "; this build connects ranks on CPUs by MPI"
                                : "; this build has no MPI, which ranks on CPUs need"));
        line("CUDA driver", found(cuda.driver(), cuda.driverVersion()));
        line("GPUs", cuda.gpus().isEmpty() ? "none known to the driver" : String.join(", ", cuda.gpus()));
        for (CudaInstallation.Library library : cuda.libraries()) {
            line(library.name(), found(library, library.version()));
        }
        line(
                "CUDA kernels",
                NativeBuild.carries("libtrm_cuda.so")
                        ? "libtrm_cuda.so is in the jar, for " + String.join(" ", NativeBuild.cudaTargets())
                        : "none in the jar");
        Object obstacles = result.get("cuda_obstacles");
        line(
                "--device auto",
                result.get("device")
                        + ((List<?>) obstacles).stream().map(o -> "; " + o).collect(Collectors.joining("", "", "")));
        if (!cuda.driver().found() || cuda.libraries().stream().anyMatch(library -> !library.usable())) {
            line("looked in", cuda.searched().stream().map(Path::toString).collect(Collectors.joining(":")));
        }
    }

    private static void print(Map<String, Object> plan, Equilibrium equilibrium) {
        line(
                "model",
                String.format(
                        Locale.ROOT,
                        "%s, %,d parameters: %,d in its networks, %,d in embeddings and heads; puzzle embedding %,d",
                        plan.get("arch"),
                        (long) plan.get("parameters"),
                        (long) plan.get("network_parameters"),
                        (long) plan.get("embedding_parameters"),
                        ((Number) plan.get("puzzle_embedding_values")).longValue()));
        line(
                "training step",
                String.format(
                        Locale.ROOT,
                        "%.1f GFLOP, batch %d, %s; %d forward %s of depth %d",
                        (double) plan.get("flops_per_step") * 1e-9,
                        (int) plan.get("batch"),
                        plan.get("dtype"),
                        (int) plan.get("forward_passes"),
                        plan.get("forward_passes").equals(1) ? "pass" : "passes",
                        (int) plan.get("depth")));
        double muon = (double) plan.get("optimizer_flops_per_step");
        if (muon > 0) {
            double share = muon / (double) plan.get("flops_per_step");
            line(
                    "Muon",
                    String.format(
                            Locale.ROOT, "%.2f GFLOP a step on top, %.2g %% of the step's", muon * 1e-9, 100 * share));
        }
        if (!equilibrium.equals(Equilibrium.NONE)) {
            line(
                    "equilibrium",
                    "relaxation " + equilibrium.relaxation() + ", latent noise " + equilibrium.latentNoise() + ", "
                            + (equilibrium.randomStart() ? "random starts" : "one start"));
        }
        line(
                "whole run",
                plan.get("steps") == null
                        ? "steps unknown without the data; --groups N says how many groups of puzzles it has"
                        : String.format(Locale.ROOT, "%,d steps, %.3g FLOP", (long) plan.get("steps"), (double)
                                        plan.get("flops"))
                                + (plan.get("max_train_seconds") == null
                                        ? ""
                                        : ", or as many as fit into " + plan.get("max_train_seconds") + " s"));
        List<String> parts = new ArrayList<>();
        ((Map<?, ?>) plan.get("model_bytes_by_purpose"))
                .forEach((purpose, bytes) -> parts.add(purpose + " " + MemorySize.text((long) bytes)));
        line(
                "its memory",
                MemorySize.text((long) plan.get("model_bytes")) + ": " + String.join(", ", parts)
                        + "; data set and evaluation come on top (trm plan)");
    }

    private static void line(String name, Object value) {
        System.out.printf(Locale.ROOT, "%-14s %s%n", name, value);
    }

    private static String found(CudaInstallation.Library library, String version) {
        return library.found()
                ? library.path() + (version == null ? "" : ", version " + version)
                : "not found; " + library.howToGet();
    }
}
