package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * {@code advance adam sign_sgd}. Each step is compared on its own, from the state that the device holds before it.
 * Bound: a few float32 roundings of each term; an error of m or of sqrt(v) reaches the update by the derivative of
 * atan2, 1 / hypot, or of the quotient.
 */
class OptimizerTest extends KernelTest {
    private static double[] controls(int step, double lr, double puzzleLr, double beta1, double beta2) {
        return new double[] {step, lr, puzzleLr, 1 - Math.pow(beta1, step), 1 - Math.pow(beta2, step), 0, 0, 0};
    }

    /** Warm-up, its last step, the cosine part, its end and beyond; a schedule without either; moments younger than the run. */
    @ParameterizedTest(name = "warmup={0} total={1} ratio={2} begin={3}")
    @CsvSource({"5,20,0.1,0", "0,7,0,0", "2000,1000,1,0", "1,1,0.5,0", "0,0,0.25,0", "5,20,0.1,3", "0,40,0,11"})
    void advance(long warmup, long total, double ratio, int begin) {
        double beta1 = 0.9;
        double beta2 = 0.95;
        Tensor controls = put("controls", Dtype.F64, controls(begin, 0, 0, 0, 0), OptimizerKernels.CONTROLS);
        OptimizerKernels.Schedule schedule = new OptimizerKernels.Schedule(3e-4, 1e-2, warmup, total, ratio, begin);
        for (int t = begin + 1; t <= 30; t++) {
            kernels.optimizers().advance(controls, schedule, beta1, beta2);
            double phi = (t - warmup) / (double) Math.max(1, total - warmup);
            double factor = t < warmup
                    ? t / (double) Math.max(1, warmup)
                    : ratio + Math.max(0, (1 - ratio) * (1 + Math.cos(Math.PI * phi)) / 2);
            double[] want = controls(t, 3e-4 * factor, 1e-2 * factor, beta1, beta2);
            want[3] = 1 - Math.pow(beta1, t - begin);
            want[4] = 1 - Math.pow(beta2, t - begin);
            double[] got = read(controls);
            for (int i = 0; i < want.length; i++) {
                assertEquals(want[i], got[i], 1e-13 * (1 + Math.abs(want[i])), "step " + t + ", control " + i);
            }
        }
    }

    /** The cosine ends at its floor to the bit, which may be 0: half of (1 - 1) is nothing, and the floor is added to it. */
    @ParameterizedTest(name = "warmup={0} ratio={1}")
    @CsvSource({"0,0", "5,0", "0,0.1", "5,0.05", "20,0", "5,1"})
    void cosineEndsAtItsFloor(long warmup, double ratio) {
        Tensor controls = put("controls", Dtype.F64, new double[OptimizerKernels.CONTROLS], OptimizerKernels.CONTROLS);
        OptimizerKernels.Schedule schedule = new OptimizerKernels.Schedule(3e-4, 1e-2, warmup, 20, ratio, 0);
        double before = 0;
        for (int t = 1; t <= 20; t++) {
            kernels.optimizers().advance(controls, schedule, 0.9, 0.95);
            double lr = read(controls)[Control.LR.ordinal()];
            assertTrue(t == 20 || lr > 3e-4 * ratio || ratio == 1, "step " + t + ": " + lr);
            assertTrue(t <= Math.max(1, warmup) || lr <= before, "step " + t + ": " + lr + " after " + before);
            before = lr;
        }
        double end = warmup == 20 ? 1 : ratio; // a warm-up as long as the run ends where the cosine begins
        assertEquals(3e-4 * end, read(controls)[Control.LR.ordinal()]);
        assertEquals(1e-2 * end, read(controls)[Control.PUZZLE_LR.ordinal()]);
    }

    /** Squares of float32 are exact in float64; a sum of n terms errs by n 2^-53 of itself. Added to its metric only. */
    @ParameterizedTest
    @ValueSource(ints = {1, 15, 17, 8191, 8193, 40009})
    void gradNorm(int count) {
        double[] g = values(Dtype.F32, count, 3);
        double squares = 0;
        for (double x : g) {
            squares += x * x;
        }
        double want = Math.sqrt(squares);
        double[] before = values(Dtype.F32, HeadKernels.METRICS, 1);
        Tensor norm = tensor("norm", Dtype.F64, 1);
        Tensor metrics = put("metrics", Dtype.F64, before, HeadKernels.METRICS);
        Tensor gradient = put("g", Dtype.F32, g, count);
        kernels.optimizers()
                .gradNorm(gradient, tensor("partials", Dtype.F64, OptimizerKernels.NORM_PARTIALS), norm, metrics);
        assertEquals(want, read(norm)[0], 2 * count * 0x1p-53 * want);
        before[Metric.GRAD_NORM.ordinal()] += want;
        assertArrayEquals(before, read(metrics), 2 * (count + 2) * 0x1p-53 * (1 + want));
        assertArrayEquals(g, read(gradient));
    }

    /** The factor is rounded to float32, so is each product: 2 units of 2^-24. Below the limit nothing changes. */
    @ParameterizedTest(name = "count={0} norm={1}")
    @CsvSource({"1,3", "17,3", "8193,3", "40009,3", "17,0.5", "17,0.25", "17,0"})
    void clipGradient(int count, double norm) {
        double max = 0.5;
        double[] g = values(Dtype.F32, count, 3);
        Tensor gradient = put("g", Dtype.F32, g, count);
        kernels.optimizers().clipGradient(gradient, put("norm", Dtype.F64, new double[] {norm}, 1), max);
        double c = max / (norm + 1e-6);
        double[] got = read(gradient);
        for (int i = 0; i < count; i++) {
            assertEquals(Math.min(1, c) * g[i], got[i], c < 1 ? 0x1p-23 * Math.abs(g[i]) : 0, "element " + i);
        }
    }

    @ParameterizedTest(name = "atan2={0} count={1} eps={2} ema_from={3}")
    @CsvSource({
        "true,1,0.1,0", "true,15,0.1,0", "true,17,0.1,1", "true,33,0.1,5", "true,8209,0.1,5",
        "false,1,0.1,0", "false,15,0.1,5", "false,17,1e-8,0", "false,33,0.01,9", "false,8209,0.1,0"
    })
    void adam(boolean atan2, int count, double eps, long averagedFrom) {
        double beta1 = 0.9;
        double beta2 = 0.95;
        double decay = 0.3;
        double rate = 0.8;
        double lr = 0.01;
        Tensor p = put("p", Dtype.F32, values(Dtype.F32, count, 1), count);
        Tensor m = put("m", Dtype.F32, new double[count], count);
        Tensor v = put("v", Dtype.F32, new double[count], count);
        Tensor average = put("ema", Dtype.F32, values(Dtype.F32, count, 1), count);
        OptimizerKernels.Adam constants =
                new OptimizerKernels.Adam(beta1, beta2, decay, eps, rate, averagedFrom, atan2);
        for (int step = 1; step <= 6; step++) {
            double[] p0 = read(p);
            double[] m0 = read(m);
            double[] v0 = read(v);
            double[] average0 = read(average);
            double[] g = values(Dtype.F32, count, step == 3 ? 1e-3 : 1);
            g[0] = 0; // never any gradient
            double c1 = 1 - Math.pow(beta1, step);
            double c2 = 1 - Math.pow(beta2, step);
            Expected pWant = new Expected(count);
            Expected mWant = new Expected(count);
            Expected vWant = new Expected(count);
            Expected averageWant = new Expected(count);
            for (int i = 0; i < count; i++) {
                double first = beta1 * m0[i] + (1 - beta1) * g[i];
                double second = beta2 * v0[i] + (1 - beta2) * g[i] * g[i];
                double firstError = 3 * U32 * (Math.abs(m0[i]) + Math.abs(g[i]));
                double secondError = 4 * U32 * (v0[i] + g[i] * g[i]);
                double root = Math.sqrt(second / c2);
                double rootError = root == 0 ? 0 : root * (secondError / second / 2 + 3 * U32);
                double direction = atan2 ? Math.atan2(first, root) : first / (root + eps);
                double sensitivity = atan2 ? Math.hypot(first, root) : root + eps;
                double directionError = sensitivity == 0
                        ? 0
                        : firstError / sensitivity
                                + rootError * Math.abs(first) / (sensitivity * sensitivity)
                                + 4e-7 * Math.abs(direction);
                double value = (1 - lr * decay) * p0[i] - lr / c1 * direction;
                double error = 2 * U32 * (Math.abs(p0[i]) + Math.abs(value))
                        + lr / c1 * (directionError + 2 * U32 * Math.abs(direction));
                mWant.set(i, first, firstError);
                vWant.set(i, second, secondError);
                pWant.set(i, value, error);
                averageWant.set(
                        i,
                        rate * average0[i] + (1 - rate) * value,
                        error + 3 * U32 * (Math.abs(average0[i]) + Math.abs(value)));
            }
            Tensor gradient = put("g", Dtype.F32, g, count);
            Tensor copy = tensor("bf16", Dtype.BF16, count);
            boolean bare = step == 2; // neither average nor copy
            kernels.optimizers()
                    .adam(
                            p,
                            gradient,
                            m,
                            v,
                            bare ? null : average,
                            bare ? null : copy,
                            put("controls", Dtype.F64, controls(step, lr, 0, beta1, beta2), OptimizerKernels.CONTROLS),
                            constants);
            check("m, step " + step, mWant, m);
            check("v, step " + step, vWant, v);
            check("p, step " + step, pWant, p);
            check("g, step " + step, new Expected(count), gradient);
            if (bare) {
                assertArrayEquals(average0, read(average));
                continue;
            }
            double[] found = read(p);
            if (step < averagedFrom) {
                assertArrayEquals(found, read(average), "the average is the weights, step " + step);
            } else {
                check("ema, step " + step, averageWant, average);
            }
            double[] copied = read(copy);
            for (int i = 0; i < count; i++) {
                assertEquals(round(Dtype.BF16, found[i]), copied[i], "bf16, element " + i);
            }
        }
    }

    /** Worked out by hand: after the first step m / (1 - beta1) = g and sqrt(v / (1 - beta2)) = |g|. */
    @Test
    void firstStepOfAdamW() {
        double[] g = {1, -3, 0, 0.5};
        double[] p = {2, 2, 2, 2};
        Tensor tp = put("p", Dtype.F32, p, 4);
        kernels.optimizers()
                .adam(
                        tp,
                        put("g", Dtype.F32, g, 4),
                        put("m", Dtype.F32, new double[4], 4),
                        put("v", Dtype.F32, new double[4], 4),
                        null,
                        null,
                        put("controls", Dtype.F64, controls(1, 0.5, 0, 0.75, 0.5), OptimizerKernels.CONTROLS),
                        new OptimizerKernels.Adam(0.75, 0.5, 0.25, 1, 0, 0, false));
        // 2 (1 - 0.5 * 0.25) = 1.75, less 0.5 g / (|g| + 1): the epsilon is added outside the root
        double[] want = {1.75 - 0.25, 1.75 + 0.375, 1.75, 1.75 - 0.5 / 3};
        double[] got = read(tp);
        for (int i = 0; i < 4; i++) {
            assertEquals(want[i], got[i], 1e-6);
        }
    }

    @ParameterizedTest(name = "B={0} E={1}")
    @CsvSource({"1,1", "5,3", "17,15", "33,17", "7,64", "40,131"})
    void signSgd(int lanes, int e) {
        int identifiers = 9;
        double lr = 0.01;
        double decay = 0.5;
        double[] table = values(Dtype.F32, identifiers * e, 1);
        int[] ids = random.ints(lanes, 0, identifiers - 1).toArray(); // the last is never there
        double[] rows = values(Dtype.F32, lanes * e, 1);
        for (int i = 0; i < e; i += 3) {
            for (int b = 0; b < lanes; b++) {
                rows[b * e + i] = 0; // a sum of exactly 0
            }
        }
        Expected want = new Expected(identifiers * e);
        for (int id = 0; id < identifiers; id++) {
            for (int i = 0; i < e; i++) {
                double sum = 0;
                boolean present = false;
                for (int b = 0; b < lanes; b++) {
                    if (ids[b] == id) {
                        sum += rows[b * e + i];
                        present = true;
                    }
                }
                double before = table[id * e + i];
                double after = present ? (1 - lr * decay) * before - lr * Math.signum(sum) : before;
                want.set(id * e + i, after, present ? 3 * U32 * (Math.abs(before) + lr) : 0);
            }
        }
        Tensor ttable = put("table", Dtype.F32, table, identifiers, e);
        kernels.optimizers()
                .signSgd(
                        ttable,
                        ints("ids", ids, lanes),
                        put("rows", Dtype.F32, rows, lanes, e),
                        put("controls", Dtype.F64, controls(1, 0, lr, 0, 0), OptimizerKernels.CONTROLS),
                        decay);
        check("table", want, ttable);
    }
}
