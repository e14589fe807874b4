package trm.cli;

import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.MemorySize;
import trm.data.CompactBuilder;
import trm.data.sudoku.MiniSudokuBuilder;

/** Makes data-set folders. */
@Command(
        name = "data",
        mixinStandardHelpOptions = true,
        description = "Makes data-set folders in the published layout, and looks into them.",
        subcommands = {
            DataSudokuCommand.class,
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
