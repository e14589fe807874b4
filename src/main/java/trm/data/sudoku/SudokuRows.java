package trm.data.sudoku;

import java.nio.file.Path;
import java.util.function.Consumer;

/** 9 x 9 puzzles with their answers, which can be read again and are the same each time. */
public interface SudokuRows {
    /** File that they come from. */
    Path file();

    /** Least rating of the puzzles that are read, null for any. */
    Number least();

    /** Hands each row to the sink, in order, holding one at a time. */
    void read(Consumer<SudokuCsv.Row> sink);
}
