package trm.data.puzzle;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.ToIntFunction;
import trm.input.DataException;

/**
 * A kind of puzzle: all that differs between Sudokus, mazes, ARC and puzzles of which nothing is known. Rows of tokens are those
 * of a dataset [seq_len]; 0 is padding. Which kind a dataset holds says {@code trm.data.Puzzles}. Implementations have no state.
 */
public interface Puzzle {
    /** As commands print it: {@code sudoku}, {@code maze}, {@code arc}, {@code none}. */
    String key();

    /**
     * Whether puzzles of this kind have such sizes.
     *
     * @param vocabulary tokens, padding included
     */
    boolean hasShape(int cells, int vocabulary);

    /**
     * Whether a split holds puzzles of this kind.
     *
     * @param vocabulary tokens, padding included
     * @param input of the split's first example
     * @param label of the split's first example
     */
    boolean recognises(int vocabulary, int[] input, int[] label);

    /** The characters of tokens 1, 2, ..., as boards are printed. */
    String glyphs();

    /** The symbol of a token; a space for padding. */
    default String glyph(int token) {
        String all = glyphs();
        return token <= 0 ? " " : token <= all.length() ? all.substring(token - 1, token) : "?";
    }

    /** A token as a drawn board shows it, in {@link #glyphWidth} columns; padding, which no board has, like the token after it. */
    default String cell(int token) {
        return glyph(Math.max(1, token));
    }

    /** Columns of a terminal that the widest symbol takes. */
    default int glyphWidth() {
        return 1;
    }

    /** Columns of a board; all of its cells where it is not square. */
    default int columns(int cells) {
        int side = (int) Math.round(Math.sqrt(cells));
        return side * side == cells ? side : cells;
    }

    /** The cells of a board in one line. */
    default String text(int[] tokens) {
        StringBuilder text = new StringBuilder();
        for (int token : tokens) {
            text.append(glyph(token));
        }
        return text.toString();
    }

    /** Whether a token of a question is part of the puzzle: what is not is for the answer to fill. */
    default boolean given(int token) {
        return token > 0;
    }

    /** Rows between the lines that are drawn across a board; all of them where none is. */
    default int blockRows(int side) {
        return side;
    }

    /** Columns between the lines that are drawn down a board. */
    default int blockColumns(int side) {
        return side;
    }

    /** What makes two puzzles the same but for a symmetry, in words. */
    String symmetriesInWords();

    /**
     * Equal for examples that are the same but for a symmetry; a text that only means something beside others of its kind.
     *
     * @param label tokens, -100 where ignored
     */
    String canonical(int[] input, int[] label);

    /**
     * Equal for examples with equal {@link #canonical}, and much faster where that is slow: only examples that share it
     * need be compared any further.
     */
    default String sketch(int[] input, int[] label) {
        return canonical(input, label);
    }

    /**
     * The first so many symmetries of its boards, the identity first: those of the square for mazes, drawn ones for Sudokus.
     * Both keep token 0 where it is.
     *
     * @param cells of a board
     * @throws DataException if there are none or not so many
     */
    default List<Augmentation> symmetries(int count, int cells, long seed) {
        throw new DataException("found neither Sudokus nor mazes, expected one of them, whose symmetries are known");
    }

    /**
     * The symmetries that fresh augmentation draws from. They keep token 0 where it is.
     *
     * @param cells of a board
     * @throws DataException if there are none
     */
    default Symmetries drawnSymmetries(int cells) {
        throw new DataException(
                "found " + (key().equals("none") ? "puzzles of which nothing is known" : key() + " puzzles")
                        + ", expected Sudokus or mazes, whose symmetries are known");
    }

    /** Whether {@link #solves} can tell. */
    default boolean hasRules() {
        return false;
    }

    /**
     * Whether an answer keeps the rules, whatever the label: a Sudoku's givens are kept and its rows, columns and boxes hold
     * each digit once; a maze is unchanged but for a path of free cells that joins start and goal, and none is shorter.
     *
     * @param input tokens
     * @param answer tokens
     */
    default boolean solves(int[] input, int[] answer) {
        throw new IllegalStateException(key().toUpperCase(Locale.ROOT) + " has no rules");
    }

    /**
     * Cells of an answer that break a rule by themselves: givens that are overwritten, digits that repeat.
     *
     * @param input tokens
     * @param answer tokens
     */
    default boolean[] faults(int[] input, int[] answer) {
        throw new IllegalStateException(key().toUpperCase(Locale.ROOT) + " has no rules");
    }

    /** What the rules say of an answer, as a line for people: whether it {@link #solves}, and if not, why. */
    default String verdict(int[] input, int[] answer) {
        throw new IllegalStateException(key().toUpperCase(Locale.ROOT) + " has no rules");
    }

    /** How hard a puzzle is, as far as its label shows. */
    default Optional<Measure> measure() {
        return Optional.empty();
    }

    /**
     * A number of each puzzle, for tables of results.
     *
     * @param name as tables have it
     * @param band values that share a row of a table
     * @param of   a label's tokens
     */
    record Measure(String name, int band, ToIntFunction<int[]> of) {}
}
