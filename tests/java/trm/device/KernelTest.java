package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;

/**
 * What the tests of the operations share. Oracle: the equation of {@code trm_ops.h} in double, in plain loops, on inputs
 * that the operation's type holds exactly. Bound: computed beside the oracle from the places where the operation rounds;
 * {@link #unit} is the relative error of one rounding. Every tensor lies between guard values, checked after each test.
 */
abstract class KernelTest {
    /** Relative error of one rounding to float32: 24 significant bits, to nearest. */
    static final double U32 = 0x1p-24;

    /** Bound on the relative error of exp in the vector code, with the roundings around it. */
    static final double EXP = 4e-7;

    private static final int GUARD_BYTES = 64;
    private static final int GUARD = 0xa5;

    private record Guarded(String name, Tensor whole, Tensor inside) {}

    static Backend backend;
    static Kernels kernels;

    private final List<Guarded> guarded = new ArrayList<>();
    private Arena arena;
    Random random;

    @BeforeAll
    static void open() {
        backend = TestDevice.open();
        kernels = backend.kernels();
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    @BeforeEach
    void begin() {
        arena = new Arena(backend);
        random = new Random(42);
    }

    @AfterEach
    void end() {
        for (Guarded g : guarded) {
            int[] bytes = HostCopy.ints(backend, g.whole);
            for (int i = 0; i < bytes.length; i++) {
                if (i < GUARD_BYTES || i >= GUARD_BYTES + g.inside.bytes()) {
                    assertEquals(GUARD, bytes[i], g.name + ": stray store at byte " + (i - GUARD_BYTES));
                }
            }
        }
        arena.close();
    }

    /** Relative error of one rounding: 2^-24 for float32, 2^-8 for bfloat16 with its 8 significant bits. */
    static double unit(Dtype dtype) {
        return dtype == Dtype.BF16 ? 0x1p-8 : U32;
    }

    /** The nearest value that the type holds. */
    static double round(Dtype dtype, double x) {
        float f = (float) x;
        return dtype == Dtype.BF16 ? Dtype.fromBf16(Dtype.toBf16(f)) : f;
    }

    /** Values of the type between -scale and scale. */
    double[] values(Dtype dtype, int count, double scale) {
        double[] v = new double[count];
        for (int i = 0; i < count; i++) {
            v[i] = round(dtype, scale * (2 * random.nextDouble() - 1));
        }
        return v;
    }

    /** A tensor of NaN between guards: what an operation adds to where it should overwrite shows. */
    Tensor tensor(String name, Dtype dtype, long... dims) {
        int bytes = (int) new Shape(dims).count() * dtype.bytes();
        Tensor whole = arena.tensor(Purpose.CASE, name, Dtype.U8, bytes + 2 * GUARD_BYTES);
        int[] fill = new int[(int) whole.count()];
        Arrays.fill(fill, 0xff);
        Arrays.fill(fill, 0, GUARD_BYTES, GUARD);
        Arrays.fill(fill, GUARD_BYTES + bytes, fill.length, GUARD);
        HostCopy.put(backend, whole, fill);
        Tensor inside = new Tensor(whole.storage(), GUARD_BYTES, dtype, new Shape(dims));
        guarded.add(new Guarded(name, whole, inside));
        return inside;
    }

    Tensor put(String name, Dtype dtype, double[] values, long... dims) {
        Tensor t = tensor(name, dtype, dims);
        if (dtype == Dtype.F64) {
            HostCopy.put(backend, t, values);
        } else {
            float[] floats = new float[values.length];
            for (int i = 0; i < floats.length; i++) {
                floats[i] = (float) values[i];
            }
            HostCopy.put(backend, t, floats);
        }
        return t;
    }

    Tensor ints(String name, int[] values, long... dims) {
        Tensor t = tensor(name, Dtype.I32, dims);
        HostCopy.put(backend, t, values);
        return t;
    }

    static double[] read(Tensor t) {
        if (t.dtype() == Dtype.F64) {
            return HostCopy.doubles(backend, t);
        }
        float[] floats = HostCopy.floats(backend, t);
        double[] values = new double[floats.length];
        for (int i = 0; i < floats.length; i++) {
            values[i] = floats[i];
        }
        return values;
    }

    /** Exact values and how far each result may be from them. */
    static final class Expected {
        final double[] value;
        final double[] bound;

        Expected(int count) {
            value = new double[count];
            bound = new double[count];
        }

        void set(int i, double v, double b) {
            value[i] = v;
            bound[i] = b;
        }
    }

    /** |found - expected| &le; bound, element by element; a NaN is never within it. */
    static void check(String what, Expected expected, Tensor found) {
        double[] got = read(found);
        assertEquals(expected.value.length, got.length, what);
        for (int i = 0; i < got.length; i++) {
            double error = Math.abs(got[i] - expected.value[i]);
            if (!(error <= expected.bound[i] + 1e-37)) { // 1e-37: float32 may flush what is below
                fail(what + "[" + i + "] is " + got[i] + ", expected " + expected.value[i] + " within "
                        + expected.bound[i]);
            }
        }
    }
}
