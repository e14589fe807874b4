package trm.data.arc;

import java.util.Arrays;
import trm.data.puzzle.Grid;

/**
 * ARC grids as 900 tokens: the upper left part of a field of 30 x 30, row major. Token 0 is padding; 1 ends the grid, in
 * the row below it across its width and in the column right of it along its height, where there is one; colour c is c + 2.
 */
public final class ArcTokens {
    static final int SIDE = ArcTask.SIDE;
    static final int TOKENS = SIDE * SIDE;
    static final int VOCABULARY = ArcTask.COLOURS + 2;

    private static final int END = 1;
    /** Token of colour 0. */
    public static final int FIRST_COLOUR = 2;

    private ArcTokens() {}

    /** Puts a grid with its upper left corner at a place of the field [900], which is overwritten. */
    static void put(Grid grid, int top, int left, int[] field) {
        Arrays.fill(field, 0);
        int bottom = top + grid.rows();
        int right = left + grid.columns();
        for (int i = 0; i < grid.rows(); i++) {
            for (int j = 0; j < grid.columns(); j++) {
                field[(top + i) * SIDE + left + j] = grid.get(i, j) + FIRST_COLOUR;
            }
            if (right < SIDE) {
                field[(top + i) * SIDE + right] = END;
            }
        }
        for (int j = left; bottom < SIDE && j < right; j++) {
            field[bottom * SIDE + j] = END;
        }
    }

    /**
     * The grid at the upper left corner: of the rectangles there that hold only colours the largest, of equal ones the
     * one with fewest rows. Without a colour in the corner it is 0 x 0.
     */
    public static Grid crop(int[] field) {
        int rows = 0;
        int columns = 0;
        int width = SIDE;
        for (int r = 1; r <= SIDE; r++) {
            int run = 0;
            while (run < width
                    && field[(r - 1) * SIDE + run] >= FIRST_COLOUR
                    && field[(r - 1) * SIDE + run] < VOCABULARY) {
                run++;
            }
            width = run;
            if (r * width > rows * columns) {
                rows = r;
                columns = width;
            }
        }
        byte[] cells = new byte[rows * columns];
        for (int i = 0; i < cells.length; i++) {
            cells[i] = (byte) (field[i / columns * SIDE + i % columns] - FIRST_COLOUR);
        }
        return new Grid(rows, columns, cells);
    }

    /** The colours of a field wherever they lie: the rectangle that just holds them all; other tokens in it read as 0. */
    static Grid find(int[] field) {
        int top = SIDE;
        int left = SIDE;
        int bottom = 0;
        int right = 0;
        for (int i = 0; i < TOKENS; i++) {
            if (field[i] >= FIRST_COLOUR) {
                top = Math.min(top, i / SIDE);
                left = Math.min(left, i % SIDE);
                bottom = Math.max(bottom, i / SIDE + 1);
                right = Math.max(right, i % SIDE + 1);
            }
        }
        if (bottom == 0) {
            return new Grid(0, 0, new byte[0]);
        }
        byte[] cells = new byte[(bottom - top) * (right - left)];
        for (int i = 0; i < cells.length; i++) {
            int token = field[(top + i / (right - left)) * SIDE + left + i % (right - left)];
            cells[i] = (byte) Math.max(0, token - FIRST_COLOUR);
        }
        return new Grid(bottom - top, right - left, cells);
    }
}
