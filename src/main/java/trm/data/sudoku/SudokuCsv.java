package trm.data.sudoku;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import trm.data.table.BoardText;
import trm.data.table.ColumnNames;
import trm.data.table.ColumnNames.Role;
import trm.data.table.PuzzleRow;
import trm.data.table.PuzzleTable;
import trm.input.DataException;
import trm.input.Shown;

/**
 * 9 x 9 Sudokus in a table ({@link PuzzleTable}) of questions, and, where there are, answers, ratings and sources; or a list of
 * questions. Boards have any form of {@link BoardText}. A question without an answer is solved, and has exactly one solution.
 */
public final class SudokuCsv implements SudokuRows {
    private static final int SIDE = 9;
    private static final int CELLS = 81;
    private static final int LONGEST_RATING = 32;

    private final PuzzleTable table;
    private final Number least;
    private final SudokuSolver solver = new SudokuSolver();

    /**
     * One checked row.
     *
     * @param source   where the puzzle came from, "" if that is not known
     * @param question board [81], 0 blank
     * @param answer   board [81], a legal Sudoku that keeps the question's digits
     * @param rating   difficulty, null if that is not known
     * @param solved   whether the file has no answer, and it was found
     */
    public record Row(String source, int[] question, int[] answer, Double rating, boolean solved) {}

    /**
     * A file to read.
     *
     * @param names of its columns
     * @param least rating of the puzzles to read, null for all
     */
    public SudokuCsv(Path file, ColumnNames names, Number least) {
        Set<Role> required = EnumSet.of(Role.QUESTION);
        Set<Role> optional = EnumSet.of(Role.ANSWER, Role.RATING, Role.SOURCE);
        for (Role role : optional) {
            if (names.given(role) != null) {
                required.add(role);
            }
        }
        table = new PuzzleTable(file, names, required, optional, true);
        this.least = least;
    }

    /** All rows of a file, in order. */
    public static List<Row> read(Path path) {
        List<Row> rows = new ArrayList<>();
        new SudokuCsv(path, ColumnNames.USUAL, null).read(rows::add);
        return rows;
    }

    @Override
    public Path file() {
        return table.file();
    }

    @Override
    public Number least() {
        return least;
    }

    /**
     * Hands each row of the least rating or more to the sink, in order, holding one at a time.
     *
     * @throws DataException naming file:line, if a row breaks the format or the rules of Sudoku, a question without an
     *                       answer has not exactly one solution, or a rating that is needed is missing
     */
    @Override
    public void read(Consumer<Row> sink) {
        table.read(row -> {
            Row checked = row(row);
            if (least != null && checked.rating == null) {
                throw new DataException(row.where(Role.RATING) + "found none, expected a number: a least difficulty of "
                        + least + " is asked for");
            }
            if (least == null || checked.rating >= least.doubleValue()) {
                sink.accept(checked);
            }
        });
    }

    private Row row(PuzzleRow row) {
        int[] question = board(row, Role.QUESTION);
        boolean solved = !row.has(Role.ANSWER);
        int[] answer = solved ? solution(row, question) : board(row, Role.ANSWER);
        if (!solved) {
            check(row, question, answer);
        }
        String source = row.text(Role.SOURCE);
        return new Row(source == null ? "" : source, question, answer, rating(row), solved);
    }

    private static int[] board(PuzzleRow row, Role role) {
        if (row.grid(role) == null) {
            int[] plain = BoardText.plain(row.text(role), SIDE);
            return plain != null ? plain : BoardText.read(row.where(role), row.text(role), SIDE);
        }
        int[] board = row.grid(role);
        if (board.length != CELLS) {
            throw new DataException(row.where(role) + "found " + board.length + " cells, expected " + CELLS);
        }
        for (int i = 0; i < CELLS; i++) {
            if (board[i] > SIDE) {
                throw new DataException(
                        row.where(role) + Boards.cell(SIDE, i) + ": found " + board[i] + ", expected 0 .. 9");
            }
        }
        return board;
    }

    private int[] solution(PuzzleRow row, int[] question) {
        String where = row.where(Role.QUESTION);
        List<int[]> solutions;
        try {
            solutions = solver.solutions(question, 2);
        } catch (DataException e) {
            throw new DataException(where + e.getMessage(), e);
        }
        if (solutions.isEmpty()) {
            throw new DataException(where + "has no answer in the file, and no solution, expected exactly one");
        }
        if (solutions.size() > 1) {
            int cell = 0;
            while (solutions.get(0)[cell] == solutions.get(1)[cell]) {
                cell++;
            }
            throw new DataException(where + "has no answer in the file, and more than one solution ("
                    + solutions.get(0)[cell] + " or " + solutions.get(1)[cell] + " in " + Boards.cell(SIDE, cell)
                    + "), expected exactly one");
        }
        return solutions.get(0);
    }

    private static void check(PuzzleRow row, int[] question, int[] answer) {
        for (int i = 0; i < CELLS; i++) {
            if (answer[i] == 0) {
                throw new DataException(row.where(Role.ANSWER) + "found an empty cell in " + Boards.cell(SIDE, i)
                        + ", expected 1 .. 9");
            }
            if (question[i] != 0 && question[i] != answer[i]) {
                throw new DataException(row.where(Role.ANSWER) + "found " + answer[i] + " in " + Boards.cell(SIDE, i)
                        + ", expected the question's " + question[i]);
            }
        }
        if (!legal(answer)) {
            int cell = Boards.conflicts(answer)[0];
            throw new DataException(row.where(Role.ANSWER) + "not a legal sudoku: found " + answer[cell] + " in "
                    + Boards.cell(SIDE, cell) + " repeated, expected each digit once in a row, column and box");
        }
    }

    private static Double rating(PuzzleRow row) {
        String text = row.text(Role.RATING);
        if (text == null || text.isBlank()) {
            return null;
        }
        Double rating = number(text.strip());
        if (rating == null) {
            throw new DataException(row.where(Role.RATING) + "found " + Shown.quoted(text) + ", expected a number");
        }
        return rating;
    }

    /** The number in plain or exponential notation, of ASCII digits; null if it is none. */
    public static Double number(String text) {
        if (text.length() > LONGEST_RATING || !text.chars().allMatch(c -> "0123456789+-.eE".indexOf(c) >= 0)) {
            return null;
        }
        try {
            double value = Double.parseDouble(text);
            return Double.isFinite(value) ? value : null;
        } catch (NumberFormatException e) {
            return null;
        }
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
