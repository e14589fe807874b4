package trm.evaluation;

/** Sees the answers of an evaluation, group by group. */
@FunctionalInterface
public interface AnswerListener {
    /**
     * @param rows example that each answer is to, -1 for none
     * @param predictions token of highest logit, answer by answer: [rows, tokens]
     * @param qHalt halting logits [rows]
     */
    void answered(int[] rows, int[] predictions, float[] qHalt);
}
