package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Staging;

/** What {@code trm plan} prints; the figures themselves are MemoryPlanTest's. */
class PlanCommandTest {
    private static final String CONFIG = "configs/sudoku-mlp.yaml";

    @TempDir
    private Path temp;

    @ParameterizedTest
    @ValueSource(strings = {"24GB", "48 GB", "80gb", "141000MB", "0.08TB", "80000000000B"})
    void fits(String size) throws IOException {
        Trm.Result result =
                Trm.execute("plan", CONFIG, "--memory", size, "--json").assertDone();
        JsonNode json = result.json();
        assertTrue(json.get("fits").asBoolean());
        assertEquals(
                size.equals("24GB") ? "activation" : "none",
                json.get("recompute").asText());
        assertEquals(1, json.get("micro_batches").asInt());
        long sum = 0;
        for (JsonNode part : json.get("parts")) {
            sum += part.asLong();
        }
        assertEquals(sum, json.get("total_bytes").asLong());
        assertTrue(sum <= json.get("memory_bytes").asLong());
        for (String part :
                List.of("parameters", "optimizer", "ema", "data", "lanes", "tape", "scratch", "evaluation")) {
            assertTrue(json.get("parts").has(part), part);
            assertTrue(result.text().contains(part), result.out());
        }
        assertTrue(result.text().contains("\nfits: "), result.out());
    }

    /** Of data that are not there, too: a fresh symmetry needs to know of each sample which puzzle it is of, 8 bytes. */
    @Test
    void freshAugmentationTakesItsOrigins() throws IOException {
        String[] plan = {
            "plan", CONFIG, "data_paths=[" + temp.resolve("absent") + "]", "--examples", "1000000", "--json"
        };
        String[] fresh = Arrays.copyOf(plan, plan.length + 1);
        fresh[plan.length] = "augment=fresh";
        long expanded = Trm.execute((Object[]) plan)
                .assertDone()
                .json()
                .get("parts")
                .get("data")
                .asLong();
        long compact = Trm.execute((Object[]) fresh)
                .assertDone()
                .json()
                .get("parts")
                .get("data")
                .asLong();
        assertEquals(expanded + 8_000_000, compact);
    }

    /** Whether or not it fits, the question was answered. */
    @Test
    void doesNotFit() throws IOException {
        Trm.Result result = Trm.execute(
                        "plan", CONFIG, "recompute=layers", "micro_batches=2", "--memory", "1GB", "--json")
                .assertDone();
        JsonNode json = result.json();
        assertFalse(json.get("fits").asBoolean());
        assertEquals("layers", json.get("recompute").asText());
        assertEquals(2, json.get("micro_batches").asInt());
        assertTrue(result.text().contains("\ndoes not fit: a batch of 768 needs "), result.out());
    }

    @ParameterizedTest
    @ValueSource(strings = {"80", "GB", "80GiB", "-1GB", "0GB", "80 XB", "1e9B", "", "2000000TB"})
    void refusesABadSize(String size) {
        Trm.execute("plan", CONFIG, "--memory", size).assertFails(2, "--memory is '" + size + "': must be ");
    }

    /** The run itself would take no more than its settings allow. */
    @Test
    void theLesserMemoryCounts() throws IOException {
        Trm.Result result = Trm.execute("plan", CONFIG, "memory=1MB", "--memory", "80GB", "--json")
                .assertDone();
        assertEquals(1_000_000, result.json().get("memory_bytes").asLong());
        assertFalse(result.json().get("fits").asBoolean());
        result = Trm.execute("plan", CONFIG, "memory=200GB", "--memory", "80GB", "--json")
                .assertDone();
        assertEquals(80_000_000_000L, result.json().get("memory_bytes").asLong());
    }

    @Test
    void numbersOfDataThatAreThere() throws IOException {
        MiniSudokuBuilder.build(temp.resolve("data"), 4, 20, 10, 1, 8);
        Path file = Trm.tinyConfig(temp.resolve("tiny.yaml"), temp.resolve("data"));
        for (String option : List.of("--examples", "--test-examples")) {
            Trm.execute("plan", file, option, "5")
                    .assertFails(2, "the data of " + file + " are there and say how many; leave them out");
        }
    }

    @Test
    void refusesBadSettings() {
        Trm.execute("plan", CONFIG, "memory=80").assertFails(2, "memory is '80': must be a size such as 80GB");
        Trm.execute("plan", CONFIG, "recompute=some")
                .assertFails(2, "recompute is some; expected auto, none, activation, gate_up, layers or evaluations");
        Trm.execute("plan", CONFIG, "micro_batches=0")
                .assertFails(2, "micro_batches is 0; expected auto, or a whole number of at least 1");
        Trm.execute("plan", CONFIG, "micro_batches=7")
                .assertFails(2, "micro_batches is 7: must divide global_batch_size, which is 768");
        Trm.execute("plan", CONFIG, "--examples", "-1").assertFails(2, "--examples -1: expected at least 0");
        Trm.execute("plan", CONFIG, "--test-examples", "9223372036854775807")
                .assertFails(2, "--test-examples 9223372036854775807: expected at most 2147483647");
        Trm.execute("plan", "absent.yaml").assertFails(2, "absent.yaml: no such file");
    }

    /** The batch that is said to be the largest fits, the next does not. */
    @ParameterizedTest
    @CsvSource({"configs/sudoku-mlp.yaml, 24GB, 1", "configs/maze.yaml, 16GB, 1", "configs/sudoku-att.yaml, 8GB, 4"})
    void fit(String config, String size, int ranks) throws IOException {
        JsonNode fit = Trm.execute("plan", config, "--fit", size, "--ranks", ranks, "--json")
                .assertDone()
                .json();
        List<String> modes = new ArrayList<>();
        int before = 0;
        for (JsonNode found : fit.get("fits")) {
            String mode = found.get("recompute").asText();
            int batch = found.get("batch").asInt();
            JsonNode plan = planned(config, size, ranks, mode, batch);
            assertTrue(plan.get("fits").asBoolean(), found.toString());
            assertEquals(plan.get("total_bytes"), found.get("total_bytes"), found.toString());
            assertEquals(plan.get("ms_per_step"), found.get("ms_per_step"), found.toString());
            assertEquals(plan.get("source"), found.get("source"), found.toString());
            assertFalse(
                    planned(config, size, ranks, mode, batch + ranks)
                            .get("fits")
                            .asBoolean(),
                    found.toString());
            assertTrue(batch >= before, found.toString());
            before = batch;
            modes.add(mode);
        }
        assertEquals(List.of("none", "activation", "gate_up", "layers", "evaluations"), modes);
    }

    private static JsonNode planned(String config, String size, int ranks, String mode, int batch) throws IOException {
        return Trm.execute(
                        "plan",
                        config,
                        "recompute=" + mode,
                        "micro_batches=1",
                        "global_batch_size=" + batch,
                        "--memory",
                        size,
                        "--ranks",
                        ranks,
                        "--json")
                .assertDone()
                .json();
    }

    @Test
    void fitOfOneModeAndOfNone() throws IOException {
        Trm.Result one = Trm.execute("plan", CONFIG, "--fit", "24GB", "recompute=layers", "micro_batches=2", "--json")
                .assertDone();
        assertEquals(1, one.json().get("fits").size());
        assertEquals(0, one.json().get("fits").get(0).get("batch").asInt() % 2);
        Trm.Result none = Trm.execute("plan", CONFIG, "--fit", "1GB", "--json").assertDone();
        assertEquals(0, none.json().get("fits").size());
        assertTrue(none.text().contains("| none        | none fits "), none.text());
        Trm.execute("plan", CONFIG, "--fit", "24").assertFails(2, "--fit is '24': must be a size such as 80GB");
        Trm.execute("plan", CONFIG, "--fit", "24GB", "--memory", "24GB")
                .assertFails(2, "--memory and --fit: both are a size; give one");
    }

    /** Steps times the step; of evaluations, batches times supervision steps. */
    @Test
    void timeOfARun() throws IOException {
        Trm.Result result = Trm.execute(
                        "plan", CONFIG, "--memory", "80GB", "--groups", "1000", "--test-examples", "422786", "--json")
                .assertDone();
        JsonNode json = result.json();
        assertEquals(65_104, json.get("steps").asLong());
        assertTrue(json.get("measured").asBoolean());
        assertEquals(65_104 * 81.21580505371094 / 3.6e6, json.get("train_hours").asDouble(), 1e-9);
        assertEquals(
                10 * 551 * 628.8013916015625 / 3.6e6,
                json.get("evaluation_hours").asDouble(),
                1e-9);
        assertTrue(result.text().contains("\na step: 81.22 ms on NVIDIA H100 80GB HBM3 ("), result.text());
        JsonNode shared = Trm.execute(
                        "plan",
                        CONFIG,
                        "--memory",
                        "80GB",
                        "--groups",
                        "1000",
                        "--test-examples",
                        "422786",
                        "--json",
                        "--ranks",
                        "2")
                .assertDone()
                .json();
        for (String hours : List.of("train_hours", "evaluation_hours")) {
            assertEquals(json.get(hours).asDouble() / 2, shared.get(hours).asDouble(), 1e-9, hours);
        }
        JsonNode stated = Trm.execute("plan", CONFIG, "--memory", "80GB", "--rate", "100ms", "--json")
                .assertDone()
                .json();
        assertEquals(100, stated.get("ms_per_step").asDouble());
        assertTrue(stated.get("steps") == null);
    }

    @Test
    void refusesBadRates() throws IOException {
        Trm.execute("plan", CONFIG, "--memory", "80GB", "--rate", "0ms").assertFails(2, "--rate 0ms: must be above 0");
        Trm.execute("plan", CONFIG, "--memory", "80GB", "--rate", "fast").assertFails(1, "fast: file not found");
        Trm.execute("plan", CONFIG, "--memory", "80GB", "--rate", "5ms", "--card", "x")
                .assertFails(2, "--rate 5ms: is stated, so --card says nothing; leave it out");
        Trm.execute("plan", CONFIG, "--memory", "80GB", "--card", "NVIDIA L4")
                .assertFails(2, "--card NVIDIA L4: no measurements come with the program, expected one of NVIDIA H100");
        Trm.execute("plan", "configs/demo.yaml", "--memory", "8GB", "--card", "NVIDIA H100 80GB HBM3")
                .assertFails(2, "no step in float32 was timed there");
        assertTrue(Trm.execute("plan", "configs/demo.yaml", "--memory", "8GB")
                .assertDone()
                .out()
                .contains("no step in float32 was timed there"));
        MiniSudokuBuilder.build(temp.resolve("data"), 4, 20, 10, 1, 8);
        Path file = Trm.tinyConfig(temp.resolve("tiny.yaml"), temp.resolve("data"));
        Trm.execute("plan", file, "--groups", "5", "--rate", "1ms")
                .assertFails(2, "--groups: the data of " + file + " are there and say how many; leave it out");
    }

    /** One of several ranks has its share of the batch, and all of the weights. */
    @Test
    void ofARank() throws IOException {
        String[] of = {"plan", CONFIG, "--memory", "80GB", "--device", "auto", "--json"};
        JsonNode alone = Trm.execute((Object[]) of).assertDone().json();
        Trm.Result shared = Trm.execute(
                        "plan", CONFIG, "--memory", "80GB", "--device", "auto", "--json", "--ranks", "8")
                .assertDone();
        JsonNode one = shared.json();
        assertEquals(8, one.get("ranks").asInt());
        assertTrue(shared.text().contains(", one of 8 ranks\n"), shared.out());
        assertEquals(alone.get("parts").get("parameters"), one.get("parts").get("parameters"));
        double share = one.get("parts").get("tape").asDouble()
                / alone.get("parts").get("tape").asDouble();
        assertEquals(1.0 / 8, share, 0.01);
        Trm.execute("plan", CONFIG, "--ranks", "7")
                .assertFails(2, "global_batch_size is 768: 7 ranks cannot share it equally; must be a multiple of 7");
        Trm.execute("plan", CONFIG, "--ranks", "0").assertFails(2, "--ranks 0: expected at least 1");
    }

    /** Without a size, for the device that is here; of the data set where there is one. */
    @Test
    void ofThisMachineAndItsData() throws IOException {
        MiniSudokuBuilder.build(temp.resolve("data"), 4, 100, 10, 1, 8);
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), temp.resolve("data"));
        Trm.Result result =
                Trm.execute("plan", config, "--device", "cpu", "--json").assertDone();
        assertTrue(result.json().get("device").asText().startsWith("cpu ("), result.out());
        assertTrue(result.json().get("fits").asBoolean());
        long data = result.json().get("parts").get("data").asLong();
        assertTrue(data >= 100 * (2 * 16 + 4), result.out());
        assertEquals( // host memory is the device's here; a GPU's plan has no such part
                Staging.BYTES, result.json().get("parts").get("staging").asLong());
        assertEquals(Trm.execute("plan", config, "--device", "cpu").out(), result.err());

        Files.writeString(
                config,
                Files.readString(config)
                        .replace(
                                temp.resolve("data").toString(),
                                temp.resolve("absent").toString()));
        Trm.execute("plan", config).assertFails(2, config + ": no data_shape, expected {seq_len: ");
        JsonNode absent = Trm.execute(
                        "plan",
                        config,
                        "data_shape={seq_len: 16, vocab_size: 6, num_puzzle_identifiers: 1}",
                        "--examples=1000",
                        "--device=cpu",
                        "--json")
                .assertDone()
                .json();
        assertEquals(
                2 * (16_000 + 128) + 4096 + 3 * 256,
                absent.get("parts").get("data").asLong());
    }

    /** A benchmark plans, too. */
    @Test
    void aBenchmarkWithLittleMemory() throws IOException {
        String[] settings = {"configs/cpu/sudoku-mlp-small.yaml", "threads=2", "batch=8", "arch.L_cycles=3"};
        JsonNode plain = bench(settings, "memory=1GB").assertDone().json();
        assertEquals("none", plain.get("recompute").asText());
        long limit = plain.get("peak_bytes").asLong() * 3 / 4;
        Trm.Result result = bench(settings, "memory=" + limit + "B").assertDone();
        JsonNode limited = result.json();
        assertTrue(limited.get("peak_bytes").asLong() <= limit);
        assertFalse(limited.get("recompute").asText().equals("none"), limited.toString());
        assertTrue(result.err().contains("memory: "), result.err());
        bench(settings, "memory=1MB").assertFails(1, "a batch of 8 needs ", "; not even a batch of 1 would fit");
    }

    private static Trm.Result bench(String[] settings, String memory) {
        return Trm.execute(
                "bench",
                settings[0],
                settings[1],
                settings[2],
                settings[3],
                memory,
                "--seconds",
                "0.05",
                "--device",
                "cpu",
                "--json");
    }
}
