package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.arc.ArcBuilder;
import trm.data.arc.ArcFiles;
import trm.data.arc.ArcTask;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.cpu.CpuBackend;
import trm.io.CheckpointStore;
import trm.io.SafeTensors;
import trm.model.Parameters;

/**
 * A tiny model of ARC meets a task that it was not trained on. Oracle: its own file for what must stay, a run with {@code
 * freeze_weights} in a folder for what must change.
 */
class AdaptationTest {
    private static final Path TASKS = Path.of("tests/golden/datasets/arc_tiny/input/arc_evaluation_challenges.json");
    private static final int TRAINED_STEPS = 40;
    private static final int WIDTH = 16;

    @TempDir
    private static Path shared;

    private static TrainConfig trained;
    /** At which so small a model shows it soon. */
    private static final double RATE = 1;

    private static SafeTensors weights;

    @TempDir
    private Path temp;

    @BeforeAll
    static void train() {
        Path data = shared.resolve("data");
        String prefix = Path.of("tests/golden/datasets/arc_tiny/input/arc").toString();
        ArcBuilder.build(prefix, List.of("training"), List.of(), data, 4, 3, note -> {});
        trained = ConfigLoader.parse(
                String.join(
                        "\n",
                        "data_paths: ['" + data + "']",
                        "arch:",
                        "  hidden_size: " + WIDTH,
                        "  num_heads: 1",
                        "  expansion: 1",
                        "  mlp_t: false",
                        "  pos_encodings: rope",
                        "  H_cycles: 1",
                        "  L_cycles: 1",
                        "  L_layers: 1",
                        "  puzzle_emb_len: 1",
                        "  halt_max_steps: 2",
                        "  forward_dtype: float32",
                        "global_batch_size: 4",
                        "epochs: 100",
                        "max_steps: " + TRAINED_STEPS,
                        "lr: 1e-2",
                        "lr_warmup_steps: 2",
                        "puzzle_emb_lr: 1e-2",
                        "puzzle_emb_weight_decay: 0.1",
                        "ema_rate: 0.5",
                        "threads: 2",
                        ""),
                "test",
                List.of());
        run(trained, shared.resolve("run"));
        weights = SafeTensors.open(new CheckpointStore(shared.resolve("run/checkpoints"), 1).path(TRAINED_STEPS));
    }

    private static void run(TrainConfig config, Path folder) {
        try (Backend backend = new CpuBackend(2)) {
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
                            // not looked at
                        }
                    })
                    .run(false);
        }
    }

    /** The folder of a task with some copies. */
    private Path folder(String name, int copies) {
        Path folder = temp.resolve(name + copies);
        ArcTask task = ArcFiles.task(TASKS, name);
        ArcBuilder.build(task, folder, copies, 5, note -> {});
        return folder;
    }

    private static float[] meanOfTable() {
        float[] table = weights.floats(Checkpoint.PUZZLES);
        double[] sums = new double[WIDTH];
        for (int i = 0; i < table.length; i++) {
            sums[i % WIDTH] += table[i];
        }
        float[] mean = new float[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            mean[i] = (float) (sums[i] / (table.length / WIDTH));
        }
        return mean;
    }

    private static void assertWeightsAreTheFiles(Backend backend, Parameters parameters) {
        for (String name : parameters.names()) {
            float[] average = weights.floats("ema." + name);
            assertArrayEquals(average, HostCopy.floats(backend, parameters.masterOf(name)), name);
            assertArrayEquals(average, HostCopy.floats(backend, parameters.averageOf(name)), name);
        }
    }

    /** The vectors of the task and its copies move, nothing else does, and the loss of the demonstrations falls. */
    @Test
    void onlyVectorsAreTrained() throws IOException {
        Path folder = folder("66e6c45b", 2);
        List<Double> losses = new ArrayList<>();
        float[] first;
        try (Backend backend = new CpuBackend(2);
                Adaptation adaptation = Adaptation.of(backend, trained, weights, folder, 60, RATE)) {
            Parameters parameters = adaptation.parameters();
            assertEquals(4, adaptation.lanes());
            assertEquals(6, adaptation.demonstrations());
            assertEquals(4, adaptation.measured());
            assertWeightsAreTheFiles(backend, parameters);
            float[] mean = meanOfTable();
            float[] before = HostCopy.floats(backend, parameters.puzzleTable());
            assertEquals(4 * WIDTH, before.length);
            for (int row = 0; row < 4; row++) {
                assertArrayEquals(mean, Arrays.copyOfRange(before, row * WIDTH, (row + 1) * WIDTH));
            }
            double loss = adaptation.loss();
            assertEquals(60, adaptation.train(0, (step, mean10) -> losses.add(mean10)));
            assertEquals(10, losses.size());
            assertTrue(adaptation.loss() < 0.995 * loss, loss + " to " + adaptation.loss() + ", " + losses);
            assertWeightsAreTheFiles(backend, parameters);
            first = HostCopy.floats(backend, parameters.puzzleTable());
            assertArrayEquals(mean, Arrays.copyOf(first, WIDTH), "the blank one");
            for (int row = 1; row < 4; row++) {
                float[] vector = Arrays.copyOfRange(first, row * WIDTH, (row + 1) * WIDTH);
                assertFalse(Arrays.equals(mean, vector), "vector " + row);
            }
            double again = adaptation.loss();
            assertEquals(again, adaptation.loss());
        }
        assertArrayEquals(first, inARun(folder, 60));
    }

    /** The same by {@code load_checkpoint} and {@code freeze_weights}. */
    private float[] inARun(Path folder, int steps) throws IOException {
        TrainConfig frozen = trained.adapting(List.of(folder.toString()), 4, steps, RATE);
        assertTrue(frozen.optimizer().freezeWeights());
        TrainConfig config = ConfigLoader.parse(
                ConfigLoader.toYaml(frozen), "test", List.of("load_checkpoint='" + weights.file() + "'"));
        Path run = temp.resolve("run");
        run(config, run);
        Path file = new CheckpointStore(run.resolve("checkpoints"), 1).path(steps);
        assertTrue(Files.isRegularFile(file));
        return SafeTensors.open(file).floats(Checkpoint.PUZZLES);
    }

    /** A table of as many rows as the file's knows other puzzles all the same. */
    @Test
    void equallyManyPuzzles() {
        int rows = (int) weights.entry(Checkpoint.PUZZLES).shape()[0];
        try (Backend backend = new CpuBackend(2);
                Adaptation adaptation =
                        Adaptation.of(backend, trained, weights, folder("66e6c45b", rows - 2), 1, RATE)) {
            float[] table = HostCopy.floats(backend, adaptation.parameters().puzzleTable());
            assertEquals(rows * WIDTH, table.length);
            float[] mean = meanOfTable();
            for (int row = 0; row < rows; row++) {
                assertArrayEquals(mean, Arrays.copyOfRange(table, row * WIDTH, (row + 1) * WIDTH));
            }
        }
    }

    /** At least one step is made, however short the time. */
    @Test
    void timeIsOver() {
        List<Integer> told = new ArrayList<>();
        try (Backend backend = new CpuBackend(2);
                Adaptation adaptation = Adaptation.of(backend, trained, weights, folder("66e6c45b", 1), 1000, RATE)) {
            assertEquals(1, adaptation.train(1e-9, (step, loss) -> told.add(step)));
        }
        assertEquals(List.of(1), told);
    }

    /** What the settings ask for the weights does not stand in the way: Muon, clipping, a schedule, its own data and memory. */
    @Test
    void settingsOfOtherRuns() {
        TrainConfig other = ConfigLoader.parse(
                ConfigLoader.toYaml(trained),
                "test",
                List.of(
                        "optimizer=muon",
                        "muon_lr=0.1",
                        "max_grad_norm=1",
                        "carry_from_step=5",
                        "ema_from_step=3",
                        "lr_min_ratio=0.1",
                        "max_train_seconds=100",
                        "load_checkpoint=others.safetensors",
                        "begin_step=5",
                        "gates=[{step: 20, exact_accuracy: 0.1}]",
                        "eval_batch_size=64",
                        "eval_interval=10",
                        "micro_batches=2",
                        "data_shape={seq_len: 900, vocab_size: 12, num_puzzle_identifiers: 11}"));
        TrainConfig frozen = other.adapting(List.of("somewhere"), 3, 7, RATE);
        assertEquals(
                trained.adapting(List.of("somewhere"), 3, 7, RATE),
                ConfigLoader.parse(
                        ConfigLoader.toYaml(frozen),
                        "test",
                        List.of("optimizer=" + trained.optimizer().kind().key())));
        assertEquals(7, frozen.schedule().mostSteps());
        assertEquals(3, frozen.evaluationLanes());
    }
}
