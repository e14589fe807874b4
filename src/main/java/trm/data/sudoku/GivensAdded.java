package trm.data.sudoku;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Consumer;
import trm.data.random.PhiloxRandom;
import trm.input.DataException;

/**
 * Easier puzzles, made of others by filling cells from their answers: how many, and which, is drawn evenly. A puzzle with one
 * solution keeps it when givens are added, so none has to be solved again. Puzzles of different files share no solution if those of
 * the files do not. The source of a row says how many givens it has; its rating was another puzzle's, and is not known.
 *
 * @see SudokuBuilder
 */
public final class GivensAdded implements SudokuRows {
    /** Of a board. */
    public static final int CELLS = 81;

    /** Test puzzles have a generator of their own, so that they are the same whatever is trained on. */
    private static final long TEST_SEED = 0x74657374; // "test"

    private static final int MOST_DRAWS = 1000; // of a puzzle that has not been drawn from the same one before

    /**
     * How many givens.
     *
     * @param inAll whether those of the puzzle count: the numbers are of all givens, else of those that are added
     * @param least from 0 .. 81
     * @param most  from least .. 81
     */
    public record Amount(boolean inAll, int least, int most) {
        public Amount {
            if (least < 0 || most < least || most > CELLS) {
                throw new DataException("givens " + least + ".." + most + ": expected two numbers from 0 to " + CELLS
                        + ", the lesser one first");
            }
        }

        /** The fewest givens of a puzzle made of one with {@code own} of them. */
        private int from(int own) {
            return inAll ? Math.max(own, least) : Math.min(CELLS, own + least);
        }

        /** The most; fewer than {@link #from} where no puzzle can be made. */
        private int to(int own) {
            return inAll ? most : Math.min(CELLS, own + most);
        }
    }

    private final SudokuRows puzzles;
    private final Amount amount;
    private final int each;
    private final long seed;
    private int leftOut;

    /**
     * @param each puzzles to make of each one, all different
     * @param seed at least 0
     */
    public GivensAdded(SudokuRows puzzles, Amount amount, int each, long seed) {
        if (each < 1) {
            throw new DataException("each=" + each + ": expected at least 1");
        }
        this.puzzles = puzzles;
        this.amount = amount;
        this.each = each;
        this.seed = seed;
    }

    /** The seed of a test split beside a training split of this one. */
    public static long testSeed(long seed) {
        return seed ^ TEST_SEED;
    }

    @Override
    public Path file() {
        return puzzles.file();
    }

    @Override
    public Number least() {
        return puzzles.least();
    }

    /** Puzzles that the last reading left out: they have more givens than those to be made. */
    public int leftOut() {
        return leftOut;
    }

    @Override
    public void read(Consumer<SudokuCsv.Row> sink) {
        PhiloxRandom random = new PhiloxRandom(seed);
        leftOut = 0;
        int[] kept = {0};
        puzzles.read(row -> {
            int own = givens(row.question());
            if (amount.from(own) > amount.to(own)) {
                leftOut++;
                return;
            }
            kept[0]++;
            Set<String> made = new HashSet<>();
            for (int i = 0; i < each; i++) {
                sink.accept(distinct(row, own, random, made));
            }
        });
        if (kept[0] == 0 && leftOut > 0) {
            throw new DataException(file() + ": each of its " + leftOut + " puzzles has more than " + amount.most()
                    + " givens, expected one with fewer: givens are added, none is taken away");
        }
    }

    private SudokuCsv.Row distinct(SudokuCsv.Row row, int own, PhiloxRandom random, Set<String> made) {
        for (int draw = 0; draw < MOST_DRAWS; draw++) {
            int count = (int) random.integers(amount.from(own), amount.to(own) + 1L);
            int[] question = filled(row, count - own, random);
            if (made.add(Arrays.toString(question))) {
                return new SudokuCsv.Row(count + " givens", question, row.answer(), null, row.solved());
            }
        }
        throw new DataException(file() + ": found only " + made.size() + " different puzzles with " + amount.from(own)
                + " to " + amount.to(own) + " givens from a puzzle with " + own + ", expected " + each);
    }

    /** The question with the answer's digits in so many of its empty cells. */
    private static int[] filled(SudokuCsv.Row row, int count, PhiloxRandom random) {
        int[] question = row.question().clone();
        int left = count;
        for (int cell : random.permutation(CELLS)) {
            if (left > 0 && question[cell] == 0) {
                question[cell] = row.answer()[cell];
                left--;
            }
        }
        return question;
    }

    private static int givens(int[] question) {
        return (int) Arrays.stream(question).filter(digit -> digit != 0).count();
    }
}
