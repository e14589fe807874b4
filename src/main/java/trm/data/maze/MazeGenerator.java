package trm.data.maze;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import trm.data.puzzle.Grid;
import trm.data.random.PhiloxRandom;
import trm.input.DataException;

/**
 * Draws mazes like those of Maze-Hard: each cell is a wall with a probability drawn for the maze, from 0.3 to 0.5; start and
 * goal are drawn from the free cells, and the pair is kept if the shortest path between them has so many moves. No two mazes
 * are equal up to rotation and reflection. Deterministic from the seed.
 *
 * <p>Shortest paths are seldom unique. The one that is marked goes from the start, at each cell to the first of right, down,
 * left, up that is one move nearer to the goal.
 *
 * <p>Some 12,000 layouts are drawn for a maze of 30 x 30 with 111 moves or more. So a set of cells is a bit a column, a word a
 * row, with an empty row before the first and after the last: all rows are drawn, and searched, at once.
 */
final class MazeGenerator {
    /** Rows and columns at most: a row fits two draws. */
    static final int MAX_SIDE = 62;

    /** Bits of a row from one draw. */
    private static final int DRAWN = 31;

    /** Probabilities are multiples of 2^-10. */
    private static final int PRECISION = 10;

    private static final int LEAST_WALLS = Math.round(0.3f * (1 << PRECISION));
    private static final int MOST_WALLS = 1 << PRECISION - 1;

    /** Rows drawn without a new maze before the search is given up: some seconds. */
    private static final int PATIENCE = 20_000_000;

    /**
     * A layout with its start is kept with this many times the chance that a goal drawn from all of its free cells is far
     * enough, or surely where that exceeds 1: the mazes of drawing pairs one by one, in a sixth of the time. It exceeds 1
     * for few.
     */
    private static final int BOOST = 6;

    private final int side;
    private final int minPath;
    private final int patience; // layouts
    private final PhiloxRandom random;
    private final Set<String> seen = new HashSet<>();
    private final long[] free;
    private final long[] far; // cells that minPath moves or more lead to
    private final long[] unseen; // free cells that the search has not reached
    private long[] frontier; // those that it reached last
    private long[] next;

    private record Cell(int row, int column) {
        boolean in(long[] cells) {
            return (cells[row] >> column & 1) == 1;
        }
    }

    /**
     * @param side    rows and columns, at most {@value #MAX_SIDE}
     * @param minPath fewest moves from start to goal, at least 1
     */
    MazeGenerator(int side, int minPath, long seed) {
        this(side, minPath, seed, PATIENCE / side);
    }

    /** @param patience layouts to draw without a new maze before it is given up */
    MazeGenerator(int side, int minPath, long seed, int patience) {
        this.patience = patience;
        this.side = side;
        this.minPath = minPath;
        random = new PhiloxRandom(seed);
        free = new long[side + 2];
        far = new long[side + 2];
        unseen = new long[side + 2];
        frontier = new long[side + 2];
        next = new long[side + 2];
    }

    /**
     * Mazes that were not drawn before.
     *
     * @throws DataException if so many are not found
     */
    List<MazeBuilder.Maze> draw(int count) {
        List<MazeBuilder.Maze> mazes = new ArrayList<>();
        int tries = 0;
        int longest = 0;
        while (mazes.size() < count) {
            if (tries++ == patience) {
                throw new DataException("mazes of " + side + " x " + side + " cells whose shortest path has " + minPath
                        + " moves or more: found " + seen.size() + ", and no further one in " + patience
                        + " layouts, where the longest had " + longest + "; expected "
                        + (seen.size() + count - mazes.size())
                        + ": ask for shorter paths, larger mazes or fewer");
            }
            drawLayout();
            int freeCount = count(free);
            if (freeCount < 2) {
                continue;
            }
            Cell start = drawFrom(free, freeCount);
            longest = Math.max(longest, measure(start));
            int farCount = count(far);
            if (random.integers(0, freeCount - 1) >= (long) BOOST * farCount) {
                continue;
            }
            MazeBuilder.Maze maze = mark(start, drawFrom(far, farCount));
            if (seen.add(MazePuzzle.INSTANCE.canonical(maze.question().tokens(), null))) {
                mazes.add(maze);
                tries = 0;
                longest = 0;
            }
        }
        return mazes;
    }

    /** Each cell is a wall if a number drawn for it is below the maze's: compared bit by bit, the lowest first. */
    private void drawLayout() {
        long walls = random.integers(LEAST_WALLS, MOST_WALLS + 1);
        for (int row = 1; row <= side; row++) {
            long below = 0;
            for (int bit = 0; bit < PRECISION; bit++) {
                long zeros = random.integers(0, 1L << DRAWN); // of the numbers' bits
                if (side > DRAWN) {
                    zeros |= random.integers(0, 1L << DRAWN) << DRAWN;
                }
                below = (walls >> bit & 1) == 1 ? below | zeros : below & zeros;
            }
            free[row] = ~below & (1L << side) - 1;
        }
    }

    private static int count(long[] cells) {
        int count = 0;
        for (long row : cells) {
            count += Long.bitCount(row);
        }
        return count;
    }

    /** One of so many cells. */
    private Cell drawFrom(long[] cells, int count) {
        int nth = (int) random.integers(0, count);
        int row = 0;
        while (nth >= Long.bitCount(cells[row])) {
            nth -= Long.bitCount(cells[row++]);
        }
        long rest = cells[row];
        while (nth-- > 0) {
            rest &= rest - 1;
        }
        return new Cell(row, Long.numberOfTrailingZeros(rest));
    }

    /** Finds the cells that are far from a start. @return moves to the farthest that can be reached */
    private int measure(Cell start) {
        Arrays.fill(far, 0);
        begin(start);
        int moves = 0;
        while (spread()) {
            moves++;
            if (moves >= minPath) {
                for (int row = 1; row <= side; row++) {
                    far[row] |= frontier[row];
                }
            }
        }
        return moves;
    }

    private void begin(Cell from) {
        Arrays.fill(frontier, 0);
        frontier[from.row()] = 1L << from.column();
        for (int row = 1; row <= side; row++) {
            unseen[row] = free[row] & ~frontier[row];
        }
    }

    /** Goes one move further; false if no cell is reached for the first time. */
    private boolean spread() {
        long[] last = frontier;
        long[] reached = next;
        long[] left = unseen;
        for (int row = 1; row <= side; row++) {
            reached[row] = (last[row] << 1 | last[row] >>> 1 | last[row - 1] | last[row + 1]) & left[row];
        }
        long any = 0;
        for (int row = 1; row <= side; row++) {
            left[row] ^= reached[row];
            any |= reached[row];
        }
        frontier = reached;
        next = last;
        return any != 0;
    }

    private MazeBuilder.Maze mark(Cell start, Cell goal) {
        List<long[]> atMoves = new ArrayList<>(); // cells by their moves to the goal
        begin(goal);
        do {
            atMoves.add(frontier.clone());
        } while (!start.in(frontier) && spread());
        byte[] question = new byte[side * side];
        for (int i = 0; i < question.length; i++) {
            question[i] = cell(new Cell(1 + i / side, i % side).in(free) ? ' ' : '#');
        }
        question[at(start)] = cell('S');
        question[at(goal)] = cell('G');
        byte[] answer = question.clone();
        Cell cell = start;
        for (int moves = atMoves.size() - 2; moves > 0; moves--) {
            cell = neighbour(cell, atMoves.get(moves));
            answer[at(cell)] = cell('o');
        }
        return new MazeBuilder.Maze(new Grid(side, side, question), new Grid(side, side, answer));
    }

    /** The first of right, down, left, up that is among cells. */
    private static Cell neighbour(Cell of, long[] cells) {
        Cell right = new Cell(of.row(), of.column() + 1);
        Cell down = new Cell(of.row() + 1, of.column());
        Cell left = new Cell(of.row(), of.column() - 1);
        Cell up = new Cell(of.row() - 1, of.column());
        return right.in(cells) ? right : down.in(cells) ? down : of.column() > 0 && left.in(cells) ? left : up;
    }

    private int at(Cell cell) {
        return (cell.row() - 1) * side + cell.column();
    }

    private static byte cell(char name) {
        return (byte) MazeBuilder.CELLS.indexOf(name);
    }
}
