package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * {@code halt_head halt continue_loss metrics token_loss}. Bound: losses are double on both sides, 1e-12 relative;
 * gradients are rounded once, at the store; products of the halting head add the usual n 2^-24 of their magnitudes.
 */
class LossTest extends KernelTest {
    private static final int IGNORED = -100;
    private static final double WIDE = 1e-12;

    private HeadKernels.TokenResults tokenResults(int lanes, int length) {
        return new HeadKernels.TokenResults(
                tensor("preds", Dtype.I32, lanes, length),
                tensor("lane_loss", Dtype.F64, lanes),
                tensor("hits", Dtype.I32, lanes),
                tensor("labelled", Dtype.I32, lanes));
    }

    private static double stable(double a) {
        return a >= 0 ? a + 1 : 1 / (1 - a);
    }

    private static double slope(double a) {
        return a >= 0 ? 1 : 1 / ((1 - a) * (1 - a));
    }

    @ParameterizedTest(name = "{0} softmax={1} smoothing={2} B={3} L={4} P={5} V={6}")
    @CsvSource({
        "F32,false,0,1,1,0,1", "F32,false,0,3,5,2,11", "F32,false,0,2,7,0,17", "F32,true,0,1,1,0,1",
        "F32,true,0,3,5,2,11", "F32,true,0,2,7,1,33", "F32,true,0.2,1,1,0,1", "F32,true,0.2,3,5,2,11",
        "F32,true,0.9,2,7,1,33", "BF16,false,0,1,1,0,1", "BF16,false,0,3,5,2,11", "BF16,false,0,2,7,0,17",
        "BF16,true,0,1,1,0,1", "BF16,true,0,3,5,2,11", "BF16,true,0,2,7,1,33", "BF16,true,0.2,1,1,0,1",
        "BF16,true,0.2,3,5,2,11", "BF16,true,0.9,2,7,1,33"
    })
    void tokenLoss(Dtype dtype, boolean softmax, double smoothing, int lanes, int length, int prefix, int vocabulary) {
        int positions = prefix + length;
        double scale = 0.37;
        double[] logits = values(dtype, lanes * positions * vocabulary, 6);
        int[] labels = random.ints(lanes * length, 0, vocabulary).toArray();
        for (int i = 1; i < length; i += 2) {
            labels[i] = IGNORED; // half of the first lane
        }
        if (lanes > 2) {
            Arrays.fill(labels, 2 * length, 3 * length, IGNORED); // all of the third
        }
        int[] preds = new int[lanes * length];
        int[] hits = new int[lanes];
        int[] labelled = new int[lanes];
        Expected loss = new Expected(lanes);
        Expected gradient = new Expected(logits.length);
        for (int b = 0; b < lanes; b++) {
            for (int t = 0; t < length; t++) {
                labelled[b] += labels[b * length + t] == IGNORED ? 0 : 1;
            }
            double total = 0;
            for (int t = 0; t < length; t++) {
                int at = (b * positions + prefix + t) * vocabulary;
                int label = labels[b * length + t];
                int best = 0;
                double sum = 0;
                for (int c = 0; c < vocabulary; c++) {
                    best = logits[at + c] > logits[at + best] ? c : best;
                    sum += softmax ? Math.exp(logits[at + c]) : stable(logits[at + c]);
                }
                preds[b * length + t] = best;
                if (label == IGNORED) {
                    continue;
                }
                hits[b] += best == label ? 1 : 0;
                for (int c = 0; c < vocabulary; c++) {
                    double a = logits[at + c];
                    double target = (c == label ? 1 - smoothing : 0) + smoothing / vocabulary;
                    total -= target * Math.log((softmax ? Math.exp(a) : stable(a)) / sum);
                    double g = softmax ? Math.exp(a) / sum - target : slope(a) * (1 / sum - target / stable(a));
                    g *= scale / labelled[b];
                    gradient.set(at + c, g, unit(dtype) * Math.abs(g) + WIDE);
                }
            }
            loss.set(b, total / Math.max(1, labelled[b]), WIDE * (1 + Math.abs(total)));
        }
        for (int variant = 0; variant < 3; variant++) { // gradient apart, in place of the logits, none
            Tensor tlogits = put("logits", dtype, logits, lanes, positions, vocabulary);
            Tensor d = variant == 0 ? tensor("d_logits", dtype, lanes, positions, vocabulary) : tlogits;
            HeadKernels.TokenResults out = tokenResults(lanes, length);
            kernels.heads()
                    .tokenLoss(
                            tlogits,
                            ints("labels", labels, lanes, length),
                            out,
                            variant == 2 ? null : d,
                            softmax,
                            smoothing,
                            scale);
            check("lane_loss", loss, out.laneLoss());
            assertArrayEquals(preds, HostCopy.ints(backend, out.preds()));
            assertArrayEquals(hits, HostCopy.ints(backend, out.hits()));
            assertArrayEquals(labelled, HostCopy.ints(backend, out.labelled()));
            if (variant < 2) {
                check("d_logits, variant " + variant, gradient, d);
            }
        }
    }

    /** The gradient against central differences of the loss that the operation itself gives, in float64 from float32 logits. */
    @ParameterizedTest
    @ValueSource(doubles = {0, 0.2, 0.9})
    void smoothedGradientIsThatOfTheLoss(double smoothing) {
        int vocabulary = 5;
        double h = 0x1p-10;
        int[] labels = {2, 0, 4};
        double[] logits = values(Dtype.F32, labels.length * vocabulary, 2);
        Arrays.setAll(logits, i -> Math.rint(logits[i] * 64) / 64); // so that a step of h is exact
        Tensor tlabels = ints("labels", labels, 1, labels.length);
        HeadKernels.TokenResults out = tokenResults(1, labels.length);
        Tensor d = tensor("d_logits", Dtype.F32, 1, labels.length, vocabulary);
        kernels.heads()
                .tokenLoss(
                        put("logits", Dtype.F32, logits, 1, labels.length, vocabulary),
                        tlabels,
                        out,
                        d,
                        true,
                        smoothing,
                        1);
        double[] gradient = read(d);
        for (int i = 0; i < logits.length; i++) {
            double[] loss = new double[2];
            for (int side = 0; side < 2; side++) {
                double[] moved = logits.clone();
                moved[i] += side == 0 ? h : -h;
                Tensor at = put("logits", Dtype.F32, moved, 1, labels.length, vocabulary);
                kernels.heads().tokenLoss(at, tlabels, out, null, true, smoothing, 1);
                loss[side] = read(out.laneLoss())[0];
            }
            // the third derivative of log sum exp is at most 1/6; the loss errs by some 1e-15
            assertEquals((loss[0] - loss[1]) / (2 * h), gradient[i], h * h / 36 + 1e-11 + U32, "logit " + i);
        }
    }

    /** Only a softmax has smoothed labels, and they keep something of the label. */
    @Test
    void smoothingThatHasNoMeaning() {
        HeadKernels.TokenResults out = tokenResults(1, 1);
        Tensor logits = put("logits", Dtype.F32, new double[3], 1, 1, 3);
        Tensor labels = ints("labels", new int[1], 1, 1);
        for (double smoothing : new double[] {0.1, -0.1, 1}) {
            boolean softmax = smoothing != 0.1;
            String message = assertThrows(DeviceException.class, () -> kernels.heads()
                            .tokenLoss(logits, labels, out, null, softmax, smoothing, 1))
                    .getMessage();
            assertTrue(message.contains("kind=" + (softmax ? 1 : 0) + " smoothing="), message);
        }
    }

    /** Of equal logits the first is the prediction, whichever vector lane it lies in. */
    @ParameterizedTest
    @EnumSource(
            value = Dtype.class,
            names = {"F32", "BF16"})
    void firstOfEqualLogits(Dtype dtype) {
        int vocabulary = 37;
        int[] firsts = {0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 36};
        int length = firsts.length;
        double[] logits = new double[length * vocabulary];
        for (int t = 0; t < length; t++) {
            for (int c = 0; c < vocabulary; c++) {
                logits[t * vocabulary + c] = c < firsts[t] ? -1 - c % 3 : c % 2 == firsts[t] % 2 ? 2 : 1;
            }
        }
        HeadKernels.TokenResults out = tokenResults(1, length);
        Tensor tlogits = put("logits", dtype, logits, 1, length, vocabulary);
        kernels.heads().tokenLoss(tlogits, ints("labels", firsts, 1, length), out, null, false, 0, 1);
        assertArrayEquals(firsts, HostCopy.ints(backend, out.preds()));
        assertEquals(length, HostCopy.ints(backend, out.hits())[0]);
        Arrays.fill(logits, -0.5); // all equal
        tlogits = put("logits", dtype, logits, 1, length, vocabulary);
        kernels.heads().tokenLoss(tlogits, ints("labels", firsts, 1, length), out, null, true, 0, 1);
        assertArrayEquals(new int[length], HostCopy.ints(backend, out.preds()));
    }

    /**
     * Gradients close to the middle of two bfloat16, closer than float32 can tell: rounded by way of float32 they would
     * fall on the tie and from there to the even side, the wrong one.
     */
    @ParameterizedTest
    @CsvSource({
        "0x1.01p0, 0x1p-30, 0x1.02p0", // a tie whose even side is below; the value lies above it
        "0x1.03p0, -0x1p-30, 0x1.02p0", // a tie whose even side is above; the value lies below it
        "0x1.01p0, 0, 0x1p0", // on the tie
        "0x1.03p0, 0, 0x1.04p0"
    })
    void gradientIsRoundedOnce(String tie, String offset, String expected) {
        double scale = 2 * (Double.parseDouble(tie) + Double.parseDouble(p0(offset)));
        for (boolean softmax : new boolean[] {false, true}) {
            Tensor d = tensor("d_logits", Dtype.BF16, 1, 1, 2);
            Tensor logits = put("logits", Dtype.BF16, new double[2], 1, 1, 2); // gradient of either: scale / 2
            kernels.heads()
                    .tokenLoss(logits, ints("labels", new int[1], 1, 1), tokenResults(1, 1), d, softmax, 0, scale);
            double want = Double.parseDouble(expected);
            assertArrayEquals(new double[] {-want, want}, read(d), "softmax " + softmax);
        }
    }

    private static String p0(String hex) {
        return hex.equals("0") ? "0x0p0" : hex;
    }

    /** A label outside the vocabulary makes the loss NaN instead of reading past a row. */
    @Test
    void labelOutsideTheVocabulary() {
        HeadKernels.TokenResults out = tokenResults(2, 1);
        Tensor logits = put("logits", Dtype.F32, values(Dtype.F32, 6, 1), 2, 1, 3);
        kernels.heads().tokenLoss(logits, ints("labels", new int[] {3, -1}, 2, 1), out, null, false, 0, 1);
        double[] loss = read(out.laneLoss());
        assertTrue(Double.isNaN(loss[0]) && Double.isNaN(loss[1]), Arrays.toString(loss));
    }

    @ParameterizedTest(name = "{0} B={1} S={2} D={3}")
    @CsvSource({
        "F32,1,1,1", "F32,3,2,15", "F32,17,3,17", "F32,5,2,31", "F32,2,4,33", "F32,19,2,131",
        "BF16,1,1,1", "BF16,3,2,15", "BF16,17,3,17", "BF16,5,2,31", "BF16,2,4,33", "BF16,19,2,131"
    })
    void haltHead(Dtype dtype, int lanes, int positions, int d) {
        double unit = unit(dtype);
        double[] y = values(dtype, lanes * positions * d, 1);
        double[] w = values(dtype, 2 * d, 1);
        double[] bias = values(dtype, 2, 5);
        Expected q = new Expected(2 * lanes);
        for (int b = 0; b < lanes; b++) {
            for (int j = 0; j < 2; j++) {
                double dot = bias[j];
                double size = Math.abs(dot);
                for (int i = 0; i < d; i++) {
                    dot += y[b * positions * d + i] * w[j * d + i];
                    size += Math.abs(y[b * positions * d + i] * w[j * d + i]);
                }
                q.set(2 * b + j, dot, (d + 2) * U32 * size + unit * Math.abs(dot));
            }
        }
        Tensor ty = put("y", dtype, y, lanes, positions, d);
        Tensor tw = put("w", dtype, w, 2, d);
        Tensor tq = tensor("q", Dtype.F32, lanes, 2);
        kernels.heads().haltHead(ty, tw, put("bias", dtype, bias, 2), tq);
        check("q", q, tq);

        double[] dq = values(Dtype.F32, 2 * lanes, 1);
        double[] dyBefore = values(dtype, lanes * positions * d, 1);
        double[] dwBefore = values(Dtype.F32, 2 * d, 1);
        double[] biasBefore = values(Dtype.F32, 2, 1);
        Expected dy = new Expected(dyBefore.length);
        Expected dw = new Expected(2 * d);
        Expected dBias = new Expected(2);
        for (int i = 0; i < dyBefore.length; i++) {
            int b = i / (positions * d);
            int channel = i % (positions * d);
            if (channel >= d) { // only position 0 takes part
                dy.set(i, dyBefore[i], 0);
                continue;
            }
            double sum = dyBefore[i];
            double size = Math.abs(sum);
            for (int j = 0; j < 2; j++) {
                sum += dq[2 * b + j] * w[j * d + channel];
                size += Math.abs(dq[2 * b + j] * w[j * d + channel]);
            }
            dy.set(i, sum, 3 * U32 * size + unit * Math.abs(sum));
        }
        for (int j = 0; j < 2; j++) {
            double biasSum = biasBefore[j];
            for (int b = 0; b < lanes; b++) {
                biasSum += dq[2 * b + j];
            }
            dBias.set(j, biasSum, U32 * Math.abs(biasSum) + WIDE);
            for (int i = 0; i < d; i++) {
                double sum = dwBefore[j * d + i];
                for (int b = 0; b < lanes; b++) {
                    sum += dq[2 * b + j] * y[b * positions * d + i];
                }
                dw.set(j * d + i, sum, U32 * Math.abs(sum) + WIDE);
            }
        }
        Tensor tdy = put("dy", dtype, dyBefore, lanes, positions, d);
        Tensor tdw = put("dw", Dtype.F32, dwBefore, 2, d);
        Tensor tdBias = put("d_bias", Dtype.F32, biasBefore, 2);
        kernels.heads().haltHeadBwd(put("dq", Dtype.F32, dq, lanes, 2), ty, tw, tdy, tdw, tdBias);
        check("dy", dy, tdy);
        check("dw", dw, tdw);
        check("d_bias", dBias, tdBias);
    }

    private static double sigma(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    /** BCE as it is defined; the naive form serves for |q| up to 30. */
    private static double bce(double q, double target) {
        return -target * Math.log(sigma(q)) - (1 - target) * Math.log(sigma(-q));
    }

    private static void close(double[] want, double[] got, double relative) {
        assertEquals(want.length, got.length);
        for (int i = 0; i < want.length; i++) {
            assertEquals(want[i], got[i], relative * Math.abs(want[i]) + WIDE, "element " + i);
        }
    }

    private LaneKernels.Lanes lanesOf(int[] steps) {
        return new LaneKernels.Lanes(
                tensor("halted", Dtype.I32, steps.length),
                ints("steps", steps, steps.length),
                null,
                null,
                null,
                List.of());
    }

    /** Before the step all lanes halt and nothing is lost; from it on everything stays. */
    @ParameterizedTest(name = "step {0}, continue loss {1}")
    @CsvSource({"3,true", "3,false", "4,true", "4,false", "5,true"})
    void dropCarry(int step, boolean continues) {
        int n = 5;
        int[] halted = {0, 1, 0, 1, 1};
        double[] dq = values(Dtype.F32, 2 * n, 1);
        double[] haltLoss = values(Dtype.F64, n, 1);
        double[] continueLoss = values(Dtype.F64, n, 1);
        double[] scalars = new double[OptimizerKernels.CONTROLS];
        scalars[Control.STEP.ordinal()] = step;
        LaneKernels.Lanes lanes = new LaneKernels.Lanes(ints("halted", halted, n), null, null, null, null, List.of());
        HeadKernels.HaltResults out = new HeadKernels.HaltResults(
                null, put("halt_loss", Dtype.F64, haltLoss, n), put("dq", Dtype.F32, dq, n, 2));
        Tensor further = put("continue_loss", Dtype.F64, continueLoss, n);
        Tensor controls = put("controls", Dtype.F64, scalars, OptimizerKernels.CONTROLS);
        kernels.heads().dropCarry(controls, lanes, out, continues ? further : null, 4);
        boolean drops = step < 4;
        assertArrayEquals(drops ? new int[] {1, 1, 1, 1, 1} : halted, HostCopy.ints(backend, lanes.halted()));
        assertArrayEquals(drops ? new double[2 * n] : dq, read(out.dq()));
        assertArrayEquals(drops ? new double[n] : haltLoss, read(out.haltLoss()));
        assertArrayEquals(drops && continues ? new double[n] : continueLoss, read(further));
    }

    @ParameterizedTest(name = "{0} max_steps={1}")
    @CsvSource({"LAST,4", "SIGN,4", "COMPARE,4", "LAST,1", "SIGN,1", "COMPARE,1"})
    void haltAndContinue(HaltRule rule, int max) {
        double[] halts = {0, 0, 1, -1, 2, 2, -3, 0.5, 1e-30, -1e-30, 30, -30};
        double[] goesOn = {0, -1, 1, -2, 3, 2, -3.5, 0.25, 1e-30, 0, 29, -29};
        int n = halts.length;
        double[] q = new double[2 * n];
        double[] next = values(Dtype.F32, 2 * n, 4);
        int[] steps = new int[n];
        int[] least = new int[n];
        int[] hits = new int[n];
        int[] labelled = new int[n];
        for (int b = 0; b < n; b++) {
            q[2 * b] = (float) halts[b];
            q[2 * b + 1] = (float) goesOn[b];
            steps[b] = b % 5 - 1 < 0 ? 0 : b % 5 - 1;
            least[b] = b % 3 == 2 ? 2 + b % 3 : 0;
            labelled[b] = b % 4;
            hits[b] = b % 4 - (b % 2 == 0 ? 0 : 1);
        }
        double scale = 0.125;
        Tensor tq = put("q", Dtype.F32, q, n, 2);
        HeadKernels.TokenResults tokens =
                new HeadKernels.TokenResults(null, null, ints("hits", hits, n), ints("labelled", labelled, n));
        LaneKernels.Lanes lanes = lanesOf(steps);
        HeadKernels.HaltResults out = new HeadKernels.HaltResults(
                tensor("exact", Dtype.I32, n), tensor("halt_loss", Dtype.F64, n), tensor("dq", Dtype.F32, n, 2));
        kernels.heads().halt(tq, tokens, ints("least", least, n), lanes, out, max, rule, scale);

        int[] halted = new int[n];
        int[] exact = new int[n];
        double[] haltLoss = new double[n];
        double[] dq = new double[2 * n];
        double[] target = new double[n];
        double[] continueLoss = new double[n];
        for (int b = 0; b < n; b++) {
            steps[b]++;
            boolean last = steps[b] >= max;
            boolean wants = rule == HaltRule.SIGN ? q[2 * b] > 0 : q[2 * b] > q[2 * b + 1];
            boolean early = rule != HaltRule.LAST && max > 1;
            halted[b] = (early ? (last || wants) && steps[b] >= least[b] : last) ? 1 : 0;
            exact[b] = hits[b] == labelled[b] ? 1 : 0;
            haltLoss[b] = bce(q[2 * b], exact[b]);
            dq[2 * b] = scale * (sigma(q[2 * b]) - exact[b]);
            target[b] = sigma(last ? next[2 * b] : Math.max(next[2 * b], next[2 * b + 1]));
            continueLoss[b] = bce(q[2 * b + 1], target[b]);
        }
        assertArrayEquals(steps, HostCopy.ints(backend, lanes.steps()));
        assertArrayEquals(halted, HostCopy.ints(backend, lanes.halted()));
        assertArrayEquals(exact, HostCopy.ints(backend, out.exact()));
        close(haltLoss, read(out.haltLoss()), WIDE);
        close(dq, read(out.dq()), U32);

        HeadKernels.ContinueResults continues =
                new HeadKernels.ContinueResults(tensor("target", Dtype.F64, n), tensor("continue_loss", Dtype.F64, n));
        Tensor tnext = put("next", Dtype.F32, next, n, 2);
        kernels.heads().continueLoss(tq, tnext, lanes, continues, out.dq(), max, scale);
        for (int b = 0; b < n; b++) {
            dq[2 * b + 1] = scale * (sigma(q[2 * b + 1]) - target[b]);
        }
        close(target, read(continues.target()), WIDE);
        close(continueLoss, read(continues.loss()), WIDE);
        close(dq, read(out.dq()), U32);
    }

    /** Far from 0 the loss is |q| or e^-|q|, and neither overflows. */
    @Test
    void haltLossFarFromZero() {
        Tensor q = put("q", Dtype.F32, new double[] {1000, -1000, 1000, -1000, -1000, 1000}, 3, 2);
        Tensor next = put("next", Dtype.F32, new double[] {1000, -1000, -1000, -1000, -1000, 1000}, 3, 2);
        HeadKernels.TokenResults tokens = new HeadKernels.TokenResults(
                null, null, ints("hits", new int[] {1, 0, 1}, 3), ints("labelled", new int[] {1, 1, 1}, 3));
        LaneKernels.Lanes lanes = lanesOf(new int[3]);
        HeadKernels.HaltResults out = new HeadKernels.HaltResults(
                tensor("exact", Dtype.I32, 3), tensor("halt_loss", Dtype.F64, 3), tensor("dq", Dtype.F32, 3, 2));
        kernels.heads().halt(q, tokens, ints("least", new int[3], 3), lanes, out, 2, HaltRule.SIGN, 1);
        assertArrayEquals(new double[] {0, 1000, 1000}, read(out.haltLoss()));
        HeadKernels.ContinueResults continues =
                new HeadKernels.ContinueResults(tensor("target", Dtype.F64, 3), tensor("continue_loss", Dtype.F64, 3));
        kernels.heads().continueLoss(q, next, lanes, continues, out.dq(), 2, 1);
        assertArrayEquals(new double[] {1, 0, 1}, read(continues.target()));
        assertArrayEquals(new double[] {1000, 0, 0}, read(continues.loss()));
        assertArrayEquals(new double[] {0, -1, 1, 0, -1, 0}, read(out.dq()));
    }

    @ParameterizedTest
    @CsvSource({"false", "true"})
    void metrics(boolean withContinue) {
        int n = 6;
        int[] halted = {1, 0, 1, 1, 1, 1};
        int[] labelled = {3, 3, 0, 4, 2, 5};
        int[] hits = {3, 1, 0, 1, 2, 4};
        int[] exact = {1, 0, 1, 0, 1, 0};
        int[] steps = {2, 1, 3, 4, 4, 1};
        double[] q = {0, 9, 1, 9, 1, 9, -1, 9, -2, 9, 3, 9}; // q_halt >= 0 is right for lanes 0 and 3
        double[] lane = values(Dtype.F32, n, 1);
        double[] halt = values(Dtype.F32, n, 1);
        double[] goOn = values(Dtype.F32, n, 1);
        double[] before = values(Dtype.F32, HeadKernels.METRICS, 1);
        double[] want = before.clone();
        for (int b = 0; b < n; b++) {
            want[Metric.LM_LOSS.ordinal()] += lane[b];
            want[Metric.Q_HALT_LOSS.ordinal()] += halt[b];
            want[Metric.Q_CONTINUE_LOSS.ordinal()] += withContinue ? goOn[b] : 0;
        }
        want[Metric.COUNT.ordinal()] += 4; // lane 1 goes on, lane 2 has no labels
        want[Metric.ACCURACY.ordinal()] += 1 + 0.25 + 1 + 0.8;
        want[Metric.EXACT_ACCURACY.ordinal()] += 2;
        want[Metric.Q_HALT_ACCURACY.ordinal()] += 2;
        want[Metric.STEPS.ordinal()] += 2 + 4 + 4 + 1;
        Tensor sums = put("metrics", Dtype.F64, before, HeadKernels.METRICS);
        kernels.heads()
                .metrics(
                        put("q", Dtype.F32, q, n, 2),
                        new HeadKernels.TokenResults(
                                null,
                                put("lane_loss", Dtype.F64, lane, n),
                                ints("hits", hits, n),
                                ints("labelled", labelled, n)),
                        new HeadKernels.HaltResults(
                                ints("exact", exact, n), put("halt_loss", Dtype.F64, halt, n), null),
                        new LaneKernels.Lanes(
                                ints("halted", halted, n), ints("steps", steps, n), null, null, null, List.of()),
                        withContinue ? put("continue_loss", Dtype.F64, goOn, n) : null,
                        sums);
        close(want, read(sums), WIDE);
    }
}
