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
import trm.data.OwnPuzzles;

/** {@code trm data csv}. */
@Command(
        name = "csv",
        mixinStandardHelpOptions = true,
        description = {
            "Builds a folder from puzzles of your own: questions and answers of one length.",
            "CSV or TSV with a header, or JSON, a list of objects or one a line; plain, gzipped or zipped. A cell is a character;"
                    + " or, in JSON, a whole number: {\"question\": [[0, 2], ...], \"answer\": [[1, 2], ...]}.",
            "The folder keeps how the puzzles are written, so that they are drawn so wherever they are shown."
        },
        footer = {
            "",
            "Example: trm data csv --train train.csv --test test.csv --out data/own",
            "         trm data csv --train train.csv --test test.csv --question start --answer end --alphabet .XO --out data/own",
            "         trm data csv --train latin.csv --hold-out 0.1 --square --permute ABCDE --aug 20 --out data/latin",
        })
final class DataCsvCommand implements Callable<Integer> {
    private static final Pattern SIZES = Pattern.compile("([1-9][0-9]{0,3})x([1-9][0-9]{0,3})");

    private static final int MOST_COPIES = 1_000_000;

    @Spec
    private CommandSpec spec;

    @Option(names = "--train", required = true, paramLabel = "FILE", description = "Training puzzles.")
    private Path train;

    @Option(names = "--test", paramLabel = "FILE", description = "Test puzzles; or --hold-out.")
    private Path test;

    @Option(
            names = "--hold-out",
            paramLabel = "SHARE",
            description =
                    "Test on this share of the training puzzles, between 0 and 1. Puzzles whose answers are the same but for"
                            + " rotation, reflection and --permute stay together.")
    private Double holdOut;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Folder to write.")
    private Path out;

    @Mixin
    private ColumnsOption columns;

    @Option(
            names = "--alphabet",
            paramLabel = "CHARS",
            description =
                    "Characters of a cell in the order of their tokens; default: those of the training puzzles, sorted.")
    private String alphabet;

    @Option(
            names = "--board",
            paramLabel = "ROWSxCOLUMNS",
            description =
                    "Shape of a board; default: that of the table's rows of cells, else a square if there is one.")
    private String board;

    @Option(
            names = "--blocks",
            paramLabel = "ROWSxCOLUMNS",
            description = "Draw lines between blocks of this shape; default: none.")
    private String blocks;

    @Option(
            names = "--empty",
            paramLabel = "SYMBOLS",
            description = "Symbols of cells that the answer fills; default: those that no training answer has.")
    private String empty;

    @Option(
            names = "--square",
            description = "Rotations and reflections make a puzzle of a puzzle: for --aug, inspect and eval --vote.")
    private boolean square;

    @Option(
            names = "--permute",
            paramLabel = "SYMBOLS",
            description =
                    "Symbols that may be exchanged for each other, which makes a puzzle of a puzzle; numbers with commas.")
    private String permuted;

    @Option(
            names = "--aug",
            defaultValue = "0",
            paramLabel = "N",
            description =
                    "Different copies of each training puzzle, by --square and --permute (default ${DEFAULT-VALUE}).")
    private int copies;

    @Option(names = "--compact", description = "With --aug: keep how copies are made instead of them.")
    private boolean compact;

    @Option(
            names = "--seed",
            defaultValue = "1",
            description = "Of what --hold-out and --aug draw (default ${DEFAULT-VALUE}).")
    private long seed;

    @Override
    public Integer call() {
        if ((test == null) == (holdOut == null)) {
            throw new ParameterException(
                    spec.commandLine(),
                    test == null
                            ? "expected puzzles to test on: --test FILE or --hold-out SHARE"
                            : "found both --test and --hold-out, expected one of them");
        }
        if (holdOut != null && !(holdOut > 0 && holdOut < 1)) {
            throw new ParameterException(
                    spec.commandLine(), "--hold-out " + holdOut + ": expected a share between 0 and 1");
        }
        Cli.within(spec, "--aug", copies, 0, MOST_COPIES);
        if (compact && copies == 0) {
            throw new ParameterException(
                    spec.commandLine(), "--compact: expected --aug N too: there is nothing to save");
        }
        OwnPuzzles.Look look = new OwnPuzzles.Look(
                alphabet, sizes("--board", board), sizes("--blocks", blocks), empty, square, permuted);
        OwnPuzzles.Split split = new OwnPuzzles.Split(holdOut == null ? 0 : holdOut, copies, compact, seed);
        OwnPuzzles.Summary made = OwnPuzzles.build(train, test, out, columns.names(), look, split, Cli::message);
        Cli.message(made.out() + ": " + made.train() + " training "
                + (copies == 0 ? "" : String.format(Locale.ROOT, "(%d copies each) ", copies))
                + "and " + made.test() + " test puzzles of " + made.length() + " cells, " + made.vocabulary()
                + " tokens: 0 for padding, then "
                + (made.alphabet() == null ? "number + 1" : "those of '" + made.alphabet() + "' in this order"));
        return 0;
    }

    /** Rows and columns; null if the option is not given. */
    private int[] sizes(String option, String text) {
        if (text == null) {
            return null;
        }
        Matcher sizes = SIZES.matcher(text);
        if (!sizes.matches()) {
            throw new ParameterException(spec.commandLine(), option + " " + text + ": expected ROWSxCOLUMNS, as 5x5");
        }
        return new int[] {Integer.parseInt(sizes.group(1)), Integer.parseInt(sizes.group(2))};
    }
}
