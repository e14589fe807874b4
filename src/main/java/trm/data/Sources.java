package trm.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Where the test puzzles of a folder come from and how hard they are rated: {@value #FILE}, a file of our own beside the
 * published ones of the test split, which the builders write as ever. Comma-separated with the header {@value #HEADER}, a line a
 * group; the rating is empty where there is none.
 */
public final class Sources {
    static final String FILE = "all__sources.csv";
    private static final String HEADER = "source,rating";

    /** Of a group. @param rating null for none */
    record Row(String source, Integer rating) {}

    private Sources() {}

    /** Writes those of the test split that {@link SudokuBuilder} made of the same arguments. */
    public static void writeSudoku(Path out, Path testCsv, Integer minDifficulty, Integer limitTest) {
        List<Row> rows = new ArrayList<>();
        SudokuCsv.read(testCsv, row -> {
            if ((minDifficulty == null || row.rating() >= minDifficulty)
                    && (limitTest == null || rows.size() < limitTest)) {
                rows.add(new Row(row.source(), row.rating()));
            }
        });
        write(out, rows);
    }

    /** Writes those of the test split that {@link MazeBuilder} made of the same file. */
    public static void writeMaze(Path out, Path testCsv) {
        List<Row> rows = new ArrayList<>();
        PuzzleCsv.read(testCsv, (where, fields) -> rows.add(new Row(fields.get(0), null)));
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
        if (rows.isEmpty()) {
            return; // no test split
        }
        StringBuilder text = new StringBuilder(HEADER).append('\n');
        for (Row row : rows) {
            boolean plain = !row.source.contains(",") && !row.source.contains("\"");
            text.append(plain ? row.source : '"' + row.source.replace("\"", "\"\"") + '"')
                    .append(',')
                    .append(row.rating == null ? "" : row.rating)
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
        PuzzleCsv.read(file, "source", "rating", (where, fields) -> {
            String rating = fields.get(1);
            if (!rating.matches("-?[0-9]{1,9}|")) {
                throw new DataException(where + "rating: found '" + rating + "', expected an integer or nothing");
            }
            rows.add(new Row(fields.get(0), rating.isEmpty() ? null : Integer.valueOf(rating)));
        });
        if (rows.size() != groups) {
            throw new DataException(file + ": found " + rows.size() + " rows, expected " + groups + ", one a group");
        }
        return rows;
    }
}
