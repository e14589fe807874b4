package trm.data;

import java.util.List;
import java.util.Optional;
import trm.data.arc.ArcPuzzle;
import trm.data.maze.MazePuzzle;
import trm.data.own.OwnPuzzle;
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
     * The kind of a split's puzzles, as their author says. The published files do not name it: then it follows from the sizes in
     * dataset.json and from the rules that the first example keeps.
     */
    public static Puzzle of(Dataset data) {
        return data.own().map(Puzzles::of).orElseGet(() -> recognised(data));
    }

    /** The known kind whose rules an author's puzzles keep, else they themselves. */
    public static Puzzle of(OwnPuzzle own) {
        return named(own.rule()).orElse(own);
    }

    /** The known kind of this key. */
    static Optional<Puzzle> named(String key) {
        return KINDS.stream().filter(kind -> kind.key().equals(key)).findFirst();
    }

    private static Puzzle recognised(Dataset data) {
        return of(data.info().vocabSize(), data.inputRow(0), data.labelRow(0));
    }

    /**
     * The kind of an example.
     *
     * @param vocabulary tokens, padding included
     * @param input tokens
     * @param label tokens
     */
    public static Puzzle of(int vocabulary, int[] input, int[] label) {
        return KINDS.stream()
                .filter(kind -> kind.recognises(vocabulary, input, label))
                .findFirst()
                .orElseThrow();
    }

    /** The first kind whose puzzles have such sizes: the best guess where no example is there. */
    public static Puzzle ofShape(int cells, int vocabulary) {
        return KINDS.stream()
                .filter(kind -> kind.hasShape(cells, vocabulary))
                .findFirst()
                .orElseThrow();
    }
}
