package trm.data.format;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.Golden;

/** Files of a dataset folder, one by one: rows of tokens, and dataset.json. */
class DatasetFilesTest {
    private static final String[] NAMES = {
        "sudoku_tiny", "sudoku_tiny_filter", "maze_tiny", "maze_small", "arc_tiny", "arc_edge"
    };

    @TempDir
    private Path dir;

    /** Parts that end within a row, as those of files beyond 2 GB do: mapped, and copied from a wider type. */
    @Test
    void rowsAcrossParts() {
        int[] values = new int[60];
        Arrays.setAll(values, i -> i * 7 % 50);
        byte[] narrow = new byte[60];
        for (int i = 0; i < narrow.length; i++) {
            narrow[i] = (byte) values[i];
        }
        Npy.write(dir.resolve("u1.npy"), new int[] {12, 5}, narrow);
        Npy.write(dir.resolve("i4.npy"), new int[] {12, 5}, values);
        for (String name : new String[] {"u1.npy", "i4.npy"}) {
            Path path = dir.resolve(name);
            TokenRows rows = TokenRows.of(path, Npy.open(path, 8), 50, TokenRows.Ignored.NONE, 8);
            assertEquals(8, rows.chunks().size());
            int at = 0;
            for (ByteBuffer chunk : rows.chunks()) {
                while (chunk.hasRemaining()) {
                    assertEquals(values[at++], chunk.get());
                }
            }
            assertEquals(60, at);
            for (int r = 0; r < 12; r++) {
                assertArrayEquals(Arrays.copyOfRange(values, 5 * r, 5 * r + 5), rows.row(r));
            }
            Golden.assertFails(
                    () -> TokenRows.of(path, Npy.open(path, 8), 49, TokenRows.Ignored.NONE, 8),
                    "row 1, column 2: found token 49",
                    "0 .. 48");
        }
    }

    @Test
    void infoRewritesEveryRecordedFile() throws IOException {
        Path copy = dir.resolve("dataset.json");
        for (String name : NAMES) {
            for (String split : new String[] {"train", "test"}) {
                Path file = Golden.path("datasets/" + name + "/expected/" + split + "/dataset.json");
                DatasetInfo.read(file).write(copy);
                assertArrayEquals(Files.readAllBytes(file), Files.readAllBytes(copy), file.toString());
            }
        }
    }

    @Test
    void numbersAreWrittenAsPythonWritesThem() throws IOException {
        assertEquals("3.2", PythonJson.number(3.2));
        assertEquals("0.1", PythonJson.number(0.1));
        assertEquals("2.9", PythonJson.number(2.9));
        assertEquals("100.0", PythonJson.number(100));
        assertEquals("3.3333333333333335", PythonJson.number(10 / 3.0));
        assertEquals("0.0001", PythonJson.number(1e-4));
        assertEquals("1e-05", PythonJson.number(1e-5));
        assertEquals("2e+22", PythonJson.number(2e22));
        assertEquals("-2.5", PythonJson.number(-2.5));
        Path path = dir.resolve("null.json");
        new DatasetInfo(0, null, 0, 3, 2, 1, 0, 1.0, 0, List.of("\u00e9")).write(path);
        assertTrue(Files.readString(path).endsWith("\"sets\": [\"\\u00e9\"]}"));
        assertTrue(Files.readString(path).contains("\"ignore_label_id\": null, "));
        assertNull(DatasetInfo.read(path).ignoreLabelId());
    }
}
