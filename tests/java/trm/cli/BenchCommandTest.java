package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code trm bench} prints, not how fast it is. */
class BenchCommandTest {
    @TempDir
    private static Path temp;

    private static Path config;

    @BeforeAll
    static void write() throws IOException {
        config = Files.writeString(
                temp.resolve("tiny.yaml"),
                String.join(
                        "\n",
                        "data_paths: [none]",
                        "data_shape: {seq_len: 9, vocab_size: 7, num_puzzle_identifiers: 1}",
                        "arch:",
                        "  hidden_size: 32",
                        "  num_heads: 4",
                        "  H_cycles: 2",
                        "  L_cycles: 1",
                        "  L_layers: 1",
                        "  puzzle_emb_ndim: 0",
                        "  forward_dtype: float32",
                        "global_batch_size: 16",
                        "threads: 1",
                        ""));
    }

    /** What was timed is what a plan of these settings takes, on this machine and no other. */
    @Test
    void aSavedRateIsAPlansRate() throws IOException {
        Path file = temp.resolve("rates.json");
        Object[] args = {"bench", config, "--seconds", "0.01", "--json", "--device", "cpu", "--save", file};
        double ms = Trm.execute(args).assertDone().json().get("ms_per_step").asDouble();
        Trm.execute("bench", config, "--evaluate", "--seconds", "0.01", "--device", "cpu", "--save", file)
                .assertDone();
        Object[] plan = {"plan", config, "--device", "cpu", "--rate", file, "--json"};
        JsonNode json = Trm.execute(plan).assertDone().json();
        assertEquals(ms, json.get("ms_per_step").asDouble());
        assertTrue(json.get("measured").asBoolean());
        assertEquals("measured, " + config, json.get("source").asText());
        assertEquals(
                2,
                new ObjectMapper()
                        .readTree(file.toFile())
                        .at("/machines/0/timings")
                        .size());
        plan[3] = "cpu";
        plan[1] = Files.writeString(
                temp.resolve("deeper.yaml"), Files.readString(config).replace("H_cycles: 2", "H_cycles: 4"));
        JsonNode deeper = Trm.execute(plan).assertDone().json();
        assertFalse(deeper.get("measured").asBoolean());
        assertTrue(deeper.get("ms_per_step").asDouble() > ms);

        String saved = Files.readString(file);
        String device =
                new ObjectMapper().readTree(saved).at("/machines/0/device").asText();
        Files.writeString(file, saved.replace(device, "NVIDIA A100-SXM4-40GB"));
        Trm.execute(plan)
                .assertFails(1, file + ": rates of NVIDIA A100-SXM4-40GB of ", "expected those of " + device + " of ");
        Trm.execute("plan", config, "--device", "cpu", "--rate", file, "--card", "NVIDIA A100-SXM4-40GB")
                .assertDone();
    }

    @Test
    void aFileThatHoldsNoRatesIsNotTouched() throws IOException {
        Path file = Files.writeString(temp.resolve("mine.json"), "{\"mine\": 1}");
        Trm.execute("bench", config, "--device", "cpu", "--save", file)
                .assertFails(1, file + ": no file of rates: ", "expected one that trm bench --save wrote");
        assertEquals("{\"mine\": 1}", Files.readString(file));
    }

    /** Keys that evaluation has of its own: how many puzzles at once, and what they may take. */
    @Test
    void evaluationObeysItsKeys() throws IOException {
        Object[] args = {
            "bench", config, "--evaluate", "eval_batch_size=3", "--seconds", "0.01", "--json", "--device", "cpu"
        };
        assertEquals(3, Trm.execute(args).assertDone().json().get("batch").asInt());
        args[3] = "memory=20kB";
        Trm.execute(args).assertFails(1, "memory may be 20000 bytes, and ", " are taken: no room for ");
    }

    private record Result(int code, List<String> out, String err) {}

    private static Result bench(String... arguments) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream newOut = new ByteArrayOutputStream();
        ByteArrayOutputStream newErr = new ByteArrayOutputStream();
        try {
            System.setOut(new PrintStream(newOut, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(newErr, true, StandardCharsets.UTF_8));
            String[] all = new String[arguments.length + 2];
            all[0] = "bench";
            all[1] = config.toString();
            System.arraycopy(arguments, 0, all, 2, arguments.length);
            int code = Main.execute(all);
            return new Result(
                    code,
                    newOut.toString(StandardCharsets.UTF_8).lines().toList(),
                    newErr.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
    }

    @Test
    void reportsTheStepItsPhasesAndItsOperations() throws IOException {
        Result result = bench("batch=4", "--seconds", "0.2", "--device", "cpu", "--json");
        assertEquals(0, result.code(), result.err());
        JsonNode json =
                new ObjectMapper().readTree(result.out().get(result.out().size() - 1));
        assertEquals(config.toString(), json.get("config").textValue());
        assertTrue(json.get("device").textValue().startsWith("cpu"), json.toString());
        assertEquals(4, json.get("batch").intValue());
        double median = json.get("ms_per_step").doubleValue();
        assertTrue(json.get("ms_p10").doubleValue() <= median
                && median <= json.get("ms_p90").doubleValue());
        assertEquals(4e3 / median, json.get("samples_per_s").doubleValue(), 1e-6 * 4e3 / median);
        assertTrue(json.get("gflops").doubleValue() > 0);
        assertTrue(json.get("graph").booleanValue());
        assertTrue(json.get("host_us_per_step").doubleValue() > 0);
        double busy = json.get("device_busy").doubleValue();
        assertTrue(busy > 0 && busy <= 1, json.toString());
        assertTrue(json.get("peak_bytes").longValue() > 0);

        double phases = 0;
        for (JsonNode phase : json.get("phases")) {
            phases += phase.get("share").doubleValue();
        }
        assertEquals(1, phases, 1e-9, "phases and what is outside native calls make up the step");
        double operations = json.get("outside_native_share").doubleValue();
        boolean product = false;
        boolean moved = false;
        for (JsonNode operation : json.get("operations")) {
            operations += operation.get("share").doubleValue();
            product |= operation.has("gflops")
                    && operation.path("shape").toString().equals("[1,36,96,32]"); // qkv of 4 lanes of 9 positions
            moved |= operation.get("operation").textValue().equals("adam") && operation.has("gb_per_s");
        }
        assertEquals(1, operations, 1e-9);
        assertTrue(product && moved, json.toString());
    }

    @Test
    void reportsAnEvaluation() throws IOException {
        Result result = bench("batch=4", "--evaluate", "--seconds", "0.2", "--device", "cpu", "--json");
        assertEquals(0, result.code(), result.err());
        JsonNode json =
                new ObjectMapper().readTree(result.out().get(result.out().size() - 1));
        assertEquals(16, json.get("supervision_steps").intValue());
        double median = json.get("ms_per_batch").doubleValue();
        assertEquals(4e3 / median, json.get("puzzles_per_s").doubleValue(), 1e-6 * 4e3 / median);
        assertTrue(json.get("graph").booleanValue());
        double calls = 0;
        for (JsonNode operation : json.get("operations")) {
            assertFalse(operation.get("operation").textValue().endsWith("_bwd"), json.toString());
            calls += operation.path("shape").toString().equals("[1,36,96,32]")
                    ? operation.get("calls").doubleValue()
                    : 0;
        }
        assertEquals(16 * 2 * 2, calls, "qkv: 16 steps of two cycles of two evaluations of one layer");
    }

    @ParameterizedTest
    @ValueSource(strings = {"batch=0", "batch=-3", "batch=", "batch=2.5", "batch=many", "batch=9999999999"})
    void refusesABadBatch(String argument) {
        Result result = bench(argument);
        assertEquals(2, result.code(), result.err());
        assertTrue(
                result.err()
                        .contains("batch is '" + argument.substring(6)
                                + "': must be a whole number, at least 1 and at most 999999999"),
                result.err());
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-1", "NaN", "1e9"})
    void refusesABadTime(String seconds) {
        Result result = bench("--seconds", seconds);
        assertEquals(2, result.code(), result.err());
        assertTrue(result.err().contains("--seconds is "), result.err());
    }
}
