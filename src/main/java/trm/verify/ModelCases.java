package trm.verify;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HeadKernels;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Metric;
import trm.device.Purpose;
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
        return CaseConfig.architecture(model) == null
                ? "arch " + model.path("arch").asText()
                : null;
    }

    private static ModelSizes sizes(TrainConfig config, int lanes) {
        return new ModelSizes(config.arch(), config.data().shape(), lanes);
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
            backend.kernels().elementwise().copy(p.master(), p.average());
        }
        p.refreshWorking();
    }

    /** A golden batch as a data set of as many examples; {@link #fill} gives it its values. */
    private static LaneKernels.Examples examples(Arena arena, ModelSizes s) {
        return new LaneKernels.Examples(
                arena.tensor(Purpose.DATA, "batch.inputs", Dtype.U8, s.lanes(), s.tokens()),
                arena.tensor(Purpose.DATA, "batch.labels", Dtype.U8, s.lanes(), s.tokens()),
                arena.tensor(Purpose.DATA, "batch.ids", Dtype.I32, s.lanes()),
                IGNORED_BYTE);
    }

    private void fill(LaneKernels.Examples data, GoldenCase c, String prefix) {
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

    /** Training steps from a golden carry, each step's results and updates. */
    void trajectory(GoldenCase c) {
        JsonNode head = c.head();
        int lanes = (int) c.shape("carry0.steps")[0];
        JsonNode training = head.path("training");
        TrainConfig config = CaseConfig.of(
                head.path("model"),
                dtype,
                training,
                head.path("global_batch_size").asInt(lanes));
        ModelSizes sizes = sizes(config, lanes);
        try (Arena arena = new Arena(backend)) {
            Parameters parameters = new Parameters(backend, arena, sizes, true);
            load(c, parameters);
            LaneKernels.Examples data = examples(arena, sizes);
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
                    backend.kernels().elementwise().zero(run.metrics());
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

    private void setCarry(GoldenCase c, List<String> latents, LaneKernels.Lanes lanes) {
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
            HeadKernels.TokenResults tokens,
            HeadKernels.HaltResults halts,
            LaneKernels.Lanes lanes,
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
        double weight = model.sizes().arch().loss().haltWeight();
        c.check(at + "loss.lm_loss", () -> new double[] {lmLoss});
        c.check(at + "loss.q_halt_loss", () -> new double[] {haltLoss});
        c.check(at + "loss.total", () -> new double[] {lmLoss + weight * (haltLoss + continueLoss)});
        checkLatents(c, at + "carry.z_", model.sizes().arch().latents(), lanes);
        c.check(at + "carry.steps", backend, lanes.steps());
        c.check(at + "carry.halted", backend, lanes.halted());
        c.check(at + "carry.inputs", backend, lanes.inputs());
        c.check(at + "carry.labels", backend, lanes.labels());
        c.check(at + "carry.puzzle_identifiers", backend, lanes.ids());
    }

    private void checkLatents(GoldenCase c, String at, List<String> latents, LaneKernels.Lanes lanes) {
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
        for (Metric metric : Metric.values()) {
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
        ModelSizes sizes =
                sizes(CaseConfig.of(c.head().path("model"), dtype, c.head().path("training"), lanes), lanes);
        try (Arena arena = new Arena(backend)) {
            Parameters parameters = new Parameters(backend, arena, sizes, false);
            weights.accept(parameters);
            LaneKernels.Examples data = examples(arena, sizes);
            fill(data, c, "batch.");
            try (Evaluator run = new Evaluator(
                    backend,
                    arena,
                    sizes,
                    parameters,
                    parameters.weights(),
                    sizes.arch().halting().maxSteps())) {
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
