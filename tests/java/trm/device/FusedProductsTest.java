package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code linear_swiglu linear_add_rms_norm}, where the backend has them. Bound of a product of k terms
 * with the sum S of their magnitudes: k 2^-23 S, since tensor cores may cut partial sums where others round them, and one
 * rounding where the result is stored. An activation is held to the gate and up that were stored in front of it, with the
 * error of silu that {@link SwigluTest} allows.
 */
class FusedProductsTest extends KernelTest {
    private static final double CUT = 0x1p-23;

    /** A product's exact value and the bound on its error before it is rounded. */
    private record Sum(double value, double bound) {}

    /** sum_i a[at + i] b[from + i * step] over k terms. */
    private static Sum product(double[] a, int at, double[] b, int from, int step, int k) {
        double sum = 0;
        double size = 0;
        for (int i = 0; i < k; i++) {
            double v = a[at + i] * b[from + i * step];
            sum += v;
            size += Math.abs(v);
        }
        return new Sum(sum, k * CUT * size);
    }

    @ParameterizedTest(name = "{0} M={1} I={2} K={3}")
    @CsvSource({
        "F32,1,128,64",
        "F32,37,256,64",
        "BF16,1,128,512",
        "BF16,127,128,512",
        "BF16,128,384,512",
        "BF16,129,128,512",
        "BF16,300,1536,512"
    })
    void forward(Dtype dtype, int rows, int inner, int k) {
        assumeTrue(backend.capabilities().fuses(new Fusion.LinearSwiglu(inner, k, dtype)), "not fused");
        double[] x = values(dtype, rows * k, 1.7);
        double[] w = values(dtype, 2 * inner * k, 3.4 / Math.sqrt(k));
        Tensor tx = put("x", dtype, x, rows, k);
        Tensor tw = put("w", dtype, w, 2 * inner, k);
        Tensor tgu = tensor("gu", dtype, rows, 2, inner);
        Tensor tp = tensor("p", dtype, rows, inner);
        kernels.products().linearSwiglu(tx, tw, tgu, tp);
        Expected gu = new Expected(rows * 2 * inner);
        for (int m = 0; m < rows; m++) {
            for (int i = 0; i < 2 * inner; i++) {
                Sum s = product(x, m * k, w, i * k, 1, k);
                gu.set(m * 2 * inner + i, s.value, s.bound + unit(dtype) * (Math.abs(s.value) + s.bound));
            }
        }
        check("gu", gu, tgu);
        double[] found = read(tgu);
        Expected p = new Expected(rows * inner);
        for (int m = 0; m < rows; m++) {
            for (int i = 0; i < inner; i++) {
                SwigluTest.Gate gate =
                        new SwigluTest.Gate(dtype, found[2 * m * inner + i], found[(2 * m + 1) * inner + i]);
                p.set(m * inner + i, gate.product(), gate.productBound());
            }
        }
        check("p", p, tp);
        Tensor again = tensor("p without gu", dtype, rows, inner);
        kernels.products().linearSwiglu(tx, tw, null, again);
        assertArrayEquals(read(tp), read(again));
        kernels.mlps().swiglu(tgu, again, rows);
        assertArrayEquals(read(tp), read(again), "p of swiglu");
    }

    @ParameterizedTest(name = "{0} M={1} N={2} K={3}")
    @CsvSource({
        "F32,1,64,32",
        "F32,37,512,64",
        "BF16,1,512,512",
        "BF16,127,512,1536",
        "BF16,128,512,512",
        "BF16,129,512,512",
        "BF16,300,512,1536"
    })
    void norm(Dtype dtype, int rows, int n, int k) {
        assumeTrue(backend.capabilities().fuses(new Fusion.LinearAddRmsNorm(n, k, dtype)), "not fused");
        float eps = 1e-5f;
        double[] x = values(dtype, rows * k, 1.7);
        double[] w = values(dtype, n * k, 1.7 / Math.sqrt(k));
        double[] h = values(dtype, rows * n, 1.7);
        double[] c = values(dtype, rows * n, 1.7);
        Expected y = new Expected(rows * n);
        Expected s = new Expected(rows);
        double[] r = new double[n];
        double[] off = new double[n];
        for (int m = 0; m < rows; m++) {
            double squares = 0;
            double offSquares = 0;
            for (int i = 0; i < n; i++) {
                Sum f = product(x, m * k, w, i * k, 1, k);
                r[i] = h[m * n + i] + f.value;
                off[i] = f.bound + U32 * Math.abs(r[i]);
                squares += r[i] * r[i];
                offSquares += off[i] * off[i];
            }
            double scale = 1 / Math.sqrt(squares / n + eps);
            // of the scale: by the error of r (Cauchy-Schwarz), n roundings of the sum, the root
            double share = Math.sqrt(offSquares / squares) + (n + 8) * U32;
            s.set(m, scale, scale * share);
            for (int i = 0; i < n; i++) {
                double value = scale * r[i];
                y.set(m * n + i, value, scale * off[i] + Math.abs(value) * (share + unit(dtype)));
            }
        }
        Tensor tx = put("x", dtype, x, rows, k);
        Tensor tw = put("w", dtype, w, n, k);
        Tensor th = put("h", dtype, h, rows, n);
        Tensor tc = put("c", dtype, c, rows, n);
        Tensor ty = tensor("y", dtype, rows, n);
        Tensor tu = tensor("u", dtype, rows, n);
        Tensor ts = tensor("s", Dtype.F32, rows);
        kernels.products().linearAddRmsNorm(tx, tw, th, tc, ty, tu, ts, eps);
        check("y", y, ty);
        check("s", s, ts);
        double[] found = read(ty);
        double[] sums = new double[found.length];
        for (int i = 0; i < sums.length; i++) {
            sums[i] = round(dtype, (float) found[i] + (float) c[i]); // of the rounded y, in float32
        }
        assertArrayEquals(sums, read(tu), "u");
        Tensor ts2 = tensor("s", Dtype.F32, rows);
        kernels.products().linearAddRmsNorm(tx, tw, th, null, th, null, ts2, eps);
        assertArrayEquals(found, read(th), "y in the place of h");
        assertArrayEquals(read(ts), read(ts2), "s again");
    }

    @ParameterizedTest
    @CsvSource({"100, 512, BF16", "128, 100, BF16"})
    void otherSizesAreRefused(int inner, int k, Dtype dtype) {
        assertFalse(backend.capabilities().fuses(new Fusion.LinearSwiglu(inner, k, dtype)));
        assertFalse(backend.capabilities().fuses(new Fusion.LinearAddRmsNorm(inner, k, dtype)));
        assumeTrue(backend.capabilities().fuses(new Fusion.LinearSwiglu(128, 512, dtype)), "not fused");
        Tensor x = tensor("x", dtype, 3, k);
        Tensor w = tensor("w", dtype, 2 * inner, k);
        Tensor p = tensor("p", dtype, 3, inner);
        DeviceException refused =
                assertThrows(DeviceException.class, () -> kernels.products().linearSwiglu(x, w, null, p));
        assertTrue(refused.getMessage().contains("I=" + inner + " K=" + k), refused.getMessage());
    }
}
