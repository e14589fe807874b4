package trm.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import trm.config.Architecture;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.Recompute;
import trm.config.Update;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.device.cpu.CpuBackend;
import trm.ops.RotaryTable;
import trm.ops.Scratch;

/**
 * Any schedule of updates, forward and backward. Oracle: {@link RecursionOracle} in double, whose own gradients are held to
 * central differences. Bound: no tensor's error, by the Frobenius norm and as a part of the tensor, is larger than the
 * largest that the same equations have in an arithmetic 16 times as coarse as float32. The factor is for two random walks
 * of roundings that meet by chance: each is dominated by the first few, which all later updates amplify. The largest error
 * seen is 0.42 of its bound, and no bound is above 2e-4; a share of a gradient that is left out or counted twice is some
 * tenths of it.
 */
class LatentRecursionTest {
    private static final int LANES = 2;
    private static final int POSITIONS = 5;
    private static final int LATENTS = 4; // y, z_1, z_2, z_3

    private static Backend backend;

    @BeforeAll
    static void open() {
        backend = new CpuBackend(2);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    /** Updates of a cycle, T, and how many of the last updates are differentiated. */
    private record Case(String name, List<Update> cycle, int cycles, int differentiated, String activation) {
        Case(String name, List<Update> cycle, int cycles, int differentiated) {
            this(name, cycle, cycles, differentiated, "swiglu");
        }

        @Override
        public String toString() {
            return name;
        }

        List<Update> updates() {
            return Collections.nCopies(cycles, cycle).stream()
                    .flatMap(List::stream)
                    .toList();
        }
    }

    private static Update update(int network, int target, List<Integer> own, List<Integer> injected, boolean x) {
        return new Update(network, target, own, injected, x);
    }

    private static Case of(String name, int cycles, int differentiated, Update... cycle) {
        return new Case(name, List.of(cycle), cycles, differentiated);
    }

    /** Those of the systems; some that no system has, each for one thing that may go wrong; and some that are drawn. */
    private static Stream<Case> schedules() {
        List<Integer> none = List.of();
        List<Integer> y = List.of(0);
        List<Integer> z = List.of(1);
        Stream<Case> made = Stream.of(
                of(
                        "y reads a z two updates back",
                        2,
                        3,
                        update(1, 1, z, y, true),
                        update(1, 2, List.of(2), z, false),
                        update(0, 0, y, z, false)),
                of(
                        "each z reads some of the others",
                        1,
                        4,
                        update(1, 1, List.of(1, 3), y, true),
                        update(1, 2, List.of(2), z, false),
                        update(1, 3, List.of(3, 1), none, true),
                        update(0, 0, y, List.of(2, 3), false)),
                of(
                        "one latent, x in some updates",
                        2,
                        4,
                        update(1, 0, y, none, true),
                        update(1, 0, y, none, false),
                        update(0, 0, y, none, false),
                        update(1, 0, y, none, true)),
                of("y is f of z alone", 2, 2, update(1, 1, z, y, true), update(0, 0, z, none, false)),
                of("z is f of x alone", 1, 2, update(1, 1, none, none, true), update(0, 0, y, z, false)),
                of(
                        "a z that is read twice and overwritten between its readers' updates",
                        1,
                        5,
                        update(1, 1, z, none, true),
                        update(1, 2, List.of(2), List.of(1), true),
                        update(0, 0, y, List.of(1, 2), false),
                        update(1, 1, z, List.of(0, 2), true),
                        update(0, 0, y, z, false)),
                of(
                        "updates that nothing reads, among them the last",
                        2,
                        6,
                        update(1, 1, z, y, true),
                        update(1, 3, List.of(3), none, true),
                        update(0, 0, y, z, false),
                        update(1, 2, List.of(2), z, true)),
                of(
                        "two whole cycles",
                        2,
                        6,
                        update(1, 1, z, y, true),
                        update(1, 1, z, y, true),
                        update(0, 0, y, z, false)),
                of("the answer is a constant", 2, 1, update(0, 0, y, z, true), update(1, 1, z, y, true)));
        Stream<Case> drawn = IntStream.range(0, 16).mapToObj(LatentRecursionTest::drawn);
        Stream<Case> systems = Stream.of(Architecture.values()).map(LatentRecursionTest::system);
        Case trm = system(Architecture.TRM);
        Case normed = new Case("trm, normed", trm.cycle, trm.cycles, trm.differentiated, "normed_swiglu");
        return Stream.of(systems, Stream.of(normed), made, drawn).flatMap(all -> all);
    }

    /** Two cycles of a system, of which the last is differentiated. */
    private static Case system(Architecture system) {
        List<String> overrides = new ArrayList<>(List.of("arch=" + system.key()));
        if (system.recurs()) {
            overrides.add("arch.L_cycles=2");
        }
        if (system.hasScales()) {
            overrides.add("arch.num_scales=" + (LATENTS - 1));
        }
        List<Update> cycle = ConfigLoader.parse("data_paths: [none]", "test", overrides)
                .arch()
                .cycle();
        return new Case(system.key(), cycle, 2, cycle.size());
    }

    private static Case drawn(int seed) {
        Random random = new Random(seed);
        List<Update> cycle = new ArrayList<>();
        int count = 1 + random.nextInt(5);
        for (int i = 0; i < count; i++) {
            List<Integer> own = new ArrayList<>();
            List<Integer> injected = new ArrayList<>();
            for (int latent = 0; latent < LATENTS; latent++) {
                int place = random.nextInt(4);
                if (place < 2) {
                    (place == 0 ? own : injected).add(latent);
                }
            }
            boolean x = random.nextBoolean() || own.isEmpty() && injected.isEmpty();
            cycle.add(update(random.nextInt(2), random.nextInt(LATENTS), own, injected, x));
        }
        int cycles = 1 + random.nextInt(3);
        return new Case("drawn " + seed + ": " + cycle, cycle, cycles, 1 + random.nextInt(cycles * count));
    }

    private static Stream<Arguments> cases() {
        return schedules().flatMap(c -> Stream.of(1.0, 0.7).map(lambda -> Arguments.of(c, lambda)));
    }

    private static ModelSizes sizes(Case c, double lambda) {
        String yaml = String.join(
                "\n",
                "data_paths: [none]",
                "arch:",
                "  name: trm_hier6", // for its latents and networks; the schedules are the test's
                "  num_scales: " + (LATENTS - 1),
                "  L_cycles: 1",
                "  separate_nets: true",
                "  H_layers: 1",
                "  L_layers: 2",
                "  hidden_size: 8",
                "  num_heads: 1",
                "  expansion: 1",
                "  mlp_activation: " + c.activation,
                "  mlp_t: true",
                "  pos_encodings: none",
                "  puzzle_emb_ndim: 0",
                "  forward_dtype: float32",
                "  relaxation: " + lambda);
        return new ModelSizes(
                ConfigLoader.parse(yaml, "test", List.of()).arch(), new DataShape(POSITIONS, 2, 1), LANES);
    }

    /** Values of about 1, the same for equal seeds, that float32 holds exactly. */
    private static double[] values(int seed) {
        Random random = new Random(1000 + seed);
        double[] values = new double[LANES * POSITIONS * 8];
        Arrays.setAll(values, i -> (float) random.nextGaussian());
        return values;
    }

    private static List<double[]> start() {
        return IntStream.range(0, LATENTS).mapToObj(LatentRecursionTest::values).toList();
    }

    private static double[] x() {
        return values(50);
    }

    private static double[] dy() {
        return values(60);
    }

    /** What the recursion computes: the latents, and gradients of x and the weights. */
    private static Map<String, double[]> run(
            Case c, double lambda, Recompute recompute, Map<String, double[]> weights) {
        ModelSizes sizes = sizes(c, lambda);
        Kernels kernels = backend.kernels();
        Map<String, double[]> found = new LinkedHashMap<>();
        try (Arena arena = new Arena(backend)) {
            Parameters parameters = new Parameters(backend, arena, sizes, true);
            parameters.initialize(7);
            Scratch scratch = Scratch.allocate(
                    backend.capabilities(), arena, sizes.block(), true, true, RecursionStep.mlpTape(recompute));
            RecursionStep step = new RecursionStep(
                    kernels, sizes, parameters.weights(), parameters.gradients(), RotaryTable.NONE, scratch, recompute);
            RecursionSchedule schedule = new RecursionSchedule(c.cycle, c.cycles, c.differentiated, lambda != 1);
            LatentRecursion recursion = new LatentRecursion(kernels, arena, sizes, schedule, step, true, null);
            Tensor x = state(arena, x());
            List<Tensor> latents = new ArrayList<>();
            start().forEach(values -> latents.add(state(arena, values)));
            Tensor d = state(arena, dy());
            recursion.forward(x, latents, 0);
            recursion.backward(latents, d);
            for (int i = 0; i < LATENTS; i++) {
                found.put("latent " + i, read(latents.get(i)));
            }
            found.put("dx", read(recursion.dx()));
            for (String name : parameters.names()) {
                if (name.contains(".layers.")) {
                    found.put(name, read(parameters.gradients().get(name)));
                    weights.put(name, read(parameters.weights().get(name)));
                }
            }
        }
        return found;
    }

    private static Tensor state(Arena arena, double[] values) {
        Tensor t = arena.tensor(Purpose.CASE, "state", Dtype.F32, LANES, POSITIONS, 8);
        float[] floats = new float[values.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = (float) values[i];
        }
        HostCopy.put(backend, t, floats);
        return t;
    }

    private static double[] read(Tensor t) {
        float[] floats = HostCopy.floats(backend, t);
        double[] values = new double[floats.length];
        Arrays.setAll(values, i -> floats[i]);
        return values;
    }

    /** The same by the oracle. */
    private static Map<String, double[]> oracle(Case c, double lambda, boolean rounded, Map<String, double[]> weights) {
        RecursionOracle oracle = new RecursionOracle(sizes(c, lambda), weights, rounded);
        List<Update> updates = c.updates();
        RecursionOracle.Pass pass = oracle.forward(updates, updates.size() - c.differentiated, lambda, x(), start());
        oracle.backward(pass.latents().get(0), dy());
        Map<String, double[]> expected = new LinkedHashMap<>();
        for (int i = 0; i < LATENTS; i++) {
            expected.put("latent " + i, pass.latents().get(i).at);
        }
        expected.put("dx", pass.x().d);
        weights.keySet().forEach(name -> expected.put(name, oracle.weight(name).d));
        return expected;
    }

    @ParameterizedTest(name = "{0}, lambda {1}")
    @MethodSource("cases")
    void matchesEquations(Case c, double lambda) {
        Map<String, double[]> weights = new LinkedHashMap<>();
        Map<String, double[]> found = run(c, lambda, Recompute.NONE, weights);
        Map<String, double[]> exact = oracle(c, lambda, false, weights);
        Map<String, double[]> naive = oracle(c, lambda, true, weights);
        assertEquals(exact.keySet(), found.keySet());
        double bound = exact.keySet().stream()
                .mapToDouble(name -> relative(exact.get(name), naive.get(name)))
                .max()
                .orElseThrow();
        exact.forEach((name, values) -> {
            double error = relative(values, found.get(name));
            assertTrue(error <= bound, name + ": error " + error + ", bound " + bound + ", of " + norm(values));
        });
    }

    /** What is recomputed has the bits of what is taped, wherever values lie. */
    @ParameterizedTest(name = "{0}, lambda {1}")
    @MethodSource("cases")
    void recomputationGivesTheSameBits(Case c, double lambda) {
        Map<String, double[]> taped = run(c, lambda, Recompute.NONE, new LinkedHashMap<>());
        for (Recompute mode :
                List.of(Recompute.ACTIVATION, Recompute.GATE_UP, Recompute.LAYERS, Recompute.APPLICATIONS)) {
            Map<String, double[]> found = run(c, lambda, mode, new LinkedHashMap<>());
            taped.forEach((name, values) -> assertArrayEquals(values, found.get(name), mode + " " + name));
        }
    }

    /**
     * The oracle against differences of &lt;dy, y&gt; along random directions, where what is before the differentiated updates
     * stays as it is. Bound: with h = 1e-4, terms of third order are below 1e-6 of values of about 1.
     */
    @ParameterizedTest
    @MethodSource("schedules")
    void oracleMatchesDifferences(Case c) {
        double lambda = 0.7;
        double h = 1e-4;
        Map<String, double[]> weights = new LinkedHashMap<>();
        run(c, lambda, Recompute.NONE, weights);
        List<Update> updates = c.updates();
        int first = updates.size() - c.differentiated;
        List<double[]> constants = new RecursionOracle(sizes(c, lambda), weights, false)
                .forward(updates.subList(0, first), first, lambda, x(), start()).latents().stream()
                        .map(value -> value.at)
                        .toList();
        List<Update> last = updates.subList(first, updates.size());
        Map<String, double[]> gradients = oracle(c, lambda, false, weights);
        List<String> names = new ArrayList<>(weights.keySet());
        names.add("dx");
        for (String name : names) {
            double[] gradient = gradients.get(name);
            double[] direction = direction(gradient.length);
            double slope = 0;
            double[] sides = new double[2];
            for (int side = 0; side < 2; side++) {
                Map<String, double[]> moved = new LinkedHashMap<>(weights);
                double[] x = x();
                double length = side == 0 ? -h : h;
                double[] at = name.equals("dx") ? x : weights.get(name).clone();
                for (int i = 0; i < at.length; i++) {
                    at[i] += length * direction[i];
                    slope += side * gradient[i] * direction[i];
                }
                if (!name.equals("dx")) {
                    moved.put(name, at);
                }
                double[] y = new RecursionOracle(sizes(c, lambda), moved, false)
                        .forward(last, 0, lambda, x, constants)
                        .latents()
                        .get(0)
                        .at;
                double[] dy = dy();
                sides[side] = IntStream.range(0, y.length)
                        .mapToDouble(i -> dy[i] * y[i])
                        .sum();
            }
            assertEquals((sides[1] - sides[0]) / (2 * h), slope, 1e-6 * Math.max(1, norm(gradient)), name);
        }
    }

    /** A random direction of length 1. */
    private static double[] direction(int count) {
        Random random = new Random(count);
        double[] direction = new double[count];
        Arrays.setAll(direction, i -> random.nextGaussian());
        double norm = norm(direction);
        Arrays.setAll(direction, i -> direction[i] / norm);
        return direction;
    }

    /** Size of b - a as a part of that of a; of a zero, nothing but zero is near. */
    private static double relative(double[] a, double[] b) {
        double distance = distance(a, b);
        return distance == 0 ? 0 : distance / norm(a);
    }

    private static double norm(double[] values) {
        return distance(values, new double[values.length]);
    }

    private static double distance(double[] a, double[] b) {
        double squares = 0;
        for (int i = 0; i < a.length; i++) {
            squares += (a[i] - b[i]) * (a[i] - b[i]);
        }
        return Math.sqrt(squares);
    }
}
