package trm.data.puzzle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Oracle: the symmetries of the square as turns and mirrors of a grid, one after the other. */
class AugmentationTest {
    private static int[] turn(int[] board, int side) {
        int[] out = new int[board.length];
        for (int r = 0; r < side; r++) {
            for (int c = 0; c < side; c++) {
                out[(side - 1 - c) * side + r] = board[r * side + c]; // the right column becomes the top row
            }
        }
        return out;
    }

    private static int[] mirror(int[] board, int side) {
        int[] out = new int[board.length];
        for (int i = 0; i < board.length; i++) {
            out[i / side * side + side - 1 - i % side] = board[i];
        }
        return out;
    }

    private static int[] published(int number, int[] board, int side) {
        return switch (number) {
            case 0 -> board;
            case 1 -> turn(board, side);
            case 2 -> turn(turn(board, side), side);
            case 3 -> turn(turn(turn(board, side), side), side);
            case 4 -> mirror(board, side);
            case 5 -> turn(turn(mirror(board, side), side), side);
            case 6 -> turn(mirror(board, side), side);
            case 7 -> mirror(turn(board, side), side);
            default -> throw new IllegalArgumentException();
        };
    }

    @Test
    void symmetriesOfTheSquare() {
        int[] inverse = {0, 3, 2, 1, 4, 5, 6, 7};
        for (int side : new int[] {1, 2, 3, 5, 30}) {
            int[] board = IntStream.range(0, side * side).map(i -> i % 251).toArray();
            Set<String> seen = new HashSet<>();
            for (int k = 0; k < Augmentation.DIHEDRAL; k++) {
                int[] out = Augmentation.dihedral(k, side, 251).apply(board);
                assertArrayEquals(published(k, board, side), out, "symmetry " + k + " of side " + side);
                assertArrayEquals(
                        board, Augmentation.dihedral(inverse[k], side, 251).apply(out));
                seen.add(Arrays.toString(out));
            }
            assertEquals(side == 1 ? 1 : Augmentation.DIHEDRAL, seen.size());
        }
        // [[0, 1], [2, 3]] turned counter-clockwise, and transposed
        assertArrayEquals(new int[] {1, 3, 0, 2}, published(1, new int[] {0, 1, 2, 3}, 2));
        assertArrayEquals(new int[] {0, 2, 1, 3}, published(6, new int[] {0, 1, 2, 3}, 2));
    }

    @Test
    void recordsReadBack() {
        Augmentation a = new Augmentation(true, new int[] {1, 0}, new int[] {0, 1}, new int[] {0, 2, 1});
        int[] record = {1, 1, 0, 0, 1, 0, 2, 1};
        assertArrayEquals(record, a.record());
        ByteBuffer records = ByteBuffer.allocate(2 * record.length);
        for (int value : Augmentation.dihedral(0, 2, 3).record()) {
            records.put((byte) value);
        }
        for (int value : record) {
            records.put((byte) value);
        }
        int[] board = {0, 1, 2, 1};
        assertArrayEquals(board, Augmentation.read(records, 0, 2, 3).apply(board));
        assertArrayEquals(
                new int[] {2, 2, 0, 1}, Augmentation.read(records, 1, 2, 3).apply(board));
    }

    @Test
    void faults() {
        int[] good = {1, 1, 0, 0, 1, 0, 2, 1};
        assertNull(Augmentation.fault(good, 2, 3));
        assertFault(good, 0, 2, "transpose flag: found 2, expected 0 or 1");
        assertFault(good, 1, 2, "rows[0]: found 2, expected a permutation of 0 .. 1");
        assertFault(good, 2, 1, "rows[1]: found 1 again, expected a permutation of 0 .. 1");
        assertFault(good, 3, 1, "columns[1]: found 1 again");
        assertFault(good, 6, 0, "tokens[1]: found 0 again, expected a permutation of 0 .. 2");
        assertFault(good, 7, 3, "tokens[2]: found 3,");
    }

    private static void assertFault(int[] good, int at, int value, String part) {
        int[] bad = good.clone();
        bad[at] = value;
        String fault = Augmentation.fault(bad, 2, 3);
        assertTrue(fault.startsWith(part), fault);
    }
}
