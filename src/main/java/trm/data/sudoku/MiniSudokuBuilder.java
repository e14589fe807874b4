package trm.data.sudoku;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import trm.data.format.BuiltOnce;
import trm.data.format.SingleExampleWriter;
import trm.data.random.LegacyRandom;
import trm.input.DataException;

/**
 * Generates small Sudoku datasets of side 4 (boxes of 2 x 2) or 6 (2 rows x 3 columns). Every puzzle has exactly one
 * solution, no puzzle occurs twice, and no solution grid occurs in both splits. Same folder layout as the 9 x 9 data:
 * vocabulary side + 2, u1 tokens, one group for each puzzle. Deterministic from the seed.
 */
public final class MiniSudokuBuilder {
    /** There are 288 grids of side 4: this many are for training, the others for testing. */
    private static final int TRAIN_GRIDS_OF_SIDE_4 = 188;

    private static final int MAX_FAILURES = 5_000; // consecutive draws without a new puzzle

    /** Far enough from the number of solutions for a draw to find a new one soon. */
    private static final int MOST_PUZZLES = 10_000_000;

    private MiniSudokuBuilder() {}

    /**
     * What was written.
     *
     * @param trainGrids distinct solutions behind the training puzzles
     * @param testGrids  distinct solutions behind the test puzzles
     */
    public record Summary(Path out, int train, int test, int trainGrids, int testGrids) {}

    /**
     * Builds {@code out/train}, {@code out/test} and {@code out/identifiers.json}.
     *
     * @param side      4 or 6
     * @param train     training puzzles
     * @param test      test puzzles
     * @param minBlanks fewest blank cells of a puzzle in either split: at least half of the board, at most 12 or 28
     *                  (the fewest givens with one solution are 4 and 8)
     * @throws DataException if an argument is out of range, or so many distinct puzzles cannot be found
     */
    public static Summary build(Path out, int side, int train, int test, long seed, int minBlanks) {
        if (side != 4 && side != 6) {
            throw new DataException("side=" + side + ": expected 4 or 6");
        }
        if (train < 1 || test < 1) {
            throw new DataException("train=" + train + ", test=" + test + ": expected at least 1 each");
        }
        if ((long) train + test > MOST_PUZZLES) {
            throw new DataException("train=" + train + ", test=" + test + ": expected at most " + MOST_PUZZLES
                    + " in all; of side 6 there are 28200960 solutions");
        }
        int cells = side * side;
        int maxBlanks = side == 4 ? 12 : 28;
        if (minBlanks < cells / 2 || minBlanks > maxBlanks) {
            throw new DataException(
                    "minBlanks=" + minBlanks + ": expected " + cells / 2 + " .. " + maxBlanks + " for side " + side);
        }
        LegacyRandom random = new LegacyRandom(seed);
        List<int[]> grids = side == 4 ? shuffledGridsOfSide4(random) : drawGrids(side, train + test, random);
        int split = side == 4 ? TRAIN_GRIDS_OF_SIDE_4 : train;
        List<int[]> trainGrids = grids.subList(0, split);
        List<int[]> testGrids = grids.subList(split, grids.size());
        List<Puzzle> trainPuzzles = draw("train", side, trainGrids, train, minBlanks, maxBlanks, random);
        List<Puzzle> testPuzzles = draw("test", side, testGrids, test, minBlanks, maxBlanks, random);
        try {
            SingleExampleWriter.writeIdentifiers(out);
            write(out.resolve("train"), side, trainPuzzles);
            write(out.resolve("test"), side, testPuzzles);
        } catch (IOException e) {
            throw new DataException(out + ": cannot be written: " + e.getMessage(), e);
        }
        return new Summary(out, train, test, distinctGrids(trainPuzzles), distinctGrids(testPuzzles));
    }

    /** As {@link #build}, unless the folder is there already. */
    public static void buildOnce(Path out, int side, int train, int test, long seed, int minBlanks) {
        BuiltOnce.folder(out, folder -> build(folder, side, train, test, seed, minBlanks));
    }

    private record Puzzle(int[] question, int[] answer) {}

    private static int distinctGrids(List<Puzzle> puzzles) {
        return (int) puzzles.stream()
                .map(puzzle -> Arrays.toString(puzzle.answer()))
                .distinct()
                .count();
    }

    private static void write(Path dir, int side, List<Puzzle> puzzles) throws IOException {
        try (SingleExampleWriter writer =
                SingleExampleWriter.expanded(dir, "u1", puzzles.size(), 1, side * side, side + 2)) {
            for (Puzzle puzzle : puzzles) {
                writer.task(Boards.tokens(puzzle.question()), Boards.tokens(puzzle.answer()));
            }
        }
    }

    private static List<int[]> shuffledGridsOfSide4(LegacyRandom random) {
        List<int[]> grids = new ArrayList<>();
        Solver solver = new Solver(4);
        solver.solve(new int[16], Integer.MAX_VALUE, null, grids);
        List<int[]> shuffled = new ArrayList<>();
        for (int i : random.permutation(grids.size())) {
            shuffled.add(grids.get(i));
        }
        return shuffled;
    }

    private static List<int[]> drawGrids(int side, int count, LegacyRandom random) {
        Solver solver = new Solver(side);
        Set<List<Integer>> seen = new HashSet<>();
        List<int[]> grids = new ArrayList<>();
        while (grids.size() < count) {
            List<int[]> found = new ArrayList<>();
            solver.solve(new int[side * side], 1, random, found);
            if (seen.add(Arrays.stream(found.get(0)).boxed().toList())) {
                grids.add(found.get(0));
            }
        }
        return grids;
    }

    /** Takes the grids in turn; from each, clears cells in random order while the solution stays unique. */
    private static List<Puzzle> draw(
            String split, int side, List<int[]> grids, int count, int minBlanks, int maxBlanks, LegacyRandom random) {
        Set<List<Integer>> questions = new LinkedHashSet<>();
        List<Puzzle> puzzles = new ArrayList<>();
        Solver solver = new Solver(side);
        int failures = 0;
        for (int turn = 0; puzzles.size() < count; turn++) {
            int[] answer = grids.get(turn % grids.size());
            int[] question = clear(solver, answer, random.randint(minBlanks, maxBlanks + 1), random);
            boolean blankEnough = Arrays.stream(question).filter(d -> d == 0).count() >= minBlanks;
            if (blankEnough && questions.add(Arrays.stream(question).boxed().toList())) {
                puzzles.add(new Puzzle(question, answer));
                failures = 0;
            } else if (++failures == MAX_FAILURES) {
                throw new DataException(split + "=" + count + ": found only " + puzzles.size()
                        + " distinct puzzles of side " + side + " with " + minBlanks
                        + " or more blanks; expected fewer puzzles or blanks");
            }
        }
        return puzzles;
    }

    private static int[] clear(Solver solver, int[] answer, int blanks, LegacyRandom random) {
        int[] question = answer.clone();
        int cleared = 0;
        for (int cell : random.permutation(answer.length)) {
            if (cleared == blanks) {
                break;
            }
            question[cell] = 0;
            if (solver.count(question, 2) == 1) {
                cleared++;
            } else {
                question[cell] = answer[cell];
            }
        }
        return question;
    }

    /** Depth-first search, on the blank cell with the fewest candidates. */
    static final class Solver {
        private final int side;
        private final int[] boxOf;

        Solver(int side) {
            this.side = side;
            boxOf = new int[side * side];
            for (int i = 0; i < boxOf.length; i++) {
                boxOf[i] = Boards.box(side, i / side, i % side);
            }
        }

        /** Number of solutions of a board, counted up to the limit. */
        int count(int[] board, int limit) {
            return solve(board, limit, null, null);
        }

        /** As {@link #count}; collects the solutions, trying digits in random order if a generator is given. */
        int solve(int[] board, int limit, LegacyRandom order, List<int[]> solutions) {
            int[] digits = board.clone();
            int[] rows = new int[side];
            int[] columns = new int[side];
            int[] boxes = new int[side];
            for (int i = 0; i < digits.length; i++) {
                int bit = digits[i] == 0 ? 0 : 1 << digits[i];
                if (((rows[i / side] | columns[i % side] | boxes[boxOf[i]]) & bit) != 0) {
                    return 0;
                }
                rows[i / side] |= bit;
                columns[i % side] |= bit;
                boxes[boxOf[i]] |= bit;
            }
            return search(digits, rows, columns, boxes, limit, order, solutions);
        }

        private int search(
                int[] digits,
                int[] rows,
                int[] columns,
                int[] boxes,
                int limit,
                LegacyRandom order,
                List<int[]> solutions) {
            int all = (1 << (side + 1)) - 2;
            int cell = -1;
            int candidates = 0;
            for (int i = 0; i < digits.length; i++) {
                if (digits[i] == 0) {
                    int free = all & ~(rows[i / side] | columns[i % side] | boxes[boxOf[i]]);
                    if (cell < 0 || Integer.bitCount(free) < Integer.bitCount(candidates)) {
                        cell = i;
                        candidates = free;
                    }
                }
            }
            if (cell < 0) {
                if (solutions != null) {
                    solutions.add(digits.clone());
                }
                return 1;
            }
            int found = 0;
            int[] permuted = order == null ? null : order.permutation(side);
            for (int k = 0; k < side && found < limit; k++) {
                int digit = 1 + (permuted == null ? k : permuted[k]);
                int bit = 1 << digit;
                if ((candidates & bit) != 0) {
                    digits[cell] = digit;
                    rows[cell / side] ^= bit;
                    columns[cell % side] ^= bit;
                    boxes[boxOf[cell]] ^= bit;
                    found += search(digits, rows, columns, boxes, limit - found, order, solutions);
                    digits[cell] = 0;
                    rows[cell / side] ^= bit;
                    columns[cell % side] ^= bit;
                    boxes[boxOf[cell]] ^= bit;
                }
            }
            return found;
        }
    }
}
