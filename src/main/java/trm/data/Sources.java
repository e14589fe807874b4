package trm.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import trm.data.arc.ArcBuilder;
import trm.data.format.SingleExampleWriter;
import trm.data.maze.MazeBuilder;
import trm.data.sudoku.SudokuBuilder;
import trm.data.sudoku.SudokuCsv;
import trm.data.sudoku.SudokuRows;
import trm.data.table.ColumnNames;
import trm.data.table.ColumnNames.Role;
import trm.data.table.PuzzleTable;
import trm.input.DataException;
import trm.input.Shown;

/**
 * Where the test puzzles of a folder come from and how hard they are rated: {@value #FILE}, a file of our own beside the
 * published ones of the test split, which the builders write as ever. Comma-separated with the header {@value #HEADER}, a line a
 * group; the rating, a number, is empty where there is none. A folder of whose puzzles nothing is known has no such file.
 */
public final class Sources {
    static final String FILE = SingleExampleWriter.SOURCES;
    private static final String HEADER = "source,rating";

    /** Of a group. @param rating null for none */
    record Row(String source, Double rating) {
        /** The rating as it is written: a whole number without a fraction; "" for none. */
        private String ratingText() {
            boolean whole = rating != null && rating == Math.rint(rating) && Math.abs(rating) < 1e15;
            return rating == null ? "" : whole ? Long.toString(rating.longValue()) : rating.toString();
        }
    }

    private Sources() {}

    /** Writes those of the test split that {@link SudokuBuilder} made of the same arguments. */
    public static void writeSudoku(Path out, Path testCsv, Number minDifficulty, Integer limitTest) {
        writeSudoku(out, new SudokuCsv(testCsv, ColumnNames.USUAL, minDifficulty), limitTest);
    }

    /** As {@link #writeSudoku(Path, Path, Number, Integer)}, of a file with columns of other names, or of puzzles made of one. */
    public static void writeSudoku(Path out, SudokuRows test, Integer limitTest) {
        List<Row> rows = new ArrayList<>();
        test.read(row -> {
            if (limitTest == null || rows.size() < limitTest) {
                rows.add(new Row(row.source(), row.rating()));
            }
        });
        write(out, rows);
    }

    /** Writes those of the test split that {@link MazeBuilder} made of the same file. */
    public static void writeMaze(Path out, Path testCsv) {
        writeMaze(out, testCsv, ColumnNames.USUAL);
    }

    /** As {@link #writeMaze(Path, Path)}, of a file with columns of other names. */
    public static void writeMaze(Path out, Path testCsv, ColumnNames names) {
        List<Row> rows = new ArrayList<>();
        MazeBuilder.table(testCsv, names).read(row -> {
            String source = row.text(Role.SOURCE);
            rows.add(new Row(source == null ? "" : source, null));
        });
        write(out, rows);
    }

    /**
     * Writes those of the test split that {@link ArcBuilder} made: a task's subset, or its concept for a task of ConceptARC,
     * whose names are a concept and a number.
     */
    public static void writeArc(ArcBuilder.Summary made) {
        List<Row> rows = new ArrayList<>();
        for (ArcBuilder.TestTask task : made.testTasks()) {
            boolean concept = task.id().matches("[A-Z][A-Za-z]*+[0-9]++");
            rows.add(new Row(concept ? task.id().replaceAll("[0-9]+$", "") : task.subset(), null));
        }
        write(made.out(), rows);
    }

    private static void write(Path out, List<Row> rows) {
        Path file = out.resolve("test").resolve(FILE);
        if (rows.stream().allMatch(row -> row.source.isEmpty() && row.rating == null)) {
            return; // no test split, or nothing is known of it
        }
        StringBuilder text = new StringBuilder(HEADER).append('\n');
        for (Row row : rows) {
            boolean plain = row.source.chars().noneMatch(c -> ",\"\n\r".indexOf(c) >= 0);
            text.append(plain ? row.source : '"' + row.source.replace("\"", "\"\"") + '"')
                    .append(',')
                    .append(row.ratingText())
                    .append('\n');
        }
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new DataException(file + ": cannot be written: " + e.getMessage(), e);
        }
    }

    /**
     * Those of a split.
     *
     * @return a row a group, or none if there is no file
     * @throws DataException if the file is not as it should be
     */
    static List<Row> read(Path split, int groups) {
        Path file = split.resolve(FILE);
        List<Row> rows = new ArrayList<>();
        if (!Files.exists(file)) {
            return rows;
        }
        ColumnNames names = new ColumnNames(null, null, "rating", "source");
        new PuzzleTable(file, names, EnumSet.of(Role.SOURCE, Role.RATING), EnumSet.noneOf(Role.class), false)
                .read(row -> {
                    String text = row.text(Role.RATING);
                    Double rating = text.isEmpty() ? null : SudokuCsv.number(text);
                    if (rating == null && !text.isEmpty()) {
                        throw new DataException(row.where(Role.RATING) + "found " + Shown.quoted(text)
                                + ", expected a number or nothing");
                    }
                    rows.add(new Row(row.text(Role.SOURCE), rating));
                });
        if (rows.size() != groups) {
            throw new DataException(file + ": found " + rows.size() + " rows, expected " + groups + ", one a group");
        }
        return rows;
    }
}
