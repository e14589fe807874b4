package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.model.TruncatedNormal;

/**
 * {@code relax relax_bwd random_start}. A deviate is compared with the quantile in double of the word that the counter gives:
 * of the normal law by bisection of its distribution function, of the cut one by {@link TruncatedNormal}. Bound: the
 * algorithm's 2^-20 (1 + |eps|), a rounding for each of the three products and their sums, one at the store.
 */
class RelaxTest extends KernelTest {
    private static final double QUANTILE = 0x1p-20;

    private Tensor controls(long step) {
        double[] controls = new double[OptimizerKernels.CONTROLS];
        controls[Control.STEP.ordinal()] = step;
        return put("controls", Dtype.F64, controls, controls.length);
    }

    /** (w + 1/2) / 2^32, exactly. */
    private static double uniform(long element, long lane, long step, int draw, long seed) {
        int[] counter = {(int) (element / 4), (int) lane, (int) step, draw};
        int word = LanesTest.philox(counter, (int) seed, (int) (seed >>> 32))[(int) (element % 4)];
        return ((word & 0xffffffffL) + 0.5) * 0x1p-32;
    }

    /** P(eps > z), z >= 0: a series near 0, a continued fraction far out. */
    private static double upperTail(double z) {
        double density = Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
        if (z < 3) {
            double term = z;
            double sum = z;
            for (int k = 1; k < 100; k++) {
                term *= z * z / (2 * k + 1);
                sum += term;
            }
            return 0.5 - density * sum;
        }
        double fraction = z;
        for (int k = 60; k > 0; k--) {
            fraction = z + k / fraction;
        }
        return density / fraction;
    }

    /** z with P(eps < z) = u. */
    private static double normal(double u) {
        double tail = Math.min(u, 1 - u);
        double low = 0;
        double high = 8;
        for (int i = 0; i < 60; i++) {
            double middle = (low + high) / 2;
            if (upperTail(middle) > tail) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return u < 0.5 ? -low : low;
    }

    /** The oracle itself, against tables of the normal law. */
    @Test
    void quantilesOfTheOracle() {
        assertEquals(0, normal(0.5), 1e-12);
        assertEquals(1.959963984540054, normal(0.975), 1e-12);
        assertEquals(-3.090232306167813, normal(0.001), 1e-12);
        assertEquals(5.612001244174789, normal(1 - 1e-8), 1e-7); // 1 - u has lost digits
        assertEquals(-5.612001244174789, normal(1e-8), 1e-12);
    }

    @ParameterizedTest(name = "{0} lanes={1} count={2} first={3} lambda={4} sigma={5} step={6} seed={7}")
    @CsvSource({
        "F32,1,1,0,0.95,0.01,1,0",
        "F32,3,7,5,0.95,0.01,1,0",
        "F32,2,1025,0,0.5,2,3,-7",
        "F32,5,64,1,1,0.3,5000000000,81985529216486895",
        "F32,2,2048,0,0.25,0,1,0",
        "BF16,1,3,0,0.95,0.01,1,0",
        "BF16,3,1031,2,0.95,0.1,9,4",
        "BF16,2,64,0,0.7,0,1,0"
    })
    void relax(Dtype dtype, int lanes, int count, int first, double lambda, double sigma, long step, long seed) {
        double[] f = values(dtype, lanes * count, 2);
        double[] state = values(dtype, lanes * count, 2);
        Expected expected = new Expected(lanes * count);
        for (int i = 0; i < f.length; i++) {
            double eps = sigma == 0 ? 0 : normal(uniform(i % count, first + i / count, step, 4, seed));
            double kept = (float) (1 - lambda) * state[i];
            double taken = (float) lambda * f[i];
            double noise = (float) sigma * eps;
            double terms = Math.abs(kept) + Math.abs(taken) + Math.abs(noise);
            double value = kept + taken + noise;
            double error = 4 * U32 * terms + sigma * QUANTILE * (1 + Math.abs(eps));
            expected.set(i, value, error + unit(dtype) * (Math.abs(value) + error));
        }
        Tensor to = put("state", dtype, state, lanes, count);
        Tensor from = put("f", dtype, f, lanes, count);
        kernels.lanes().relax(from, to, lambda, sigma, new LaneKernels.Draws(controls(step), seed), first, 4);
        check("state", expected, to);
        assertArrayEquals(f, read(from));
    }

    @ParameterizedTest(name = "{0} count={1} lambda={2}")
    @CsvSource({"F32,1,0.95", "F32,33,1", "F32,8193,0.3", "BF16,31,0.95", "BF16,16391,0.5"})
    void relaxBwd(Dtype dtype, int count, double lambda) {
        double[] d = values(dtype, count, 2);
        Expected old = new Expected(count);
        Expected update = new Expected(count);
        for (int i = 0; i < count; i++) {
            double kept = (float) (1 - lambda) * d[i];
            double taken = (float) lambda * d[i];
            old.set(i, kept, (unit(dtype) + U32) * Math.abs(kept));
            update.set(i, taken, (unit(dtype) + U32) * Math.abs(taken));
        }
        Tensor gradient = put("d", dtype, d, count);
        Tensor dF = tensor("d_f", dtype, count);
        kernels.lanes().relaxBwd(gradient, dF, lambda);
        check("d", old, gradient);
        check("d_f", update, dF);
    }

    private LaneKernels.Lanes lanes(int[] halted, List<Tensor> latents) {
        Tensor none = ints("none", halted, halted.length);
        return new LaneKernels.Lanes(ints("halted", halted, halted.length), none, none, none, none, latents);
    }

    /** Halted lanes, and only they, start anew; by their number and the step, or by keys. Latents are different draws. */
    @ParameterizedTest(name = "{0} positions={1} D={2} keys={3} step={4} first={5}")
    @CsvSource({
        "F32,1,1,false,1,0",
        "F32,3,19,true,0,0",
        "F32,40,64,false,5000000001,3",
        "BF16,7,24,true,3,8",
        "BF16,5,5,false,2,1000"
    })
    void randomStart(Dtype dtype, int positions, int d, boolean keyed, long step, int first) {
        int[] halted = {1, 0, 1, 1};
        int[] keys = {70, 3, -1, 2};
        int count = positions * d;
        long seed = 0x123456789abcdefL;
        List<Tensor> latents = new ArrayList<>();
        List<Expected> expected = new ArrayList<>();
        for (int latent = 0; latent < 3; latent++) {
            double[] before = values(dtype, halted.length * count, 1);
            latents.add(put("z" + latent, dtype, before, halted.length, positions, d));
            Expected after = new Expected(before.length);
            for (int i = 0; i < before.length; i++) {
                int lane = i / count;
                after.set(i, before[i], 0);
                if (halted[lane] != 0) {
                    double u = uniform(i % count, keyed ? keys[lane] : first + lane, step, 1 + latent, seed);
                    double value = TruncatedNormal.quantile(u);
                    double error = 2 * QUANTILE * (1 + Math.abs(value)); // the law's scale is within 2
                    after.set(i, value, error + unit(dtype) * (Math.abs(value) + error));
                }
            }
            expected.add(after);
        }
        kernels.lanes()
                .randomStart(
                        lanes(halted, latents),
                        keyed ? ints("keys", keys, keys.length) : null,
                        new LaneKernels.Draws(step == 0 ? null : controls(step), seed),
                        first);
        for (int latent = 0; latent < latents.size(); latent++) {
            check("latent " + latent, expected.get(latent), latents.get(latent));
        }
    }

    /** Mean 0, deviation 1, nothing beyond 2 / 0.8796: 40,000 draws, five standard errors. */
    @Test
    void randomStartsHaveTheirLaw() {
        int count = 40000;
        Tensor z = tensor("z", Dtype.F32, 1, 1, count);
        kernels.lanes().randomStart(lanes(new int[] {1}, List.of(z)), null, new LaneKernels.Draws(null, 3), 0);
        double[] values = read(z);
        double bound = 5 / Math.sqrt(count);
        assertEquals(0, Arrays.stream(values).average().orElseThrow(), bound);
        assertEquals(1, Arrays.stream(values).map(v -> v * v).average().orElseThrow(), bound);
        double most = Arrays.stream(values).map(Math::abs).max().orElseThrow();
        assertTrue(most > 2.2 && most <= 2.2737, "largest " + most);
    }

    private double[] noise(int lanes, int count, long first, int draw, long step, long seed) {
        Tensor state = tensor("state", Dtype.F32, lanes, count);
        Tensor zero = put("f", Dtype.F32, new double[lanes * count], lanes, count);
        kernels.elementwise().zero(state);
        kernels.lanes().relax(zero, state, 1, 1, new LaneKernels.Draws(controls(step), seed), first, draw);
        return read(state);
    }

    /** Parts of a batch draw what the whole draws; another lane, draw, step or seed is another number. */
    @Test
    void noiseDependsOnItsAddressAlone() {
        int count = 13;
        double[] all = noise(6, count, 0, 7, 9, 5);
        assertArrayEquals(Arrays.copyOfRange(all, 4 * count, 6 * count), noise(2, count, 4, 7, 9, 5));
        List<double[]> others = List.of(
                noise(6, count, 1, 7, 9, 5),
                noise(6, count, 0, 8, 9, 5),
                noise(6, count, 0, 7, 10, 5),
                noise(6, count, 0, 7, 9, 6));
        for (double[] other : others) {
            for (int i = 0; i < count; i++) {
                assertTrue(all[i] != other[i]);
            }
        }
    }

    @Test
    void refusals() {
        Tensor x = put("x", Dtype.F32, new double[4], 2, 2);
        Tensor y = put("y", Dtype.F32, new double[4], 2, 2);
        LaneKernels.Draws draws = new LaneKernels.Draws(controls(1), 0);
        refused("lambda=0 sigma=0", () -> kernels.lanes().relax(x, y, 0, 0, draws, 0, 1));
        refused("lambda=0.5 sigma=-1", () -> kernels.lanes().relax(x, y, 0.5, -1, draws, 0, 1));
        refused("first_lane=-1", () -> kernels.lanes().relax(x, y, 0.5, 0, draws, -1, 1));
        refused("draw=0", () -> kernels.lanes().relax(x, y, 0.5, 1, draws, 0, 0));
        refused("the same", () -> kernels.lanes().relax(x, x, 0.5, 0, draws, 0, 1));
        refused("lambda=1.5", () -> kernels.lanes().relaxBwd(x, y, 1.5));
        refused("the same", () -> kernels.lanes().relaxBwd(x, x, 0.5));
        Tensor z = put("z", Dtype.F32, new double[2], 1, 1, 2);
        refused("random_start: first_lane=-1", () -> kernels.lanes()
                .randomStart(lanes(new int[] {1}, List.of(z)), null, draws, -1));
        Tensor three = put("three", Dtype.F32, new double[3], 3);
        refused("relax: f is three:F32[3]", () -> kernels.lanes().relax(three, y, 0.5, 0, draws, 0, 1));
    }

    private static void refused(String text, Runnable call) {
        String message = assertThrows(DeviceException.class, call::run).getMessage();
        assertTrue(message.contains(text), message);
    }
}
