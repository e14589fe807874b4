package trm;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** Latin squares as a researcher's own puzzles: each letter once in every row and column, some cells left empty. */
public final class LatinSquares {
    private final int side;
    private final Random random;
    private final char[] cells;

    private LatinSquares(int side, Random random) {
        this.side = side;
        this.random = random;
        cells = ".".repeat(side * side).toCharArray();
    }

    /**
     * A table of them in letters from A on, {@code .} for an empty cell.
     *
     * @param blanks cells to empty at most, while the puzzle keeps its one solution
     */
    public static String csv(int side, int blanks, int count, long seed) {
        Random random = new Random(seed);
        StringBuilder csv = new StringBuilder("question,answer\n");
        for (int i = 0; i < count; i++) {
            LatinSquares square = new LatinSquares(side, random);
            square.fill(0);
            String answer = new String(square.cells);
            square.empty(blanks);
            csv.append(square.cells).append(',').append(answer).append('\n');
        }
        return csv.toString();
    }

    private List<Character> candidates(int cell) {
        List<Character> letters = new ArrayList<>();
        for (char letter = 'A'; letter < 'A' + side; letter++) {
            boolean free = true;
            for (int i = 0; i < side; i++) {
                free &= cells[cell / side * side + i] != letter && cells[i * side + cell % side] != letter;
            }
            if (free) {
                letters.add(letter);
            }
        }
        return letters;
    }

    private boolean fill(int cell) {
        if (cell == cells.length) {
            return true;
        }
        List<Character> letters = candidates(cell);
        Collections.shuffle(letters, random);
        for (char letter : letters) {
            cells[cell] = letter;
            if (fill(cell + 1)) {
                return true;
            }
            cells[cell] = '.';
        }
        return false;
    }

    private void empty(int blanks) {
        List<Integer> order = new ArrayList<>();
        for (int cell = 0; cell < cells.length; cell++) {
            order.add(cell);
        }
        Collections.shuffle(order, random);
        int emptied = 0;
        for (int cell : order) {
            char letter = cells[cell];
            cells[cell] = '.';
            if (emptied < blanks && solutions(2) == 1) {
                emptied++;
            } else {
                cells[cell] = letter;
            }
        }
    }

    /** Solutions, counted up to {@code most}. */
    private int solutions(int most) {
        int cell = -1;
        for (int i = 0; i < cells.length; i++) {
            if (cells[i] == '.'
                    && (cell < 0 || candidates(i).size() < candidates(cell).size())) {
                cell = i;
            }
        }
        if (cell < 0) {
            return 1;
        }
        int found = 0;
        for (char letter : candidates(cell)) {
            cells[cell] = letter;
            found += found < most ? solutions(most - found) : 0;
            cells[cell] = '.';
        }
        return found;
    }
}
