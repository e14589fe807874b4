package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Oracle: folders of the published builder, byte for byte. */
class MazeTest {
    private static final String HEADER = "source,question,answer,rating\n";

    @TempDir
    private Path dir;

    @Test
    void foldersEqualThePublishedOnes() throws IOException {
        Path input = Golden.path("datasets/maze_tiny/input");
        Path gz = dir.resolve("train.csv.gz");
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(gz))) {
            Files.copy(input.resolve("train.csv"), out);
        }
        Path out = dir.resolve("tiny");
        assertEquals(
                new MazeBuilder.Summary(out, 30, 4, 32, 3),
                MazeBuilder.build(gz, input.resolve("test.csv"), out, 4, true, 42, false));
        Golden.assertSameFolder(Golden.path("datasets/maze_tiny/expected"), out);
        input = Golden.path("datasets/maze_small/input");
        out = dir.resolve("small");
        MazeBuilder.build(input.resolve("train.csv"), input.resolve("test.csv"), out, null, true, 3, false);
        Golden.assertSameFolder(Golden.path("datasets/maze_small/expected"), out);
    }

    /** The compact form has each maze once, and its examples are those of the other form. */
    @Test
    void compactForm() {
        Path input = Golden.path("datasets/maze_tiny/input");
        MazeBuilder.build(input.resolve("train.csv"), input.resolve("test.csv"), dir, 4, true, 42, true);
        Dataset compact = Dataset.open(dir, "train");
        Dataset expanded = Dataset.open(Golden.path("datasets/maze_tiny/expected"), "train");
        assertEquals(4, compact.storedRows());
        assertEquals(32, compact.examples());
        for (int e = 0; e < 32; e++) {
            assertArrayEquals(expanded.inputRow(e), compact.inputRow(e));
            assertArrayEquals(expanded.labelRow(e), compact.labelRow(e));
        }
    }

    /** Without copies the training split is like a test split. */
    @Test
    void withoutCopies() {
        Path test = Golden.path("datasets/maze_small/input/test.csv");
        MazeBuilder.build(test, test, dir, null, false, 0, false);
        Dataset train = Dataset.open(dir, "train");
        assertEquals(4, train.examples());
        assertEquals(Dataset.open(dir, "test").inputChunks(), train.inputChunks());
        assertEquals(Symmetry.MAZE, Symmetry.of(train));
    }

    @Test
    void badMazes() throws IOException {
        assertFails("a,S G,S G,1", ":2: question: found 3 characters, expected a square of them");
        assertFails("a,,,1", ":2: question: found 0 characters");
        assertFails("a,S  G,Sox,1", ":2: answer: found 3 characters, expected 4 as in the first maze");
        assertFails("a,S xG,SooG,1", ":2: question: character 3: found 'x', expected one of '# SGo'");
        assertFails("a,S  G,SooG,1\nb,S        ,S        ,1", ":3: question: found 9 characters, expected 4");
        assertFails("a,S  G,SooG", ":2: found 3 fields, expected 4");
        assertFails("", "found no row, expected at least one");
        Path good = Files.writeString(dir.resolve("good.csv"), HEADER + "a,S  G,SooG,1\n");
        Path out = dir.resolve("out");
        Golden.assertFails(
                () -> MazeBuilder.build(good, good, out, 0, true, 0, false), "subsample=0: expected at least 1");
        Golden.assertFails(
                () -> MazeBuilder.build(good, dir.resolve("none.csv"), out, null, true, 0, false),
                "none.csv: file not");
        Path other = Files.writeString(dir.resolve("other.csv"), HEADER + "a,S   G    ,Soo G    ,1\n");
        Golden.assertFails(
                () -> MazeBuilder.build(good, other, out, null, true, 0, false),
                "other.csv:2: question: found 9 characters, expected 4 as in the first maze");
        assertFalse(Files.exists(out));
    }

    private void assertFails(String rows, String message) throws IOException {
        Path csv = Files.writeString(dir.resolve("bad.csv"), HEADER + rows + (rows.isEmpty() ? "" : "\n"));
        Golden.assertFails(
                () -> MazeBuilder.build(csv, csv, dir.resolve("out"), null, false, 0, false), csv + "", message);
    }
}
