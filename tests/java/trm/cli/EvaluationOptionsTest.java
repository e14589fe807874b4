package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.sudoku.MiniSudokuBuilder;

/** Adaptive evaluation, tries and votes on the command line; what they compute is the matter of EvaluationsTest. */
class EvaluationOptionsTest {
    private static final Path MAZES = Path.of("tests/golden/datasets/maze_small/expected");
    private static final String PUZZLE = "1..4.2....3.3..2";

    @TempDir
    private static Path temp;

    private static Path run;

    @BeforeAll
    static void train() throws IOException {
        MiniSudokuBuilder.build(temp.resolve("data"), 4, 64, 20, 1, 8);
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), temp.resolve("data"));
        run = temp.resolve("run");
        Trm.execute("train", config, "epochs=40", "lr=5e-3", "lr_warmup_steps=5", "--run", run, "--device", "cpu")
                .assertDone();
    }

    private static Trm.Result eval(String options) {
        List<Object> args = new ArrayList<>(List.of("eval", run, "--device", "cpu", "--json"));
        args.addAll(List.of(options.split(" ")));
        return Trm.execute(args.toArray());
    }

    /** {@code memory} holds for evaluations, too. */
    @Test
    void memoryIsObeyed() throws IOException {
        Path yaml = run.resolve("config.yaml");
        Path limited = temp.resolve("limited.yaml");
        Files.writeString(limited, Files.readString(yaml).replace("memory: auto", "memory: 30kB"));
        eval("--config " + limited).assertFails(1, "memory may be 30000 bytes, and ", "no room for ");
        Trm.execute("solve", run, "--puzzle", PUZZLE, "--config", limited, "--device", "cpu")
                .assertFails(1, "memory may be 30000 bytes");
        Files.writeString(limited, Files.readString(yaml).replace("memory: auto", "memory: 30MB"));
        eval("--config " + limited).assertDone();
    }

    @ParameterizedTest
    @CsvSource({
        "--steps,2000000000,65536",
        "--batch,2000000000,1048576",
        "--breadth,2000000000,4096",
        "--vote,2000000000,4096",
    })
    void beyondAllMeasure(String option, String value, String most) {
        eval(option + " " + value).assertFails(2, option + " " + value + ": expected at most " + most);
    }

    /** All but the time that it took. */
    private static JsonNode json(String options) throws IOException {
        ObjectNode json = (ObjectNode) eval(options).assertDone().json();
        json.remove("seconds");
        return json;
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--adaptive",
                "--breadth 3",
                "--breadth 3 --choose halt --noise 0.2",
                "--breadth 2 --vote 3 --choose change",
                "--breadth 2 --vote 3 --choose first",
                "--vote 4 --choose rules",
                "--vote 4 --limit 13"
            })
    void sameForAnyBatch(String options) throws IOException {
        JsonNode one = json(options + " --batch 1");
        assertEquals(one, json(options + " --batch 7"));
        assertEquals(one, json(options));
        assertEquals(options.contains("13") ? 13 : 20, one.get("puzzles").asInt());
        assertEquals(3, one.get("steps").asInt());
        assertTrue(one.get("mean_steps").asDouble() <= 3);
        double exact = one.get("exact_accuracy").asDouble();
        assertTrue(one.get("exact_accuracy_low").asDouble() <= exact);
        assertTrue(one.get("exact_accuracy_high").asDouble() >= exact);
        assertTrue(one.get("valid").asDouble() >= exact, "what is exact keeps the rules");
    }

    /** Options that change nothing where there is a single try, and ones that do. */
    @Test
    void whatAnOptionChanges() throws IOException {
        JsonNode plain = json("--steps 4");
        assertEquals(plain, json("--steps 4 --choose halt --seed 3"));
        assertNotEquals(plain, json("--steps 4 --breadth 5"));
        assertNotEquals(json("--steps 4 --breadth 5"), json("--steps 4 --breadth 5 --seed 1"));
        assertNotEquals(plain, json("--steps 4 --vote 5"));
        assertNotEquals(plain, json("--steps 4 --noise 0.5"));
    }

    /** Answers that keep the rules are right, as these puzzles have one solution; what chooses by them is told apart. */
    @Test
    void choiceByRules() throws IOException {
        JsonNode halt = json("--vote 8 --breadth 3 --choose halt");
        ObjectNode rules = (ObjectNode) json("--vote 8 --breadth 3 --choose rules");
        double exact = rules.remove("exact_accuracy_by_rules").asDouble();
        assertTrue(exact >= halt.get("exact_accuracy").asDouble());
        assertTrue(rules.remove("exact_accuracy_by_rules_low").asDouble() <= exact);
        assertTrue(rules.remove("exact_accuracy_by_rules_high").asDouble() >= exact);
        assertEquals(halt, rules, "the score of what the model itself chooses");
        String out = eval("--vote 3 --choose rules").assertDone().text();
        assertTrue(
                out.contains("\n  of the same tries, those that keep the puzzle's rules first: exact accuracy "), out);
        assertTrue(json("--vote 8 --choose first").get("mean_steps").asDouble() <= 3);
        Path arc = Path.of("tests/golden/datasets/arc_tiny/expected");
        eval("--breadth 2 --choose rules --data " + arc)
                .assertFails(
                        2, "--choose rules: " + arc + ": found puzzles of the kind 'arc', expected Sudokus or mazes");
    }

    @Test
    void line() {
        String line = eval("--adaptive").assertDone().text();
        assertTrue(line.contains("evaluating 20 puzzles of ") && line.contains(", split test\n"), line);
        assertTrue(line.contains(" steps of at most 3, accuracy 0."), line);
        assertTrue(line.contains(" (95 %: 0."), line);
        assertTrue(line.contains(", valid 0."), line);
    }

    /** Every puzzle is in one row of each table, and those solved sum up to the share of all. */
    @ParameterizedTest
    @CsvSource({"sudoku, sudoku_tiny, 2", "maze, maze_small, 2"})
    void tables(String command, String golden, int tables) throws IOException {
        Path input = Path.of("tests/golden/datasets", golden, "input");
        Path data = temp.resolve(golden);
        Trm.execute(
                        "data",
                        command,
                        "--train",
                        input.resolve("train.csv"),
                        "--test",
                        input.resolve("test.csv"),
                        "--out",
                        data)
                .assertDone();
        Path config = Trm.tinyConfig(temp.resolve(golden + ".yaml"), data);
        Path trained = temp.resolve(golden + "-run");
        Trm.execute("train", config, "global_batch_size=4", "max_steps=1", "--run", trained, "--device", "cpu")
                .assertDone();
        Trm.Result result = Trm.execute("eval", trained, "--json", "--device", "cpu");
        JsonNode json = result.assertDone().json();
        int found = 0;
        for (String by : List.of("source", "rating", "path_length")) {
            if (json.has("by_" + by)) {
                found++;
                int puzzles = 0;
                int exact = 0;
                for (JsonNode row : json.get("by_" + by)) {
                    puzzles += row.get("puzzles").asInt();
                    exact += row.get("exact").asInt();
                    assertTrue(row.get("exact_accuracy_low").asDouble()
                            <= row.get("exact_accuracy_high").asDouble());
                    assertTrue(result.text().contains("\n" + row.get("name").asText() + " "), result.out());
                }
                assertEquals(json.get("puzzles").asInt(), puzzles);
                assertEquals(json.get("exact_accuracy").asDouble() * puzzles, exact, 1e-9);
                assertTrue(result.text().contains("\nby " + by.replace('_', ' ')), result.out());
            }
        }
        assertEquals(tables, found);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--breadth 0 | --breadth 0: expected at least 1",
                "--vote 0 | --vote 0: expected at least 1",
                "--seed -1 | --seed -1: expected at least 0",
                "--noise -0.5 | --noise -0.5: expected a number from 0 on",
                "--noise NaN | --noise NaN: expected a number from 0 on",
                "--choose best | --choose best: expected halt, change, majority, first or rules",
                "--choose first | --choose first: expected several tries to choose from: --breadth B or --vote N",
                "--choose rules --noise 1 | --choose rules: expected several tries to choose from",
                "--adaptive --breadth 2 | --adaptive with --breadth, --noise or --vote: ",
                "--adaptive --vote 2 | --adaptive with --breadth, --noise or --vote: ",
                "--adaptive --noise 1 | --adaptive with --breadth, --noise or --vote: ",
            })
    void wrongUsage(String options, String message) {
        eval(options).assertFails(2, message);
    }

    @Test
    void votesNeedSymmetries() {
        eval("--vote 9 --data " + MAZES).assertFails(2, "--vote 9: " + MAZES + ": mazes have 8 symmetries, not 9");
        Path arc = Path.of("tests/golden/datasets/arc_tiny/expected");
        eval("--vote 2 --data " + arc)
                .assertFails(2, "--vote 2: " + arc + ": found neither Sudokus nor mazes, expected one of them");
    }

    @Test
    void solveByTries() throws IOException {
        JsonNode one = solve();
        JsonNode chosen = solve("--breadth", 6, "--choose", "halt");
        assertEquals(3, chosen.get("halt_probability").size());
        assertTrue(chosen.get("halt_probability").get(2).asDouble()
                >= one.get("halt_probability").get(2).asDouble());
        assertNotEquals(
                solve("--noise", 1).get("halt_probability"),
                solve("--noise", 1, "--seed", 1).get("halt_probability"));
        JsonNode first = solve("--breadth", 6, "--choose", "first");
        int steps = first.get("steps").asInt();
        assertEquals(steps, first.get("halt_probability").size());
        assertTrue(steps == 3 || first.get("halt_probability").get(steps - 1).asDouble() > 0.5);
        assertEquals(3, solve("--breadth", 6, "--choose", "rules").get("steps").asInt());
        Trm.execute("solve", run, "--puzzle", PUZZLE, "--choose", "first")
                .assertFails(2, "--choose first: expected several tries to choose from: --breadth B");
        Trm.execute("solve", run, "--puzzle", PUZZLE, "--breadth", 0)
                .assertFails(2, "--breadth 0: expected at least 1");
    }

    private static JsonNode solve(Object... more) throws IOException {
        List<Object> args = new ArrayList<>(List.of("solve", run, "--puzzle", PUZZLE, "--steps", 3, "--json"));
        args.addAll(List.of(more));
        return Trm.execute(args.toArray()).assertDone().json();
    }
}
