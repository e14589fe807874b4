package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.data.sudoku.MiniSudokuBuilder;

/** Mazes and ARC tasks through {@code trm solve}, by models that know little; Sudokus are in {@code MainTest}. */
class SolveCommandTest {
    private static final Path GOLDEN = Path.of("tests/golden/datasets");
    private static final Path TASKS = GOLDEN.resolve("arc_tiny/input/arc_evaluation_challenges.json");

    /** 8 x 8, as the mazes of the golden folder. */
    private static final String MAZE = String.join(
            "\n", "# # #   ", "   # # S", " #G#    ", "  ##   #", "   # # #", "        ", "## #   #", " ###    ", "");

    @TempDir
    private static Path shared;

    private static Path mazes;
    private static Path arc;
    private static Path sudokus;

    @TempDir
    private Path temp;

    @BeforeAll
    static void train() throws IOException {
        mazes = train("mazes", GOLDEN.resolve("maze_small/expected"), "epochs=8");
        MiniSudokuBuilder.build(shared.resolve("mini"), 4, 16, 4, 1, 8);
        sudokus = train("sudokus", shared.resolve("mini"), "epochs=2");
        arc = train(
                "arc",
                GOLDEN.resolve("arc_tiny/expected"),
                "arch.mlp_t=false",
                "arch.pos_encodings=rope",
                "arch.hidden_size=16",
                "arch.num_heads=1",
                "arch.expansion=1",
                "arch.H_cycles=1",
                "arch.L_cycles=1",
                "arch.puzzle_emb_ndim=16",
                "arch.puzzle_emb_len=1",
                "arch.halt_max_steps=2",
                "eval_puzzles=4",
                "puzzle_emb_lr=0.01",
                "puzzle_emb_weight_decay=0.1",
                "lr=1e-2",
                "lr_warmup_steps=2",
                "ema_rate=0.5",
                "epochs=100",
                "max_steps=40");
    }

    private static Path train(String name, Path data, String... settings) throws IOException {
        Path config = Trm.tinyConfig(shared.resolve(name + ".yaml"), data);
        List<Object> args = new ArrayList<>(List.of("train", config, "global_batch_size=4", "max_steps=2"));
        args.addAll(List.of(settings));
        args.addAll(List.of("--run", shared.resolve(name), "--device", "cpu"));
        Trm.execute(args.toArray()).assertDone();
        return shared.resolve(name);
    }

    private Path file(String name, String text) throws IOException {
        return Files.writeString(temp.resolve(name), text);
    }

    private static Trm.Result solve(Object... args) {
        return Trm.execute(Stream.concat(Stream.of("solve"), Stream.of(args)).toArray());
    }

    private static Trm.Result withInput(byte[] input, Object... args) {
        InputStream before = System.in;
        try {
            System.setIn(new ByteArrayInputStream(input));
            return solve(args);
        } finally {
            System.setIn(before);
        }
    }

    // ---- mazes ----

    @Test
    void maze() throws IOException {
        Path text = file("maze.txt", MAZE);
        Trm.Result result = solve(mazes, "--file", text, "--steps", 3, "--json", "--device", "cpu")
                .assertDone();
        JsonNode json = result.json();
        assertEquals("maze", json.get("kind").asText());
        assertEquals(MAZE.replace("\n", ""), json.get("puzzle").asText());
        assertEquals(3, json.get("halt_probability").size());
        assertEquals(64, json.get("answer").asText().length());
        String verdict = json.get("verdict").asText();
        assertEquals(verdict.startsWith("solved"), json.get("legal").asBoolean());
        assertTrue(result.text().contains("\n" + verdict + "\n"), result.out());
        assertTrue(result.text().contains("puzzle              step 1              step 2"), result.out());
        assertTrue(result.text().contains("#: wall, o: path, *: changed by this step"), result.out());
        String piped = withInput(
                        MAZE.getBytes(StandardCharsets.UTF_8), mazes, "--file", "-", "--steps", 3, "--device", "cpu")
                .assertDone()
                .out();
        assertTrue(result.err().endsWith(piped), result.err());
    }

    /** As for a Sudoku; the rules choose, too. */
    @Test
    void mazeBySeveralTries() throws IOException {
        Path text = file("maze.txt", MAZE);
        JsonNode json = solve(mazes, "--file", text, "--steps", 2, "--breadth", 4, "--choose", "rules", "--json")
                .assertDone()
                .json();
        assertEquals(2, json.get("steps").asInt());
    }

    /** '/' stands for a line break; the rest is in MazeTextTest. */
    @ParameterizedTest
    @CsvSource(
            ignoreLeadingAndTrailingWhitespace = false,
            delimiter = '|',
            value = {
                "S  / #/  G|:2: found 2 characters, expected 3 as in the first line",
                "S  / # /S G|: found a start 'S' in row 1, column 1 and in row 3, column 1, expected one",
                "S  / # /   |: found no goal 'G', expected one",
                "S  / x /  G|:2: character 2: found 'x', expected '#', ' ', 'S' or 'G'",
                "|: found nothing, expected a Sudoku (digits, '.'), a maze ('#', ' ', 'S', 'G') or an ARC task (JSON)",
                "hello|: found 'hello', expected a Sudoku",
                "1..4.2....3.3..|: found 15 cells, expected 16, 36 or 81",
            })
    void badText(String text, String message) throws IOException {
        Path bad = file("bad.txt", text == null ? "" : text.replace('/', '\n'));
        solve(mazes, "--file", bad).assertFails(1, bad + message);
    }

    @Test
    void filesThatAreNone() throws IOException {
        Path missing = temp.resolve("missing.txt");
        solve(mazes, "--file", missing).assertFails(1, missing + ": file not found");
        Path pdf = file("maze.pdf", "%PDF-1.7");
        solve(mazes, "--file", pdf).assertFails(1, pdf + ": found a file of the kind pdf, expected a Sudoku");
        Path bytes = Files.write(temp.resolve("bytes.txt"), new byte[] {'#', (byte) 0xff, 'S'});
        solve(mazes, "--file", bytes).assertFails(1, bytes + ": found bytes that are no text in UTF-8");
        solve(mazes).assertFails(2, "expected a puzzle: --puzzle STRING, a Sudoku, or --file FILE");
        solve(mazes, "--puzzle", ".".repeat(16), "--file", missing)
                .assertFails(2, "found both --puzzle and --file, expected one of them");
    }

    // ---- which model ----

    @Test
    void puzzlesOfAnotherKindOrSize() throws IOException {
        Path nine =
                file("nine.txt", ("S" + " ".repeat(8)).concat("\n") + (" ".repeat(9) + "\n").repeat(7) + "        G\n");
        solve(mazes, "--file", nine)
                .assertFails(2, nine + ": a maze of 9 x 9, but " + mazes, " was trained on maze 8 x 8");
        solve(mazes, "--puzzle", ".".repeat(16))
                .assertFails(2, "--puzzle: a sudoku of 4 x 4, but " + mazes, " was trained on maze 8 x 8");
        Path four = file("four.txt", "S   \n    \n    \n   G\n"); // of a vocabulary and size that the Sudokus have, too
        solve(sudokus, "--file", four)
                .assertFails(2, four + ": a maze of 4 x 4, but " + sudokus, " was trained on sudoku 4 x 4");
        solve(sudokus, "--file", TASKS, "--task", "66e6c45b")
                .assertFails(2, TASKS + ": an ARC task, but " + sudokus, " was trained on sudoku 4 x 4");
        solve(arc, "--puzzle", ".".repeat(16))
                .assertFails(2, "--puzzle: a sudoku of 4 x 4, but " + arc, " was trained on arc 30 x 30");
        Path board = file("board.txt", "1..4\n.2..\n..3.\n3..2\n");
        solve(sudokus, "--file", board, "--steps", 1, "--device", "cpu").assertDone();
    }

    @Test
    void noBundledModelFits() throws IOException {
        Path maze = file("maze.txt", MAZE);
        solve("--file", maze)
                .assertFails(
                        1,
                        "no bundled model fits a maze of 8 x 8: there are sudoku-4x4 (sudoku, side 4), ",
                        "trm data maze --generate 2000 --test-size 200 --size 8",
                        "trm train configs/cpu/maze-small.yaml");
        solve("--file", TASKS, "--task", "66e6c45b")
                .assertFails(1, "no bundled model fits an ARC task: ", "trm train configs/cpu/arc-small.yaml");
        assertTrue(Files.isRegularFile(Path.of("configs/cpu/maze-small.yaml")));
    }

    // ---- ARC ----

    @Test
    void arcTask() throws IOException {
        Path submission = temp.resolve("submission.json");
        Trm.Result result = solve(
                        arc,
                        "--file",
                        TASKS,
                        "--task",
                        "6ea4a07e",
                        "--augmentations",
                        3,
                        "--adapt-steps",
                        20,
                        "--submission",
                        submission,
                        "--json",
                        "--device",
                        "cpu")
                .assertDone();
        JsonNode json = result.json();
        assertEquals("6ea4a07e", json.get("task").asText());
        assertEquals(4, json.get("copies").asInt());
        assertEquals(20, json.get("adapt_steps").asInt());
        assertTrue(json.get("loss_after").asDouble() < json.get("loss_before").asDouble(), json.toString());
        assertEquals(2, json.get("tests").size());
        JsonNode written = new ObjectMapper().readTree(submission.toFile()).get("6ea4a07e");
        for (int i = 0; i < 2; i++) {
            JsonNode test = json.get("tests").get(i);
            assertEquals(0, test.get("right").asInt(), "so small a model is right by chance");
            assertEquals(
                    written.get(i).get("attempt_1"), test.get("attempts").get(0).get("grid"));
            int votes = 0;
            for (JsonNode attempt : test.get("attempts")) {
                votes += attempt.get("votes").asInt();
            }
            assertTrue(votes >= 1 && votes <= 4, test.toString());
        }
        String out = result.text();
        assertTrue(out.contains("task 6ea4a07e: 6 demonstrations, 2 test inputs; itself and 3 augmented copies"), out);
        assertTrue(out.contains("to 24 examples, weights frozen: 20 steps of 4 lanes, from a rate of 1.0"), out);
        assertTrue(out.contains("loss of 4 of the examples, after 2 supervision steps: "), out);
        assertTrue(out.contains("test input 2 of 2, as it is:\ninput         step 1"), out);
        assertTrue(out.contains("4 votes for "), out);
        assertTrue(out.contains("solution\n") && out.contains("not solved: neither attempt is the solution"), out);
        assertTrue(result.err().contains("  step 20 of 20  loss "), result.err());
    }

    /** One task a file, gzip or not, or on standard input; the same answer, and nothing is left behind. */
    @Test
    void formsOfATask() throws IOException {
        String task =
                new ObjectMapper().readTree(TASKS.toFile()).get("66e6c45b").toString();
        Path plain = file("66e6c45b.json", task);
        Path packed = temp.resolve("66e6c45b.json.gz");
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(packed))) {
            out.write(task.getBytes(StandardCharsets.UTF_8));
        }
        Object[] options = {"--augmentations", 1, "--adapt-steps", 2, "--steps", 1, "--json", "--device", "cpu"};
        long before = temporary();
        JsonNode expected =
                solve(with(options, arc, "--file", plain)).assertDone().json();
        assertEquals(before, temporary());
        assertTrue(expected.get("tests").get(0).get("right").isNull(), expected.toString());
        JsonNode unpacked =
                solve(with(options, arc, "--file", packed)).assertDone().json();
        assertEquals(expected.get("tests"), unpacked.get("tests"));
        assertEquals("66e6c45b", unpacked.get("task").asText());
        Trm.Result piped = withInput(task.getBytes(StandardCharsets.UTF_8), with(options, arc, "--file", "-"));
        assertEquals(expected.get("tests"), piped.assertDone().json().get("tests"));
        assertTrue(piped.text().contains("the file holds no solution of it"), piped.out());
        JsonNode none = solve(arc, "--file", plain, "--augmentations", 0, "--adapt-steps", 0, "--json")
                .assertDone()
                .json();
        assertEquals(0, none.get("adapt_steps").asInt());
        assertEquals(none.get("loss_before"), none.get("loss_after"));
    }

    private static Object[] with(Object[] options, Object... first) {
        return Stream.concat(Stream.of(first), Stream.of(options)).toArray();
    }

    private static long temporary() throws IOException {
        try (Stream<Path> files = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
            return files.filter(file -> file.getFileName().toString().startsWith("trm-solve-"))
                    .count();
        }
    }

    private static String task(String train, String test) {
        return "{\"train\": [" + train + "], \"test\": [" + test + "]}";
    }

    @Test
    void badTasks() throws IOException {
        String pair = "{\"input\": [[1]], \"output\": [[2]]}";
        String row = "[" + "0, ".repeat(30) + "0]";
        String[][] faults = {
            {task("", pair), ": train: found [], expected a list of pairs"},
            {task(pair, ""), ": test: found [], expected a list of pairs"},
            {"{\"test\": [" + pair + "]}", ": found the keys ['test'], expected 'train' and 'test'"},
            {"{\"train\": [" + pair + "]}", ": found the keys ['train'], expected 'train' and 'test'"},
            {
                task(pair, "{\"input\": [" + row + "]}"),
                ": test pair 1: input: found [[0,0",
                "expected 1 .. 30 rows of 1 .. 30"
            },
            {
                task(pair, "{\"input\": [[10]]}"),
                ": test pair 1: input: row 1, column 1: found 10, expected a colour 0 .. 9"
            },
            {task(pair, "{\"input\": [[1], [1, 2]]}"), ": test pair 1: input: row 2: found [1,2], expected 1 colours"},
            {"not JSON", ": not valid JSON: "},
            {"{\"train\": [", ": not valid JSON: "},
            {"[]", ": found [], expected 'train' and 'test'"},
        };
        for (String[] fault : faults) {
            Path bad = file("bad.json", fault[0]);
            solve(arc, "--file", bad).assertFails(1, bad + fault[1], fault[fault.length - 1]);
        }
        solve(arc, "--file", TASKS)
                .assertFails(
                        1, TASKS + ": found 2 tasks, the first '", "expected the name of one of them: --task NAME");
        solve(arc, "--file", TASKS, "--task", "no")
                .assertFails(1, TASKS + ": task 'no': found no task of this name, expected one of 2, the first '");
        Path single = file("one.json", task(pair, pair));
        solve(arc, "--file", single, "--task", "one")
                .assertFails(1, single + ": found one task, expected several, as there is --task 'one'");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--augmentations -1 | --augmentations -1: expected at least 0",
                "--augmentations 5000 | --augmentations 5000: expected at most 4096",
                "--adapt-steps 20000 | --adapt-steps 20000: expected at most 10000",
                "--adapt-lr NaN | --adapt-lr NaN: expected a number from 0 on",
                "--adapt-seconds -1 | --adapt-seconds -1.0: expected a number from 0 on",
                "--steps 0 | --steps 0: expected at least 1",
                "--breadth 2 | --breadth, --noise or --choose with an ARC task: the answers to its copies vote",
                "--choose halt | --breadth, --noise or --choose with an ARC task",
                "--seed 4294967296 | --seed 4294967296: expected at most 4294967295",
            })
    void wrongUsage(String options, String message) {
        solve(with(options.split(" "), arc, "--file", TASKS, "--task", "66e6c45b"))
                .assertFails(2, message);
    }

    @Test
    void optionsOfArcAlone() throws IOException {
        Path maze = file("maze.txt", MAZE);
        for (String option : List.of(
                "--augmentations", "--adapt-steps", "--adapt-lr", "--adapt-seconds", "--submission", "--task")) {
            solve(mazes, "--file", maze, option, "1")
                    .assertFails(2, option + " is for an ARC task; found a maze of 8 x 8, expected no such option");
        }
    }

    /** A model without puzzle vectors has nothing to adapt. */
    @Test
    void arcWithoutVectors() throws IOException {
        Path run = train(
                "vectorless",
                GOLDEN.resolve("arc_tiny/expected"),
                "arch.mlp_t=false",
                "arch.pos_encodings=rope",
                "arch.hidden_size=8",
                "arch.num_heads=1",
                "arch.expansion=1",
                "arch.H_cycles=1",
                "arch.L_cycles=1",
                "arch.halt_max_steps=1",
                "eval_puzzles=4",
                "max_steps=1");
        Trm.Result result = solve(run, "--file", TASKS, "--task", "66e6c45b", "--device", "cpu");
        result.assertFails(1, ": its model has no puzzle vectors (puzzle_emb_ndim is 0), expected some to adapt");
        assertFalse(result.text().contains("adapting"), result.out());
    }
}
