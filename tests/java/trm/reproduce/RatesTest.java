package trm.reproduce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.Recompute;
import trm.config.TrainConfig;
import trm.input.DataException;
import trm.io.FormatException;
import trm.model.ModelSizes;
import trm.reproduce.RatesFile.Machine;

class RatesTest {
    private static final String PAGE = "docs/measurements/gpu-h100-80gb-hbm3.json";

    @TempDir
    private Path temp;

    private static TrainConfig config(String file, String... overrides) {
        return ConfigLoader.load(Path.of(file), List.of(overrides));
    }

    private static ModelSizes sizes(TrainConfig config) {
        return new ModelSizes(
                config.arch(), config.data().shape(), config.schedule().globalBatchSize());
    }

    private static Rates.Expected step(Rates rates, TrainConfig config) {
        return rates.step(sizes(config), config.with(Recompute.NONE, 1).memory());
    }

    // ---- what comes with the program --------------------------------------------------------------------------------

    private static Timing timing(Timing.Work work, JsonNode entry, double ms) {
        String file = entry.get("config").asText();
        int batch = entry.get("batch").asInt();
        TrainConfig config = config(file, "global_batch_size=" + batch);
        boolean asItIs = batch == config(file).schedule().globalBatchSize();
        return Timing.of(work, file + (asItIs ? "" : " batch=" + batch), config, sizes(config), ms);
    }

    /** Every step and evaluation that was measured on a GPU, and nothing else. */
    @Test
    void thePublishedRatesAreThoseOfTheMeasurements() throws IOException {
        JsonNode page = new ObjectMapper().readTree(Path.of(PAGE).toFile());
        List<Timing> timings = new ArrayList<>();
        for (JsonNode entry : page.get("bench")) {
            timings.add(timing(Timing.Work.STEP, entry, entry.get("ms_per_step").asDouble()));
        }
        for (JsonNode entry : page.get("evaluation")) {
            double steps = entry.get("supervision_steps").asDouble();
            timings.add(timing(
                    Timing.Work.EVALUATION, entry, entry.get("ms_per_batch").asDouble() / steps));
        }
        assertEquals(8, timings.size());
        JsonNode device = page.get("device");
        Machine machine = new Machine(
                device.get("name").asText(), "", device.get("memory_bytes").asLong(), PAGE, timings);
        String expected = new RatesFile(List.of(machine)).text();
        Path written = Path.of("target/rates.json");
        Files.writeString(written, expected);
        String found =
                new String(RatesFile.class.getResourceAsStream("rates.json").readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(
                expected,
                found,
                "src/main/resources/trm/reproduce/rates.json is stale; write it anew: cp " + written
                        + " src/main/resources/trm/reproduce/");
    }

    @Test
    void aMeasuredStepIsItself() {
        Rates h100 = Rates.of(RatesFile.published(RatesFile.H100));
        Rates.Expected mlp = step(h100, config("configs/sudoku-mlp.yaml"));
        assertEquals(81.21580505371094, mlp.ms());
        assertEquals("measured, configs/sudoku-mlp.yaml", mlp.source());
        assertTrue(mlp.measured());
        assertEquals(
                85.09519958496094, step(h100, config("configs/sudoku-att.yaml")).ms());
        Rates.Expected maze = step(h100, config("configs/maze.yaml", "global_batch_size=192"));
        assertEquals(187.6814727783203, maze.ms());
        assertEquals("measured, configs/maze.yaml batch=192", maze.source());
        assertTrue(step(h100, config("configs/sudoku-no-ema.yaml")).measured());
    }

    /** At the same FLOP a second as the nearest that was timed: of the same mixer, then of the nearest length. */
    @Test
    void theOthersArePredicted() {
        Rates h100 = Rates.of(RatesFile.published(RatesFile.H100));
        Rates.Expected maze = step(h100, config("configs/maze.yaml"));
        assertEquals(187.6814727783203 * 4, maze.ms(), 1e-9);
        assertEquals("predicted from configs/maze.yaml batch=192 by FLOP", maze.source());
        assertFalse(maze.measured());
        TrainConfig deep = config("configs/sudoku-mlp.yaml", "arch.H_cycles=6");
        double ratio = sizes(deep).flops(true)
                / sizes(config("configs/sudoku-mlp.yaml")).flops(true);
        assertEquals(81.21580505371094 * ratio, step(h100, deep).ms(), 1e-9);
        TrainConfig hrm = config("configs/sudoku-hrm.yaml");
        assertEquals(
                "predicted from configs/sudoku-att.yaml by FLOP",
                step(h100, hrm).source());
    }

    /** Blocks again: one forward pass of the last of three cycles, of which a step has three forward and one twice over. */
    @Test
    void recomputationTakesItsPart() {
        Rates h100 = Rates.of(RatesFile.published(RatesFile.H100));
        TrainConfig config = config("configs/sudoku-mlp.yaml");
        double plain = step(h100, config).ms();
        Rates.Expected layers =
                h100.step(sizes(config), config.with(Recompute.LAYERS, 1).memory());
        assertEquals(plain * (1 + 1 / 5.0), layers.ms(), plain * 2e-4); // but for the heads
        assertFalse(layers.measured());
        assertEquals("predicted from configs/sudoku-mlp.yaml, with recompute layers", layers.source());
        Rates.Expected parts =
                h100.step(sizes(config), config.with(Recompute.NONE, 4).memory());
        assertEquals(plain, parts.ms());
        assertEquals("predicted from configs/sudoku-mlp.yaml, in 4 parts", parts.source());
    }

    @Test
    void statedRates() {
        TrainConfig config = config("configs/sudoku-mlp.yaml");
        assertEquals(100, step(Rates.ofStep(100), config).ms());
        assertEquals(
                sizes(config).flops(true) / 400e12 * 1e3,
                step(Rates.ofTflops(400), config).ms(),
                1e-9);
        assertEquals("100 ms a step, as stated", Rates.ofStep(100).title());
    }

    // ---- files ------------------------------------------------------------------------------------------------------

    private static Timing timing(String config, double ms) {
        TrainConfig settings = config(config);
        return Timing.of(Timing.Work.STEP, config, settings, sizes(settings), ms);
    }

    @Test
    void aFileKeepsTheNewestOfEachMachine() {
        Path file = temp.resolve("rates.json");
        Machine one = new Machine("A100", "one", 40, "test", List.of());
        Machine two = new Machine("A100", "two", 80, "test", List.of());
        RatesFile.save(file, one, timing("configs/sudoku-mlp.yaml", 300));
        RatesFile.save(file, two, timing("configs/sudoku-mlp.yaml", 250));
        RatesFile.save(file, one, timing("configs/sudoku-att.yaml", 310));
        RatesFile.save(file, one, timing("configs/sudoku-mlp.yaml", 290));
        RatesFile read = RatesFile.read(file);
        assertEquals(2, read.machines().size());
        Machine found = read.machine(file, one, null);
        assertEquals(40, found.memoryBytes());
        assertEquals(
                List.of(310.0, 290.0), found.timings().stream().map(Timing::ms).toList());
        assertEquals(
                250,
                step(Rates.of(read.machine(file, two, null)), config("configs/sudoku-mlp.yaml"))
                        .ms());
    }

    @Test
    void anotherMachineIsRefusedByName() {
        Path file = temp.resolve("rates.json");
        Machine saved = new Machine("NVIDIA A100-SXM4-40GB", "gpu-07", 40, "test", List.of());
        RatesFile.save(file, saved, timing("configs/sudoku-mlp.yaml", 300));
        RatesFile rates = RatesFile.read(file);
        Machine here = new Machine("NVIDIA A100-SXM4-40GB", "login", 0, "test", List.of());
        assertEquals(
                file
                        + ": rates of NVIDIA A100-SXM4-40GB of gpu-07, expected those of NVIDIA A100-SXM4-40GB of login, the device"
                        + " that is here; --card NAME plans for another",
                assertThrows(FormatException.class, () -> rates.machine(file, here, null))
                        .getMessage());
        assertEquals(saved.device(), rates.machine(file, here, saved.device()).device());
        assertEquals(
                file
                        + ": rates of NVIDIA A100-SXM4-40GB of gpu-07, expected those of NVIDIA H100 80GB HBM3, as --card says",
                assertThrows(FormatException.class, () -> rates.machine(file, here, RatesFile.H100))
                        .getMessage());
        String unknown = assertThrows(ConfigException.class, () -> RatesFile.published("NVIDIA L4"))
                .getMessage();
        assertTrue(unknown.contains("--card NVIDIA L4") && unknown.contains(RatesFile.H100), unknown);
    }

    @Test
    void whatIsNoFileOfRatesIsRefused() throws IOException {
        for (String text : List.of(
                "[]",
                "{}",
                "{\"machines\": [{\"device\": \"x\"}]}",
                "{\"machines\": 3}",
                "{\"machines\": [], \"more\": 1}",
                "{\"machines\": [{\"device\": \"x\", \"host\": \"\", \"memory_bytes\": 1, \"source\": \"\", \"timings\": [{\"work\":"
                        + " \"STEP\", \"config\": \"\", \"mixer\": \"mlp\", \"dtype\": \"bfloat16\", \"positions\": 97, \"batch\": 1,"
                        + " \"flops\": 1, \"ms\": 0}]}]}")) {
            Path file = Files.writeString(temp.resolve("wrong.json"), text);
            String message = assertThrows(FormatException.class, () -> RatesFile.read(file), text)
                    .getMessage();
            assertTrue(message.startsWith(file + ": no file of rates: "), message);
            assertFalse(message.contains("\n"), message);
        }
        Path none = temp.resolve("none.json");
        assertEquals(
                none + ": file not found",
                assertThrows(DataException.class, () -> RatesFile.read(none)).getMessage());
    }

    @Test
    void anotherTypeThanWasTimedIsRefused() {
        Rates h100 = Rates.of(RatesFile.published(RatesFile.H100));
        String message = assertThrows(
                        ConfigException.class, () -> step(h100, config("configs/sudoku-mlp.yaml", "dtype=float32")))
                .getMessage();
        assertTrue(message.contains("no step in float32 was timed there"), message);
    }
}
