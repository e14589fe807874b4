package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Arrays;
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
        "BF16,17,128,64",
        "BF16,129,256,96",
        "BF16,1,128,512",
        "BF16,127,128,512",
        "BF16,128,384,512",
        "BF16,129,128,512",
        "BF16,300,1536,512"
    })
    void forward(Dtype dtype, int rows, int inner, int k) {
        assumeTrue(backend.capabilities().fuses(new Fusion.LinearSwiglu(inner, k, false, dtype)), "not fused");
        double[] x = values(dtype, rows * k, 1.7);
        double[] w = values(dtype, 2 * inner * k, 3.4 / Math.sqrt(k));
        Tensor tx = put("x", dtype, x, rows, k);
        Tensor tw = put("w", dtype, w, 2 * inner, k);
        Tensor tgu = tensor("gu", dtype, rows, 2, inner);
        Tensor tp = tensor("p", dtype, rows, inner);
        kernels.products().linearSwiglu(tx, tw, tgu, tp, null);
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
        kernels.products().linearSwiglu(tx, tw, null, again, null);
        assertArrayEquals(read(tp), read(again));
        kernels.mlps().swiglu(tgu, again, rows);
        assertArrayEquals(read(tp), read(again), "p of swiglu");
        int parts = inner / ProductKernels.SQUARES;
        Tensor squares = tensor("squares", Dtype.F32, rows, parts);
        for (Tensor kept : new Tensor[] {null, tgu}) {
            kernels.products().linearSwiglu(tx, tw, kept, again, squares);
            assertArrayEquals(read(tp), read(again), "p with squares");
            assertArrayEquals(found, read(tgu), "gu with squares");
            check("squares", squaresOf(found, rows, inner), squares);
        }
    }

    /** Sums of (g u)^2 of stored gu [rows, 2, inner]: two roundings of a term's square root, and those of the sum. */
    private static Expected squaresOf(double[] gu, int rows, int inner) {
        int parts = inner / ProductKernels.SQUARES;
        Expected squares = new Expected(rows * parts);
        for (int i = 0; i < rows * parts; i++) {
            double sum = 0;
            for (int unit = 0; unit < ProductKernels.SQUARES; unit++) {
                int at = i / parts * 2 * inner + i % parts * ProductKernels.SQUARES + unit;
                sum += gu[at] * gu[at + inner] * gu[at] * gu[at + inner];
            }
            squares.set(i, sum, sum * (ProductKernels.SQUARES + 4) * U32);
        }
        return squares;
    }

    @ParameterizedTest(name = "{0} normed={1} M={2} N={3} K={4}")
    @CsvSource({
        "F32,false,1,64,32",
        "F32,false,37,512,64",
        "F32,true,1,64,128",
        "F32,true,37,512,384",
        "BF16,false,17,64,64",
        "BF16,true,129,128,128",
        "BF16,true,130,512,256",
        "BF16,false,1,512,512",
        "BF16,false,127,512,1536",
        "BF16,false,128,512,512",
        "BF16,false,129,512,512",
        "BF16,false,300,512,1536",
        "BF16,true,1,512,512",
        "BF16,true,127,512,1536",
        "BF16,true,129,512,512",
        "BF16,true,300,512,1536"
    })
    void norm(Dtype dtype, boolean normed, int rows, int n, int k) {
        assumeTrue(backend.capabilities().fuses(new Fusion.LinearAddRmsNorm(n, k, normed, dtype)), "not fused");
        float eps = 1e-5f;
        double[] x = values(dtype, rows * k, 1.7);
        double[] w = values(dtype, n * k, 1.7 / Math.sqrt(k));
        double[] h = values(dtype, rows * n, 1.7);
        double[] c = values(dtype, rows * n, 1.7);
        int parts = normed ? k / ProductKernels.SQUARES : 0;
        double[] squares = Arrays.stream(values(Dtype.F32, rows * parts, 100))
                .map(Math::abs)
                .toArray();
        Expected y = new Expected(rows * n);
        Expected s = new Expected(rows);
        double[] r = new double[n];
        double[] off = new double[n];
        for (int m = 0; m < rows; m++) {
            double sum = 0;
            double offSquares = 0;
            double rho = 1;
            if (normed) {
                rho = 1
                        / Math.sqrt(Arrays.stream(squares, m * parts, (m + 1) * parts)
                                                .sum()
                                        / k
                                + eps);
            }
            for (int i = 0; i < n; i++) {
                Sum f = product(x, m * k, w, i * k, 1, k);
                r[i] = h[m * n + i] + rho * f.value;
                // of the factor: the sum of its parts, the root
                off[i] = rho * f.bound
                        + U32 * Math.abs(r[i])
                        + (parts == 0 ? 0 : (parts + 8) * U32 * rho * Math.abs(f.value));
                sum += r[i] * r[i];
                offSquares += off[i] * off[i];
            }
            double scale = 1 / Math.sqrt(sum / n + eps);
            // of the scale: by the error of r (Cauchy-Schwarz), n roundings of the sum, the root
            double share = Math.sqrt(offSquares / sum) + (n + 8) * U32;
            s.set(m, scale, scale * share);
            for (int i = 0; i < n; i++) {
                double value = scale * r[i];
                y.set(m * n + i, value, scale * off[i] + Math.abs(value) * (share + unit(dtype)));
            }
        }
        Tensor tx = put("x", dtype, x, rows, k);
        Tensor tw = put("w", dtype, w, n, k);
        Tensor tq = normed ? put("squares", Dtype.F32, squares, rows, parts) : null;
        Tensor th = put("h", dtype, h, rows, n);
        Tensor tc = put("c", dtype, c, rows, n);
        Tensor ty = tensor("y", dtype, rows, n);
        Tensor tu = tensor("u", dtype, rows, n);
        Tensor ts = tensor("s", Dtype.F32, rows);
        kernels.products().linearAddRmsNorm(tx, tq, tw, th, tc, ty, tu, ts, eps);
        check("y", y, ty);
        check("s", s, ts);
        double[] found = read(ty);
        double[] sums = new double[found.length];
        for (int i = 0; i < sums.length; i++) {
            sums[i] = round(dtype, (float) found[i] + (float) c[i]); // of the rounded y, in float32
        }
        assertArrayEquals(sums, read(tu), "u");
        Tensor ts2 = tensor("s", Dtype.F32, rows);
        kernels.products().linearAddRmsNorm(tx, tq, tw, th, null, th, null, ts2, eps);
        assertArrayEquals(found, read(th), "y in the place of h");
        assertArrayEquals(read(ts), read(ts2), "s again");
    }

    @ParameterizedTest
    @CsvSource({"100, 512, BF16", "128, 100, BF16"})
    void otherSizesAreRefused(int inner, int k, Dtype dtype) {
        for (boolean normed : new boolean[] {false, true}) {
            assertFalse(backend.capabilities().fuses(new Fusion.LinearSwiglu(inner, k, normed, dtype)));
            assertFalse(backend.capabilities().fuses(new Fusion.LinearAddRmsNorm(inner, k, normed, dtype)));
        }
        assumeTrue(backend.capabilities().fuses(new Fusion.LinearSwiglu(128, 512, false, dtype)), "not fused");
        Tensor x = tensor("x", dtype, 3, k);
        Tensor w = tensor("w", dtype, 2 * inner, k);
        Tensor p = tensor("p", dtype, 3, inner);
        DeviceException refused =
                assertThrows(DeviceException.class, () -> kernels.products().linearSwiglu(x, w, null, p, null));
        assertTrue(refused.getMessage().contains("I=" + inner + " K=" + k), refused.getMessage());
    }
}
