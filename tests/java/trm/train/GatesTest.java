package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.cpu.CpuBackend;
import trm.io.CheckpointStore;

/** Runs of 24 steps that are evaluated every 6; nothing is learned in so few. */
class GatesTest {
    private static final String FIRST = "gates=[{step: 7, exact_accuracy: 0.9}]";

    @TempDir
    private static Path shared;

    private static CpuBackend backend;
    private static Path without; // run without gates

    @TempDir
    private Path temp;

    private final List<String> messages = new ArrayList<>();

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 96, 16, 1, 8);
        backend = new CpuBackend(2);
        without = shared.resolve("without");
        assertEquals(Run.Outcome.FINISHED, run(config("log_every_steps=6"), without, false, new ArrayList<>()));
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    private static TrainConfig config(String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + shared.resolve("data") + "']",
                "arch:",
                "  hidden_size: 16",
                "  num_heads: 2",
                "  mlp_t: true",
                "  pos_encodings: none",
                "  H_cycles: 1",
                "  L_cycles: 1",
                "  L_layers: 1",
                "  expansion: 1",
                "  puzzle_emb_ndim: 0",
                "  halt_max_steps: 2",
                "  forward_dtype: float32",
                "global_batch_size: 16",
                "epochs: 4",
                "eval_interval: 1",
                "checkpoint_keep: 9",
                "log_every_steps: 6",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    private static Run.Outcome run(TrainConfig config, Path folder, boolean resume, List<String> messages) {
        return new Run(backend, config, folder, new Run.Listener() {
                    @Override
                    public void row(MetricsRow row, long totalSteps) {}

                    @Override
                    public void evaluating(long step, long puzzles) {}

                    @Override
                    public void message(String text) {
                        messages.add(text);
                    }
                })
                .run(resume);
    }

    private static byte[] checkpoint(Path folder, long step) throws IOException {
        return Files.readAllBytes(new CheckpointStore(folder.resolve("checkpoints"), 1).path(step));
    }

    /** At the first evaluation from its step on; a resume stops there again, one without gates is the run without any. */
    @Test
    void aRunBelowItsGateStops() throws IOException {
        Path folder = temp.resolve("run");
        for (boolean resume : new boolean[] {false, true}) {
            messages.clear();
            assertEquals(Run.Outcome.GATED, run(config(FIRST), folder, resume, messages));
            String said =
                    "stopped by a gate at step 12 of 24: exact accuracy 0.0000, expected at least 0.9 from step 7 on;"
                            + " --resume " + folder + " gates=[] goes on all the same";
            assertEquals(said, messages.get(messages.size() - 1));
            assertTrue(Files.readString(folder.resolve("log.txt")).contains(said));
            assertEquals(12, Checkpoint.step(Checkpoint.open(folder, message -> {})));
        }
        assertEquals(Run.Outcome.FINISHED, run(config(), folder, true, messages));
        assertArrayEquals(checkpoint(without, 24), checkpoint(folder, 24));
    }

    /** What the last evaluation of a run finds stops nothing: it is over. */
    @Test
    void gatesThatAreNotReachedChangeNothing() throws IOException {
        Path folder = temp.resolve("run");
        String late = "gates=[{step: 19, exact_accuracy: 0.5}, {step: 4000, exact_accuracy: 1}]";
        assertEquals(Run.Outcome.FINISHED, run(config(late), folder, false, messages));
        byte[] found = checkpoint(folder, 24);
        assertEquals(Run.Outcome.ALREADY_FINISHED, run(config(late), folder, true, messages));
        assertArrayEquals(found, checkpoint(folder, 24));
        assertEquals(
                Checkpoint.open(without, message -> {}).names(),
                Checkpoint.open(folder, message -> {}).names());
        for (String name : Checkpoint.open(without, message -> {}).names()) {
            assertEquals(
                    Checkpoint.open(without, message -> {}).bytes(name),
                    Checkpoint.open(folder, message -> {}).bytes(name),
                    name);
        }
    }

    @Test
    void theLastGateThatHasBegunCounts() {
        TrainConfig config = config("gates=[{step: 2000, exact_accuracy: 0.15}, {step: 4000, exact_accuracy: 0.45}]");
        assertTrue(config.evaluation().gateAt(1999).isEmpty());
        assertEquals(0.15, config.evaluation().gateAt(2000).orElseThrow().exactAccuracy());
        assertEquals(0.15, config.evaluation().gateAt(3999).orElseThrow().exactAccuracy());
        assertEquals(0.45, config.evaluation().gateAt(4000).orElseThrow().exactAccuracy());
        assertEquals(config, ConfigLoader.parse(ConfigLoader.toYaml(config), "x", List.of()));
    }

    @Test
    void dataThatAreNotEvaluatedOn() throws IOException {
        Path data = temp.resolve("data");
        MiniSudokuBuilder.build(data, 4, 96, 16, 1, 8);
        try (Stream<Path> files = Files.walk(data.resolve("test"))) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
        TrainConfig config = config(FIRST, "data_paths=['" + data + "']");
        assertEquals(
                "gates are given, but the data in " + data + " have no test split to evaluate on",
                assertThrows(ConfigException.class, () -> run(config, temp.resolve("run"), false, messages))
                        .getMessage());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "gates=0.15 | gates is 0.15; expected a list of [{step: 2000, exact_accuracy: 0.15}]",
                "gates=[[2000, 0.15]] | expected tables with step, exact_accuracy, but it contains a list",
                "gates=[{step: 2000}] | expected tables with step, exact_accuracy, but it contains a table",
                "gates=[{step: 2000, exact_accuracy: 0.1, f: 1}] | expected tables with step, exact_accuracy",
                "gates=[{step: 2.5, exact_accuracy: 0.1}] | step is 2.5; expected an integer",
                "gates=[{step: 2000, exact_accuracy: half}] | exact_accuracy is half; expected a number",
                "gates=[{step: 0, exact_accuracy: 0.1}] | step 0 must be above 0, in order",
                "gates=[{step: 9, exact_accuracy: 0.1}, {step: 9, exact_accuracy: 0.2}] | step 9 must be above 9, in order",
                "gates=[{step: 9, exact_accuracy: 0}] | exact_accuracy 0.0 must be above 0 and at most 1, as a share",
                "gates=[{step: 9, exact_accuracy: 15}] | exact_accuracy 15.0 must be above 0 and at most 1, as a share",
                "gates=[{step: 9, exact_accuracy: 0.1}];eval_interval=null | eval_interval must be given, and be less than epochs",
                "gates=[{step: 9, exact_accuracy: 0.1}];eval_interval=4 | eval_interval must be given, and be less than epochs",
            })
    void whatIsNoGate(String overrides, String expected) {
        String message = assertThrows(ConfigException.class, () -> config(overrides.split(";")))
                .getMessage();
        assertTrue(message.contains(expected.strip()), message);
    }
}
