package trm.device;

import static org.junit.jupiter.api.Assumptions.abort;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code linear mix} and their gradients. Bound: a sum of K products in float32 in any order deviates by at most
 * (K + 1) 2^-24 times the sum of their magnitudes, twice that where the processor's bfloat16 instruction rounds pairs;
 * then one rounding to the type. Sizes include 1, primes, and more than one tile of a product (224 rows, 768 columns).
 */
class ProductsTest extends KernelTest {
    /** Element (i, j) of a product as the sum over k of a(i, k) b(k, j), added to what was there. */
    private interface Factor {
        double at(int lane, int i, int k);
    }

    private static void product(
            Expected to, int lane, int rows, int columns, int inner, Factor a, Factor b, double[] before, double unit) {
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                int at = (lane * rows + i) * columns + j;
                double sum = before == null ? 0 : before[at];
                double size = Math.abs(sum);
                for (int k = 0; k < inner; k++) {
                    double term = a.at(lane, i, k) * b.at(lane, k, j);
                    sum += term;
                    size += Math.abs(term);
                }
                // cuBLASLt's small kernels round a product before they add it
                double product = before == null || backend.name().equals("cpu") ? 0 : Math.abs(sum - before[at]);
                to.set(at, sum, 2 * (inner + 1) * U32 * size + unit * (Math.abs(sum) + product));
            }
        }
    }

    /** Runs a product, or skips the rest of the test where this processor has no bfloat16 products. */
    private static void attempt(Dtype dtype, Runnable product) {
        try {
            product.run();
        } catch (DeviceException e) {
            if (dtype == Dtype.BF16 && e.getMessage().contains("unimplemented")) {
                abort("no bfloat16 products on this processor: " + e.getMessage());
            }
            throw e;
        }
    }

    private double[] before(boolean accumulate, Dtype dtype, int count) {
        return accumulate ? values(dtype, count, 1) : null;
    }

    private Tensor target(String name, Dtype dtype, double[] before, long... dims) {
        return before == null ? tensor(name, dtype, dims) : put(name, dtype, before, dims);
    }

    @ParameterizedTest(name = "{0} M={1} N={2} K={3}")
    @CsvSource({
        "F32,1,1,1", "F32,7,13,5", "F32,15,17,33", "F32,33,31,16", "F32,64,48,32", "F32,229,31,7", "F32,3,787,16",
        "BF16,1,1,1", "BF16,7,13,5", "BF16,15,17,33", "BF16,33,31,16", "BF16,64,48,32", "BF16,229,31,7", "BF16,3,787,16"
    })
    void linear(Dtype dtype, int m, int n, int k) {
        double[] x = values(dtype, m * k, 1);
        double[] w = values(dtype, n * k, 1);
        double[] dy = values(dtype, m * n, 1);
        Tensor tx = put("x", dtype, x, m, k);
        Tensor tw = put("w", dtype, w, n, k);
        Tensor tdy = put("dy", dtype, dy, m, n);
        double unit = unit(dtype);

        Tensor y = target("y", dtype, null, m, n);
        attempt(dtype, () -> kernels.products().linear(tx, tw, y));
        Expected forward = new Expected(m * n);
        product(forward, 0, m, n, k, (b, i, l) -> x[i * k + l], (b, l, j) -> w[j * k + l], null, unit);
        check("y", forward, y);

        for (boolean accumulate : new boolean[] {false, true}) {
            double[] before = before(accumulate, dtype, m * k);
            Tensor dx = target("dx", dtype, before, m, k);
            attempt(dtype, () -> kernels.products().linearBwdX(tdy, tw, dx, accumulate));
            Expected input = new Expected(m * k);
            product(input, 0, m, k, n, (b, i, l) -> dy[i * n + l], (b, l, j) -> w[l * k + j], before, unit);
            check("dx, accumulate " + accumulate, input, dx);
        }

        double[] before = before(true, Dtype.F32, n * k);
        Tensor dw = target("dw", Dtype.F32, before, n, k);
        attempt(dtype, () -> kernels.products().linearBwdW(tdy, tx, dw));
        Expected weight = new Expected(n * k);
        product(weight, 0, n, k, m, (b, i, l) -> dy[l * n + i], (b, l, j) -> x[l * k + j], before, U32);
        check("dw", weight, dw);
    }

    @ParameterizedTest(name = "{0} B={1} N={2} K={3} D={4}")
    @CsvSource({
        "F32,1,1,1,1", "F32,3,7,5,13", "F32,2,31,17,33", "F32,5,16,33,15", "F32,2,17,9,797", "F32,1,240,3,17",
        "BF16,1,1,1,1", "BF16,3,7,5,13", "BF16,2,31,17,33", "BF16,5,16,33,15", "BF16,2,17,9,797", "BF16,1,240,3,17"
    })
    void mix(Dtype dtype, int lanes, int n, int k, int d) {
        double[] x = values(dtype, lanes * k * d, 1);
        double[] w = values(dtype, n * k, 1);
        double[] dy = values(dtype, lanes * n * d, 1);
        Tensor tx = put("x", dtype, x, lanes, k, d);
        Tensor tw = put("w", dtype, w, n, k);
        Tensor tdy = put("dy", dtype, dy, lanes, n, d);
        double unit = unit(dtype);

        Tensor y = target("y", dtype, null, lanes, n, d);
        attempt(dtype, () -> kernels.products().mix(tx, tw, y, lanes, d));
        Expected forward = new Expected(lanes * n * d);
        for (int lane = 0; lane < lanes; lane++) {
            product(forward, lane, n, d, k, (b, i, l) -> w[i * k + l], (b, l, j) -> x[(b * k + l) * d + j], null, unit);
        }
        check("y", forward, y);

        for (boolean accumulate : new boolean[] {false, true}) {
            double[] before = before(accumulate, dtype, lanes * k * d);
            Tensor dx = target("dx", dtype, before, lanes, k, d);
            attempt(dtype, () -> kernels.products().mixBwdX(tdy, tw, dx, lanes, d, accumulate));
            Expected input = new Expected(lanes * k * d);
            for (int lane = 0; lane < lanes; lane++) {
                product(
                        input,
                        lane,
                        k,
                        d,
                        n,
                        (b, i, l) -> w[l * k + i],
                        (b, l, j) -> dy[(b * n + l) * d + j],
                        before,
                        unit);
            }
            check("dx, accumulate " + accumulate, input, dx);
        }

        double[] before = before(true, Dtype.F32, n * k);
        Tensor dw = target("dw", Dtype.F32, before, n, k);
        attempt(dtype, () -> kernels.products().mixBwdW(tdy, tx, dw, lanes, d));
        Expected weight = new Expected(n * k);
        product(
                weight,
                0,
                n,
                k,
                lanes * d,
                (b, i, l) -> dy[(l / d * n + i) * d + l % d],
                (b, l, j) -> x[(l / d * k + j) * d + l % d],
                before,
                U32);
        check("dw", weight, dw);
    }
}
