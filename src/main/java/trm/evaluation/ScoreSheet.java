package trm.evaluation;

import java.util.Arrays;

/**
 * The score of puzzles whose answers come in any order: sums are formed in the order of the puzzles, so that they are the
 * same whatever the batch. The rules are those of the device's {@code metrics}.
 */
final class ScoreSheet {
    private final double[] accuracy; // -1 without labels, or before the answer has come
    private final boolean[] exact;
    private final boolean[] qRight;
    private final double[] loss;
    private final int[] steps;

    ScoreSheet(int puzzles) {
        accuracy = new double[puzzles];
        Arrays.fill(accuracy, -1);
        exact = new boolean[puzzles];
        qRight = new boolean[puzzles];
        loss = new double[puzzles];
        steps = new int[puzzles];
    }

    /** The answer to a puzzle, as lane {@code b} of a reading has it; {@code stepsTaken} for it. */
    void put(int puzzle, EvaluationLanes.Reading reading, int b, int stepsTaken) {
        put(puzzle, reading.hits()[b], reading.labelled()[b], reading.qHalt()[b], reading.loss()[b], stepsTaken);
    }

    void put(int puzzle, int hits, int labelled, float qHalt, double lmLoss, int stepsTaken) {
        if (labelled > 0) {
            accuracy[puzzle] = (double) hits / labelled;
        }
        exact[puzzle] = hits == labelled;
        qRight[puzzle] = qHalt >= 0 == exact[puzzle];
        loss[puzzle] = lmLoss;
        steps[puzzle] = stepsTaken;
    }

    Score score() {
        long count = 0;
        long exactCount = 0;
        long rightCount = 0;
        long stepSum = 0;
        double accuracySum = 0;
        double lossSum = 0;
        for (int i = 0; i < accuracy.length; i++) {
            lossSum += loss[i];
            if (accuracy[i] >= 0) {
                count++;
                accuracySum += accuracy[i];
                exactCount += exact[i] ? 1 : 0;
                rightCount += qRight[i] ? 1 : 0;
                stepSum += steps[i];
            }
        }
        double n = Math.max(1, count);
        return new Score(count, accuracySum / n, exactCount / n, rightCount / n, lossSum / n, stepSum / n);
    }
}
