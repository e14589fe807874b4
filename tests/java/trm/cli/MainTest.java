package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import trm.data.MiniSudokuBuilder;

/** Exit codes and messages, with the run of a tiny model. */
class MainTest {
    @TempDir
    private static Path temp;

    private static Path config;
    private static Path run;

    private record Result(int code, String out, String err) {
        void assertFails(int expected, String... parts) {
            assertEquals(expected, code, err);
            for (String part : parts) {
                assertTrue(err.contains(part), "no '" + part + "' in: " + err);
            }
            assertTrue(!err.contains("internal error") && !err.contains("\tat "), err);
        }
    }

    private static Result execute(String... args) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream newOut = new ByteArrayOutputStream();
        ByteArrayOutputStream newErr = new ByteArrayOutputStream();
        try {
            System.setOut(new PrintStream(newOut, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(newErr, true, StandardCharsets.UTF_8));
            int code = Main.execute(args);
            System.out.flush();
            System.err.flush();
            return new Result(code, newOut.toString(StandardCharsets.UTF_8), newErr.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
    }

    @BeforeAll
    static void train() throws IOException {
        MiniSudokuBuilder.build(temp.resolve("data"), 4, 64, 20, 1, 8);
        config = temp.resolve("tiny.yaml");
        run = temp.resolve("run");
        Files.writeString(
                config,
                String.join(
                        "\n",
                        "data_paths: ['" + temp.resolve("data") + "']",
                        "arch:",
                        "  hidden_size: 32",
                        "  num_heads: 4",
                        "  mlp_t: true",
                        "  pos_encodings: none",
                        "  H_cycles: 2",
                        "  L_cycles: 2",
                        "  L_layers: 1",
                        "  puzzle_emb_ndim: 0",
                        "  halt_max_steps: 3",
                        "  forward_dtype: float32",
                        "global_batch_size: 16",
                        "epochs: 1",
                        "threads: 2",
                        ""));
        Result result = execute("train", config.toString(), "--run", run.toString(), "--device", "cpu", "--json");
        assertEquals(0, result.code, result.err);
        assertEquals("finished", lastJson(result).get("outcome").asText());
    }

    private static JsonNode lastJson(Result result) throws IOException {
        List<String> lines = result.out.lines().toList();
        return new ObjectMapper().readTree(lines.get(lines.size() - 1));
    }

    @Test
    void unknownCommand() {
        execute("trian").assertFails(2, "trian", "See: trm --help");
    }

    @Test
    void unknownOption() {
        execute("eval", run.toString(), "--splitt", "test").assertFails(2, "--splitt", "eval --help");
    }

    @Test
    void unknownConfigKey() throws IOException {
        execute(
                        "train",
                        config.toString(),
                        "arch.hiden_size=64",
                        "--run",
                        temp.resolve("x").toString())
                .assertFails(2, "hiden_size", "'arch.hidden_size'");
        Path misspelt = temp.resolve("misspelt.yaml");
        Files.writeString(misspelt, Files.readString(config) + "epoch: 3\n");
        execute("train", misspelt.toString(), "--run", temp.resolve("x").toString())
                .assertFails(2, misspelt.toString(), "epoch", "epochs");
        assertTrue(Files.notExists(temp.resolve("x")));
    }

    @Test
    void missingConfigFile() {
        String missing = temp.resolve("missing.yaml").toString();
        execute("train", missing).assertFails(2, missing + ": no such file");
    }

    @Test
    void trainWithoutArguments() {
        execute("train").assertFails(2, "CONFIG.yaml", "--resume");
    }

    @ParameterizedTest
    @ValueSource(strings = {"eval", "solve"})
    void missingRunFolder(String command) {
        String missing = temp.resolve("missing").toString();
        List<String> args = new ArrayList<>(List.of(command, missing));
        if (command.equals("solve")) {
            args.addAll(List.of("--puzzle", "1..4.2....3.3..2"));
        }
        execute(args.toArray(String[]::new)).assertFails(1, missing);
    }

    @Test
    void resumeOfMissingRunFolder() {
        String missing = temp.resolve("missing").toString();
        execute("train", "--resume", missing).assertFails(1, missing, "config.yaml");
        assertTrue(Files.notExists(Path.of(missing)));
    }

    @Test
    void missingDataSet() {
        String missing = temp.resolve("no-data").toString();
        execute("eval", run.toString(), "--data", missing).assertFails(1, missing);
    }

    @Test
    void startingOverARun() {
        execute("train", config.toString(), "--run", run.toString(), "--device", "cpu")
                .assertFails(1, run.toString(), "already holds a run", "--resume");
    }

    @Test
    void resumeOfFinishedRun() throws IOException {
        Result result = execute("train", "--resume", run.toString(), "--json");
        assertEquals(0, result.code, result.err);
        assertEquals("already_finished", lastJson(result).get("outcome").asText());
    }

    @Test
    void cudaIsNamed() {
        String[] device = {"--device", "cuda:0"};
        execute("eval", run.toString(), device[0], device[1]).assertFails(1, "cuda:0", "--device cpu");
        execute("train", config.toString(), "--run", temp.resolve("y").toString(), device[0], device[1])
                .assertFails(1, "cuda:0", "--device cpu");
        assertTrue(Files.notExists(temp.resolve("y")));
        execute("eval", run.toString(), "--device", "tpu").assertFails(1, "'tpu'", "auto, cpu or cuda:N");
    }

    @Test
    void puzzleOfWrongLength() {
        execute("solve", run.toString(), "--puzzle", "1..4.2....3.3..").assertFails(1, "15", "16");
        execute("solve", run.toString(), "--puzzle", ".".repeat(36)).assertFails(1, "36", "16");
    }

    @Test
    void puzzleOfWrongCharacter() {
        execute("solve", run.toString(), "--puzzle", "1..4.2....3.3..7").assertFails(1, "7");
    }

    @Test
    void contradictoryGivens() {
        execute("solve", run.toString(), "--puzzle", "1..1............").assertFails(1, "1", "row");
    }

    @Test
    void solve() throws IOException {
        Result result = execute("solve", run.toString(), "--puzzle", "1..4.2....3.3..2", "--steps", "3", "--json");
        assertEquals(0, result.code, result.err);
        JsonNode json = lastJson(result);
        assertEquals("1..4.2....3.3..2", json.get("puzzle").asText());
        assertEquals(16, json.get("answer").asText().length());
        assertEquals(3, json.get("halt_probability").size());
    }

    @Test
    void evalJson() throws IOException {
        Result result = execute("eval", run.toString(), "--json");
        assertEquals(0, result.code, result.err);
        JsonNode json = lastJson(result);
        Set<String> keys = new TreeSet<>();
        json.fieldNames().forEachRemaining(keys::add);
        assertEquals(Set.of("accuracy", "exact_accuracy", "puzzles", "steps", "seconds"), keys);
        assertEquals(20, json.get("puzzles").asInt());
        assertEquals(3, json.get("steps").asInt());
        assertTrue(json.get("accuracy").isNumber() && json.get("accuracy").asDouble() > 0);
        JsonNode limited = lastJson(execute("eval", run.toString(), "--json", "--limit", "7", "--steps", "2"));
        assertEquals(7, limited.get("puzzles").asInt());
        assertEquals(2, limited.get("steps").asInt());
    }

    /** Every command and every command below it. */
    static Stream<List<String>> commands() {
        return commands(new CommandLine(new Main()), List.of());
    }

    private static Stream<List<String>> commands(CommandLine line, List<String> path) {
        return Stream.concat(
                Stream.of(path), line.getSubcommands().entrySet().stream().flatMap(entry -> {
                    List<String> inner = new ArrayList<>(path);
                    inner.add(entry.getKey());
                    return commands(entry.getValue(), inner);
                }));
    }

    @ParameterizedTest
    @MethodSource("commands")
    void helpShowsAnExample(List<String> command) {
        Result result =
                execute(Stream.concat(command.stream(), Stream.of("--help")).toArray(String[]::new));
        assertEquals(0, result.code, result.err);
        String example = ("Example: trm " + String.join(" ", command)).strip();
        assertTrue(result.out.lines().anyMatch(line -> line.startsWith(example)), result.out);
        assertEquals("", result.err);
    }
}
