package trm.data;

import trm.data.puzzle.Puzzle;
import trm.data.puzzle.Symmetries;
import trm.input.DataException;

/** What fresh augmentation draws from: the symmetries of a data set's puzzles. */
public final class FreshSymmetries {
    private FreshSymmetries() {}

    /**
     * Those of a split in the compact form, of which each task is changed anew whenever a lane takes it.
     *
     * @throws DataException if it is in the expanded form, whose copies are examples like any other, if its puzzles have no
     *                       symmetries, or if labels that carry no loss are a token that symmetries rename
     */
    public static Symmetries of(Dataset data) {
        if (data.origins() == null) {
            throw new DataException(
                    "found the expanded form, which does not say which examples are copies, expected the compact one"
                            + " (trm data sudoku --compact, trm data compact)");
        }
        Puzzle kind = Puzzles.of(data);
        Symmetries symmetries = kind.drawnSymmetries(data.seqLen());
        int ignored = data.ignoredLabel();
        if (ignored >= symmetries.firstToken()) {
            throw new DataException("found labels that are ignored as token " + ignored
                    + ", which is renamed with others, expected one below " + symmetries.firstToken());
        }
        return symmetries;
    }
}
