package trm.device;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code attention attention_bwd}. Bound, carried along with the oracle as first-order errors: rotated q and k are
 * rounded to the type; a score then deviates by e, the sum of those errors times the other factor plus (d + 4) 2^-24 of
 * its magnitudes; a probability by the factor exp(2 e) and the error of exp; every further sum of n terms adds n 2^-24
 * of their magnitudes; results are rounded to the type. On tensor cores, which a GPU uses for heads of 32, 64 and 128
 * bfloat16 channels, weights and their gradients are rounded to the type before they meet values, keys and queries.
 * From 256 positions on a library may compute in bfloat16: the same, and gradients are rounded once more before they are
 * rotated.
 */
class AttentionTest extends KernelTest {
    /** Rows of one head, [S, d], with how far each value may be from the exact one. */
    private static final class Rows {
        final double[][] value;
        final double[][] error;

        Rows(int positions, int d) {
            value = new double[positions][d];
            error = new double[positions][d];
        }
    }

    private record Sizes(Dtype dtype, int lanes, int positions, int heads, int d, boolean rotary) {
        /** Element i of part 0 q, 1 k, 2 v. */
        int at(int lane, int t, int part, int head, int i) {
            return (((lane * positions + t) * 3 + part) * heads + head) * d + i;
        }

        /** Relative error of a probability or of a score's gradient that is rounded before it is multiplied. */
        double narrowed() {
            return dtype == Dtype.BF16 && positions >= 256 ? unit(dtype) : 0;
        }

        int out(int lane, int t, int head, int i) {
            return ((lane * positions + t) * heads + head) * d + i;
        }
    }

    private static Rows rows(Sizes s, double[] qkv, int lane, int part, int head, double[] cos, double[] sin) {
        Rows rows = new Rows(s.positions, s.d);
        int half = s.d / 2;
        for (int t = 0; t < s.positions; t++) {
            for (int i = 0; i < s.d; i++) {
                double x = qkv[s.at(lane, t, part, head, i)];
                rows.value[t][i] = x;
                if (s.rotary && part < 2) {
                    double other = qkv[s.at(lane, t, part, head, i < half ? i + half : i - half)];
                    double c = cos[t * half + i % half];
                    double n = sin[t * half + i % half];
                    rows.value[t][i] = i < half ? x * c - other * n : x * c + other * n;
                    rows.error[t][i] = 3 * U32 * (Math.abs(x * c) + Math.abs(other * n))
                            + unit(s.dtype) * Math.abs(rows.value[t][i]);
                }
            }
        }
        return rows;
    }

    private static double roundedEarly(Sizes s, Rows g, int t, int i) {
        return g.error[t][i] + s.narrowed() * (Math.abs(g.value[t][i]) + g.error[t][i]);
    }

    /** Stores the gradient of rotated rows, rotated back. */
    private static void store(Sizes s, Expected to, int lane, int part, int head, Rows g, double[] cos, double[] sin) {
        int half = s.d / 2;
        for (int t = 0; t < s.positions; t++) {
            for (int i = 0; i < s.d; i++) {
                double x = g.value[t][i];
                double error = roundedEarly(s, g, t, i);
                if (s.rotary && part < 2) {
                    int j = i < half ? i + half : i - half;
                    double c = cos[t * half + i % half];
                    double n = sin[t * half + i % half];
                    double other = g.value[t][j];
                    error = error * Math.abs(c)
                            + roundedEarly(s, g, t, j) * Math.abs(n)
                            + 4 * U32 * (Math.abs(x) + Math.abs(other));
                    x = i < half ? x * c + other * n : x * c - other * n;
                }
                to.set(s.at(lane, t, part, head, i), x, error + unit(s.dtype) * (Math.abs(x) + error));
            }
        }
    }

    @ParameterizedTest(name = "{0} B={1} S={2} heads={3} d={4} rotary={5}")
    @CsvSource({
        "F32,1,1,1,1,false",
        "F32,1,1,1,2,true",
        "F32,2,5,3,4,true",
        "F32,1,17,2,15,false",
        "F32,2,33,1,18,true",
        "F32,1,31,2,34,true",
        "F32,1,67,1,33,false",
        "F32,3,16,2,16,true",
        "BF16,1,1,1,1,false",
        "BF16,1,1,1,2,true",
        "BF16,2,5,3,4,true",
        "BF16,1,17,2,15,false",
        "BF16,2,33,1,18,true",
        "BF16,1,31,2,34,true",
        "BF16,1,67,1,33,false",
        "BF16,3,16,2,16,true",
        "BF16,2,17,3,32,true",
        "BF16,1,131,1,32,false",
        "BF16,2,97,2,64,true",
        "BF16,1,210,1,64,true",
        "BF16,1,97,1,128,true",
        "BF16,1,129,1,128,false",
        "BF16,3,257,2,16,true",
        "BF16,2,258,1,8,false",
        "BF16,1,257,2,64,true"
    })
    void matchesEquation(Dtype dtype, int lanes, int positions, int heads, int d, boolean rotary) {
        Sizes s = new Sizes(dtype, lanes, positions, heads, d, rotary);
        int n = lanes * positions * heads * d;
        double[] qkv = values(dtype, 3 * n, 1.5);
        double[] dO = values(dtype, n, 1);
        int half = d / 2;
        double[] cos = new double[positions * half];
        double[] sin = new double[positions * half];
        for (int i = 0; i < cos.length; i++) {
            double phase = i / half * Math.pow(10000, -2.0 * (i % half) / d);
            cos[i] = (float) Math.cos(phase);
            sin[i] = (float) Math.sin(phase);
        }
        Expected o = new Expected(n);
        Expected lse = new Expected(lanes * heads * positions);
        Expected dqkv = new Expected(3 * n);
        double[] givenO = new double[n];
        double[] givenLse = new double[lanes * heads * positions];
        double root = Math.sqrt(d);
        double unit = unit(dtype);
        boolean tensorCores = dtype == Dtype.BF16
                && (d == 32 || d == 64 || d == 128)
                && !System.getProperty("trm.test.device", "cpu").equals("cpu");
        double rounded = tensorCores ? unit : s.narrowed();
        for (int lane = 0; lane < lanes; lane++) {
            for (int head = 0; head < heads; head++) {
                Rows q = rows(s, qkv, lane, 0, head, cos, sin);
                Rows k = rows(s, qkv, lane, 1, head, cos, sin);
                Rows v = rows(s, qkv, lane, 2, head, cos, sin);
                Rows dq = new Rows(positions, d);
                Rows dk = new Rows(positions, d);
                Rows dv = new Rows(positions, d);
                for (int t = 0; t < positions; t++) {
                    int row = (lane * heads + head) * positions + t;
                    double[] p = new double[positions];
                    double worst = 0;
                    double sum = 0;
                    for (int j = 0; j < positions; j++) {
                        double size = 0;
                        double error = 0;
                        for (int i = 0; i < d; i++) {
                            double a = q.value[t][i];
                            double b = k.value[j][i];
                            p[j] += a * b / root;
                            size += Math.abs(a * b) / root;
                            error += (q.error[t][i] * Math.abs(b)
                                            + k.error[j][i] * Math.abs(a)
                                            + q.error[t][i] * k.error[j][i])
                                    / root;
                        }
                        worst = Math.max(worst, error + (d + 4) * U32 * size);
                        sum += Math.exp(p[j]);
                    }
                    double logSum = Math.log(sum);
                    lse.set(row, logSum, worst + EXP + (positions + 4) * U32 + 4 * U32 * Math.abs(logSum));
                    givenLse[row] = (float) logSum;
                    for (int j = 0; j < positions; j++) {
                        p[j] = Math.exp(p[j] - logSum);
                    }
                    double share = Math.expm1(2 * worst) + 2 * EXP + (positions + 8) * U32; // relative error of p
                    for (int i = 0; i < d; i++) {
                        double value = 0;
                        double size = 0;
                        for (int j = 0; j < positions; j++) {
                            value += p[j] * v.value[j][i];
                            size += Math.abs(p[j] * v.value[j][i]);
                        }
                        int at = s.out(lane, t, head, i);
                        double error = size * (share + (positions + 4) * U32 + rounded * (1 + share));
                        o.set(at, value, error + unit * (Math.abs(value) + error));
                        givenO[at] = round(dtype, value);
                    }

                    // lse is given rounded, and where exponentials are powers of two it is scaled, with two roundings.
                    share += 4 * U32 * Math.abs(logSum);
                    double delta = 0;
                    double deltaSize = 0;
                    for (int i = 0; i < d; i++) {
                        double term = dO[s.out(lane, t, head, i)] * givenO[s.out(lane, t, head, i)];
                        delta += term;
                        deltaSize += Math.abs(term);
                    }
                    for (int j = 0; j < positions; j++) {
                        double dp = 0;
                        double dpSize = 0;
                        for (int i = 0; i < d; i++) {
                            double term = dO[s.out(lane, t, head, i)] * v.value[j][i];
                            dp += term;
                            dpSize += Math.abs(term);
                        }
                        double ds = p[j] * (dp - delta);
                        double dsError = p[j]
                                * ((share + 2 * U32) * Math.abs(dp - delta)
                                        + (1 + share) * (d + 3) * U32 * (dpSize + deltaSize));
                        dsError += rounded * (Math.abs(ds) + dsError);
                        for (int i = 0; i < d; i++) {
                            double sums = (positions + 4) * U32;
                            double g = dO[s.out(lane, t, head, i)];
                            dq.value[t][i] += ds * k.value[j][i] / root;
                            dq.error[t][i] += (dsError * (Math.abs(k.value[j][i]) + k.error[j][i])
                                            + Math.abs(ds) * (k.error[j][i] + sums * Math.abs(k.value[j][i])))
                                    / root;
                            dk.value[j][i] += ds * q.value[t][i] / root;
                            dk.error[j][i] += (dsError * (Math.abs(q.value[t][i]) + q.error[t][i])
                                            + Math.abs(ds) * (q.error[t][i] + sums * Math.abs(q.value[t][i])))
                                    / root;
                            dv.value[j][i] += p[j] * g;
                            dv.error[j][i] += p[j] * Math.abs(g) * (share + sums + rounded * (1 + share));
                        }
                    }
                }
                store(s, dqkv, lane, 0, head, dq, cos, sin);
                store(s, dqkv, lane, 1, head, dk, cos, sin);
                store(s, dqkv, lane, 2, head, dv, cos, sin);
            }
        }
        Tensor tqkv = put("qkv", dtype, qkv, lanes, positions, 3, heads, d);
        Tensor tcos = rotary ? put("cos", Dtype.F32, cos, positions, half) : null;
        Tensor tsin = rotary ? put("sin", Dtype.F32, sin, positions, half) : null;
        Tensor to = tensor("o", dtype, lanes, positions, heads, d);
        Tensor tlse = tensor("lse", Dtype.F32, lanes, heads, positions);
        kernels.attention().attention(tqkv, tcos, tsin, to, tlse, lanes, positions, heads);
        check("o", o, to);
        check("lse", lse, tlse);
        Tensor alone = tensor("o", dtype, lanes, positions, heads, d);
        kernels.attention().attention(tqkv, tcos, tsin, alone, null, lanes, positions, heads);
        check("o without lse", o, alone);

        Tensor tdqkv = tensor("dqkv", dtype, lanes, positions, 3, heads, d);
        kernels.attention()
                .attentionBwd(
                        tqkv,
                        tcos,
                        tsin,
                        put("o", dtype, givenO, lanes, positions, heads, d),
                        put("lse", Dtype.F32, givenLse, lanes, heads, positions),
                        put("d_o", dtype, dO, lanes, positions, heads, d),
                        tdqkv,
                        lanes,
                        positions,
                        heads);
        check("dqkv", dqkv, tdqkv);
    }

    /** Two products, a sum and one rounding to the type; what is not rotated keeps its bits. */
    @ParameterizedTest(name = "{0} B={1} S={2} heads={3} d={4}")
    @CsvSource({
        "F32,1,1,1,2", "F32,2,5,3,4", "F32,2,33,1,18", "F32,1,31,2,34", "F32,3,16,2,16",
        "BF16,1,1,1,2", "BF16,2,5,3,4", "BF16,2,33,1,18", "BF16,1,31,2,34", "BF16,3,16,2,64"
    })
    void rotaryAlone(Dtype dtype, int lanes, int positions, int heads, int d) {
        int half = d / 2;
        double[] qkv = values(dtype, 3 * lanes * positions * heads * d, 1.5);
        double[] cos = new double[positions * half];
        double[] sin = new double[positions * half];
        for (int i = 0; i < cos.length; i++) {
            double phase = i / half * Math.pow(100, -2.0 * (i % half) / d);
            cos[i] = (float) Math.cos(phase);
            sin[i] = (float) Math.sin(phase);
        }
        Expected turned = new Expected(qkv.length / 3 * 2);
        Expected back = new Expected(qkv.length);
        for (int at = 0; at < qkv.length; at++) {
            int i = at % d;
            int head = at / d % heads;
            int part = at / d / heads % 3;
            int row = at / d / heads / 3;
            if (part == 2) {
                back.set(at, qkv[at], 0);
                continue;
            }
            double c = cos[row % positions * half + i % half];
            double n = (i < half ? -1 : 1) * sin[row % positions * half + i % half];
            double x = qkv[at];
            double other = qkv[i < half ? at + half : at - half];
            double error = 3 * U32 * (Math.abs(x) + Math.abs(other));
            turned.set(
                    ((row * 2 + part) * heads + head) * d + i,
                    x * c + other * n,
                    unit(dtype) * Math.abs(x * c + other * n) + error);
            back.set(at, x * c - other * n, unit(dtype) * Math.abs(x * c - other * n) + error);
        }
        Tensor cosTable = put("cos", Dtype.F32, cos, positions, half);
        Tensor sinTable = put("sin", Dtype.F32, sin, positions, half);
        Tensor both = put("qkv", dtype, qkv, lanes, positions, 3, heads, d);
        Tensor qk = tensor("qk", dtype, lanes, positions, 2, heads, d);
        kernels.attention().rotary(both, cosTable, sinTable, qk, lanes, positions, heads);
        check("qk", turned, qk);
        kernels.attention().rotaryBwd(both, cosTable, sinTable, lanes, positions, heads);
        check("dqkv", back, both);
    }
}
