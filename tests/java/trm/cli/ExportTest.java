package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.config.Architecture;
import trm.config.ConfigLoader;
import trm.data.sudoku.MiniSudokuBuilder;

/** Which files {@code trm export} writes and which it leaves alone; what is in them is InterchangeTest's matter. */
class ExportTest {
    @TempDir
    private static Path shared;

    private static Path run;

    @TempDir
    private Path temp;

    @BeforeAll
    static void train() throws IOException {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 32, 8, 1, 8);
        run = shared.resolve("run");
        Path config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        Trm.execute("train", config, "--run", run, "--device", "cpu").assertDone();
    }

    @ParameterizedTest
    @ValueSource(strings = {"weights", "weights.bin", "weights.safetensor", "weights.pt.bak"})
    void otherEnding(String name) {
        Path out = temp.resolve(name);
        Trm.execute("export", run, "--out", out)
                .assertFails(2, "--out " + out + ": expected a name that ends in .safetensors, .pt or .pth");
        assertFalse(Files.exists(out));
    }

    @ParameterizedTest
    @ValueSource(strings = {"there.safetensors", "there.pt"})
    void existingFile(String name) throws IOException {
        Path out = Files.writeString(temp.resolve(name), "mine");
        Trm.execute("export", run, "--out", out).assertFails(1, out + ": is there already; --force replaces it");
        assertEquals("mine", Files.readString(out));
        assertFalse(Files.exists(temp.resolve("all_config.yaml")));
        Trm.execute("export", run, "--out", out, "--force").assertDone();
        assertTrue(Files.size(out) > 1000);
    }

    /** The settings beside a checkpoint of PyTorch are the run's, and are found by whatever takes the checkpoint. */
    @Test
    void settingsBeside() throws IOException {
        Path torch = temp.resolve("step_4.pt");
        Path settings = temp.resolve("all_config.yaml");
        Trm.Result exported = Trm.execute("export", run, "--out", torch).assertDone();
        assertTrue(exported.err().contains("wrote " + settings + ": the settings"), exported.err());
        String yaml = Files.readString(settings);
        assertTrue(yaml.contains("  name: \"recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1\"\n"), yaml);
        assertTrue(yaml.contains("  loss:\n    name: \"losses@ACTLossHead\"\n"), yaml);
        assertEquals(
                Files.readString(run.resolve("config.yaml")),
                ConfigLoader.toYaml(ConfigLoader.load(settings, List.of())));
        Trm.execute("eval", torch, "--device", "cpu").assertDone();
        Path again = temp.resolve("again.pt");
        Trm.execute("export", run, "--out", again).assertDone();
        assertArrayEquals(Files.readAllBytes(torch), Files.readAllBytes(again));
    }

    @Test
    void settingsOfAnotherCheckpoint() throws IOException {
        Path settings = Files.writeString(temp.resolve("all_config.yaml"), "seed: 7\n");
        Path torch = temp.resolve("step_4.pt");
        Trm.execute("export", run, "--out", torch).assertFails(1, settings + ": holds other settings", "--force");
        assertFalse(Files.exists(torch));
        assertEquals("seed: 7\n", Files.readString(settings));
        Trm.execute("export", run, "--out", torch, "--force").assertDone();
        assertTrue(Files.readString(settings).contains("halt_max_steps"));
    }

    /** As the published configurations name them, and as this program reads them. */
    @ParameterizedTest
    @CsvSource({
        "trm, recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
        "trm_singlez, recursive_reasoning.trm_singlez@TinyRecursiveReasoningModel_ACTV1",
        "trm_hier6, recursive_reasoning.trm_hier6@TinyRecursiveReasoningModel_ACTV1",
        "hrm, recursive_reasoning.hrm@HierarchicalReasoningModel_ACTV1",
        "transformers_baseline, recursive_reasoning.transformers_baseline@Model_ACTV2"
    })
    void publishedClasses(String name, String published) {
        String yaml = "arch: {name: " + name + "}\ndata_paths: [x]\n";
        String written = ConfigLoader.toPublishedYaml(ConfigLoader.parse(yaml, "test", List.of()));
        assertTrue(written.contains("name: \"" + published + "\"\n"), written);
        assertEquals(
                Architecture.of(name),
                ConfigLoader.parse(written, "written", List.of()).arch().name());
    }
}
