package trm.data.sudoku;

import java.util.Arrays;
import trm.data.table.BoardText;
import trm.input.DataException;

/**
 * Rules of Sudoku for sides 4 (boxes of 2 x 2), 6 (2 rows x 3 columns) and 9 (3 x 3). A board is an int array
 * [side * side], row major: 0 is blank, 1 .. side a digit. The token of a cell is its value + 1.
 */
public final class Boards {
    private Boards() {}

    /**
     * The side of a board of seqLen cells.
     *
     * @throws DataException unless seqLen is 16, 36 or 81
     */
    public static int side(int seqLen) {
        return switch (seqLen) {
            case 16 -> 4;
            case 36 -> 6;
            case 81 -> 9;
            default -> throw new DataException("board of " + seqLen + " cells: expected 16, 36 or 81");
        };
    }

    /** Rows of a box: 2, 2 or 3. */
    public static int boxRows(int side) {
        return switch (side) {
            case 4, 6 -> 2;
            case 9 -> 3;
            default -> throw new DataException("side=" + side + ": expected 4, 6 or 9");
        };
    }

    /** Columns of a box: 2, 3 or 3. */
    public static int boxColumns(int side) {
        return side / boxRows(side);
    }

    /** Box of a cell, 0 .. side - 1, row major. */
    public static int box(int side, int row, int column) {
        return row / boxRows(side) * boxRows(side) + column / boxColumns(side);
    }

    /** True if the board is complete and every row, column and box holds each digit once. */
    public static boolean legal(int[] digits) {
        int side = side(digits.length);
        return Arrays.stream(digits).allMatch(d -> d >= 1 && d <= side) && conflicts(digits).length == 0;
    }

    /** True if the board is legal and has each of the puzzle's digits in its place. */
    public static boolean solves(int[] puzzle, int[] digits) {
        for (int i = 0; i < puzzle.length; i++) {
            if (puzzle[i] != 0 && puzzle[i] != digits[i]) {
                return false;
            }
        }
        return legal(digits);
    }

    /** True if no two filled cells break a rule; blanks are allowed. */
    public static boolean consistent(int[] digits) {
        return conflicts(digits).length == 0;
    }

    /** The cells, ascending, whose digit occurs again in their row, column or box. Blanks never conflict. */
    public static int[] conflicts(int[] digits) {
        int side = side(digits.length);
        boolean[] bad = new boolean[digits.length];
        for (int a = 0; a < digits.length; a++) {
            for (int b = a + 1; b < digits.length; b++) {
                if (digits[a] != 0 && digits[a] == digits[b] && shareUnit(side, a, b)) {
                    bad[a] = true;
                    bad[b] = true;
                }
            }
        }
        int[] cells = new int[digits.length];
        int count = 0;
        for (int i = 0; i < bad.length; i++) {
            if (bad[i]) {
                cells[count++] = i;
            }
        }
        return Arrays.copyOf(cells, count);
    }

    /**
     * Reads a puzzle given as text, in any form of {@link BoardText}.
     *
     * @throws DataException if it is not a board of 16, 36 or 81 cells, a digit is above its side, or two givens contradict
     *                       each other
     */
    public static int[] parse(String puzzle) {
        return parse(puzzle, 0);
    }

    /** As {@link #parse(String)}, for a board that must have the given side; 0 for 4, 6 or 9. */
    static int[] parse(String puzzle, int wanted) {
        int[] digits = BoardText.read("puzzle: ", puzzle, wanted);
        int side = side(digits.length);
        for (int a = 0; a < digits.length; a++) {
            for (int b = a + 1; b < digits.length; b++) {
                if (digits[a] != 0 && digits[a] == digits[b] && shareUnit(side, a, b)) {
                    throw new DataException("puzzle: contradictory givens: " + digits[a] + " in " + cell(side, a)
                            + " and again in " + cell(side, b));
                }
            }
        }
        return digits;
    }

    /** Tokens of a board: each value + 1. */
    public static int[] tokens(int[] digits) {
        return Arrays.stream(digits).map(d -> d + 1).toArray();
    }

    /** "row 1, column 5" of a cell index; both count from 1. */
    static String cell(int side, int index) {
        return "row " + (index / side + 1) + ", column " + (index % side + 1);
    }

    private static boolean shareUnit(int side, int a, int b) {
        int rowA = a / side;
        int rowB = b / side;
        int columnA = a % side;
        int columnB = b % side;
        return rowA == rowB || columnA == columnB || box(side, rowA, columnA) == box(side, rowB, columnB);
    }
}
