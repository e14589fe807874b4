package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.CompactBuilder;
import trm.data.Dataset;
import trm.data.arc.ArcBuilder;
import trm.data.sudoku.SudokuBuilder;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.DeviceException;
import trm.device.cpu.CpuBackend;
import trm.evaluation.Evaluator;
import trm.evaluation.Score;
import trm.io.CheckpointStore;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;

/** Training on the compact form of a data set. Oracle: the same run on the expanded form. Bound: none, equal bytes. */
class CompactRunTest {
    @TempDir
    private Path temp;

    /** Four passes, an evaluation after each second one; lanes halt after up to 3 steps. */
    private static TrainConfig config(Path data, String dtype, String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + data + "']",
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
                "  forward_dtype: " + dtype,
                "global_batch_size: 4",
                "epochs: 12",
                "eval_interval: 6",
                "lr: 3e-3",
                "lr_warmup_steps: 5",
                "log_every_steps: 4",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    /** Trains on a folder under a name that is the same for all, as a checkpoint holds it; returns the last checkpoint. */
    private byte[] train(Path folder, String dtype, long steps, String... overrides) throws IOException {
        Path data = temp.resolve("data");
        Files.deleteIfExists(data);
        Files.createSymbolicLink(data, folder.toAbsolutePath());
        Path run = Files.createTempDirectory(temp, "run");
        try (Backend backend = new CpuBackend(2)) {
            Run.Listener silent = new Run.Listener() {
                @Override
                public void row(MetricsRow row, long totalSteps) {}

                @Override
                public void evaluating(long step, long puzzles) {}

                @Override
                public void message(String text) {}
            };
            assertEquals(
                    Run.Outcome.FINISHED, new Run(backend, config(data, dtype, overrides), run, silent).run(false));
        } catch (DeviceException e) {
            abort("this processor cannot run " + dtype + ": " + e.getMessage());
        }
        return Files.readAllBytes(new CheckpointStore(run.resolve("checkpoints"), 1).path(steps));
    }

    @ParameterizedTest
    @ValueSource(strings = {"float32", "bfloat16"})
    void sudoku(String dtype) throws IOException {
        Path train = Path.of("data/sudoku/train.csv");
        Path test = Path.of("data/sudoku/test.csv");
        Path expanded = temp.resolve("expanded");
        Path compact = temp.resolve("compact");
        SudokuBuilder.build(train, test, expanded, 8, 6, null, 42, 6, false);
        SudokuBuilder.build(train, test, compact, 8, 6, null, 42, 6, true);
        assertEquals(8, Dataset.open(compact, "train").storedRows());
        assertArrayEquals(train(expanded, dtype, 24), train(compact, dtype, 24));
    }

    @Test
    void mazes() throws IOException {
        Path expanded = Path.of("tests/golden/datasets/maze_small/expected");
        Path compact = temp.resolve("compact");
        CompactBuilder.build(expanded, compact);
        assertEquals(6, Dataset.open(compact, "train").storedRows());
        assertArrayEquals(train(expanded, "float32", 18), train(compact, "float32", 18));
    }

    /** Three steps and votes on one task. */
    @Test
    void arc() throws IOException {
        String prefix = "tests/golden/datasets/arc_tiny/input/arc";
        List<byte[]> ends = new ArrayList<>();
        for (boolean compact : new boolean[] {false, true}) {
            Path out = temp.resolve(compact + "");
            List<String> subsets = List.of("training", "evaluation");
            ArcBuilder.build(prefix, subsets, List.of("evaluation"), out, 3, 1, 1, compact, note -> {});
            ends.add(train(out, "float32", 3, "max_steps=3", "arch.expansion=1"));
        }
        assertArrayEquals(ends.get(0), ends.get(1));
    }

    /** An evaluation of augmented examples, those of the training split. */
    @Test
    void evaluation() throws IOException {
        Path expanded = Path.of("tests/golden/datasets/maze_small/expected");
        Path compact = temp.resolve("compact");
        CompactBuilder.build(expanded, compact);
        assertEquals(evaluate(Dataset.open(expanded, "train")), evaluate(Dataset.open(compact, "train")));
    }

    private static Score evaluate(Dataset data) {
        TrainConfig config = config(Path.of("none"), "float32");
        DataShape shape = new DataShape(
                data.seqLen(), data.info().vocabSize(), data.info().numPuzzleIdentifiers());
        ModelSizes sizes = new ModelSizes(config.arch(), shape, 5);
        try (Backend backend = new CpuBackend(2);
                Arena arena = new Arena(backend)) {
            Parameters parameters = new Parameters(backend, arena, sizes, false);
            parameters.initialize(3);
            parameters.refreshWorking();
            try (Evaluator evaluator = new Evaluator(backend, arena, sizes, parameters, parameters.weights(), 2)) {
                Score result = evaluator.evaluate(DeviceExamples.upload(backend, arena, data), Long.MAX_VALUE);
                assertEquals(data.examples(), result.puzzles());
                return result;
            }
        }
    }

    /** The plan counts the bytes of the compact form. */
    @Test
    void plan() {
        Path sudoku = Path.of("data/sudoku");
        Path out = temp.resolve("compact");
        SudokuBuilder.build(sudoku.resolve("train.csv"), sudoku.resolve("test.csv"), out, 100, 50, null, 1, 1, true);
        DeviceExamples.Size size = DeviceExamples.Size.of(Dataset.open(out, "train"));
        assertEquals(new DeviceExamples.Size(5100, 100, 5001, 30, 0), size);
        try (Arena arena = new Arena(Devices.absentGpu())) {
            DeviceExamples.allocate(arena, size, 81);
            long bytes = arena.layout().totalBytes();
            long exact = 2 * 100 * 81 + 5100 * (4 + 8) + 5001 * 30;
            assertTrue(bytes >= exact && bytes <= exact + 5 * 256, bytes + ", by hand " + exact);
        }
    }
}
