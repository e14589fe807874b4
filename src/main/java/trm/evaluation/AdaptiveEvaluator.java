package trm.evaluation;

import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import trm.config.ArchConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HaltRule;
import trm.device.LaneKernels;
import trm.lanes.RepeatedStep;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * Gives each sample as many supervision steps as its halt head asks for, by the rule of training
 * (docs/specification.md#6-deep-supervision-and-halting) without exploration: the published code keeps that for
 * training and its evaluations take all the steps. A lane that has halted hands over its answer and takes the next
 * sample, so that no lane waits for the slowest of a batch.
 *
 * <p>What becomes of a sample depends on nothing but the sample, so scores are the same for any number of lanes, on a device
 * whose products are (the CPU; a GPU may choose another algorithm for another batch, which rounds differently).
 */
public final class AdaptiveEvaluator implements Evaluation {
    private final EvaluationLanes evaluation;

    /** @param maxSteps supervision steps after which a sample must halt */
    public AdaptiveEvaluator(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            Parameters.WeightSet weights,
            int maxSteps) {
        this(backend, arena, sizes, parameters, weights, maxSteps, RepeatedStep.graphs());
    }

    /** @param graphs whether steps are captured and replayed; the results are the same bits */
    AdaptiveEvaluator(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            Parameters.WeightSet weights,
            int maxSteps,
            boolean graphs) {
        evaluation =
                new EvaluationLanes(backend, arena, sizes, parameters, weights, maxSteps, ruleOf(sizes.arch()), graphs);
    }

    /** The rule by which lanes of this system halt in training. */
    static HaltRule ruleOf(ArchConfig arch) {
        return arch.haltsOnSign() ? HaltRule.SIGN : HaltRule.COMPARE;
    }

    /** Asks {@code stop} before each step; {@code answers} sees the samples in the order in which lanes halt. */
    @Override
    public Optional<Score> evaluate(
            LaneKernels.Examples examples, long limit, BooleanSupplier stop, AnswerListener answers) {
        int count = (int) Math.min(limit, examples.ids().count());
        ScoreSheet sheet = new ScoreSheet(count);
        int[] rows = new int[evaluation.count()]; // sample of each lane, -1 for none
        int next = admit(rows, 0, count, null);
        evaluation.offer(rows);
        evaluation.restart(examples);
        for (int done = 0; done < count; ) {
            if (stop.getAsBoolean()) {
                return Optional.empty();
            }
            evaluation.step();
            if (answers != null && answers.seesSteps()) {
                EvaluationLanes.Reading reading = evaluation.read();
                answers.stepped(rows, reading.steps(), reading.predictions(), reading.qHalt(), reading.qContinue());
            }
            int[] halted = evaluation.halted();
            if (IntStream.range(0, rows.length).anyMatch(b -> halted[b] != 0 && rows[b] >= 0)) {
                done += retire(halted, rows, sheet, answers);
                next = admit(rows, next, count, halted);
                evaluation.offer(rows);
            }
        }
        return Optional.of(sheet.score());
    }

    /** Samples from {@code next} on for the lanes that halted, null for all; the first sample that none has taken. */
    private static int admit(int[] rows, int next, int count, int[] halted) {
        int at = next;
        for (int b = 0; b < rows.length; b++) {
            if (halted == null || halted[b] != 0) {
                rows[b] = at < count ? at++ : -1;
            }
        }
        return at;
    }

    /** Hands over what the halted lanes say; how many samples that were. */
    private int retire(int[] halted, int[] rows, ScoreSheet sheet, AnswerListener answers) {
        EvaluationLanes.Reading reading = evaluation.read();
        int[] retired = new int[rows.length];
        int count = 0;
        for (int b = 0; b < rows.length; b++) {
            retired[b] = halted[b] != 0 ? rows[b] : -1;
            if (retired[b] >= 0) {
                sheet.put(rows[b], reading, b, reading.steps()[b]);
                count++;
            }
        }
        if (answers != null && count > 0) {
            answers.answered(retired, reading.predictions(), reading.qHalt());
        }
        return count;
    }

    /** Whether steps are replays of a captured graph. */
    public boolean captured() {
        return evaluation.captured();
    }

    /** Gives back what is not the arena's; before the arena is closed. */
    @Override
    public void close() {
        evaluation.close();
    }
}
