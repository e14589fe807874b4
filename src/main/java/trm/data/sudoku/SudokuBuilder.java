package trm.data.sudoku;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.function.Consumer;
import trm.data.format.SingleExampleWriter;
import trm.data.puzzle.Augmentation;
import trm.data.random.LegacyRandom;
import trm.data.table.ColumnNames;
import trm.input.DataException;

/**
 * Builds a Sudoku dataset folder byte for byte as the published builder does, with its global generator seeded right
 * before the training split. Each CSV file is read twice (count, then convert), so memory does not grow with the number
 * of copies or, without a subsample, with the number of rows.
 */
public final class SudokuBuilder {
    private static final int SIDE = 9;
    private static final int CELLS = 81;
    private static final int VOCAB = 11; // padding, blank, nine digits

    private SudokuBuilder() {}

    /**
     * What was written.
     *
     * @param trainGroups    original training puzzles
     * @param trainExamples  training rows, copies included
     * @param testExamples   test rows
     * @param trainTokenType dtype of the training tokens: "i8" with copies that are written out, else "u1"
     */
    public record Summary(Path out, int trainGroups, int trainExamples, int testExamples, String trainTokenType) {}

    /**
     * Builds {@code out/train}, {@code out/test} and {@code out/identifiers.json}. Both CSV files are checked in full
     * before anything is written.
     *
     * @param subsample     training puzzles to keep, drawn without replacement; null keeps all
     * @param aug           shuffled copies of each training puzzle
     * @param minDifficulty least rating to keep, in both splits; null keeps all
     * @param seed          of the legacy generator, 0 .. 2^32 - 1
     * @throws DataException if an argument or a CSV row is wrong, or a split keeps no row
     */
    public static Summary build(
            Path trainCsv, Path testCsv, Path out, Integer subsample, int aug, Number minDifficulty, long seed) {
        return build(trainCsv, testCsv, out, subsample, aug, minDifficulty, seed, null, false);
    }

    /**
     * As {@link #build(Path, Path, Path, Integer, int, Number, long)}, with a smaller test split or the copies as
     * records. The draws are the same, and so are the examples.
     *
     * @param limitTest keeps only the first test puzzles, as many as this; null keeps all
     * @param compact   writes the training split in its compact form (docs/data.md); the test split has no copies
     */
    public static Summary build(
            Path trainCsv,
            Path testCsv,
            Path out,
            Integer subsample,
            int aug,
            Number minDifficulty,
            long seed,
            Integer limitTest,
            boolean compact) {
        SudokuCsv train = new SudokuCsv(trainCsv, ColumnNames.USUAL, minDifficulty);
        SudokuCsv test = new SudokuCsv(testCsv, ColumnNames.USUAL, minDifficulty);
        return build(train, test, out, subsample, aug, seed, limitTest, compact, note -> {});
    }

    /**
     * As the others, of files with columns of other names, or of puzzles made of them.
     *
     * @param notes sees how many answers a file lacks, each of which was found
     */
    public static Summary build(
            SudokuRows trainCsv,
            SudokuRows testCsv,
            Path out,
            Integer subsample,
            int aug,
            long seed,
            Integer limitTest,
            boolean compact,
            Consumer<String> notes) {
        if (aug < 0) {
            throw new DataException("aug=" + aug + ": expected at least 0");
        }
        if (subsample != null && subsample < 1) {
            throw new DataException("subsample=" + subsample + ": expected at least 1");
        }
        if (limitTest != null && limitTest < 1) {
            throw new DataException("limitTest=" + limitTest + ": expected at least 1");
        }
        int trainRows = count(trainCsv, notes);
        int allTestRows = count(testCsv, notes);
        int testRows = limitTest == null ? allTestRows : Math.min(limitTest, allTestRows);
        LegacyRandom random = new LegacyRandom(seed);
        int[] chosen = subsample != null && subsample < trainRows ? random.choice(trainRows, subsample) : null;
        int groups = chosen == null ? trainRows : chosen.length;
        long examples = (long) groups * (aug + 1L);
        if (examples >= Integer.MAX_VALUE) {
            throw new DataException("aug=" + aug + ": found " + examples + " training rows, expected below 2147483647");
        }
        String trainType = aug > 0 && !compact ? "i8" : "u1";
        try {
            SingleExampleWriter.writeIdentifiers(out);
            Path trainDir = out.resolve("train");
            try (SingleExampleWriter train = compact
                    ? SingleExampleWriter.compact(trainDir, groups, aug + 1, CELLS, VOCAB)
                    : SingleExampleWriter.expanded(trainDir, trainType, groups, aug + 1, CELLS, VOCAB)) {
                Consumer<SudokuCsv.Row> sink = row -> putGroup(train, row, aug, random);
                if (chosen == null) {
                    trainCsv.read(sink);
                } else {
                    for (SudokuCsv.Row row : select(trainCsv, trainRows, chosen)) {
                        sink.accept(row);
                    }
                }
            }
            try (SingleExampleWriter test =
                    SingleExampleWriter.expanded(out.resolve("test"), "u1", testRows, 1, CELLS, VOCAB)) {
                int[] written = {0};
                testCsv.read(row -> {
                    if (written[0]++ < testRows) {
                        putGroup(test, row, 0, random);
                    }
                });
            }
        } catch (IOException | UncheckedIOException e) {
            throw new DataException(out + ": cannot be written: " + e.getMessage(), e);
        }
        return new Summary(out, groups, (int) examples, testRows, trainType);
    }

    private static int count(SudokuRows csv, Consumer<String> notes) {
        int[] count = {0};
        int[] solved = {0};
        csv.read(row -> {
            count[0]++;
            solved[0] += row.solved() ? 1 : 0;
        });
        if (count[0] == 0) {
            throw new DataException(csv.file() + ": found no row"
                    + (csv.least() == null ? "" : " of rating " + csv.least() + " or more")
                    + ", expected at least one");
        }
        if (solved[0] > 0) {
            notes.accept(csv.file() + ": has no answers to " + solved[0] + " of " + count[0]
                    + " puzzles; solved them, each has exactly one solution");
        }
        return count[0];
    }

    private static SudokuCsv.Row[] select(SudokuRows csv, int rows, int[] chosen) {
        int[] slots = new int[rows]; // 1 + position in the drawn order, 0: not drawn
        for (int i = 0; i < chosen.length; i++) {
            slots[chosen[i]] = i + 1;
        }
        SudokuCsv.Row[] selected = new SudokuCsv.Row[chosen.length];
        int[] next = {0};
        csv.read(row -> {
            int slot = slots[next[0]++];
            if (slot > 0) {
                selected[slot - 1] = row;
            }
        });
        return selected;
    }

    private static void putGroup(SingleExampleWriter writer, SudokuCsv.Row row, int aug, LegacyRandom random) {
        try {
            writer.task(Boards.tokens(row.question()), Boards.tokens(row.answer()));
            for (int copy = 0; copy < aug; copy++) {
                writer.copy(draw(random));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * A symmetry of Sudoku: transpose, then permute bands and rows in them, columns likewise, then rename digits; the
     * blank, token 1, and padding, 0, stay.
     */
    private static Augmentation draw(LegacyRandom random) {
        int[] digits = random.permutation(new int[] {1, 2, 3, 4, 5, 6, 7, 8, 9});
        int[] tokens = new int[VOCAB];
        tokens[1] = 1;
        for (int d = 1; d <= SIDE; d++) {
            tokens[d + 1] = digits[d - 1] + 1;
        }
        boolean transpose = random.rand() < 0.5;
        return new Augmentation(transpose, lines(random), lines(random), tokens);
    }

    private static int[] lines(LegacyRandom random) {
        int[] lines = new int[SIDE];
        int at = 0;
        for (int band : random.permutation(3)) {
            for (int line : random.permutation(3)) {
                lines[at++] = 3 * band + line;
            }
        }
        return lines;
    }
}
