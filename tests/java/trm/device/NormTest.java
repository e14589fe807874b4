package trm.device;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code add_rms_norm add_rms_norm_positions} and their gradients. Bound: the scale s comes from a float32 sum of n
 * squares, all positive, in partial sums, so its relative error is below (n / 2 + 8) 2^-24; y adds three float32
 * roundings and the one to the type. Backward, the mean of n products deviates by at most (n + 4) 2^-24 times the mean of
 * their magnitudes.
 */
class NormTest extends KernelTest {
    private static final float EPS = 1e-5f;

    /** Forward over {@code count} values that lie {@code step} apart, from {@code at} on. */
    private static double forward(double[] h, double[] f, int at, int step, int count, double unit, Expected y) {
        double squares = 0;
        for (int i = 0; i < count; i++) {
            double r = h[at + i * step] + f[at + i * step];
            squares += r * r;
        }
        double s = 1 / Math.sqrt(squares / count + EPS);
        for (int i = 0; i < count; i++) {
            int j = at + i * step;
            double exact = s * (h[j] + f[j]);
            y.set(j, exact, (scaleError(count) + 3 * U32 + unit) * Math.abs(exact));
        }
        return s;
    }

    private static double scaleError(int count) {
        return (count / 2.0 + 8) * U32;
    }

    private static void backward(
            double[] dy, double[] y, double s, int at, int step, int count, double unit, Expected dr) {
        double mean = 0;
        double size = 0;
        for (int i = 0; i < count; i++) {
            mean += dy[at + i * step] * y[at + i * step] / count;
            size += Math.abs(dy[at + i * step] * y[at + i * step]) / count;
        }
        for (int i = 0; i < count; i++) {
            int j = at + i * step;
            double exact = s * (dy[j] - y[j] * mean);
            double inner = (count + 4) * U32 * size * Math.abs(y[j]) + 2 * U32 * Math.abs(y[j] * mean);
            dr.set(j, exact, s * (inner + 2 * U32 * Math.abs(dy[j])) + (unit + U32) * Math.abs(exact));
        }
    }

    @ParameterizedTest(name = "{0} rows={1} D={2}")
    @CsvSource({
        "F32,1,1",
        "F32,5,3",
        "F32,2,15",
        "F32,7,16",
        "F32,3,17",
        "F32,4,31",
        "F32,2,33",
        "F32,97,101",
        "F32,2,8209",
        "BF16,1,1",
        "BF16,5,3",
        "BF16,2,15",
        "BF16,7,16",
        "BF16,3,17",
        "BF16,4,31",
        "BF16,2,33",
        "BF16,97,101",
        "BF16,2,8209"
    })
    void overChannels(Dtype dtype, int rows, int d) {
        int n = rows * d;
        double[] h = values(dtype, n, 2);
        double[] f = values(dtype, n, 2);
        double[] c = values(dtype, n, 2);
        double unit = unit(dtype);
        Expected y = new Expected(n);
        Expected u = new Expected(n);
        Expected s = new Expected(rows);
        for (int row = 0; row < rows; row++) {
            double scale = forward(h, f, row * d, 1, d, unit, y);
            s.set(row, scale, scaleError(d) * scale);
        }
        for (int i = 0; i < n; i++) {
            double sum = y.value[i] + c[i];
            u.set(i, sum, y.bound[i] + (unit + U32) * (Math.abs(sum) + y.bound[i]));
        }
        // without injection, y alias of nothing, h or f; with it, u alias of nothing, h, f or c
        for (int alias = 0; alias < 7; alias++) {
            Tensor th = put("h", dtype, h, rows, d);
            Tensor tf = put("f", dtype, f, rows, d);
            Tensor tc = put("c", dtype, c, rows, d);
            Tensor ts = tensor("s", Dtype.F32, rows);
            boolean inject = alias > 2;
            Tensor ty = alias == 1 ? th : alias == 2 ? tf : tensor("y", dtype, rows, d);
            Tensor tu =
                    !inject ? null : alias == 4 ? th : alias == 5 ? tf : alias == 6 ? tc : tensor("u", dtype, rows, d);
            kernels.norms().addRmsNorm(th, tf, inject ? tc : null, ty, tu, ts, EPS);
            check("s, alias " + alias, s, ts);
            check("y, alias " + alias, y, ty);
            if (inject) {
                check("u, alias " + alias, u, tu);
            }
        }

        double[] dy = values(dtype, n, 2);
        double[] given = values(dtype, n, 2); // any y and s will do: the oracle takes the same
        double[] scales = values(Dtype.F32, rows, 1);
        Expected dr = new Expected(n);
        for (int row = 0; row < rows; row++) {
            scales[row] = Math.abs(scales[row]);
            backward(dy, given, scales[row], row * d, 1, d, unit, dr);
        }
        for (boolean alias : new boolean[] {false, true}) {
            Tensor tdy = put("dy", dtype, dy, rows, d);
            Tensor tdr = alias ? tdy : tensor("dr", dtype, rows, d);
            kernels.norms().addRmsNormBwd(tdy, put("y", dtype, given, rows, d), put("s", Dtype.F32, scales, rows), tdr);
            check("dr, alias " + alias, dr, tdr);
        }
    }

    @ParameterizedTest(name = "{0} B={1} S={2} D={3}")
    @CsvSource({
        "F32,1,1,1", "F32,2,3,5", "F32,3,17,15", "F32,2,9,17", "F32,1,31,33", "F32,2,97,67", "F32,1,4,131",
        "BF16,1,1,1", "BF16,2,3,5", "BF16,3,17,15", "BF16,2,9,17", "BF16,1,31,33", "BF16,2,97,67", "BF16,1,4,131"
    })
    void overPositions(Dtype dtype, int lanes, int positions, int d) {
        int n = lanes * positions * d;
        double[] h = values(dtype, n, 2);
        double[] f = values(dtype, n, 2);
        double unit = unit(dtype);
        Expected y = new Expected(n);
        Expected s = new Expected(lanes * d);
        for (int i = 0; i < lanes * d; i++) {
            double scale = forward(h, f, i / d * positions * d + i % d, d, positions, unit, y);
            s.set(i, scale, scaleError(positions) * scale);
        }
        for (int alias = 0; alias < 3; alias++) {
            Tensor th = put("h", dtype, h, lanes, positions, d);
            Tensor tf = put("f", dtype, f, lanes, positions, d);
            Tensor ts = tensor("s", Dtype.F32, lanes, d);
            Tensor ty = alias == 1 ? th : alias == 2 ? tf : tensor("y", dtype, lanes, positions, d);
            kernels.norms().addRmsNormPositions(th, tf, ty, ts, lanes, d, EPS);
            check("s, alias " + alias, s, ts);
            check("y, alias " + alias, y, ty);
        }

        double[] dy = values(dtype, n, 2);
        double[] given = values(dtype, n, 2);
        double[] scales = values(Dtype.F32, lanes * d, 1);
        Expected dr = new Expected(n);
        for (int i = 0; i < lanes * d; i++) {
            scales[i] = Math.abs(scales[i]);
            backward(dy, given, scales[i], i / d * positions * d + i % d, d, positions, unit, dr);
        }
        for (boolean alias : new boolean[] {false, true}) {
            Tensor tdy = put("dy", dtype, dy, lanes, positions, d);
            Tensor tdr = alias ? tdy : tensor("dr", dtype, lanes, positions, d);
            Tensor ty = put("y", dtype, given, lanes, positions, d);
            kernels.norms().addRmsNormPositionsBwd(tdy, ty, put("s", Dtype.F32, scales, lanes, d), tdr, lanes, d);
            check("dr, alias " + alias, dr, tdr);
        }
    }
}
