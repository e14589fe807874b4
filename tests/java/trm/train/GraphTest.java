package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.Systems;
import trm.config.Augment;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.DeviceException;
import trm.device.Dtype;
import trm.device.Event;
import trm.device.HostBuffer;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.LaneKernels;
import trm.device.Metric;
import trm.device.NativeKernels;
import trm.device.OptimizerKernels;
import trm.device.Profile;
import trm.device.Purpose;
import trm.device.StepGraph;
import trm.device.Tensor;
import trm.device.TestDevice;
import trm.evaluation.Evaluator;
import trm.lanes.DeviceExamples;
import trm.lanes.RepeatedStep;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * A captured step is the step. Oracle: the same steps, not captured. Bound: none. Runs on the CPU, and through
 * {@link TestDevice} on the stand-in for a GPU and on a GPU.
 */
public class GraphTest {
    private static final int LANES = 5;
    private static final int STEPS = 20;
    private static final int TAKE_EVERY = 9; // seldom: reading what was taken before waits for the device

    @TempDir
    private static Path temp;

    private static Backend backend;
    private static Kernels kernels;
    private static Dataset data;

    private Arena arena;

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(temp, 4, 60, 10, 1, 8);
        data = Dataset.open(temp, "train");
        backend = TestDevice.open();
        kernels = backend.kernels();
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    @BeforeEach
    void begin() {
        arena = new Arena(backend);
    }

    @AfterEach
    void end() {
        arena.close();
    }

    private static TrainConfig config(boolean mlp, boolean noContinue, String dtype, String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + temp + "']",
                "arch:",
                "  hidden_size: 32",
                "  num_heads: 4",
                "  mlp_t: " + mlp,
                "  pos_encodings: " + (mlp ? "none" : "rope"),
                "  H_cycles: 2",
                "  L_cycles: 2",
                "  L_layers: 1",
                "  puzzle_emb_ndim: 32",
                "  puzzle_emb_len: 1",
                "  no_ACT_continue: " + noContinue,
                "  halt_max_steps: 4",
                "  halt_exploration_prob: 0.5",
                "  forward_dtype: " + dtype,
                "global_batch_size: " + LANES,
                "lr: 1e-3",
                "lr_warmup_steps: 7",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    private static ModelSizes sizes(TrainConfig config) {
        DataShape shape = new DataShape(
                data.seqLen(), data.info().vocabSize(), data.info().numPuzzleIdentifiers());
        return new ModelSizes(config.arch(), shape, LANES);
    }

    private static Parameters parameters(Arena arena, ModelSizes sizes) {
        Parameters parameters = new Parameters(backend, arena, sizes, true);
        parameters.initialize(7);
        float[] q = new float[2 * sizes.width()]; // begin as 0, and all lanes would halt alike
        for (int i = 0; i < q.length; i++) {
            q[i] = 0.1f * (i % 7 - 3);
        }
        HostCopy.put(backend, parameters.masterOf("q_head.weight"), q);
        HostCopy.put(backend, parameters.masterOf("q_head.bias"), new float[] {1, 0});
        parameters.refreshWorking();
        return parameters;
    }

    /** The bits of a tensor. */
    private static ByteBuffer bits(Tensor t) {
        ByteBuffer bytes = ByteBuffer.allocateDirect((int) t.bytes());
        backend.download(t, bytes);
        return bytes.rewind();
    }

    private static void lanes(Map<String, ByteBuffer> into, LaneKernels.Lanes lanes) {
        into.put("halted", bits(lanes.halted()));
        into.put("steps", bits(lanes.steps()));
        into.put("inputs", bits(lanes.inputs()));
        into.put("labels", bits(lanes.labels()));
        into.put("ids", bits(lanes.ids()));
        for (Tensor latent : lanes.latents()) {
            into.put(latent.storage().name(), bits(latent));
        }
    }

    /** The data as they are; to be augmented afresh, each a task of its own. */
    private static LaneKernels.Examples examples(Arena arena, TrainConfig config) {
        LaneKernels.Examples all = DeviceExamples.upload(backend, arena, data);
        if (config.data().augment() == Augment.STORED) {
            return all;
        }
        Tensor origins = arena.tensor(Purpose.DATA, "origins", Dtype.I32, data.examples(), 2);
        HostCopy.put(
                backend,
                origins,
                IntStream.range(0, 2 * data.examples())
                        .map(i -> i % 2 == 0 ? i / 2 : 0)
                        .toArray());
        LaneKernels.Symmetries sudoku = new LaneKernels.Symmetries(true, 2, 2, 2);
        return new LaneKernels.Examples(
                all.inputs(), all.labels(), all.ids(), all.ignoreLabel(), origins, null, sudoku);
    }

    /** What {@link #STEPS} steps leave behind. Nothing waits for the device but the reading of metrics taken before. */
    private static Map<String, ByteBuffer> train(TrainConfig config, boolean graphs) {
        ModelSizes sizes = sizes(config);
        Map<String, ByteBuffer> found = new LinkedHashMap<>();
        try (Arena arena = new Arena(backend)) {
            Parameters parameters = parameters(arena, sizes);
            LaneKernels.Examples examples = examples(arena, config);
            try (DeepSupervision supervision =
                    new DeepSupervision(backend, arena, sizes, parameters, config, 30, examples, graphs)) {
                List<double[]> metrics = new ArrayList<>();
                MetricsReading reading = null;
                for (int step = 1; step <= STEPS; step++) {
                    int[] rows = new int[LANES];
                    for (int b = 0; b < LANES; b++) {
                        rows[b] = (7 * step + 11 * b) % data.examples();
                    }
                    supervision.step(rows);
                    Arrays.fill(rows, -1); // the caller's array is its own again
                    if (step % TAKE_EVERY == 0) {
                        read(reading, metrics);
                        reading = supervision.takeMetrics();
                    }
                }
                read(reading, metrics);
                assertEquals(graphs, supervision.captured());
                double halted = metrics.stream().mapToDouble(m -> m[0]).sum();
                assertTrue(halted > STEPS * LANES / 4.0 && halted < 0.9 * STEPS * LANES, halted + " halts");
                ByteBuffer read = ByteBuffer.allocate(8 * 9 * metrics.size());
                metrics.forEach(m -> Arrays.stream(m).forEach(read::putDouble));
                found.put("metrics read", read.rewind());
                found.put("parameters", bits(parameters.master()));
                found.put("average", bits(parameters.average()));
                found.put("m", bits(parameters.moment1()));
                found.put("v", bits(parameters.moment2()));
                if (parameters.puzzleTable() != null) {
                    found.put("puzzles", bits(parameters.puzzleTable()));
                }
                found.put("controls", bits(supervision.controls()));
                found.put("metrics", bits(supervision.metrics()));
                found.put("logits", bits(supervision.model().logits()));
                found.put("predictions", bits(supervision.tokens().preds()));
                lanes(found, supervision.lanes());
            }
        }
        return found;
    }

    private static void read(MetricsReading reading, List<double[]> into) {
        if (reading != null) {
            reading.await();
            assertTrue(reading.arrived());
            double[] values = new double[9];
            for (Metric metric : Metric.values()) {
                values[metric.ordinal()] = reading.metric(metric);
            }
            values[8] = reading.learningRate();
            into.add(values);
        }
    }

    @ParameterizedTest(name = "mlp_t {0}, no continue loss {1}, {2}")
    @CsvSource({
        "true, true, float32",
        "false, true, float32",
        "true, false, float32",
        "false, false, float32",
        "true, true, bfloat16",
        "false, false, bfloat16"
    })
    void replayedStepsAreTheSteps(boolean mlp, boolean noContinue, String dtype) {
        assertReplayed(config(mlp, noContinue, dtype));
    }

    private static Stream<String> systems() {
        return Systems.NAMES.stream();
    }

    @ParameterizedTest
    @MethodSource("systems")
    void replayedStepsOfEverySystem(String system) {
        assertReplayed(config(false, true, "float32", Systems.overrides(system)));
    }

    /** Their noise and random starts follow the step number on the device. */
    @ParameterizedTest
    @ValueSource(strings = {"trm", "several_z"})
    void replayedStepsWithNoise(String system) {
        assertReplayed(config(
                false,
                true,
                "float32",
                Systems.overrides(system, "arch.relaxation=0.9", "arch.latent_noise=0.1", "arch.random_start=true")));
    }

    /** What changes at a step does so on the device: carry, average; each part of the depth schedule has a graph of its own. */
    @ParameterizedTest
    @ValueSource(strings = {"float32", "bfloat16"})
    void replayedStepsWithLevers(String dtype) {
        assertReplayed(config(
                true,
                true,
                dtype,
                "arch.loss={loss_type: softmax_cross_entropy, label_smoothing: 0.2, halt_loss_weight: 0.05}",
                "arch.puzzle_emb_ndim=0",
                "arch.puzzle_emb_len=0",
                "arch.learned_prefix=2",
                "arch.mlp_activation=normed_swiglu",
                "carry_from_step=5",
                "ema_from_step=10",
                "lr_min_ratio=0",
                "max_grad_norm=0.5",
                "depth_schedule=[{until: 0.25, H_cycles: 1, L_cycles: 1}, {until: 0.5, H_cycles: 2, L_cycles: 1}]"));
    }

    /** The rate of its matrices follows the step on the device, too. */
    @ParameterizedTest(name = "mlp_t {0}, {1}")
    @CsvSource({"true, float32", "false, float32", "true, bfloat16", "false, bfloat16"})
    void replayedStepsOfMuon(boolean mlp, String dtype) {
        assertReplayed(config(mlp, true, dtype, "optimizer=muon", "lr_min_ratio=0.1", "max_grad_norm=0.5"));
    }

    /** Symmetries that are drawn follow it too. */
    @Test
    void replayedStepsWithFreshAugmentation() {
        TrainConfig fresh = config(true, true, "float32", "augment=fresh");
        assertReplayed(fresh);
        assertNotEquals(
                train(config(true, true, "float32"), true).get("inputs"),
                train(fresh, true).get("inputs"));
    }

    private static void assertReplayed(TrainConfig config) {
        Map<String, ByteBuffer> eager = train(config, false);
        Map<String, ByteBuffer> replayed = train(config, true);
        eager.forEach((name, expected) -> assertEquals(expected, replayed.get(name), name));
        assertEquals(eager.keySet(), replayed.keySet());
    }

    @ParameterizedTest(name = "mlp_t {0}")
    @ValueSource(booleans = {true, false})
    void replayedEvaluationIsTheEvaluation(boolean mlp) {
        TrainConfig config = config(mlp, true, "float32");
        ModelSizes sizes = sizes(config);
        Parameters parameters = parameters(arena, sizes);
        LaneKernels.Examples examples = DeviceExamples.upload(backend, arena, data);
        LaneKernels.Examples others =
                new LaneKernels.Examples(examples.labels(), examples.labels(), examples.ids(), -1);
        List<Object> eager = evaluate(sizes, parameters, false, examples, others);
        List<Object> replayed = evaluate(sizes, parameters, true, examples, others);
        assertEquals(eager, replayed);
        assertNotEquals(eager.get(0), eager.get(1), "other examples, other results");
    }

    /** Results on some examples, on others, on the first again; and the lanes after each step of a batch. */
    private List<Object> evaluate(
            ModelSizes sizes,
            Parameters parameters,
            boolean graphs,
            LaneKernels.Examples examples,
            LaneKernels.Examples others) {
        List<Object> found = new ArrayList<>();
        try (Evaluator evaluator = new Evaluator(backend, arena, sizes, parameters, parameters.weights(), 4, graphs)) {
            for (LaneKernels.Examples e : List.of(examples, others, examples)) {
                found.add(evaluator.evaluate(e, 28)); // the last of its batches is not full
            }
            assertEquals(found.get(0), found.get(2));
            evaluator.run(examples, new int[] {3, 1, -1, 59, 20}, step -> {
                Map<String, ByteBuffer> state = new LinkedHashMap<>();
                lanes(state, evaluator.lanes());
                state.put("predictions", bits(evaluator.tokens().preds()));
                state.put("q", bits(evaluator.model().q()));
                found.add(state);
            });
        }
        return found;
    }

    /** x, as often as {@code times} says, after a body that was run by a {@link RepeatedStep}. */
    private float[] repeat(boolean graphs, int times, Tensor x, Consumer<Integer> before, Runnable body) {
        HostCopy.put(backend, x, new float[] {1, 2, 3});
        try (RepeatedStep step = new RepeatedStep(backend, graphs, body)) {
            for (int i = 1; i <= times; i++) {
                before.accept(i);
                step.run();
            }
        }
        return HostCopy.floats(backend, x);
    }

    /** The comparison above tells: a learning rate that the host passes stays what it was when the step was captured. */
    @Test
    void aScalarOfTheHostIsFrozen() {
        Tensor controls = arena.tensor(Purpose.CASE, "controls", Dtype.F64, OptimizerKernels.CONTROLS);
        double[] lr = new double[1];
        Runnable byHost = () ->
                kernels.optimizers().advance(controls, new OptimizerKernels.Schedule(lr[0], 0, 0, 10, 1, 0), 0.9, 0.99);
        Runnable byDevice = () ->
                kernels.optimizers().advance(controls, new OptimizerKernels.Schedule(0.5, 0, 8, 10, 1, 0), 0.9, 0.99);
        for (boolean host : new boolean[] {true, false}) {
            List<ByteBuffer> ends = new ArrayList<>();
            for (boolean graphs : new boolean[] {false, true}) {
                kernels.elementwise().zero(controls);
                Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 3);
                repeat(graphs, 5, x, i -> lr[0] = 0.5 * i / 8, host ? byHost : byDevice);
                ends.add(bits(controls));
            }
            assertEquals(!host, ends.get(0).equals(ends.get(1)));
        }
    }

    /** So does a place in a ring: here the slot is taken by the host, as an address. */
    @Test
    void anAddressOfTheHostIsFrozen() {
        Tensor ring = arena.tensor(Purpose.CASE, "ring", Dtype.F32, 4, 3);
        HostCopy.put(backend, ring, new float[] {1, 1, 1, 10, 10, 10, 100, 100, 100, 1000, 1000, 1000});
        Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 3);
        int[] slot = new int[1];
        Runnable body = () -> kernels.elementwise().add(x, ring.view(3L * slot[0], 3), x);
        assertArrayEquals(new float[] {1112, 1113, 1114}, repeat(false, 4, x, i -> slot[0] = i - 1, body));
        assertArrayEquals(new float[] {32, 33, 34}, repeat(true, 4, x, i -> slot[0] = i - 1, body));
    }

    /** A graph is captured without running anything, runs as often as it is launched, and others with it. */
    @Test
    void aGraphRunsWhenItIsLaunched() {
        Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 3);
        Tensor one = arena.tensor(Purpose.CASE, "one", Dtype.F32, 3);
        HostCopy.put(backend, one, new float[] {1, 1, 1});
        try (StepGraph addOne = backend.capture(() -> kernels.elementwise().add(x, one, x));
                StepGraph twice = backend.capture(() -> kernels.elementwise().add(x, x, x));
                StepGraph nothing = backend.capture(() -> {})) {
            assertArrayEquals(new float[3], HostCopy.floats(backend, x));
            addOne.launch();
            twice.launch();
            nothing.launch();
            addOne.launch();
            assertArrayEquals(new float[] {3, 3, 3}, HostCopy.floats(backend, x));
        }
    }

    /** Everything that a graph could not repeat is refused, says so, and leaves the device as it was. */
    @Test
    void whatCannotBeRepeatedIsRefused() {
        Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 3);
        ByteBuffer bytes = ByteBuffer.allocateDirect(12);
        try (HostBuffer host = backend.hostBuffer(12);
                Event event = backend.event();
                StepGraph other = backend.capture(() -> kernels.elementwise().zero(x))) {
            Map<String, Runnable> refused = new LinkedHashMap<>();
            refused.put("upload to x:F32[3]", () -> backend.upload(bytes, x));
            refused.put("download of x:F32[3]", () -> backend.download(x, bytes));
            refused.put("upload to x:F32[3] ", () -> backend.enqueueUpload(host, 0, x));
            refused.put("download of x:F32[3] ", () -> backend.enqueueDownload(x, host));
            refused.put("allocation of y", () -> backend.allocate("y", 8));
            refused.put("allocation of host memory", () -> backend.hostBuffer(8));
            refused.put("synchronize", backend::synchronize);
            refused.put("an event", event::set);
            refused.put("a question for an event", event::reached);
            refused.put("a wait for an event", event::await);
            refused.put("a capture", () -> backend.capture(() -> {}));
            refused.put("launch of another graph", other::launch);
            refused.put("set_threads", () -> ((NativeKernels) kernels).setThreads(1));
            refused.forEach((what, call) -> {
                HostCopy.put(backend, x, new float[] {1, 2, 3});
                String message = assertThrows(
                                DeviceException.class,
                                () -> backend.capture(() -> {
                                    kernels.elementwise().zero(x);
                                    call.run();
                                }),
                                what)
                        .getMessage();
                String expected = what.strip() + " within a captured step, after 1 operations: ";
                assertTrue(message.startsWith(expected), message);
                assertArrayEquals(new float[] {1, 2, 3}, HostCopy.floats(backend, x));
            });
            other.launch();
            assertArrayEquals(new float[3], HostCopy.floats(backend, x));
        }
    }

    /** An argument that the library refuses: on a GPU while the step is captured, on the CPU when it is replayed. */
    @Test
    void aBadCallIsNamed() {
        assumeFalse(backend.target().startsWith("Fake GPU"), "the stand-in's operations check when they run");
        Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 2, 3);
        String message = assertThrows(DeviceException.class, () -> {
                    try (StepGraph graph = backend.capture(() -> {
                        kernels.elementwise().zero(x);
                        kernels.elementwise().permuteLanes(x, x, 2, 3);
                    })) {
                        graph.launch();
                        backend.synchronize();
                    }
                })
                .getMessage();
        assertTrue(message.contains("permute_lanes") && message.contains("operands x:F32[2,3], x:F32[2,3]"), message);
    }

    @Test
    void aProfileIsNotCaptured() {
        Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 3);
        kernels.profile(new Profile());
        try {
            String message = assertThrows(
                            DeviceException.class,
                            () -> backend.capture(() -> kernels.elementwise().zero(x)))
                    .getMessage();
            assertTrue(message.contains("while a profile waits for each operation"), message);
        } finally {
            kernels.profile(null);
        }
    }

    @Test
    void theEnvironmentDecides() {
        assertTrue(RepeatedStep.graphs(null, null));
        assertTrue(RepeatedStep.graphs("", ""));
        assertTrue(RepeatedStep.graphs("1", null));
        assertFalse(RepeatedStep.graphs("0", null));
        assertFalse(RepeatedStep.graphs(null, "sync"));
        String message = assertThrows(DeviceException.class, () -> RepeatedStep.graphs("no", null))
                .getMessage();
        assertEquals("TRM_GRAPH is no, expected 0 or 1", message);
    }
}
