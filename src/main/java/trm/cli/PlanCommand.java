package trm.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
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
import trm.config.Augment;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.MemorySize;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.puzzle.Symmetries;
import trm.device.Backend;
import trm.device.CudaInstallation;
import trm.device.PlanningBackend;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.reproduce.Rates;
import trm.reproduce.RunCost;
import trm.train.Devices;
import trm.train.MemoryPlan;
import trm.train.Run;
import trm.train.RunTensors;

/** {@code trm plan}: the memory of a training run, laid out without any. */
@Command(
        name = "plan",
        mixinStandardHelpOptions = true,
        description = {
            "Lays out the memory of a training run and says whether it fits; allocates nothing and needs no data.",
            "Plans for the device that is here or, with --memory, for one of that size: the GPU that is here, or else",
            "one that is not. GB = 10^9 bytes. Exit code 0 whether or not it fits.",
            "Settings: recompute=auto|none|gate_up|layers|evaluations, micro_batches=auto|N.",
            "For a GPU also how long a step takes, and the run where its steps are known: by the figures of docs/measurements,",
            "or by --rate. With --fit the largest batch, with each kind of recomputation and without."
        },
        footer = {
            "",
            "Example: trm plan configs/sudoku-mlp.yaml --memory 24GB",
            "         trm plan configs/sudoku-mlp.yaml arch.L_cycles=12 recompute=layers --memory 80GB --json",
            "         trm plan configs/sudoku-mlp.yaml --fit 24GB",
            "         trm plan configs/sudoku-mlp.yaml --memory 80GB --groups 1000 --rate rates.json",
        })
final class PlanCommand implements Callable<Integer> {
    private static final int TOTAL_STEPS = 1; // of the schedule; takes no memory

    @Spec
    private CommandSpec spec;

    @Parameters(
            arity = "1..*",
            paramLabel = "CONFIG.yaml key=value",
            description =
                    "Configuration, with data_shape where its data are not there, and values that replace its own.")
    private List<String> arguments;

    @Option(
            names = "--memory",
            paramLabel = "SIZE",
            description = "Size to plan for, e.g. 80GB; default: what is free.")
    private String memory;

    @Option(names = "--fit", paramLabel = "SIZE", description = "Find the largest batch for this size instead.")
    private String fit;

    @Mixin
    private RateOption rate;

    @Option(
            names = "--groups",
            paramLabel = "N",
            defaultValue = "0",
            description =
                    "Groups of training puzzles, one sample of each an epoch, where data_paths is not there: the run's"
                            + " steps follow from them.")
    private long groups;

    @Option(
            names = "--examples",
            paramLabel = "N",
            defaultValue = "0",
            description = "Training samples, where data_paths is not there (default ${DEFAULT-VALUE}).")
    private long examples;

    @Option(
            names = "--test-examples",
            paramLabel = "N",
            defaultValue = "0",
            description = "Test samples, where data_paths is not there (default ${DEFAULT-VALUE}).")
    private long testExamples;

    @Option(
            names = "--ranks",
            paramLabel = "N",
            defaultValue = "1",
            description = "Processes that share the batch: plans the memory of one of them (default ${DEFAULT-VALUE}).")
    private int ranks;

    @Option(names = "--device", defaultValue = "auto", description = "auto, cpu or cuda:N (default ${DEFAULT-VALUE}).")
    private String device;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    /** Those of data that are not there: memory does not depend on which they are. */
    private static final Symmetries ANY_SYMMETRIES = new Symmetries(true, 0, 0, 2);

    @Override
    public Integer call() {
        Cli.within(spec, "--examples", examples, 0, Integer.MAX_VALUE);
        Cli.within(spec, "--test-examples", testExamples, 0, Integer.MAX_VALUE);
        Cli.atLeast(spec, "--ranks", ranks, 1);
        Cli.within(spec, "--groups", groups, 0, Integer.MAX_VALUE);
        if (memory != null && fit != null) {
            throw new ParameterException(spec.commandLine(), "--memory and --fit: both are a size; give one");
        }
        long given = fit != null
                ? MemorySize.parse("--fit", fit)
                : memory == null ? 0 : MemorySize.parse("--memory", memory);
        TrainConfig config =
                ConfigLoader.load(Path.of(arguments.get(0)), arguments.subList(1, arguments.size()), Cli::message);
        config.schedule().requireRanks(ranks);
        long size = Math.min(given, config.memory().limitBytes()); // the run takes no more than its settings allow
        RunTensors.DataSizes data = data(config);
        MemoryPlan.Contents<RunTensors> contents =
                (backend, arena, settled) -> RunTensors.allocate(backend, arena, settled, data, TOTAL_STEPS);
        if (size > 0
                && device.equals("auto")
                && !Devices.cudaObstacles(0, CudaInstallation.ofThisMachine()).isEmpty()) {
            String name = "a GPU of " + MemorySize.text(size);
            plan(config, data, name, Devices.absentGpu().withRanks(ranks), size, contents);
            return 0;
        }
        try (Backend backend = Devices.open(
                device,
                config.device().threads(),
                trm.device.MatmulPrecision.of(config.device().precision().key()),
                line -> {})) {
            long limit = size > 0 ? size : Math.min(config.memory().limitBytes(), backend.freeBytes());
            String name = backend.name() + " (" + backend.target() + ")";
            plan(config, data, name, new PlanningBackend(backend).withRanks(ranks), limit, contents);
        }
        return 0;
    }

    private void plan(
            TrainConfig config,
            RunTensors.DataSizes data,
            String name,
            PlanningBackend device,
            long limit,
            MemoryPlan.Contents<RunTensors> contents) {
        ModelSizes model =
                new ModelSizes(config.arch(), data.shape(), config.schedule().globalBatchSize() / ranks);
        if (fit == null) {
            MemoryPlan plan = MemoryPlan.of(device, limit, config, model.positions(), contents);
            report(config, data, name, plan);
            Map<String, Object> time = time(config, data, name, plan, model);
            if (json) {
                json(name, plan, time);
            }
            return;
        }
        System.out.println(
                arguments.get(0) + " for " + name + (ranks == 1 ? "" : ", one of " + ranks + " ranks") + "\n");
        List<Map<String, Object>> fits = new PlanFit(device, limit, config, model, contents, rate.rates()).print();
        if (json) {
            Map<String, Object> result = new LinkedHashMap<>();
            result.put("config", arguments.get(0));
            result.put("device", name);
            result.put("ranks", ranks);
            result.put("memory_bytes", limit);
            result.put("fits", fits);
            Cli.json(result);
        }
    }

    /** How long it takes, printed and for JSON. Empty on a CPU, of which no figures come with the program, unless a rate is given. */
    private Map<String, Object> time(
            TrainConfig config, RunTensors.DataSizes data, String name, MemoryPlan plan, ModelSizes model) {
        if (name.startsWith("cpu") && !rate.isGiven()) {
            return Map.of();
        }
        Rates rates = rate.rates();
        long tests = data.test() == null ? 0 : data.test().examples();
        long steps = steps(config);
        RunCost cost;
        try {
            cost = RunCost.of(plan, model, steps, tests, rates);
        } catch (ConfigException e) {
            if (rate.isGiven()) {
                throw e;
            }
            System.out.println("a step: " + e.getMessage());
            return Map.of();
        }
        Map<String, Object> time = new LinkedHashMap<>();
        time.put("rate", rates.title());
        time.put("ms_per_step", cost.step().ms());
        time.put("measured", cost.step().measured());
        time.put("source", cost.step().source());
        System.out.printf(
                Locale.ROOT,
                "a step: %.4g ms on %s: %s%n",
                cost.step().ms(),
                rates.title(),
                cost.step().source());
        if (steps > 0) {
            time.put("steps", steps);
            time.put("train_hours", cost.trainHours());
            time.put("evaluation_hours", cost.evaluationHours());
            System.out.printf(
                    Locale.ROOT,
                    "the run: %,d steps in %.4g h, and its evaluations of %,d samples in %.4g h%n",
                    steps,
                    cost.trainHours(),
                    tests,
                    cost.evaluationHours());
        }
        return time;
    }

    /** Of the whole run; 0 where nothing tells. */
    private long steps(TrainConfig config) {
        Optional<Dataset> train = ConfiguredData.open(config, "train");
        if (groups > 0 && train.isPresent()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--groups: the data of " + arguments.get(0) + " are there and say how many; leave it out");
        }
        return train.map(there -> Run.totalSteps(config, there))
                .orElse(groups > 0 ? Run.totalSteps(config, groups, 1) : 0);
    }

    /** Of the data set where it is there, else of the configuration and the options. */
    private RunTensors.DataSizes data(TrainConfig config) {
        Optional<Dataset> train = ConfiguredData.open(config, "train");
        DataShape shape = ConfiguredData.shape(config, arguments.get(0), train);
        if (train.isPresent()) {
            if (examples > 0 || testExamples > 0) {
                throw new ParameterException(
                        spec.commandLine(),
                        "--examples, --test-examples: the data of " + arguments.get(0)
                                + " are there and say how many; leave them out");
            }
            return RunTensors.DataSizes.of(
                    train.get(), ConfiguredData.open(config, "test").orElse(null), config.data());
        }
        Cli.message("no data set in " + String.join(", ", config.data().paths()) + ": planned for " + examples
                + " training and " + testExamples + " test samples (--examples, --test-examples)");
        DeviceExamples.Size samples = DeviceExamples.Size.expanded(examples, -1);
        return new RunTensors.DataSizes(
                shape,
                config.data().augment() == Augment.FRESH ? samples.fresh(ANY_SYMMETRIES) : samples,
                DeviceExamples.Size.expanded(testExamples, -1));
    }

    private void report(TrainConfig config, RunTensors.DataSizes data, String name, MemoryPlan plan) {
        TrainConfig settled = plan.settled();
        System.out.printf(
                Locale.ROOT,
                "%s for %s%s%nbatch %d of %d positions, %s, n = %d, T = %d, recompute %s, micro_batches %d%n%n",
                arguments.get(0),
                name,
                ranks == 1 ? "" : ", one of " + ranks + " ranks",
                config.schedule().globalBatchSize(),
                config.arch().prefixLen() + data.shape().seqLen(),
                config.arch().dtype().key(),
                config.arch().recursion().latentSteps(),
                config.arch().recursion().cycles(),
                settled.memory().recompute().key(),
                settled.memory().microBatches());
        plan.parts().forEach((part, bytes) -> line(part, bytes));
        line("total", plan.totalBytes());
        System.out.println();
        for (MemoryPlan.Tried tried : plan.tried()) {
            System.out.printf(
                    Locale.ROOT,
                    "recompute %-12s micro_batches %-4d %10s%n",
                    tried.recompute().key(),
                    tried.microBatches(),
                    MemorySize.text(tried.bytes()));
        }
        System.out.println(plan.fits() ? "fits: " + plan.describe() : "does not fit: " + plan.refusal());
    }

    private void json(String name, MemoryPlan plan, Map<String, Object> time) {
        TrainConfig settled = plan.settled();
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("config", arguments.get(0));
        result.put("device", name);
        result.put("ranks", ranks);
        result.put("memory_bytes", plan.limitBytes());
        result.put("total_bytes", plan.totalBytes());
        result.put("fits", plan.fits());
        result.put("recompute", settled.memory().recompute().key());
        result.put("micro_batches", settled.memory().microBatches());
        result.put("parts", plan.parts());
        result.putAll(time);
        Cli.json(result);
    }

    private static void line(String part, long bytes) {
        System.out.printf(Locale.ROOT, "%-16s %,18d %10s%n", part, bytes, MemorySize.text(bytes));
    }
}
