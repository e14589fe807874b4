package trm.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import trm.data.sudoku.GivensAdded;
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

    @Mixin
    private SudokuFolderOptions folder;

    @Override
    public Integer call() {
        folder.check();
        checkOptions();
        GivensAdded.Amount amount = amount();
        GivensAdded training = new GivensAdded(rows(train, "train.csv"), amount, each, folder.seed());
        GivensAdded testing = new GivensAdded(rows(test, "test.csv"), amount, 1, GivensAdded.testSeed(folder.seed()));
        String made = folder.build(training, testing);
        for (GivensAdded rows : new GivensAdded[] {training, testing}) {
            if (rows.leftOut() > 0) {
                Cli.message(rows.file() + ": left out " + rows.leftOut() + " puzzles of more than " + amount.most()
                        + " givens");
            }
        }
        Cli.message(made + ", " + text(amount));
        return 0;
    }

    private static String text(GivensAdded.Amount amount) {
        return amount.least() + " to " + amount.most() + " givens" + (amount.inAll() ? " each" : " added to each");
    }

    private void checkOptions() {
        Cli.atLeast(spec, "--each", each, 1);
        if (givens != null && added != null) {
            throw folder.wrong(
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
            throw folder.wrong(option + " " + text + ": expected A..B, two whole numbers from 0 to " + GivensAdded.CELLS
                    + ", the lesser one first");
        }
        return new GivensAdded.Amount(added == null, least, most);
    }

    /** Those of the file given, else of the one that the project ships. */
    private SudokuCsv rows(Path file, String shipped) {
        Path from = file != null
                ? file
                : Cli.installed(SHIPPED.resolve(shipped))
                        .orElseThrow(
                                () -> new FormatException(
                                        SHIPPED.resolve(shipped)
                                                + ": not found in the installation or the current folder; give --train FILE and --test FILE"));
        return folder.rows(from, null, null);
    }
}
