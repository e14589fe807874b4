package trm.data.own;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import trm.data.puzzle.Augmentation;
import trm.data.puzzle.Grid;
import trm.data.puzzle.OtherPuzzle;
import trm.data.puzzle.Puzzle;
import trm.data.puzzle.Symmetries;
import trm.data.random.PhiloxRandom;
import trm.input.DataException;
import trm.input.Shown;

/**
 * Puzzles whose author says how they are written and drawn, and which changes make another puzzle of one.
 *
 * @param rule         {@value #KEY}, or the key of the known kind whose rules they keep
 * @param alphabet     characters of tokens 1, 2, ...; null where cells are numbers, each its token - 1
 * @param vocabulary   tokens, padding included
 * @param blockRows    rows between the lines that are drawn across a board, as many as it has where there are none
 * @param blockColumns columns between the lines that are drawn down a board
 * @param empty        tokens of cells that are for the answer to fill
 * @param square       whether the symmetries of the square make a puzzle of a puzzle
 * @param permuted     tokens that may be exchanged for each other, ascending
 */
public record OwnPuzzle(
        String rule,
        String alphabet,
        int vocabulary,
        int rows,
        int columns,
        int blockRows,
        int blockColumns,
        Set<Integer> empty,
        boolean square,
        List<Integer> permuted)
        implements Puzzle {
    public static final String KEY = "own";

    public OwnPuzzle {
        empty = Set.copyOf(empty);
        permuted = List.copyOf(permuted);
    }

    /** Puzzles of which nothing is known but their sizes: digits and letters, or numbers where these do not suffice. */
    public static OwnPuzzle unknown(int cells, int vocabulary) {
        String glyphs = OtherPuzzle.INSTANCE.glyphs();
        int columns = OtherPuzzle.INSTANCE.columns(cells);
        int rows = cells / columns;
        String alphabet = vocabulary - 1 > glyphs.length() ? null : glyphs.substring(0, vocabulary - 1);
        return new OwnPuzzle(KEY, alphabet, vocabulary, rows, columns, rows, columns, Set.of(), false, List.of());
    }

    /** The same with these empty and permuted tokens. */
    public OwnPuzzle with(Set<Integer> emptyTokens, List<Integer> permutedTokens) {
        return new OwnPuzzle(
                rule,
                alphabet,
                vocabulary,
                rows,
                columns,
                blockRows,
                blockColumns,
                emptyTokens,
                square,
                permutedTokens);
    }

    /** The same by the rules of the kind of this key. */
    public OwnPuzzle with(String key) {
        return new OwnPuzzle(
                key, alphabet, vocabulary, rows, columns, blockRows, blockColumns, empty, square, permuted);
    }

    @Override
    public String key() {
        return KEY;
    }

    /** Tokens of a board. */
    public int cells() {
        return rows * columns;
    }

    @Override
    public boolean hasShape(int cells, int tokens) {
        return cells == cells() && tokens == vocabulary;
    }

    @Override
    public boolean recognises(int tokens, int[] input, int[] label) {
        return hasShape(input.length, tokens);
    }

    @Override
    public String glyphs() {
        return alphabet == null ? "" : alphabet;
    }

    @Override
    public String glyph(int token) {
        if (token <= 0) {
            return " ";
        }
        if (token >= vocabulary) {
            return "?";
        }
        return alphabet == null
                ? "" + (token - 1)
                : Character.toString(alphabet.codePointAt(alphabet.offsetByCodePoints(0, token - 1)));
    }

    /** Numbers to the right, as in a column. */
    @Override
    public String cell(int token) {
        String glyph = glyph(token);
        String pad = " ".repeat(glyphWidth() - CellWidth.of(glyph));
        return alphabet == null ? pad + glyph : glyph + pad;
    }

    @Override
    public int glyphWidth() {
        return IntStream.range(1, vocabulary)
                .mapToObj(this::glyph)
                .mapToInt(CellWidth::of)
                .max()
                .orElse(1);
    }

    @Override
    public String text(int[] tokens) {
        return Arrays.stream(tokens).mapToObj(this::glyph).collect(Collectors.joining(alphabet == null ? " " : ""));
    }

    @Override
    public boolean given(int token) {
        return token > 0 && !empty.contains(token);
    }

    @Override
    public int columns(int cells) {
        return columns;
    }

    @Override
    public int blockRows(int side) {
        return blockRows;
    }

    @Override
    public int blockColumns(int side) {
        return blockColumns;
    }

    /** The symbols that a message names: in quotes, or as a range of numbers. */
    public String symbols() {
        return alphabet == null ? "0 .. " + (vocabulary - 2) : "one of " + Shown.quoted(alphabet);
    }

    /**
     * The token of a symbol.
     *
     * @return 0 if there is no such symbol
     */
    public int token(String symbol) {
        if (alphabet == null) {
            int token = symbol.matches("[0-9]{1,3}") ? 1 + Integer.parseInt(symbol) : 0;
            return token < vocabulary ? token : 0;
        }
        int at = symbol.isEmpty() ? -1 : alphabet.indexOf(symbol);
        return at < 0 || symbol.codePointCount(0, symbol.length()) > 1 ? 0 : 1 + alphabet.codePointCount(0, at);
    }

    /**
     * The tokens of symbols that are written one after the other, numbers with blanks or commas between them.
     *
     * @param where beginning of messages
     * @throws DataException if one is not of the alphabet
     */
    public int[] tokens(String where, String text) {
        List<String> symbols = alphabet == null
                ? Arrays.stream(text.strip().split("[\\s,]+")).toList()
                : text.codePoints().mapToObj(Character::toString).toList();
        int[] tokens = new int[symbols.size()];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = token(symbols.get(i));
            if (tokens[i] == 0) {
                throw new DataException(where + (alphabet == null ? "number " : "character ") + (i + 1) + ": found "
                        + Shown.quoted(symbols.get(i)) + ", expected " + symbols());
            }
        }
        return tokens;
    }

    @Override
    public String symmetriesInWords() {
        if (!square && permuted.isEmpty()) {
            return "equality of the question";
        }
        String renamed = text(permuted.stream().mapToInt(Integer::intValue).toArray());
        return (square ? "rotation and reflection" : "")
                + (square && !permuted.isEmpty() ? ", and " : "")
                + (permuted.isEmpty() ? "" : "permutation of " + Shown.quoted(renamed))
                + " of the question";
    }

    @Override
    public String canonical(int[] input, int[] label) {
        return form(input, square);
    }

    /**
     * Equal for boards that are the same but for permutations of {@link #permuted}, and for rotation and reflection if
     * {@code turned}.
     */
    public String form(int[] board, boolean turned) {
        byte[] cells = new byte[board.length];
        for (int i = 0; i < cells.length; i++) {
            cells[i] = (byte) board[i];
        }
        Grid grid = new Grid(rows, columns, cells);
        TreeSet<String> forms = new TreeSet<>();
        for (int k = 0; k < (turned ? Grid.TRANSFORMS : 1); k++) {
            forms.add(Arrays.toString(renamed(grid.transform(k).values())) + (Grid.turns(k) ? columns : rows));
        }
        return forms.first();
    }

    /** With the tokens that may be exchanged in the order in which they first appear. */
    private int[] renamed(int[] values) {
        int[] names = new int[256];
        int next = 0;
        for (int i = 0; i < values.length; i++) {
            int token = values[i] & 0xff;
            if (permuted.contains(token) && names[token] == 0) {
                names[token] = permuted.get(next++);
            }
            values[i] = permuted.contains(token) ? names[token] : token;
        }
        return values;
    }

    /** Symmetries that the author named, the identity included; the greatest number if there are more. */
    private long count() {
        long count = square ? Augmentation.DIHEDRAL : 1;
        for (int i = 2; i <= permuted.size(); i++) {
            count = count > Long.MAX_VALUE / i ? Long.MAX_VALUE : count * i;
        }
        return count;
    }

    @Override
    public List<Augmentation> symmetries(int count, int cells, long seed) {
        return drawn(count, new PhiloxRandom(seed));
    }

    /**
     * Different symmetries, the identity first, each of the others with the same probability.
     *
     * @throws DataException if there are not so many, or the board is not square
     */
    public List<Augmentation> drawn(int count, PhiloxRandom random) {
        if (count > count()) {
            throw new DataException("found puzzles with " + count() + (count() == 1 ? " symmetry" : " symmetries")
                    + ", the identity included, expected at least " + count
                    + "; trm data csv --square and --permute name them");
        }
        if (rows != columns) {
            throw new DataException(
                    "found boards of " + rows + " x " + columns + ", expected square ones to make copies of");
        }
        Set<List<Integer>> different = new HashSet<>();
        List<Augmentation> drawn = new ArrayList<>();
        for (int k = 0; drawn.size() < count; k++) {
            int number = k == 0 || !square ? 0 : (int) random.integers(0, Augmentation.DIHEDRAL);
            int[] order = k == 0 ? IntStream.range(0, permuted.size()).toArray() : random.permutation(permuted.size());
            if (different.add(IntStream.concat(IntStream.of(number), IntStream.of(order))
                    .boxed()
                    .toList())) {
                Augmentation turned = Augmentation.dihedral(number, rows, vocabulary);
                for (int i = 0; i < order.length; i++) {
                    turned.tokens()[permuted.get(i)] = permuted.get(order[i]);
                }
                drawn.add(turned);
            }
        }
        return drawn;
    }

    /** Where the square's symmetries are named, and the tokens that are exchanged are the last ones: so the device draws them. */
    @Override
    public Symmetries drawnSymmetries(int cells) {
        int first = vocabulary - permuted.size();
        if (!square || !permuted.isEmpty() && permuted.get(0) != first) {
            throw new DataException(
                    "found puzzles of one's own without --square, or of which --permute names others than the last"
                            + " symbols of the alphabet, expected both, as the device draws them");
        }
        return new Symmetries(true, 0, 0, first);
    }
}
