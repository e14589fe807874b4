package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.LatinSquares;
import trm.data.format.Npy;
import trm.data.sudoku.MiniSudokuBuilder;

/** Own puzzles through {@code trm solve}, by a model that knows little: in whatever way they come, the answers are the same. */
class SolveOwnPuzzlesTest {
    @TempDir
    private static Path shared;

    private static Path csv;
    private static Path data;
    private static Path run;
    private static List<String> questions;

    @TempDir
    private Path temp;

    @BeforeAll
    static void train() throws IOException {
        csv = Files.writeString(shared.resolve("latin.csv"), LatinSquares.csv(4, 6, 60, 3));
        questions = Files.readAllLines(csv).stream()
                .skip(1)
                .map(line -> line.substring(0, 16))
                .toList();
        data = shared.resolve("data");
        Trm.execute("data", "csv", "--train", csv, "--test", csv, "--out", data).assertDone();
        run = run("run", data);
    }

    private static Path run(String name, Path folder) throws IOException {
        Path config = Trm.tinyConfig(shared.resolve(name + ".yaml"), folder);
        Path made = shared.resolve(name);
        Trm.execute("train", config, "max_steps=2", "eval_interval=null", "--run", made, "--device", "cpu")
                .assertDone();
        return made;
    }

    private static Trm.Result solve(Object... args) {
        List<Object> all = new ArrayList<>(List.of("solve"));
        all.addAll(List.of(args));
        all.addAll(List.of("--device", "cpu", "--steps", 2, "--json"));
        return Trm.execute(all.toArray());
    }

    private Path file(String name, String text) throws IOException {
        return Files.writeString(temp.resolve(name), text);
    }

    @Test
    void drawnInTheAuthorsLetters() throws IOException {
        Trm.Result result = solve(run, "--puzzle", questions.get(0)).assertDone();
        String[] lines =
                result.err().substring(result.err().indexOf("\n" + run) + 1).split("\n");
        StringBuilder drawn = new StringBuilder();
        for (int row = 5; row < 9; row++) {
            drawn.append(lines[row].substring(0, 8).replace(" ", ""));
        }
        assertEquals(questions.get(0), drawn.toString(), result.out());
        JsonNode json = result.json();
        assertEquals("own", json.get("kind").asText());
        assertEquals(questions.get(0), json.get("puzzle").asText());
        assertTrue(json.get("answer").asText().matches("[ .ABCD]{16}"), json.toString());
        assertTrue(result.text().contains("\nanswer  " + json.get("answer").asText() + "\n"), result.out());
        assertFalse(json.has("legal") || json.has("exact"));
        JsonNode all = Trm.execute("solve", run, "--row", 0, "--json", "--device", "cpu")
                .assertDone()
                .json();
        assertEquals(3, all.get("steps").asInt(), "halt_max_steps");
    }

    /** Rows of the data set, a table, a list, boards on lines of their own, standard input. */
    @Test
    void manyAtOnce() throws IOException {
        List<JsonNode> rows = puzzles(solve(run, "--row", "0,1,2"));
        assertEquals("test example 1", rows.get(1).get("name").asText());
        String board = questions.get(2).replaceAll("(....)", "$1\n");
        String table = "question\n" + String.join("\n", questions.subList(0, 3)) + "\n";
        String list = questions.get(0) + "\n\n" + questions.get(1) + "\n" + board;
        InputStream before = System.in;
        System.setIn(new ByteArrayInputStream(list.getBytes(StandardCharsets.UTF_8)));
        List<JsonNode> piped;
        try {
            piped = puzzles(solve(run, "--file", "-"));
        } finally {
            System.setIn(before);
        }
        List<JsonNode> tabled = puzzles(solve(run, "--file", file("t.csv", table)));
        List<JsonNode> listed = puzzles(solve(run, "--file", file("l.txt", list)));
        List<JsonNode> answered = puzzles(solve(run, "--file", csv)).subList(0, 3);
        for (int i = 0; i < 3; i++) {
            JsonNode alone =
                    solve(run, "--puzzle", questions.get(i)).assertDone().json();
            for (List<JsonNode> many : List.of(rows, piped, tabled, listed, answered)) {
                for (String key : List.of("puzzle", "answer", "halt_probability", "steps")) {
                    assertEquals(alone.get(key), many.get(i).get(key), key);
                }
            }
            assertFalse(tabled.get(i).has("exact"));
            boolean exact = answered.get(i).get("label").equals(answered.get(i).get("answer"));
            assertEquals(exact, answered.get(i).get("exact").asBoolean());
            assertEquals(rows.get(i).get("label"), answered.get(i).get("label"));
        }
        assertEquals(temp.resolve("l.txt") + ":4", listed.get(2).get("name").asText());
    }

    private static List<JsonNode> puzzles(Trm.Result result) throws IOException {
        List<JsonNode> puzzles = new ArrayList<>();
        result.assertDone().json().get("puzzles").forEach(puzzles::add);
        return puzzles;
    }

    /** '/' stands for a line break. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "ABCDABCDABCDABCQ | :1: character 16: found 'Q', expected one of '.ABCD'",
                "ABCDABCDABCDABC | :1: found 15 cells, expected 16, or 4 a line",
                "ABCD/ABCD/ABCD | found part of a puzzle at its end, expected puzzles of 4 x 4 cells",
                "ABCD/ABCDABCDABCDABCD | :2: found 16 cells, expected 16, or 4 a line",
                "/ | found no puzzle, expected puzzles of 4 x 4 cells",
                "question/ABCD | t.txt:2: question: found 4 cells, expected 16 (4 x 4)",
                "question,answer/ABCDABCDABCDABCD,ABCDABCDABCDABC1 | t.txt:2: answer: character 16: found '1', expected one of '.ABCD'",
                "[{\"question\": [[1, 2], [3, 4]]}] | question: found numbers for cells, expected one of '.ABCD'",
            })
    void badFile(String text, String message) throws IOException {
        solve(run, "--file", file("t.txt", text.replace('/', '\n'))).assertFails(1, "t.txt", message.strip());
    }

    @Test
    void badUse() {
        solve(run, "--puzzle", "1..4.2....3.3..2")
                .assertFails(2, "--puzzle: character 1: found '1', expected one of '.ABCD'");
        solve(run, "--puzzle", "ABCD").assertFails(2, "--puzzle: found 4 cells, expected 16 (4 x 4)");
        solve(run, "--row", "60").assertFails(2, "--row 60: expected 0 .. 59, the examples of ", "(test)");
        solve(run, "--row", "0", "--puzzle", "A").assertFails(2, "found both --puzzle and --row, expected one of them");
        solve("--row", "0").assertFails(2, "--row: expected a run or checkpoint to ask, too");
        solve(run, "--row", "0", "--split", "all").assertFails(2, "--split all: expected train or test");
        solve(run, "--row", "0", "--breadth", 2, "--choose", "rules")
                .assertFails(2, "--choose rules: found a puzzle of 4 x 4, expected Sudokus or mazes");
        solve(run, "--row", "0", "--data", "tests/golden/datasets/arc_tiny/expected")
                .assertFails(2, "holds ARC tasks, expected boards");
        solve(run, "--row", "0", "--data", "tests/golden/datasets/maze_small/expected")
                .assertFails(2, "--row: a maze of 8 x 8, but ", " was trained on ");
    }

    /** Folders of earlier versions do not say how their puzzles are written: digits, with one message. */
    @Test
    void digitsWhereNothingIsSaid() throws IOException {
        Path older = Trm.copy(data, temp.resolve("older"));
        Files.delete(older.resolve("puzzle.json"));
        String digits = questions.get(0).replace('.', '0').replace('A', '1').replace('B', '2');
        digits = digits.replace('C', '3').replace('D', '4');
        for (Trm.Result result : List.of(
                solve(run, "--data", older, "--row", "0,1"),
                Trm.execute("data", "inspect", older),
                Trm.execute(
                        "eval", run, "--data", older, "--device", "cpu", "--predictions", temp.resolve("older.csv")))) {
            result.assertDone();
            String note = older + ": no puzzle.json says how its puzzles are written: each cell is shown as a digit";
            assertEquals(
                    1,
                    result.err().lines().filter(line -> line.startsWith(note)).count(),
                    result.err());
        }
        JsonNode row = puzzles(solve(run, "--data", older, "--row", "0,1")).get(0);
        assertEquals(digits, row.get("puzzle").asText());
        JsonNode typed =
                solve(run, "--data", older, "--puzzle", digits).assertDone().json();
        assertEquals(row.get("answer"), typed.get("answer"));
        String lettered = solve(run, "--puzzle", questions.get(0))
                .assertDone()
                .json()
                .get("answer")
                .asText();
        assertEquals(
                lettered.replace('.', '0')
                        .replace('A', '1')
                        .replace('B', '2')
                        .replace('C', '3')
                        .replace('D', '4'),
                typed.get("answer").asText());
        assertTrue(Files.readString(temp.resolve("older.csv")).contains("," + digits + ","));
        solve(run, "--row", "0").assertDone();
        assertFalse(solve(run, "--row", "0").err().contains("puzzle.json"));
    }

    /** Numbers are read and drawn as numbers, in columns as wide as the widest. */
    @Test
    void numbers() throws IOException {
        Path json = file("n.json", "[{\"question\": [[0, 11, 2], [7, 0, 0]], \"answer\": [[1, 11, 2], [7, 8, 9]]}]");
        Path folder = temp.resolve("numbers");
        Trm.execute("data", "csv", "--train", json, "--test", json, "--out", folder)
                .assertDone();
        String inspected = Trm.execute("data", "inspect", folder).assertDone().out();
        assertTrue(inspected.contains("\n 0 11  2      1 11  2\n 7  0  0      7  8  9\n"), inspected);
        Path config = Trm.tinyConfig(temp.resolve("n.yaml"), folder);
        Trm.execute(
                        "train",
                        config,
                        "global_batch_size=1",
                        "max_steps=1",
                        "--run",
                        temp.resolve("n"),
                        "--device",
                        "cpu")
                .assertDone();
        Trm.Result solved = solve(temp.resolve("n"), "--puzzle", "0 11 2 7 0 0").assertDone();
        assertTrue(solved.text().contains("\n 0 11  2 "), solved.text());
        assertEquals("0 11 2 7 0 0", solved.json().get("puzzle").asText());
        assertEquals(
                solved.json().get("answer"),
                solve(temp.resolve("n"), "--file", json).assertDone().json().get("answer"));
        solve(temp.resolve("n"), "--puzzle", "0 12 2 7 0 0")
                .assertFails(2, "--puzzle: number 2: found '12', expected 0 .. 11");
    }

    /** Tokens of other folders must stand for the symbols that the model was trained on. */
    @Test
    void otherSymbols() throws IOException {
        Path other = temp.resolve("other");
        Trm.execute("data", "csv", "--train", csv, "--test", csv, "--alphabet", "ABCD.", "--out", other)
                .assertDone();
        String message = other + ": found cells that are one of 'ABCD.', expected one of '.ABCD' as in " + data;
        Trm.execute("eval", run, "--data", other, "--device", "cpu").assertFails(1, message);
        solve(run, "--data", other, "--row", 0).assertFails(1, message);
        Path same = temp.resolve("same");
        Trm.execute("data", "csv", "--train", csv, "--test", csv, "--board", "2x8", "--out", same)
                .assertDone();
        Trm.execute("eval", run, "--data", same, "--device", "cpu").assertDone();
    }

    /** A row with a vector that the model does not have. */
    @Test
    void otherIdentifiers() throws IOException {
        Path other = Trm.copy(data, temp.resolve("identified"));
        for (String split : List.of("train", "test")) {
            int[] identifiers = new int[60];
            identifiers[1] = 1;
            Npy.write(other.resolve(split + "/all__puzzle_identifiers.npy"), new int[] {60}, identifiers);
            Path info = other.resolve(split + "/dataset.json");
            Files.writeString(
                    info,
                    Files.readString(info).replace("\"num_puzzle_identifiers\": 1", "\"num_puzzle_identifiers\": 2"));
        }
        solve(run, "--data", other, "--row", 0).assertDone();
        solve(run, "--data", other, "--row", 1)
                .assertFails(1, "test example 1: found puzzle identifier 1, expected below 1, as ");
    }

    /** Symmetries that the author names make votes and fresh copies, as those of Sudokus do. */
    @Test
    void symmetriesThatAreNamed() throws IOException {
        Path folder = temp.resolve("symmetric");
        Object[] named = {"--square", "--permute", "ABCD", "--aug", 2, "--compact"};
        Trm.execute(Stream.concat(
                                Stream.of("data", "csv", "--train", csv, "--hold-out", "0.3", "--out", folder),
                                Stream.of(named))
                        .toArray())
                .assertDone();
        Path made = temp.resolve("fresh");
        Path config = Trm.tinyConfig(temp.resolve("f.yaml"), folder);
        Trm.execute("train", config, "augment=fresh", "max_steps=2", "--run", made, "--device", "cpu")
                .assertDone();
        Trm.execute("eval", made, "--vote", 5, "--device", "cpu").assertDone();
        Trm.execute("eval", run, "--vote", 5, "--device", "cpu")
                .assertFails(
                        2, "--vote 5: ", "found puzzles with 1 symmetry, the identity included, expected at least 5");
    }

    @Test
    void badSplit() {
        for (String[] bad : new String[][] {
            {"--out x", "expected puzzles to test on: --test FILE or --hold-out SHARE"},
            {"--out x --hold-out 1", "--hold-out 1.0: expected a share between 0 and 1"},
            {"--out x --hold-out 0.1 --test " + csv, "found both --test and --hold-out, expected one of them"},
            {"--out x --hold-out 0.1 --compact", "--compact: expected --aug N too: there is nothing to save"},
            {"--out x --hold-out 0.1 --board 4", "--board 4: expected ROWSxCOLUMNS, as 5x5"},
            {"--out x --hold-out 0.1 --aug -1", "--aug -1: expected at least 0"},
        }) {
            Trm.execute(Stream.of(("data csv --train " + csv + " " + bad[0]).split(" "))
                            .toArray(Object[]::new))
                    .assertFails(2, bad[1]);
        }
    }

    /** The rows of known kinds are drawn and judged as such. */
    @Test
    void rowsOfSudokus() throws IOException {
        Path folder = temp.resolve("sudoku");
        MiniSudokuBuilder.build(folder, 4, 16, 4, 1, 8);
        Path made = temp.resolve("srun");
        Trm.execute(
                        "train",
                        Trm.tinyConfig(temp.resolve("s.yaml"), folder),
                        "max_steps=1",
                        "--run",
                        made,
                        "--device",
                        "cpu")
                .assertDone();
        JsonNode row = solve(made, "--row", "3").assertDone().json();
        assertEquals("sudoku", row.get("kind").asText());
        assertTrue(row.has("legal"));
        JsonNode typed =
                solve(made, "--puzzle", row.get("puzzle").asText()).assertDone().json();
        assertEquals(typed.get("answer"), row.get("answer"));
        assertEquals(
                Stream.of("label", "exact").toList(),
                Stream.of("label", "exact").filter(row::has).toList());
    }
}
