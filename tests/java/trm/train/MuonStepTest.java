package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import trm.Systems;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.Tensor;
import trm.device.cpu.CpuBackend;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * Steps of training with {@code optimizer: muon}. Oracle: docs/specification.md#76-muon and #72-adamatan2 in double, from
 * the gradients, weights and moments that the device holds before an update. Bound: eight times the error of the same
 * equations rounded to float32 after every operation, as the golden cases have it, and four roundings of the weight.
 */
class MuonStepTest {
    private static final int LANES = 5;
    private static final double LR = 1e-3;
    private static final double MUON_LR = 0.03;
    private static final double DECAY = 0.7;
    private static final double MUON_DECAY = 0.4;
    private static final double EMA = 0.75;
    private static final DoubleUnaryOperator EXACT = x -> x;
    private static final DoubleUnaryOperator FLOAT = x -> (float) x;

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

    private static TrainConfig config(boolean mlp, String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + temp + "']",
                "arch:",
                "  hidden_size: 24",
                "  num_heads: 2",
                "  mlp_t: " + mlp,
                "  pos_encodings: " + (mlp ? "none" : "rope"),
                "  expansion: 1",
                "  H_cycles: 2",
                "  L_cycles: 2",
                "  L_layers: 1",
                "  puzzle_emb_ndim: 0",
                "  forward_dtype: float32",
                "global_batch_size: " + LANES,
                "lr: " + LR,
                "lr_warmup_steps: 4",
                "weight_decay: " + DECAY,
                "ema: true",
                "ema_rate: " + EMA,
                "optimizer: muon",
                "muon_lr: " + MUON_LR,
                "muon_weight_decay: " + MUON_DECAY,
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    private static final class Training implements AutoCloseable {
        private final Arena arena = new Arena(backend);
        private final Parameters parameters;
        private final DeepSupervision supervision;

        Training(TrainConfig config) {
            DataShape shape = new DataShape(
                    data.seqLen(), data.info().vocabSize(), data.info().numPuzzleIdentifiers());
            ModelSizes sizes = new ModelSizes(config.arch(), shape, LANES);
            parameters = new Parameters(backend, arena, sizes, true);
            parameters.initialize(7);
            supervision = new DeepSupervision(
                    backend, arena, sizes, parameters, config, 100, DeviceExamples.upload(backend, arena, data));
        }

        void gradients() {
            supervision.offer(new int[LANES]);
            supervision.advance();
            supervision.forwardBackward();
        }

        @Override
        public void close() {
            supervision.close();
            arena.close();
        }
    }

    private static double[] read(Tensor t) {
        float[] floats = HostCopy.floats(backend, t);
        double[] values = new double[floats.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = floats[i];
        }
        return values;
    }

    /** a [rows, inner] b, which is [inner, columns] or, transposed, [columns, inner]; every sum is rounded as it grows. */
    private static double[] product(
            double[] a, double[] b, int rows, int inner, int columns, boolean transposed, DoubleUnaryOperator round) {
        double[] c = new double[rows * columns];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                double sum = 0;
                for (int k = 0; k < inner; k++) {
                    sum = round.applyAsDouble(sum + a[i * inner + k] * b[transposed ? j * inner + k : k * columns + j]);
                }
                c[i * columns + j] = sum;
            }
        }
        return c;
    }

    /** Three iterations of Newton and Schulz on u / |u|. */
    private static double[] orthogonal(double[] u, int rows, int columns, DoubleUnaryOperator round) {
        double norm =
                round.applyAsDouble(Math.sqrt(Arrays.stream(u).map(v -> v * v).sum()));
        boolean tall = rows > columns;
        int r = Math.min(rows, columns);
        int c = Math.max(rows, columns);
        double[] x = new double[r * c];
        for (int i = 0; i < u.length; i++) {
            x[tall ? i % columns * c + i / columns : i] = round.applyAsDouble(u[i] / norm);
        }
        for (int step = 0; step < 3; step++) {
            double[] gram = product(x, x, r, c, r, true, round);
            double[] square = product(gram, gram, r, r, r, false, round);
            double[] b = new double[r * r];
            for (int i = 0; i < b.length; i++) {
                b[i] = round.applyAsDouble(
                        round.applyAsDouble(-4.7750 * gram[i]) + round.applyAsDouble(2.0315 * square[i]));
            }
            double[] bx = product(b, x, r, r, c, false, round);
            for (int i = 0; i < x.length; i++) {
                x[i] = round.applyAsDouble(round.applyAsDouble(3.4445 * x[i]) + bx[i]);
            }
        }
        double[] out = new double[u.length];
        for (int i = 0; i < u.length; i++) {
            out[i] = x[tall ? i % columns * c + i / columns : i];
        }
        return out;
    }

    /** The new values of a matrix, by a momentum of 0.6. */
    private static double[] matrix(
            double[] p,
            double[] g,
            double[] m,
            int at,
            Parameters.Matrix of,
            double factor,
            DoubleUnaryOperator round) {
        double[] u = new double[(int) of.count()];
        for (int i = 0; i < u.length; i++) {
            double first = round.applyAsDouble(m[at + i] + 0.4 * (g[at + i] - m[at + i]));
            u[i] = round.applyAsDouble(g[at + i] + 0.6 * (first - g[at + i]));
        }
        double[] o = orthogonal(u, of.rows(), of.columns(), round);
        double lr = MUON_LR * factor;
        double step = lr * Math.sqrt(Math.max(1, (double) of.rows() / of.columns()));
        for (int i = 0; i < o.length; i++) {
            o[i] = round.applyAsDouble((1 - lr * MUON_DECAY) * p[at + i] - round.applyAsDouble(step * o[i]));
        }
        return o;
    }

    /** TRM with either mixer, and the other systems with attention. */
    private static Stream<String> systems() {
        return Stream.concat(Stream.of("mlp", "trm"), Systems.NAMES.stream());
    }

    private static TrainConfig configOf(String system) {
        return system.equals("mlp") ? config(true) : config(false, Systems.overrides(system));
    }

    /** Three steps of every system: matrices by Muon, everything else by AdamW, the average of both. */
    @ParameterizedTest
    @MethodSource("systems")
    void stepsMatchTheEquations(String system) {
        try (Training training = new Training(configOf(system))) {
            Parameters parameters = training.parameters;
            for (int step = 1; step <= 3; step++) {
                training.gradients();
                double[] p = read(parameters.master());
                double[] g = read(parameters.gradient());
                double[] m = read(parameters.moment1());
                double[] v = read(parameters.moment2());
                double[] average = read(parameters.average());
                training.supervision.update();
                double[] found = read(parameters.master());
                double[] foundAverage = read(parameters.average());
                double factor = step / 4.0; // warm-up
                double[] want = p.clone();
                double[] bound = new double[p.length];
                for (Parameters.Matrix of : parameters.blockMatrices()) {
                    int at = (int) of.offset();
                    double[] exact = matrix(p, g, m, at, of, factor, EXACT);
                    double[] naive = matrix(p, g, m, at, of, factor, FLOAT);
                    double worst = 0;
                    for (int i = 0; i < exact.length; i++) {
                        worst = Math.max(worst, Math.abs(exact[i] - naive[i]));
                    }
                    for (int i = 0; i < exact.length; i++) {
                        want[at + i] = exact[i];
                        bound[at + i] = 8 * worst + 0x1p-22 * Math.abs(exact[i]);
                        assertEquals(0, v[at + i], "second moments are not used");
                    }
                }
                adamW(parameters, step, factor, p, g, m, v, want, bound);
                for (int i = 0; i < want.length; i++) {
                    assertEquals(want[i], found[i], bound[i], "step " + step + ", value " + i);
                    assertEquals(
                            EMA * average[i] + (1 - EMA) * want[i],
                            foundAverage[i],
                            bound[i] + 0x1p-22 * (Math.abs(average[i]) + Math.abs(want[i])),
                            "average, step " + step + ", value " + i);
                }
                assertArrayEquals(new double[g.length], read(parameters.gradient()));
            }
        }
    }

    /** A quotient of float32 moments errs by some 16 roundings, the root of a small second moment by more. */
    private static void adamW(
            Parameters parameters,
            int step,
            double factor,
            double[] p,
            double[] g,
            double[] m,
            double[] v,
            double[] want,
            double[] bound) {
        double lr = LR * factor;
        for (Parameters.Range range : parameters.otherRanges()) {
            for (int i = (int) range.from(); i < range.from() + range.count(); i++) {
                double first = 0.9 * m[i] + 0.1 * g[i];
                double second = 0.95 * v[i] + 0.05 * g[i] * g[i];
                double direction =
                        first / (1 - Math.pow(0.9, step)) / (Math.sqrt(second / (1 - Math.pow(0.95, step))) + 1e-8);
                want[i] = (1 - lr * DECAY) * p[i] - lr * direction;
                bound[i] = 0x1p-22 * Math.abs(p[i]) + lr * 0x1p-18 * (1 + Math.abs(direction));
            }
        }
    }

    /** Blocks and the rest share the flat buffers without overlap; what neither has is padding, which stays 0. */
    @ParameterizedTest
    @MethodSource("systems")
    void everySystemHasMatrices(String system) {
        try (Training training = new Training(configOf(system))) {
            Parameters parameters = training.parameters;
            BitSet seen = new BitSet();
            long matrices = 0;
            for (Parameters.Matrix m : parameters.blockMatrices()) {
                assertTrue(seen.get((int) m.offset(), (int) (m.offset() + m.count()))
                        .isEmpty());
                seen.set((int) m.offset(), (int) (m.offset() + m.count()));
                matrices += m.count();
            }
            assertEquals(parameters.networkCount(), matrices);
            for (Parameters.Range r : parameters.otherRanges()) {
                assertTrue(
                        seen.get((int) r.from(), (int) (r.from() + r.count())).isEmpty());
                seen.set((int) r.from(), (int) (r.from() + r.count()));
            }
            double[] all = read(parameters.master());
            for (int i = seen.nextClearBit(0); i < all.length; i = seen.nextClearBit(i + 1)) {
                assertEquals(0, all[i], "value " + i + " is nobody's");
            }
        }
    }

    /** One head's queries, keys or values are a matrix of their own. */
    @Test
    void headsAreMatrices() {
        try (Training training = new Training(config(false))) {
            List<String> shapes = new ArrayList<>();
            training.parameters.blockMatrices().forEach(m -> shapes.add(m.rows() + "x" + m.columns()));
            assertEquals(
                    List.of("12x24", "12x24", "12x24", "12x24", "12x24", "12x24", "24x24", "512x24", "24x256"), shapes);
        }
    }
}
