package trm.data;

import java.util.List;
import trm.data.arc.ArcPuzzle;
import trm.data.maze.MazePuzzle;
import trm.data.puzzle.OtherPuzzle;
import trm.data.puzzle.Puzzle;
import trm.data.sudoku.SudokuPuzzle;

/** The one place where the kind of a dataset's puzzles is determined. */
public final class Puzzles {
    /** In the order in which they are asked. */
    private static final List<Puzzle> KINDS =
            List.of(ArcPuzzle.INSTANCE, SudokuPuzzle.INSTANCE, MazePuzzle.INSTANCE, OtherPuzzle.INSTANCE);

    private Puzzles() {}

    /**
     * The kind of a split's puzzles. The published files do not name it: it follows from the sizes in dataset.json and from the
     * rules that the first example keeps.
     */
    public static Puzzle of(Dataset data) {
        int[] input = data.inputRow(0);
        int[] label = data.labelRow(0);
        return KINDS.stream()
                .filter(kind -> kind.recognises(data.info().vocabSize(), input, label))
                .findFirst()
                .orElseThrow();
    }
}
