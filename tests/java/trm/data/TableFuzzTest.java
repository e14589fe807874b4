package trm.data;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.Fuzz;
import trm.data.maze.MazeBuilder;
import trm.data.sudoku.SudokuCsv;
import trm.data.table.ColumnNames;
import trm.input.InputException;

/** Any file as a table of Sudokus, of mazes and of other puzzles. */
@Tag("fuzz")
class TableFuzzTest {
    private static final String ROW =
            ".1....2....47....53....1...2...6..3...94....8....7.6...9.8.........54..9..5..7.8.,"
                    + "716985243984723165352641897271568934639412578548379621197836452863254719425197386";

    private static final List<String> TOKENS = List.of(
            "\"",
            "\"\"",
            ",",
            ";",
            "\t",
            "|",
            " ",
            "\r\n",
            "\r",
            "\n\n",
            "sep=;\n",
            "\ufeff",
            "#",
            "question",
            "answer",
            "rating",
            "source,",
            "puzzle,solution\n",
            "\0",
            "\u00e4",
            "...",
            "PK\u0003\u0004",
            "<html>",
            "[{",
            "{\"a\":");

    @TempDir
    private Path dir;

    static List<byte[]> seeds() throws IOException {
        List<String> texts = List.of(
                "source,question,answer,rating\nmine," + ROW + ",43\n\"a\n\"\"b\"\"\"," + ROW + ",2\n",
                "\ufeffid;puzzle;solution;difficulty\r\n1;" + ROW.replace(',', ';') + ";0.5\r\n",
                "# list\n" + ROW.substring(0, 81) + "\n" + ROW.substring(0, 81).replace('.', '0') + " # again\n",
                "puzzle\n\"" + ROW.substring(0, 81).replaceAll("(.{9})", "$1\n") + "\"\n",
                "question,answer\n###S G###,###SoG###\n",
                "source, question, answer\nx, ab, ba\ny, ba, ab\n");
        List<byte[]> seeds = new ArrayList<>();
        for (String text : texts) {
            seeds.add(text.getBytes(StandardCharsets.UTF_8));
        }
        seeds.add(texts.get(1).replace(';', '\t').getBytes(StandardCharsets.UTF_16));
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (OutputStream out = new GZIPOutputStream(packed)) {
            out.write(seeds.get(0));
        }
        seeds.add(packed.toByteArray());
        packed.reset();
        try (ZipOutputStream out = new ZipOutputStream(packed)) {
            out.putNextEntry(new ZipEntry("t.csv"));
            out.write(seeds.get(4));
        }
        seeds.add(packed.toByteArray());
        return seeds;
    }

    @Test
    void tables() throws IOException {
        Path path = dir.resolve("t");
        Fuzz.run("table", seeds(), TOKENS, input -> {
            Files.write(path, input);
            readAll(path);
        });
    }

    /** By each command's reader, that none hides a fault of another; what the first says counts. */
    static void readAll(Path path) {
        InputException refused = null;
        for (Runnable reader : List.<Runnable>of(
                () -> new SudokuCsv(path, ColumnNames.USUAL, null).read(row -> {}),
                () -> MazeBuilder.read(MazeBuilder.table(path, ColumnNames.USUAL), 0),
                () -> own(path))) {
            try {
                reader.run();
                return;
            } catch (InputException e) {
                refused = e;
            }
        }
        throw refused;
    }

    private static void own(Path path) {
        CellValues values = new CellValues(255);
        OwnPuzzleFile file = OwnPuzzles.read(path, ColumnNames.USUAL, values, null);
        file.conflicts();
        values.tokens(file.numbers() ? null : values.distinct());
    }
}
