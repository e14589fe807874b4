package trm.cli;

import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import trm.data.Sources;
import trm.data.maze.MazeBuilder;

/** {@code trm data maze}. */
@Command(
        name = "maze",
        mixinStandardHelpOptions = true,
        description = {
            "Builds a folder from tables of mazes (CSV, TSV, JSON; plain, gzipped or zipped), those of Maze-Hard as the published"
                    + " builder does; or of mazes like those of"
                    + " Maze-Hard that it draws.",
            "A maze is a square of '#', ' ', 'S' and 'G', row by row; 'o' marks the path of its answer."
        },
        footer = {
            "",
            "Example: trm data maze --train train.csv --test test.csv --subsample 1000 --aug --out data/maze-30x30-hard-1k",
            "         trm data maze --generate 1000 --aug --out data/maze-made"
        })
final class DataMazeCommand implements Callable<Integer> {
    private static final int TEST_SIZE = 1000;
    private static final int SIDE = 30;
    private static final int MIN_PATH = 111;

    @Spec
    private CommandSpec spec;

    @Option(names = "--train", paramLabel = "FILE", description = "Training mazes.")
    private Path train;

    @Option(names = "--test", paramLabel = "FILE", description = "Test mazes.")
    private Path test;

    @Mixin
    private ColumnsOption columns;

    @Option(
            names = "--generate",
            paramLabel = "N",
            description = "Draws N training mazes instead; no two mazes are the same up to rotation and reflection.")
    private Integer generate;

    @Option(names = "--test-size", paramLabel = "N", description = "Test mazes to draw (default " + TEST_SIZE + ").")
    private Integer testSize;

    @Option(names = "--size", paramLabel = "N", description = "Rows and columns to draw (default " + SIDE + ").")
    private Integer side;

    @Option(
            names = "--min-path",
            paramLabel = "N",
            description = "Fewest moves from start to goal of a maze that is drawn (default " + MIN_PATH + ").")
    private Integer minPath;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Folder to write.")
    private Path out;

    @Option(names = "--subsample", paramLabel = "N", description = "Only N training mazes, drawn at random.")
    private Integer subsample;

    @Option(names = "--aug", description = "Each training maze in all of its eight rotations and reflections.")
    private boolean aug;

    @Option(
            names = "--compact",
            description = "Store each maze once; the device makes the copies (docs/data.md). Needs --aug.")
    private boolean compact;

    @Option(names = "--seed", defaultValue = "42", description = "Seed (default ${DEFAULT-VALUE}).")
    private long seed;

    @Override
    public Integer call() {
        checkOptions();
        MazeBuilder.Summary made = generate == null
                ? MazeBuilder.build(train, test, columns.names(), out, subsample, aug, seed, compact)
                : MazeBuilder.generate(
                        out,
                        generate,
                        or(testSize, TEST_SIZE),
                        or(side, SIDE),
                        or(minPath, MIN_PATH),
                        seed,
                        aug,
                        compact);
        if (generate == null) {
            Sources.writeMaze(out, test, columns.names());
        }
        Cli.message(String.format(
                Locale.ROOT,
                "%s: %d x %d cells, %d training examples (%d mazes), %d test mazes",
                made.out(),
                made.side(),
                made.side(),
                made.trainExamples(),
                made.trainGroups(),
                made.testExamples()));
        return 0;
    }

    private void checkOptions() {
        Cli.atLeast(spec, "--subsample", or(subsample, 1), 1);
        Cli.atLeast(spec, "--generate", or(generate, 1), 1);
        Cli.atLeast(spec, "--test-size", or(testSize, 1), 1);
        Cli.atLeast(spec, "--min-path", or(minPath, 1), 1);
        if (side != null && (side < MazeBuilder.LEAST_SIDE || side > MazeBuilder.MOST_SIDE)) {
            throw wrong("--size " + side + ": expected " + MazeBuilder.LEAST_SIDE + " .. " + MazeBuilder.MOST_SIDE);
        }
        if (generate != null && (train != null || test != null || subsample != null)) {
            throw wrong("--generate with --train, --test or --subsample: expected files of mazes, or none");
        }
        if (generate != null && columns.given()) {
            throw wrong("--generate with --question or --answer: expected files of mazes, or none");
        }
        if (generate == null && (train == null || test == null)) {
            throw wrong("expected --train FILE and --test FILE, or --generate N");
        }
        if (generate == null && (testSize != null || side != null || minPath != null)) {
            throw wrong("--test-size, --size or --min-path without --generate: expected mazes to draw");
        }
        if (compact && !aug) {
            throw wrong("--compact without --aug: expected copies to be compact about");
        }
    }

    private ParameterException wrong(String message) {
        return new ParameterException(spec.commandLine(), message);
    }

    private static int or(Integer value, int otherwise) {
        return value == null ? otherwise : value;
    }
}
