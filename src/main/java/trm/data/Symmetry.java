package trm.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;

/** What a dataset's puzzles are, as far as its tokens tell, and which puzzles are the same but for a symmetry. */
public enum Symmetry {
    /** 4 x 4, 6 x 6 or 9 x 9: solutions that differ in names of digits, order of lines within boxes, of boxes, or transposed. */
    SUDOKU("renaming, reordering and transposition of the solution", ".123456789"),
    /** Squares of {@link MazeBuilder#CELLS}: mazes that are rotations or reflections of each other. */
    MAZE("rotation and reflection of the question", MazeBuilder.CELLS),
    /** Pairs of grids that differ in place, rotation, reflection or in the names of colours other than 0. */
    ARC("place, rotation, reflection and renaming of a pair of grids", "|0123456789"),
    /** Anything else: equal questions. */
    NONE("equality of the question", "");

    private static final String BEYOND = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    private final String description;
    private final String glyphs;

    Symmetry(String description, String glyphs) {
        this.description = description;
        this.glyphs = glyphs;
    }

    /** The symmetries in words. */
    public String description() {
        return description;
    }

    /** One character for a token; a space for padding. */
    public char glyph(int token) {
        String all = this == NONE ? "0123456789" + BEYOND : glyphs;
        return token <= 0 ? ' ' : token <= all.length() ? all.charAt(token - 1) : '?';
    }

    /**
     * The first so many symmetries of its boards, the identity first: those of the square for mazes, drawn ones for Sudokus.
     * Both keep token 0 where it is.
     *
     * @param cells of a board
     * @throws DataException if there are none or not so many
     */
    public List<Augmentation> symmetries(int count, int cells, long seed) {
        int side = (int) Math.round(Math.sqrt(cells));
        if (this != SUDOKU && this != MAZE) {
            throw new DataException(
                    "found neither Sudokus nor mazes, expected one of them, whose symmetries are known");
        }
        if (this == MAZE && count > Augmentation.DIHEDRAL) {
            throw new DataException("mazes have " + Augmentation.DIHEDRAL + " symmetries, not " + count);
        }
        PhiloxRandom random = new PhiloxRandom(seed);
        List<Augmentation> symmetries = new ArrayList<>();
        for (int k = 0; k < count; k++) {
            symmetries.add(
                    this == MAZE
                            ? Augmentation.dihedral(k, side, MazeBuilder.VOCABULARY)
                            : k == 0 ? Augmentation.dihedral(0, side, side + 2) : drawn(side, random));
        }
        return symmetries;
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

    /** Whether {@link #solves} can tell. */
    public boolean hasRules() {
        return this == SUDOKU || this == MAZE;
    }

    /**
     * Whether an answer keeps the rules, whatever the label: a Sudoku's givens are kept and its rows, columns and boxes hold
     * each digit once; a maze is unchanged but for a path of free cells that joins start and goal, and none is shorter.
     *
     * @param input tokens
     * @param answer tokens
     */
    public boolean solves(int[] input, int[] answer) {
        return switch (this) {
            case SUDOKU -> Boards.solves(values(input), values(answer));
            case MAZE -> MazePath.solves(input, answer);
            default -> throw new IllegalStateException(this + " has no rules");
        };
    }

    /** The kind of a split's puzzles: its sizes, and the rules that its first example keeps. */
    public static Symmetry of(Dataset data) {
        int cells = data.seqLen();
        int vocabulary = data.info().vocabSize();
        int side = (int) Math.round(Math.sqrt(cells));
        if (cells == ArcTokens.TOKENS && vocabulary == ArcTokens.VOCABULARY) {
            return ARC;
        }
        int[] first = data.examples() == 0 ? new int[0] : data.inputRow(0);
        if (List.of(16, 36, 81).contains(cells)
                && vocabulary == side + 2
                && first.length > 0
                && Boards.legal(values(data.labelRow(0)))) {
            return SUDOKU;
        }
        if (side * side == cells
                && vocabulary == MazeBuilder.VOCABULARY
                && count(first, 'S') == 1
                && count(first, 'G') == 1) {
            return MAZE;
        }
        return NONE;
    }

    private static int[] values(int[] tokens) {
        return Arrays.stream(tokens).map(t -> Math.max(0, t - 1)).toArray();
    }

    private static long count(int[] tokens, char cell) {
        return Arrays.stream(tokens)
                .filter(t -> t == MazeBuilder.CELLS.indexOf(cell) + 1)
                .count();
    }

    /**
     * Equal for examples that are the same but for a symmetry; a text that only means something beside others of its kind. A
     * label that is no solved Sudoku has no symmetries.
     *
     * @param input tokens
     * @param label tokens, {@link Dataset#IGNORED} where ignored
     */
    public String canonical(int[] input, int[] label) {
        return switch (this) {
            case SUDOKU -> Boards.legal(values(label)) ? SudokuForm.canonical(values(label)) : Arrays.toString(label);
            case MAZE -> {
                Grid maze = square(input);
                TreeSet<String> forms = new TreeSet<>();
                for (int k = 0; k < Grid.TRANSFORMS; k++) {
                    forms.add(maze.transform(k).toString());
                }
                yield forms.first();
            }
            case ARC -> {
                TreeSet<String> forms = new TreeSet<>();
                for (int k = 0; k < Grid.TRANSFORMS; k++) {
                    forms.add(renamed(List.of(
                            ArcTokens.find(input).transform(k),
                            ArcTokens.find(label).transform(k))));
                }
                yield forms.first();
            }
            case NONE -> Arrays.toString(input);
        };
    }

    /**
     * Equal for examples with equal {@link #canonical}, and much faster where that is slow: only examples that share it
     * need be compared any further.
     */
    public String sketch(int[] input, int[] label) {
        return this == SUDOKU && Boards.legal(values(label))
                ? SudokuForm.sketch(values(label))
                : canonical(input, label);
    }

    private static Grid square(int[] tokens) {
        int side = (int) Math.round(Math.sqrt(tokens.length));
        byte[] cells = new byte[tokens.length];
        for (int i = 0; i < cells.length; i++) {
            cells[i] = (byte) tokens[i];
        }
        return new Grid(side, side, cells);
    }

    /** Grids with colours 1 .. 9 numbered as they first appear. */
    private static String renamed(List<Grid> grids) {
        byte[] names = new byte[ArcTask.COLOURS];
        byte next = 1;
        List<Grid> renamed = new ArrayList<>();
        for (Grid grid : grids) {
            for (int colour : grid.values()) {
                if (colour != 0 && names[colour] == 0) {
                    names[colour] = next++;
                }
            }
            renamed.add(grid.mapped(names));
        }
        return renamed.toString();
    }
}
