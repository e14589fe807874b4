package trm.data.puzzle;

import java.nio.ByteBuffer;

/**
 * A symmetry of boards of side x side tokens: rows and columns are permuted, and exchanged with {@code transpose}, then
 * tokens are renamed.
 *
 * <pre>
 *   out[r][c] = tokens[in[rows[r]][columns[c]]], with transpose tokens[in[columns[c]][rows[r]]]
 * </pre>
 *
 * As a record of 1 + 2 side + vocabulary bytes: transpose (0 or 1), rows, columns, tokens. That is how a compact data set
 * keeps it, on disk and on the device, where {@code admit} applies it to the examples it takes.
 *
 * @param rows    permutation of 0 .. side - 1
 * @param columns permutation of 0 .. side - 1
 * @param tokens  what each token becomes, a permutation of the vocabulary
 */
public record Augmentation(boolean transpose, int[] rows, int[] columns, int[] tokens) {
    /** Symmetries of the square, {@link #dihedral}. */
    public static final int DIHEDRAL = 8;

    /** Bytes of a record. */
    public static int bytes(int side, int vocabulary) {
        return 1 + 2 * side + vocabulary;
    }

    /**
     * A symmetry of the square, by its published number: 0 identity; 1, 2, 3 rotation by 90, 180, 270 degrees
     * counter-clockwise; 4 mirror left-right; 5 mirror up-down; 6 transpose; 7 transpose along the other diagonal.
     */
    public static Augmentation dihedral(int number, int side, int vocabulary) {
        boolean transpose = number == 1 || number == 3 || number == 6 || number == 7;
        boolean turnRows = number == 1 || number == 2 || number == 5 || number == 7;
        boolean turnColumns = number == 2 || number == 3 || number == 4 || number == 7;
        return new Augmentation(transpose, line(side, turnRows), line(side, turnColumns), line(vocabulary, false));
    }

    private static int[] line(int count, boolean backwards) {
        int[] values = new int[count];
        for (int i = 0; i < count; i++) {
            values[i] = backwards ? count - 1 - i : i;
        }
        return values;
    }

    /** A board [side * side] of tokens, changed. */
    public int[] apply(int[] board) {
        int side = rows.length;
        int[] out = new int[board.length];
        for (int r = 0; r < side; r++) {
            for (int c = 0; c < side; c++) {
                out[r * side + c] = tokens[board[place(r, c)]];
            }
        }
        return out;
    }

    /** The board that {@link #apply} makes {@code changed} of. */
    public int[] undo(int[] changed) {
        int side = rows.length;
        int[] names = new int[tokens.length];
        for (int token = 0; token < tokens.length; token++) {
            names[tokens[token]] = token;
        }
        int[] board = new int[changed.length];
        for (int r = 0; r < side; r++) {
            for (int c = 0; c < side; c++) {
                board[place(r, c)] = names[changed[r * side + c]];
            }
        }
        return board;
    }

    /** Where the token comes from that {@link #apply} puts at row r, column c. */
    private int place(int r, int c) {
        int side = rows.length;
        return transpose ? columns[c] * side + rows[r] : rows[r] * side + columns[c];
    }

    /** Record {@code index} of those that follow each other in a buffer. */
    public static Augmentation read(ByteBuffer records, int index, int side, int vocabulary) {
        int at = index * bytes(side, vocabulary);
        return new Augmentation(
                records.get(at) == 1,
                values(records, at + 1, side),
                values(records, at + 1 + side, side),
                values(records, at + 1 + 2 * side, vocabulary));
    }

    private static int[] values(ByteBuffer records, int at, int count) {
        int[] values = new int[count];
        for (int i = 0; i < count; i++) {
            values[i] = records.get(at + i) & 0xFF;
        }
        return values;
    }

    /** This as a record, one value a byte: [1 + 2 side + vocabulary]. */
    public int[] record() {
        int[] record = new int[bytes(rows.length, tokens.length)];
        record[0] = transpose ? 1 : 0;
        System.arraycopy(rows, 0, record, 1, rows.length);
        System.arraycopy(columns, 0, record, 1 + rows.length, columns.length);
        System.arraycopy(tokens, 0, record, 1 + 2 * rows.length, tokens.length);
        return record;
    }

    /** What is wrong with a record, or null. */
    public static String fault(int[] record, int side, int vocabulary) {
        if (record[0] != 0 && record[0] != 1) {
            return "transpose flag: found " + record[0] + ", expected 0 or 1";
        }
        String rows = fault("rows", record, 1, side);
        String columns = rows != null ? rows : fault("columns", record, 1 + side, side);
        return columns != null ? columns : fault("tokens", record, 1 + 2 * side, vocabulary);
    }

    private static String fault(String part, int[] record, int at, int count) {
        boolean[] seen = new boolean[count];
        for (int i = 0; i < count; i++) {
            int value = record[at + i];
            if (value < 0 || value >= count || seen[value]) {
                return part + "[" + i + "]: found " + value + (value >= 0 && value < count ? " again" : "")
                        + ", expected a permutation of 0 .. " + (count - 1);
            }
            seen[value] = true;
        }
        return null;
    }
}
