package trm.evaluation;

import java.util.List;

/** Sees the answers of an evaluation, group by group. */
@FunctionalInterface
public interface AnswerListener {
    /**
     * @param rows example that each answer is to, -1 for none
     * @param predictions token of highest logit, answer by answer: [rows, tokens]
     * @param qHalt halting logits [rows]
     */
    void answered(int[] rows, int[] predictions, float[] qHalt);

    /** Whether it is to see every supervision step. The device is then read after each of them. */
    default boolean seesSteps() {
        return false;
    }

    /**
     * What a supervision step has left behind, before {@link #answered} says what counts. Of several tries at an example these are
     * the steps of the chosen one.
     *
     * @param rows example of each lane, -1 for none
     * @param steps that the lane has spent on it [rows]
     * @param predictions token of highest logit, lane by lane: [rows, tokens]
     * @param qHalt halting logits [rows]
     * @param qContinue continuing logits [rows]
     */
    default void stepped(int[] rows, int[] steps, int[] predictions, float[] qHalt, float[] qContinue) {}

    /** Several, each of which sees all. */
    static AnswerListener all(List<AnswerListener> listeners) {
        return new AnswerListener() {
            @Override
            public void answered(int[] rows, int[] predictions, float[] qHalt) {
                listeners.forEach(listener -> listener.answered(rows, predictions, qHalt));
            }

            @Override
            public boolean seesSteps() {
                return listeners.stream().anyMatch(AnswerListener::seesSteps);
            }

            @Override
            public void stepped(int[] rows, int[] steps, int[] predictions, float[] qHalt, float[] qContinue) {
                listeners.forEach(listener -> listener.stepped(rows, steps, predictions, qHalt, qContinue));
            }
        };
    }
}
