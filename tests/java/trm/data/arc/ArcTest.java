package trm.data.arc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.Golden;
import trm.data.puzzle.Grid;
import trm.data.random.LegacyRandom;
import trm.evaluation.ArcVotes;

/**
 * Oracles: folders of the published builder, byte for byte; for grids, the transforms' definitions composed from two of
 * them, and a search over all rectangles. Votes have golden cases in {@code trm verify}.
 */
class ArcTest {
    @TempDir
    private Path dir;

    @Test
    void foldersEqualThePublishedOnes() throws IOException {
        Path input = Golden.path("datasets/arc_tiny/input");
        for (Path file : Golden.files(input)) {
            try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(dir.resolve(file + ".gz")))) {
                Files.copy(input.resolve(file), out);
            }
        }
        List<String> notes = new ArrayList<>();
        Path out = dir.resolve("out");
        ArcBuilder.Summary made = ArcBuilder.build(
                dir.resolve("arc") + "",
                List.of("training", "evaluation", "concept"),
                List.of("evaluation"),
                out,
                4,
                42,
                notes::add);
        Golden.assertSameFolder(Golden.path("datasets/arc_tiny/expected"), out);
        List<ArcBuilder.TestTask> tested = made.testTasks();
        assertEquals(new ArcBuilder.Summary(out, 5, 26, 125, 15, tested), made);
        assertEquals(
                List.of("evaluation"),
                tested.stream().map(ArcBuilder.TestTask::subset).distinct().toList());
        assertEquals(List.of(), notes);
        Path edge = dir.resolve("edge");
        ArcBuilder.build(
                Golden.path("datasets/arc_edge/input/arc") + "",
                List.of("made", "evaluation2"),
                List.of("evaluation2"),
                edge,
                3,
                5,
                notes::add);
        Golden.assertSameFolder(Golden.path("datasets/arc_edge/expected"), edge);
        assertEquals(
                List.of(
                        "subset evaluation2 has no solutions: 1 outputs are taken to be [[0]]",
                        "1 of 3 tasks have fewer than 3 different copies; the fewest, 1, has zero0001"),
                notes);
    }

    /** Pairs that a transform swaps: no copy differs from the task, whose pairs have no order. */
    @Test
    void copiesWithTheSamePairs() throws IOException {
        write(
                "a_challenges",
                "{\"t\": {\"train\": [" + "{\"input\": [[0, 0]], \"output\": [[0]]}, "
                        + "{\"input\": [[0], [0]], \"output\": [[0]]}], \"test\": [{\"input\": [[0]]}]}}");
        List<String> notes = new ArrayList<>();
        ArcBuilder.build(dir.resolve("x") + "", List.of("a"), List.of(), dir.resolve("out"), 2, 0, notes::add);
        assertEquals("1 of 1 tasks have fewer than 2 different copies; the fewest, 0, has t", notes.get(1));
    }

    /** The order of identifiers is the training split's even where the first subset is a test set; none is no test split. */
    @Test
    void onlyATestSet() {
        String prefix = Golden.path("datasets/arc_tiny/input/arc") + "";
        ArcBuilder.build(prefix, List.of("evaluation"), List.of("evaluation"), dir, 1, 0, note -> {});
        int[] train = Dataset.open(dir, "train").puzzleIdentifiers();
        assertArrayEquals(new int[] {1, 2, 3, 4}, train);
        assertArrayEquals(train, Dataset.open(dir, "test").puzzleIdentifiers());
        Path other = dir.resolve("other");
        assertEquals(
                0,
                ArcBuilder.build(prefix, List.of("training"), List.of(), other, 1, 0, note -> {})
                        .testExamples());
        assertFalse(Files.exists(other.resolve("test")));
    }

    /**
     * The compact form has the other files of the expanded one, and its examples, of which those have other places that a grid
     * ends at the field's end: grids of up to 30 x 30 whose larger one or neither or both touch it.
     */
    @ParameterizedTest
    @CsvSource({"arc_tiny, 'training,evaluation,concept', evaluation", "arc_edge, 'made,evaluation2', evaluation2"})
    void compactForm(String name, String subsets, String test) throws IOException {
        assertSameExamples(Golden.path("datasets/" + name + "/input/arc").toString(), subsets, test, 40);
    }

    /** The same of random grids, many of them nearly as large as the field. */
    @Test
    void compactFormOfLargeGrids() throws IOException {
        Random random = new Random(6);
        StringBuilder tasks = new StringBuilder("{");
        for (int t = 0; t < 4; t++) {
            tasks.append(t == 0 ? "" : ", ").append("\"t" + t + "\": {\"train\": [");
            for (int i = 0; i < 4; i++) {
                Grid a = random(random, 25);
                Grid b = i < 2 ? random(random, 25) : random(random, 1);
                tasks.append(i == 0 ? "" : ", ")
                        .append("{\"input\": " + (i % 2 == 0 ? a : b) + ", \"output\": " + (i % 2 == 0 ? b : a) + "}");
            }
            tasks.append("], \"test\": [{\"input\": " + random(random, 28) + ", \"output\": [[1]]}]}");
        }
        write("a_challenges", tasks.append("}").toString());
        assertSameExamples(dir.resolve("x").toString(), "a", "a", 60);
    }

    private void assertSameExamples(String prefix, String subsets, String test, int aug) throws IOException {
        List<String> names = List.of(subsets.split(","));
        Path expanded = dir.resolve("expanded");
        Path compact = dir.resolve("compact");
        ArcBuilder.build(prefix, names, List.of(test), compact, 1, 5, note -> {}); // its files do not stay
        for (boolean form : new boolean[] {false, true}) {
            ArcBuilder.build(prefix, names, List.of(test), form ? compact : expanded, aug, 5, null, form, note -> {});
        }
        List<String> arrays = List.of("inputs", "labels", "task_inputs", "task_labels", "origins", "augmentations");
        List<Path> same = Golden.files(expanded).stream()
                .filter(file -> arrays.stream().noneMatch(a -> file.endsWith("all__" + a + ".npy")))
                .toList();
        for (Path file : same) {
            assertArrayEquals(Files.readAllBytes(expanded.resolve(file)), Files.readAllBytes(compact.resolve(file)));
        }
        assertEquals(same.size() + 8, Golden.files(compact).size());
        for (String split : List.of("train", "test")) {
            Dataset wanted = Dataset.open(expanded, split);
            Dataset found = Dataset.open(compact, split);
            assertEquals(wanted.examples(), found.examples());
            assertTrue(found.storedRows() < wanted.examples(), found.storedRows() + " rows");
            for (int e = 0; e < wanted.examples(); e++) {
                assertArrayEquals(wanted.inputRow(e), found.inputRow(e), split + " input " + e);
                assertArrayEquals(wanted.labelRow(e), found.labelRow(e), split + " label " + e);
            }
        }
    }

    private static Grid random(Random random, int least) {
        Grid grid = random(random);
        return grid.rows() >= least && grid.columns() >= least ? grid : random(random, least);
    }

    private static Grid random(Random random) {
        int rows = 1 + random.nextInt(30);
        int columns = 1 + random.nextInt(30);
        byte[] cells = new byte[rows * columns];
        for (int i = 0; i < cells.length; i++) {
            cells[i] = (byte) random.nextInt(10);
        }
        return new Grid(rows, columns, cells);
    }

    /** A quarter turn and a mirror, written out; everything else is made of them. */
    @Test
    void transforms() {
        Grid grid = new Grid(2, 3, new byte[] {1, 2, 3, 4, 5, 6});
        assertEquals("[[3, 6], [2, 5], [1, 4]]", grid.transform(1).toString());
        assertEquals("[[3, 2, 1], [6, 5, 4]]", grid.transform(4).toString());
        Random random = new Random(3);
        for (int i = 0; i < 50; i++) {
            Grid g = random(random);
            Grid quarter = g.transform(1);
            assertEquals(g, g.transform(0));
            assertEquals(quarter.transform(1), g.transform(2));
            assertEquals(quarter.transform(1).transform(1), g.transform(3));
            assertEquals(g.transform(2).transform(4), g.transform(5));
            assertEquals(g.transform(4).transform(1), g.transform(6));
            assertEquals(quarter.transform(4), g.transform(7));
            for (int k = 0; k < 8; k++) {
                assertEquals(g, g.transform(k).transform(Grid.inverse(k)));
            }
        }
    }

    @Test
    void copiesAreUndone() {
        LegacyRandom numbers = new LegacyRandom(9);
        Random random = new Random(4);
        for (int i = 0; i < 50; i++) {
            ArcCopy copy = ArcCopy.draw("task", numbers);
            Grid grid = random(random);
            assertEquals(grid, copy.undo(copy.apply(grid)));
            ArcCopy parsed = ArcCopy.parse(copy.name());
            assertEquals(copy.name(), parsed.name());
            assertEquals(copy.apply(grid), parsed.apply(grid));
        }
        assertEquals("a", ArcCopy.parse("a").name());
        for (String name : List.of("a|||t8|||0123456789", "a|||t1|||0123456788", "a|||x", "a|||t1|||012345678")) {
            Golden.assertFails(() -> ArcCopy.parse(name), "identifier '" + name + "': expected TASK, or TASK|||tK");
        }
    }

    /** The largest rectangle of colours at the corner, by trying all; of equal ones that of fewest rows. */
    private static Grid naiveCrop(int[] field) {
        int best = 0;
        int rows = 0;
        int columns = 0;
        for (int r = 1; r <= 30; r++) {
            for (int c = 1; c <= 30; c++) {
                boolean good = true;
                for (int i = 0; i < r * c; i++) {
                    int token = field[i / c * 30 + i % c];
                    good &= token >= 2 && token <= 11;
                }
                if (good && r * c > best) {
                    best = r * c;
                    rows = r;
                    columns = c;
                }
            }
        }
        byte[] cells = new byte[best];
        for (int i = 0; i < best; i++) {
            cells[i] = (byte) (field[i / columns * 30 + i % columns] - 2);
        }
        return new Grid(rows, columns, cells);
    }

    @Test
    void tokens() {
        Random random = new Random(8);
        int[] field = new int[900];
        for (int i = 0; i < 40; i++) {
            Grid grid = random(random);
            ArcTokens.put(grid, 0, 0, field);
            assertEquals(grid, ArcTokens.crop(field));
            for (int n = random.nextInt(4); n > 0; n--) { // spoil it
                field[random.nextInt(5) * 30 + random.nextInt(5)] = random.nextInt(2);
            }
            assertEquals(naiveCrop(field), ArcTokens.crop(field));
            int top = random.nextInt(31 - grid.rows());
            int left = random.nextInt(31 - grid.columns());
            ArcTokens.put(grid, top, left, field);
            assertEquals(grid, ArcTokens.find(field));
            int ends = (int) Arrays.stream(field).filter(t -> t == 1).count();
            assertEquals(
                    (top + grid.rows() < 30 ? grid.columns() : 0) + (left + grid.columns() < 30 ? grid.rows() : 0),
                    ends);
        }
        Arrays.fill(field, 0);
        assertEquals("[]", ArcTokens.crop(field).toString());
        assertEquals(0, ArcTokens.find(field).rows());
    }

    private void write(String name, String json) throws IOException {
        Files.writeString(dir.resolve("x_" + name + ".json"), json);
    }

    private void assertFails(String challenges, String solutions, String... parts) throws IOException {
        write("a_challenges", challenges);
        if (solutions == null) {
            Files.deleteIfExists(dir.resolve("x_a_solutions.json"));
        } else {
            write("a_solutions", solutions);
        }
        Golden.assertFails(
                () -> ArcBuilder.build(
                        dir.resolve("x") + "", List.of("a"), List.of(), dir.resolve("out"), 1, 0, n -> {}),
                parts);
        assertFalse(Files.exists(dir.resolve("out")));
    }

    @Test
    void badTasks() throws IOException {
        String pair = "{\"input\": [[1]], \"output\": [[2]]}";
        String good = "{\"t\": {\"train\": [" + pair + "], \"test\": [{\"input\": [[1]]}]}}";
        String file = dir.resolve("x_a_challenges.json") + ": ";
        String solutions = dir.resolve("x_a_solutions.json") + ": ";
        assertFails("[]", null, file + "found [], expected an object of tasks by name");
        assertFails("{\"t\": 1, \"t\": 2}", null, file + "not valid JSON: Duplicate field 't'");
        assertFails("{", null, file + "not valid JSON");
        assertFails("{}", null, file + "found no task, expected at least one");
        assertFails(
                "{\"t\": {\"train\": [" + pair + "]}}", null, file + "task 't': found the keys ['train'], expected");
        assertFails(good.replace("\"test\"", "\"tests\""), null, "found the keys ['train', 'tests']");
        assertFails(good.replace("[" + pair + "]", "[]"), null, "task 't': train: found [], expected a list of pairs");
        assertFails(
                good.replace("[[2]]", "[[10]]"), null, "train pair 1: output: row 1, column 1: found 10, expected a");
        assertFails(good.replace("[[2]]", "[[1.5]]"), null, "row 1, column 1: found 1.5, expected a colour 0 .. 9");
        assertFails(good.replace("[[2]]", "[[1, 2], [3]]"), null, "row 2: found [3], expected 2 colours as in row 1");
        assertFails(good.replace("[[2]]", "[]"), null, "output: found [], expected 1 .. 30 rows of 1 .. 30 colours");
        assertFails(good.replace("[[2]]", "[[" + "1, ".repeat(30) + "1]]"), null, "expected 1 .. 30 rows");
        assertFails(good.replace("\"output\"", "\"outputs\""), null, "output: found nothing, expected 1 .. 30 rows");
        assertFails(good, "{}", solutions + "task 't': found no outputs, expected 1 grids");
        assertFails(good, "{\"t\": [[[1]], [[2]]]}", solutions + "task 't': found [[[1]],[[2]]], expected 1 grids");
        assertFails(good, "{\"t\": [[[11]]]}", "test pair 1: output: row 1, column 1: found 11");
        Golden.assertFails(
                () -> build(List.of("none"), List.of(), 1),
                "subset 'none': found none of the files " + dir.resolve("x_none_challenges.json"),
                "x-none-challenges.json, nor with .gz, nor folders of task files " + dir.resolve("x/none"));
        Golden.assertFails(() -> build(List.of("a"), List.of("b"), 1), "test set 'b': expected one of the subsets [a]");
        Golden.assertFails(
                () -> build(List.of("a", "a"), List.of(), 1), "subsets=[a, a]: expected one or more different");
        Golden.assertFails(() -> build(List.of("a"), List.of(), -1), "aug=-1: expected at least 0");
    }

    private void build(List<String> subsets, List<String> testSets, int aug) {
        ArcBuilder.build(dir.resolve("x") + "", subsets, testSets, dir.resolve("out"), aug, 0, note -> {});
    }

    /** One task, two test inputs: rank by count, then by mean q; the second is not voted on. */
    @Test
    void votes() throws IOException {
        Files.writeString(
                dir.resolve("test_puzzles.json"),
                "{\"t\": {\"train\": [{\"input\": [[1]], \"output\": [[1]]}], \"test\": ["
                        + "{\"input\": [[1, 2]], \"output\": [[3]]}, {\"input\": [[4]], \"output\": [[5]]}]}}");
        Files.writeString(dir.resolve("identifiers.json"), "[\"<blank>\", \"t\", \"t|||t4|||0213456789\"]");
        ArcVotes votes = ArcVotes.of(DataFolders.of(dir), 0);
        assertEquals(0, votes.pass(List.of(1)).get(1));
        assertEquals("{\"t\": []}", votes.submission(2));
        vote(votes, 1, new Grid(1, 2, new byte[] {1, 2}), new Grid(1, 1, new byte[] {7}), 3);
        vote(votes, 1, new Grid(1, 2, new byte[] {1, 2}), new Grid(1, 1, new byte[] {3}), -1);
        vote(votes, 0, new Grid(1, 2, new byte[] {1, 2}), new Grid(1, 1, new byte[] {8}), 9);
        assertEquals(Map.of(1, 0.0, 2, 0.5), votes.pass(List.of(1, 2)));
        // the copy swaps colours 1 and 2 and mirrors: the same input, and the answer 3 once more
        vote(votes, 2, new Grid(1, 2, new byte[] {1, 2}), new Grid(1, 1, new byte[] {3}), -2);
        assertEquals(Map.of(1, 0.5), votes.pass(List.of(1)));
        assertEquals(
                "{\"t\": [{\"attempt_1\": [[3]], \"attempt_2\": [[7]], \"attempt_3\": [[3]]}]}", votes.submission(3));
        ArcVotes.Ranked best = votes.ballots().get(0).ranked().get(0);
        assertEquals(2, best.count());
        assertEquals((1 / (1 + Math.exp(1)) + 1 / (1 + Math.exp(2))) / 2, best.meanQ(), 1e-15);
        Golden.assertFails(
                () -> vote(votes, 3, best.answer(), best.answer(), 0), "identifier 3: identifiers.json has 3");
        Files.writeString(dir.resolve("identifiers.json"), "{}");
        Golden.assertFails(
                () -> ArcVotes.of(DataFolders.of(dir), 0), "identifiers.json: found {}, expected a list of names");
        assertTrue(ArcVotes.appliesTo(DataFolders.of(dir)));
        assertFalse(ArcVotes.appliesTo(DataFolders.of(dir.resolve("none"))));
    }

    private static void vote(ArcVotes votes, int identifier, Grid input, Grid answer, float q) {
        int[] question = new int[900];
        int[] prediction = new int[900];
        ArcTokens.put(input, 0, 0, question);
        ArcTokens.put(answer, 0, 0, prediction);
        votes.add(identifier, question, prediction, q);
    }
}
