package trm.evaluation;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Collective;
import trm.device.HaltRule;
import trm.device.HeadKernels;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Metric;
import trm.device.RankExchange;
import trm.device.Tensor;
import trm.lanes.RepeatedStep;
import trm.model.Model;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * Runs every sample for a fixed number of supervision steps, forward only
 * (docs/specification.md#6-deep-supervision-and-halting).
 */
public final class Evaluator implements Evaluation {
    /** Sees the lanes beside each supervision step of a batch, counted from 1. */
    @FunctionalInterface
    public interface StepListener {
        void step(int step);
    }

    private final Backend backend;
    private final EvaluationLanes evaluation;
    private final int steps;
    private List<Double> exactByStep = List.of();

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

    /** @param graphs whether steps are captured and replayed; the results are the same bits */
    public Evaluator(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            Parameters.WeightSet weights,
            int steps,
            boolean graphs) {
        this.backend = backend;
        this.steps = steps;
        evaluation = new EvaluationLanes(backend, arena, sizes, parameters, weights, steps, HaltRule.LAST, graphs);
    }

    /** All of {@code examples}, or the first {@code limit}; a remainder fills its batch with empty lanes. */
    public Score evaluate(LaneKernels.Examples examples, long limit) {
        return evaluate(examples, limit, () -> false, null).orElseThrow();
    }

    /** Asks {@code stop} before each batch; {@code answers} sees a batch after its last supervision step. */
    @Override
    public Optional<Score> evaluate(
            LaneKernels.Examples examples, long limit, BooleanSupplier stop, AnswerListener answers) {
        int count = (int) Math.min(limit, examples.ids().count());
        return evaluate(examples, IntStream.range(0, count).toArray(), stop, answers);
    }

    /**
     * As above, of these examples, in this order. Each rank takes an equal part of them, one after the other, and {@code answers}
     * sees that part; the score is that of all. If one rank is asked to stop, all give up.
     */
    public Optional<Score> evaluate(
            LaneKernels.Examples examples, int[] exampleRows, BooleanSupplier stop, AnswerListener answers) {
        Collective ranks = backend.collective();
        int first = rankStart(exampleRows.length, ranks.rank(), ranks.ranks());
        int end = rankStart(exampleRows.length, ranks.rank() + 1, ranks.ranks());
        backend.kernels().elementwise().zero(evaluation.metrics());
        int most = (exampleRows.length + ranks.ranks() - 1) / ranks.ranks();
        if (!evaluate(examples, Arrays.copyOfRange(exampleRows, first, end), most, answers, stop)) {
            return Optional.empty();
        }
        ranks.allReduce(evaluation.metrics());
        double[] all = HostCopy.doubles(backend, evaluation.metrics());
        double[] m = Arrays.copyOfRange(all, all.length - HeadKernels.METRICS, all.length);
        double n = Math.max(1, m[Metric.COUNT.ordinal()]);
        exactByStep = IntStream.range(0, steps)
                .mapToObj(k -> all[k * HeadKernels.METRICS + Metric.EXACT_ACCURACY.ordinal()] / n)
                .toList();
        return Optional.of(new Score(
                (long) m[Metric.COUNT.ordinal()],
                m[Metric.ACCURACY.ordinal()] / n,
                m[Metric.EXACT_ACCURACY.ordinal()] / n,
                m[Metric.Q_HALT_ACCURACY.ordinal()] / n,
                m[Metric.LM_LOSS.ordinal()] / n,
                m[Metric.STEPS.ordinal()] / n));
    }

    /**
     * Share of the last evaluation's samples without a wrong token after 1, 2, ... supervision steps; the last is the score's.
     * Empty before the first.
     */
    public List<Double> exactByStep() {
        return exactByStep;
    }

    private static int rankStart(int count, int rank, int ranks) {
        return (int) ((long) count * rank / ranks);
    }

    /** False if a rank was asked to stop: before each batch, all agree. @param most samples of a rank */
    private boolean evaluate(
            LaneKernels.Examples examples, int[] exampleRows, int most, AnswerListener answers, BooleanSupplier stop) {
        int count = exampleRows.length;
        int batch = evaluation.count();
        int[] hostRows = new int[batch];
        for (int from = 0; from < most; from += batch) {
            if (RankExchange.any(backend, stop.getAsBoolean())) {
                return false;
            }
            if (from >= count) {
                continue; // other ranks have one more
            }
            for (int b = 0; b < batch; b++) {
                hostRows[b] = from < count - b ? exampleRows[from + b] : -1;
            }
            run(examples, hostRows, step -> {
                if (answers != null && answers.seesSteps()) {
                    tell(answers, hostRows, step);
                }
            });
            if (answers != null) {
                EvaluationLanes.Reading reading = evaluation.read();
                answers.answered(hostRows, reading.predictions(), reading.qHalt());
            }
        }
        return true;
    }

    private void tell(AnswerListener answers, int[] rows, int step) {
        EvaluationLanes.Reading reading = evaluation.read();
        int[] steps = new int[rows.length];
        Arrays.fill(steps, step);
        answers.stepped(rows, steps, reading.predictions(), reading.qHalt(), reading.qContinue());
    }

    /** One batch from fresh lanes; what its last step finds is added to {@link #metrics()}. */
    public void run(LaneKernels.Examples examples, int[] exampleRows, StepListener after) {
        run(examples, exampleRows, null, after);
    }

    /**
     * As above.
     *
     * @param before may change the latents before each step, the first included; null for nobody
     */
    void run(LaneKernels.Examples examples, int[] exampleRows, StepListener before, StepListener after) {
        evaluation.offer(exampleRows);
        evaluation.restart(examples);
        if (before != null) {
            evaluation.admit();
        }
        for (int step = 1; step <= steps; step++) {
            if (before != null) {
                before.step(step);
            }
            evaluation.step();
            evaluation.addMetrics(step);
            after.step(step);
        }
    }

    /** What the last step has left behind; waits for it. */
    EvaluationLanes.Reading read() {
        return evaluation.read();
    }

    /** Whether steps are replays of a captured graph. */
    public boolean captured() {
        return evaluation.captured();
    }

    public Model model() {
        return evaluation.model();
    }

    public LaneKernels.Lanes lanes() {
        return evaluation.lanes();
    }

    public HeadKernels.TokenResults tokens() {
        return evaluation.tokens();
    }

    public HeadKernels.HaltResults halts() {
        return evaluation.halts();
    }

    /** [METRICS] float64: sums of the last supervision step. */
    public Tensor metrics() {
        return evaluation.metrics(steps);
    }

    /** Gives back what is not the arena's; before the arena is closed. */
    @Override
    public void close() {
        evaluation.close();
    }
}
