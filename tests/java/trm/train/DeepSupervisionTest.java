package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.Systems;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Metric;
import trm.device.Tensor;
import trm.device.cpu.CpuBackend;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * Lanes do not know of each other nor of earlier samples. Oracle: the same samples in fresh or other lanes, with frozen
 * weights. Bound: none for a lane in the same place; 1e-5 for lanes that moved, where a product may add in another
 * order.
 */
class DeepSupervisionTest {
    private static final int LANES = 5;
    private static final int HALT_MAX = 3;
    private static final double MOVED = 1e-5;

    @TempDir
    private static Path temp;

    private static Backend backend;
    private static Dataset data;

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(temp, 4, 60, 10, 1, 8);
        data = Dataset.open(temp, "train");
        backend = new CpuBackend(2);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    /** Supervision with frozen weights. */
    private static final class Frozen implements AutoCloseable {
        private final Arena arena = new Arena(backend);
        private final Parameters parameters;
        private final DeepSupervision supervision;

        Frozen(boolean mlp) {
            this(mlp, true, HALT_MAX);
        }

        /** With attention; a system without a continue loss is given one where it can have it. */
        static Frozen of(String system, boolean noContinue) {
            return new Frozen(false, noContinue, HALT_MAX, Systems.overrides(system));
        }

        Frozen(boolean mlp, boolean noContinue, int haltMax, String... overrides) {
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
                    "  puzzle_emb_ndim: 0",
                    "  no_ACT_continue: " + noContinue,
                    "  halt_max_steps: " + haltMax,
                    "  forward_dtype: float32",
                    "global_batch_size: " + LANES,
                    "");
            TrainConfig config = ConfigLoader.parse(yaml, "test", List.of(overrides));
            DataShape shape = new DataShape(
                    data.seqLen(), data.info().vocabSize(), data.info().numPuzzleIdentifiers());
            ModelSizes sizes = new ModelSizes(config.arch(), shape, LANES);
            parameters = new Parameters(backend, arena, sizes, true);
            parameters.initialize(7);
            float[] qWeights = new float[2 * sizes.width()]; // they begin as 0, and q would tell nothing
            for (int i = 0; i < qWeights.length; i++) {
                qWeights[i] = 0.02f * (i % 7 - 3);
            }
            HostCopy.put(backend, parameters.masterOf("q_head.weight"), qWeights);
            parameters.refreshWorking();
            supervision = new DeepSupervision(
                    backend, arena, sizes, parameters, config, 100, DeviceExamples.upload(backend, arena, data));
        }

        void step(int... rows) {
            supervision.offer(rows);
            supervision.advance();
            supervision.forwardBackward();
            backend.kernels().elementwise().zero(parameters.gradient());
        }

        /** A step after which no lane halts but after its last. */
        void goOn(int step, int... rows) {
            step(rows);
            if (step < HALT_MAX) {
                halt(new int[LANES]);
            }
        }

        void halt(int... flags) {
            HostCopy.put(backend, supervision.lanes().halted(), flags);
        }

        /** The step count of each lane. */
        int[] steps() {
            return HostCopy.ints(backend, supervision.lanes().steps());
        }

        /** Logits of each lane. */
        float[][] logits() {
            float[] all = HostCopy.floats(backend, supervision.model().logits());
            int count = all.length / LANES;
            float[][] lanes = new float[LANES][];
            for (int b = 0; b < LANES; b++) {
                lanes[b] = Arrays.copyOfRange(all, b * count, (b + 1) * count);
            }
            return lanes;
        }

        float[] q() {
            return HostCopy.floats(backend, supervision.model().q());
        }

        @Override
        public void close() {
            supervision.close();
            arena.close();
        }
    }

    /** After all lanes have halted by themselves, new samples meet lanes as good as new. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void refilledLanesKeepNoTrace(boolean mlp) {
        refilledLanesKeepNoTrace(new Frozen(mlp), new Frozen(mlp), new Frozen(mlp));
    }

    private static Stream<String> systems() {
        return Systems.NAMES.stream();
    }

    /** None of a system's latents is left over. */
    @ParameterizedTest
    @MethodSource("systems")
    void refilledLanesOfEverySystemKeepNoTrace(String system) {
        refilledLanesKeepNoTrace(Frozen.of(system, true), Frozen.of(system, true), Frozen.of(system, true));
    }

    private static void refilledLanesKeepNoTrace(Frozen one, Frozen other, Frozen third) {
        try (Frozen first = one;
                Frozen second = other;
                Frozen fresh = third) {
            for (int step = 1; step <= HALT_MAX; step++) {
                first.goOn(step, 0, 1, 2, 3, 4);
                second.goOn(step, 10, 11, 12, 13, 14);
                assertEquals(step, first.steps()[0]);
            }
            assertFalse(Arrays.equals(first.logits()[0], second.logits()[0]));
            for (int step = 1; step <= HALT_MAX; step++) {
                for (Frozen f : List.of(first, second, fresh)) {
                    f.goOn(step, 20, 21, 22, 23, 24);
                    assertEquals(step, f.steps()[0]);
                }
                for (int b = 0; b < LANES; b++) {
                    assertArrayEquals(fresh.logits()[b], first.logits()[b]);
                    assertArrayEquals(fresh.logits()[b], second.logits()[b]);
                }
                assertArrayEquals(fresh.q(), first.q());
                assertArrayEquals(fresh.q(), second.q());
            }
        }
    }

    /** Some lanes take new samples: these are as in fresh lanes, the others as if nothing had happened. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void refillTouchesOnlyHaltedLanes(boolean mlp) {
        try (Frozen mixed = new Frozen(mlp);
                Frozen undisturbed = new Frozen(mlp);
                Frozen fresh = new Frozen(mlp)) {
            mixed.step(0, 1, 2, 3, 4);
            undisturbed.step(0, 1, 2, 3, 4);
            mixed.halt(1, 0, 1, 0, 0);
            mixed.step(20, 21, 22, 23, 24);
            undisturbed.step(20, 21, 22, 23, 24);
            fresh.step(20, 21, 22, 23, 24);
            assertArrayEquals(new int[] {1, 2, 1, 2, 2}, mixed.steps());
            for (int b = 0; b < LANES; b++) {
                boolean refilled = b == 0 || b == 2;
                assertArrayEquals((refilled ? fresh : undisturbed).logits()[b], mixed.logits()[b], "lane " + b);
                assertFalse(
                        Arrays.equals((refilled ? undisturbed : fresh).logits()[b], mixed.logits()[b]), "lane " + b);
            }
        }
    }

    /**
     * The further pass of the continue loss says what the next step will say of a lane that goes on, bit for bit, and
     * leaves no trace: logits are those of lanes without it.
     */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void nextPassIsTheNextStep(boolean mlp) {
        nextPassIsTheNextStep(new Frozen(mlp, false, HALT_MAX), new Frozen(mlp));
    }

    /** All latents go into the further pass, and come out of it as they were. HRM cannot do without it. */
    @ParameterizedTest
    @ValueSource(strings = {"separate", "single_z", "several_z", "hrm"})
    void nextPassOfEverySystemIsTheNextStep(String system) {
        nextPassIsTheNextStep(Frozen.of(system, false), Frozen.of(system, !system.equals("hrm")));
    }

    @Test
    void nextPassOfRelaxedUpdatesIsTheNextStep() {
        nextPassIsTheNextStep(
                new Frozen(true, false, HALT_MAX, "arch.relaxation=0.8"),
                new Frozen(true, true, HALT_MAX, "arch.relaxation=0.8"));
    }

    private static void nextPassIsTheNextStep(Frozen with, Frozen without) {
        try (Frozen continued = with;
                Frozen plain = without) {
            float[] promised = null;
            float[] before = null;
            for (int step = 1; step <= HALT_MAX; step++) {
                continued.goOn(step, 0, 1, 2, 3, 4);
                plain.goOn(step, 0, 1, 2, 3, 4);
                for (int b = 0; b < LANES; b++) {
                    assertArrayEquals(plain.logits()[b], continued.logits()[b]);
                }
                assertArrayEquals(plain.q(), continued.q());
                if (promised != null) {
                    assertArrayEquals(promised, continued.q());
                    assertFalse(Arrays.equals(before, promised));
                }
                before = continued.q();
                promised = HostCopy.floats(backend, continued.supervision.nextQ());
            }
        }
    }

    /** Without the continue loss, or with a single step a sample, nothing is allocated for it. */
    @Test
    void nextPassCostsNothingWhereThereIsNone() {
        try (Frozen plain = new Frozen(true);
                Frozen continued = new Frozen(true, false, HALT_MAX);
                Frozen single = new Frozen(true, false, 1)) {
            assertNull(plain.supervision.nextQ());
            assertNull(single.supervision.nextQ());
            assertEquals(plain.arena.bytesByPurpose(), single.arena.bytesByPurpose());
            assertTrue(plain.arena.totalBytes() < continued.arena.totalBytes());
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void permutedLanesPermuteLogits(boolean mlp) {
        int[] rows = {30, 7, 19, 4, 55};
        int[] order = {3, 0, 4, 1, 2};
        int[] permuted = Arrays.stream(order).map(b -> rows[b]).toArray();
        try (Frozen plain = new Frozen(mlp);
                Frozen moved = new Frozen(mlp)) {
            for (int step = 0; step < HALT_MAX; step++) {
                plain.step(rows);
                moved.step(permuted);
                float[][] expected = plain.logits();
                float[][] found = moved.logits();
                for (int b = 0; b < LANES; b++) {
                    assertArrayEquals(expected[order[b]], found[b], (float) MOVED, "lane " + b);
                    assertEquals(plain.q()[2 * order[b]], moved.q()[2 * b], MOVED);
                }
            }
        }
    }

    private static float[] puzzles(Frozen f) {
        return HostCopy.floats(backend, f.parameters.puzzleTable());
    }

    /** Frozen weights are those of a run whose learning rate is 0: the puzzle table moves alike, nothing else does. */
    @Test
    void frozenWeightsTrainThePuzzleTableOnly() {
        String[] puzzle = {"arch.puzzle_emb_ndim=32", "arch.puzzle_emb_len=1", "puzzle_emb_lr=1e-2"};
        List<String> frozen = new ArrayList<>(List.of(puzzle));
        frozen.add("freeze_weights=true");
        List<String> still = new ArrayList<>(List.of(puzzle));
        still.add("lr=0");
        try (Frozen a = new Frozen(true, true, HALT_MAX, frozen.toArray(String[]::new));
                Frozen b = new Frozen(true, true, HALT_MAX, still.toArray(String[]::new))) {
            float[] weights = HostCopy.floats(backend, a.parameters.master());
            float[] average = HostCopy.floats(backend, a.parameters.average());
            for (int step = 0; step < 3; step++) {
                float[] before = puzzles(a);
                a.supervision.step(new int[] {0, 1, 2, 3, 4});
                b.supervision.step(new int[] {0, 1, 2, 3, 4});
                assertFalse(Arrays.equals(before, puzzles(a)));
                assertArrayEquals(puzzles(b), puzzles(a));
                for (Tensor t : List.of(a.parameters.moment1(), a.parameters.moment2(), a.parameters.gradient())) {
                    assertArrayEquals(new float[weights.length], HostCopy.floats(backend, t));
                }
                assertArrayEquals(weights, HostCopy.floats(backend, a.parameters.master()));
                assertArrayEquals(average, HostCopy.floats(backend, a.parameters.average()));
            }
        }
    }

    /** The gradient of q grows with the weight of the halting loss, and nothing else of the heads does. */
    @Test
    void haltingLossIsWeighted() {
        try (Frozen half = new Frozen(true);
                Frozen light = new Frozen(true, true, HALT_MAX, "arch.halt_loss_weight=0.05");
                Frozen none = new Frozen(true, true, HALT_MAX, "arch.halt_loss_weight=0")) {
            for (Frozen f : List.of(half, light, none)) {
                f.supervision.offer(new int[] {0, 1, 2, 3, 4});
                f.supervision.advance();
                f.supervision.forwardBackward();
            }
            float[] expected = gradient(half, "q_head.bias");
            assertTrue(expected[0] != 0);
            assertEquals(0.1 * expected[0], gradient(light, "q_head.bias")[0], 0x1p-21 * Math.abs(expected[0]));
            assertArrayEquals(new float[2], gradient(none, "q_head.bias"));
            assertArrayEquals(gradient(half, "lm_head.weight"), gradient(light, "lm_head.weight"));
        }
    }

    private static float[] gradient(Frozen f, String name) {
        return HostCopy.floats(backend, f.parameters.gradients().get(name));
    }

    /** Steps without carry are those of samples that have a single step and no halting loss, bit for bit, with any loss of q. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aStartWithoutCarryHasSingleSteps(boolean noContinue) {
        try (Frozen start = new Frozen(true, noContinue, HALT_MAX, "carry_from_step=5");
                Frozen single = new Frozen(true, noContinue, 1, "arch.halt_loss_weight=0")) {
            for (int step = 1; step < 5; step++) {
                int[] rows = {step, 10 + step, 20 + step, 30 + step, 40 + step};
                start.supervision.step(rows);
                single.supervision.step(rows);
                assertArrayEquals(new int[] {1, 1, 1, 1, 1}, start.steps());
                assertArrayEquals(
                        new int[] {1, 1, 1, 1, 1},
                        HostCopy.ints(backend, start.supervision.lanes().halted()));
            }
            assertArrayEquals(single.logits(), start.logits());
            assertArrayEquals(
                    HostCopy.floats(backend, single.parameters.master()),
                    HostCopy.floats(backend, start.parameters.master()));
            double[] metrics = HostCopy.doubles(backend, start.supervision.metrics());
            assertEquals(0, metrics[Metric.Q_HALT_LOSS.ordinal()]);
            assertEquals(0, metrics[Metric.Q_CONTINUE_LOSS.ordinal()]);
            assertEquals(4 * LANES, metrics[Metric.COUNT.ordinal()]);
        }
    }

    /** From its step on a lane goes on with its sample, as one that began there, and q is trained. */
    @Test
    void carryBeginsAtItsStep() {
        try (Frozen start = new Frozen(true, true, HALT_MAX, "carry_from_step=3");
                Frozen fresh = new Frozen(true)) {
            start.step(0, 1, 2, 3, 4);
            start.step(10, 11, 12, 13, 14);
            for (int step = 1; step <= HALT_MAX; step++) {
                start.goOn(step, 20, 21, 22, 23, 24);
                fresh.goOn(step, 20, 21, 22, 23, 24);
                assertEquals(step, start.steps()[0]);
                assertArrayEquals(fresh.logits(), start.logits());
                assertArrayEquals(
                        HostCopy.floats(backend, fresh.supervision.halts().dq()),
                        HostCopy.floats(backend, start.supervision.halts().dq()));
            }
        }
    }

    /** The first part of a run makes the updates of a model with fewer cycles, in the memory of the whole one: the same bits. */
    @ParameterizedTest(name = "{0}, recompute {1}")
    @CsvSource({
        "trm,none",
        "trm,gate_up",
        "trm,layers",
        "trm,evaluations",
        "separate,none",
        "separate,layers",
        "one_step,none",
        "single_z,none",
        "several_z,none",
        "hrm,none"
    })
    void firstPartIsAShallowerModel(String system, String recompute) {
        String mode = "recompute=" + recompute;
        String stages = "depth_schedule=[{until: 0.5, H_cycles: 1, L_cycles: 1}]";
        try (Frozen grows = new Frozen(false, true, HALT_MAX, Systems.overrides(system, mode, stages));
                Frozen shallow = new Frozen(
                        false, true, HALT_MAX, Systems.overrides(system, mode, "arch.H_cycles=1", "arch.L_cycles=1"));
                Frozen deep = new Frozen(false, true, HALT_MAX, Systems.overrides(system, mode))) {
            for (int step = 0; step < 4; step++) {
                int[] rows = {step, 10 + step, 20 + step, 30 + step, 40 + step};
                grows.supervision.step(rows);
                shallow.supervision.step(rows);
            }
            assertArrayEquals(shallow.logits(), grows.logits());
            assertArrayEquals(
                    HostCopy.floats(backend, shallow.parameters.master()),
                    HostCopy.floats(backend, grows.parameters.master()));
            assertEquals(deep.arena.bytesByPurpose(), grows.arena.bytesByPurpose(), "memory of the deepest part");
        }
    }

    /** After its share of the run a part is over, whatever was before: the step is that of the whole model from the same state. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void depthGrowsWithTheRun(boolean noContinue) {
        String stages =
                "depth_schedule=[{until: 0.02, H_cycles: 1, L_cycles: 2}, {until: 0.04, H_cycles: 2, L_cycles: 1}]";
        try (Frozen grows = new Frozen(true, noContinue, HALT_MAX, stages);
                Frozen second = new Frozen(true, noContinue, HALT_MAX, "arch.L_cycles=1");
                Frozen last = new Frozen(true, noContinue, HALT_MAX)) {
            for (int step = 1; step <= 6; step++) {
                Frozen plain = step <= 4 ? second : last;
                if (step == 3 || step == 5) {
                    copy(grows, plain);
                }
                int[] rows = {step, 10 + step, 20 + step, 30 + step, 40 + step};
                grows.supervision.step(rows);
                if (step > 2) {
                    plain.supervision.step(rows);
                    assertArrayEquals(plain.logits(), grows.logits(), "step " + step);
                    assertArrayEquals(
                            HostCopy.floats(backend, plain.parameters.master()),
                            HostCopy.floats(backend, grows.parameters.master()),
                            "step " + step);
                }
            }
        }
    }

    /** The state of training: weights, moments, lanes and the number of the step. */
    private static void copy(Frozen from, Frozen to) {
        List<Tensor> sources = state(from);
        List<Tensor> targets = state(to);
        for (int i = 0; i < sources.size(); i++) {
            backend.kernels().elementwise().copy(sources.get(i), targets.get(i));
        }
    }

    private static List<Tensor> state(Frozen f) {
        LaneKernels.Lanes lanes = f.supervision.lanes();
        List<Tensor> all = new ArrayList<>(List.of(
                f.parameters.master(),
                f.parameters.moment1(),
                f.parameters.moment2(),
                f.supervision.controls(),
                lanes.steps(),
                lanes.halted(),
                lanes.inputs(),
                lanes.labels(),
                lanes.ids()));
        all.addAll(lanes.latents());
        return all;
    }

    /** Shares of a run end with the nearest step; a step without a part is the model's own, as is the work of all. */
    @Test
    void partsOfARun() {
        TrainConfig config = ConfigLoader.parse(
                "data_paths: [none]",
                "test",
                List.of(
                        "depth_schedule=[{until: 0.3, H_cycles: 1, L_cycles: 2}, {until: 0.55, H_cycles: 2, L_cycles: 4}]"));
        DepthSchedule depth = new DepthSchedule(config, 10);
        int[] parts = IntStream.rangeClosed(1, 12).map(depth::partOf).toArray();
        assertArrayEquals(new int[] {0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2}, parts);
        assertEquals(3, depth.updates(0).updates());
        assertEquals(10, depth.updates(1).updates());
        assertEquals(21, depth.updates(2).updates());
        ModelSizes sizes = new ModelSizes(config.arch(), new DataShape(16, 6, 1), 4);
        double expected = 3 * sizes.flops(true, depth.updates(0))
                + 3 * sizes.flops(true, depth.updates(1))
                + 4 * sizes.flops(true);
        assertEquals(expected, depth.flops(sizes), 1e-9 * expected);
        assertEquals(3, new DepthSchedule(config, 1).parts());
    }

    /** Of one step: the moments are those of a gradient scaled to the limit, and of the gradient itself below it. */
    @ParameterizedTest
    @ValueSource(doubles = {1e-3, 1e6})
    void gradientsAreClipped(double max) {
        try (Frozen clipped = new Frozen(true, true, HALT_MAX, "max_grad_norm=" + max);
                Frozen plain = new Frozen(true)) {
            clipped.supervision.step(new int[LANES]);
            plain.supervision.step(new int[LANES]);
            double norm = HostCopy.doubles(backend, plain.supervision.gradNorm())[0];
            assertEquals(norm, HostCopy.doubles(backend, clipped.supervision.gradNorm())[0], "the norm before");
            double c = Math.min(1, max / (norm + 1e-6));
            float[] expected = HostCopy.floats(backend, plain.parameters.moment1());
            float[] found = HostCopy.floats(backend, clipped.parameters.moment1());
            for (int i = 0; i < expected.length; i++) {
                assertEquals(c * expected[i], found[i], c < 1 ? 0x1p-21 * Math.abs(c * expected[i]) : 0);
            }
        }
    }

    /** The norm of the whole gradient as one vector, before the update sets it to zero; the metrics hold the sum of both. */
    @Test
    void gradientNorm() {
        try (Frozen f = new Frozen(true)) {
            double sum = 0;
            for (int step = 0; step < 2; step++) {
                f.supervision.offer(new int[LANES]);
                f.supervision.advance();
                f.supervision.forwardBackward();
                double squares = 0;
                for (float g : HostCopy.floats(backend, f.parameters.gradient())) {
                    squares += (double) g * g;
                }
                assertTrue(squares > 0);
                f.supervision.update();
                sum += Math.sqrt(squares);
                assertEquals(Math.sqrt(squares), HostCopy.doubles(backend, f.supervision.gradNorm())[0], 1e-12 * sum);
            }
            double[] metrics = HostCopy.doubles(backend, f.supervision.metrics());
            assertEquals(sum, metrics[Metric.GRAD_NORM.ordinal()], 1e-12 * sum);
        }
    }
}
