package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.device.cpu.CpuBackend;

/**
 * The fused residual sublayers against loops in double precision, with the plain SwiGLU and with the normed one, whose loops
 * are those of the operation: a norm over the inner units before the gate.
 *
 * <p>float32: a sum of k products is off by at most k 2^-24 of its terms' magnitudes, and k is below 1200 in all of
 * them; errors of random signs stay far below 1e-5 of the largest value, and a wrong term is far above. Nearest to it comes the
 * normed SwiGLU over one position, with two thirds: its norm cancels, and backward forms the branch again as y / s - h.
 *
 * <p>bfloat16: docs/specification.md#12-bfloat16. The same loops, rounded wherever the composed operations round, show
 * what the type costs; the error may be twice that, by the Frobenius norm and, with one unit of the largest value,
 * element by element.
 */
class FusedMlpTest extends KernelTest {
    private static final double TOLERANCE = 1e-5;
    private static final float EPS = 0.01f; // large: the scale of a row that cancels stays below 10

    @ParameterizedTest
    @CsvSource({
        "F32, false, 1, 1, 64, 16",
        "F32, false, 3, 5, 64, 48",
        "F32, false, 11, 17, 256, 64",
        "F32, false, 9, 64, 128, 80",
        "F32, false, 17, 31, 64, 16",
        "F32, false, 2, 18, 256, 256",
        "BF16, false, 1, 1, 64, 32",
        "BF16, false, 3, 5, 64, 96",
        "BF16, false, 11, 17, 256, 64",
        "BF16, false, 9, 64, 128, 128",
        "BF16, false, 17, 31, 64, 32",
        "BF16, false, 2, 18, 320, 256",
        "BF16, false, 5, 48, 64, 64",
        "BF16, false, 3, 97, 128, 256",
        "BF16, false, 2, 104, 256, 512",
        "F32, true, 1, 1, 64, 16",
        "F32, true, 3, 5, 64, 48",
        "F32, true, 11, 17, 256, 64",
        "F32, true, 9, 64, 128, 80",
        "F32, true, 2, 18, 256, 256",
        "BF16, true, 1, 1, 64, 32",
        "BF16, true, 3, 5, 64, 96",
        "BF16, true, 11, 17, 256, 64",
        "BF16, true, 9, 64, 128, 128",
        "BF16, true, 2, 18, 320, 256",
        "BF16, true, 3, 97, 128, 256",
        "BF16, true, 2, 104, 256, 512"
    })
    void positions(Dtype dtype, boolean normed, int lanes, int positions, int inner, int width) {
        Fusion fusion = new Fusion.PositionMlp(positions, inner, width, normed, dtype);
        assumeTrue(backend.capabilities().fuses(fusion), "not fused");
        Values v = new Values(dtype, lanes * positions * width, positions, inner);
        Mlp exact = new Mlp(v, lanes * width, positions, inner, normed, Dtype.F64);
        Mlp plain = new Mlp(v, lanes * width, positions, inner, normed, dtype);
        for (Mlp oracle : List.of(exact, plain)) {
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
        }
        double[] y = exact.transposed(exact.y, lanes, positions, width);
        double[] plainY = plain.transposed(plain.y, lanes, positions, width);
        Tensor h = put("h", dtype, v.h, lanes, positions, width);
        Tensor gateUp = put("gate_up", dtype, v.gateUp, 2, inner, positions);
        Tensor down = put("down", dtype, v.down, positions, inner);
        Tensor out = tensor("y", dtype, lanes, positions, width);
        Tensor s = tensor("s", Dtype.F32, lanes, width);
        Tensor rho = normed ? tensor("rho", Dtype.F32, lanes, width) : null;
        long bytes = backend.capabilities().positionMlpWork(lanes, positions, inner, width, dtype, true);
        Tensor work = bytes == 0 ? null : tensor("work", Dtype.U8, bytes);
        kernels.mlps().positionMlp(h, gateUp, down, out, s, rho, work, EPS);
        within("y", dtype, y, plainY, out);
        within("s", dtype, exact.s, plain.s, s);
        if (normed) {
            within("rho", dtype, exact.rho, plain.rho, rho);
        }
        Tensor d = put("d", dtype, v.d, lanes, positions, width);
        Tensor dGateUp = put("dGateUp", Dtype.F32, v.dGateUp, 2, inner, positions);
        Tensor dDown = put("dDown", Dtype.F32, v.dDown, positions, inner);
        kernels.mlps().positionMlpBwd(h, out, s, rho, gateUp, down, d, dGateUp, dDown, work);
        double[] dh = exact.transposed(exact.dh, lanes, positions, width);
        within("d", dtype, dh, plain.transposed(plain.dh, lanes, positions, width), d);
        within("dGateUp", dtype, exact.dGateUp, plain.dGateUp, dGateUp);
        within("dDown", dtype, exact.dDown, plain.dDown, dDown);
        kernels.mlps().positionMlp(h, gateUp, down, h, s, rho, work, EPS);
        within("y in the place of h", dtype, y, plainY, h);
    }

    @ParameterizedTest
    @CsvSource({
        "F32, false, 1, 64, 16",
        "F32, false, 37, 64, 48",
        "F32, false, 187, 256, 64",
        "F32, false, 1088, 128, 32",
        "F32, false, 71, 256, 128",
        "BF16, false, 1, 64, 32",
        "BF16, false, 37, 64, 96",
        "BF16, false, 187, 256, 64",
        "BF16, false, 1088, 128, 32",
        "BF16, false, 71, 320, 128",
        "F32, true, 1, 64, 16",
        "F32, true, 37, 64, 48",
        "F32, true, 187, 256, 64",
        "F32, true, 1088, 128, 32",
        "F32, true, 71, 256, 128",
        "BF16, true, 1, 64, 32",
        "BF16, true, 37, 64, 96",
        "BF16, true, 187, 256, 64",
        "BF16, true, 1088, 128, 32",
        "BF16, true, 71, 320, 128"
    })
    void channels(Dtype dtype, boolean normed, int rows, int inner, int width) {
        assumeTrue(backend.capabilities().fuses(new Fusion.ChannelMlp(inner, width, normed, dtype)), "not fused");
        Values v = new Values(dtype, rows * width, width, inner);
        Mlp exact = new Mlp(v, rows, width, inner, normed, Dtype.F64);
        Mlp plain = new Mlp(v, rows, width, inner, normed, dtype);
        for (Mlp oracle : List.of(exact, plain)) {
            for (int i = 0; i < rows * width; i++) {
                oracle.h[i / width][i % width] = v.h[i];
                oracle.d[i / width][i % width] = v.d[i];
            }
            oracle.run();
        }
        double[] injected = flat(exact.y);
        double[] plainInjected = flat(plain.y);
        for (int i = 0; i < injected.length; i++) {
            injected[i] += v.c[i];
            plainInjected[i] = plain.round(plainInjected[i] + v.c[i]);
        }
        Tensor h = put("h", dtype, v.h, rows, width);
        Tensor c = put("c", dtype, v.c, rows, width);
        Tensor gateUp = put("gate_up", dtype, v.gateUp, 2, inner, width);
        Tensor down = put("down", dtype, v.down, width, inner);
        Tensor kept = tensor("kept", dtype, rows, 2, inner);
        Tensor y = tensor("y", dtype, rows, width);
        Tensor u = tensor("u", dtype, rows, width);
        Tensor s = tensor("s", Dtype.F32, rows);
        Tensor rho = normed ? tensor("rho", Dtype.F32, rows) : null;
        kernels.mlps().channelMlp(h, gateUp, down, c, kept, y, u, s, rho, EPS);
        within("y", dtype, flat(exact.y), flat(plain.y), y);
        within("u", dtype, injected, plainInjected, u);
        within("s", dtype, exact.s, plain.s, s);
        if (normed) {
            within("rho", dtype, exact.rho, plain.rho, rho);
        }
        within("kept", dtype, flat(exact.kept), flat(plain.kept), kept);
        Tensor d = put("d", dtype, v.d, rows, width);
        Tensor dGateUp = put("dGateUp", Dtype.F32, v.dGateUp, 2, inner, width);
        Tensor dDown = put("dDown", Dtype.F32, v.dDown, width, inner);
        kernels.mlps().channelMlpBwd(h, kept, y, s, rho, gateUp, down, d, dGateUp, dDown);
        within("d", dtype, flat(exact.dh), flat(plain.dh), d);
        within("dGateUp", dtype, exact.dGateUp, plain.dGateUp, dGateUp);
        within("dDown", dtype, exact.dDown, plain.dDown, dDown);
        double[] first = read(y);
        Tensor again = put("h again", dtype, v.h, rows, width);
        kernels.mlps().channelMlp(again, gateUp, down, c, null, y, again, s, rho, EPS);
        assertArrayEquals(read(u), read(again), "u in the place of h");
        assertArrayEquals(first, read(y), "nothing kept");
        kernels.mlps().channelMlp(h, gateUp, down, null, null, h, null, s, rho, EPS);
        assertArrayEquals(first, read(h), "y in the place of h");
    }

    /** The same bits for any number of threads, and when run again. */
    @ParameterizedTest
    @CsvSource({"F32, false", "F32, true", "BF16, false", "BF16, true"})
    void threads(Dtype dtype, boolean normed) {
        int lanes = 13;
        int positions = 17;
        int inner = 128;
        int width = 64;
        assumeTrue(backend instanceof CpuBackend, "not a processor");
        Fusion fusion = new Fusion.PositionMlp(positions, inner, width, normed, dtype);
        assumeTrue(backend.capabilities().fuses(fusion), "not fused");
        Values v = new Values(dtype, lanes * positions * width, positions, inner);
        Values w = new Values(dtype, lanes * positions * width, width, inner);
        double[][] expected = null;
        for (int threads : new int[] {1, 2, 3, 2}) {
            try (Backend other = new CpuBackend(threads)) {
                Tensor h = put("h", dtype, v.h, lanes, positions, width);
                Tensor y = tensor("y", dtype, lanes, positions, width);
                Tensor d = put("d", dtype, v.d, lanes, positions, width);
                Tensor scale = tensor("s", Dtype.F32, lanes, width);
                Tensor factor = normed ? tensor("rho", Dtype.F32, lanes, width) : null;
                Tensor dGateUp = put("dGateUp", Dtype.F32, v.dGateUp, 2, inner, positions);
                Tensor dDown = put("dDown", Dtype.F32, v.dDown, positions, inner);
                Tensor gateUp = put("gate_up", dtype, v.gateUp, 2, inner, positions);
                Tensor down = put("down", dtype, v.down, positions, inner);
                MlpKernels k = other.kernels().mlps();
                k.positionMlp(h, gateUp, down, y, scale, factor, null, EPS);
                k.positionMlpBwd(h, y, scale, factor, gateUp, down, d, dGateUp, dDown, null);
                int rows = lanes * positions;
                Tensor kept = tensor("kept", dtype, rows, 2, inner);
                Tensor out = tensor("y", dtype, rows, width);
                Tensor s = tensor("s", Dtype.F32, rows);
                Tensor rho = normed ? tensor("rho", Dtype.F32, rows) : null;
                Tensor wide = put("gate_up", dtype, w.gateUp, 2, inner, width);
                Tensor back = put("down", dtype, w.down, width, inner);
                Tensor dWide = put("dGateUp", Dtype.F32, w.dGateUp, 2, inner, width);
                Tensor dBack = put("dDown", Dtype.F32, w.dDown, width, inner);
                Tensor dx = d.view(0, rows, width);
                k.channelMlp(y.view(0, rows, width), wide, back, null, kept, out, null, s, rho, EPS);
                k.channelMlpBwd(y.view(0, rows, width), kept, out, s, rho, wide, back, dx, dWide, dBack);
                double[][] found = {read(out), read(d), read(dGateUp), read(dDown), read(dWide), read(dBack)};
                expected = expected == null ? found : expected;
                for (int i = 0; i < found.length; i++) {
                    assertArrayEquals(expected[i], found[i], threads + " threads, result " + i);
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"7, 64, 24, F32", "97, 512, 64, F32", "17, 100, 64, F32", "17, 256, 48, BF16", "65, 256, 64, BF16"})
    void otherSizesAreRefused(int positions, int inner, int width, Dtype dtype) {
        assertFalse(backend.capabilities().fuses(new Fusion.PositionMlp(positions, inner, width, false, dtype)));
        assertFalse(backend.capabilities().fuses(new Fusion.PositionMlp(positions, inner, width, true, dtype)));
        Tensor h = tensor("h", dtype, 2, positions, width);
        Tensor gateUp = tensor("gate_up", dtype, 2, inner, positions);
        Tensor down = tensor("down", dtype, positions, inner);
        Tensor s = tensor("s", Dtype.F32, 2, width);
        DeviceException refused = assertThrows(
                DeviceException.class, () -> kernels.mlps().positionMlp(h, gateUp, down, h, s, null, null, EPS));
        assertTrue(refused.getMessage().contains("S=" + positions + " I=" + inner), refused.getMessage());
    }

    @Test
    void bfloat16NeedsItsInstructions() {
        assumeTrue(backend instanceof CpuBackend, "not a processor");
        boolean fuses = backend.capabilities().fuses(new Fusion.PositionMlp(17, 256, 64, false, Dtype.F32));
        boolean has = List.of("avx512_bf16", "amx").contains(backend.target());
        for (boolean normed : new boolean[] {false, true}) {
            Fusion positions = new Fusion.PositionMlp(17, 256, 64, normed, Dtype.BF16);
            assertEquals(fuses && has, backend.capabilities().fuses(positions));
            assertEquals(
                    fuses && has, backend.capabilities().fuses(new Fusion.ChannelMlp(256, 64, normed, Dtype.BF16)));
        }
    }

    private static void within(String what, Dtype dtype, double[] exact, double[] plain, Tensor tensor) {
        double[] found = read(tensor);
        assertEquals(exact.length, found.length, what);
        double largest = 0;
        double worst = 0;
        double allowed = 0;
        double squares = 0;
        double allowedSquares = 0;
        for (int i = 0; i < found.length; i++) {
            double error = found[i] - exact[i];
            double cost = plain[i] - exact[i];
            largest = Math.max(largest, Math.abs(exact[i]));
            worst = Math.max(worst, Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.abs(error));
            allowed = Math.max(allowed, Math.abs(cost));
            squares += error * error;
            allowedSquares += cost * cost;
        }
        double bound = dtype == Dtype.BF16 ? 2 * allowed + unit(dtype) * largest : TOLERANCE * largest;
        assertTrue(worst <= bound, what + ": error " + worst + ", more than " + bound + "; largest value " + largest);
        if (dtype == Dtype.BF16 && found.length >= 256) { // fewer say too little about what is typical
            String norms = Math.sqrt(squares) + ", of the plain evaluation " + Math.sqrt(allowedSquares);
            assertTrue(squares <= 4 * allowedSquares, what + ": norm of the error " + norms);
        }
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
        final double[] h;
        final double[] d;
        final double[] c;
        final double[] gateUp;
        final double[] down;
        final double[] dGateUp;
        final double[] dDown;

        Values(Dtype dtype, int state, int k, int inner) {
            h = draw(dtype, state, 1);
            d = draw(dtype, state, 1);
            c = draw(dtype, state, 1);
            gateUp = draw(dtype, 2 * inner * k, 1 / Math.sqrt(k));
            down = draw(dtype, k * inner, 1 / Math.sqrt(inner));
            dGateUp = draw(Dtype.F32, 2 * inner * k, 1);
            dDown = draw(Dtype.F32, k * inner, 1);
        }

        private double[] draw(Dtype dtype, int count, double scale) {
            double[] values = new double[count];
            for (int i = 0; i < count; i++) {
                values[i] = KernelTest.round(dtype, scale * random.nextGaussian());
            }
            return values;
        }
    }

    /**
     * y = rms_norm(h + Wd p) for each row of h [rows, k], p = silu(g) u or sigma(g) rms_norm(g u), and its backward pass, in
     * double; with BF16 rounded at the store of every operation that composes it.
     */
    private static final class Mlp {
        final Values v;
        final int k;
        final int inner;
        final boolean normed;
        final Dtype dtype;
        final double[][] h;
        final double[][] d;
        final double[][] y;
        final double[][] dh;
        final double[][] kept;
        final double[] s;
        final double[] rho;
        final double[] dGateUp;
        final double[] dDown;

        Mlp(Values v, int rows, int k, int inner, boolean normed, Dtype dtype) {
            this.v = v;
            this.k = k;
            this.inner = inner;
            this.normed = normed;
            this.dtype = dtype;
            h = new double[rows][k];
            d = new double[rows][k];
            y = new double[rows][k];
            dh = new double[rows][k];
            kept = new double[rows][2 * inner];
            s = new double[rows];
            rho = new double[rows];
            dGateUp = v.dGateUp.clone();
            dDown = v.dDown.clone();
        }

        double round(double x) {
            return dtype == Dtype.BF16 ? KernelTest.round(dtype, x) : x;
        }

        void run() {
            for (int row = 0; row < h.length; row++) {
                row(row);
            }
        }

        private void row(int row) {
            double[] gate = new double[inner];
            double[] up = new double[inner];
            double[] p = new double[inner];
            double[] r = new double[k];
            double magnitude = 0;
            for (int i = 0; i < inner; i++) {
                for (int j = 0; j < k; j++) {
                    gate[i] += v.gateUp[i * k + j] * h[row][j];
                    up[i] += v.gateUp[(inner + i) * k + j] * h[row][j];
                }
                gate[i] = round(gate[i]);
                up[i] = round(up[i]);
                kept[row][i] = gate[i];
                kept[row][inner + i] = up[i];
                magnitude += gate[i] * up[i] * gate[i] * up[i];
            }
            rho[row] = normed ? 1 / Math.sqrt(magnitude / inner + EPS) : 1;
            for (int i = 0; i < inner; i++) {
                p[i] = round(rho[row] * silu(gate[i]) * up[i]);
                for (int j = 0; j < k; j++) {
                    r[j] += v.down[j * inner + i] * p[i];
                }
            }
            double squares = 0;
            for (int j = 0; j < k; j++) {
                r[j] = h[row][j] + round(r[j]);
                squares += r[j] * r[j];
            }
            s[row] = 1 / Math.sqrt(squares / k + EPS);
            double mean = 0;
            for (int j = 0; j < k; j++) {
                y[row][j] = round(s[row] * r[j]);
                mean += d[row][j] * y[row][j] / k;
            }
            double[] dr = new double[k];
            double[] dp = new double[inner];
            for (int j = 0; j < k; j++) {
                dr[j] = round(s[row] * (d[row][j] - y[row][j] * mean));
                dh[row][j] = dr[j];
            }
            double through = 0; // the mean in the gradient of the activation's norm
            for (int i = 0; i < inner; i++) {
                for (int j = 0; j < k; j++) {
                    dp[i] += v.down[j * inner + i] * dr[j];
                    dDown[j * inner + i] += dr[j] * p[i];
                }
                dp[i] = round(dp[i]);
                through += normed ? dp[i] * rho[row] * silu(gate[i]) * up[i] / inner : 0;
            }
            for (int i = 0; i < inner; i++) {
                double sigma = 1 / (1 + Math.exp(-gate[i]));
                double slope = sigma * (1 + gate[i] * (1 - sigma));
                double back = rho[row] * (rho[row] * gate[i] * up[i]) * through;
                double dGate = round(rho[row] * dp[i] * up[i] * slope - back * up[i]);
                double dUp = round(rho[row] * dp[i] * silu(gate[i]) - back * gate[i]);
                for (int j = 0; j < k; j++) {
                    dGateUp[i * k + j] += dGate * h[row][j];
                    dGateUp[(inner + i) * k + j] += dUp * h[row][j];
                    dh[row][j] += dGate * v.gateUp[i * k + j] + dUp * v.gateUp[(inner + i) * k + j];
                }
            }
            for (int j = 0; j < k; j++) {
                dh[row][j] = round(dh[row][j]);
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
