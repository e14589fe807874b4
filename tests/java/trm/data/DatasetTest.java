package trm.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.format.Npy;

/** Oracle: the recorded folders, read element by element. */
class DatasetTest {
    private static final String[] NAMES = {
        "sudoku_tiny", "sudoku_tiny_filter", "maze_tiny", "maze_small", "arc_tiny", "arc_edge"
    };

    @TempDir
    Path dir;

    private Path train;

    @BeforeEach
    void copyDataset() throws IOException {
        Golden.copy(Golden.path("datasets/arc_tiny/expected"), dir);
        train = dir.resolve("train");
    }

    @Test
    void opensEveryRecordedFolder() {
        for (String name : NAMES) {
            for (String split : new String[] {"train", "test"}) {
                Path folder = Golden.path("datasets/" + name + "/expected");
                Dataset data = Dataset.open(folder, split);
                Npy inputs = Npy.open(folder.resolve(split + "/all__inputs.npy"));
                Npy labels = Npy.open(folder.resolve(split + "/all__labels.npy"));
                assertEquals(inputs.shape()[0], data.examples());
                assertEquals(inputs.shape()[1], data.seqLen());
                ByteBuffer inputBytes = data.inputChunks().get(0);
                ByteBuffer labelBytes = data.labelChunks().get(0);
                assertTrue(inputBytes.isDirect() && labelBytes.isDirect());
                assertEquals(data.examples() * data.seqLen(), inputBytes.remaining());
                for (int r = 0; r < data.examples(); r++) {
                    for (int i = 0; i < data.seqLen(); i++) {
                        int at = r * data.seqLen() + i;
                        int label = (int) labels.get(at);
                        assertEquals(inputs.get(at), data.inputRow(r)[i]);
                        assertEquals(inputs.get(at), inputBytes.get(at));
                        assertEquals(label, labelBytes.get(at));
                        assertEquals(label == 0 ? -100 : label, data.labelRow(r)[i]);
                    }
                }
                for (int p = 0; p < data.puzzleIdentifiers().length; p++) {
                    for (int e = data.puzzleIndices()[p]; e < data.puzzleIndices()[p + 1]; e++) {
                        assertEquals(data.puzzleIdentifiers()[p], data.identifierOf(e));
                    }
                }
            }
        }
    }

    @Test
    void badInfo() throws IOException {
        for (String key : new String[] {
            "pad_id",
            "ignore_label_id",
            "blank_identifier_id",
            "vocab_size",
            "seq_len",
            "num_puzzle_identifiers",
            "total_groups",
            "mean_puzzle_examples",
            "sets"
        }) {
            edit("\"" + key + "\"", "\"other\"");
            assertOpenFails("dataset.json", "field '" + key + "' is missing");
        }
        edit("\"seq_len\": 900", "\"seq_len\": \"900\"");
        assertOpenFails("field 'seq_len': found \"900\", expected an integer");
        edit("\"vocab_size\": 12", "\"vocab_size\": 257");
        assertOpenFails("field 'vocab_size': found 257, expected at most 256");
        edit("\"sets\": [\"all\"]", "\"sets\": []");
        assertOpenFails("field 'sets': found []");
        edit("\"total_groups\": 5", "\"total_groups\": 6");
        assertOpenFails("field 'total_groups': found 6, expected 5");
        edit("{", "[");
        assertOpenFails("dataset.json: not valid JSON");
        Golden.assertFails(() -> Dataset.open(dir, "dev"), "dev: dataset folder not found");
    }

    @Test
    void badArrays() throws IOException {
        Dataset good = Dataset.open(dir, "train");
        int[] puzzles = good.puzzleIndices();
        int[] groups = good.groupIndices();
        int[] identifiers = good.puzzleIdentifiers();

        assertOpenFailsWith(
                "all__inputs.npy",
                new int[] {125, 30},
                new byte[125 * 30],
                "found rows of 30 tokens, expected seq_len 900");
        assertOpenFailsWith(
                "all__labels.npy",
                new int[] {3, 900},
                new byte[3 * 900],
                "found 3 rows, expected 125 as in all__inputs.npy");
        assertOpenFailsWith("all__labels.npy", new int[] {900}, new byte[900], "found 1 dimensions");
        byte[] tokens = new byte[125 * 900];
        tokens[2 * 900 + 7] = 12;
        for (String name : new String[] {"all__inputs.npy", "all__labels.npy"}) {
            assertOpenFailsWith(
                    name, new int[] {125, 900}, tokens, "row 2, column 7: found token 12", "expected 0 .. 11");
        }

        assertVectorFails(
                "all__puzzle_identifiers.npy",
                with(identifiers, 3, 26),
                "entry 3: found identifier 26",
                "expected 0 .. 25");
        assertVectorFails("all__puzzle_identifiers.npy", with(identifiers, 3, -1), "entry 3: found identifier -1");
        assertVectorFails("all__puzzle_indices.npy", new int[] {0, 125}, "found 2 entries, expected 26");
        assertVectorFails("all__puzzle_indices.npy", with(puzzles, 0, 1), "entry 0: found 1, expected 0");
        assertVectorFails(
                "all__puzzle_indices.npy", with(puzzles, 25, 126), "last entry: found 126, expected 125", "examples");
        assertVectorFails(
                "all__group_indices.npy",
                with(groups, 2, 1),
                "entry 2: found 1 after " + groups[1],
                "expected increasing");
        assertVectorFails(
                "all__group_indices.npy", with(groups, 5, 30), "last entry: found 30, expected 25", "puzzles");
        assertVectorFails("all__group_indices.npy", new int[0], "found 0 entries");
        Files.delete(train.resolve("all__group_indices.npy"));
        assertOpenFails("all__group_indices.npy: file not found");
    }

    private static int[] with(int[] values, int at, int value) {
        int[] copy = values.clone();
        copy[at] = value;
        return copy;
    }

    private void edit(String from, String to) throws IOException {
        String text = Files.readString(Golden.path("datasets/arc_tiny/expected/train/dataset.json"));
        assertTrue(text.contains(from), from);
        Files.writeString(train.resolve("dataset.json"), text.replace(from, to));
    }

    private void assertOpenFails(String... parts) {
        Golden.assertFails(() -> Dataset.open(dir, "train"), parts);
    }

    private void assertOpenFailsWith(String name, int[] shape, byte[] data, String... parts) throws IOException {
        byte[] kept = Files.readAllBytes(train.resolve(name));
        Npy.write(train.resolve(name), shape, data);
        assertOpenFails(parts);
        assertOpenFails(name);
        Files.write(train.resolve(name), kept);
    }

    private void assertVectorFails(String name, int[] data, String... parts) throws IOException {
        byte[] kept = Files.readAllBytes(train.resolve(name));
        Npy.write(train.resolve(name), new int[] {data.length}, data);
        assertOpenFails(parts);
        assertOpenFails(name);
        Files.write(train.resolve(name), kept);
    }
}
