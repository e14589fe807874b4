package trm.data.sudoku;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import trm.data.puzzle.Augmentation;
import trm.data.puzzle.Puzzle;
import trm.data.puzzle.Symmetries;
import trm.data.random.PhiloxRandom;

/**
 * Sudokus of side 4, 6 or 9: the same if their solutions differ in names of digits, order of lines within boxes, of boxes, or
 * transposed. Rules: {@link Boards}.
 */
public final class SudokuPuzzle implements Puzzle {
    public static final Puzzle INSTANCE = new SudokuPuzzle();

    private static final List<Integer> CELLS = List.of(16, 36, 81);

    /** Token of the digit 1; those before it are padding and the blank. */
    private static final int FIRST_DIGIT = 2;

    private SudokuPuzzle() {}

    @Override
    public String key() {
        return "sudoku";
    }

    @Override
    public boolean hasShape(int cells, int vocabulary) {
        return CELLS.contains(cells) && vocabulary == Boards.side(cells) + 2;
    }

    @Override
    public boolean recognises(int vocabulary, int[] input, int[] label) {
        return hasShape(input.length, vocabulary) && Boards.legal(digits(label));
    }

    @Override
    public boolean given(int token) {
        return token >= FIRST_DIGIT;
    }

    @Override
    public String glyphs() {
        return ".123456789";
    }

    @Override
    public int blockRows(int side) {
        return Boards.boxRows(side);
    }

    @Override
    public int blockColumns(int side) {
        return Boards.boxColumns(side);
    }

    @Override
    public String symmetriesInWords() {
        return "renaming, reordering and transposition of the solution";
    }

    /** Of the solution; a label that is no solved Sudoku has no symmetries. */
    @Override
    public String canonical(int[] input, int[] label) {
        int[] digits = digits(label);
        return Boards.legal(digits) ? SudokuForm.canonical(digits) : Arrays.toString(label);
    }

    @Override
    public String sketch(int[] input, int[] label) {
        int[] digits = digits(label);
        return Boards.legal(digits) ? SudokuForm.sketch(digits) : canonical(input, label);
    }

    @Override
    public List<Augmentation> symmetries(int count, int cells, long seed) {
        int side = Boards.side(cells);
        PhiloxRandom random = new PhiloxRandom(seed);
        List<Augmentation> symmetries = new ArrayList<>();
        for (int k = 0; k < count; k++) {
            symmetries.add(k == 0 ? Augmentation.dihedral(0, side, side + 2) : drawn(side, random));
        }
        return symmetries;
    }

    @Override
    public Symmetries drawnSymmetries(int cells) {
        int side = Boards.side(cells);
        int boxRows = Boards.boxRows(side);
        int boxColumns = Boards.boxColumns(side);
        return new Symmetries(boxRows == boxColumns, boxRows, boxColumns, FIRST_DIGIT);
    }

    /** Bands and the rows in them, stacks and their columns, digits; transposed at times, where boxes are square. */
    private static Augmentation drawn(int side, PhiloxRandom random) {
        int boxRows = Boards.boxRows(side);
        int boxColumns = Boards.boxColumns(side);
        int[] digits = random.permutation(side);
        int[] tokens = new int[side + 2];
        tokens[1] = 1;
        for (int d = 0; d < side; d++) {
            tokens[d + 2] = digits[d] + 2;
        }
        boolean transpose = boxRows == boxColumns && random.integers(0, 2) == 1;
        return new Augmentation(transpose, lines(side, boxRows, random), lines(side, boxColumns, random), tokens);
    }

    private static int[] lines(int side, int size, PhiloxRandom random) {
        int[] lines = new int[side];
        int at = 0;
        for (int group : random.permutation(side / size)) {
            for (int line : random.permutation(size)) {
                lines[at++] = size * group + line;
            }
        }
        return lines;
    }

    @Override
    public boolean hasRules() {
        return true;
    }

    @Override
    public boolean solves(int[] input, int[] answer) {
        return Boards.solves(digits(input), digits(answer));
    }

    @Override
    public boolean[] faults(int[] input, int[] answer) {
        boolean[] faults = overwritten(input, answer);
        for (int cell : Boards.conflicts(digits(answer))) {
            faults[cell] = true;
        }
        return faults;
    }

    private boolean[] overwritten(int[] input, int[] answer) {
        boolean[] overwritten = new boolean[input.length];
        for (int i = 0; i < overwritten.length; i++) {
            overwritten[i] = given(input[i]) && answer[i] != input[i];
        }
        return overwritten;
    }

    @Override
    public String verdict(int[] input, int[] answer) {
        if (solves(input, answer)) {
            return "legal: every row, column and box holds each digit once, and the givens are kept";
        }
        for (boolean fault : overwritten(input, answer)) {
            if (fault) {
                return "not legal: a given was overwritten";
            }
        }
        return "not legal: a digit repeats or is missing";
    }

    /** The digits of a row of tokens; padding and ignored labels read as blank. */
    public static int[] digits(int[] tokens) {
        return Arrays.stream(tokens).map(t -> Math.max(0, t - 1)).toArray();
    }
}
