package trm.cli;

import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import trm.data.Sources;
import trm.data.sudoku.GivensAdded;
import trm.data.sudoku.SudokuBuilder;
import trm.data.sudoku.SudokuCsv;
import trm.io.FormatException;

/** {@code trm data sudoku-easy}. */
@Command(
        name = "sudoku-easy",
        mixinStandardHelpOptions = true,
        description = {
            "Builds a folder of easier 9 x 9 Sudokus: puzzles of a file, such as data/sudoku/train.csv, with cells filled from their"
                    + " answers. Each has one solution, as its original has.",
            "--givens makes puzzles with so many givens as newspapers print; puzzles that have more are left out. --minimal-plus adds"
                    + " to what a puzzle has, to make a mixture that begins with the puzzles themselves."
        },
        footer = {
            "",
            "Example: trm data sudoku-easy --givens 30..38 --aug 1 --compact --out data/sudoku-easy",
            "         trm data sudoku-easy --minimal-plus 0..12 --each 3 --aug 100 --compact --out data/sudoku-mixed"
        })
final class DataSudokuEasyCommand implements Callable<Integer> {
    private static final Path SHIPPED = Path.of("data", "sudoku");
    private static final Pattern RANGE = Pattern.compile("(\\d{1,2})(?:\\.\\.(\\d{1,2}))?");

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--train",
            paramLabel = "FILE",
            description = "Puzzles to make training puzzles of, in any form of trm data sudoku; default:"
                    + " data/sudoku/train.csv of the installation.")
    private Path train;

    @Option(
            names = "--test",
            paramLabel = "FILE",
            description = "Puzzles to make test puzzles of; default: data/sudoku/test.csv.")
    private Path test;

    @Option(
            names = "--givens",
            paramLabel = "A..B",
            description = "Givens of a puzzle, drawn evenly (default 30..38, unless --minimal-plus is given).")
    private String givens;

    @Option(
            names = "--minimal-plus",
            paramLabel = "A..B",
            description = "Givens that are added to each puzzle, drawn evenly; nearly all of data/sudoku are minimal.")
    private String added;

    @Option(
            names = "--each",
            defaultValue = "1",
            paramLabel = "N",
            description = "Different training puzzles to make of each (default ${DEFAULT-VALUE}).")
    private int each;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Folder to write.")
    private Path out;

    @Option(names = "--subsample", paramLabel = "N", description = "Only N training puzzles, drawn at random.")
    private Integer subsample;

    @Option(names = "--aug", defaultValue = "0", description = "Shuffled copies of each training puzzle.")
    private int aug;

    @Option(names = "--min-difficulty", paramLabel = "R", description = "Only of puzzles rated R or more.")
    private Double minDifficulty;

    @Mixin
    private ColumnsOption columns;

    @Option(names = "--limit-test", paramLabel = "N", description = "Only the first N test puzzles.")
    private Integer limitTest;

    @Option(names = "--seed", defaultValue = "42", description = "Seed (default ${DEFAULT-VALUE}).")
    private long seed;

    @Option(
            names = "--compact",
            description =
                    "Training puzzles once, copies as records that the device applies, as trm data sudoku has it.")
    private boolean compact;

    @Override
    public Integer call() {
        checkOptions();
        GivensAdded.Amount amount = amount();
        GivensAdded training = new GivensAdded(csv(train, "train.csv"), amount, each, seed);
        GivensAdded testing = new GivensAdded(csv(test, "test.csv"), amount, 1, GivensAdded.testSeed(seed));
        SudokuBuilder.Summary made =
                SudokuBuilder.build(training, testing, out, subsample, aug, seed, limitTest, compact, Cli::message);
        for (GivensAdded rows : new GivensAdded[] {training, testing}) {
            if (rows.leftOut() > 0) {
                Cli.message(rows.file() + ": left out " + rows.leftOut() + " puzzles of more than " + amount.most()
                        + " givens");
            }
        }
        Sources.writeSudoku(out, testing, limitTest);
        Cli.message(String.format(
                Locale.ROOT,
                "%s: %d training examples (%d puzzles, %d shuffled copies each), %d test puzzles, %s",
                made.out(),
                made.trainExamples(),
                made.trainGroups(),
                aug,
                made.testExamples(),
                text(amount)));
        return 0;
    }

    private static String text(GivensAdded.Amount amount) {
        return amount.least() + " to " + amount.most() + " givens" + (amount.inAll() ? " each" : " added to each");
    }

    private void checkOptions() {
        Cli.atLeast(spec, "--each", each, 1);
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
        if (givens != null && added != null) {
            throw wrong(
                    "--givens with --minimal-plus: the number of all givens or of those added, expected one of the two");
        }
    }

    private GivensAdded.Amount amount() {
        String option = added == null ? "--givens" : "--minimal-plus";
        String text = added != null ? added : givens != null ? givens : "30..38";
        Matcher range = RANGE.matcher(text);
        boolean number = range.matches();
        int least = number ? Integer.parseInt(range.group(1)) : -1;
        int most = number ? Integer.parseInt(range.group(range.group(2) == null ? 1 : 2)) : -1;
        if (!number || most < least || most > GivensAdded.CELLS) {
            throw wrong(option + " " + text + ": expected A..B, two whole numbers from 0 to " + GivensAdded.CELLS
                    + ", the lesser one first");
        }
        return new GivensAdded.Amount(added == null, least, most);
    }

    /** The file given, else the one that the project ships. */
    private SudokuCsv csv(Path file, String shipped) {
        Path from = file != null
                ? file
                : Cli.installed(SHIPPED.resolve(shipped))
                        .orElseThrow(
                                () -> new FormatException(
                                        SHIPPED.resolve(shipped)
                                                + ": not found in the installation or the current folder; give --train FILE and --test FILE"));
        return new SudokuCsv(from, columns.names(), minDifficulty);
    }

    private ParameterException wrong(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
