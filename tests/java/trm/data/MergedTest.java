package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.format.DatasetInfo;
import trm.data.format.Identifiers;
import trm.data.format.Npy;
import trm.data.puzzle.Augmentation;
import trm.data.random.LegacyRandom;
import trm.evaluation.ArcVotes;

/**
 * Several folders, several sets, a puzzle without examples. Oracle: batches recorded from the published loader by
 * tests/resources/loader/record.py. Bound: equal bits.
 */
class MergedTest {
    private static final List<String> FIELDS =
            List.of("inputs", "labels", "puzzle_identifiers", "puzzle_indices", "group_indices");

    @TempDir
    private Path temp;

    private static Path golden(String name) {
        return Golden.path("datasets/" + name + "/expected");
    }

    /** A folder with the sets all and more, each of a golden folder. */
    private Path twoSets(String name, String first, String second) throws IOException {
        Path out = temp.resolve(name);
        for (String split : List.of("train", "test")) {
            Path dir = Files.createDirectories(out.resolve(split));
            for (String field : FIELDS) {
                copyArray(golden(first).resolve(split), field, dir, "all");
                copyArray(golden(second).resolve(split), field, dir, "more");
            }
            DatasetInfo a = DatasetInfo.read(golden(first).resolve(split + "/dataset.json"));
            DatasetInfo b = DatasetInfo.read(golden(second).resolve(split + "/dataset.json"));
            new DatasetInfo(
                            a.padId(),
                            a.ignoreLabelId(),
                            a.blankIdentifierId(),
                            a.vocabSize(),
                            a.seqLen(),
                            a.numPuzzleIdentifiers(),
                            a.totalGroups() + b.totalGroups(),
                            a.meanPuzzleExamples(),
                            a.totalPuzzles() + b.totalPuzzles(),
                            List.of("all", "more"))
                    .write(dir.resolve("dataset.json"));
        }
        return out;
    }

    private static void copyArray(Path from, String field, Path to, String set) throws IOException {
        Files.copy(from.resolve("all__" + field + ".npy"), to.resolve(set + "__" + field + ".npy"));
    }

    /** arc_tiny with a further puzzle, the second, that has no example. */
    private Path emptyPuzzle() throws IOException {
        Path out = temp.resolve("empty");
        Golden.copy(golden("arc_tiny"), out);
        for (String split : List.of("train", "test")) {
            Dataset data = Dataset.open(out, split);
            int[] groups = data.groupIndices().clone();
            for (int g = 1; g < groups.length; g++) {
                groups[g]++;
            }
            write(out.resolve(split), "group_indices", groups);
            int[] puzzles = data.puzzleIndices();
            write(out.resolve(split), "puzzle_indices", inserted(puzzles, puzzles[1]));
            write(out.resolve(split), "puzzle_identifiers", inserted(data.puzzleIdentifiers(), 1));
        }
        return out;
    }

    private static int[] inserted(int[] values, int value) {
        int[] more = new int[values.length + 1];
        more[0] = values[0];
        more[1] = value;
        System.arraycopy(values, 1, more, 2, values.length - 1);
        return more;
    }

    private static void write(Path dir, String field, int[] values) {
        Npy.write(dir.resolve("all__" + field + ".npy"), new int[] {values.length}, values);
    }

    @Test
    void repeatsPublishedBatches() throws Exception {
        Map<String, List<Path>> cases = Map.of(
                "two_folders",
                List.of(golden("sudoku_tiny"), golden("sudoku_tiny_filter")),
                "folder_twice",
                List.of(golden("arc_tiny"), golden("arc_tiny")),
                "two_sets",
                List.of(twoSets("one", "sudoku_tiny", "sudoku_tiny_filter")),
                "two_sets_two_folders",
                List.of(
                        twoSets("ab", "sudoku_tiny", "sudoku_tiny_filter"),
                        twoSets("ba", "sudoku_tiny_filter", "sudoku_tiny")),
                "empty_puzzle",
                List.of(emptyPuzzle()));
        JsonNode records = new ObjectMapper()
                .readTree(Path.of("tests/resources/loader/merged.json").toFile());
        assertEquals(2 * cases.size(), records.size());
        for (JsonNode record : records) {
            String split = record.get("split").textValue();
            Dataset data = Dataset.open(cases.get(record.get("name").textValue()), split);
            assertEquals(
                    record.get("num_puzzle_identifiers").intValue(), data.info().numPuzzleIdentifiers());
            assertEquals(record.get("total_groups").intValue(), data.info().totalGroups());
            assertEquals(record.get("total_puzzles").intValue(), data.info().totalPuzzles());
            assertEquals(
                    record.get("mean_puzzle_examples").doubleValue(),
                    data.info().meanPuzzleExamples());
            if (split.equals("train")) {
                assertTrains(record, data);
            } else {
                assertTests(record, data);
            }
        }
    }

    private static void assertTrains(JsonNode record, Dataset data) throws Exception {
        TrainLoader loader = new TrainLoader(
                data,
                record.get("seed").longValue(),
                new LegacyRandom(record.get("numpy_global_seed").longValue()),
                record.get("global_batch_size").intValue(),
                record.get("epochs_per_iter").intValue());
        for (JsonNode pass : record.get("iterations")) {
            loader.startPass();
            for (JsonNode batch : pass) {
                assertEquals(
                        batch.get("sha256").textValue(),
                        Golden.digest(data, loader.nextBatch()),
                        record.get("name") + "");
            }
            assertNull(loader.nextBatch());
        }
    }

    /** The published loader ends a batch with a part; ours goes on, and the rows are the same in the same order. */
    private static void assertTests(JsonNode record, Dataset data) throws Exception {
        int size = record.get("global_batch_size").intValue();
        List<Integer> starts = new ArrayList<>();
        for (int group : data.firstGroups()) {
            starts.add(data.puzzleIndices()[data.groupIndices()[group]]);
        }
        int at = 0;
        for (JsonNode batch : record.get("iterations").get(0)) {
            int[] rows = new int[size];
            for (int i = 0; i < size; i++) {
                rows[i] = i < batch.get("rows").intValue() ? at++ : TestBatches.PADDING;
            }
            assertTrue(rows[size - 1] >= 0 || starts.contains(at));
            assertEquals(batch.get("sha256").textValue(), Golden.digest(data, rows), record.get("name") + "");
        }
        assertEquals(data.examples(), at);
    }

    /** A position says which part it lies in: from each of two passes over two folders the rest is the same. */
    @Test
    void resumesBitForBitFromEveryPosition() {
        Dataset data = Dataset.open(List.of(golden("arc_tiny"), golden("arc_tiny")), "train");
        LegacyRandom global = new LegacyRandom(1);
        TrainLoader loader = new TrainLoader(data, 0, global, 6, 2);
        int steps = 30; // of 13 or 14 a pass
        TrainLoader.Position[] positions = new TrainLoader.Position[steps];
        int[][] states = new int[steps][];
        int[][] batches = new int[steps][];
        for (int i = 0; i < steps; i++) {
            positions[i] = loader.position();
            states[i] = global.state();
            batches[i] = loader.next().clone();
        }
        assertEquals(5, loader.position().iteration());
        for (int from = 0; from < steps; from++) {
            TrainLoader resumed = new TrainLoader(data, 0, new LegacyRandom(99), 6, 2);
            resumed.restore(positions[from], states[from]);
            for (int i = from; i < steps; i++) {
                assertArrayEquals(batches[i], resumed.next(), "from " + from + " batch " + i);
            }
        }
    }

    /** What is asked by number is that of the folders one after the other; compact folders give what expanded ones do. */
    @Test
    void compactFolders() throws IOException {
        List<Path> compact = new ArrayList<>();
        for (String name : List.of("a", "b")) {
            compact.add(CompactTest.compact("maze_tiny", temp.resolve(name)));
        }
        Dataset expected = Dataset.open(List.of(golden("maze_tiny"), golden("maze_tiny")), "train");
        Dataset found = Dataset.open(compact, "train");
        assertEquals(expected.examples(), found.examples());
        assertTrue(found.storedRows() < found.examples());
        assertEquals(2 * found.examples(), found.origins().length);
        byte[] stored = bytes(found.inputChunks());
        int side = found.side();
        for (int e = 0; e < found.examples(); e++) {
            assertArrayEquals(expected.inputRow(e), found.inputRow(e));
            assertArrayEquals(expected.labelRow(e), found.labelRow(e));
            int[] task = new int[found.seqLen()]; // as the device sees it
            for (int i = 0; i < task.length; i++) {
                task[i] = stored[found.origins()[2 * e] * task.length + i];
            }
            Augmentation augmentation = Augmentation.read(
                    found.augmentationBytes(),
                    found.origins()[2 * e + 1],
                    side,
                    found.info().vocabSize());
            assertArrayEquals(expected.inputRow(e), augmentation.apply(task));
        }
        Golden.assertFails(
                () -> Dataset.open(List.of(compact.get(0), golden("maze_tiny")), "train"),
                "expected/train: found the expanded form, expected the other one as in " + compact.get(0));
    }

    private static byte[] bytes(List<ByteBuffer> chunks) {
        ByteBuffer all = ByteBuffer.allocate(
                chunks.stream().mapToInt(ByteBuffer::remaining).sum());
        chunks.forEach(all::put);
        return all.array();
    }

    /** What the published loader asserts, by name; and splits that only some folders have. */
    @Test
    void foldersThatDisagree() throws IOException {
        Path a = temp.resolve("a");
        Path b = temp.resolve("b");
        Golden.copy(golden("sudoku_tiny"), a);
        Golden.copy(golden("sudoku_tiny"), b);
        Path info = b.resolve("train/dataset.json");
        String text = Files.readString(info);
        for (String[] change : new String[][] {
            {"\"pad_id\": 0", "\"pad_id\": 1", "field 'pad_id': found 1, expected 0 as in " + a},
            {"\"ignore_label_id\": 0", "\"ignore_label_id\": null", "field 'ignore_label_id': found null, expected 0"},
            {"\"blank_identifier_id\": 0", "\"blank_identifier_id\": 3", "field 'blank_identifier_id': found 3"},
            {"\"vocab_size\": 11", "\"vocab_size\": 12", "field 'vocab_size': found 12, expected 11"},
            {"\"seq_len\": 81", "\"seq_len\": 9", "field 'seq_len': found 9, expected 81"},
            {"[\"all\"]", "[\"one\"]", "field 'sets': found [one], expected [all]"},
            {
                "\"num_puzzle_identifiers\": 1",
                "\"num_puzzle_identifiers\": 2",
                "field 'num_puzzle_identifiers': found 2, expected 1 as in " + a.resolve("train")
                        + ": only folders that agree are merged, and their identifiers are not renumbered"
            }
        }) {
            Files.writeString(info, text.replace(change[0], change[1]));
            Golden.assertFails(() -> Dataset.open(List.of(a, b), "train"), info + ": " + change[2]);
        }
        Files.writeString(info, text);
        assertEquals(
                2 * Dataset.open(a, "train").examples(),
                Dataset.open(List.of(a, b), "train").examples());
        DataFolders folders = new DataFolders(List.of(a, b));
        assertTrue(folders.has("test") && folders.openIfThere("test").isPresent());
        assertFalse(folders.has("dev") || folders.openIfThere("dev").isPresent());
        DataFolders missing = new DataFolders(List.of(a, temp.resolve("none")));
        Golden.assertFails(
                () -> missing.openIfThere("test"),
                temp.resolve("none/test") + ": dataset folder not found, expected one as in " + a);
        Golden.assertFails(() -> missing.open("train"), temp.resolve("none/train") + ": dataset folder not found");
        Golden.assertFails(() -> DataFolders.of(List.of("a\u0000b")), "data_paths: found 'a\\u0000b'");
    }

    /** Votes need one name for an identifier; test tasks are those of all folders, once each. */
    @Test
    void votesOfTwoFolders() throws IOException {
        Path a = temp.resolve("a");
        Path b = temp.resolve("b");
        Golden.copy(golden("arc_tiny"), a);
        Golden.copy(golden("arc_tiny"), b);
        DataFolders folders = new DataFolders(List.of(a, b));
        int ballots = ArcVotes.of(DataFolders.of(a), 0).ballots().size();
        assertEquals(ballots, ArcVotes.of(folders, 0).ballots().size());
        Path tasks = b.resolve("test_puzzles.json");
        String pair = "{\"input\": [[1]], \"output\": [[0]]}";
        Files.writeString(tasks, "{\"new\": {\"train\": [" + pair + "], \"test\": [" + pair + "]}}");
        assertEquals(ballots + 1, ArcVotes.of(folders, 0).ballots().size());
        assertEquals(1, ArcVotes.of(folders, 0).unknown());
        String first = ArcVotes.of(DataFolders.of(a), 0).ballots().get(0).task();
        Files.writeString(tasks, Files.readString(tasks).replace("new", first));
        Golden.assertFails(() -> ArcVotes.of(folders, 0), tasks + ": task '" + first + "': found other test pairs");
        Path names = b.resolve("identifiers.json");
        List<String> list = Identifiers.read(names);
        Files.writeString(names, Files.readString(names).replace("\"" + list.get(3) + "\"", "\"x\""));
        Golden.assertFails(
                () -> ArcVotes.of(folders, 0),
                names + ": identifier 3: found 'x', expected '" + list.get(3) + "' as in " + a);
        Files.writeString(names, "[\"<blank>\", 1]");
        Golden.assertFails(() -> ArcVotes.of(folders, 0), names + ": entry 1: found 1, expected a name");
    }
}
