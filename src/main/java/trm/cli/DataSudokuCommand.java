package trm.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code trm data sudoku}. */
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
final class DataSudokuCommand implements Callable<Integer> {
    @Option(names = "--train", required = true, paramLabel = "FILE", description = "Training puzzles.")
    private Path train;

    @Option(names = "--test", required = true, paramLabel = "FILE", description = "Test puzzles.")
    private Path test;

    @Mixin
    private SudokuFolderOptions folder;

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

    @Override
    public Integer call() {
        folder.check();
        Cli.message(folder.build(folder.rows(train, rating, source), folder.rows(test, rating, source)));
        return 0;
    }
}
