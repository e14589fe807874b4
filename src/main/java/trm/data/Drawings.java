package trm.data;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import trm.data.format.DatasetInfo;
import trm.data.own.OwnPuzzle;
import trm.data.own.PuzzleJson;
import trm.input.DataException;
import trm.input.Shown;

/** How the authors of a data set's puzzles write and draw them, as the folders say that are merged in it. */
final class Drawings {
    private Drawings() {}

    /**
     * What the folders say that have such a file.
     *
     * @return empty if none has
     * @throws DataException if a file is wrong, or folders contradict each other
     */
    static Optional<OwnPuzzle> of(List<Path> folders, DatasetInfo info) {
        OwnPuzzle puzzle = null;
        Path from = null;
        for (Path folder : folders) {
            Optional<OwnPuzzle> own = PuzzleJson.read(folder, info);
            if (own.isEmpty()) {
                continue;
            }
            Path file = folder.resolve(PuzzleJson.FILE);
            String rule = own.get().rule();
            if (!rule.equals(OwnPuzzle.KEY)
                    && Puzzles.named(rule)
                            .filter(kind -> kind.hasRules() && kind.hasShape(info.seqLen(), info.vocabSize()))
                            .isEmpty()) {
                throw new DataException(file + ": field 'rule': found " + Shown.quoted(rule) + ", expected "
                        + OwnPuzzle.KEY + ", or sudoku or maze for puzzles of their sizes");
            }
            if (puzzle != null && !own.get().equals(puzzle)) {
                boolean letters = !Objects.equals(own.get().alphabet(), puzzle.alphabet());
                throw new DataException(file + ": found "
                        + (letters
                                ? "the alphabet " + Shown.quoted(own.get().alphabet()) + ", expected "
                                        + Shown.quoted(puzzle.alphabet())
                                : "another board, rule, empty symbol or symmetry, expected the same")
                        + " as in " + from + ": only folders that agree are merged");
            }
            puzzle = own.get();
            from = file;
        }
        return Optional.ofNullable(puzzle);
    }
}
