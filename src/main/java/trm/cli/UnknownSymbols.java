package trm.cli;

import trm.data.puzzle.OtherPuzzle;
import trm.data.puzzle.Puzzle;

/** Data sets, mostly of earlier versions, that do not say how their puzzles are written: they are shown as digits. */
final class UnknownSymbols {
    private UnknownSymbols() {}

    /** Says so. @return whether that is so */
    static boolean said(String folders, Puzzle kind) {
        if (kind != OtherPuzzle.INSTANCE) {
            return false;
        }
        Cli.message(folders
                + ": no puzzle.json says how its puzzles are written: each cell is shown as a digit, its token - 1"
                + " (trm data csv writes one)");
        return true;
    }
}
