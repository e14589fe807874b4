package trm.train;

import java.util.Optional;
import java.util.function.BooleanSupplier;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Layout;
import trm.device.Tensor;
import trm.model.Model;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * Runs every sample for a fixed number of supervision steps, forward only (reference section 6, evaluation). The first
 * step runs as it is, then it is recorded and replayed, for all batches.
 */
public final class Evaluator implements AutoCloseable {
    /** What an evaluation found over {@code puzzles} samples with labels. */
    public record Result(long puzzles, double accuracy, double exactAccuracy, double qHaltAccuracy, double lmLoss) {}

    /** Sees the answers to a batch after its last supervision step. */
    @FunctionalInterface
    public interface AnswerListener {
        /**
         * @param rows example of each lane, -1 for none
         * @param predictions token of highest logit, lane by lane: [lanes, tokens]
         * @param qHalt halting logits [lanes]
         */
        void answered(int[] rows, int[] predictions, float[] qHalt);
    }

    /** Sees the lanes after each supervision step of a batch. */
    @FunctionalInterface
    public interface StepListener {
        void afterStep(int step);
    }

    private final Backend backend;
    private final Kernels kernels;
    private final Parameters parameters;
    private final Model model;
    private final Kernels.Lanes lanes;
    private final Kernels.TokenResults tokens;
    private final Kernels.HaltResults halts;
    private final RowRing ring;
    private final RepeatedStep repeated;
    private final Tensor allHalted;
    private final Tensor minSteps;
    private final Tensor metrics;
    private final int steps;
    private Kernels.Examples data; // that the step works on, null at first

    /** @param steps supervision steps of every sample */
    public Evaluator(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            Parameters.WeightSet weights,
            int steps) {
        this(backend, arena, sizes, parameters, weights, steps, RepeatedStep.graphs());
    }

    /** @param graphs whether steps are recorded and replayed; the results are the same bits */
    Evaluator(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            Parameters.WeightSet weights,
            int steps,
            boolean graphs) {
        this.backend = backend;
        this.kernels = backend.kernels();
        this.parameters = parameters;
        this.steps = steps;
        arena.turn("evaluation");
        model = Model.forEvaluation(backend, arena, sizes, parameters, weights);
        lanes = LaneTensors.lanes(arena, sizes, Layout.SCRATCH);
        tokens = LaneTensors.tokenResults(arena, sizes);
        halts = LaneTensors.haltResults(arena, sizes, false);
        ring = new RowRing(backend, arena, sizes.lanes(), 1);
        repeated = new RepeatedStep(backend, graphs, this::enqueue);
        allHalted = arena.tensor("lanes", "all_halted", Dtype.I32, sizes.lanes());
        LaneTensors.haltAll(backend, allHalted);
        minSteps = arena.tensor("lanes", "min_steps", Dtype.I32, sizes.lanes());
        metrics = arena.tensor("lanes", "metrics", Dtype.F64, Kernels.METRICS);
    }

    /** All of {@code examples}, or the first {@code limit}; a remainder fills its batch with empty lanes. */
    public Result evaluate(Kernels.Examples examples, long limit) {
        return evaluate(examples, limit, () -> false, null).orElseThrow();
    }

    /**
     * As {@link #evaluate(Kernels.Examples, long)}; empty if {@code stop} came true before the last batch was done.
     *
     * @param answers sees the answers themselves, null for nobody
     */
    public Optional<Result> evaluate(
            Kernels.Examples examples, long limit, BooleanSupplier stop, AnswerListener answers) {
        long count = Math.min(limit, examples.ids().count());
        int batch = (int) allHalted.count();
        kernels.zero(metrics);
        int[] hostRows = new int[batch];
        for (long from = 0; from < count; from += batch) {
            if (stop.getAsBoolean()) {
                return Optional.empty();
            }
            for (int b = 0; b < batch; b++) {
                hostRows[b] = from + b < count ? (int) (from + b) : -1;
            }
            run(examples, hostRows, step -> {});
            if (answers != null) {
                float[] q = HostCopy.floats(backend, model.q());
                float[] halt = new float[batch];
                for (int b = 0; b < batch; b++) {
                    halt[b] = q[2 * b];
                }
                answers.answered(hostRows, HostCopy.ints(backend, tokens.preds()), halt);
            }
        }
        double[] m = HostCopy.doubles(backend, metrics);
        double n = Math.max(1, m[Kernels.Metric.COUNT.ordinal()]);
        return Optional.of(new Result(
                (long) m[Kernels.Metric.COUNT.ordinal()],
                m[Kernels.Metric.ACCURACY.ordinal()] / n,
                m[Kernels.Metric.EXACT_ACCURACY.ordinal()] / n,
                m[Kernels.Metric.Q_HALT_ACCURACY.ordinal()] / n,
                m[Kernels.Metric.LM_LOSS.ordinal()] / n));
    }

    /** One batch from fresh lanes; the metrics of its last step are added to {@link #metrics()}. */
    public void run(Kernels.Examples examples, int[] exampleRows, StepListener listener) {
        if (examples != data) {
            repeated.forget();
            data = examples;
        }
        ring.offer(0, exampleRows);
        kernels.copy(allHalted, lanes.halted());
        for (int step = 1; step <= steps; step++) {
            repeated.run();
            if (step == steps) {
                kernels.metrics(model.q(), tokens, halts, lanes, null, metrics);
            }
            listener.afterStep(step);
        }
    }

    /** The operations of a supervision step, the same in every one. */
    private void enqueue() {
        kernels.admit(ring.rows(), null, data, parameters.latentInits(), lanes);
        model.forward(lanes);
        model.tokenLoss(lanes, tokens, 1);
        kernels.halt(model.q(), tokens, minSteps, lanes, halts, steps, Kernels.HaltRule.LAST, 1);
    }

    /** Whether steps are replays of a record. */
    public boolean recorded() {
        return repeated.recorded();
    }

    public Model model() {
        return model;
    }

    public Kernels.Lanes lanes() {
        return lanes;
    }

    public Kernels.TokenResults tokens() {
        return tokens;
    }

    public Kernels.HaltResults halts() {
        return halts;
    }

    public Tensor metrics() {
        return metrics;
    }

    /** Gives back what is not the arena's; before the arena is closed. */
    @Override
    public void close() {
        repeated.close();
        ring.close();
    }
}
