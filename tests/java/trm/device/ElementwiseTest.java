package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code zero copy cast_bf16 add add_into}, at sizes around each vector width and past one task of 8192 elements. */
class ElementwiseTest extends KernelTest {
    @ParameterizedTest
    @ValueSource(ints = {1, 3, 5, 15, 17, 31, 33, 8191, 8193})
    void castRoundsToNearestEven(int count) {
        double[] from = values(Dtype.F32, count, 4);
        double[] special = {
            1 + 0x1p-8, // a tie, to even below
            1 + 0x1p-7 + 0x1p-8, // a tie, to even above
            1 + 0x1p-8 + 0x1p-20, // just above a tie
            -0.0,
            Double.POSITIVE_INFINITY,
            Double.NEGATIVE_INFINITY,
            Double.NaN,
            Float.MAX_VALUE,
            1e-40
        };
        for (int i = 0; i < Math.min(count, special.length); i++) {
            from[i] = special[i];
        }
        Tensor to = tensor("to", Dtype.BF16, count);
        kernels.elementwise().castBf16(put("from", Dtype.F32, from, count), to);
        double[] got = read(to);
        for (int i = 0; i < count; i++) {
            assertEquals(oracle((float) from[i]), got[i], "element " + i + ", " + from[i]);
        }
    }

    /** The nearer of the two bfloat16 around x; of two equally near ones, the one with an even last bit. */
    private static double oracle(float x) {
        int bits = Float.floatToRawIntBits(x);
        if ((bits & 0xffff) == 0 || Float.isNaN(x)) {
            return x;
        }
        float below = Float.intBitsToFloat(bits & 0xffff0000); // towards zero
        float above = Float.intBitsToFloat((bits & 0xffff0000) + 0x10000);
        int half = (bits & 0xffff) - 0x8000;
        return half < 0 || half == 0 && (bits & 0x10000) == 0 ? below : above;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 17, 8193})
    void zeroAndCopy(int count) {
        double[] from = values(Dtype.F32, count, 1);
        Tensor a = put("a", Dtype.F32, from, count);
        Tensor b = tensor("b", Dtype.F32, count);
        kernels.elementwise().copy(a, b);
        Expected same = new Expected(count);
        System.arraycopy(from, 0, same.value, 0, count);
        check("copy", same, b);
        kernels.elementwise().zero(a);
        check("zero", new Expected(count), a);
    }

    /** Every element moves to its place, and nothing else is written. */
    @ParameterizedTest(name = "{0} B={1} N={2} D={3}")
    @CsvSource({"F32,1,1,1", "F32,3,1,5", "F32,1,7,3", "BF16,5,3,7", "BF16,2,97,64", "F32,31,2,33"})
    void permuteLanes(Dtype dtype, int b, int n, int d) {
        double[] x = values(dtype, b * n * d, 1);
        Tensor out = tensor("out", dtype, n, b, d);
        kernels.elementwise().permuteLanes(put("x", dtype, x, b, n, d), out, b, d);
        Expected moved = new Expected(b * n * d);
        for (int lane = 0; lane < b; lane++) {
            for (int row = 0; row < n; row++) {
                System.arraycopy(x, (lane * n + row) * d, moved.value, (row * b + lane) * d, d);
            }
        }
        check("out", moved, out);
    }

    /** One addition in float32 and one rounding to the type; out may be a new tensor, a, or b. */
    @ParameterizedTest(name = "{0} {1}")
    @CsvSource({
        "F32,1", "F32,3", "F32,15", "F32,17", "F32,31", "F32,33", "F32,8191", "F32,16391",
        "BF16,1", "BF16,3", "BF16,15", "BF16,17", "BF16,31", "BF16,33", "BF16,8191", "BF16,16391"
    })
    void add(Dtype dtype, int count) {
        double[] a = values(dtype, count, 2);
        double[] b = values(dtype, count, 2);
        Expected sum = new Expected(count);
        for (int i = 0; i < count; i++) {
            sum.set(i, a[i] + b[i], (unit(dtype) + U32) * Math.abs(a[i] + b[i]));
        }
        for (int alias = 0; alias < 3; alias++) {
            Tensor left = put("a", dtype, a, count);
            Tensor right = put("b", dtype, b, count);
            Tensor out = alias == 0 ? tensor("out", dtype, count) : alias == 1 ? left : right;
            kernels.elementwise().add(left, right, out);
            check("add, alias " + alias, sum, out);
        }
    }

    /** The sum stays float32 whatever the type of what is added. */
    @ParameterizedTest(name = "{0} {1}")
    @CsvSource({"F32,1", "F32,15", "F32,33", "F32,8193", "BF16,1", "BF16,15", "BF16,33", "BF16,8193"})
    void addInto(Dtype dtype, int count) {
        double[] a = values(dtype, count, 2);
        double[] before = values(Dtype.F32, count, 2);
        Tensor sum = put("sum", Dtype.F32, before, count);
        kernels.elementwise().addInto(put("a", dtype, a, count), sum);
        Expected after = new Expected(count);
        for (int i = 0; i < count; i++) {
            after.set(i, before[i] + a[i], U32 * Math.abs(before[i] + a[i]));
        }
        check("sum", after, sum);
    }
}
