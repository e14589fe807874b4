package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The fused halves of a block against loops in double precision. float32: a sum of k products is off by at most k 2^-24
 * of its terms' magnitudes, and k is below 1200 in all of them; errors of random signs stay far below 5e-6 of the
 * largest value, and a wrong term is far above.
 */
class FusedMlpTest {
    private static final double TOLERANCE = 5e-6;
    private static final float EPS = 0.01f; // large: the scale of a row that cancels stays below 10
    private static Backend backend;

    @BeforeAll
    static void open() {
        backend = TestDevice.open();
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 64, 16", "3, 5, 64, 48", "11, 17, 256, 64", "9, 64, 128, 80", "17, 31, 64, 16", "2, 18, 256, 256"
    })
    void positions(int lanes, int positions, int inner, int width) {
        Kernels kernels = backend.kernels();
        assumeTrue(kernels.fusesPositionMlp(positions, inner, width, Dtype.F32), "fusion is switched off");
        Values v = new Values(lanes * positions * width, positions, inner);
        Mlp oracle = new Mlp(v, lanes * width, positions, inner);
        // row r of the oracle is channel c of lane b, its elements the positions
        for (int b = 0; b < lanes; b++) {
            for (int t = 0; t < positions; t++) {
                for (int c = 0; c < width; c++) {
                    int at = (b * positions + t) * width + c;
                    oracle.h[b * width + c][t] = v.h[at];
                    oracle.d[b * width + c][t] = v.d[at];
                }
            }
        }
        oracle.run();
        try (Arena arena = new Arena(backend)) {
            Tensor h = put(arena, "h", v.h, lanes, positions, width);
            Tensor gateUp = put(arena, "gate_up", v.gateUp, 2, inner, positions);
            Tensor down = put(arena, "down", v.down, positions, inner);
            Tensor y = arena.tensor("test", "y", Dtype.F32, lanes, positions, width);
            Tensor s = arena.tensor("test", "s", Dtype.F32, lanes, width);
            kernels.positionMlp(h, gateUp, down, y, s, null, EPS);
            Tensor d = put(arena, "d", v.d, lanes, positions, width);
            Tensor dGateUp = put(arena, "dGateUp", v.dGateUp, 2, inner, positions);
            Tensor dDown = put(arena, "dDown", v.dDown, positions, inner);
            kernels.positionMlpBwd(h, y, s, gateUp, down, d, dGateUp, dDown, null);
            check("y", oracle.transposed(oracle.y, lanes, positions, width), y);
            check("s", oracle.s, s);
            check("d", oracle.transposed(oracle.dh, lanes, positions, width), d);
            check("dGateUp", oracle.dGateUp, dGateUp);
            check("dDown", oracle.dDown, dDown);
            kernels.positionMlp(h, gateUp, down, h, s, null, EPS);
            check("y in the place of h", oracle.transposed(oracle.y, lanes, positions, width), h);
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 64, 16", "37, 64, 48", "187, 256, 64", "1088, 128, 32", "71, 256, 128"})
    void channels(int rows, int inner, int width) {
        Kernels kernels = backend.kernels();
        assumeTrue(kernels.fusesChannelMlp(inner, width, Dtype.F32), "fusion is switched off");
        Values v = new Values(rows * width, width, inner);
        Mlp oracle = new Mlp(v, rows, width, inner);
        for (int i = 0; i < rows * width; i++) {
            oracle.h[i / width][i % width] = v.h[i];
            oracle.d[i / width][i % width] = v.d[i];
        }
        oracle.run();
        double[] injected = flat(oracle.y);
        for (int i = 0; i < injected.length; i++) {
            injected[i] += v.c[i];
        }
        try (Arena arena = new Arena(backend)) {
            Tensor h = put(arena, "h", v.h, rows, width);
            Tensor c = put(arena, "c", v.c, rows, width);
            Tensor gateUp = put(arena, "gate_up", v.gateUp, 2, inner, width);
            Tensor down = put(arena, "down", v.down, width, inner);
            Tensor kept = arena.tensor("test", "kept", Dtype.F32, rows, 2, inner);
            Tensor y = arena.tensor("test", "y", Dtype.F32, rows, width);
            Tensor u = arena.tensor("test", "u", Dtype.F32, rows, width);
            Tensor s = arena.tensor("test", "s", Dtype.F32, rows);
            kernels.channelMlp(h, gateUp, down, c, kept, y, u, s, EPS);
            Tensor d = put(arena, "d", v.d, rows, width);
            Tensor dGateUp = put(arena, "dGateUp", v.dGateUp, 2, inner, width);
            Tensor dDown = put(arena, "dDown", v.dDown, width, inner);
            kernels.channelMlpBwd(h, kept, y, s, gateUp, down, d, dGateUp, dDown);
            check("y", flat(oracle.y), y);
            check("u", injected, u);
            check("s", oracle.s, s);
            check("d", flat(oracle.dh), d);
            check("dGateUp", oracle.dGateUp, dGateUp);
            check("dDown", oracle.dDown, dDown);
            kernels.channelMlp(h, gateUp, down, null, null, h, null, s, EPS);
            check("y in the place of h, nothing kept", flat(oracle.y), h);
        }
    }

    @ParameterizedTest
    @CsvSource({"7, 64, 24, F32", "97, 512, 64, F32", "17, 100, 64, F32", "17, 256, 64, BF16"})
    void otherSizesAreRefused(int positions, int inner, int width, Dtype dtype) {
        assertFalse(backend.kernels().fusesPositionMlp(positions, inner, width, dtype));
        try (Arena arena = new Arena(backend)) {
            Tensor h = arena.tensor("test", "h", dtype, 2, positions, width);
            Tensor gateUp = arena.tensor("test", "gate_up", dtype, 2, inner, positions);
            Tensor down = arena.tensor("test", "down", dtype, positions, inner);
            Tensor s = arena.tensor("test", "s", Dtype.F32, 2, width);
            DeviceException refused = assertThrows(
                    DeviceException.class, () -> backend.kernels().positionMlp(h, gateUp, down, h, s, null, EPS));
            assertTrue(refused.getMessage().contains("S=" + positions + " I=" + inner), refused.getMessage());
        }
    }

    private static Tensor put(Arena arena, String name, float[] values, long... dims) {
        Tensor t = arena.tensor("test", name, Dtype.F32, dims);
        HostCopy.put(backend, t, values);
        return t;
    }

    private static void check(String what, double[] expected, Tensor tensor) {
        float[] found = HostCopy.floats(backend, tensor);
        assertEquals(expected.length, found.length, what);
        double largest = 0;
        double error = 0;
        for (int i = 0; i < found.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            error = Math.max(error, Math.abs(expected[i] - found[i]));
        }
        assertTrue(error <= TOLERANCE * largest, what + ": error " + error + " beside a largest value of " + largest);
    }

    private static double[] flat(double[][] rows) {
        double[] all = new double[rows.length * rows[0].length];
        for (int i = 0; i < all.length; i++) {
            all[i] = rows[i / rows[0].length][i % rows[0].length];
        }
        return all;
    }

    /** Random inputs of the size that a model has; the weights' gradients start at values of their own. */
    private static final class Values {
        final Random random = new Random(7);
        final float[] h;
        final float[] d;
        final float[] c;
        final float[] gateUp;
        final float[] down;
        final float[] dGateUp;
        final float[] dDown;

        Values(int state, int k, int inner) {
            h = draw(state, 1);
            d = draw(state, 1);
            c = draw(state, 1);
            gateUp = draw(2 * inner * k, 1 / Math.sqrt(k));
            down = draw(k * inner, 1 / Math.sqrt(inner));
            dGateUp = draw(2 * inner * k, 1);
            dDown = draw(k * inner, 1);
        }

        private float[] draw(int count, double scale) {
            float[] values = new float[count];
            for (int i = 0; i < count; i++) {
                values[i] = (float) (scale * random.nextGaussian());
            }
            return values;
        }
    }

    /** y = rms_norm(h + Wd (silu(Wg h) * (Wu h))) for each row of h [rows, k], and its backward pass, in double. */
    private static final class Mlp {
        final Values v;
        final int k;
        final int inner;
        final double[][] h;
        final double[][] d;
        final double[][] y;
        final double[][] dh;
        final double[] s;
        final double[] dGateUp;
        final double[] dDown;

        Mlp(Values v, int rows, int k, int inner) {
            this.v = v;
            this.k = k;
            this.inner = inner;
            h = new double[rows][k];
            d = new double[rows][k];
            y = new double[rows][k];
            dh = new double[rows][k];
            s = new double[rows];
            dGateUp = widen(v.dGateUp);
            dDown = widen(v.dDown);
        }

        private static double[] widen(float[] from) {
            double[] to = new double[from.length];
            for (int i = 0; i < to.length; i++) {
                to[i] = from[i];
            }
            return to;
        }

        void run() {
            for (int row = 0; row < h.length; row++) {
                row(row);
            }
        }

        private void row(int row) {
            double[] gate = new double[inner];
            double[] up = new double[inner];
            double[] r = h[row].clone();
            for (int i = 0; i < inner; i++) {
                for (int j = 0; j < k; j++) {
                    gate[i] += v.gateUp[i * k + j] * h[row][j];
                    up[i] += v.gateUp[(inner + i) * k + j] * h[row][j];
                }
                for (int j = 0; j < k; j++) {
                    r[j] += v.down[j * inner + i] * silu(gate[i]) * up[i];
                }
            }
            double squares = 0;
            for (int j = 0; j < k; j++) {
                squares += r[j] * r[j];
            }
            s[row] = 1 / Math.sqrt(squares / k + EPS);
            double mean = 0;
            for (int j = 0; j < k; j++) {
                y[row][j] = s[row] * r[j];
                mean += d[row][j] * y[row][j] / k;
            }
            double[] dr = new double[k];
            for (int j = 0; j < k; j++) {
                dr[j] = s[row] * (d[row][j] - y[row][j] * mean);
                dh[row][j] = dr[j];
            }
            for (int i = 0; i < inner; i++) {
                double dp = 0;
                for (int j = 0; j < k; j++) {
                    dp += v.down[j * inner + i] * dr[j];
                    dDown[j * inner + i] += dr[j] * silu(gate[i]) * up[i];
                }
                double sigma = 1 / (1 + Math.exp(-gate[i]));
                double dGate = dp * up[i] * sigma * (1 + gate[i] * (1 - sigma));
                double dUp = dp * silu(gate[i]);
                for (int j = 0; j < k; j++) {
                    dGateUp[i * k + j] += dGate * h[row][j];
                    dGateUp[(inner + i) * k + j] += dUp * h[row][j];
                    dh[row][j] += dGate * v.gateUp[i * k + j] + dUp * v.gateUp[(inner + i) * k + j];
                }
            }
        }

        private static double silu(double a) {
            return a / (1 + Math.exp(-a));
        }

        /** Rows (lane, channel) of positions as [lanes, positions, width]. */
        double[] transposed(double[][] rows, int lanes, int positions, int width) {
            double[] all = new double[lanes * positions * width];
            for (int i = 0; i < all.length; i++) {
                int b = i / (positions * width);
                all[i] = rows[b * width + i % width][i / width % positions];
            }
            return all;
        }
    }
}
