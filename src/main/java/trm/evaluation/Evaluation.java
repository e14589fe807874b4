package trm.evaluation;

import java.util.Optional;
import java.util.function.BooleanSupplier;
import trm.device.LaneKernels;

/** A way to evaluate a model. Closed before the arena that it was made in. */
public interface Evaluation extends AutoCloseable {
    /**
     * All of {@code examples}, or those of the first {@code limit} puzzles.
     *
     * @param stop asked now and then; the evaluation is given up when it is true
     * @param answers sees the answers, null for nobody
     * @return empty if it was given up
     */
    Optional<Score> evaluate(LaneKernels.Examples examples, long limit, BooleanSupplier stop, AnswerListener answers);

    @Override
    void close();
}
