package trm.data.puzzle;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;

/** A rectangle of colours or other small values, row major, one byte each; immutable. A 0 x 0 grid is legal. */
public final class Grid {
    /** The transforms 0 .. 7 of {@link #transform}. */
    public static final int TRANSFORMS = 8;

    private static final int[] INVERSE = {0, 3, 2, 1, 4, 5, 6, 7};

    private final int rows;
    private final int columns;
    private final byte[] cells;

    /** @param cells [rows * columns], taken over */
    public Grid(int rows, int columns, byte[] cells) {
        if (rows < 0 || columns < 0 || cells.length != rows * columns) {
            throw new IllegalArgumentException(rows + " x " + columns + " grid of " + cells.length + " cells");
        }
        this.rows = rows;
        this.columns = columns;
        this.cells = cells;
    }

    public int rows() {
        return rows;
    }

    public int columns() {
        return columns;
    }

    public int get(int row, int column) {
        return cells[row * columns + column];
    }

    /** A copy of the cells, row major. */
    public int[] values() {
        int[] values = new int[cells.length];
        Arrays.setAll(values, i -> cells[i]);
        return values;
    }

    /** Tokens where padding is 0: each value + 1. */
    public int[] tokens() {
        return Arrays.stream(values()).map(value -> value + 1).toArray();
    }

    /**
     * A symmetry of the square: 0 none; 1, 2, 3 a quarter, half and three quarters of a turn counter-clockwise; 4
     * left-right mirror; 5 up-down mirror; 6 transpose; 7 a quarter turn counter-clockwise, then left-right mirror.
     */
    public Grid transform(int k) {
        boolean turned = turns(k);
        int height = turned ? columns : rows;
        int width = turned ? rows : columns;
        byte[] out = new byte[cells.length];
        for (int i = 0; i < height; i++) {
            for (int j = 0; j < width; j++) {
                int from =
                        switch (k) {
                            case 0 -> at(i, j);
                            case 1 -> at(j, columns - 1 - i);
                            case 2 -> at(rows - 1 - i, columns - 1 - j);
                            case 3 -> at(rows - 1 - j, i);
                            case 4 -> at(i, columns - 1 - j);
                            case 5 -> at(rows - 1 - i, j);
                            case 6 -> at(j, i);
                            case 7 -> at(rows - 1 - j, columns - 1 - i);
                            default -> throw new IllegalArgumentException("transform " + k + ": expected 0 .. 7");
                        };
                out[i * width + j] = cells[from];
            }
        }
        return new Grid(height, width, out);
    }

    /** Whether a transform makes columns of rows. */
    public static boolean turns(int k) {
        return k == 1 || k == 3 || k == 6 || k == 7;
    }

    /** The transform that undoes {@code k}. */
    public static int inverse(int k) {
        return INVERSE[k];
    }

    private int at(int row, int column) {
        return row * columns + column;
    }

    /** Each cell c becomes {@code table[c]}. */
    public Grid mapped(byte[] table) {
        byte[] out = new byte[cells.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = table[cells[i]];
        }
        return new Grid(rows, columns, out);
    }

    /** Feeds a digest with one byte of rows, one of columns, and the cells. */
    public void digest(MessageDigest into) {
        into.update((byte) rows);
        into.update((byte) columns);
        into.update(cells);
    }

    /** Hexadecimal SHA-256 of {@link #digest}: the published name of a grid. */
    public String hash() {
        MessageDigest digest = sha256();
        digest(digest);
        return HexFormat.of().formatHex(digest.digest());
    }

    public static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Grid g && g.rows == rows && g.columns == columns && Arrays.equals(g.cells, cells);
    }

    @Override
    public int hashCode() {
        return 31 * rows + Arrays.hashCode(cells);
    }

    /** The rows as JSON and Python write them, e.g. {@code [[1, 2], [3, 4]]}. */
    @Override
    public String toString() {
        StringBuilder out = new StringBuilder("[");
        for (int i = 0; i < rows; i++) {
            out.append(i == 0 ? "" : ", ")
                    .append(Arrays.toString(Arrays.copyOfRange(cells, i * columns, (i + 1) * columns)));
        }
        return out.append(']').toString();
    }
}
