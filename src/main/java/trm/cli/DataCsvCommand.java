package trm.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import trm.data.OwnPuzzles;

/** {@code trm data csv}. */
@Command(
        name = "csv",
        mixinStandardHelpOptions = true,
        description = {
            "Builds a folder from puzzles of your own: questions and answers of one length.",
            "CSV or TSV with a header, or JSON, a list of objects or one a line; plain, gzipped or zipped. A cell is a character;"
                    + " or, in JSON, a whole number: {\"question\": [[0, 2], ...], \"answer\": [[1, 2], ...]}."
        },
        footer = {
            "",
            "Example: trm data csv --train train.csv --test test.csv --out data/own",
            "         trm data csv --train train.csv --test test.csv --question start --answer end --alphabet .XO --out data/own",
        })
final class DataCsvCommand implements Callable<Integer> {
    @Option(names = "--train", required = true, paramLabel = "FILE", description = "Training puzzles.")
    private Path train;

    @Option(names = "--test", required = true, paramLabel = "FILE", description = "Test puzzles.")
    private Path test;

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

    @Override
    public Integer call() {
        OwnPuzzles.Summary made = OwnPuzzles.build(train, test, out, columns.names(), alphabet, Cli::message);
        Cli.message(made.out() + ": " + made.train() + " training and " + made.test() + " test puzzles of "
                + made.length() + " cells, " + made.vocabulary() + " tokens: 0 for padding, then "
                + (made.alphabet() == null ? "number + 1" : "those of '" + made.alphabet() + "' in this order"));
        return 0;
    }
}
