package trm.data.sudoku;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import trm.input.DataException;

/**
 * Solves 9 x 9 Sudokus: sets what a cell, or a digit in a row, column or box, leaves open to one candidate; then tries the
 * smallest choice there is, two digits of a cell or two cells of a digit in most cases. For one thread. On one core, a puzzle of 17
 * givens takes some 60 microseconds, those of the lists of the hardest 1 ms, 0.1 s at most.
 */
final class SudokuSolver {
    /** Cells set in search for one puzzle: those of data/sudoku take some ten thousands at most. */
    private static final long MOST_STEPS = 5_000_000;

    private static final int SIDE = 9;
    private static final int CELLS = 81;
    private static final int ALL = 0x3fe; // bits 1 .. 9
    private static final int[][] UNITS = units();
    private static final int[][] UNITS_OF = unitsOf();

    private final int[] digits = new int[CELLS];
    private final int[] open = new int[3 * SIDE]; // digits that a unit still lacks
    private final int[] trail = new int[CELLS];
    private int set;
    private long steps;
    private int limit;
    private List<int[]> found;

    /**
     * Looks for solutions.
     *
     * @param puzzle board [81], 0 for an empty cell
     * @param most   solutions to look for
     * @return the solutions found, {@code most} at most; none if the givens contradict each other
     * @throws DataException if {@value #MOST_STEPS} steps do not settle it
     */
    List<int[]> solutions(int[] puzzle, int most) {
        found = new ArrayList<>();
        limit = most;
        steps = 0;
        set = 0;
        Arrays.fill(digits, 0);
        Arrays.fill(open, ALL);
        for (int cell = 0; cell < CELLS; cell++) {
            if (puzzle[cell] != 0) {
                if ((candidates(cell) & 1 << puzzle[cell]) == 0) {
                    return found;
                }
                set(cell, puzzle[cell]);
            }
        }
        search();
        return found;
    }

    private int candidates(int cell) {
        int[] units = UNITS_OF[cell];
        return open[units[0]] & open[units[1]] & open[units[2]];
    }

    private void set(int cell, int digit) {
        digits[cell] = digit;
        for (int unit : UNITS_OF[cell]) {
            open[unit] ^= 1 << digit;
        }
        trail[set++] = cell;
    }

    private void undo(int mark) {
        while (set > mark) {
            int cell = trail[--set];
            for (int unit : UNITS_OF[cell]) {
                open[unit] ^= 1 << digits[cell];
            }
            digits[cell] = 0;
        }
    }

    private void search() {
        int mark = set;
        if (propagate()) {
            if (set == CELLS) {
                found.add(digits.clone());
            } else {
                choose();
            }
        }
        undo(mark);
    }

    /** Sets what is settled. False if a cell or a digit has no place left. */
    private boolean propagate() {
        boolean again = true;
        while (again) {
            again = false;
            for (int cell = 0; cell < CELLS; cell++) {
                if (digits[cell] == 0) {
                    int candidates = candidates(cell);
                    if (candidates == 0) {
                        return false;
                    }
                    if ((candidates & candidates - 1) == 0) {
                        step(cell, candidates);
                        again = true;
                    }
                }
            }
            for (int unit = 0; unit < UNITS.length && !again; unit++) {
                int once = 0;
                int twice = 0;
                for (int cell : UNITS[unit]) {
                    if (digits[cell] == 0) {
                        int candidates = candidates(cell);
                        twice |= once & candidates;
                        once |= candidates;
                    }
                }
                if (once != open[unit]) {
                    return false;
                }
                for (int single = once & ~twice; single != 0; single &= single - 1) {
                    int bit = single & -single;
                    int cell = placeOf(unit, bit);
                    if (cell < 0) {
                        return false; // another digit has taken it
                    }
                    step(cell, bit);
                    again = true;
                }
            }
        }
        return true;
    }

    private void step(int cell, int bit) {
        if (++steps > MOST_STEPS) {
            throw new DataException("found no end of the search for solutions within " + MOST_STEPS + " steps");
        }
        set(cell, Integer.numberOfTrailingZeros(bit));
    }

    private int placeOf(int unit, int bit) {
        for (int cell : UNITS[unit]) {
            if (digits[cell] == 0 && (candidates(cell) & bit) != 0) {
                return cell;
            }
        }
        return -1;
    }

    /** Tries the digits of the cell with the fewest, or the cells of a digit in a unit, whichever are fewer. */
    private void choose() {
        int best = -1;
        int fewest = SIDE + 1;
        for (int cell = 0; cell < CELLS && fewest > 2; cell++) {
            int count = digits[cell] == 0 ? Integer.bitCount(candidates(cell)) : SIDE + 1;
            if (count < fewest) {
                fewest = count;
                best = cell;
            }
        }
        int bestUnit = -1;
        int bestBit = 0;
        for (int unit = 0; unit < UNITS.length && fewest > 2; unit++) {
            for (int bits = open[unit]; bits != 0; bits &= bits - 1) {
                int bit = bits & -bits;
                int count = 0;
                for (int cell : UNITS[unit]) {
                    count += digits[cell] == 0 && (candidates(cell) & bit) != 0 ? 1 : 0;
                }
                if (count < fewest) {
                    fewest = count;
                    bestUnit = unit;
                    bestBit = bit;
                }
            }
        }
        if (bestUnit < 0) {
            for (int bits = candidates(best); bits != 0 && found.size() < limit; bits &= bits - 1) {
                attempt(best, bits & -bits);
            }
        } else {
            for (int cell : UNITS[bestUnit]) {
                if (found.size() < limit && digits[cell] == 0 && (candidates(cell) & bestBit) != 0) {
                    attempt(cell, bestBit);
                }
            }
        }
    }

    private void attempt(int cell, int bit) {
        int mark = set;
        step(cell, bit);
        search();
        undo(mark);
    }

    /** Rows, columns, boxes: the cells of each. */
    private static int[][] units() {
        int[][] units = new int[3 * SIDE][SIDE];
        for (int i = 0; i < SIDE; i++) {
            for (int j = 0; j < SIDE; j++) {
                units[i][j] = i * SIDE + j;
                units[SIDE + i][j] = j * SIDE + i;
                units[2 * SIDE + i][j] = (i / 3 * 3 + j / 3) * SIDE + i % 3 * 3 + j % 3;
            }
        }
        return units;
    }

    private static int[][] unitsOf() {
        int[][] of = new int[CELLS][];
        for (int cell = 0; cell < CELLS; cell++) {
            int row = cell / SIDE;
            int column = cell % SIDE;
            of[cell] = new int[] {row, SIDE + column, 2 * SIDE + Boards.box(SIDE, row, column)};
        }
        return of;
    }
}
