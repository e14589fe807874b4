package trm.data.sudoku;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * Solved Sudokus up to the symmetries of Sudoku: names of digits, order of the rows within a band and of the bands, the
 * same for columns and stacks, and, where boxes are square, transposition.
 */
public final class SudokuForm {
    private SudokuForm() {}

    /**
     * The smallest board, read row by row, among all that are symmetric to this one. Any row can come first; the digits are
     * then named 1, 2, ... along it, and the other rows of its band and the other bands follow in the order of their first
     * digits. What is left to try are the orders of the columns.
     */
    public static String canonical(int[] board) {
        int side = Boards.side(board.length);
        int boxRows = Boards.boxRows(side);
        List<int[]> columnOrders = lineOrders(side / Boards.boxColumns(side), Boards.boxColumns(side));
        int[] best = null;
        int[] candidate = new int[board.length];
        for (int[] turned : orientations(board, side)) {
            for (int first = 0; first < side; first++) {
                for (int[] columns : columnOrders) {
                    int[] names = new int[side + 1];
                    for (int j = 0; j < side; j++) {
                        names[turned[first * side + columns[j]]] = j + 1;
                    }
                    int[] rows = rowOrder(turned, side, boxRows, columns[0], names);
                    if (fill(candidate, turned, side, rows, columns, names, best)) {
                        int[] kept = best == null ? new int[board.length] : best;
                        best = candidate;
                        candidate = kept;
                    }
                }
            }
        }
        return Arrays.toString(best);
    }

    /** The board as it is and, where boxes are square, transposed. */
    private static List<int[]> orientations(int[] board, int side) {
        int[] transposed = new int[board.length];
        for (int i = 0; i < board.length; i++) {
            transposed[i % side * side + i / side] = board[i];
        }
        return Boards.boxRows(side) == Boards.boxColumns(side) ? List.of(board, transposed) : List.of(board);
    }

    /** All orders of the lines of {@code groups} groups of {@code size} each that keep groups together. */
    private static List<int[]> lineOrders(int groups, int size) {
        List<int[]> orders = new ArrayList<>();
        for (int[] outer : permutations(groups)) {
            List<int[]> built = new ArrayList<>(List.of(new int[0]));
            for (int group : outer) {
                List<int[]> longer = new ArrayList<>();
                for (int[] head : built) {
                    for (int[] inner : permutations(size)) {
                        int[] order = Arrays.copyOf(head, head.length + size);
                        for (int i = 0; i < size; i++) {
                            order[head.length + i] = group * size + inner[i];
                        }
                        longer.add(order);
                    }
                }
                built = longer;
            }
            orders.addAll(built);
        }
        return orders;
    }

    private static List<int[]> permutations(int n) {
        if (n == 0) {
            return List.of(new int[0]);
        }
        List<int[]> all = new ArrayList<>();
        for (int[] shorter : permutations(n - 1)) {
            for (int at = 0; at < n; at++) {
                int[] longer = new int[n];
                System.arraycopy(shorter, 0, longer, 0, at);
                longer[at] = n - 1;
                System.arraycopy(shorter, at, longer, at + 1, n - 1 - at);
                all.add(longer);
            }
        }
        return all;
    }

    /** The rows in the order of {@link #canonical}, given the column and the names that the first row has set. */
    private static int[] rowOrder(int[] board, int side, int boxRows, int column, int[] names) {
        int[] place = new int[side + 1]; // the row that begins with each digit
        for (int row = 0; row < side; row++) {
            place[names[board[row * side + column]]] = row;
        }
        int[] order = new int[side];
        boolean[] done = new boolean[side / boxRows];
        int at = 0;
        for (int digit = 1; digit <= side; digit++) {
            int band = place[digit] / boxRows;
            if (!done[band]) {
                done[band] = true;
                for (int next = digit; next <= side; next++) {
                    if (place[next] / boxRows == band) {
                        order[at++] = place[next];
                    }
                }
            }
        }
        return order;
    }

    /** Whether the candidate is smaller than {@code best}; it is complete then. With no best it is filled. */
    private static boolean fill(
            int[] candidate, int[] board, int side, int[] rows, int[] columns, int[] names, int[] best) {
        boolean smaller = best == null;
        for (int i = 0; i < candidate.length; i++) {
            candidate[i] = names[board[rows[i / side] * side + columns[i % side]]];
            if (!smaller && candidate[i] != best[i]) {
                if (candidate[i] > best[i]) {
                    return false;
                }
                smaller = true;
            }
        }
        return smaller;
    }

    /**
     * Equal for symmetric boards: each pair of rows is a permutation of the digits, whose cycle lengths do not depend on
     * names or on the order of columns. Sorted over the pairs within bands and across, for rows and for columns.
     */
    public static String sketch(int[] board) {
        int side = Boards.side(board.length);
        List<String> both = new ArrayList<>();
        int lines = Boards.boxRows(side);
        for (int[] turned : orientations(board, side)) {
            List<String> rows = new ArrayList<>();
            for (int a = 0; a < side; a++) {
                List<String> pairs = new ArrayList<>();
                for (int b = 0; b < side; b++) {
                    if (a != b) {
                        pairs.add((a / lines == b / lines ? "=" : "/") + cycles(turned, side, a, b));
                    }
                }
                Collections.sort(pairs);
                rows.add(pairs.toString());
            }
            Collections.sort(rows);
            both.add(rows.toString());
        }
        Collections.sort(both);
        return both.toString();
    }

    /** Sorted lengths of the cycles of the permutation that takes row a to row b. */
    private static String cycles(int[] board, int side, int a, int b) {
        int[] to = new int[side + 1];
        for (int j = 0; j < side; j++) {
            to[board[a * side + j]] = board[b * side + j];
        }
        int[] lengths = new int[side + 1]; // how many cycles of each length
        boolean[] seen = new boolean[side + 1];
        for (int digit = 1; digit <= side; digit++) {
            int length = 0;
            for (int d = digit; !seen[d]; d = to[d]) {
                seen[d] = true;
                length++;
            }
            lengths[length]++;
        }
        return Arrays.toString(Arrays.copyOfRange(lengths, 1, side + 1));
    }
}
