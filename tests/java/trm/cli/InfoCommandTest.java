package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Staging;

/** What {@code trm info} prints; the look-up of CUDA has a test of its own. */
class InfoCommandTest {
    @Test
    void fields() throws IOException {
        Trm.Result result = Trm.execute("info", "--json").assertDone();
        JsonNode json = result.json();
        assertEquals(Main.VERSION, json.get("version").asText());
        assertEquals(System.getProperty("java.version"), json.get("java").asText());
        assertTrue(json.get("onednn").asText().matches("\\d+\\.\\d+.*"), json.toString());
        assertTrue(json.get("javacpp").asText().matches("\\d+\\.\\d+.*"), json.toString());
        assertTrue(json.get("threads").asInt() > 0);
        assertTrue(json.get("memory_bytes").asLong() > 0);
        assertTrue(
                List.of("base", "avx2", "avx512", "avx512_bf16", "amx")
                        .contains(json.get("cpu_target").asText()),
                json.toString());
        assertTrue(json.get("cuda_driver").has("found"));
        assertTrue(json.get("gpus").isArray());
        assertEquals(5, json.get("cuda_libraries").size());
        for (JsonNode library : json.get("cuda_libraries")) {
            assertEquals(library.get("found").asBoolean(), !library.get("path").isNull());
            assertTrue(result.text().contains(library.get("name").asText()), result.out());
            assertTrue(
                    library.get("found").asBoolean()
                            || result.text().contains(library.get("how_to_get").asText()),
                    result.out());
        }
        assertTrue(json.get("cuda_searched").toString().contains("/usr/local/cuda/lib64"));
        assertTrue(json.get("cuda_kernels").isBoolean());
        assertEquals(
                json.get("cuda_kernels").asBoolean(),
                json.get("cuda_targets").toString().contains("\"sm_80\""),
                json.toString());
        assertEquals(
                json.get("device").asText().equals("cpu"),
                json.get("cuda_obstacles").size() > 0,
                json.toString());
    }

    /** The documentation of keys is what the command prints. */
    @Test
    void keysOfConfigurations() throws IOException {
        String page = Trm.execute("info", "--keys").assertDone().out();
        assertEquals(Files.readString(Path.of("docs/configuration.md")), page);
        JsonNode keys =
                Trm.execute("info", "--keys", "--json").assertDone().json().get("keys");
        JsonNode dtype = StreamSupport.stream(keys.spliterator(), false)
                .filter(key -> key.get("name").asText().equals("arch.forward_dtype"))
                .findFirst()
                .orElseThrow();
        assertEquals("bfloat16", dtype.get("default").asText());
        assertEquals("dtype", dtype.get("aliases").get(0).asText());
        assertEquals("no", dtype.get("may_change_on_resume").asText());
        Trm.execute("info", "configs/demo.yaml", "--keys")
                .assertFails(2, "--keys: expected no configuration and no --groups with it");
    }

    /** The documentation of metrics is what the command prints. */
    @Test
    void columnsOfMetrics() throws IOException {
        String page = Trm.execute("info", "--metrics").assertDone().out();
        assertEquals(Files.readString(Path.of("docs/metrics.md")), page);
        JsonNode loss = Trm.execute("info", "--metrics", "--json")
                .assertDone()
                .json()
                .get("columns")
                .get(2);
        assertEquals("total_loss", loss.get("name").asText());
        assertEquals("train/total_loss", loss.get("tag").asText());
        Trm.execute("info", "configs/demo.yaml", "--metrics")
                .assertFails(2, "--metrics: expected no configuration and no --groups with it");
        Trm.execute("info", "--keys", "--metrics").assertFails(2, "--keys: expected no --metrics with it");
    }

    /** Counts by hand: see the sums. */
    @Test
    void sizesOfAConfiguration(@TempDir Path temp) throws IOException {
        Path file = Trm.tinyConfig(temp.resolve("tiny.yaml"), temp.resolve("absent"));
        Files.writeString(
                file,
                "data_shape: {seq_len: 16, vocab_size: 6, num_puzzle_identifiers: 1}\n",
                java.nio.file.StandardOpenOption.APPEND);
        JsonNode json = Trm.execute("info", file, "arch.L_layers=2", "--json")
                .assertDone()
                .json();
        // per layer, inner widths 256: positions 16 -> 2 x 256 -> 16, channels 32 -> 2 x 256 -> 32
        long layer = 3 * 16 * 256 + 3 * 32 * 256;
        long parameters = 2 * 6 * 32 + 2 * 32 + 2 + 2 * layer;
        assertEquals(parameters, json.get("parameters").asLong());
        assertEquals(2 * layer, json.get("network_parameters").asLong());
        assertEquals(2 * 6 * 32 + 2 * 32 + 2, json.get("embedding_parameters").asLong());
        assertEquals(2 * (2 + 1) * 2, json.get("depth").asInt());
        assertEquals(1, json.get("forward_passes").asInt());
        assertTrue(json.get("steps").isNull() && json.get("flops").isNull());
        assertEquals(0, json.get("puzzle_embedding_values").asLong());
        assertEquals(16, json.get("batch").asInt());
        // 6 evaluations forward and 3 backward, which count twice; heads forward once and backward twice
        double evaluation = 2 * 2.0 * (3 * 16 * 256 * 32 + 3 * 32 * 256 * 16);
        double heads = 2 * 32 * (16 * 6 + 2);
        assertEquals(
                16 * (6 * evaluation + 2 * 3 * evaluation + 3 * heads),
                json.get("flops_per_step").asDouble());
        assertEquals(0, json.get("optimizer_flops_per_step").asDouble());
        // Muon on [512, 16], [16, 256], [512, 32], [32, 256] of each layer: 4 r r c + 2 r r r, three times
        JsonNode muon = Trm.execute(
                        "info", file, "arch.L_layers=2", "optimizer=muon", "muon_rest=adamw", "muon_steps=3", "--json")
                .assertDone()
                .json();
        double iteration =
                4.0 * 16 * 16 * (512 + 256) + 4.0 * 32 * 32 * (512 + 256) + 4.0 * 16 * 16 * 16 + 4.0 * 32 * 32 * 32;
        assertEquals(3 * 2 * iteration, muon.get("optimizer_flops_per_step").asDouble());
        assertEquals(json.get("flops_per_step"), muon.get("flops_per_step"));
        JsonNode purposes = json.get("model_bytes_by_purpose");
        assertTrue(purposes.get("optimizer").asLong() >= 3 * 4 * parameters, json.toString());
        long sum = 0;
        for (JsonNode bytes : purposes) {
            sum += bytes.asLong();
        }
        assertEquals(sum, json.get("model_bytes").asLong());
    }

    @Test
    void equilibrium(@TempDir Path temp) throws IOException {
        Path file = Trm.tinyConfig(temp.resolve("tiny.yaml"), temp.resolve("absent"));
        Files.writeString(
                file,
                "data_shape: {seq_len: 16, vocab_size: 6, num_puzzle_identifiers: 1}\n",
                java.nio.file.StandardOpenOption.APPEND);
        String plain = Trm.execute("info", file).assertDone().out();
        assertTrue(!plain.contains("equilibrium"), plain);
        Trm.Result result = Trm.execute("info", file, "arch.relaxation=0.95", "arch.random_start=true", "--json")
                .assertDone();
        assertTrue(
                result.text().contains("equilibrium    relaxation 0.95, latent noise 0.0, random starts"),
                result.out());
        assertEquals(0.95, result.json().get("relaxation").asDouble());
        assertEquals(0, result.json().get("latent_noise").asDouble());
        assertTrue(result.json().get("random_start").asBoolean());
        Trm.execute("info", file, "arch.relaxation=2").assertFails(2, "arch.relaxation is 2.0: must be above 0");
        Trm.execute("info", file, "arch.latent_nose=2").assertFails(2, "arch.latent_nose", "arch.latent_noise");
    }

    /** Published figures: 5 and 7 million parameters of TRM, 27 million of HRM and the transformer, and their depths. */
    @ParameterizedTest
    @CsvSource({
        "sudoku-mlp, 5.0e6, 42, 1, 65104",
        "sudoku-att, 6.8e6, 42, 1, 65104",
        "sudoku-hrm, 27.3e6, 24, 2, 26041",
        "sudoku-transformer, 27.1e6, 8, 1, 65104",
    })
    void publishedSystems(String name, double parameters, int depth, int passes, long steps) throws IOException {
        Path file = Path.of("configs", name + ".yaml");
        Trm.Result result =
                Trm.execute("info", file, "--groups", 1000, "--json").assertDone();
        JsonNode json = result.json();
        assertEquals(parameters, json.get("network_parameters").asDouble(), 0.05e6);
        assertEquals(depth, json.get("depth").asInt());
        assertEquals(passes, json.get("forward_passes").asInt());
        assertEquals(steps, json.get("steps").asLong()); // floor(epochs 1000 / 768)
        assertEquals(
                steps * json.get("flops_per_step").asDouble(), json.get("flops").asDouble());
        assertTrue(result.text().contains("of depth " + depth), result.out());
    }

    /** Steps: of the data where it is there; without it at most max_steps, or nothing is said. */
    @Test
    void stepsOfTheRun(@TempDir Path temp) throws IOException {
        Path data = temp.resolve("data");
        Path file = Trm.tinyConfig(temp.resolve("tiny.yaml"), data);
        Files.writeString(
                file,
                "data_shape: {seq_len: 16, vocab_size: 6, num_puzzle_identifiers: 1}\n",
                java.nio.file.StandardOpenOption.APPEND);
        assertTrue(Trm.execute("info", file).assertDone().out().contains("steps unknown without the data"));
        assertEquals(5, steps(file, "max_steps=5"));
        assertEquals(6, steps(file, "--groups", "100"));
        Trm.execute("info", file, "--groups", "3000000000")
                .assertFails(2, "--groups 3000000000: expected at most 2147483647");
        Trm.execute("info", file, "epochs=2000000000", "--groups", "3")
                .assertFails(
                        2, "epochs is 2000000000: a pass of so many epochs of 3 groups of puzzles visits more than");
        Trm.execute("info", "--groups", "3").assertFails(2, "--groups 3: expected a configuration with it");
        MiniSudokuBuilder.build(data, 4, 200, 10, 1, 8);
        Trm.execute("info", file, "--groups", "100")
                .assertFails(2, "--groups 100: the data of " + file + " are there and say how many; leave it out");
        assertEquals(12, steps(file));
        assertEquals(5, steps(file, "max_steps=5"));
        Trm.execute("info", file, "--groups", "-1").assertFails(2, "--groups", "-1");
    }

    /** The shape comes from the data where there are any, and data_shape must not contradict them; for plan and bench, too. */
    @Test
    void shapeOfTheData(@TempDir Path temp) throws IOException {
        Path data = temp.resolve("data");
        Path file = Trm.tinyConfig(temp.resolve("tiny.yaml"), data);
        String six = "data_shape={seq_len: 36, vocab_size: 8, num_puzzle_identifiers: 1}";
        for (String command : List.of("info", "plan", "bench")) {
            Trm.execute(command, file).assertFails(2, file + ": no data_shape", "as there is no data set in " + data);
        }
        MiniSudokuBuilder.build(data, 4, 20, 10, 1, 8);
        Trm.Result four = Trm.execute("info", file).assertDone();
        assertTrue(four.text().contains("whole run      1 steps"), four.out());
        Trm.execute("plan", file).assertDone();
        Trm.execute("bench", file, "--seconds", "0.01").assertDone();
        for (String command : List.of("info", "plan", "bench")) {
            Trm.execute(command, file, six)
                    .assertFails(
                            2,
                            "data_shape is {seq_len: 36, vocab_size: 8, num_puzzle_identifiers: 1}: the data in " + data
                                    + " have {seq_len: 16, vocab_size: 6, num_puzzle_identifiers: 1}");
        }
    }

    /** Each size is within its bounds; all of them together are not. */
    @Test
    void sizesThatCannotBeCounted() {
        Object[] sizes = {
            "configs/sudoku-mlp.yaml",
            "global_batch_size=1048576",
            "data_shape={seq_len: 1048576, vocab_size: 1048576, num_puzzle_identifiers: 2147483647}",
            "arch.hidden_size=65536",
            "arch.puzzle_emb_ndim=1048576",
            "arch.L_cycles=1000"
        };
        for (String command : List.of("info", "plan", "bench")) {
            Trm.execute(Stream.concat(Stream.of(command), Stream.of(sizes)).toArray())
                    .assertFails(2, "takes more bytes than can be counted; make it smaller");
        }
    }

    private static long steps(Path file, String... more) throws IOException {
        List<Object> args = new java.util.ArrayList<>(List.of("info", file, "--json"));
        args.addAll(List.of(more));
        return Trm.execute(args.toArray()).assertDone().json().get("steps").asLong();
    }

    /** A plan's memory is what a benchmark of the same model allocates, its samples and what checkpoints go through apart. */
    @Test
    void plannedMemoryIsWhatIsAllocated(@TempDir Path temp) throws IOException {
        for (List<String> variant :
                List.of(List.of("arch.mlp_t=true"), List.of("arch.mlp_t=false", "arch.pos_encodings=rope"))) {
            List<String> settings = new java.util.ArrayList<>(variant);
            settings.addAll(List.of("batch=4", "arch.hidden_size=64", "threads=1", "--json"));
            Object[] bench = args("bench", settings, "--seconds", "0.01");
            Object[] info = args(
                    "info",
                    settings.stream()
                            .map(s -> s.replace("batch=", "global_batch_size="))
                            .toList());
            Trm.Result result = Trm.execute(bench).assertDone();
            long allocated = result.json().get("peak_bytes").asLong();
            Matcher copy =
                    Pattern.compile("memory checkpoint copy +([0-9,]+) bytes").matcher(result.text());
            assertTrue(copy.find(), result.out());
            long copied = Long.parseLong(copy.group(1).replace(",", ""));
            long planned =
                    Trm.execute(info).assertDone().json().get("model_bytes").asLong();
            long samples = 2 * (64 * 81 + 192) + 64 * 4; // each tensor a multiple of 256 bytes
            assertEquals(allocated - samples - Staging.BYTES - copied, planned, variant.toString());
        }
    }

    private static Object[] args(String command, List<String> settings, String... more) {
        List<String> args = new java.util.ArrayList<>(List.of(command, "configs/cpu/sudoku-mlp-small.yaml"));
        args.addAll(settings);
        args.addAll(List.of(more));
        return args.toArray();
    }

    @Test
    void aConfigurationWithoutShape(@TempDir Path temp) throws IOException {
        Path file = Trm.tinyConfig(temp.resolve("tiny.yaml"), temp.resolve("absent"));
        Trm.execute("info", file).assertFails(2, file + ": no data_shape, expected {seq_len: ");
        Trm.execute("info", file, "arch.hiden_size=3").assertFails(2, "arch.hiden_size", "arch.hidden_size");
    }

    @Test
    void processors() {
        Processor amd = Processor.parse(List.of(
                "processor\t: 0",
                "model name\t: AMD EPYC 9654: 96 cores",
                "flags\t\t: fpu avx2 fma avx512f avx512_bf16 amx_tile",
                "processor\t: 1",
                "flags\t\t: fpu"));
        assertEquals("AMD EPYC 9654: 96 cores", amd.model());
        assertEquals(List.of("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile"), amd.features());
        Processor arm = Processor.parse(List.of("processor : 0", "Features : fp asimd sve bf16", "CPU part : 0xd40"));
        assertEquals(List.of("asimd", "sve", "bf16"), arm.features());
        assertEquals("", arm.model());
    }
}
