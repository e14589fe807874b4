package trm.verify;

import java.util.Arrays;
import java.util.List;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HaltRule;
import trm.device.HeadKernels;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.LaneKernels;
import trm.device.Metric;
import trm.device.Purpose;
import trm.device.Tensor;

/** Cases of the losses and of halting. */
final class HeadCases {
    private final Backend backend;
    private final Kernels kernels;

    HeadCases(Backend backend) {
        this.backend = backend;
        kernels = backend.kernels();
    }

    private static Tensor floats(Arena arena, String name, long... dims) {
        return arena.tensor(Purpose.CASE, name, Dtype.F32, dims);
    }

    private static Tensor ints(Arena arena, String name, long... dims) {
        return arena.tensor(Purpose.CASE, name, Dtype.I32, dims);
    }

    private static HeadKernels.TokenResults tokenResults(Arena arena, long lanes, long length) {
        return new HeadKernels.TokenResults(
                ints(arena, "preds", lanes, length),
                arena.tensor(Purpose.CASE, "lane_loss", Dtype.F64, lanes),
                ints(arena, "hits", lanes),
                ints(arena, "labelled", lanes));
    }

    void tokenLoss(GoldenCase c, Arena arena, boolean softmax) {
        double smoothing = c.head().path("label_smoothing").doubleValue();
        long[] shape = c.shape("logits");
        Tensor logits = c.upload(backend, arena, "logits");
        Tensor labels = c.uploadInts(backend, arena, "labels");
        Tensor dLogits = floats(arena, "d_logits", shape);
        HeadKernels.TokenResults rows = tokenResults(arena, shape[0], shape[1]);
        kernels.heads().tokenLoss(logits, labels, rows, dLogits, softmax, smoothing, 1);
        c.check("lm_loss", () -> sum(rows.laneLoss()));
        c.check("d_logits", backend, dLogits);

        long tokens = shape[0] * shape[1]; // each token as a lane of its own: its loss alone
        HeadKernels.TokenResults single = tokenResults(arena, tokens, 1);
        HeadKernels heads = kernels.heads();
        Tensor alone = logits.view(0, tokens, 1, shape[2]);
        heads.tokenLoss(alone, labels.view(0, tokens, 1), single, null, softmax, smoothing, 1);
        c.check("nll", backend, single.laneLoss());
    }

    private double[] sum(Tensor values) {
        return new double[] {Arrays.stream(HostCopy.doubles(backend, values)).sum()};
    }

    void halting(GoldenCase c, Arena arena) {
        int lanes = (int) c.shape("q_halt")[0];
        float[] qHalt = c.floats("q_halt");
        float[] qContinue = c.floats("q_continue");
        float[] pairs = new float[2 * lanes];
        int[] before = c.ints("steps_after_increment");
        int[] labels = new int[lanes];
        for (int b = 0; b < lanes; b++) {
            pairs[2 * b] = qHalt[b];
            pairs[2 * b + 1] = qContinue[b];
            before[b]--;
            labels[b] = 1; // one labelled token, hit where the lane is to be exact
        }
        Tensor q = floats(arena, "q", lanes, 2);
        HostCopy.put(backend, q, pairs);
        HeadKernels.TokenResults tokens = tokenResults(arena, lanes, 1);
        HostCopy.put(backend, tokens.hits(), c.ints("exact"));
        HostCopy.put(backend, tokens.labelled(), labels);
        LaneKernels.Lanes state = new LaneKernels.Lanes(
                ints(arena, "halted", lanes), ints(arena, "steps", lanes), null, null, null, List.of());
        HeadKernels.HaltResults out = new HeadKernels.HaltResults(
                ints(arena, "exact", lanes),
                arena.tensor(Purpose.CASE, "halt_loss", Dtype.F64, lanes),
                floats(arena, "dq", lanes, 2));
        Tensor least = c.uploadInts(backend, arena, "min_halt_steps");
        int most = c.head().path("halt_max_steps").intValue();

        HostCopy.put(backend, state.steps(), before);
        kernels.heads().halt(q, tokens, least, state, out, most, HaltRule.SIGN, 1);
        c.check("halted_sign_rule", backend, state.halted());
        HostCopy.put(backend, state.steps(), before);
        kernels.heads().halt(q, tokens, least, state, out, most, HaltRule.COMPARE, 1);
        c.check("halted_compare_rule", backend, state.halted());
        HeadKernels.ContinueResults next = new HeadKernels.ContinueResults(
                arena.tensor(Purpose.CASE, "target", Dtype.F64, lanes),
                arena.tensor(Purpose.CASE, "continue_loss", Dtype.F64, lanes));
        kernels.heads().continueLoss(q, q, state, next, out.dq(), most, 1);
        c.check("continue_target", backend, next.target());
        c.check("q_continue_loss", () -> sum(next.loss()));
        c.check("d_q_continue", () -> everyOther(out.dq(), 1));
        c.check("q_halt_loss", () -> sum(out.haltLoss()));
        c.check("d_q_halt", () -> everyOther(out.dq(), 0));
        HostCopy.put(backend, state.steps(), before);
        kernels.heads().halt(q, tokens, least, state, out, most, HaltRule.LAST, 1);
        c.check("halted_eval", backend, state.halted());
        c.check("q_halt_right", () -> haltRight(q, tokens, out, state, arena));
    }

    private double[] everyOther(Tensor pairs, int first) {
        double[] all = GoldenCase.read(backend, pairs);
        double[] values = new double[all.length / 2];
        Arrays.setAll(values, i -> all[2 * i + first]);
        return values;
    }

    /** What the metric of the halting head counts, one halting lane at a time. */
    private double[] haltRight(
            Tensor q,
            HeadKernels.TokenResults tokens,
            HeadKernels.HaltResults halts,
            LaneKernels.Lanes lanes,
            Arena arena) {
        float[] pairs = HostCopy.floats(backend, q);
        int[] hits = HostCopy.ints(backend, tokens.hits());
        int[] exact = HostCopy.ints(backend, halts.exact());
        int[] steps = HostCopy.ints(backend, lanes.steps());
        Tensor metrics = arena.tensor(Purpose.CASE, "metrics", Dtype.F64, HeadKernels.METRICS);
        Tensor pair = floats(arena, "one.q", 1, 2);
        HeadKernels.TokenResults token = tokenResults(arena, 1, 1);
        HeadKernels.HaltResults halt = new HeadKernels.HaltResults(
                ints(arena, "one.exact", 1), arena.tensor(Purpose.CASE, "one.halt_loss", Dtype.F64, 1), null);
        LaneKernels.Lanes lane = new LaneKernels.Lanes(
                ints(arena, "one.halted", 1), ints(arena, "one.steps", 1), null, null, null, List.of());
        HostCopy.put(backend, lane.halted(), new int[] {1});
        HostCopy.put(backend, token.labelled(), new int[] {1});
        double[] right = new double[steps.length];
        for (int b = 0; b < right.length; b++) {
            HostCopy.put(backend, pair, new float[] {pairs[2 * b], pairs[2 * b + 1]});
            HostCopy.put(backend, token.hits(), new int[] {hits[b]});
            HostCopy.put(backend, halt.exact(), new int[] {exact[b]});
            HostCopy.put(backend, lane.steps(), new int[] {steps[b]});
            kernels.elementwise().zero(metrics);
            kernels.heads().metrics(pair, token, halt, lane, null, metrics);
            right[b] = HostCopy.doubles(backend, metrics)[Metric.Q_HALT_ACCURACY.ordinal()];
        }
        return right;
    }
}
