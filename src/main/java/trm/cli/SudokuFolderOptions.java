package trm.cli;

import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import trm.data.Sources;
import trm.data.sudoku.SudokuBuilder;
import trm.data.sudoku.SudokuCsv;
import trm.data.sudoku.SudokuRows;
import trm.data.table.ColumnNames;

/** What the commands that build a folder of 9 x 9 Sudokus have in common: which rows, how many copies, where to. */
final class SudokuFolderOptions {
    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Folder to write.")
    private Path out;

    @Option(names = "--subsample", paramLabel = "N", description = "Only N training puzzles, drawn at random.")
    private Integer subsample;

    @Option(names = "--aug", defaultValue = "0", description = "Shuffled copies of each training puzzle.")
    private int aug;

    @Option(
            names = "--min-difficulty",
            paramLabel = "R",
            description = "Only puzzles of files that are rated R or more.")
    private Double minDifficulty;

    @Mixin
    private ColumnsOption columns;

    @Option(
            names = "--limit-test",
            paramLabel = "N",
            description = "Only the first N test puzzles: evaluation takes long on a CPU.")
    private Integer limitTest;

    @Option(names = "--seed", defaultValue = "42", description = "Seed (default ${DEFAULT-VALUE}).")
    private long seed;

    @Option(
            names = "--compact",
            description = "Training puzzles once, copies as records that the device applies: the same examples in a"
                    + " fraction of the space, for this program only.")
    private boolean compact;

    long seed() {
        return seed;
    }

    /** Refuses options that no folder can be built with, before a file is read. */
    void check() {
        Cli.atLeast(spec, "--subsample", subsample == null ? 1 : subsample, 1);
        Cli.atLeast(spec, "--aug", aug, 0);
        Cli.atLeast(spec, "--limit-test", limitTest == null ? 1 : limitTest, 1);
        Cli.within(spec, "--seed", seed, 0, 0xFFFFFFFFL);
        if (compact && aug == 0) {
            throw wrong("--compact with --aug 0: expected copies to be compact about, --aug 1 or more");
        }
        if (minDifficulty != null && !Double.isFinite(minDifficulty)) {
            throw wrong("--min-difficulty " + minDifficulty + ": expected a number");
        }
    }

    /**
     * The rows of a file.
     *
     * @param rating column or key of the ratings; null for the usual names, as is {@code source}
     */
    SudokuCsv rows(Path file, String rating, String source) {
        ColumnNames names = columns.names(rating, source);
        return new SudokuCsv(file, names, minDifficulty);
    }

    /** Builds the folder; returns the sentence that says what is in it. */
    String build(SudokuRows training, SudokuRows testing) {
        SudokuBuilder.Summary made =
                SudokuBuilder.build(training, testing, out, subsample, aug, seed, limitTest, compact, Cli::message);
        Sources.writeSudoku(out, testing, limitTest);
        return String.format(
                Locale.ROOT,
                "%s: %d training examples (%d puzzles, %d shuffled copies each), %d test puzzles",
                made.out(),
                made.trainExamples(),
                made.trainGroups(),
                aug,
                made.testExamples());
    }

    ParameterException wrong(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
