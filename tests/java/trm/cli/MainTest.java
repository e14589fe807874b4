package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
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
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import trm.cli.Trm.Result;
import trm.data.Dataset;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.CudaInstallation;
import trm.train.Devices;
import trm.train.RunFolder;

/** Exit codes and messages, with the run of a tiny model. */
class MainTest {
    @TempDir
    private static Path temp;

    private static Path config;
    private static Path run;

    private static Result execute(String... args) {
        return Trm.execute((Object[]) args);
    }

    @BeforeAll
    static void train() throws IOException {
        MiniSudokuBuilder.build(temp.resolve("data"), 4, 64, 20, 1, 8);
        config = temp.resolve("tiny.yaml");
        run = temp.resolve("run");
        Trm.tinyConfig(config, temp.resolve("data"));
        Result result = execute("train", config.toString(), "--run", run.toString(), "--device", "cpu", "--json");
        assertEquals(0, result.code(), result.err());
        assertEquals("finished", result.json().get("outcome").asText());
    }

    @Test
    void unknownCommand() {
        execute("trian").assertFails(2, "unknown command 'trian'; did you mean train?", "See: trm --help");
        execute("data", "sudok")
                .assertFails(2, "unknown command 'sudok'; did you mean sudoku?", "See: trm data --help");
        execute("xyzzy", "1").assertFails(2, "unknown command 'xyzzy'; expected one of demo, train, launch, eval, ");
        execute("\u001b[31m\n").assertFails(2, "unknown command '\\u001b[31m\\n'; expected one of");
        execute("verify", "a", "b").assertFails(2, "unexpected argument 'b'", "See: trm verify --help");
    }

    @Test
    void unknownOption() {
        execute("eval", run.toString(), "--splitt", "test")
                .assertFails(2, "unknown option '--splitt'; did you mean --split?", "See: trm eval --help");
        execute("data", "sudoku", "--trian=x")
                .assertFails(2, "'--trian'; did you mean --train?", "See: trm data sudoku --help");
        Result far = execute("eval", run.toString(), "--xyzzy");
        far.assertFails(2, "unknown option '--xyzzy'");
        assertTrue(!far.err().contains("did you mean"), far.err());
    }

    @Test
    void valueOfAnotherType() {
        execute("eval", run.toString(), "--limit", "many")
                .assertFails(2, "'--limit': 'many' is not a whole number, or too large");
        execute("eval", run.toString(), "--steps", "99999999999").assertFails(2, "is not a whole number, or too large");
        execute("eval", run.toString(), "--noise", "loud").assertFails(2, "'--noise': 'loud' is not a number");
    }

    /** An argument is no name of a file of arguments. */
    @Test
    void argumentThatBeginsWithAt() throws IOException {
        Path file = Files.writeString(temp.resolve("args"), "configs/demo.yaml\n");
        execute("info", "@" + file).assertFails(2, "@" + file + ": no such file");
    }

    @Test
    void help() {
        String sudoku = execute("data", "sudoku", "--help").assertDone().out();
        assertTrue(sudoku.startsWith("Usage: trm data sudoku "), sudoku);
        assertEquals(sudoku, execute("help", "data", "sudoku").assertDone().out());
        assertEquals(sudoku, execute("data", "help", "sudoku").assertDone().out());
        String data = execute("data", "--help").assertDone().out();
        assertTrue(data.startsWith("Usage: trm data "), data);
        assertEquals(data, execute("data", "help").assertDone().out());
        assertEquals(data, execute("help", "data", "--help").assertDone().out());
        assertEquals(execute("--help").out(), execute("help").assertDone().out());
        execute("help", "trian").assertFails(2, "unknown command 'trian'; did you mean train?");
        execute("help", "data", "sudok").assertFails(2, "'sudok'; did you mean sudoku?", "See: trm data --help");
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
        assertEquals(0, result.code(), result.err());
        assertEquals("already_finished", result.json().get("outcome").asText());
    }

    private static void assumeNoGpu() {
        boolean none =
                !Devices.cudaObstacles(0, CudaInstallation.ofThisMachine()).isEmpty();
        assumeTrue(none, "this machine has a GPU that can be used");
    }

    @Test
    void cudaIsNamed() {
        assumeNoGpu();
        String[] device = {"--device", "cuda:0"};
        execute("eval", run.toString(), device[0], device[1])
                .assertFails(1, "cuda:0 cannot be used", "--device cpu", "trm info");
        execute("train", config.toString(), "--run", temp.resolve("y").toString(), device[0], device[1])
                .assertFails(1, "cuda:0 cannot be used", "--device cpu");
        assertTrue(Files.notExists(temp.resolve("y")));
    }

    @Test
    void autoSaysWhatItChose() {
        assumeNoGpu();
        Result result = execute("eval", run.toString(), "--device", "auto").assertDone();
        assertTrue(result.err().contains("device auto: cpu ("), result.err());
        assertTrue(result.err().contains("because cuda:0 cannot be used: "), result.err());
    }

    @ParameterizedTest
    @ValueSource(strings = {"tpu", "cuda:", "cuda:x", "cuda:-1", "CPU", "cpu:0", ""})
    void unknownDevice(String name) {
        for (String command : List.of("eval", "verify", "train")) {
            String argument = command.equals("eval")
                    ? run.toString()
                    : command.equals("train") ? config.toString() : temp.toString();
            execute(command, argument, "--device", name)
                    .assertFails(2, "device '" + name + "' is unknown, expected auto, cpu or cuda:N");
        }
    }

    @ParameterizedTest
    @CsvSource({"--limit,0", "--steps,-1", "--batch,-2"})
    void evalOptionsOutOfRange(String option, String value) {
        execute("eval", run.toString(), option, value).assertFails(2, option + " " + value + ": expected at least");
    }

    @Test
    void evalOfAnotherSplit() {
        execute("eval", run.toString(), "--split", "dev").assertFails(2, "--split dev: expected train or test");
    }

    @Test
    void puzzleOfWrongLength() {
        execute("solve", run.toString(), "--puzzle", "1..4.2....3.3..")
                .assertFails(2, "--puzzle: found 15 cells, expected 16, 36 or 81");
        execute("solve", run.toString(), "--puzzle", ".".repeat(36))
                .assertFails(2, "--puzzle: a sudoku of 6 x 6, but " + run, " was trained on sudoku 4 x 4");
    }

    @Test
    void puzzleOfWrongCharacter() {
        execute("solve", run.toString(), "--puzzle", "1..4.2....3.3..7")
                .assertFails(2, "--puzzle: character 16: found '7', expected 1 .. 4");
    }

    @Test
    void contradictoryGivens() {
        execute("solve", run.toString(), "--puzzle", "1..1............")
                .assertFails(2, "--puzzle: contradictory givens: 1 in row 1, column 1 and again in row 1, column 4");
    }

    @Test
    void solveForNoSteps() {
        execute("solve", run.toString(), "--puzzle", ".".repeat(16), "--steps", "0")
                .assertFails(2, "--steps 0: expected at least 1");
    }

    /** The folder of a run keeps a log, to which a resumed run appends. */
    @Test
    void log() throws IOException {
        Path folder = temp.resolve("logged");
        execute("train", config.toString(), "--run", folder.toString(), "log_every_steps=1", "--device", "cpu")
                .assertDone();
        List<String> lines = Files.readAllLines(folder.resolve("log.txt"));
        assertTrue(
                lines.get(0).matches("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d.* INFO +device cpu .*"), lines.get(0));
        assertTrue(lines.stream().anyMatch(line -> line.contains("step 2/4  loss ")), lines.toString());
        assertTrue(lines.stream().anyMatch(line -> line.contains("evaluation: 20 puzzles")), lines.toString());
        execute("train", "--resume", folder.toString(), "--device", "cpu").assertDone();
        List<String> more = Files.readAllLines(folder.resolve("log.txt"));
        assertEquals(lines, more.subList(0, lines.size()));
        assertTrue(more.get(more.size() - 1).contains("is finished: step 4 of 4"), more.toString());
        Files.createDirectories(temp.resolve("failing"));
        RunFolder.mark(temp.resolve("failing"));
        Files.createDirectories(temp.resolve("failing/log.txt"));
        execute("train", config.toString(), "--run", temp.resolve("failing").toString())
                .assertFails(1, "log.txt: the log cannot be opened for writing");
    }

    /** A failure is in the log. */
    @Test
    void logOfFailure() throws IOException {
        Path folder = Trm.copy(run, temp.resolve("broken"));
        Files.writeString(folder.resolve("metrics.csv"), "not a table\n");
        execute("train", "--resume", folder.toString()).assertFails(1, "metrics.csv");
        String log = Files.readString(folder.resolve("log.txt"));
        assertTrue(log.contains("ERROR the run failed") && log.contains("metrics.csv"), log);
    }

    /** As many test puzzles as asked for, the first of the file. */
    @Test
    void limitTest() throws IOException {
        List<String> rows = Files.readAllLines(Path.of("data/sudoku/test.csv")).subList(0, 6);
        Path csv = Files.write(temp.resolve("few.csv"), rows);
        Path all = temp.resolve("sudoku-all");
        Path limited = temp.resolve("sudoku-limited");
        String[] build = {"data", "sudoku", "--train", csv.toString(), "--test", csv.toString()};
        execute(with(build, "--out", all.toString())).assertDone();
        execute(with(build, "--out", limited.toString(), "--limit-test", "2")).assertDone();
        Dataset expected = Dataset.open(all, "test");
        Dataset found = Dataset.open(limited, "test");
        assertEquals(5, expected.examples());
        assertEquals(2, found.examples());
        for (int row = 0; row < 2; row++) {
            assertArrayEquals(expected.inputRow(row), found.inputRow(row));
            assertArrayEquals(expected.labelRow(row), found.labelRow(row));
        }
        assertEquals(5, Dataset.open(limited, "train").examples());
        execute(with(build, "--out", limited.toString(), "--limit-test", "0"))
                .assertFails(2, "--limit-test 0: expected at least 1");
        execute(with(build, "--out", limited.toString(), "--aug", "-1")).assertFails(2, "--aug -1");
        execute(with(build, "--out", limited.toString(), "--subsample", "0")).assertFails(2, "--subsample 0");
        execute("data", "sudoku-mini", "--side", "5", "--out", limited.toString())
                .assertFails(2, "--side 5: expected 4 or 6");
    }

    private static String[] with(String[] first, String... more) {
        return Stream.concat(Stream.of(first), Stream.of(more)).toArray(String[]::new);
    }

    /** The program's version is that of the build. */
    @Test
    void version() throws IOException {
        assertTrue(Files.readString(Path.of("pom.xml")).contains("<version>" + Main.VERSION + "</version>"));
        assertTrue(execute("--version").assertDone().out().contains(Main.VERSION));
        assertTrue(execute("data", "sudoku", "--version").assertDone().out().contains(Main.VERSION));
    }

    @Test
    void solve() throws IOException {
        Result result = execute("solve", run.toString(), "--puzzle", "1..4.2....3.3..2", "--steps", "3", "--json");
        assertEquals(0, result.code(), result.err());
        JsonNode json = result.json();
        assertEquals("1..4.2....3.3..2", json.get("puzzle").asText());
        assertEquals(16, json.get("answer").asText().length());
        assertEquals(3, json.get("halt_probability").size());
    }

    @Test
    void evalJson() throws IOException {
        Result result = execute("eval", run.toString(), "--json");
        assertEquals(0, result.code(), result.err());
        JsonNode json = result.json();
        Set<String> keys = new TreeSet<>();
        json.fieldNames().forEachRemaining(keys::add);
        assertEquals(
                Set.of(
                        "accuracy",
                        "exact_accuracy",
                        "exact_accuracy_low",
                        "exact_accuracy_high",
                        "valid",
                        "puzzles",
                        "steps",
                        "mean_steps",
                        "seconds"),
                keys);
        assertEquals(20, json.get("puzzles").asInt());
        assertEquals(3, json.get("steps").asInt());
        assertTrue(json.get("accuracy").isNumber() && json.get("accuracy").asDouble() > 0);
        JsonNode limited = execute("eval", run.toString(), "--json", "--limit", "7", "--steps", "2")
                .json();
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
        assertEquals(0, result.code(), result.err());
        String example = ("Example: trm " + String.join(" ", command)).strip();
        assertTrue(result.out().lines().anyMatch(line -> line.startsWith(example)), result.out());
        assertEquals("", result.err());
    }
}
