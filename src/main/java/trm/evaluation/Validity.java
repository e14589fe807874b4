package trm.evaluation;

import java.util.Arrays;
import java.util.Optional;
import trm.data.Dataset;
import trm.data.Puzzles;
import trm.data.puzzle.Puzzle;

/**
 * Counts the answers that keep the rules of Sudoku or of mazes: for puzzles with several solutions, of which a label has
 * one, and for telling wrong answers without labels.
 */
public final class Validity implements AnswerListener {
    private final Dataset data;
    private final Puzzle kind;
    private long answers;
    private long valid;

    private Validity(Dataset data, Puzzle kind) {
        this.data = data;
        this.kind = kind;
    }

    /** Empty for puzzles whose rules are not known. */
    public static Optional<Validity> of(Dataset data) {
        Puzzle kind = Puzzles.of(data);
        return kind.hasRules() ? Optional.of(new Validity(data, kind)) : Optional.empty();
    }

    @Override
    public void answered(int[] rows, int[] predictions, float[] qHalt) {
        int length = data.seqLen();
        for (int i = 0; i < rows.length; i++) {
            if (rows[i] >= 0) {
                int[] answer = Arrays.copyOfRange(predictions, i * length, (i + 1) * length);
                answers++;
                valid += kind.solves(data.inputRow(rows[i]), answer) ? 1 : 0;
            }
        }
    }

    /** Share of the answers seen. */
    public double share() {
        return valid / (double) Math.max(1, answers);
    }
}
