package trm.verify;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import trm.config.ArchConfig;
import trm.config.Architecture;
import trm.config.DataShape;
import trm.config.Equilibrium;
import trm.config.GradientSpan;
import trm.config.LossType;
import trm.config.OnNan;
import trm.config.PosEncodings;
import trm.config.Recompute;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Tensor;
import trm.evaluation.Evaluator;
import trm.io.TorchFile;
import trm.model.Model;
import trm.model.ModelSizes;
import trm.model.Parameters;
import trm.train.Checkpoint;
import trm.train.DeepSupervision;

/** Cases of the whole model: training steps, evaluation, and what a published checkpoint answers. */
final class ModelCases {
    private static final int IGNORED = -100;
    private static final int IGNORED_BYTE = 255;

    private final Backend backend;
    private final Dtype dtype;

    /** @param dtype that models compute in */
    ModelCases(Backend backend, Dtype dtype) {
        this.backend = backend;
        this.dtype = dtype;
    }

    /** Why this version cannot run the case's model; null when it can. */
    static String reasonAgainst(JsonNode model) {
        return architecture(model) == null ? "arch " + model.path("arch").asText() : null;
    }

    /** By the manifests' names (docs/specification.md#10-names-of-the-systems); null for another. */
    private static Architecture architecture(JsonNode model) {
        return switch (model.path("arch").asText()) {
            case "trm" -> Architecture.TRM;
            case "singlez" -> Architecture.SINGLE_Z;
            case "hier" -> Architecture.MULTI_SCALE;
            case "hrm" -> Architecture.HRM;
            case "baseline" -> Architecture.TRANSFORMER;
            default -> null;
        };
    }

    /** A manifest says all of a model, also what its architecture pays no heed to. */
    private ArchConfig arch(JsonNode m) {
        LossType loss =
                switch (m.path("loss_type").asText()) {
                    case "stablemax_cross_entropy" -> LossType.STABLEMAX;
                    case "softmax_cross_entropy" -> LossType.SOFTMAX;
                    default -> throw new IllegalArgumentException("loss_type " + m.path("loss_type"));
                };
        Architecture name = architecture(m);
        boolean hrm = name == Architecture.HRM;
        boolean transformer = name == Architecture.TRANSFORMER;
        boolean oneStep = m.path("gradient").asText("last_cycle").equals("one_step");
        return new ArchConfig(
                name,
                m.path("hidden_size").intValue(),
                m.path("num_heads").intValue(),
                m.path("expansion").doubleValue(),
                m.path("mlp_t").booleanValue(),
                PosEncodings.valueOf(m.path("pos_encodings").asText().toUpperCase(Locale.ROOT)),
                m.path("rope_theta").doubleValue(),
                m.path("rms_norm_eps").doubleValue(),
                transformer ? 0 : m.path("L_layers").intValue(),
                m.path("H_layers").intValue(),
                transformer ? 1 : m.path("H_cycles").intValue(),
                transformer ? 0 : m.path("L_cycles").intValue(),
                name == Architecture.MULTI_SCALE ? m.path("num_scales").intValue() : 1,
                m.path("separate_nets").asBoolean(),
                hrm || oneStep && !transformer ? GradientSpan.ONE_STEP : GradientSpan.LAST_CYCLE,
                m.path("puzzle_emb_ndim").intValue(),
                hrm || transformer ? 0 : m.path("puzzle_emb_len").intValue(),
                !hrm && (transformer || m.path("no_ACT_continue").asBoolean(true)),
                m.path("halt_max_steps").intValue(),
                m.path("halt_exploration_prob").doubleValue(),
                loss,
                dtype == Dtype.BF16 ? "bfloat16" : "float32",
                Equilibrium.NONE);
    }

    private ModelSizes sizes(JsonNode m, int lanes) {
        return new ModelSizes(
                arch(m),
                new DataShape(
                        m.path("seq_len").intValue(),
                        m.path("vocab_size").intValue(),
                        m.path("num_puzzle_identifiers").intValue()),
                lanes);
    }

    private static TrainConfig training(JsonNode t, ModelSizes sizes, int globalBatch) {
        return new TrainConfig(
                sizes.arch(),
                List.of("recorded batches"),
                sizes.data(),
                globalBatch,
                1,
                null,
                null,
                t.path("lr").doubleValue(),
                t.path("lr_min_ratio").doubleValue(),
                t.path("lr_warmup_steps").intValue(),
                t.path("beta1").doubleValue(),
                t.path("beta2").doubleValue(),
                t.path("weight_decay").doubleValue(),
                t.path("puzzle_emb_lr").doubleValue(),
                t.path("puzzle_emb_weight_decay").doubleValue(),
                false,
                true,
                t.path("ema_rate").doubleValue(),
                0,
                null,
                null,
                t.path("optimizer").asText("adam_atan2"),
                0,
                0,
                1,
                0,
                1,
                0,
                0,
                0,
                "float32",
                Recompute.NONE,
                1,
                0,
                OnNan.STOP);
    }

    /** Weights of the case as initial weights; the moving average, if there is one, starts equal to them. */
    private void load(GoldenCase c, Parameters p) {
        String root = Parameters.ROOT;
        for (String name : p.names()) {
            HostCopy.put(backend, p.masterOf(name), c.floats(root + name));
        }
        for (int i = 0; i < p.latentInits().size(); i++) {
            HostCopy.put(backend, p.latentInits().get(i), c.floats(p.latentInitName(i)));
        }
        if (p.puzzleTable() != null) {
            HostCopy.put(backend, p.puzzleTable(), c.floats(root + "puzzle_emb.weights"));
        }
        if (p.average() != null) {
            backend.kernels().copy(p.master(), p.average());
        }
        p.refreshWorking();
    }

    /** A recorded batch as a data set of as many examples; {@link #fill} gives it its values. */
    private static Kernels.Examples examples(Arena arena, ModelSizes s) {
        return new Kernels.Examples(
                arena.tensor("data", "batch.inputs", Dtype.U8, s.lanes(), s.tokens()),
                arena.tensor("data", "batch.labels", Dtype.U8, s.lanes(), s.tokens()),
                arena.tensor("data", "batch.ids", Dtype.I32, s.lanes()),
                IGNORED_BYTE);
    }

    private void fill(Kernels.Examples data, GoldenCase c, String prefix) {
        HostCopy.put(backend, data.inputs(), c.ints(prefix + "inputs"));
        int[] labels = c.ints(prefix + "labels");
        for (int i = 0; i < labels.length; i++) {
            labels[i] = labels[i] == IGNORED ? IGNORED_BYTE : labels[i];
        }
        HostCopy.put(backend, data.labels(), labels);
        HostCopy.put(backend, data.ids(), c.ints(prefix + "puzzle_identifiers"));
    }

    private static int[] rowNumbers(int lanes) {
        int[] rows = new int[lanes];
        Arrays.setAll(rows, i -> i);
        return rows;
    }

    /** Training steps from a recorded carry, each step's results and updates. */
    void trajectory(GoldenCase c) {
        JsonNode head = c.head();
        int lanes = (int) c.shape("carry0.steps")[0];
        ModelSizes sizes = sizes(head.path("model"), lanes);
        JsonNode training = head.path("training");
        TrainConfig config =
                training(training, sizes, head.path("global_batch_size").asInt(lanes));
        try (Arena arena = new Arena(backend)) {
            Parameters parameters = new Parameters(backend, arena, sizes, true);
            load(c, parameters);
            Kernels.Examples data = examples(arena, sizes);
            try (DeepSupervision run = new DeepSupervision(
                    backend,
                    arena,
                    sizes,
                    parameters,
                    config,
                    training.path("total_steps").longValue(),
                    data)) {
                setCarry(c, sizes.arch().latents(), run.lanes());
                for (int step = 1; step <= head.path("steps").intValue(); step++) {
                    String at = "step" + step + ".";
                    fill(data, c, at + "batch.");
                    HostCopy.put(backend, run.minSteps(), c.ints(at + "min_halt_steps"));
                    backend.kernels().zero(run.metrics());
                    run.offer(rowNumbers(lanes));
                    run.advance();
                    run.forwardBackward();
                    double continueLoss = checkContinue(c, at, run);
                    checkAnswers(c, at, run.model(), run.tokens(), run.halts(), run.lanes(), continueLoss);
                    checkMetrics(c, at + "metric.", run.metrics());
                    checkGradients(c, at, parameters, run.model());
                    run.update();
                    checkUpdate(c, at, parameters, HostCopy.doubles(backend, run.controls()));
                }
            }
        }
    }

    private void setCarry(GoldenCase c, List<String> latents, Kernels.Lanes lanes) {
        for (int i = 0; i < latents.size(); i++) {
            HostCopy.put(backend, lanes.latents().get(i), c.floats("carry0.z_" + latents.get(i)));
        }
        HostCopy.put(backend, lanes.steps(), c.ints("carry0.steps"));
        HostCopy.put(backend, lanes.halted(), c.ints("carry0.halted"));
        HostCopy.put(backend, lanes.inputs(), c.ints("carry0.inputs"));
        HostCopy.put(backend, lanes.labels(), c.ints("carry0.labels"));
        HostCopy.put(backend, lanes.ids(), c.ints("carry0.puzzle_identifiers"));
    }

    /** The continue loss of a step, 0 without one, with its target and the further pass behind it. */
    private double checkContinue(GoldenCase c, String at, DeepSupervision run) {
        if (run.continues() == null) {
            return 0;
        }
        double loss =
                Arrays.stream(HostCopy.doubles(backend, run.continues().loss())).sum();
        c.check(at + "next_q_halt_logits", () -> column(run.nextQ(), 0));
        c.check(at + "next_q_continue_logits", () -> column(run.nextQ(), 1));
        c.check(at + "target_q_continue", backend, run.continues().target());
        c.check(at + "loss.q_continue_loss", () -> new double[] {loss});
        return loss;
    }

    /** What a supervision step says and leaves in its lanes. */
    private void checkAnswers(
            GoldenCase c,
            String at,
            Model model,
            Kernels.TokenResults tokens,
            Kernels.HaltResults halts,
            Kernels.Lanes lanes,
            double continueLoss) {
        c.check(at + "logits", () -> tokenLogits(model));
        c.check(at + "q_halt_logits", () -> column(model.q(), 0));
        c.check(at + "q_continue_logits", () -> column(model.q(), 1));
        c.check(at + "preds", backend, tokens.preds());
        c.check(at + "exact", backend, halts.exact());
        double lmLoss =
                Arrays.stream(HostCopy.doubles(backend, tokens.laneLoss())).sum();
        double haltLoss =
                Arrays.stream(HostCopy.doubles(backend, halts.haltLoss())).sum();
        c.check(at + "loss.lm_loss", () -> new double[] {lmLoss});
        c.check(at + "loss.q_halt_loss", () -> new double[] {haltLoss});
        c.check(at + "loss.total", () -> new double[] {lmLoss + 0.5 * (haltLoss + continueLoss)});
        checkLatents(c, at + "carry.z_", model.sizes().arch().latents(), lanes);
        c.check(at + "carry.steps", backend, lanes.steps());
        c.check(at + "carry.halted", backend, lanes.halted());
        c.check(at + "carry.inputs", backend, lanes.inputs());
        c.check(at + "carry.labels", backend, lanes.labels());
        c.check(at + "carry.puzzle_identifiers", backend, lanes.ids());
    }

    private void checkLatents(GoldenCase c, String at, List<String> latents, Kernels.Lanes lanes) {
        for (int i = 0; i < latents.size(); i++) {
            c.check(at + latents.get(i), backend, lanes.latents().get(i));
        }
    }

    /** Logits without those of the prefix, which mean nothing: [B, L, V]. */
    private double[] tokenLogits(Model model) {
        ModelSizes s = model.sizes();
        double[] all = GoldenCase.read(backend, model.logits());
        int lane = s.positions() * s.vocabulary();
        int kept = s.tokens() * s.vocabulary();
        double[] tokens = new double[s.lanes() * kept];
        for (int b = 0; b < s.lanes(); b++) {
            System.arraycopy(all, b * lane + lane - kept, tokens, b * kept, kept);
        }
        return tokens;
    }

    private double[] column(Tensor pairs, int column) {
        double[] all = GoldenCase.read(backend, pairs);
        double[] values = new double[all.length / 2];
        Arrays.setAll(values, b -> all[2 * b + column]);
        return values;
    }

    private void checkMetrics(GoldenCase c, String at, Tensor metrics) {
        double[] sums = HostCopy.doubles(backend, metrics);
        for (Kernels.Metric metric : Kernels.Metric.values()) {
            String name = metric.name().toLowerCase(Locale.ROOT);
            c.check(at + name, () -> new double[] {sums[metric.ordinal()]});
        }
    }

    private void checkGradients(GoldenCase c, String at, Parameters p, Model model) {
        for (String name : p.names()) {
            c.check(
                    at + "grad." + Parameters.ROOT + name,
                    backend,
                    p.gradients().get(name));
        }
        if (model.puzzleRowGradients() != null) {
            c.check(at + "grad_puzzle_rows", backend, model.puzzleRowGradients());
        }
    }

    private void checkUpdate(GoldenCase c, String at, Parameters p, double[] controls) {
        for (String name : p.names()) {
            c.check(at + "param." + Parameters.ROOT + name, backend, p.masterOf(name));
            c.check(at + "ema." + Parameters.ROOT + name, backend, p.averageOf(name));
        }
        if (p.puzzleTable() != null) {
            c.check(at + "param." + Parameters.ROOT + "puzzle_emb.weights", backend, p.puzzleTable());
        }
        c.check(at + "lr", () -> new double[] {controls[1]});
        c.check(at + "puzzle_emb_lr", () -> new double[] {controls[2]});
    }

    /** All supervision steps of one batch, forward only. */
    void evaluation(GoldenCase c) {
        evaluation(c, parameters -> load(c, parameters));
    }

    /** The same with the weights of a published checkpoint, read from that file; the case tells what is in it. */
    void checkpoint(GoldenCase c, Path file) {
        evaluation(c, parameters -> {
            Checkpoint.readWeights(TorchFile.read(file), backend, parameters, false);
            checkContent(c, parameters);
        });
    }

    private void evaluation(GoldenCase c, Consumer<Parameters> weights) {
        int lanes = (int) c.shape("batch.inputs")[0];
        ModelSizes sizes = sizes(c.head().path("model"), lanes);
        try (Arena arena = new Arena(backend)) {
            Parameters parameters = new Parameters(backend, arena, sizes, false);
            weights.accept(parameters);
            Kernels.Examples data = examples(arena, sizes);
            fill(data, c, "batch.");
            try (Evaluator run = new Evaluator(
                    backend,
                    arena,
                    sizes,
                    parameters,
                    parameters.weights(),
                    sizes.arch().haltMaxSteps())) {
                run.run(
                        data,
                        rowNumbers(lanes),
                        step -> checkAnswers(
                                c, "step" + step + ".", run.model(), run.tokens(), run.halts(), run.lanes(), 0));
                checkMetrics(c, "final.metric.", run.metrics());
                checkLatents(c, "final.z_", sizes.arch().latents(), run.lanes());
            }
        }
    }

    /** The weights as the model holds them, for a case that expects the content of a file. */
    private void checkContent(GoldenCase c, Parameters p) {
        String prefix = "_orig_mod.";
        String root = prefix + Parameters.ROOT;
        for (String name : p.names()) {
            c.check(root + name, backend, p.masterOf(name));
        }
        for (int i = 0; i < p.latentInits().size(); i++) {
            c.check(prefix + p.latentInitName(i), backend, p.latentInits().get(i));
        }
        if (p.puzzleTable() != null) {
            c.check(root + "puzzle_emb.weights", backend, p.puzzleTable());
        }
    }
}
