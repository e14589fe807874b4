package trm.verify;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import trm.config.ArchConfig;
import trm.config.Architecture;
import trm.config.DataShape;
import trm.config.Equilibrium;
import trm.config.GradientSpan;
import trm.config.LossType;
import trm.config.PosEncodings;
import trm.config.Recompute;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Control;
import trm.device.Dtype;
import trm.device.HaltRule;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Metric;
import trm.device.Tensor;
import trm.model.ModelSizes;
import trm.model.RecursionStep;
import trm.model.TruncatedNormal;
import trm.ops.Scratch;
import trm.ops.SelfAttention;

/** Cases of single operations, forward and backward, chosen by the manifest's {@code operation}. */
final class OperationCases {
    private final Backend backend;
    private final Kernels kernels;

    OperationCases(Backend backend) {
        this.backend = backend;
        kernels = backend.kernels();
    }

    static boolean known(String operation) {
        return switch (operation) {
            case "rms_norm_channels",
                    "rms_norm_positions",
                    "swiglu",
                    "attention",
                    "attention_plain",
                    "stablemax_cross_entropy",
                    "softmax_cross_entropy",
                    "halting",
                    "adam_atan2",
                    "sparse_sign_sgd",
                    "ema",
                    "lr_schedule",
                    "trunc_normal",
                    "embed",
                    "block_attention",
                    "block_mlp_t" -> true;
            default -> false;
        };
    }

    /** Runs the case's operation. */
    void run(GoldenCase c) {
        String operation = c.head().path("operation").asText();
        try (Arena arena = new Arena(backend)) {
            switch (operation) {
                case "rms_norm_channels" -> rmsNormChannels(c, arena);
                case "rms_norm_positions" -> rmsNormPositions(c, arena);
                case "swiglu" -> swiglu(c, arena);
                case "attention", "attention_plain" -> attention(c, arena);
                case "stablemax_cross_entropy" -> tokenLoss(c, arena, false);
                case "softmax_cross_entropy" -> tokenLoss(c, arena, true);
                case "halting" -> halting(c, arena);
                case "adam_atan2" -> adam(c, arena);
                case "sparse_sign_sgd" -> signSgd(c, arena);
                case "ema" -> ema(c, arena);
                case "lr_schedule" -> schedule(c, arena);
                case "trunc_normal" -> truncatedNormal(c);
                case "embed" -> embed(c, arena);
                case "block_attention" -> block(c, arena, false);
                case "block_mlp_t" -> block(c, arena, true);
                default -> throw new IllegalArgumentException("operation " + operation);
            }
        }
    }

    private static Tensor floats(Arena arena, String name, long... dims) {
        return arena.tensor("case", name, Dtype.F32, dims);
    }

    private static Tensor ints(Arena arena, String name, long... dims) {
        return arena.tensor("case", name, Dtype.I32, dims);
    }

    private void rmsNormChannels(GoldenCase c, Arena arena) {
        long[] shape = c.shape("x");
        Tensor x = c.upload(backend, arena, "x");
        Tensor y = floats(arena, "y", shape);
        Tensor scale = floats(arena, "s", x.count() / shape[shape.length - 1]);
        Tensor dx = floats(arena, "dx", shape);
        float eps = c.head().path("eps").floatValue();
        kernels.addRmsNorm(x, floats(arena, "f", shape), null, y, null, scale, eps);
        kernels.addRmsNormBwd(c.upload(backend, arena, "dy"), y, scale, dx);
        c.check("y", backend, y);
        c.check("d_x", backend, dx);
    }

    private void rmsNormPositions(GoldenCase c, Arena arena) {
        long[] shape = c.shape("x");
        long lanes = shape[0];
        int width = (int) shape[2];
        Tensor x = c.upload(backend, arena, "x");
        Tensor y = floats(arena, "y", shape);
        Tensor scale = floats(arena, "s", lanes, width);
        Tensor dx = floats(arena, "dx", shape);
        float eps = c.head().path("eps").floatValue();
        kernels.addRmsNormPositions(x, floats(arena, "f", shape), y, scale, lanes, width, eps);
        kernels.addRmsNormPositionsBwd(c.upload(backend, arena, "dy"), y, scale, dx, lanes, width);
        c.check("y", backend, y);
        c.check("d_x", backend, dx);
    }

    private void swiglu(GoldenCase c, Arena arena) {
        Tensor x = c.upload(backend, arena, "x");
        Tensor gateUp = c.upload(backend, arena, "w_gate_up");
        Tensor down = c.upload(backend, arena, "w_down");
        Tensor dy = c.upload(backend, arena, "dy");
        long inner = down.shape().dim(1);
        long rows = x.count() / gateUp.shape().dim(1);
        Tensor gu = floats(arena, "gu", rows, 2, inner);
        Tensor p = floats(arena, "p", rows, inner);
        Tensor y = floats(arena, "y", c.shape("y"));
        kernels.linear(x, gateUp, gu);
        kernels.swiglu(gu, p, rows);
        kernels.linear(p, down, y);

        Tensor dp = floats(arena, "dp", rows, inner);
        Tensor dgu = floats(arena, "dgu", rows, 2, inner);
        Tensor dx = floats(arena, "dx", c.shape("x"));
        Tensor dDown = floats(arena, "d_w_down", c.shape("w_down"));
        Tensor dGateUp = floats(arena, "d_w_gate_up", c.shape("w_gate_up"));
        kernels.linearBwdW(dy, p, dDown);
        kernels.linearBwdX(dy, down, dp, false);
        kernels.swigluBwd(gu, dp, dgu, null, rows);
        kernels.linearBwdW(dgu, x, dGateUp);
        kernels.linearBwdX(dgu, gateUp, dx, false);
        c.check("y", backend, y);
        c.check("d_x", backend, dx);
        c.check("d_w_gate_up", backend, dGateUp);
        c.check("d_w_down", backend, dDown);
    }

    private void attention(GoldenCase c, Arena arena) {
        long[] shape = c.shape("x");
        long lanes = shape[0];
        int positions = (int) shape[1];
        int heads = c.head().path("heads").intValue();
        int headWidth = c.head().path("head_dim").intValue();
        SelfAttention.Rotary rotary = c.head().path("operation").asText().equals("attention")
                ? RotaryTables.of(
                        backend,
                        arena,
                        positions,
                        heads,
                        headWidth,
                        c.head().path("rope_theta").doubleValue())
                : new SelfAttention.Rotary(null, null);
        Tensor x = c.upload(backend, arena, "x");
        Tensor qkvWeight = c.upload(backend, arena, "w_qkv");
        Tensor outWeight = c.upload(backend, arena, "w_o");
        Tensor dy = c.upload(backend, arena, "dy");
        long rows = lanes * positions;
        long width = (long) heads * headWidth;
        Tensor qkv = floats(arena, "qkv", rows, 3, width);
        Tensor o = floats(arena, "o", rows, width);
        Tensor lse = floats(arena, "lse", lanes, heads, positions);
        Tensor y = floats(arena, "y", shape);
        kernels.linear(x, qkvWeight, qkv);
        kernels.attention(qkv, rotary.cos(), rotary.sin(), o, lse, lanes, positions, heads);
        kernels.linear(o, outWeight, y);

        Tensor dO = floats(arena, "do", rows, width);
        Tensor dqkv = floats(arena, "dqkv", rows, 3, width);
        Tensor dx = floats(arena, "dx", shape);
        Tensor dQkvWeight = floats(arena, "d_w_qkv", c.shape("w_qkv"));
        Tensor dOutWeight = floats(arena, "d_w_o", c.shape("w_o"));
        kernels.linearBwdW(dy, o, dOutWeight);
        kernels.linearBwdX(dy, outWeight, dO, false);
        kernels.attentionBwd(qkv, rotary.cos(), rotary.sin(), o, lse, dO, dqkv, lanes, positions, heads);
        kernels.linearBwdW(dqkv, x, dQkvWeight);
        kernels.linearBwdX(dqkv, qkvWeight, dx, false);
        c.check("y", backend, y);
        c.check("d_x", backend, dx);
        c.check("d_w_qkv", backend, dQkvWeight);
        c.check("d_w_o", backend, dOutWeight);
        if (rotary.cos() != null) {
            c.check("rope_cos_half", backend, rotary.cos());
            c.check("rope_sin_half", backend, rotary.sin());
        }
    }

    private static Kernels.TokenResults tokenResults(Arena arena, long lanes, long length) {
        return new Kernels.TokenResults(
                ints(arena, "preds", lanes, length),
                arena.tensor("case", "lane_loss", Dtype.F64, lanes),
                ints(arena, "hits", lanes),
                ints(arena, "labelled", lanes));
    }

    private void tokenLoss(GoldenCase c, Arena arena, boolean softmax) {
        long[] shape = c.shape("logits");
        Tensor logits = c.upload(backend, arena, "logits");
        Tensor labels = c.uploadInts(backend, arena, "labels");
        Tensor dLogits = floats(arena, "d_logits", shape);
        Kernels.TokenResults rows = tokenResults(arena, shape[0], shape[1]);
        kernels.tokenLoss(logits, labels, rows, dLogits, softmax, 1);
        c.check("lm_loss", () -> sum(rows.laneLoss()));
        c.check("d_logits", backend, dLogits);

        long tokens = shape[0] * shape[1]; // each token as a lane of its own: its loss alone
        Kernels.TokenResults single = tokenResults(arena, tokens, 1);
        kernels.tokenLoss(logits.view(0, tokens, 1, shape[2]), labels.view(0, tokens, 1), single, null, softmax, 1);
        c.check("nll", backend, single.laneLoss());
    }

    private double[] sum(Tensor values) {
        return new double[] {Arrays.stream(HostCopy.doubles(backend, values)).sum()};
    }

    private void halting(GoldenCase c, Arena arena) {
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
        Kernels.TokenResults tokens = tokenResults(arena, lanes, 1);
        HostCopy.put(backend, tokens.hits(), c.ints("exact"));
        HostCopy.put(backend, tokens.labelled(), labels);
        Kernels.Lanes state = new Kernels.Lanes(
                ints(arena, "halted", lanes), ints(arena, "steps", lanes), null, null, null, List.of());
        Kernels.HaltResults out = new Kernels.HaltResults(
                ints(arena, "exact", lanes),
                arena.tensor("case", "halt_loss", Dtype.F64, lanes),
                floats(arena, "dq", lanes, 2));
        Tensor least = c.uploadInts(backend, arena, "min_halt_steps");
        int most = c.head().path("halt_max_steps").intValue();

        HostCopy.put(backend, state.steps(), before);
        kernels.halt(q, tokens, least, state, out, most, HaltRule.SIGN, 1);
        c.check("halted_sign_rule", backend, state.halted());
        HostCopy.put(backend, state.steps(), before);
        kernels.halt(q, tokens, least, state, out, most, HaltRule.COMPARE, 1);
        c.check("halted_compare_rule", backend, state.halted());
        Kernels.ContinueResults next = new Kernels.ContinueResults(
                arena.tensor("case", "target", Dtype.F64, lanes),
                arena.tensor("case", "continue_loss", Dtype.F64, lanes));
        kernels.continueLoss(q, q, state, next, out.dq(), most, 1);
        c.check("continue_target", backend, next.target());
        c.check("q_continue_loss", () -> sum(next.loss()));
        c.check("d_q_continue", () -> everyOther(out.dq(), 1));
        c.check("q_halt_loss", () -> sum(out.haltLoss()));
        c.check("d_q_halt", () -> everyOther(out.dq(), 0));
        HostCopy.put(backend, state.steps(), before);
        kernels.halt(q, tokens, least, state, out, most, HaltRule.LAST, 1);
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
            Tensor q, Kernels.TokenResults tokens, Kernels.HaltResults halts, Kernels.Lanes lanes, Arena arena) {
        float[] pairs = HostCopy.floats(backend, q);
        int[] hits = HostCopy.ints(backend, tokens.hits());
        int[] exact = HostCopy.ints(backend, halts.exact());
        int[] steps = HostCopy.ints(backend, lanes.steps());
        Tensor metrics = arena.tensor("case", "metrics", Dtype.F64, Kernels.METRICS);
        Tensor pair = floats(arena, "one.q", 1, 2);
        Kernels.TokenResults token = tokenResults(arena, 1, 1);
        Kernels.HaltResults halt = new Kernels.HaltResults(
                ints(arena, "one.exact", 1), arena.tensor("case", "one.halt_loss", Dtype.F64, 1), null);
        Kernels.Lanes lane = new Kernels.Lanes(
                ints(arena, "one.halted", 1), ints(arena, "one.steps", 1), null, null, null, List.of());
        HostCopy.put(backend, lane.halted(), new int[] {1});
        HostCopy.put(backend, token.labelled(), new int[] {1});
        double[] right = new double[steps.length];
        for (int b = 0; b < right.length; b++) {
            HostCopy.put(backend, pair, new float[] {pairs[2 * b], pairs[2 * b + 1]});
            HostCopy.put(backend, token.hits(), new int[] {hits[b]});
            HostCopy.put(backend, halt.exact(), new int[] {exact[b]});
            HostCopy.put(backend, lane.steps(), new int[] {steps[b]});
            kernels.zero(metrics);
            kernels.metrics(pair, token, halt, lane, null, metrics);
            right[b] = HostCopy.doubles(backend, metrics)[Metric.Q_HALT_ACCURACY.ordinal()];
        }
        return right;
    }

    private Tensor controls(Arena arena) {
        return arena.tensor("case", "controls", Dtype.F64, Kernels.CONTROLS);
    }

    private void setControls(Tensor controls, int step, double lr, double puzzleLr, double beta1, double beta2) {
        double[] values = new double[Kernels.CONTROLS];
        values[Control.STEP.ordinal()] = step;
        values[Control.LR.ordinal()] = lr;
        values[Control.PUZZLE_LR.ordinal()] = puzzleLr;
        values[Control.CORRECTION1.ordinal()] = 1 - Math.pow(beta1, step);
        values[Control.CORRECTION2.ordinal()] = 1 - Math.pow(beta2, step);
        HostCopy.put(backend, controls, values);
    }

    private void adam(GoldenCase c, Arena arena) {
        JsonNode head = c.head();
        double beta1 = head.path("beta1").doubleValue();
        double beta2 = head.path("beta2").doubleValue();
        Kernels.Adam constants =
                new Kernels.Adam(beta1, beta2, head.path("weight_decay").doubleValue(), 1e-8, 0, true);
        Tensor p = c.upload(backend, arena, "p0");
        Tensor g = floats(arena, "g", c.shape("p0"));
        Tensor m = floats(arena, "m", c.shape("p0"));
        Tensor v = floats(arena, "v", c.shape("p0"));
        Tensor controls = controls(arena);
        for (int step = 1; step <= head.path("lrs").size(); step++) {
            setControls(controls, step, head.path("lrs").get(step - 1).doubleValue(), 0, beta1, beta2);
            HostCopy.put(backend, g, c.floats("grad" + step));
            kernels.adam(p, g, m, v, null, null, controls, constants);
            c.check("p" + step, backend, p);
            c.check("m" + step, backend, m);
            c.check("v" + step, backend, v);
        }
    }

    private void signSgd(GoldenCase c, Arena arena) {
        Tensor table = c.upload(backend, arena, "table0");
        Tensor controls = controls(arena);
        for (int step = 1; c.has("ids" + step); step++) {
            setControls(controls, step, 0, c.head().path("lr").doubleValue(), 0, 0);
            kernels.signSgd(
                    table,
                    c.uploadInts(backend, arena, "ids" + step),
                    c.upload(backend, arena, "grad" + step),
                    controls,
                    c.head().path("weight_decay").doubleValue());
            c.check("table" + step, backend, table);
        }
    }

    /** The average is part of the dense optimizer's pass; a rate of learning of 0 leaves the weights alone. */
    private void ema(GoldenCase c, Arena arena) {
        Tensor g = floats(arena, "g", c.shape("p0"));
        Tensor m = floats(arena, "m", c.shape("p0"));
        Tensor v = floats(arena, "v", c.shape("p0"));
        Tensor p = floats(arena, "p", c.shape("p0"));
        Tensor controls = controls(arena);
        for (String first : c.names()) {
            if (!first.matches("ema\\d+_1")) {
                continue;
            }
            String series = first.substring(0, first.length() - 1);
            double rate = Double.parseDouble("0." + series.substring(3, series.length() - 1)); // ema90_ is 0.90
            Tensor average = arena.tensor("case", series, Dtype.F32, c.shape("p0"));
            HostCopy.put(backend, average, c.floats("p0"));
            for (int step = 1; c.has(series + step); step++) {
                setControls(controls, step, 0, 0, 0.9, 0.95);
                HostCopy.put(backend, p, c.floats("p" + step));
                Kernels.Adam constants = new Kernels.Adam(0.9, 0.95, 0, 1e-8, rate, true);
                kernels.adam(p, g, m, v, average, null, controls, constants);
                c.check(series + step, backend, average);
            }
        }
    }

    private void schedule(GoldenCase c, Arena arena) {
        int[] steps = c.ints("step");
        JsonNode plans = c.head().path("plans");
        double[] rates = new double[steps.length * plans.size()];
        Tensor controls = controls(arena);
        for (int j = 0; j < plans.size(); j++) {
            JsonNode plan = plans.get(j);
            Kernels.Schedule schedule = new Kernels.Schedule(
                    plan.path("base").doubleValue(),
                    0,
                    plan.path("warmup").longValue(),
                    plan.path("total").longValue(),
                    plan.path("min_ratio").doubleValue());
            for (int i = 0; i < steps.length; i++) {
                setControls(controls, steps[i] - 1, 0, 0, 0.9, 0.95); // advance counts the step itself
                kernels.advance(controls, schedule, 0.9, 0.95);
                rates[i * plans.size() + j] = HostCopy.doubles(backend, controls)[1];
            }
        }
        c.check("lr", () -> rates);
    }

    private static void truncatedNormal(GoldenCase c) {
        double std = c.head().path("std").asDouble(1);
        double mean = c.head().path("mean").asDouble(0);
        c.check("quantile", () -> Arrays.stream(c.values("probability"))
                .map(p -> mean + std * TruncatedNormal.quantile(p))
                .toArray());
    }

    private void embed(GoldenCase c, Arena arena) {
        int lanes = (int) c.shape("inputs")[0];
        Tensor tokens = c.uploadInts(backend, arena, "inputs");
        Tensor ids = ints(arena, "ids", lanes); // each lane's own row of the table
        int[] rows = new int[lanes];
        Arrays.setAll(rows, i -> i);
        HostCopy.put(backend, ids, rows);
        Tensor embed = c.upload(backend, arena, "embed_tokens");
        boolean learned = c.has("embed_pos");
        Tensor positions = learned ? c.upload(backend, arena, "embed_pos") : null;
        Tensor table = c.has("puzzle_rows") ? c.upload(backend, arena, "puzzle_rows") : null;
        Tensor x = floats(arena, "x", c.shape("y"));
        kernels.embed(tokens, ids, embed, positions, table, x);

        Tensor dEmbed = floats(arena, "d_embed", c.shape("embed_tokens"));
        Tensor dPositions = learned ? floats(arena, "d_pos", c.shape("embed_pos")) : null;
        Tensor dRows = table == null ? null : floats(arena, "d_rows", c.shape("puzzle_rows"));
        kernels.embedBwd(c.upload(backend, arena, "dy"), tokens, dEmbed, dPositions, dRows);
        c.check("y", backend, x);
        c.check("d_embed_tokens", backend, dEmbed);
        if (learned) {
            c.check("d_embed_pos", backend, dPositions);
        }
        if (table != null) {
            c.check("d_puzzle_rows", backend, dRows);
        }
    }

    /** The network f with one block. */
    private void block(GoldenCase c, Arena arena, boolean mlpT) {
        long[] shape = c.shape("h");
        int positions = (int) shape[1];
        int heads = c.head().path("heads").intValue();
        double theta = c.head().path("rope_theta").asDouble(10000);
        ArchConfig arch = new ArchConfig(
                Architecture.TRM,
                (int) shape[2],
                heads,
                c.head().path("expansion").asDouble(4),
                mlpT,
                mlpT ? PosEncodings.NONE : PosEncodings.ROPE,
                theta,
                c.head().path("eps").doubleValue(),
                1,
                0,
                1,
                1,
                1,
                false,
                GradientSpan.LAST_CYCLE,
                0,
                0,
                true,
                1,
                0,
                LossType.STABLEMAX,
                "float32",
                Equilibrium.NONE);
        ModelSizes sizes = new ModelSizes(arch, new DataShape(positions, 1, 1), (int) shape[0]);
        Map<String, Tensor> weights = new HashMap<>();
        Map<String, Tensor> gradients = new HashMap<>();
        for (String name : c.names()) {
            if (name.endsWith(".weight") && !name.startsWith("d_")) {
                weights.put("L_level.layers.0." + name, c.upload(backend, arena, name));
                gradients.put("L_level.layers.0." + name, floats(arena, "d_" + name, c.shape(name)));
            }
        }
        SelfAttention.Rotary rotary = mlpT
                ? new SelfAttention.Rotary(null, null)
                : RotaryTables.of(backend, arena, positions, heads, arch.headWidth(), theta);
        Scratch scratch = Scratch.allocate(kernels, arena, sizes.block(), mlpT, true, false);
        RecursionStep f =
                new RecursionStep(kernels, sizes, weights::get, gradients::get, rotary, scratch, Recompute.NONE);
        RecursionStep.Slot slot = f.slot(arena, "f", 0);
        Tensor y = floats(arena, "y", shape);
        HostCopy.put(backend, slot.u(), c.floats("h"));
        f.forward(slot, null, y, null, true);
        Tensor d = c.upload(backend, arena, "dy");
        c.check("y", backend, y);
        f.backward(slot, y, d);
        c.check("d_h", backend, d);
        gradients.forEach((name, g) -> c.check("d_" + name.substring("L_level.layers.0.".length()), backend, g));
    }
}
