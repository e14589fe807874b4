package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.format.Npy;
import trm.input.DataException;

/** Folders of other builders. Oracle: the golden folder that a form is made of, element by element. */
class DatasetFormsTest {
    @TempDir
    Path dir;

    private Path train;
    private Dataset golden;

    @BeforeEach
    void copyDataset() throws IOException {
        Path from = Golden.path("datasets/arc_tiny/expected");
        Golden.copy(from, dir);
        train = dir.resolve("train");
        golden = Dataset.open(from, "train");
    }

    private void edit(String from, String to) throws IOException {
        Path info = train.resolve("dataset.json");
        String text = Files.readString(Golden.path("datasets/arc_tiny/expected/train/dataset.json"));
        assertTrue(text.contains(from), from);
        Files.writeString(info, text.replace(from, to));
    }

    private void assertSame(Dataset found) {
        assertEquals(golden.examples(), found.examples());
        assertArrayEquals(golden.puzzleIndices(), found.puzzleIndices());
        assertArrayEquals(golden.groupIndices(), found.groupIndices());
        assertArrayEquals(golden.puzzleIdentifiers(), found.puzzleIdentifiers());
        for (int e = 0; e < golden.examples(); e++) {
            assertArrayEquals(golden.inputRow(e), found.inputRow(e));
            assertArrayEquals(golden.labelRow(e), found.labelRow(e));
        }
    }

    /** HRM's builders write no total_puzzles; other programs write keys of their own, and whole numbers as floats. */
    @Test
    void infoOfOtherBuilders() throws IOException {
        edit(", \"total_puzzles\": 25", "");
        Dataset hrm = Dataset.open(dir, "train");
        assertEquals(golden.info(), hrm.info());
        assertSame(hrm);
        edit("\"seq_len\": 900", "\"seq_len\": 900.0, \"builder\": {\"version\": [1, 2]}");
        assertEquals(golden.info(), Dataset.open(dir, "train").info());
        edit("\"ignore_label_id\": 0", "\"ignore_label_id\": 0.0");
        assertSame(Dataset.open(dir, "train"));
    }

    @Test
    void badInfo() throws IOException {
        for (String bad : List.of("1.5", "true", "\"900\"", "1e99", "2147483648", "[900]", "null", "-1")) {
            edit("\"seq_len\": 900", "\"seq_len\": " + bad);
            assertFails("dataset.json: field 'seq_len': found ", ", expected an integer of at least 1");
        }
        for (String bad : List.of("-1", "1e999", "\"5.0\"", "null")) {
            edit("\"mean_puzzle_examples\": 5.0", "\"mean_puzzle_examples\": " + bad);
            assertFails("dataset.json: field 'mean_puzzle_examples': found ", ", expected a number of at least 0");
        }
        for (String bad : List.of("NaN", "01", "'5'", "5.0, ")) {
            edit("\"mean_puzzle_examples\": 5.0", "\"mean_puzzle_examples\": " + bad);
            String message = assertFails("dataset.json: not valid JSON: ", " (line 1)");
            assertFalse(message.contains("Source") || message.contains("Feature"), message);
        }
        Files.writeString(train.resolve("dataset.json"), "[".repeat(2000));
        String deep = assertFails("dataset.json: not valid JSON: nested more than 1000 deep");
        assertFalse(deep.contains("Stream"), deep);
        Files.writeString(train.resolve("dataset.json"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
        assertFails("dataset.json: found a Git LFS pointer");
        Files.writeString(train.resolve("dataset.json"), "");
        assertFails("dataset.json: not valid JSON: the file is empty");
    }

    /** Names that files cannot have, or that lead out of the folder. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "\"a\\u0000\"",
                "\"../all\"",
                "\"a/b\"",
                "\"a\\\\b\"",
                "\"\"",
                "\" \"",
                "\"a\\n\"",
                "\"C:all\"",
                "1",
                "null",
                "\"all\", \"all\""
            })
    void badSets(String sets) throws IOException {
        edit("[\"all\"]", "[" + sets + "]");
        assertFails("dataset.json: field 'sets': found [", ", expected a list of different names that files may have");
    }

    @Test
    void setNamesThatAreLong() throws IOException {
        edit("[\"all\"]", "[\"" + "x".repeat(300) + "\"]");
        assertFails("field 'sets': found [\"xxx", "..., expected a list of different names");
        edit("[\"all\"]", "[\"größe\"]");
        assertFails("größe__inputs.npy: file not found");
    }

    /** Index arrays of any integers; values that are none of the folder are refused by place. */
    @Test
    void indicesOfOtherTypes() throws IOException {
        for (String field : List.of("puzzle_identifiers", "puzzle_indices", "group_indices")) {
            Path path = train.resolve("all__" + field + ".npy");
            Npy array = Npy.open(path);
            long[] values = new long[(int) array.shape()[0]];
            byte[] bytes = new byte[values.length];
            for (int i = 0; i < values.length; i++) {
                values[i] = array.get(i);
                bytes[i] = (byte) values[i];
            }
            Npy.write(path, new int[] {values.length}, values);
            assertSame(Dataset.open(dir, "train"));
            Npy.write(path, new int[] {bytes.length}, bytes);
            assertSame(Dataset.open(dir, "train"));
            long kept = values[1];
            values[1] = 1L << 40;
            Npy.write(path, new int[] {values.length}, values);
            assertFails("all__" + field + ".npy: entry 1: found 1099511627776, expected a value of 32 bits");
            values[1] = kept;
            Npy.write(path, new int[] {values.length}, values);
        }
    }

    private static byte[] npy(
            String descr, boolean fortran, int version, int rows, int width, int itemBytes, long[] values) {
        String text = "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': ("
                + rows + ", " + width + "), }";
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', (byte) version, 0});
        out.writeBytes(ByteBuffer.allocate(version == 1 ? 2 : 4)
                .order(ByteOrder.LITTLE_ENDIAN)
                .put(0, (byte) text.length())
                .array());
        out.writeBytes(text.getBytes(StandardCharsets.US_ASCII));
        for (int i = 0; i < values.length; i++) {
            long value = fortran ? values[i % rows * width + i / rows] : values[i];
            for (int b = 0; b < itemBytes; b++) {
                int shift = descr.startsWith(">") ? itemBytes - 1 - b : b;
                out.write((int) (value >> (8 * shift)));
            }
        }
        return out.toByteArray();
    }

    /** Inputs and labels in other byte orders, orders of elements, widths and versions. */
    @Test
    void tokensOfOtherForms() throws IOException {
        for (String field : List.of("inputs", "labels")) {
            Npy array = Npy.open(train.resolve("all__" + field + ".npy"));
            int rows = golden.examples();
            long[] values = new long[rows * 900];
            for (int i = 0; i < values.length; i++) {
                values[i] = array.get(i);
            }
            Path path = train.resolve("all__" + field + ".npy");
            for (boolean fortran : new boolean[] {false, true}) {
                Files.write(path, npy(">i2", fortran, 2, rows, 900, 2, values));
                assertSame(Dataset.open(dir, "train"));
                Files.write(path, npy("<u8", fortran, 3, rows, 900, 8, values));
                assertSame(Dataset.open(dir, "train"));
                Files.write(path, npy("|u1", fortran, 1, rows, 900, 1, values));
                assertSame(Dataset.open(dir, "train"));
            }
            values[900 + 7] = 256; // would be 0 as a byte
            Files.write(path, npy("<u2", false, 1, rows, 900, 2, values));
            assertFails("all__" + field + ".npy: row 1, column 7: found token 256, expected 0 .. 11");
            values[900 + 7] = array.get(900 + 7);
            Files.write(path, npy("<u2", false, 1, rows, 900, 2, values));
        }
    }

    /** The golden labels with another value in the place of 0, which is ignored. */
    private void ignore(int value, int width, String id) throws IOException {
        Npy array = Npy.open(Golden.path("datasets/arc_tiny/expected/train/all__labels.npy"));
        long[] values = new long[golden.examples() * 900];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.get(i) == 0 ? value : array.get(i);
        }
        Files.write(
                train.resolve("all__labels.npy"),
                npy((width == 1 ? "|u" : "<i") + width, false, 1, golden.examples(), 900, width, values));
        edit("\"ignore_label_id\": 0", "\"ignore_label_id\": " + id);
    }

    /** Ignored labels as PyTorch has them, with the id or without, and as a byte outside the vocabulary. */
    @Test
    void labelsThatAreIgnored() throws IOException {
        assertEquals(0, golden.ignoredLabel());
        ignore(-100, 4, "-100");
        assertIgnored(255);
        ignore(-100, 2, "null");
        assertIgnored(255);
        ignore(-100, 8, "0"); // the id is not there, PyTorch's index is
        assertIgnored(0);
        ignore(-1, 4, "-1");
        assertIgnored(255);
        ignore(200, 1, "200");
        assertIgnored(200);
        ignore(0, 1, "null");
        assertEquals(-1, Dataset.open(dir, "train").ignoredLabel());
        ignore(0, 1, "-100");
        assertEquals(-1, Dataset.open(dir, "train").ignoredLabel());
        assertEquals(0, Dataset.open(dir, "train").labelRow(0)[899]);
    }

    private void assertIgnored(int kept) {
        Dataset found = Dataset.open(dir, "train");
        assertSame(found);
        assertEquals(kept, found.ignoredLabel());
        ByteBuffer labels = found.labelChunks().get(0);
        for (int i = 0; i < 900; i++) {
            int label = golden.labelRow(0)[i];
            assertEquals(label == Dataset.IGNORED ? kept : label, labels.get(i) & 0xFF);
        }
    }

    @Test
    void labelsThatAreNot() throws IOException {
        ignore(-2, 4, "-1");
        assertFails("all__labels.npy: row 0, column ", ": found token -2, expected 0 .. 11");
        ignore(-100, 4, "-100");
        Path info = train.resolve("dataset.json");
        Files.writeString(info, Files.readString(info).replace("\"vocab_size\": 12", "\"vocab_size\": 256"));
        assertFails(": found the ignored label -100, expected a vocabulary of at most 255");
        ignore(-100, 4, "-100");
        Files.copy(
                train.resolve("all__labels.npy"),
                train.resolve("all__inputs.npy"),
                java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        assertFails("all__inputs.npy: row 0, column ", ": found token -100, expected 0 .. 11");
    }

    /** The compact form renames tokens: labels that are none have no place in it, and are refused before it is written. */
    @Test
    void compactFormOfIgnoredLabels() throws IOException {
        Path maze = dir.resolve("maze");
        Golden.copy(Golden.path("datasets/maze_tiny/expected"), maze);
        Path labels = maze.resolve("train/all__labels.npy");
        Path info = maze.resolve("train/dataset.json");
        byte[] file = Files.readAllBytes(labels);
        for (int i = 128; i < file.length; i++) {
            file[i] = file[i] == 1 ? 0 : file[i]; // walls are ignored
        }
        Files.write(labels, file);
        CompactBuilder.build(maze, dir.resolve("zero"));
        Dataset expected = Dataset.open(maze, "train");
        Dataset found = Dataset.open(dir.resolve("zero"), "train");
        assertTrue(found.storedRows() < found.examples());
        for (int e = 0; e < expected.examples(); e++) {
            assertArrayEquals(expected.labelRow(e), found.labelRow(e));
        }
        for (int i = 128; i < file.length; i++) {
            file[i] = file[i] == 0 ? (byte) 200 : file[i];
        }
        Files.write(labels, file);
        Files.writeString(info, Files.readString(info).replace("\"ignore_label_id\": 0", "\"ignore_label_id\": 200"));
        Golden.assertFails(
                () -> CompactBuilder.build(maze, dir.resolve("two")),
                "train: found labels that are ignored and no tokens (ignore_label_id 200)");
        assertFalse(Files.exists(dir.resolve("two")));
    }

    /** A puzzle without examples is passed over, as in the published loader; a group without puzzles cannot be drawn from. */
    @Test
    void puzzlesWithoutExamples() throws IOException {
        Path from = Golden.path("datasets/maze_tiny/expected");
        Path maze = dir.resolve("maze");
        Golden.copy(from, maze);
        Path test = maze.resolve("test");
        Dataset data = Dataset.open(maze, "test");
        int groups = data.info().totalGroups();
        int[] indices = new int[groups + 3]; // the first group and the last one have no examples
        for (int i = 1; i < indices.length; i++) {
            indices[i] = Math.min(i - 1, groups);
        }
        int[] all = new int[groups + 3];
        java.util.Arrays.setAll(all, i -> i);
        Npy.write(test.resolve("all__puzzle_indices.npy"), new int[] {indices.length}, indices);
        Npy.write(test.resolve("all__group_indices.npy"), new int[] {all.length}, all);
        Npy.write(test.resolve("all__puzzle_identifiers.npy"), new int[] {groups + 2}, new int[groups + 2]);
        Path info = test.resolve("dataset.json");
        Files.writeString(
                info,
                Files.readString(info).replace("\"total_groups\": " + groups, "\"total_groups\": " + (groups + 2)));
        Dataset found = Dataset.open(maze, "test");
        for (int e = 0; e < found.examples(); e++) {
            assertEquals(e + 1, found.groupOf(e));
        }
        assertEquals(0, Inspection.of(maze).splits().get(1).examplesPerPuzzle().least());
        Grouping moves = Grouping.of(DataFolders.of(maze), "test", found).get(0);
        assertEquals(groups + 2, moves.of().length);
        assertEquals(Grouping.of(DataFolders.of(from), "test", data).get(0).names(), moves.names());

        all[2] = 1;
        Npy.write(test.resolve("all__group_indices.npy"), new int[] {all.length}, all);
        Golden.assertFails(
                () -> Dataset.open(maze, "test"),
                "test/all__group_indices.npy: entry 2: found 1 after 1: group 1 has no puzzles, expected increasing");
    }

    @Test
    void splitsWithoutExamples() throws IOException {
        Npy.write(train.resolve("all__inputs.npy"), new int[] {0, 900}, new byte[0]);
        Npy.write(train.resolve("all__labels.npy"), new int[] {0, 900}, new byte[0]);
        Npy.write(train.resolve("all__puzzle_indices.npy"), new int[] {1}, new int[1]);
        Npy.write(train.resolve("all__group_indices.npy"), new int[] {1}, new int[1]);
        Npy.write(train.resolve("all__puzzle_identifiers.npy"), new int[] {0}, new int[0]);
        edit("\"total_groups\": 5", "\"total_groups\": 0");
        assertFails("train: found no examples, expected at least one");
    }

    private String assertFails(String... parts) {
        Golden.assertFails(() -> Dataset.open(dir, "train"), parts);
        try {
            Dataset.open(dir, "train");
            return null;
        } catch (DataException e) {
            return e.getMessage();
        }
    }
}
