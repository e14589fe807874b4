package trm.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Mark;
import trm.device.Profile;
import trm.model.ModelSizes;
import trm.train.DeepSupervision;
import trm.train.DeviceExamples;
import trm.train.MemoryPlan;
import trm.train.RunTensors;

/** Times complete optimizer steps, admission to moving average, on made-up samples. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        description = "Times training steps of a configuration; needs no data.",
        footer = {"", "Example: trm bench configs/sudoku-mlp.yaml batch=8 --json"})
final class BenchCommand implements Callable<Integer> {
    private static final int SAMPLES = 64;
    private static final int MAX_SECONDS = 86_400;
    private static final int WARM_STEPS = 3;
    private static final int HOST_STEPS = 21;

    /** Marks in use, and how many steps back one is read: further than the host can be ahead of the device. */
    private static final int MARKS = 32;

    private static final int READ_BACK = 16;

    @Parameters(
            arity = "1..*",
            paramLabel = "CONFIG.yaml key=value",
            description = "Configuration and values that replace its own; batch=N stands for global_batch_size=N.")
    private List<String> arguments;

    private final Map<String, Object> result = new LinkedHashMap<>();

    @Option(names = "--seconds", defaultValue = "10", description = "How long to measure (default ${DEFAULT-VALUE}).")
    private double seconds;

    @Mixin
    private DeviceOption device;

    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        if (!(seconds > 0 && seconds <= MAX_SECONDS)) {
            throw new ConfigException("--seconds is " + seconds + ": must be above 0 and at most " + MAX_SECONDS);
        }
        List<String> overrides = arguments.subList(1, arguments.size()).stream()
                .map(BenchCommand::override)
                .toList();
        TrainConfig config = ConfigLoader.load(Path.of(arguments.get(0)), overrides);
        if (config.dataShape() == null) {
            throw new ConfigException(
                    "data_shape",
                    "bench needs data_shape: {seq_len, vocab_size," + " num_puzzle_identifiers} in "
                            + arguments.get(0));
        }
        RunTensors.DataSizes data =
                new RunTensors.DataSizes(config.dataShape(), DeviceExamples.Size.expanded(SAMPLES, 0), null);
        ModelSizes sizes = new ModelSizes(config.arch(), config.dataShape(), config.globalBatchSize());
        MemoryPlan.Contents<RunTensors> contents =
                (backend, arena, settled) -> RunTensors.allocate(backend, arena, settled, data, 1_000_000);
        try (Backend backend = device.open(config)) {
            MemoryPlan plan = MemoryPlan.of(backend, config, sizes.positions(), contents);
            Cli.message("memory: " + plan.describe());
            try (Arena arena = plan.allocate(backend);
                    RunTensors tensors = contents.allocate(backend, arena, plan.settled())) {
                fill(backend, sizes, tensors.trainExamples());
                tensors.parameters().initialize(config.seed());
                measure(plan.settled(), backend, sizes, arena, tensors.supervision());
            }
        }
        if (json) {
            Cli.json(result);
        }
        return 0;
    }

    private void measure(
            TrainConfig config, Backend backend, ModelSizes sizes, Arena arena, DeepSupervision supervision) {
        Times times = measure(backend, supervision, sizes.lanes());
        report(config, backend, sizes, arena, times);
        BenchProfile profile = profile(backend, supervision, sizes.lanes(), times.median());
        profile.print();
        profile.json(result);
    }

    private static String override(String argument) {
        if (!argument.startsWith("batch=")) {
            return argument;
        }
        String value = argument.substring(6);
        if (!value.matches("0*[1-9][0-9]{0,8}")) {
            throw new ConfigException(
                    "batch", "batch is '" + value + "': must be a whole number, at least 1 and at most 999999999");
        }
        return "global_batch_size=" + value;
    }

    private static void fill(Backend backend, ModelSizes sizes, Kernels.Examples samples) {
        int[] tokens = new int[SAMPLES * sizes.tokens()];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = 1 + (int) (i * 2654435761L >>> 7 & 0x7fffffff) % (sizes.vocabulary() - 1);
        }
        HostCopy.put(backend, samples.inputs(), tokens);
        HostCopy.put(backend, samples.labels(), tokens);
    }

    /**
     * What steps take.
     *
     * @param ms of each, by the device's clock, one step right after the other; sorted
     * @param hostMicros what the host takes to enqueue one to an idle device; on the CPU, that is the step
     * @param graph whether they were replays of a record
     */
    private record Times(double[] ms, double hostMicros, boolean graph) {
        double median() {
            return ms[ms.length / 2];
        }
    }

    private Times measure(Backend backend, DeepSupervision supervision, int lanes) {
        int[] rows = rows(lanes);
        for (int i = 0; i < WARM_STEPS; i++) {
            supervision.step(rows);
        }
        backend.synchronize();
        double[] ms = new double[100_000];
        Mark[] marks = new Mark[MARKS];
        Arrays.setAll(marks, i -> backend.mark());
        try {
            int steps = 0; // enqueued
            int n = 0; // read
            marks[0].set();
            long end = System.nanoTime() + (long) (seconds * 1e9);
            while (steps < ms.length && (steps < 5 || System.nanoTime() < end)) {
                supervision.step(rows);
                marks[++steps % MARKS].set();
                if (steps - n > READ_BACK) {
                    ms[n] = between(marks, n++);
                }
            }
            while (n < steps) {
                ms[n] = between(marks, n++);
            }
            double[] measured = Arrays.copyOf(ms, n);
            Arrays.sort(measured);
            int hostSteps = (int) Math.max(1, Math.min(HOST_STEPS, 200 * seconds / measured[n / 2]));
            return new Times(measured, hostMicros(backend, supervision, rows, hostSteps), supervision.recorded());
        } finally {
            for (Mark mark : marks) {
                mark.close();
            }
        }
    }

    private static double between(Mark[] marks, int step) {
        Mark after = marks[(step + 1) % MARKS];
        after.await();
        return after.millisecondsSince(marks[step % MARKS]);
    }

    private static double hostMicros(Backend backend, DeepSupervision supervision, int[] rows, int steps) {
        double[] micros = new double[steps];
        for (int i = 0; i < steps; i++) {
            backend.synchronize();
            long from = System.nanoTime();
            supervision.step(rows);
            micros[i] = (System.nanoTime() - from) * 1e-3;
        }
        backend.synchronize();
        Arrays.sort(micros);
        return micros[steps / 2];
    }

    private void report(TrainConfig config, Backend backend, ModelSizes sizes, Arena arena, Times times) {
        double[] ms = times.ms();
        double median = times.median();
        result.put("config", arguments.get(0));
        result.put("device", backend.name() + " " + backend.target());
        result.put("dtype", config.arch().dtype());
        result.put("batch", sizes.lanes());
        result.put("recompute", config.recompute().key());
        result.put("micro_batches", config.microBatches());
        result.put("graph", times.graph());
        result.put("steps", ms.length);
        result.put("ms_per_step", median);
        result.put("ms_p10", ms[ms.length / 10]);
        result.put("ms_p90", ms[ms.length * 9 / 10]);
        result.put("host_us_per_step", times.hostMicros());
        result.put("samples_per_s", sizes.lanes() / median * 1e3);
        result.put("gflops", sizes.flops(true) / median * 1e-6);
        result.put("peak_bytes", arena.totalBytes());
        result.forEach((name, value) -> System.out.printf(
                Locale.ROOT,
                "%-16s %s%n",
                name,
                value instanceof Double d ? String.format(Locale.ROOT, "%.3f", d) : value));
        arena.bytesByPurpose()
                .forEach((purpose, bytes) ->
                        System.out.printf(Locale.ROOT, "  memory %-12s %,d bytes%n", purpose, bytes));
    }

    /** Where a step's time goes, over further steps, each operation waited for: a fifth of the time measured, two steps at least. */
    private BenchProfile profile(Backend backend, DeepSupervision supervision, int lanes, double msPerStep) {
        int steps = (int) Math.max(2, Math.min(1000, 200 * seconds / msPerStep));
        int[] rows = rows(lanes);
        backend.kernels().profile(new Profile()); // thrown away: the first use of a profile takes milliseconds to link
        for (int i = 0; i < (steps + 1) / 2; i++) {
            supervision.step(rows);
        }
        Profile profile = new Profile();
        backend.kernels().profile(profile);
        long from = System.nanoTime();
        for (int i = 0; i < steps; i++) {
            supervision.step(rows);
        }
        long wall = System.nanoTime() - from;
        backend.kernels().profile(null);
        return new BenchProfile(profile, steps, wall);
    }

    private static int[] rows(int lanes) {
        int[] rows = new int[lanes];
        for (int b = 0; b < lanes; b++) {
            rows[b] = b % SAMPLES;
        }
        return rows;
    }
}
