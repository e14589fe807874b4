package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.format.Npy;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Backend;
import trm.device.DeviceException;
import trm.device.cpu.CpuBackend;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.MetricsCsv;
import trm.io.SafeTensors;

/**
 * Runs of 30 steps over 300 puzzles of side 4. Oracle: the same run without interruption. Bound: none; checkpoints are
 * compared byte for byte, metrics as text but for the columns of the clock.
 */
class RunTest {
    private static final int STEPS = 30;

    /** Rows: steps 4, 8, 12, 16, evaluation after 18, steps 20, 24, 28, 30, evaluation after 30. */
    private static final int ROWS = 10;

    private static final int EVALUATION_ROW = 5;

    @TempDir
    private static Path shared;

    private static CpuBackend backend;
    private static final Map<String, Path> STRAIGHT = new HashMap<>();

    @TempDir
    private Path temp;

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 300, 40, 1, 8);
        backend = new CpuBackend(2);
    }

    @AfterAll
    static void close() {
        STRAIGHT.clear();
        backend.close();
    }

    private static TrainConfig config(String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + shared.resolve("data") + "']",
                "arch:",
                "  hidden_size: 32",
                "  num_heads: 4",
                "  mlp_t: true",
                "  pos_encodings: none",
                "  H_cycles: 2",
                "  L_cycles: 2",
                "  L_layers: 1",
                "  puzzle_emb_ndim: 32",
                "  puzzle_emb_len: 1",
                "  halt_max_steps: 4",
                "  forward_dtype: float32",
                "global_batch_size: 16",
                "epochs: 3",
                "eval_interval: 1",
                "max_steps: " + STEPS,
                "checkpoint_every_steps: 7",
                "checkpoint_keep: 20",
                "log_every_steps: 4",
                "lr: 3e-3",
                "lr_warmup_steps: 5",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    /** A variant of the settings above, or shipped ones for as short a run on the same data. */
    private static TrainConfig configOf(String name) {
        if (!name.startsWith("mini-")) {
            return config(variant(name));
        }
        return ConfigLoader.load(
                Path.of("configs", "cpu", name + ".yaml"),
                List.of(
                        "data_paths=['" + shared.resolve("data") + "']",
                        "global_batch_size=16",
                        "epochs=3",
                        "eval_interval=1",
                        "max_steps=" + STEPS,
                        "checkpoint_every_steps=7",
                        "checkpoint_keep=20",
                        "log_every_steps=4",
                        "lr=3e-3",
                        "lr_warmup_steps=5"));
    }

    private static String[] variant(String name) {
        return switch (name) {
            case "mlp" -> new String[0];
            case "rope" -> new String[] {"arch.mlp_t=false", "arch.pos_encodings=rope"};
            case "bf16" -> new String[] {"dtype=bfloat16"};
            case "levers" ->
                new String[] {
                    "arch.loss={loss_type: softmax_cross_entropy, label_smoothing: 0.2, halt_loss_weight: 0.05}",
                    "arch.puzzle_emb_ndim=0",
                    "arch.puzzle_emb_len=0",
                    "arch.learned_prefix=1",
                    "carry_from_step=6",
                    "ema_rate=0.9",
                    "ema_from_step=10",
                    "lr_min_ratio=0",
                    "max_grad_norm=1",
                    "depth_schedule=[{until: 0.2, H_cycles: 1, L_cycles: 1}, {until: 0.5, H_cycles: 2, L_cycles: 1}]"
                };
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static final class Crash extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    /** Collects rows and messages; stops or crashes the run at a row. */
    private static final class Recorder implements Run.Listener {
        private final List<MetricsRow> rows = new ArrayList<>();
        private final List<String> messages = new ArrayList<>();
        private int stopAt;
        private int crashAt;
        private boolean stopInEvaluation;
        private int puzzlesBefore = 40; // the last evaluation
        private Run run;

        @Override
        public void row(MetricsRow row, long totalSteps) {
            assertEquals(STEPS, totalSteps);
            rows.add(row);
            if (rows.size() == stopAt) {
                run.requestStop();
            }
            if (rows.size() == crashAt) {
                throw new Crash();
            }
        }

        @Override
        public void evaluating(long step, long puzzles) {
            assertEquals(step < STEPS ? puzzlesBefore : 40, puzzles);
            if (stopInEvaluation) {
                run.requestStop();
            }
        }

        @Override
        public void message(String text) {
            messages.add(text);
        }
    }

    private static Run.Outcome run(
            Backend on, TrainConfig config, Path folder, boolean resume, int stopAt, Recorder recorder) {
        recorder.stopAt = stopAt;
        recorder.run = new Run(on, config, folder, recorder);
        return recorder.run.run(resume);
    }

    private static Recorder finish(TrainConfig config, Path folder, boolean resume) {
        Recorder recorder = new Recorder();
        assertEquals(Run.Outcome.FINISHED, run(backend, config, folder, resume, 0, recorder));
        return recorder;
    }

    private static Path straight(String variant) {
        return STRAIGHT.computeIfAbsent(variant, name -> {
            Path folder = shared.resolve("straight-" + name);
            try {
                assertEquals(ROWS, finish(configOf(name), folder, false).rows.size());
            } catch (DeviceException e) {
                abort("this processor cannot run " + name + ": " + e.getMessage());
            }
            return folder;
        });
    }

    private static Path checkpoint(Path folder, long step) {
        return new CheckpointStore(folder.resolve("checkpoints"), 1).path(step);
    }

    private static List<Long> steps(Path folder) {
        return new CheckpointStore(folder.resolve("checkpoints"), 1)
                .list().stream()
                        .map(file -> CheckpointStore.stepOf(file).orElseThrow())
                        .sorted()
                        .toList();
    }

    /** metrics.csv without the columns of the clock. */
    private static List<String> metrics(Path folder) throws IOException {
        List<String> lines = Files.readAllLines(folder.resolve("metrics.csv"));
        String[] header = lines.get(0).split(",", -1);
        int[] kept = IntStream.range(0, header.length)
                .filter(i -> !header[i].endsWith("_seconds") && !header[i].endsWith("_per_second"))
                .toArray();
        assertEquals(header.length - 2, kept.length);
        return lines.stream()
                .map(line -> line.split(",", -1))
                .map(cells -> Arrays.stream(kept).mapToObj(i -> cells[i]).collect(Collectors.joining(",")))
                .toList();
    }

    private static void assertSameEnd(Path expected, Path found) throws IOException {
        assertEquals(metrics(expected), metrics(found));
        assertArrayEquals(
                Files.readAllBytes(checkpoint(expected, STEPS)), Files.readAllBytes(checkpoint(found, STEPS)));
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectories(to.resolve("checkpoints"));
        for (String name : List.of("config.yaml", "metrics.csv")) {
            Files.copy(from.resolve(name), to.resolve(name));
        }
        for (long step : steps(from)) {
            Files.copy(checkpoint(from, step), checkpoint(to, step));
        }
    }

    private static void keepUpTo(Path folder, long last) throws IOException {
        for (long step : steps(folder)) {
            if (step > last) {
                Files.delete(checkpoint(folder, step));
            }
        }
    }

    /** Checkpoints lie where they were asked for, after each pass and at the end; evaluations after each pass. */
    @Test
    void straightRun() throws IOException {
        Path folder = straight("mlp");
        assertEquals(List.of(7L, 14L, 18L, 21L, 28L, 30L), steps(folder));
        List<String> lines = metrics(folder);
        assertEquals(ROWS + 1, lines.size());
        int puzzles = MetricsRow.Column.EVAL_PUZZLES.ordinal();
        List<String> evaluations = lines.stream()
                .skip(1)
                .map(line -> line.split(",", -1))
                .filter(cells -> !cells[puzzles].isEmpty())
                .map(cells -> cells[0] + ":" + cells[puzzles])
                .toList();
        assertEquals(List.of("18:40", "30:40"), evaluations);
    }

    /** lm_loss + halt_loss_weight (q_halt_loss + q_continue_loss), of the columns that the file has. */
    @ParameterizedTest
    @CsvSource({"mlp,0.5", "levers,0.05", "mini-act,0.5"})
    void totalLoss(String variant, double weight) {
        List<Map<String, Double>> rows = MetricsCsv.read(straight(variant).resolve("metrics.csv"));
        int halting = 0;
        for (Map<String, Double> row : rows) {
            if (row.containsKey("lm_loss")) {
                double q = row.get("q_halt_loss") + row.getOrDefault("q_continue_loss", 0.0);
                assertEquals(row.get("lm_loss") + weight * q, row.get("total_loss"), 1e-12);
                halting += q > 0 ? 1 : 0;
            }
        }
        assertTrue(halting > 0);
        assertEquals(variant.equals("mini-act"), rows.get(0).containsKey("q_continue_loss"));
    }

    /** Stopped after a logged step, after an evaluation, and between the last step and its evaluation. */
    @ParameterizedTest
    @CsvSource({
        "mlp,1",
        "mlp,4",
        "mlp,5",
        "mlp,6",
        "mlp,9",
        "rope,3",
        "rope,5",
        "bf16,3",
        "bf16,5",
        "levers,1",
        "levers,2",
        "levers,4"
    })
    void stopAndResume(String variant, int row) throws IOException {
        Path straight = straight(variant);
        TrainConfig config = configOf(variant);
        Recorder recorder = new Recorder();
        assertEquals(Run.Outcome.STOPPED, run(backend, config, temp, false, row, recorder));
        assertEquals(row, recorder.rows.size());
        assertEquals(ROWS - row, finish(config, temp, true).rows.size());
        assertSameEnd(straight, temp);
    }

    /** The shipped settings of every system for puzzles of side 4. */
    private static Stream<String> shipped() throws IOException {
        try (Stream<Path> files = Files.list(Path.of("configs", "cpu"))) {
            return files
                    .map(file -> file.getFileName().toString().replace(".yaml", ""))
                    .filter(name -> name.startsWith("mini-"))
                    .sorted()
                    .toList()
                    .stream();
        }
    }

    @ParameterizedTest
    @MethodSource("shipped")
    void shippedSettingsStopResumeAndLearn(String name) throws IOException {
        stopAndResume(name, 3);
        lossFalls(name);
    }

    /** An evaluation is given up, its row is missing, and the run that continues repeats it. */
    @Test
    void stopInEvaluation() throws IOException {
        Recorder recorder = new Recorder();
        recorder.stopInEvaluation = true;
        assertEquals(Run.Outcome.STOPPED, run(backend, config(), temp, false, 0, recorder));
        assertEquals(EVALUATION_ROW - 1, recorder.rows.size());
        assertEquals(List.of(7L, 14L, 18L), steps(temp));
        assertEquals(
                ROWS - EVALUATION_ROW + 1, finish(config(), temp, true).rows.size());
        assertSameEnd(straight("mlp"), temp);
    }

    /** Every evaluation but the last is on some of the puzzles, the same ones however often the run is stopped. */
    @Test
    void evaluationOfSomePuzzles() throws IOException {
        TrainConfig config = config("eval_puzzles=15");
        Recorder recorder = new Recorder();
        recorder.puzzlesBefore = 15;
        Path whole = temp.resolve("whole");
        assertEquals(Run.Outcome.FINISHED, run(backend, config, whole, false, 0, recorder));
        List<String> expected = new ArrayList<>(metrics(straight("mlp")));
        List<String> found = metrics(whole);
        String some = found.get(EVALUATION_ROW);
        assertEquals("15", some.split(",", -1)[MetricsRow.Column.EVAL_PUZZLES.ordinal()]);
        assertTrue(recorder.rows.get(EVALUATION_ROW - 1).describe(STEPS).contains("evaluation: 15 puzzles"));
        assertTrue(Files.readString(whole.resolve("log.txt")).contains("evaluating 15 of 40 puzzles at step 18"));
        assertEquals(scoreOfFolder(TrainingLoop.evaluationRows(40, 15)), some);
        expected.set(EVALUATION_ROW, some);
        assertEquals(expected, found, "training and the last evaluation are those of the run with whole ones");
        for (int row : new int[] {EVALUATION_ROW - 1, EVALUATION_ROW}) {
            Path stopped = temp.resolve("stopped-" + row);
            for (int part = 0; part < 2; part++) {
                Recorder again = new Recorder();
                again.puzzlesBefore = 15;
                run(backend, config, stopped, part == 1, part == 0 ? row : 0, again);
            }
            assertSameEnd(whole, stopped);
        }
    }

    /** The row of metrics after 18 steps where the test split holds these puzzles only. */
    private String scoreOfFolder(int[] rows) throws IOException {
        Path data = temp.resolve("some");
        for (Path file : List.of(Path.of("train"), Path.of("test"))) {
            Files.createDirectories(data.resolve(file));
            try (Stream<Path> files = Files.list(shared.resolve("data").resolve(file))) {
                for (Path from : files.toList()) {
                    Files.copy(from, data.resolve(file).resolve(from.getFileName()));
                }
            }
        }
        Dataset all = Dataset.open(data, "test");
        byte[][] tokens = new byte[2][rows.length * 16];
        for (int i = 0; i < rows.length; i++) {
            for (int t = 0; t < 16; t++) {
                tokens[0][16 * i + t] = (byte) all.inputRow(rows[i])[t];
                tokens[1][16 * i + t] = (byte) all.labelRow(rows[i])[t];
            }
        }
        Path test = data.resolve("test");
        Npy.write(test.resolve("all__inputs.npy"), new int[] {rows.length, 16}, tokens[0]);
        Npy.write(test.resolve("all__labels.npy"), new int[] {rows.length, 16}, tokens[1]);
        int[] indices = IntStream.rangeClosed(0, rows.length).toArray();
        for (String name : List.of("all__puzzle_indices.npy", "all__group_indices.npy")) {
            Npy.write(test.resolve(name), new int[] {indices.length}, indices);
        }
        Npy.write(test.resolve("all__puzzle_identifiers.npy"), new int[] {rows.length}, new int[rows.length]);
        Path info = test.resolve("dataset.json");
        Files.writeString(
                info, Files.readString(info).replace("\"total_groups\": 40", "\"total_groups\": " + rows.length));
        Recorder recorder = new Recorder();
        recorder.puzzlesBefore = rows.length;
        Path folder = temp.resolve("some-run");
        run(backend, config("data_paths=['" + data + "']"), folder, false, EVALUATION_ROW, recorder);
        return metrics(folder).get(EVALUATION_ROW);
    }

    @Test
    void puzzlesAreSpreadEvenly() {
        assertArrayEquals(new int[] {0, 3, 6}, TrainingLoop.evaluationRows(10, 3));
        assertArrayEquals(new int[] {0, 1, 2, 3}, TrainingLoop.evaluationRows(4, 4));
        assertArrayEquals(new int[] {0, 1, 2, 3}, TrainingLoop.evaluationRows(4, 0));
        assertArrayEquals(new int[] {0, 1, 2, 3}, TrainingLoop.evaluationRows(4, 9));
        assertArrayEquals(new int[] {0}, TrainingLoop.evaluationRows(4, 1));
        int[] many = TrainingLoop.evaluationRows(2_000_000_000, 5);
        assertArrayEquals(new int[] {0, 400_000_000, 800_000_000, 1_200_000_000, 1_600_000_000}, many);
    }

    /** Stopped at every row of the run. */
    @Test
    void manyStops() throws IOException {
        TrainConfig config = config();
        Run.Outcome outcome = run(backend, config, temp, false, 1, new Recorder());
        int runs = 1;
        for (; outcome == Run.Outcome.STOPPED && runs < 2 * ROWS; runs++) {
            outcome = run(backend, config, temp, true, 1, new Recorder());
        }
        assertEquals(Run.Outcome.FINISHED, outcome);
        assertEquals(ROWS, runs);
        assertSameEnd(straight("mlp"), temp);
    }

    /** A kill leaves an older checkpoint and rows of metrics beyond it. */
    @ParameterizedTest
    @ValueSource(longs = {7, 14, 18, 21, 28})
    void killAndResume(long step) throws IOException {
        copy(straight("mlp"), temp);
        keepUpTo(temp, step);
        Recorder recorder = finish(config(), temp, true);
        assertTrue(
                recorder.messages.stream().anyMatch(m -> m.contains("at step " + step + " of " + STEPS)),
                recorder.messages.toString());
        assertSameEnd(straight("mlp"), temp);
    }

    /**
     * A checkpoint and a table of version 0.1, which knew no gradient norm, are resumed: the same run but for cells that
     * nobody can know. Step 28 has just been logged, step 21 lies between two rows.
     */
    @ParameterizedTest
    @CsvSource({"28,''", "21,NaN"})
    void resumesWhatHasNoGradientNorm(long step, String nextCell) throws IOException {
        copy(straight("mlp"), temp);
        keepUpTo(temp, step);
        SafeTensors with = SafeTensors.open(checkpoint(straight("mlp"), step));
        new CheckpointStore(temp.resolve("checkpoints"), 9).save(step, out -> {
            with.metadata().forEach((key, value) -> {
                if (!key.equals(CheckpointStore.CHECKSUM)) {
                    out.metadata(key, value);
                }
            });
            for (String name : with.names()) {
                SafeTensors.Entry e = with.entry(name);
                if (name.equals("state.metrics")) {
                    out.add(name, e.dtype(), new long[] {8}, Arrays.copyOf(with.doubles(name), 8));
                } else {
                    out.add(name, e.dtype(), e.shape(), with.bytes(name));
                }
            }
        });
        int column = MetricsRow.Column.GRAD_NORM.ordinal();
        Path csv = temp.resolve("metrics.csv");
        List<String> without = Files.readAllLines(csv).stream()
                .map(line -> {
                    List<String> cells = new ArrayList<>(List.of(line.split(",", -1)));
                    cells.remove(column);
                    return String.join(",", cells);
                })
                .toList();
        Files.write(csv, without);
        finish(config(), temp, true);
        assertArrayEquals(
                Files.readAllBytes(checkpoint(straight("mlp"), STEPS)), Files.readAllBytes(checkpoint(temp, STEPS)));
        List<String> expected = metrics(straight("mlp"));
        List<String> found = metrics(temp);
        assertEquals(expected.size(), found.size());
        for (int i = 1; i < found.size(); i++) {
            String[] want = expected.get(i).split(",", -1);
            String[] got = found.get(i).split(",", -1);
            long at = Long.parseLong(got[0]);
            if (at <= step || at == 24 && !nextCell.isEmpty()) {
                want[column] = at <= step ? "" : nextCell;
            }
            assertArrayEquals(want, got);
        }
    }

    /** Rows of training have a norm, rows of an evaluation none. */
    @Test
    void gradientNormsAreThere() throws IOException {
        int column = MetricsRow.Column.GRAD_NORM.ordinal();
        int puzzles = MetricsRow.Column.EVAL_PUZZLES.ordinal();
        List<String> lines = metrics(straight("mlp"));
        for (String line : lines.subList(1, lines.size())) {
            String[] cells = line.split(",", -1);
            if (!cells[puzzles].isEmpty()) {
                assertEquals("", cells[column]);
            } else {
                double norm = Double.parseDouble(cells[column]);
                assertTrue(norm > 1e-6 && norm < 1e3, line);
            }
        }
    }

    /**
     * The run dies just after a row was written, here also between a checkpoint and the evaluation of the same step
     * (18 is a multiple of 6).
     */
    @ParameterizedTest
    @ValueSource(ints = {2, EVALUATION_ROW, 6, 9, ROWS})
    void crashAndResume(int row) throws IOException {
        TrainConfig config = config("checkpoint_every_steps=6");
        Path straight = temp.resolve("straight");
        finish(config, straight, false);
        Path crashed = temp.resolve("crashed");
        Recorder recorder = new Recorder();
        recorder.crashAt = row;
        assertThrows(Crash.class, () -> run(backend, config, crashed, false, 0, recorder));
        finish(config, crashed, true);
        assertSameEnd(straight, crashed);
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.001, 0.5, 0.999})
    void corruptCheckpoint(double where) throws IOException {
        copy(straight("mlp"), temp);
        keepUpTo(temp, 21);
        Path newest = checkpoint(temp, 21);
        byte[] bytes = Files.readAllBytes(newest);
        bytes[(int) (bytes.length * where)] ^= 1;
        Files.write(newest, bytes);
        Recorder recorder = finish(config(), temp, true);
        String name = newest.getFileName().toString();
        assertTrue(recorder.messages.get(2).contains(name), recorder.messages.toString());
        assertTrue(recorder.messages.get(3).contains("at step 18 of"), recorder.messages.toString());
        assertSameEnd(straight("mlp"), temp);
    }

    @ParameterizedTest
    @ValueSource(strings = {"mlp", "rope", "bf16"})
    void threadsDoNotMatter(String variant) throws IOException {
        Path two = straight(variant);
        try (Backend one = new CpuBackend(1)) {
            assertEquals(Run.Outcome.FINISHED, run(one, config(variant(variant)), temp, false, 0, new Recorder()));
        } finally {
            backend.kernels().setThreads(2); // the library has one setting
        }
        assertSameEnd(two, temp);
    }

    @ParameterizedTest
    @ValueSource(strings = {"mlp", "rope", "bf16"})
    void lossFalls(String variant) throws IOException {
        int column = MetricsRow.Column.LM_LOSS.ordinal();
        List<Double> losses = metrics(straight(variant)).stream()
                .skip(1)
                .map(line -> line.split(",", -1)[column])
                .filter(cell -> !cell.isEmpty())
                .map(Double::valueOf)
                .toList();
        assertTrue(losses.get(losses.size() - 1) < 0.9 * losses.get(0), losses.toString());
    }

    @Test
    void finishedRunIsLeftAlone() throws IOException {
        copy(straight("mlp"), temp);
        List<String> before = Files.readAllLines(temp.resolve("metrics.csv"));
        Recorder recorder = new Recorder();
        assertEquals(Run.Outcome.ALREADY_FINISHED, run(backend, config(), temp, true, 0, recorder));
        assertTrue(recorder.rows.isEmpty());
        assertEquals(before, Files.readAllLines(temp.resolve("metrics.csv")));
        assertSameEnd(straight("mlp"), temp);
    }

    @Test
    void startingOverARunIsAnError() throws IOException {
        copy(straight("mlp"), temp);
        Exception e = assertThrows(FormatException.class, () -> run(backend, config(), temp, false, 0, new Recorder()));
        assertTrue(e.getMessage().contains(temp.toString()), e.getMessage());
        assertTrue(e.getMessage().contains("already holds a run"), e.getMessage());
        assertSameEnd(straight("mlp"), temp);
    }

    @Test
    void resumingNothingIsAnError() {
        Exception e = assertThrows(FormatException.class, () -> run(backend, config(), temp, true, 0, new Recorder()));
        assertTrue(e.getMessage().contains("no valid checkpoint"), e.getMessage());
        assertFalse(Files.exists(checkpoint(temp, STEPS)));
    }

    /** Messages name the tensor, what was found and what was expected. */
    @Test
    void otherArchitecture() throws IOException {
        copy(straight("mlp"), temp);
        String wide = assertThrows(
                        FormatException.class,
                        () -> run(backend, config("arch.hidden_size=64"), temp, true, 0, new Recorder()))
                .getMessage();
        assertTrue(
                wide.contains("model.inner.embed_tokens.embedding_weight has shape [6, 32], expected [6, 64]"), wide);
        String attention = assertThrows(
                        FormatException.class,
                        () -> run(backend, config(variant("rope")), temp, true, 0, new Recorder()))
                .getMessage();
        assertTrue(
                attention.contains("no tensor model.inner.L_level.layers.0.self_attn.qkv_proj.weight, expected F32"),
                attention);
        assertTrue(attention.contains("[96, 32]"), attention);
    }
}
