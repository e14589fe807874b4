package trm.cli;

import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import trm.data.MazeBuilder;

/** {@code trm data maze}. */
@Command(
        name = "maze",
        mixinStandardHelpOptions = true,
        description = {
            "Builds a folder from CSV files of mazes, plain or .gz, as the published builder does.",
            "A maze is a square of '#', ' ', 'S' and 'G', row by row; 'o' marks the path of its answer."
        },
        footer = {
            "",
            "Example: trm data maze --train train.csv --test test.csv --subsample 1000 --aug --out data/maze-30x30-hard-1k"
        })
final class DataMazeCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(names = "--train", required = true, paramLabel = "CSV", description = "Training mazes.")
    private Path train;

    @Option(names = "--test", required = true, paramLabel = "CSV", description = "Test mazes.")
    private Path test;

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
        Cli.atLeast(spec, "--subsample", subsample == null ? 1 : subsample, 1);
        if (compact && !aug) {
            throw new ParameterException(
                    spec.commandLine(), "--compact without --aug: expected copies to be compact about");
        }
        MazeBuilder.Summary made = MazeBuilder.build(train, test, out, subsample, aug, seed, compact);
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
}
