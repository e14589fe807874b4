package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
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
import trm.device.Kernels;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.device.cpu.CpuBackend;
import trm.evaluation.AnswerListener;
import trm.evaluation.BreadthEvaluator;
import trm.evaluation.Choice;
import trm.evaluation.Evaluation;
import trm.evaluation.Evaluator;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * Steps with relaxed updates, noise and random starts ({@link trm.config.Equilibrium}). Oracles: differences of the loss for
 * the gradients; the plain step where relaxation and noise change nothing; two passes of one cycle for one of two cycles.
 */
class EquilibriumTest {
    private static final int LANES = 3;
    private static final int PUZZLES = 23;
    private static final int[] ROWS = {4, 11, 7};

    @TempDir
    private static Path temp;

    private static Backend backend;
    private static Dataset data;

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(temp, 4, PUZZLES, 10, 1, 8);
        data = Dataset.open(temp, "train");
        backend = new CpuBackend(2);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    private static TrainConfig config(String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + temp + "']",
                "arch:",
                "  hidden_size: 32",
                "  num_heads: 4",
                "  pos_encodings: rope",
                "  H_cycles: 1",
                "  L_cycles: 2",
                "  L_layers: 1",
                "  puzzle_emb_ndim: 0",
                "  halt_max_steps: 4",
                "  halt_exploration_prob: 0",
                "  forward_dtype: float32",
                "global_batch_size: " + LANES,
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    private static String[] of(String system, String... more) {
        return Systems.overrides(system, more);
    }

    /** Steps with frozen weights; the first are those of step 1. */
    private static final class Training implements AutoCloseable {
        private final Arena arena = new Arena(backend);
        private final ModelSizes sizes;
        private final Parameters parameters;
        private final LaneKernels.Examples examples;
        private final DeepSupervision supervision;

        Training(String... overrides) {
            TrainConfig config = config(overrides);
            sizes = new ModelSizes(
                    config.arch(),
                    new DataShape(
                            data.seqLen(), data.info().vocabSize(), data.info().numPuzzleIdentifiers()),
                    LANES);
            parameters = new Parameters(backend, arena, sizes, true);
            parameters.initialize(7);
            float[] q = new float[2 * sizes.width()]; // begin as 0, and y would have no gradient from them
            for (int i = 0; i < q.length; i++) {
                q[i] = 0.1f * (i % 7 - 3);
            }
            HostCopy.put(backend, parameters.masterOf("q_head.weight"), q);
            HostCopy.put(backend, parameters.masterOf("q_head.bias"), new float[2]);
            parameters.refreshWorking();
            examples = DeviceExamples.upload(backend, arena, data);
            supervision = new DeepSupervision(backend, arena, sizes, parameters, config, 100, examples);
        }

        Training step(int... rows) {
            backend.kernels().elementwise().zero(parameters.gradient());
            supervision.offer(rows);
            supervision.advance();
            supervision.forwardBackward();
            return this;
        }

        void halt(int flag) {
            int[] flags = new int[LANES];
            Arrays.fill(flags, flag);
            HostCopy.put(backend, supervision.lanes().halted(), flags);
        }

        /** What the gradients are of (docs/specification.md#5-losses). */
        double loss() {
            double tokens = Arrays.stream(
                            HostCopy.doubles(backend, supervision.tokens().laneLoss()))
                    .sum();
            double halts = Arrays.stream(
                            HostCopy.doubles(backend, supervision.halts().haltLoss()))
                    .sum();
            return (tokens + 0.5 * halts) / LANES;
        }

        Map<String, float[]> gradients() {
            Map<String, float[]> all = new LinkedHashMap<>();
            for (String name : parameters.names()) {
                all.put(name, HostCopy.floats(backend, parameters.gradients().get(name)));
            }
            return all;
        }

        float[] logits() {
            return HostCopy.floats(backend, supervision.model().logits());
        }

        float[] logits(int lane) {
            float[] all = logits();
            int count = all.length / LANES;
            return Arrays.copyOfRange(all, lane * count, (lane + 1) * count);
        }

        /** Moves a tensor of the weights by {@code length} along {@code direction}. */
        void move(String name, float[] direction, double length) {
            float[] weights = HostCopy.floats(backend, parameters.masterOf(name));
            for (int i = 0; i < weights.length; i++) {
                weights[i] += (float) (length * direction[i]);
            }
            HostCopy.put(backend, parameters.masterOf(name), weights);
            parameters.refreshWorking();
        }

        @Override
        public void close() {
            supervision.close();
            arena.close();
        }
    }

    private static Stream<String> systems() {
        return Stream.concat(Stream.of("trm"), Systems.NAMES.stream());
    }

    /** All updates of a pass differentiated, and no continue loss, so that the loss has no other gradient. */
    private static String[] differentiated(String system) {
        List<String> more = new ArrayList<>(List.of(
                "arch.relaxation=0.7", "arch.latent_noise=0.1", "arch.random_start=true", "arch.halt_max_steps=1"));
        if (system.equals("hrm") || system.equals("one_step")) {
            more.add("arch.L_cycles=1");
        }
        return of(system, more.toArray(String[]::new));
    }

    private static double norm(float[] values) {
        double squares = 0;
        for (float v : values) {
            squares += (double) v * v;
        }
        return Math.sqrt(squares);
    }

    /**
     * Along its own gradient g, a tensor changes the loss by |g| a unit of length. Bound: 1 % of that for what is of third
     * order, and 2e-4, twenty roundings of a loss of about 5 over the length of 2 h.
     */
    @ParameterizedTest
    @MethodSource("systems")
    void gradientsAreThoseOfTheLoss(String system) {
        double h = 5e-3;
        Map<String, float[]> gradients;
        try (Training at = new Training(differentiated(system))) {
            gradients = at.step(ROWS).gradients();
        }
        int compared = 0;
        for (Map.Entry<String, float[]> entry : gradients.entrySet()) {
            float[] direction = entry.getValue().clone();
            double norm = norm(direction);
            for (int i = 0; i < direction.length; i++) {
                direction[i] /= (float) norm;
            }
            double[] losses = new double[2];
            for (int side = 0; side < 2; side++) {
                try (Training moved = new Training(differentiated(system))) {
                    moved.move(entry.getKey(), direction, side == 0 ? -h : h);
                    losses[side] = moved.step(ROWS).loss();
                }
            }
            assertEquals(norm, (losses[1] - losses[0]) / (2 * h), 0.01 * norm + 2e-4, system + " " + entry.getKey());
            compared += norm > 0.01 ? 1 : 0;
        }
        assertTrue(compared > gradients.size() / 2, compared + " gradients are large enough to tell");
    }

    /**
     * Noise that is lost in every sum, and nothing kept of a latent: the bits of the plain step, though its sums are formed
     * elsewhere.
     */
    @ParameterizedTest
    @MethodSource("systems")
    void updatesThatChangeNothingAreThePlainOnes(String system) {
        try (Training plain = new Training(of(system, "arch.H_cycles=" + (system.equals("transformer") ? 1 : 2)));
                Training relaxed = new Training(of(
                        system,
                        "arch.H_cycles=" + (system.equals("transformer") ? 1 : 2),
                        "arch.latent_noise=1e-30"))) {
            for (int step = 0; step < 2; step++) {
                plain.step(ROWS);
                relaxed.step(ROWS);
                plain.halt(0);
                relaxed.halt(0);
                assertArrayEquals(plain.logits(), relaxed.logits());
                Map<String, float[]> found = relaxed.gradients();
                plain.gradients().forEach((name, expected) -> assertArrayEquals(expected, found.get(name), name));
            }
        }
    }

    /** What a cycle without gradient leaves behind is a constant: two passes of one cycle, of which the second counts. */
    @ParameterizedTest
    @ValueSource(strings = {"trm", "separate", "single_z", "several_z"})
    void onlyTheLastCycleHasAGradient(String system) {
        try (Training two = new Training(of(system, "arch.relaxation=0.7", "arch.H_cycles=2"));
                Training one = new Training(of(system, "arch.relaxation=0.7"))) {
            two.step(ROWS);
            one.step(ROWS);
            one.halt(0);
            one.step(ROWS);
            assertArrayEquals(two.logits(), one.logits());
            Map<String, float[]> found = one.gradients();
            two.gradients().forEach((name, expected) -> assertArrayEquals(expected, found.get(name), name));
        }
    }

    /** The same puzzle in all lanes: one start, or one for each lane and step. */
    @Test
    void startsDifferByLaneAndStep() {
        int[] same = {5, 5, 5};
        try (Training fixed = new Training();
                Training random = new Training("arch.random_start=true");
                Training again = new Training("arch.random_start=true");
                Training seeded = new Training("arch.random_start=true", "seed=1")) {
            fixed.step(same);
            assertArrayEquals(fixed.logits(0), fixed.logits(1));
            float[] first = random.step(same).logits();
            assertFalse(Arrays.equals(random.logits(0), random.logits(1)));
            assertArrayEquals(first, again.step(same).logits());
            assertFalse(Arrays.equals(first, seeded.step(same).logits()));
            random.halt(1);
            assertFalse(Arrays.equals(first, random.step(same).logits()), "the next step's");
        }
    }

    @Test
    void noiseDiffersByLaneAndStep() {
        int[] same = {5, 5, 5};
        try (Training noisy = new Training("arch.latent_noise=0.1");
                Training again = new Training("arch.latent_noise=0.1");
                Training seeded = new Training("arch.latent_noise=0.1", "seed=1")) {
            float[] first = noisy.step(same).logits();
            assertFalse(Arrays.equals(noisy.logits(0), noisy.logits(1)));
            assertArrayEquals(first, again.step(same).logits());
            assertFalse(Arrays.equals(first, seeded.step(same).logits()));
            noisy.halt(1);
            assertFalse(Arrays.equals(first, noisy.step(same).logits()), "the next step's");
        }
    }

    /**
     * Updates that take next to nothing of what the network puts out leave a walk: each latent's start, and the noise of each
     * of its updates, which is that of the whole batch in each of its parts.
     */
    @ParameterizedTest
    @ValueSource(ints = {1, 3})
    void eachUpdateHasItsOwnNoise(int parts) {
        double lambda = 1e-30;
        try (Training walk = new Training(
                        "arch.relaxation=" + lambda,
                        "arch.latent_noise=1",
                        "arch.H_cycles=2",
                        "micro_batches=" + parts);
                Arena arena = new Arena(backend)) {
            walk.step(ROWS);
            Kernels kernels = backend.kernels();
            int[] targets = {1, 1, 0, 1, 1, 0}; // of T = 2 cycles with n = 2
            for (int latent = 0; latent < 2; latent++) {
                Tensor found = walk.supervision.lanes().latents().get(latent);
                Tensor state =
                        arena.tensor(Purpose.CASE, "state", found.dtype(), LANES, data.seqLen(), walk.sizes.width());
                Tensor zero =
                        arena.tensor(Purpose.CASE, "zero", found.dtype(), LANES, data.seqLen(), walk.sizes.width());
                float[] init =
                        HostCopy.floats(backend, walk.parameters.latentInits().get(latent));
                float[] start = new float[(int) state.count()];
                for (int i = 0; i < start.length; i++) {
                    start[i] = init[i % init.length];
                }
                HostCopy.put(backend, state, start);
                for (int k = 0; k < targets.length; k++) {
                    if (targets[k] == latent) {
                        LaneKernels.Draws draws = new LaneKernels.Draws(walk.supervision.controls(), 0);
                        kernels.lanes().relax(zero, state, lambda, 1, draws, 0, 3 + k);
                    }
                }
                assertArrayEquals(HostCopy.floats(backend, state), HostCopy.floats(backend, found));
            }
        }
    }

    /** Answers of all puzzles, in the order in which they come. */
    private static List<String> evaluate(int lanes, int breadth, String... overrides) {
        List<String> answers = new ArrayList<>();
        AnswerListener listener = (rows, predictions, qHalt) -> {
            for (int b = 0; b < rows.length; b++) {
                if (rows[b] >= 0) {
                    int length = data.seqLen();
                    int[] answer = Arrays.copyOfRange(predictions, b * length, (b + 1) * length);
                    answers.add(rows[b] + ": " + Arrays.toString(answer) + " " + qHalt[b]);
                }
            }
        };
        try (Training of = new Training(overrides);
                Arena arena = new Arena(backend);
                Evaluation evaluation = breadth == 0
                        ? new Evaluator(
                                backend, arena, of.sizes.withLanes(lanes), of.parameters, of.parameters.weights(), 2)
                        : new BreadthEvaluator(
                                backend,
                                arena,
                                of.sizes.withLanes(lanes),
                                of.parameters,
                                of.parameters.weights(),
                                2,
                                new BreadthEvaluator.Tries(breadth, List.of(), Choice.HALT, 0, 3))) {
            evaluation.evaluate(of.examples, PUZZLES, () -> false, listener);
        }
        assertEquals(PUZZLES, answers.size());
        return answers;
    }

    /** Evaluations relax as training does, without its noise. */
    @Test
    void evaluationsHaveNoNoise() {
        List<String> relaxed = evaluate(4, 0, "arch.relaxation=0.7");
        assertEquals(relaxed, evaluate(4, 0, "arch.relaxation=0.7", "arch.latent_noise=0.5"));
        assertNotEquals(relaxed, evaluate(4, 0));
        assertEquals(evaluate(4, 0), evaluate(4, 0, "arch.latent_noise=0.5"));
    }

    /** A puzzle's random start is its own: in any lane, and as the first of several tries. */
    @Test
    void evaluationsStartByPuzzle() {
        String start = "arch.random_start=true";
        List<String> four = evaluate(4, 0, start);
        assertEquals(four, evaluate(7, 0, start));
        assertEquals(four, evaluate(4, 1, start));
        assertNotEquals(four, evaluate(4, 0));
        assertNotEquals(four, evaluate(4, 3, start));
    }
}
