package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * {@code muon_direction muon_iterate muon_update}. Bounds, with u for a rounding to the compute type: momentum and U have two
 * operations each, X one more rounding. In an iteration A errs by dA = u |A| and what its sum of c terms adds, A A by
 * sum(2 dA |A|) and the same again, P = a I + b A + c A A by the magnitudes of its terms times theirs, Y = P X by sum(dP |X|)
 * and a rounding. The update has three operations on float32.
 */
class MuonTest extends KernelTest {
    private static final OptimizerKernels.NewtonSchulz QUINTIC =
            new OptimizerKernels.NewtonSchulz(3.4445, -4.7750, 2.0315);

    /** One matrix of the table, with where its parts lie. */
    private record Matrix(int offset, int rows, int columns, int x, int square, int partial) {
        int r() {
            return (Math.min(rows, columns) + 7) / 8 * 8;
        }

        int c() {
            return (Math.max(rows, columns) + 7) / 8 * 8;
        }

        /** Of element (i, j) of the weight in the flat buffers, and in x. */
        int at(int i, int j) {
            return offset + i * columns + j;
        }

        int inX(int i, int j) {
            return x + (rows > columns ? j * c() + i : i * c() + j);
        }
    }

    private final List<Matrix> all = new ArrayList<>();
    private int parameters;
    private OptimizerKernels.MuonMatrices matrices;

    /** Lays matrices out, rows x columns each, with three values between them that belong to none. */
    private void layOut(Dtype dtype, String shapes) {
        int x = 0;
        int squares = 0;
        int sums = 0;
        parameters = 3;
        for (String shape : shapes.split(" ")) {
            String[] sides = shape.split("x");
            Matrix m = new Matrix(parameters, Integer.parseInt(sides[0]), Integer.parseInt(sides[1]), x, squares, sums);
            all.add(m);
            parameters += m.rows * m.columns + 3;
            x += m.r() * m.c();
            squares += m.r() * m.r();
            sums += (m.rows * m.columns + OptimizerKernels.MUON_CHUNK - 1) / OptimizerKernels.MUON_CHUNK;
        }
        int[] table = all.stream()
                .flatMap(m -> List.of(m.offset, m.rows, m.columns, m.x, m.square, m.partial).stream())
                .mapToInt(Integer::intValue)
                .toArray();
        matrices = new OptimizerKernels.MuonMatrices(
                ints("matrices", table, all.size(), OptimizerKernels.MUON_FIELDS),
                tensor("x", dtype, x),
                tensor("y", dtype, x),
                tensor("gram", dtype, squares),
                tensor("polynomial", dtype, squares),
                tensor("partials", Dtype.F64, sums));
    }

    private void assumeProducts(Dtype dtype) {
        assumeFalse(
                dtype == Dtype.BF16 && List.of("base", "avx2").contains(backend.target()), "no products in bfloat16");
    }

    @ParameterizedTest(name = "{0} {1} momentum {2}")
    @CsvSource({
        "F32, 3x5 5x3 1x1 8x8, 0.6",
        "BF16, 3x5 5x3 1x1 8x8, 0.6",
        "F32, 70x129 129x70, 0.95",
        "BF16, 70x129 129x70 1x9, 0",
    })
    void direction(Dtype dtype, String shapes, double momentum) {
        layOut(dtype, shapes);
        double[] g = values(Dtype.F32, parameters, 3);
        double[] m = values(Dtype.F32, parameters, 1);
        Expected mWant = new Expected(parameters);
        Expected gWant = new Expected(parameters);
        for (int i = 0; i < parameters; i++) {
            mWant.set(i, m[i], 0);
            gWant.set(i, g[i], 0);
        }
        Expected xWant = new Expected((int) matrices.x().count()); // zeros where there is no element
        for (Matrix a : all) {
            double squares = 0;
            for (int i = 0; i < a.rows * a.columns; i++) {
                int at = a.offset + i;
                double first = m[at] + (1 - momentum) * (g[at] - m[at]);
                mWant.set(at, first, 4 * U32 * (Math.abs(m[at]) + Math.abs(g[at])));
                squares += Math.pow(g[at] + momentum * (first - g[at]), 2);
            }
            double norm = Math.sqrt(squares);
            for (int i = 0; i < a.rows; i++) {
                for (int j = 0; j < a.columns; j++) {
                    int at = a.at(i, j);
                    double x = (g[at] + momentum * (mWant.value[at] - g[at])) / norm;
                    double terms = Math.abs(m[at]) + Math.abs(g[at]);
                    xWant.set(a.inX(i, j), x, unit(dtype) * Math.abs(x) + 16 * U32 * terms / norm);
                    gWant.set(at, 0, 0);
                }
            }
        }
        Tensor tg = put("g", Dtype.F32, g, parameters);
        Tensor tm = put("m", Dtype.F32, m, parameters);
        kernels.optimizers().muonDirection(tg, tm, matrices, momentum);
        check("m", mWant, tm);
        check("x", xWant, matrices.x());
        check("g", gWant, tg);
    }

    /** Without any gradient there is no direction: 0 / 1e-7, not 0 / 0. */
    @Test
    void noGradient() {
        layOut(Dtype.F32, "4x6");
        Tensor g = put("g", Dtype.F32, new double[parameters], parameters);
        kernels.optimizers().muonDirection(g, put("m", Dtype.F32, new double[parameters], parameters), matrices, 0.6);
        assertArrayEquals(new double[64], read(matrices.x()));
    }

    private static double[] product(double[] a, double[] b, int rows, int inner, int columns, boolean transposed) {
        double[] c = new double[rows * columns];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                for (int k = 0; k < inner; k++) {
                    c[i * columns + j] += a[i * inner + k] * b[transposed ? j * inner + k : k * columns + j];
                }
            }
        }
        return c;
    }

    private static double[] magnitudes(double[] a) {
        return Arrays.stream(a).map(Math::abs).toArray();
    }

    private double[] normalised(Dtype dtype) {
        double[] x = new double[(int) matrices.x().count()];
        for (Matrix a : all) {
            double scale = Math.sqrt(3.0 / (a.rows * a.columns));
            for (int i = 0; i < a.rows; i++) {
                for (int j = 0; j < a.columns; j++) {
                    x[a.inX(i, j)] = round(dtype, scale * (2 * random.nextDouble() - 1));
                }
            }
        }
        return x;
    }

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource({
        "F32, 3x5 5x3 1x1 8x8",
        "BF16, 3x5 5x3 1x1 8x8",
        "F32, 70x129 129x70",
        "BF16, 70x129 129x70 64x64",
    })
    void iterate(Dtype dtype, String shapes) {
        assumeProducts(dtype);
        layOut(dtype, shapes);
        double u = unit(dtype);
        double[] x = normalised(dtype);
        Expected want = new Expected(x.length);
        for (Matrix m : all) {
            int r = m.r();
            int c = m.c();
            double[] own = Arrays.copyOfRange(x, m.x, m.x + r * c);
            double[] gram = product(own, own, r, c, r, true);
            double[] gramError = product(magnitudes(own), magnitudes(own), r, c, r, true);
            for (int i = 0; i < r * r; i++) {
                gramError[i] = u * Math.abs(gram[i]) + (c + 2) * U32 * gramError[i];
            }
            double[] square = product(gram, gram, r, r, r, false);
            double[] squareError = product(magnitudes(gram), magnitudes(gram), r, r, r, false);
            double[] carried = product(gramError, magnitudes(gram), r, r, r, false);
            double[] second = product(gramError, gramError, r, r, r, false);
            double[] polynomial = new double[r * r];
            double[] polynomialError = new double[r * r];
            for (int i = 0; i < r * r; i++) {
                squareError[i] = 2 * Math.max(carried[i], carried[i % r * r + i / r])
                        + second[i]
                        + u * Math.abs(square[i])
                        + (r + 2) * U32 * squareError[i];
                double diagonal = i % r == i / r ? QUINTIC.a() : 0;
                polynomial[i] = diagonal + QUINTIC.b() * gram[i] + QUINTIC.c() * square[i];
                double terms = diagonal + Math.abs(QUINTIC.b() * gram[i]) + Math.abs(QUINTIC.c() * square[i]);
                polynomialError[i] =
                        Math.abs(QUINTIC.b()) * gramError[i] + QUINTIC.c() * squareError[i] + (u + 4 * U32) * terms;
            }
            double[] y = product(polynomial, own, r, r, c, false);
            double[] terms = product(magnitudes(polynomial), magnitudes(own), r, r, c, false);
            double[] error = product(polynomialError, magnitudes(own), r, r, c, false);
            for (int i = 0; i < r * c; i++) {
                want.set(m.x + i, y[i], error[i] + u * Math.abs(y[i]) + (r + 4) * U32 * terms[i]);
            }
        }
        Tensor tx = put("x", dtype, x, x.length);
        kernels.optimizers().muonIterate(tx, matrices.y(), matrices, QUINTIC);
        check("y", want, matrices.y());
    }

    /** Property: of a square, a wide and a tall matrix, five iterations leave singular values between 0.65 and 1.25. */
    @ParameterizedTest
    @EnumSource(
            value = Dtype.class,
            names = {"F32", "BF16"})
    void directionsBecomeOrthogonal(Dtype dtype) {
        assumeProducts(dtype);
        layOut(dtype, "24x40 40x16 16x16");
        Tensor g = put("g", Dtype.F32, values(Dtype.F32, parameters, 1), parameters);
        kernels.optimizers().muonDirection(g, put("m", Dtype.F32, new double[parameters], parameters), matrices, 0.6);
        Tensor x = matrices.x();
        Tensor y = matrices.y();
        for (int i = 0; i < 5; i++) {
            kernels.optimizers().muonIterate(x, y, matrices, QUINTIC);
            Tensor newer = y;
            y = x;
            x = newer;
        }
        double[] found = read(x);
        for (Matrix m : all) {
            double[] own = Arrays.copyOfRange(found, m.x, m.x + m.r() * m.c());
            double[] gram = product(own, own, m.r(), m.c(), m.r(), true);
            double trace = 0; // the sum of the squares of the singular values
            for (int i = 0; i < m.r(); i++) {
                trace += gram[i * m.r() + i];
                for (int j = 0; j < m.r(); j++) {
                    double off = gram[i * m.r() + j];
                    assertTrue(Math.abs(off) <= 1.25 * 1.25, "row " + i + " with row " + j + ": " + off);
                }
            }
            double mean = Math.sqrt(trace / m.r());
            assertTrue(mean > 0.65 && mean < 1.25, "mean singular value " + mean);
        }
    }

    @ParameterizedTest(name = "{0} average {1}, copy {2}")
    @CsvSource({"F32,true,false", "BF16,true,true", "F32,false,true", "BF16,false,false"})
    void update(Dtype dtype, boolean averaged, boolean copied) {
        layOut(dtype, "3x5 5x3 1x1 8x8 70x129 129x70");
        double lr = 0.25;
        double rate = 0.4;
        double decay = 0.5;
        double emaRate = 0.75;
        double[] x = values(dtype, (int) matrices.x().count(), 1);
        double[] p = values(Dtype.F32, parameters, 1);
        double[] average = values(Dtype.F32, parameters, 1);
        Expected pWant = new Expected(parameters);
        Expected averageWant = new Expected(parameters);
        boolean[] moves = new boolean[parameters];
        for (int i = 0; i < parameters; i++) {
            pWant.set(i, p[i], 0);
            averageWant.set(i, average[i], 0);
        }
        for (Matrix m : all) {
            double scale = Math.sqrt(Math.max(1, (double) m.rows / m.columns));
            for (int i = 0; i < m.rows; i++) {
                for (int j = 0; j < m.columns; j++) {
                    int at = m.at(i, j);
                    double step = lr * rate * scale * x[m.inX(i, j)];
                    double value = (1 - lr * rate * decay) * p[at] - step;
                    double error = 4 * U32 * (Math.abs(p[at]) + Math.abs(step));
                    pWant.set(at, value, error);
                    moves[at] = true;
                    if (averaged) {
                        averageWant.set(
                                at,
                                emaRate * average[at] + (1 - emaRate) * value,
                                error + 4 * U32 * (Math.abs(average[at]) + Math.abs(value)));
                    }
                }
            }
        }
        Tensor tp = put("p", Dtype.F32, p, parameters);
        Tensor ema = put("ema", Dtype.F32, average, parameters);
        Tensor copy = put("bf16", Dtype.BF16, new double[parameters], parameters);
        double[] controls = new double[OptimizerKernels.CONTROLS];
        controls[Control.LR.ordinal()] = lr;
        kernels.optimizers()
                .muonUpdate(
                        put("x", dtype, x, x.length),
                        matrices,
                        tp,
                        averaged ? ema : null,
                        copied ? copy : null,
                        put("controls", Dtype.F64, controls, controls.length),
                        new OptimizerKernels.Muon(rate, decay, emaRate, 0));
        check("p", pWant, tp);
        check("ema", averageWant, ema);
        double[] now = read(tp);
        double[] rounded = read(copy);
        for (int i = 0; i < parameters; i++) {
            assertEquals(copied && moves[i] ? round(Dtype.BF16, now[i]) : 0, rounded[i], "copy, element " + i);
        }
    }

    @Test
    void badCallsAreNamed() {
        layOut(Dtype.F32, "4x6");
        Tensor g = put("g", Dtype.F32, new double[parameters], parameters);
        Tensor m = put("m", Dtype.F32, new double[parameters - 1], parameters - 1);
        OptimizerKernels optimizers = kernels.optimizers();
        String message = assertThrows(DeviceException.class, () -> optimizers.muonDirection(g, m, matrices, 0.6))
                .getMessage();
        assertTrue(message.startsWith("muon_direction: g is "), message);
        message = assertThrows(
                        DeviceException.class,
                        () -> optimizers.muonIterate(matrices.x(), matrices.x(), matrices, QUINTIC))
                .getMessage();
        assertTrue(message.contains("x and y are the same"), message);
    }
}
