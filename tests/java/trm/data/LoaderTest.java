package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.random.LegacyRandom;

/** Oracle: batches recorded from the published loader, with a SHA-256 of their contents. Bound: equal bits. */
class LoaderTest {
    @TempDir
    private Path temp;

    @Test
    void repeatsPublishedBatches() throws Exception {
        for (JsonNode record : Golden.json("loader/batches.json")) {
            assertRepeats(
                    record,
                    open(record.get("dataset").textValue(), record.get("split").textValue()));
        }
    }

    @Test
    void repeatsPublishedBatchesFromTheCompactForm() throws Exception {
        int records = 0;
        for (JsonNode record : Golden.json("loader/batches.json")) {
            String name = record.get("dataset").textValue();
            if (List.of("sudoku_tiny", "maze_tiny").contains(name)) {
                Path folder = temp.resolve(name);
                if (Files.notExists(folder)) {
                    CompactTest.compact(name, folder);
                }
                assertRepeats(record, Dataset.open(folder, record.get("split").textValue()));
                records++;
            }
        }
        assertEquals(8, records);
    }

    private static void assertRepeats(JsonNode record, Dataset data) throws Exception {
        int batch = record.get("global_batch_size").intValue();
        int rank = record.get("rank").intValue();
        int ranks = record.get("num_replicas").intValue();
        TrainLoader loader = new TrainLoader(
                data,
                record.get("seed").longValue(),
                new LegacyRandom(record.get("numpy_global_seed").longValue()),
                batch,
                record.get("epochs_per_iter").intValue());
        TestBatches test = new TestBatches(data, batch);
        boolean training = record.get("split").textValue().equals("train");
        for (JsonNode pass : record.get("iterations")) {
            loader.startPass();
            for (int i = 0; i < pass.size(); i++) {
                int[] rows = TrainLoader.rankPart(training ? loader.nextBatch() : test.rows(i), rank, ranks);
                int real = training ? batch : test.realRows(i);
                assertEquals(pass.get(i).get("effective_global_batch").intValue(), real);
                assertBatch(pass.get(i), data, rows);
            }
            if (training) {
                assertNull(loader.nextBatch());
            } else {
                assertEquals(pass.size(), test.count());
            }
        }
    }

    private static void assertBatch(JsonNode expected, Dataset data, int[] rows) throws NoSuchAlgorithmException {
        assertArrayEquals(Golden.ints(expected.get("puzzle_identifiers")), Golden.identifiers(data, rows));
        assertEquals(expected.get("rows").size(), rows.length);
        for (int i = 0; i < rows.length; i++) {
            JsonNode row = expected.get("rows").get(i);
            int found = rows[i];
            int[] allowed = row.isArray() ? Golden.ints(row) : new int[] {row.intValue()};
            assertTrue(Arrays.stream(allowed).anyMatch(r -> r == found), row + " but drew " + found);
        }
        assertEquals(expected.get("sha256").textValue(), Golden.digest(data, rows));
    }

    private static Dataset open(String name, String split) {
        return Dataset.open(Golden.path("datasets/" + name + "/expected"), split);
    }

    @Test
    void resumesBitForBitFromEveryPosition() {
        Dataset data = open("arc_tiny", "train");
        int steps = 30; // crosses two passes of 10 or 11 batches
        LegacyRandom global = new LegacyRandom(1);
        TrainLoader loader = new TrainLoader(data, 0, global, 6, 3);
        TrainLoader.Position[] positions = new TrainLoader.Position[steps];
        int[][] states = new int[steps][];
        int[][] batches = new int[steps][];
        for (int i = 0; i < steps; i++) {
            positions[i] = loader.position();
            states[i] = global.state();
            batches[i] = loader.next().clone();
        }
        assertTrue(loader.position().iteration() == 3);
        for (int from = 0; from < steps; from++) {
            LegacyRandom resumedGlobal = new LegacyRandom(99);
            TrainLoader resumed = new TrainLoader(data, 0, resumedGlobal, 6, 3);
            resumed.restore(positions[from], states[from]);
            for (int i = from; i < steps; i++) {
                assertEquals(
                        positions[i].batchesDoneInPass(), resumed.position().batchesDoneInPass());
                assertArrayEquals(states[i], resumedGlobal.state());
                assertArrayEquals(batches[i], resumed.next(), "from " + from + " batch " + i);
            }
        }
    }

    @Test
    void nextEqualsPassesOneAfterTheOther() {
        Dataset data = open("arc_tiny", "train");
        TrainLoader rolling = new TrainLoader(data, 7, new LegacyRandom(4), 6, 2);
        TrainLoader passes = new TrainLoader(data, 7, new LegacyRandom(4), 6, 2);
        for (int pass = 0; pass < 4; pass++) {
            passes.startPass();
            for (int[] rows = passes.nextBatch(); rows != null; rows = passes.nextBatch()) {
                assertArrayEquals(rows, rolling.next());
            }
            assertNull(passes.nextBatch());
        }
    }

    @Test
    void badLoaders() {
        Dataset data = open("sudoku_tiny", "train");
        LegacyRandom global = new LegacyRandom(0);
        Golden.assertFails(
                () -> new TrainLoader(data, 0, global, 11, 1).next(), "globalBatch=11", "10 groups", "fills no batch");
        Golden.assertFails(() -> new TrainLoader(data, 0, global, 0, 1), "globalBatch=0");
        Golden.assertFails(() -> new TrainLoader(data, -1, global, 1, 1), "seed=-1");
        Golden.assertFails(() -> new TestBatches(data, 0), "batch=0");
        Golden.assertFails(() -> TrainLoader.rankPart(new int[5], 0, 2), "5 rows");
        TrainLoader loader = new TrainLoader(data, 0, global, 4, 1);
        loader.next();
        TrainLoader.Position position = loader.position();
        int[] state = global.state();
        Golden.assertFails(() -> new TrainLoader(data, 1, global, 4, 1).restore(position, state), "another seed");
        Golden.assertFails(
                () -> loader.restore(new TrainLoader.Position(1, 1, 11, position.philoxState()), state),
                "cursor 11",
                "0 .. 10");
        Golden.assertFails(() -> loader.restore(new TrainLoader.Position(2, 0, 0, new long[0]), state), "iteration 2");
    }

    /** Every part of a position follows from the seed and the batches drawn: none can be another. */
    @Test
    void positionsThatCannotBe() {
        Dataset data = open("arc_tiny", "train");
        LegacyRandom global = new LegacyRandom(1);
        TrainLoader loader = new TrainLoader(data, 0, global, 6, 3);
        int batches = 0;
        for (; batches < 25; batches++) {
            loader.check(loader.position(), global.state(), batches);
            loader.next();
        }
        TrainLoader.Position at = loader.position();
        int[] state = global.state();
        loader.check(at, state, batches);
        assertEquals(3, at.iteration());
        int done = at.batchesDoneInPass();
        long[] philox = at.philoxState();
        Golden.assertFails(
                () -> loader.check(new TrainLoader.Position(3, done + 1, at.cursor(), philox), state, 26),
                "cursor " + at.cursor() + " after " + (done + 1) + " batches of the pass",
                "expected " + done + " batches");
        Golden.assertFails(
                () -> loader.check(new TrainLoader.Position(3, done, at.cursor() - 1, philox), state, 25),
                "cursor " + (at.cursor() - 1));
        Golden.assertFails(() -> loader.check(at, state, done), "found " + done + " batches in pass 3 after " + done);
        Golden.assertFails(() -> loader.check(at, state, 1000), "not " + (1000 - done));
        Golden.assertFails(
                () -> loader.check(new TrainLoader.Position(Long.MAX_VALUE, 0, 0, philox), state, 25), "another seed");
        Golden.assertFails(() -> loader.check(at, new int[625], 25), "words that are all zero");
        for (int i = 0; i < philox.length; i++) {
            long[] other = philox.clone();
            other[i] ^= 1;
            TrainLoader.Position moved = new TrainLoader.Position(3, done, at.cursor(), other);
            Golden.assertFails(() -> loader.restore(moved, state), "Philox state: ");
        }
    }
}
