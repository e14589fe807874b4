package trm.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Event;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Profile;
import trm.device.Staging;
import trm.evaluation.Evaluator;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;
import trm.reproduce.RatesFile;
import trm.reproduce.Timing;
import trm.train.DeepSupervision;
import trm.train.MemoryPlan;
import trm.train.RunTensors;

/** Times complete optimizer steps, admission to moving average, or evaluations, on made-up samples. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        description = "Times training steps of a configuration, or its evaluation; needs no data.",
        footer = {
            "",
            "Example: trm bench configs/sudoku-mlp.yaml batch=8 --json",
            "         trm bench configs/sudoku-mlp.yaml --save rates.json   # for trm plan, trm reproduce --dry-run: --rate"
        })
final class BenchCommand implements Callable<Integer> {
    private static final int SAMPLES = 64;
    private static final int MAX_SECONDS = 86_400;
    private static final int WARM_STEPS = 3;
    private static final int HOST_STEPS = 21;

    /** Marks in use, and how many steps back one is read: further than the host can be ahead of the device. */
    private static final int MARKS = 32;

    private static final int READ_BACK = 16;

    @CommandLine.Parameters(
            arity = "1..*",
            paramLabel = "CONFIG.yaml key=value",
            description = "Configuration and values that replace its own; batch=N stands for global_batch_size=N.")
    private List<String> arguments;

    private final Map<String, Object> result = new LinkedHashMap<>();

    @Option(names = "--seconds", defaultValue = "10", description = "How long to measure (default ${DEFAULT-VALUE}).")
    private double seconds;

    @Option(
            names = "--evaluate",
            description = "Time evaluation instead: all supervision steps of a batch, forward only.")
    private boolean evaluate;

    @Option(
            names = "--save",
            paramLabel = "FILE",
            description = "Keep the median in a file of rates, beside those of other settings and machines.")
    private Path save;

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
        if (save != null && Files.exists(save)) {
            RatesFile.read(save); // before anything is timed
        }
        DataShape shape = ConfiguredData.shape(config, arguments.get(0));
        ModelSizes sizes =
                new ModelSizes(config.arch(), shape, config.schedule().globalBatchSize());
        try (Backend backend = device.open(config)) {
            if (evaluate) {
                timeEvaluation(config, backend, sizes.withLanes(config.evaluationLanes()));
            } else {
                timeTraining(config, backend, sizes);
            }
        }
        if (json) {
            Cli.json(result);
        }
        return 0;
    }

    /** What is timed, again and again. */
    private interface Work {
        void run();

        /** Whether it replays a captured graph. */
        boolean captured();
    }

    private void timeTraining(TrainConfig config, Backend backend, ModelSizes sizes) {
        RunTensors.DataSizes data =
                new RunTensors.DataSizes(sizes.data(), DeviceExamples.Size.expanded(SAMPLES, 0), null);
        MemoryPlan.Contents<RunTensors> contents =
                (device, arena, settled) -> RunTensors.allocate(device, arena, settled, data, 1_000_000);
        MemoryPlan plan = MemoryPlan.of(backend, config, sizes.positions(), contents);
        Cli.message("memory: " + plan.describe());
        int[] rows = rows(sizes.lanes());
        try (Arena arena = plan.allocate(backend);
                RunTensors tensors = contents.allocate(backend, arena, plan.settled())) {
            fill(backend, sizes, tensors.trainExamples());
            tensors.parameters().initialize(config.run().seed());
            DeepSupervision supervision = tensors.supervision();
            Work step = new Work() {
                @Override
                public void run() {
                    supervision.step(rows);
                }

                @Override
                public boolean captured() {
                    return supervision.captured();
                }
            };
            Times times = measure(backend, step);
            describe(config, backend, sizes);
            result.put("recompute", plan.settled().memory().recompute().key());
            result.put("micro_batches", plan.settled().memory().microBatches());
            Map<String, Long> memory = new LinkedHashMap<>(arena.bytesByPurpose());
            plan.parts().entrySet().stream()
                    .filter(part -> part.getKey().equals(Staging.PURPOSE)) // where it is the device's memory
                    .forEach(part -> memory.put(part.getKey(), part.getValue()));
            report(times, "step", "samples", sizes, sizes.flops(true), memory);
            save(backend, Timing.Work.STEP, config, sizes, times.median());
            profile(backend, step, "step", times.median());
        }
    }

    private void timeEvaluation(TrainConfig config, Backend backend, ModelSizes sizes) {
        int steps = config.arch().halting().maxSteps();
        int[] rows = rows(sizes.lanes());
        try (Arena arena = new Arena(backend, config.memory().limitBytes())) {
            Parameters parameters = new Parameters(backend, arena, sizes, false);
            LaneKernels.Examples samples =
                    DeviceExamples.allocate(arena, DeviceExamples.Size.expanded(SAMPLES, 0), sizes.tokens());
            try (Evaluator evaluator = new Evaluator(backend, arena, sizes, parameters, parameters.weights(), steps)) {
                fill(backend, sizes, samples);
                parameters.initialize(config.run().seed());
                Work batch = new Work() {
                    @Override
                    public void run() {
                        evaluator.run(samples, rows, step -> {});
                    }

                    @Override
                    public boolean captured() {
                        return evaluator.captured();
                    }
                };
                Times times = measure(backend, batch);
                describe(config, backend, sizes);
                result.put("supervision_steps", steps);
                report(times, "batch", "puzzles", sizes, steps * sizes.flops(false), arena.bytesByPurpose());
                save(backend, Timing.Work.EVALUATION, config, sizes, times.median() / steps);
                profile(backend, batch, "batch", times.median());
            }
        }
    }

    private void save(Backend backend, Timing.Work work, TrainConfig config, ModelSizes sizes, double ms) {
        if (save != null) {
            RatesFile.save(
                    save, RateOption.machine(backend), Timing.of(work, String.join(" ", arguments), config, sizes, ms));
            Cli.message("saved in " + save);
        }
    }

    private static String override(String argument) {
        if (!argument.startsWith("batch=")) {
            return argument;
        }
        String value = argument.substring(6);
        if (!value.matches("[1-9][0-9]{0,8}")) {
            throw new ConfigException(
                    "batch", "batch is '" + value + "': must be a whole number, at least 1 and at most 999999999");
        }
        return "global_batch_size=" + value;
    }

    private static void fill(Backend backend, ModelSizes sizes, LaneKernels.Examples samples) {
        int[] tokens = new int[SAMPLES * sizes.tokens()];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = 1 + (int) (i * 2654435761L >>> 7 & 0x7fffffff) % (sizes.vocabulary() - 1);
        }
        HostCopy.put(backend, samples.inputs(), tokens);
        HostCopy.put(backend, samples.labels(), tokens);
    }

    /**
     * What runs of the work take.
     *
     * @param ms of each, by the device's clock, one right after the other; sorted
     * @param busy share of the device's time within the work, not between two of them
     * @param hostMicros what the host takes to enqueue one to an idle device; on the CPU, that is the work
     * @param graph whether they were replays of a captured graph
     * @param from when the first began, seconds of the epoch
     * @param to when the last had ended
     */
    private record Times(double[] ms, double busy, double hostMicros, boolean graph, double from, double to) {
        double median() {
            return ms[ms.length / 2];
        }
    }

    private Times measure(Backend backend, Work work) {
        for (int i = 0; i < WARM_STEPS; i++) {
            work.run();
        }
        backend.synchronize();
        double[] ms = new double[100_000];
        double within = 0;
        Event[] begins = marks(backend);
        Event[] ends = marks(backend);
        try {
            int steps = 0; // enqueued
            int n = 0; // read
            long end = System.nanoTime() + (long) (seconds * 1e9);
            double from = System.currentTimeMillis() * 1e-3;
            begins[0].set();
            while (steps < ms.length && (steps < 5 || System.nanoTime() < end)) {
                work.run();
                ends[steps % MARKS].set();
                begins[++steps % MARKS].set();
                if (steps - n > READ_BACK) {
                    within += between(begins[n % MARKS], ends[n % MARKS]);
                    ms[n] = between(begins[n % MARKS], begins[++n % MARKS]);
                }
            }
            while (n < steps) {
                within += between(begins[n % MARKS], ends[n % MARKS]);
                ms[n] = between(begins[n % MARKS], begins[++n % MARKS]);
            }
            double to = System.currentTimeMillis() * 1e-3;
            double[] measured = Arrays.copyOf(ms, n);
            double busy = within / Arrays.stream(measured).sum();
            Arrays.sort(measured);
            int hostSteps =
                    (int) Math.max(1, Math.min(HOST_STEPS, 1000 * seconds / measured[n / 2])); // as long again at most
            return new Times(measured, busy, hostMicros(backend, work, hostSteps), work.captured(), from, to);
        } finally {
            close(begins);
            close(ends);
        }
    }

    private static Event[] marks(Backend backend) {
        Event[] marks = new Event[MARKS];
        Arrays.setAll(marks, i -> backend.event());
        return marks;
    }

    private static void close(Event[] marks) {
        for (Event mark : marks) {
            mark.close();
        }
    }

    private static double between(Event before, Event after) {
        after.await();
        return after.millisecondsSince(before);
    }

    private static double hostMicros(Backend backend, Work work, int runs) {
        double[] micros = new double[runs];
        for (int i = 0; i < runs; i++) {
            backend.synchronize();
            long from = System.nanoTime();
            work.run();
            micros[i] = (System.nanoTime() - from) * 1e-3;
        }
        backend.synchronize();
        Arrays.sort(micros);
        return micros[runs / 2];
    }

    private void describe(TrainConfig config, Backend backend, ModelSizes sizes) {
        result.put("config", arguments.get(0));
        result.put("device", backend.name() + " " + backend.target());
        result.put("dtype", config.arch().dtype().key());
        result.put("batch", sizes.lanes());
    }

    /** @param unit of work, @param things that it works on, @param flops of one unit */
    private void report(
            Times times, String unit, String things, ModelSizes sizes, double flops, Map<String, Long> memory) {
        double[] ms = times.ms();
        double median = times.median();
        result.put("graph", times.graph());
        result.put("steps", ms.length);
        result.put("ms_per_" + unit, median);
        result.put("ms_p10", ms[ms.length / 10]);
        result.put("ms_p90", ms[ms.length * 9 / 10]);
        result.put("host_us_per_" + unit, times.hostMicros());
        result.put("device_busy", times.busy());
        result.put(things + "_per_s", sizes.lanes() / median * 1e3);
        result.put("gflops", flops / median * 1e-6);
        result.put(
                "peak_bytes",
                memory.values().stream().mapToLong(Long::longValue).sum());
        result.forEach((name, value) -> System.out.printf(
                Locale.ROOT,
                "%-17s %s%n",
                name,
                value instanceof Double d ? String.format(Locale.ROOT, "%.3f", d) : value));
        memory.forEach(
                (purpose, bytes) -> System.out.printf(Locale.ROOT, "  memory %-16s %,d bytes%n", purpose, bytes));
        result.put("timed_from", times.from());
        result.put("timed_to", times.to());
    }

    /** Where the time goes, over further runs, each operation waited for: a fifth of the time measured, two runs at least. */
    private void profile(Backend backend, Work work, String unit, double msEach) {
        int runs = (int) Math.max(2, Math.min(1000, 200 * seconds / msEach));
        backend.kernels().profile(new Profile()); // thrown away: the first use of a profile takes milliseconds to link
        for (int i = 0; i < (runs + 1) / 2; i++) {
            work.run();
        }
        Profile profile = new Profile();
        backend.kernels().profile(profile);
        long from = System.nanoTime();
        for (int i = 0; i < runs; i++) {
            work.run();
        }
        long wall = System.nanoTime() - from;
        backend.kernels().profile(null);
        BenchProfile table = new BenchProfile(profile, runs, wall);
        table.print(unit);
        table.json(result);
    }

    private static int[] rows(int lanes) {
        int[] rows = new int[lanes];
        for (int b = 0; b < lanes; b++) {
            rows[b] = b % SAMPLES;
        }
        return rows;
    }
}
