package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import trm.device.Dtype;

/**
 * How products are asked for. Oracle: the definitions of {@code trm_ops.h} on row-major arrays, in whole numbers, so that
 * sums are exact. The product asked for is computed from its description alone, on arrays that end where they must.
 */
class GemmTest {
    private final Random random = new Random();

    private int odd() {
        return 1 + 2 * random.nextInt(6);
    }

    private double[] values(long count) {
        return random.doubles(count, -9, 10).map(Math::floor).toArray();
    }

    /** Column-major, as cuBLASLt defines it. */
    private static double[] compute(Gemm g, double[] a, double[] b, double[] before) {
        double[] c = before.clone();
        for (long batch = 0; batch < g.batch(); batch++) {
            for (long i = 0; i < g.m(); i++) {
                for (long j = 0; j < g.n(); j++) {
                    double sum = 0;
                    for (long l = 0; l < g.k(); l++) {
                        long atA = batch * g.strideA() + (g.transA() ? l + i * g.lda() : i + l * g.lda());
                        long atB = batch * g.strideB() + (g.transB() ? j + l * g.ldb() : l + j * g.ldb());
                        sum += a[(int) atA] * b[(int) atB];
                    }
                    int at = (int) (batch * g.strideC() + i + j * g.ldc());
                    c[at] = g.accumulate() ? c[at] + sum : sum;
                }
            }
        }
        return c;
    }

    @RepeatedTest(20)
    void linear() {
        int m = odd();
        int n = odd();
        int k = odd();
        double[] x = values(m * k);
        double[] w = values(n * k);
        double[] dy = values(m * n);
        double[] y = values(m * n);
        double[] dx = values(m * k);
        double[] dw = values(n * k);
        double[] yExpected = new double[m * n];
        double[] dxExpected = new double[m * k];
        double[] dwExpected = dw.clone();
        for (int r = 0; r < m; r++) {
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < k; j++) {
                    yExpected[r * n + i] += x[r * k + j] * w[i * k + j];
                    dxExpected[r * k + j] += dy[r * n + i] * w[i * k + j];
                    dwExpected[i * k + j] += dy[r * n + i] * x[r * k + j];
                }
            }
        }
        assertArrayEquals(yExpected, compute(Gemm.linear(m, n, k, Dtype.BF16), w, x, y));
        assertArrayEquals(dxExpected, compute(Gemm.linearBwdX(m, n, k, false, Dtype.BF16), w, dy, dx));
        for (int i = 0; i < dx.length; i++) {
            dxExpected[i] += dx[i];
        }
        assertArrayEquals(dxExpected, compute(Gemm.linearBwdX(m, n, k, true, Dtype.BF16), w, dy, dx));
        assertArrayEquals(dwExpected, compute(Gemm.linearBwdW(m, n, k, Dtype.BF16), x, dy, dw));
    }

    @RepeatedTest(20)
    void mix() {
        int lanes = odd();
        int n = odd();
        int k = odd();
        int d = odd();
        double[] x = values(lanes * k * d);
        double[] w = values(n * k);
        double[] dy = values(lanes * n * d);
        double[] y = values(lanes * n * d);
        double[] dx = values(lanes * k * d);
        double[] dw = values(n * k);
        double[] yExpected = new double[y.length];
        double[] dxExpected = new double[dx.length];
        double[] dwExpected = dw.clone();
        for (int b = 0; b < lanes; b++) {
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < k; j++) {
                    for (int c = 0; c < d; c++) {
                        yExpected[(b * n + i) * d + c] += w[i * k + j] * x[(b * k + j) * d + c];
                        dxExpected[(b * k + j) * d + c] += w[i * k + j] * dy[(b * n + i) * d + c];
                        dwExpected[i * k + j] += dy[(b * n + i) * d + c] * x[(b * k + j) * d + c];
                    }
                }
            }
        }
        assertArrayEquals(yExpected, compute(Gemm.mix(lanes, n, k, d, Dtype.BF16), x, w, y));
        assertArrayEquals(dxExpected, compute(Gemm.mixBwdX(lanes, n, k, d, false, Dtype.BF16), dy, w, dx));
        for (int i = 0; i < dx.length; i++) {
            dxExpected[i] += dx[i];
        }
        assertArrayEquals(dxExpected, compute(Gemm.mixBwdX(lanes, n, k, d, true, Dtype.BF16), dy, w, dx));
        Gemm sum = Gemm.mixBwdW(n, k, (long) lanes * d, Dtype.BF16);
        assertArrayEquals(dwExpected, compute(sum, permuted(x, lanes, k, d), permuted(dy, lanes, n, d), dw));
    }

    private static double[] permuted(double[] x, int lanes, int rows, int d) {
        double[] out = new double[x.length];
        for (int b = 0; b < lanes; b++) {
            for (int r = 0; r < rows; r++) {
                System.arraycopy(x, (b * rows + r) * d, out, (r * lanes + b) * d, d);
            }
        }
        return out;
    }

    /** Weight gradients are float32, all else has the type of the operands. */
    @Test
    void types() {
        assertEquals(Dtype.BF16, Gemm.linear(1, 1, 1, Dtype.BF16).output());
        assertEquals(Dtype.F32, Gemm.linearBwdW(1, 1, 1, Dtype.BF16).output());
        assertEquals(Dtype.F32, Gemm.mixBwdW(1, 1, 1, Dtype.BF16).output());
        assertEquals(Dtype.BF16, Gemm.mixBwdW(1, 1, 1, Dtype.BF16).input());
    }

    /** Rows of 97 bfloat16 are 194 bytes apart; rows of 512 lie as the pointer does. */
    @Test
    void alignments() {
        Gemm linear = Gemm.linear(8, 512, 97, Dtype.BF16);
        assertEquals(2, linear.alignmentA(256));
        assertEquals(2, linear.alignmentB(256));
        assertEquals(256, linear.alignmentC(256));
        assertEquals(16, linear.alignmentC(16));
        Gemm mix = Gemm.mix(8, 97, 96, 8, Dtype.F32); // y_b is 97 * 8 * 4 bytes after the one before
        assertEquals(32, mix.alignmentC(256));
        assertEquals(128, mix.alignmentB(256)); // 96 * 4 bytes
    }

    /** Sizes beyond 32 bits stay what they are. */
    @Test
    void largeSizes() {
        Gemm g = Gemm.linear(3_000_000_000L, 512, 1536, Dtype.BF16);
        assertEquals(3_000_000_000L, g.n());
        assertEquals(3_000_000_000L * 512 * 2, g.outputBytes());
        assertThrows(IllegalArgumentException.class, () -> Gemm.linear(0, 1, 1, Dtype.F32));
        assertThrows(IllegalArgumentException.class, () -> Gemm.mix(1L << 31, 1, 1, 1, Dtype.F32));
    }

    /** Both permuted operands fit 128 MiB with what aligns them; a lane too large for it goes alone. */
    @Test
    void lanesAtOnce() {
        assertEquals(768, LtProducts.lanesAtOnce(768, 97, 97, 16));
        long chunk = LtProducts.lanesAtOnce(768, 97, 512, 1024);
        assertEquals((128 * 1024 * 1024 - 512) / (609 * 1024), chunk);
        assertEquals(1, LtProducts.lanesAtOnce(768, 100_000, 100_000, 1024));
    }
}
