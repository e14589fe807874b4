package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.CompactBuilder;
import trm.data.Dataset;
import trm.data.arc.ArcBuilder;
import trm.data.maze.MazePuzzle;
import trm.data.puzzle.Puzzle;
import trm.data.sudoku.SudokuBuilder;
import trm.data.sudoku.SudokuPuzzle;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.cpu.CpuBackend;
import trm.io.CheckpointStore;
import trm.io.SafeTensors;
import trm.lanes.DeviceExamples;

/** Runs with symmetries that are drawn at every admission; what is drawn is the matter of {@code LanesTest}. */
class FreshAugmentationTest {
    @TempDir
    private Path temp;

    private static TrainConfig config(Path data, String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + data + "']",
                "augment: fresh",
                "arch:",
                "  hidden_size: 32",
                "  num_heads: 4",
                "  mlp_t: true",
                "  pos_encodings: none",
                "  H_cycles: 1",
                "  L_cycles: 2",
                "  L_layers: 1",
                "  expansion: 1",
                "  puzzle_emb_ndim: 0",
                "  halt_max_steps: 3",
                "  forward_dtype: float32",
                "global_batch_size: 4",
                "epochs: 12",
                "max_steps: 24",
                "lr: 3e-3",
                "lr_warmup_steps: 5",
                "log_every_steps: 4",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    private Path sudoku() {
        Path out = temp.resolve("sudoku");
        Path csv = Path.of("data/sudoku");
        SudokuBuilder.build(csv.resolve("train.csv"), csv.resolve("test.csv"), out, 8, 1, null, 42, 4, true);
        return out;
    }

    /** Runs, asking it to stop at a row of metrics; its listener counts the rest. */
    private static Run.Outcome run(TrainConfig config, Path folder, boolean resume, long stopAt) {
        try (Backend backend = new CpuBackend(2)) {
            Run[] run = new Run[1];
            run[0] = new Run(backend, config, folder, new Run.Listener() {
                @Override
                public void row(MetricsRow row, long totalSteps) {
                    if (row.step() >= stopAt) {
                        run[0].requestStop();
                    }
                }

                @Override
                public void evaluating(long step, long puzzles) {}

                @Override
                public void message(String text) {}
            });
            return run[0].run(resume);
        }
    }

    private static Path checkpoint(Path folder, long step) {
        return new CheckpointStore(folder.resolve("checkpoints"), 1).path(step);
    }

    @Test
    void resumesBitForBit() throws IOException {
        TrainConfig config = config(sudoku());
        Path whole = temp.resolve("whole");
        Path halves = temp.resolve("halves");
        assertEquals(Run.Outcome.FINISHED, run(config, whole, false, Long.MAX_VALUE));
        assertEquals(Run.Outcome.STOPPED, run(config, halves, false, 8));
        assertTrue(Files.notExists(checkpoint(halves, 24)));
        assertEquals(Run.Outcome.FINISHED, run(config, halves, true, Long.MAX_VALUE));
        assertArrayEquals(Files.readAllBytes(checkpoint(whole, 24)), Files.readAllBytes(checkpoint(halves, 24)));
    }

    /** Where every lane takes a sample at every step, parts of the batch take those of the whole. */
    @Test
    void partsTakeTheSamplesOfTheWhole() {
        Path data = sudoku();
        List<int[]> inputs = new ArrayList<>();
        for (int parts : new int[] {1, 2, 4}) {
            Path folder = temp.resolve("parts" + parts);
            run(config(data, "arch.halt_max_steps=1", "micro_batches=" + parts), folder, false, Long.MAX_VALUE);
            inputs.add(SafeTensors.open(checkpoint(folder, 24)).ints("lanes.inputs"));
        }
        assertArrayEquals(inputs.get(0), inputs.get(1));
        assertArrayEquals(inputs.get(0), inputs.get(2));
    }

    /** Every sample is a symmetry of its task, question and answer alike, and none comes twice. */
    @ParameterizedTest
    @CsvSource({"sudoku, true", "maze, false"})
    void samplesAreSymmetriesOfTheirTasks(String name, boolean allDiffer) {
        Puzzle kind = name.equals("maze") ? MazePuzzle.INSTANCE : SudokuPuzzle.INSTANCE;
        Path folder = name.equals("maze") ? temp.resolve("maze") : sudoku();
        if (name.equals("maze")) {
            CompactBuilder.build(Path.of("tests/golden/datasets/maze_small/expected"), folder);
        }
        Dataset data = Dataset.open(folder, "train");
        TrainConfig config = config(folder, "arch.halt_max_steps=1");
        Set<String> seen = new HashSet<>();
        int samples = 0;
        try (Backend backend = new CpuBackend(1);
                Arena arena = new Arena(backend);
                RunTensors tensors = RunTensors.allocate(
                        backend, arena, config, RunTensors.DataSizes.of(data, null, config.data()), 100)) {
            DeviceExamples.upload(backend, data, tensors.trainExamples());
            tensors.parameters().initialize(3);
            tensors.parameters().refreshWorking();
            for (int step = 0; step < 40; step++) {
                int from = 4 * step;
                int[] rows = IntStream.range(0, 4)
                        .map(b -> (from + b) % data.examples())
                        .toArray();
                tensors.supervision().step(rows.clone());
                int[] inputs =
                        HostCopy.ints(backend, tensors.supervision().lanes().inputs());
                int[] labels =
                        HostCopy.ints(backend, tensors.supervision().lanes().labels());
                for (int b = 0; b < rows.length; b++) {
                    int[] input = Arrays.copyOfRange(inputs, b * data.seqLen(), (b + 1) * data.seqLen());
                    int[] label = Arrays.copyOfRange(labels, b * data.seqLen(), (b + 1) * data.seqLen());
                    assertEquals(
                            kind.canonical(data.inputRow(rows[b]), data.labelRow(rows[b])),
                            kind.canonical(input, label));
                    assertTrue(kind.solves(input, label));
                    assertEquals(blanks(data.inputRow(rows[b])), blanks(input));
                    seen.add(Arrays.toString(input));
                    samples++;
                }
            }
        }
        assertTrue(allDiffer ? seen.size() == samples : seen.size() > data.storedRows(), seen.size() + " different");
    }

    private static long blanks(int[] tokens) {
        return Arrays.stream(tokens).filter(t -> t == 1).count();
    }

    @Test
    void dataWithoutSymmetriesOrCopiesAreRefused() {
        Path csv = Path.of("data/sudoku");
        Path expanded = temp.resolve("expanded");
        SudokuBuilder.build(csv.resolve("train.csv"), csv.resolve("test.csv"), expanded, 8, 1, null, 42, 4, false);
        assertRefused(expanded, "found the expanded form, which does not say which examples are copies");
        Path arc = temp.resolve("arc");
        ArcBuilder.build(
                "tests/golden/datasets/arc_tiny/input/arc",
                List.of("training", "evaluation"),
                List.of("evaluation"),
                arc,
                3,
                1,
                1,
                true,
                note -> {});
        assertRefused(arc, "found arc puzzles, expected Sudokus or mazes, whose symmetries are known");
    }

    private void assertRefused(Path data, String why) {
        Path folder = temp.resolve("refused");
        String message = assertThrows(ConfigException.class, () -> run(config(data), folder, false, 1))
                .getMessage();
        assertTrue(message.startsWith("augment is fresh: " + data + ": " + why), message);
        assertTrue(Files.notExists(folder), "nothing is written");
    }

    /** The device holds tasks and the origins of examples, no records. */
    @Test
    void recordsAreNotKept() {
        Dataset data = Dataset.open(sudoku(), "train");
        TrainConfig config = config(temp.resolve("sudoku"));
        DeviceExamples.Size size =
                RunTensors.DataSizes.of(data, null, config.data()).train();
        assertEquals(0, size.augmentations());
        assertEquals(8, size.storedRows());
        assertEquals(16, size.examples());
    }
}
