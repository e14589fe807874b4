package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.data.format.Npy;
import trm.data.sudoku.SudokuBuilder;

/** The compact form. Oracle: the folders of the published builders, byte for byte. */
class CompactTest {
    @TempDir
    private Path dir;

    /** The compact form of a recorded folder. */
    static Path compact(String name, Path out) {
        Path golden = Golden.path("datasets/" + name);
        if (name.startsWith("maze")) {
            CompactBuilder.build(golden.resolve("expected"), out);
        } else {
            Path input = golden.resolve("input");
            SudokuBuilder.build(
                    input.resolve("train.csv"), input.resolve("test.csv"), out, 10, 5, null, 42, null, true);
        }
        return out;
    }

    /** Writes the training split's expanded form in the place of its compact one. */
    private static void expand(Path folder, String tokenType) throws IOException {
        Dataset data = Dataset.open(folder, "train");
        Path train = folder.resolve("train");
        List<Integer> inputs = new ArrayList<>();
        List<Integer> labels = new ArrayList<>();
        for (int e = 0; e < data.examples(); e++) {
            Arrays.stream(data.inputRow(e)).forEach(inputs::add);
            Arrays.stream(data.labelRow(e)).forEach(labels::add);
        }
        write(train.resolve("all__inputs.npy"), tokenType, data, inputs);
        write(train.resolve("all__labels.npy"), tokenType, data, labels);
        for (String file : List.of("task_inputs", "task_labels", "origins", "augmentations")) {
            Files.delete(train.resolve("all__" + file + ".npy"));
        }
    }

    private static void write(Path path, String tokenType, Dataset data, List<Integer> tokens) throws IOException {
        try (Npy.Writer writer = new Npy.Writer(path, tokenType, data.examples(), data.seqLen())) {
            for (int token : tokens) {
                writer.put(token);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"sudoku_tiny,10,51", "maze_small,6,8", "maze_tiny,4,8"})
    void expansionIsThePublishedFolder(String name, int tasks, int records) throws IOException {
        Path expected = Golden.path("datasets/" + name + "/expected");
        Path found = compact(name, dir.resolve("found"));
        Dataset train = Dataset.open(found, "train");
        assertEquals(tasks, train.storedRows());
        assertEquals(records, train.augmentations());
        assertEquals(tasks * train.seqLen(), train.inputChunks().get(0).remaining());
        assertTrue(train.augmentationBytes().isDirect());
        assertNull(Dataset.open(found, "test").origins());
        String type = Npy.open(expected.resolve("train/all__inputs.npy")).dtype();
        expand(found, type);
        Golden.assertSameFolder(expected, found);
    }

    /** A folder may be built again in either form; what the other one had is gone. */
    @Test
    void oneFormReplacesTheOther() throws IOException {
        Path input = Golden.path("datasets/sudoku_tiny/input");
        Path out = dir.resolve("out");
        compact("sudoku_tiny", out);
        SudokuBuilder.build(input.resolve("train.csv"), input.resolve("test.csv"), out, 10, 5, null, 42);
        Golden.assertSameFolder(Golden.path("datasets/sudoku_tiny/expected"), out);
        compact("sudoku_tiny", out);
        Golden.assertSameFolder(compact("sudoku_tiny", dir.resolve("fresh")), out);
    }

    /** What is no symmetry of its group's first example is a task: here one token of one copy is another. */
    @Test
    void otherExamplesAreTasks() throws IOException {
        Path from = dir.resolve("from");
        Golden.copy(Golden.path("datasets/maze_tiny/expected"), from);
        Path labels = from.resolve("train/all__labels.npy");
        byte[] bytes = Files.readAllBytes(labels);
        bytes[bytes.length - 1] = (byte) (6 - bytes[bytes.length - 1]);
        Files.write(labels, bytes);
        CompactBuilder.build(from, dir.resolve("to"));
        Dataset expected = Dataset.open(from, "train");
        Dataset found = Dataset.open(dir.resolve("to"), "train");
        assertEquals(5, found.storedRows());
        for (int e = 0; e < expected.examples(); e++) {
            assertArrayEquals(expected.inputRow(e), found.inputRow(e));
            assertArrayEquals(expected.labelRow(e), found.labelRow(e));
        }
    }

    @Test
    void badCompactions() throws IOException {
        Path sudoku = Golden.path("datasets/sudoku_tiny/expected");
        Path out = dir.resolve("out");
        Golden.assertFails(
                () -> CompactBuilder.build(sudoku, out), sudoku + ": found no example that is one of the 8 symmetries");
        Path maze = compact("maze_tiny", dir.resolve("maze"));
        Golden.assertFails(() -> CompactBuilder.build(maze, out), "train: found the compact form");
        Golden.assertFails(() -> CompactBuilder.build(sudoku, maze), maze + ": exists");
        Golden.assertFails(() -> CompactBuilder.build(dir, out), dir + ": found none of the folders [train, test]");
    }

    @Test
    void badArrays() throws IOException {
        Path train = compact("sudoku_tiny", dir).resolve("train");
        Dataset good = Dataset.open(dir, "train");
        int[] origins = good.origins();
        byte[] records = new byte[51 * 30];
        good.augmentationBytes().get(records);

        assertOpenFails("all__origins.npy", new int[] {60, 2}, with(origins, 6, 10), "row 3: found task 10", "0 .. 9");
        assertOpenFails(
                "all__origins.npy", new int[] {60, 2}, with(origins, 7, 51), "row 3: found augmentation 51", "0 .. 50");
        assertOpenFails("all__origins.npy", new int[] {60, 2}, with(origins, 7, -1), "row 3: found augmentation -1");
        assertOpenFails("all__origins.npy", new int[] {40, 3}, origins, "found rows of 3, expected 2");
        assertOpenFails("all__origins.npy", new int[] {120}, origins, "found 1 dimensions");
        Golden.assertFails(
                () -> openWith("all__origins.npy", new int[] {59, 2}, Arrays.copyOf(origins, 118)),
                "all__puzzle_indices.npy: last entry: found 60, expected 59");
        assertOpenFails(
                "all__augmentations.npy",
                new int[] {45, 34},
                records,
                "found records of 34 bytes, expected 30 for boards of side 9 and 11 tokens");
        records[2 * 30 + 5] = 9;
        assertOpenFails(
                "all__augmentations.npy",
                new int[] {51, 30},
                records,
                "record 2: rows[4]: found 9, expected a permutation of 0 .. 8");
        assertOpenFails(
                "all__augmentations.npy", new int[] {51, 30}, new int[51 * 30], "record 0: rows[1]: found 0 again");
        Golden.assertFails(
                () -> openWith("all__task_labels.npy", new int[] {9, 81}, new byte[9 * 81]),
                "all__task_labels.npy: found 9 rows, expected 10 as in all__task_inputs.npy");

        Path info = train.resolve("dataset.json");
        String text = Files.readString(info);
        Files.writeString(info, text.replace("\"seq_len\": 81", "\"seq_len\": 27"));
        byte[] inputs = Files.readAllBytes(train.resolve("all__task_inputs.npy"));
        byte[] labels = Files.readAllBytes(train.resolve("all__task_labels.npy"));
        Npy.write(train.resolve("all__task_inputs.npy"), new int[] {30, 27}, new byte[810]);
        Npy.write(train.resolve("all__task_labels.npy"), new int[] {30, 27}, new byte[810]);
        Golden.assertFails(
                () -> Dataset.open(dir, "train"), "dataset.json: field 'seq_len': found 27, expected the square");
        Files.writeString(info, text);
        Files.write(train.resolve("all__task_inputs.npy"), inputs);
        Files.write(train.resolve("all__task_labels.npy"), labels);

        Files.copy(train.resolve("all__task_inputs.npy"), train.resolve("all__inputs.npy"));
        Golden.assertFails(
                () -> Dataset.open(dir, "train"), "train: found both all__inputs.npy and all__task_inputs.npy");
        Files.delete(train.resolve("all__inputs.npy"));
        Files.delete(train.resolve("all__augmentations.npy"));
        Golden.assertFails(() -> Dataset.open(dir, "train"), "all__augmentations.npy: file not found");
    }

    private static int[] with(int[] values, int at, int value) {
        int[] copy = values.clone();
        copy[at] = value;
        return copy;
    }

    /** Opens the training split with one file replaced, then puts it back. */
    private void openWith(String name, int[] shape, Object data) throws IOException {
        Path file = dir.resolve("train").resolve(name);
        byte[] kept = Files.readAllBytes(file);
        if (data instanceof int[] ints) {
            Npy.write(file, shape, ints);
        } else {
            Npy.write(file, shape, (byte[]) data);
        }
        try {
            Dataset.open(dir, "train");
        } finally {
            Files.write(file, kept);
        }
    }

    private void assertOpenFails(String name, int[] shape, Object data, String... parts) {
        Golden.assertFails(() -> openWith(name, shape, data), parts);
        Golden.assertFails(() -> openWith(name, shape, data), name + ": ");
    }
}
