package trm.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.config.ConfigLoader;
import trm.config.Recompute;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Backend;
import trm.device.DeviceException;
import trm.device.cpu.CpuBackend;
import trm.io.SafeTensors;

/** Runs with less memory than they would like. Oracle: the same run with enough of it. Bound: none. */
class LimitedRunTest {
    private static final int STEPS = 6;

    @TempDir
    private static Path shared;

    private static Backend backend;

    @TempDir
    private Path temp;

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(shared, 4, 100, 8, 1, 8);
        backend = new CpuBackend(2);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    private static TrainConfig config(String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + shared + "']",
                "arch:",
                "  hidden_size: 24",
                "  num_heads: 4",
                "  expansion: 1",
                "  H_cycles: 2",
                "  L_cycles: 2",
                "  L_layers: 2",
                "  puzzle_emb_ndim: 24",
                "  puzzle_emb_len: 1",
                "  halt_max_steps: 3",
                "  forward_dtype: float32",
                "global_batch_size: 8",
                "epochs: 100",
                "max_steps: " + STEPS,
                "lr_warmup_steps: 2",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    private static long bytes(TrainConfig config) {
        RunTensors.DataSizes data =
                RunTensors.DataSizes.of(Dataset.open(shared, "train"), Dataset.open(shared, "test"));
        return MemoryPlan.of(backend, config, 17, (b, a, c) -> RunTensors.allocate(b, a, c, data, STEPS))
                .totalBytes();
    }

    /** What the run said. */
    private static List<String> run(TrainConfig config, Path folder, boolean resume) {
        List<String> said = new ArrayList<>();
        new Run(backend, config, folder, new Run.Listener() {
                    @Override
                    public void row(MetricsRow row, long totalSteps) {
                        // not looked at
                    }

                    @Override
                    public void evaluating(long step, long puzzles) {
                        // not looked at
                    }

                    @Override
                    public void message(String text) {
                        said.add(text);
                    }
                })
                .run(resume);
        return said;
    }

    private static void assertSameEnd(Path expected, Path found) {
        SafeTensors e = SafeTensors.open(CheckpointName.of(expected).find(text -> {}));
        SafeTensors f = SafeTensors.open(CheckpointName.of(found).find(text -> {}));
        assertEquals(STEPS, Checkpoint.step(e));
        assertEquals(STEPS, Checkpoint.step(f));
        assertEquals(e.names(), f.names());
        for (String name : e.names()) {
            assertEquals(e.bytes(name), f.bytes(name), name);
        }
    }

    /** The cells that the paper's table has no memory for: n = 12; a limit that leaves the plain tape no room. */
    @ParameterizedTest(name = "mlp_t {0}, T = {1}, {2}")
    @CsvSource({
        "true, 3, GATE_UP",
        "true, 6, LAYERS",
        "true, 3, APPLICATIONS",
        "false, 3, GATE_UP",
        "false, 6, LAYERS",
        "false, 6, APPLICATIONS"
    })
    void twelveLatentSteps(boolean mlp, int cycles, Recompute chosen) throws IOException {
        String[] settings = {"arch.mlp_t=" + mlp, "arch.L_cycles=12", "arch.H_cycles=" + cycles};
        TrainConfig plain = config(settings);
        long limit = bytes(plain.with(chosen, 1));
        assertTrue(limit < bytes(plain.with(Recompute.NONE, 1)));
        TrainConfig limited = config(settings[0], settings[1], settings[2], "memory=" + limit + "B");
        run(plain, temp.resolve("plain"), false);
        List<String> said = run(limited, temp.resolve("limited"), false);
        String line = said.stream()
                .filter(text -> text.startsWith("memory: "))
                .findFirst()
                .orElseThrow();
        assertTrue(line.contains("with recompute " + chosen.key() + " and micro_batches 1: recompute none"), line);
        assertTrue(Files.readString(temp.resolve("limited/log.txt")).contains(line));
        assertSameEnd(temp.resolve("plain"), temp.resolve("limited"));
    }

    /** The number of parts is settled when a run begins: it goes on with them where there is more memory, too. */
    @Test
    void partsStayThroughAResume() throws IOException {
        TrainConfig plain = config("checkpoint_every_steps=3");
        long limit = bytes(plain.with(Recompute.APPLICATIONS, 4));
        Path straight = temp.resolve("straight");
        Path resumed = temp.resolve("resumed");
        TrainConfig limited = config("checkpoint_every_steps=3", "memory=" + limit + "B");
        for (Path folder : List.of(straight, resumed)) {
            run(limited, folder, false);
        }
        Path settings = resumed.resolve("config.yaml");
        String yaml = Files.readString(settings);
        assertTrue(yaml.contains("\nmicro_batches: 4\n") && yaml.contains("\nrecompute: auto\n"), yaml);
        Files.writeString(settings, yaml.replace("memory: " + limit + "B", "memory: auto"));
        Files.delete(CheckpointName.of(resumed).find(text -> {}));
        List<String> said = run(ConfigLoader.load(settings, List.of()), resumed, true);
        assertTrue(said.get(1).contains("recompute none and micro_batches 4"), said.toString());
        assertSameEnd(straight, resumed);
    }

    @Test
    void tooLittleForAnythingIsSaidFirst() {
        Path folder = temp.resolve("none");
        String message = assertThrows(DeviceException.class, () -> run(config("memory=100kB"), folder, false))
                .getMessage();
        assertTrue(
                message.matches("a batch of 8 needs [0-9.]+ MB, with recompute: evaluations and micro_batches: 8, and"
                        + " there are 100\\.0 kB; .*"),
                message);
        assertFalse(Files.exists(folder));
    }
}
