package trm.data.arc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.Golden;
import trm.data.Grouping;
import trm.data.Sources;
import trm.data.format.Identifiers;
import trm.data.format.JsonFile;
import trm.data.format.PythonJson;

/**
 * Where ARC's tasks lie and how they are written. Oracle: the folder that the same tasks give as Kaggle's files, which are the
 * golden case's input.
 */
class ArcFilesTest {
    private static final String PAIR = "{\"input\": [[1]], \"output\": [[2]]}";
    private static final String TASK = "{\"train\": [" + PAIR + "], \"test\": [" + PAIR + "]}";
    private static final List<String> SUBSETS = List.of("training", "evaluation", "concept");

    @TempDir
    private Path dir;

    private final List<String> notes = new ArrayList<>();
    private Path expected;

    @BeforeEach
    void build() {
        expected = dir.resolve("expected");
        build(Golden.path("datasets/arc_tiny/input/arc") + "", SUBSETS, List.of("evaluation"), expected);
    }

    private ArcBuilder.Summary build(String prefix, List<String> subsets, List<String> tests, Path out) {
        return ArcBuilder.build(prefix, subsets, tests, out, 2, 42, notes::add);
    }

    private void assertSame(String prefix) throws IOException {
        Path out = dir.resolve("out");
        build(prefix, SUBSETS, List.of("evaluation"), out);
        Golden.assertSameFolder(expected, out);
        assertEquals(List.of(), notes);
    }

    private void assertFails(String prefix, List<String> subsets, String... parts) {
        Path out = dir.resolve("failed");
        Golden.assertFails(() -> build(prefix, subsets, List.of(), out), parts);
        assertFalse(Files.exists(out));
    }

    /** The golden files by other names, packed or not. */
    private void copy(String to, String separator, String end, boolean packed) throws IOException {
        Path input = Golden.path("datasets/arc_tiny/input");
        for (Path file : Golden.files(input)) {
            String name = file.toString()
                    .replace("_solutions", separator + "solutions")
                    .replace("_challenges", separator + "challenges");
            name = name.replaceFirst("arc_", to).replace(".json", end);
            try (OutputStream out = Files.newOutputStream(dir.resolve(name));
                    OutputStream zip = packed ? new GZIPOutputStream(out) : out) {
                Files.copy(input.resolve(file), zip);
            }
        }
    }

    @Test
    void hyphens() throws IOException {
        copy("a_", "-", ".json", false);
        assertSame(dir.resolve("a") + "");
        copy("b-", "-", ".json.gz", true);
        assertSame(dir.resolve("b") + "");
        copy("c-", "_", ".json", true); // packed, whatever the name says
        assertSame(dir.resolve("c") + "");
    }

    @Test
    void filesOfTwoNames() throws IOException {
        copy("a_", "-", ".json", false);
        copy("a_", "_", ".json", false);
        assertFails(
                dir.resolve("a") + "",
                List.of("training"),
                "subset 'training': found " + dir.resolve("a_training_challenges.json") + " and "
                        + dir.resolve("a_training-challenges.json") + ", expected one");
    }

    /** Each task as a file of its own: solutions filled in, and named so that they sort as they lie in the file. */
    private void taskFiles(Path to, String subset, boolean nested) throws IOException {
        JsonNode tasks = JsonFile.read(Golden.path("datasets/arc_tiny/input/arc_" + subset + "_challenges.json"));
        JsonNode solutions = JsonFile.read(Golden.path("datasets/arc_tiny/input/arc_" + subset + "_solutions.json"));
        for (Iterator<Map.Entry<String, JsonNode>> fields = tasks.properties().iterator(); fields.hasNext(); ) {
            Map.Entry<String, JsonNode> field = fields.next();
            ArcTask.fill("", field.getValue(), solutions.get(field.getKey()));
            Path folder = nested ? to.resolve("Concept" + field.getKey()) : to;
            Files.createDirectories(folder);
            Files.writeString(folder.resolve(field.getKey() + ".json"), PythonJson.text(field.getValue()));
        }
        Files.writeString(to.resolve("LICENSE"), "of the tasks");
        Files.writeString(to.resolve("._hidden.json"), "left by another system");
    }

    /** The tasks of Kaggle's file in the order of their names, which is that of a folder. */
    private String sorted() throws IOException {
        for (String subset : SUBSETS) {
            for (String kind : List.of("challenges", "solutions")) {
                JsonNode tasks =
                        JsonFile.read(Golden.path("datasets/arc_tiny/input/arc_" + subset + "_" + kind + ".json"));
                List<String> ids = new ArrayList<>();
                tasks.fieldNames().forEachRemaining(ids::add);
                List<String> fields = ids.stream()
                        .sorted()
                        .map(id -> "\"" + id + "\": " + PythonJson.text(tasks.get(id)))
                        .toList();
                Files.writeString(
                        dir.resolve("s_" + subset + "_" + kind + ".json"), "{" + String.join(", ", fields) + "}");
            }
        }
        return dir.resolve("s") + "";
    }

    /** The public repositories: a folder a subset; ConceptARC: folders in it, one a concept. */
    @Test
    void foldersOfTaskFiles() throws IOException {
        for (String subset : SUBSETS) {
            taskFiles(dir.resolve("data").resolve(subset), subset, subset.equals("concept"));
        }
        String prefix = sorted();
        build(prefix, SUBSETS, List.of("evaluation"), expected);
        assertSame(dir.resolve("data") + "");
        assertSame(dir.resolve("data") + "/");

        Path one = dir.resolve("one");
        build(prefix, List.of("training"), List.of(), one);
        for (String where : List.of("data/training", "data")) { // its own name, or a subset in it
            build(dir.resolve(where) + "", List.of("training"), List.of(), dir.resolve("out"));
            assertArrayEquals(
                    Files.readAllBytes(one.resolve("train/all__inputs.npy")),
                    Files.readAllBytes(dir.resolve("out/train/all__inputs.npy")));
        }
        build(
                dir.resolve("data/training") + "",
                List.of("mine"),
                List.of(),
                dir.resolve("out")); // one subset, any name
        assertArrayEquals(
                Files.readAllBytes(one.resolve("identifiers.json")),
                Files.readAllBytes(dir.resolve("out/identifiers.json")));
    }

    /** A subset that is not there takes no other one's files, and the error names what was looked for. */
    @Test
    void subsetsThatAreNotThere() throws IOException {
        taskFiles(dir.resolve("data/training"), "training", false);
        String data = dir.resolve("data") + "";
        assertFails(
                data,
                List.of("trainig"),
                "subset 'trainig': found none of the files " + data + "_trainig_challenges.json, " + data
                        + "_trainig-challenges.json, " + data + "-trainig_challenges.json, " + data
                        + "-trainig-challenges.json, nor with .gz, nor folders of task files " + data + "/trainig, "
                        + data + "_trainig, " + data + "-trainig");
        assertFails(
                data + "/training", List.of("training", "evaluation"), "subset 'evaluation': found none of the files ");
        Files.writeString(dir.resolve("arc-agi_training_challenges.json"), "{\"t\": " + TASK + "}");
        assertFails(
                dir + "",
                List.of("evaluation"),
                "; in " + dir + " there is arc-agi_training_challenges.json: the prefix is what stands before _SUBSET");
        assertFails(dir.resolve("arc") + "", List.of("training"), "there is arc-agi_training_challenges.json");
        assertFails(
                dir + "",
                List.of("training"),
                "; in " + dir + " there is arc-agi_training_challenges.json: the prefix is what stands before _SUBSET");
        Files.createDirectories(dir.resolve("data/mixed"));
        Files.writeString(dir.resolve("data/mixed/all-challenges.json"), "{\"t\": " + TASK + "}");
        assertFails(data, List.of("mixed"), "all-challenges.json: found a file of many tasks by its name");
    }

    @Test
    void foldersThatAreWrong() throws IOException {
        Path folder = Files.createDirectories(dir.resolve("t/within"));
        String prefix = dir.resolve("t") + "";
        assertFails(prefix, List.of("t"), dir.resolve("t") + ": found no task, expected at least one");
        Files.writeString(dir.resolve("t/a.json"), TASK);
        Files.writeString(folder.resolve("a.json"), TASK);
        assertFails(prefix, List.of("t"), folder.resolve("a.json") + ": found a second task of this name");
        Files.writeString(folder.resolve("a.json"), "{\"one\": " + TASK + "}");
        Files.delete(dir.resolve("t/a.json"));
        assertFails(prefix, List.of("t"), folder.resolve("a.json") + ": found the keys ['one'], expected 'train'");
        Files.writeString(folder.resolve("a.json"), "[" + PAIR + ", " + PAIR + "]");
        assertFails(prefix, List.of("t"), folder.resolve("a.json") + ": found a list of 2 pairs, as RE-ARC has them");
        Files.writeString(folder.resolve("a.json"), "<!DOCTYPE html>");
        assertFails(prefix, List.of("t"), folder.resolve("a.json") + ": found an HTML page");
        Files.writeString(folder.resolve("a.json"), "version https://git-lfs.github.com/spec/v1\n");
        assertFails(prefix, List.of("t"), folder.resolve("a.json") + ": found a Git LFS pointer");
    }

    private void write(String name, String json) throws IOException {
        Files.writeString(dir.resolve("x_" + name + ".json"), json);
    }

    /** Keys that others add, and colours that others write as floats; what is stored of a task is train and test. */
    @Test
    void tasksOfOtherWriters() throws IOException {
        write("a_challenges", "{\"t\": " + TASK + "}");
        Path plain = dir.resolve("plain");
        build(dir.resolve("x") + "", List.of("a"), List.of("a"), plain);
        write(
                "a_challenges",
                "{\"t\": "
                        + TASK.replace("{\"train\"", "{\"id\": \"t\", \"metadata\": {\"a\": [1]}, \"train\"")
                                .replaceFirst("}$", ", \"name\": \"t\"}")
                        + "}");
        build(dir.resolve("x") + "", List.of("a"), List.of("a"), dir.resolve("out"));
        Golden.assertSameFolder(plain, dir.resolve("out"));
        write("a_challenges", "{\"t\": " + TASK.replace("[[1]]", "[[1.0]]").replace("[[2]]", "[[2e0]]") + "}");
        build(dir.resolve("x") + "", List.of("a"), List.of("a"), dir.resolve("floats"));
        for (String file : List.of("train/all__inputs.npy", "test/all__labels.npy", "train/dataset.json")) {
            assertArrayEquals(
                    Files.readAllBytes(plain.resolve(file)),
                    Files.readAllBytes(dir.resolve("floats").resolve(file)));
        }
        assertEquals(
                1,
                ArcTask.readTestPuzzles(dir.resolve("floats/test_puzzles.json")).size());
        for (String colour : List.of("1.5", "\"1\"", "true", "null", "-1", "1e999", "10.0", "[1]")) {
            write("a_challenges", "{\"t\": " + TASK.replace("[[1]]", "[[" + colour + "]]") + "}");
            assertFails(
                    dir.resolve("x") + "",
                    List.of("a"),
                    "task 't': train pair 1: input: row 1, column 1: found ",
                    ", expected a colour 0 .. 9");
        }
    }

    /** Outputs that are null are as unknown as those that are not there, with a file of solutions or without. */
    @Test
    void unknownOutputs() throws IOException {
        String two = TASK.replace("\"test\": [", "\"test\": [" + PAIR + ", ");
        write("a_challenges", "{\"t\": " + TASK.replaceFirst("\\[\\[2]]}]}$", "[[0]]}]}") + "}");
        build(dir.resolve("x") + "", List.of("a"), List.of("a"), dir.resolve("zero"));
        write("a_challenges", "{\"t\": " + TASK.replaceFirst("\\[\\[2]]}]}$", "null}]}") + "}");
        build(dir.resolve("x") + "", List.of("a"), List.of("a"), dir.resolve("null"));
        Golden.assertSameFolder(dir.resolve("zero"), dir.resolve("null"));
        write("a_solutions", "{\"t\": [null, [[3]]]}");
        write("a_challenges", "{\"t\": " + two + "}");
        build(dir.resolve("x") + "", List.of("a"), List.of("a"), dir.resolve("some"));
        assertEquals(
                List.of(
                        "subset a has no solutions: 1 outputs are taken to be [[0]]",
                        "subset a has no solutions: 1 outputs are taken to be [[0]]"),
                notes.stream().filter(note -> note.contains("solutions")).toList());
        List<ArcTask> tasks = ArcTask.readTestPuzzles(dir.resolve("some/test_puzzles.json"));
        assertEquals("[[0]]", tasks.get(0).test().get(0).output().toString());
        assertEquals("[[3]]", tasks.get(0).test().get(1).output().toString());
        Files.delete(dir.resolve("x_a_solutions.json"));
        write("a_challenges", "{\"t\": " + TASK.replaceFirst("\\[\\[2]]", "null") + "}");
        assertFails(
                dir.resolve("x") + "", List.of("a"), "task 't': train pair 1: output: found null, expected 1 .. 30");
    }

    /** The published builder keeps a task of two subsets twice: two groups, one identifier, in test_puzzles.json the last. */
    @Test
    void taskInTwoSubsets() throws IOException {
        write("a_challenges", "{\"t\": " + TASK + ", \"u\": " + TASK + "}");
        write("b_challenges", "{\"t\": " + TASK.replace("[[2]]", "[[3]]") + "}");
        ArcBuilder.Summary made = build(dir.resolve("x") + "", List.of("a", "b"), List.of("b"), dir.resolve("out"));
        Dataset train = Dataset.open(dir.resolve("out"), "train");
        List<String> names = Identifiers.read(dir.resolve("out/identifiers.json"));
        int id = names.indexOf("t");
        assertEquals(names.lastIndexOf("t"), id);
        assertEquals(3, train.info().totalGroups());
        int groups = 0;
        for (int first : java.util.Arrays.copyOf(train.groupIndices(), 3)) {
            groups += train.puzzleIdentifiers()[first] == id ? 1 : 0;
        }
        assertEquals(2, groups);
        assertEquals(id, Dataset.open(dir.resolve("out"), "test").puzzleIdentifiers()[0]);
        assertTrue(
                notes.stream()
                        .anyMatch(note ->
                                note.startsWith("1 tasks are in two subsets, the first 't' (a, b): each is kept")
                                        && note.endsWith("its test pairs are trained on")),
                notes + "");
        Sources.writeArc(made);
        assertEquals(List.of("b"), sources());

        made = build(dir.resolve("x") + "", List.of("a", "b"), List.of("a", "b"), dir.resolve("out"));
        assertEquals(3, Dataset.open(dir.resolve("out"), "test").info().totalGroups());
        assertEquals(
                2, ArcTask.readTestPuzzles(dir.resolve("out/test_puzzles.json")).size());
        Sources.writeArc(made);
        assertEquals(List.of("a", "b"), sources());
    }

    private List<String> sources() {
        Dataset test = Dataset.open(dir.resolve("out"), "test");
        return Grouping.of(DataFolders.of(dir.resolve("out")), "test", test)
                .get(0)
                .names();
    }

    @Test
    void namesThatIdentifiersCannotHave() throws IOException {
        for (String name : List.of("<blank>", "a|||b")) {
            write("a_challenges", "{\"" + name + "\": " + TASK + "}");
            assertFails(dir.resolve("x") + "", List.of("a"), "task '" + name + "': found a task of this name");
        }
        write("a_challenges", TASK);
        assertFails(
                dir.resolve("x") + "",
                List.of("a"),
                "x_a_challenges.json: found one task, expected an object of tasks");
        write("a_challenges", "{\"t\": [" + PAIR + "]}");
        assertFails(dir.resolve("x") + "", List.of("a"), "task 't': found a list of 1 pairs, as RE-ARC has them");
    }

    /** Small files that unpack to much are refused before memory is gone. */
    @Test
    void packedFilesThatGrow() throws IOException {
        Path file = dir.resolve("x_a_challenges.json.gz");
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(file))) {
            byte[] blanks = new byte[1 << 20];
            java.util.Arrays.fill(blanks, (byte) ' ');
            for (int i = 0; i < 64; i++) {
                out.write(blanks);
            }
        }
        RuntimeException refused = org.junit.jupiter.api.Assertions.assertThrows(
                trm.input.InputException.class, () -> JsonFile.read(file));
        assertTrue(refused.getMessage().startsWith(file + ": asks for more than "), refused.getMessage());
    }
}
