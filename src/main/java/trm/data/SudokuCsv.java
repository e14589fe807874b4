package trm.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Sudoku puzzles as CSV ({@link PuzzleCsv}). The question has 81 characters, '.' or '0' blank, row major; the answer 81 digits; the rating is an integer.
 */
public final class SudokuCsv {
    private static final int CELLS = 81;

    private SudokuCsv() {}

    /**
     * One checked row.
     *
     * @param source   where the puzzle came from
     * @param question board [81], 0 blank
     * @param answer   board [81], a legal Sudoku that keeps the question's digits
     * @param rating   difficulty
     */
    public record Row(String source, int[] question, int[] answer, int rating) {}

    /** All rows of a file, in order. */
    public static List<Row> read(Path path) {
        List<Row> rows = new ArrayList<>();
        read(path, rows::add);
        return rows;
    }

    /**
     * Hands each row to the sink, in order, holding one at a time.
     *
     * @throws DataException naming file:line, if the header or a row breaks the format or the rules of Sudoku
     */
    public static void read(Path path, Consumer<Row> sink) {
        PuzzleCsv.read(path, (where, fields) -> sink.accept(row(fields, where)));
    }

    private static Row row(List<String> fields, String where) {
        int[] question = board(fields.get(1), 0, where + "question: ");
        int[] answer = board(fields.get(2), 1, where + "answer: ");
        for (int i = 0; i < CELLS; i++) {
            if (question[i] != 0 && question[i] != answer[i]) {
                throw new DataException(where + "answer: found " + answer[i] + " in " + Boards.cell(9, i)
                        + ", expected the question's " + question[i]);
            }
        }
        if (!legal(answer)) {
            int cell = Boards.conflicts(answer)[0];
            throw new DataException(where + "answer: not a legal sudoku: found " + answer[cell] + " in "
                    + Boards.cell(9, cell) + " repeated, expected each digit once in a row, column and box");
        }
        String rating = fields.get(3);
        try {
            return new Row(fields.get(0), question, answer, Integer.parseInt(rating));
        } catch (NumberFormatException e) {
            throw new DataException(where + "rating: found '" + rating + "', expected an integer", e);
        }
    }

    private static int[] board(String text, int least, String where) {
        if (text.length() != CELLS) {
            throw new DataException(where + "found " + text.length() + " characters, expected " + CELLS);
        }
        int[] digits = new int[CELLS];
        for (int i = 0; i < CELLS; i++) {
            char c = text.charAt(i);
            digits[i] = c == '.' ? 0 : c - '0';
            if (digits[i] < least || digits[i] > 9) {
                throw new DataException(where + "character " + (i + 1) + ": found '" + c + "', expected "
                        + (least == 0 ? "'.' or 0 .. 9" : "1 .. 9"));
            }
        }
        return digits;
    }

    /** {@link Boards#legal} by bit masks: the builders check millions of rows. */
    private static boolean legal(int[] answer) {
        int[] rows = new int[9];
        int[] columns = new int[9];
        int[] boxes = new int[9];
        for (int i = 0; i < CELLS; i++) {
            int bit = 1 << answer[i];
            rows[i / 9] |= bit;
            columns[i % 9] |= bit;
            boxes[i / 27 * 3 + i % 9 / 3] |= bit;
        }
        int all = 0x3FE;
        for (int i = 0; i < 9; i++) {
            if (rows[i] != all || columns[i] != all || boxes[i] != all) {
                return false;
            }
        }
        return true;
    }
}
