package trm.cli;

import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.MemorySize;
import trm.data.CompactBuilder;
import trm.data.Sources;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.data.sudoku.SudokuBuilder;
import trm.data.sudoku.SudokuCsv;
import trm.data.table.ColumnNames;

/** Makes data-set folders. */
@Command(
        name = "data",
        mixinStandardHelpOptions = true,
        description = "Makes data-set folders in the published layout, and looks into them.",
        subcommands = {
            DataCommand.Sudoku.class,
            DataCommand.SudokuMini.class,
            DataSudokuEasyCommand.class,
            DataMazeCommand.class,
            DataArcCommand.class,
            DataCsvCommand.class,
            DataCommand.Compact.class,
            DataInspectCommand.class
        },
        footer = {"", "Example: trm data sudoku-mini --side 4 --out data/mini"})
final class DataCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        spec.commandLine().usage(System.out);
    }

    @Command(
            name = "sudoku",
            mixinStandardHelpOptions = true,
            description = {
                "Builds a folder from files of 9 x 9 Sudokus, of Sudoku-Extreme as the published builder does.",
                "CSV, TSV or JSON with questions and, where there are, answers, ratings and sources; or a list of questions,"
                        + " one a line. A question without an answer is solved. Plain, gzipped or zipped."
            },
            footer = {
                "",
                "Example: trm data sudoku --train data/sudoku/train.csv --test data/sudoku/test.csv"
                        + " --subsample 1000 --aug 1000 --out data/sudoku-1k-aug-1000",
                "         trm data sudoku --train sudoku.csv --test test.csv --question puzzle --rating difficulty --out data/own"
            })
    static final class Sudoku implements Callable<Integer> {
        @Spec
        private CommandSpec spec;

        @Option(names = "--train", required = true, paramLabel = "FILE", description = "Training puzzles.")
        private Path train;

        @Option(names = "--test", required = true, paramLabel = "FILE", description = "Test puzzles.")
        private Path test;

        @Option(names = "--out", required = true, paramLabel = "DIR", description = "Folder to write.")
        private Path out;

        @Option(names = "--subsample", paramLabel = "N", description = "Only N training puzzles, drawn at random.")
        private Integer subsample;

        @Option(names = "--aug", defaultValue = "0", description = "Shuffled copies of each training puzzle.")
        private int aug;

        @Option(names = "--min-difficulty", paramLabel = "R", description = "Only puzzles rated R or more.")
        private Double minDifficulty;

        @Mixin
        private ColumnsOption columns;

        @Option(
                names = "--rating",
                paramLabel = "NAME",
                description = "Column or key of the ratings (default: rating or difficulty).")
        private String rating;

        @Option(
                names = "--source",
                paramLabel = "NAME",
                description = "Column or key of where a puzzle comes from (default: source).")
        private String source;

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

        @Override
        public Integer call() {
            Cli.atLeast(spec, "--subsample", subsample == null ? 1 : subsample, 1);
            Cli.atLeast(spec, "--aug", aug, 0);
            Cli.atLeast(spec, "--limit-test", limitTest == null ? 1 : limitTest, 1);
            if (compact && aug == 0) {
                throw new ParameterException(
                        spec.commandLine(),
                        "--compact with --aug 0: expected copies to be compact about, --aug 1 or more");
            }
            if (minDifficulty != null && !Double.isFinite(minDifficulty)) {
                throw new ParameterException(
                        spec.commandLine(), "--min-difficulty " + minDifficulty + ": expected a number");
            }
            ColumnNames names = columns.names(rating, source);
            SudokuCsv training = new SudokuCsv(train, names, minDifficulty);
            SudokuCsv testing = new SudokuCsv(test, names, minDifficulty);
            SudokuBuilder.Summary made =
                    SudokuBuilder.build(training, testing, out, subsample, aug, seed, limitTest, compact, Cli::message);
            Sources.writeSudoku(out, testing, limitTest);
            Cli.message(String.format(
                    Locale.ROOT,
                    "%s: %d training examples (%d puzzles, %d shuffled copies each), %d test puzzles",
                    made.out(),
                    made.trainExamples(),
                    made.trainGroups(),
                    aug,
                    made.testExamples()));
            return 0;
        }
    }

    @Command(
            name = "sudoku-mini",
            mixinStandardHelpOptions = true,
            description =
                    "Generates 4x4 or 6x6 Sudoku puzzles with unique solutions; train and test share no solution.",
            footer = {"", "Example: trm data sudoku-mini --side 4 --train-size 10000 --test-size 600 --out data/mini"})
    static final class SudokuMini implements Callable<Integer> {
        @Spec
        private CommandSpec spec;

        @Option(names = "--side", defaultValue = "4", description = "4 or 6 (default ${DEFAULT-VALUE}).")
        private int side;

        @Option(names = "--train-size", defaultValue = "10000", description = "Puzzles (default ${DEFAULT-VALUE}).")
        private int train;

        @Option(names = "--test-size", defaultValue = "600", description = "Puzzles (default ${DEFAULT-VALUE}).")
        private int test;

        @Option(names = "--min-blanks", defaultValue = "0", description = "Blanks of a board; default: half of it.")
        private int minBlanks;

        @Option(names = "--seed", defaultValue = "1", description = "Seed (default ${DEFAULT-VALUE}).")
        private long seed;

        @Option(names = "--out", required = true, paramLabel = "DIR", description = "Folder to write.")
        private Path out;

        @Override
        public Integer call() {
            int blanks = minBlanks > 0 ? minBlanks : (side * side + 1) / 2;
            if (side != 4 && side != 6) {
                throw new ParameterException(spec.commandLine(), "--side " + side + ": expected 4 or 6");
            }
            Cli.atLeast(spec, "--train-size", train, 1);
            Cli.atLeast(spec, "--test-size", test, 1);
            MiniSudokuBuilder.Summary made = MiniSudokuBuilder.build(out, side, train, test, seed, blanks);
            Cli.message(String.format(
                    Locale.ROOT,
                    "%s: %d training puzzles of %d solutions, %d test puzzles of %d others",
                    made.out(),
                    made.train(),
                    made.trainGrids(),
                    made.test(),
                    made.testGrids()));
            return 0;
        }
    }

    @Command(
            name = "compact",
            mixinStandardHelpOptions = true,
            description = {
                "Rewrites a folder whose examples are rotations and mirror images of others, as augmented mazes are: each"
                        + " maze once, the rest as records that the device applies.",
                "The examples and their order stay the same. For shuffled Sudoku: trm data sudoku --compact."
            },
            footer = {"", "Example: trm data compact data/maze-30x30-hard --out data/maze-30x30-hard-compact"})
    static final class Compact implements Callable<Integer> {
        @Parameters(paramLabel = "DIR", description = "Folder in the published layout.")
        private Path in;

        @Option(names = "--out", required = true, paramLabel = "DIR", description = "Folder to write; must not exist.")
        private Path out;

        @Override
        public Integer call() {
            for (CompactBuilder.Split split : CompactBuilder.build(in, out)) {
                Cli.message(String.format(
                        Locale.ROOT,
                        "%s: %d examples of %d stored, %s instead of %s",
                        out.resolve(split.name()),
                        split.examples(),
                        split.storedRows(),
                        MemorySize.text(split.bytes()),
                        MemorySize.text(split.bytesFrom())));
            }
            return 0;
        }
    }
}
