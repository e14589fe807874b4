package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
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
import org.junit.jupiter.params.provider.ValueSource;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Control;
import trm.device.cpu.CpuBackend;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.train.MetricsRow.Column;

/**
 * A run that begins after a step of its schedule, with weights and average only. Oracle: the run that they were taken from, resumed from
 * its checkpoint of that step with moments of zero and all lanes halted, where betas of 0 leave no bias corrections. All tensors of
 * the last checkpoint, byte for byte.
 */
class LaterStepTest {
    private static final int STEPS = 24;
    private static final int BEGIN = 10;

    @TempDir
    private static Path shared;

    private static CpuBackend backend;

    @TempDir
    private Path temp;

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 100, 8, 1, 8);
        backend = new CpuBackend(2);
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
                "  H_cycles: 2",
                "  L_cycles: 2",
                "  L_layers: 1",
                "  expansion: 1",
                "  learned_prefix: 1",
                "  halt_max_steps: 4",
                "  forward_dtype: float32",
                "global_batch_size: 16",
                "epochs: 20",
                "max_steps: " + STEPS,
                "checkpoint_every_steps: 5",
                "checkpoint_keep: 9",
                "log_every_steps: 4",
                "lr: 1e-2",
                "lr_min_ratio: 0",
                "lr_warmup_steps: 5",
                "ema_rate: 0.9",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    private static String[] with(String[] overrides, String... more) {
        List<String> all = new ArrayList<>(List.of(overrides));
        all.addAll(List.of(more));
        return all.toArray(String[]::new);
    }

    /** Rows and messages; stops the run at a row, before its first step if that is 0. */
    private static final class Recorder implements Run.Listener {
        private final List<MetricsRow> rows = new ArrayList<>();
        private final List<String> messages = new ArrayList<>();
        private Run run;
        private long stopAt = Long.MAX_VALUE;

        @Override
        public void row(MetricsRow row, long totalSteps) {
            rows.add(row);
            if (row.step() >= stopAt) {
                run.requestStop();
            }
        }

        @Override
        public void evaluating(long step, long puzzles) {}

        @Override
        public void message(String text) {
            messages.add(text);
        }

        double at(long step, Column column) {
            return rows.stream()
                    .filter(row -> row.step() == step && row.has(column))
                    .findFirst()
                    .orElseThrow()
                    .get(column);
        }
    }

    private static Recorder run(TrainConfig config, Path folder, boolean resume, long stopAt) {
        Recorder recorder = new Recorder();
        recorder.stopAt = stopAt;
        recorder.run = new Run(backend, config, folder, recorder);
        if (stopAt == 0) {
            recorder.run.requestStop();
        }
        assertEquals(stopAt < STEPS ? Run.Outcome.STOPPED : Run.Outcome.FINISHED, recorder.run.run(resume));
        return recorder;
    }

    private static Path file(Path folder, long step) {
        return new CheckpointStore(folder.resolve("checkpoints"), 1).path(step);
    }

    private static String weights(Path folder) {
        return "load_checkpoint='" + file(folder, BEGIN) + "'";
    }

    /** Takes from a run's checkpoint what its weights do not say, and the later checkpoints. */
    private static void forget(Path folder) throws IOException {
        ForgedCheckpoint left = ForgedCheckpoint.of(SafeTensors.open(file(folder, BEGIN)));
        for (String name : left.names()) {
            if (name.startsWith("m.") || name.startsWith("v.") || name.equals("state.metrics")) {
                left.fill(name, 0);
            }
        }
        left.fill("lanes.halted", 1).writeTo(file(folder, BEGIN));
        for (Path later : new CheckpointStore(folder.resolve("checkpoints"), 1).list()) {
            if (CheckpointStore.stepOf(later).orElseThrow() > BEGIN) {
                Files.delete(later);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "seed=0",
                "arch.forward_dtype=bfloat16",
                "carry_from_step=15",
                "ema_from_step=8",
                "ema_from_step=17",
                "optimizer=adamw",
                "optimizer=muon",
                "arch.halt_exploration_prob=0.7",
                "depth_schedule=[{until: 0.3, H_cycles: 1, L_cycles: 1}, {until: 0.6, H_cycles: 2, L_cycles: 1}]",
            })
    void isTheRunItWasTakenFromWithoutMomentsAndLanes(String variant) throws IOException {
        String[] overrides = with(variant.split(";"), "beta1=0", "beta2=0");
        Recorder whole = run(config(overrides), temp.resolve("source"), false, Long.MAX_VALUE);
        String[] later = with(overrides, weights(temp.resolve("source")), "begin_step=" + BEGIN);
        Recorder begun = run(config(later), temp.resolve("later"), false, Long.MAX_VALUE);
        forget(temp.resolve("source"));
        Recorder resumed = run(config(overrides), temp.resolve("source"), true, Long.MAX_VALUE);
        SafeTensors expected = SafeTensors.open(file(temp.resolve("source"), STEPS));
        SafeTensors found = SafeTensors.open(file(temp.resolve("later"), STEPS));
        assertEquals(expected.names(), found.names());
        for (String name : expected.names()) {
            assertEquals(expected.bytes(name), found.bytes(name), name);
        }
        for (Column column : List.of(Column.LR, Column.LM_LOSS, Column.GRAD_NORM)) {
            assertEquals(resumed.at(16, column), begun.at(16, column), column.title());
        }
        double before = whole.at(12, Column.LM_LOSS);
        assertEquals(before, begun.at(12, Column.LM_LOSS), 0.2 * before, "two steps, not four, since the run began");
        assertTrue(
                begun.messages.toString().contains("begins after step 10 of 24, with weights "),
                begun.messages.toString());
    }

    /** Stopped anywhere, before its first step too, it goes on as one that was not. */
    @ParameterizedTest
    @CsvSource({"seed=0, 0", "seed=0, 12", "ema=false, 20", "optimizer=muon, 0", "optimizer=muon, 16"})
    void resumesBitForBit(String variant, long stopAt) throws IOException {
        run(config(variant), temp.resolve("source"), false, Long.MAX_VALUE);
        TrainConfig later = config(variant, weights(temp.resolve("source")), "begin_step=" + BEGIN);
        run(later, temp.resolve("whole"), false, Long.MAX_VALUE);
        run(later, temp.resolve("halves"), false, stopAt);
        Recorder recorder = run(later, temp.resolve("halves"), true, Long.MAX_VALUE);
        assertTrue(recorder.messages.toString().contains("resuming "), recorder.messages.toString());
        assertArrayEquals(
                Files.readAllBytes(file(temp.resolve("whole"), STEPS)),
                Files.readAllBytes(file(temp.resolve("halves"), STEPS)));
    }

    @Test
    void whatIsKeptAndWhatIsBegunAnew() {
        run(config(), temp.resolve("source"), false, Long.MAX_VALUE);
        run(config(weights(temp.resolve("source")), "begin_step=" + BEGIN), temp.resolve("later"), false, 0);
        SafeTensors from = SafeTensors.open(file(temp.resolve("source"), BEGIN));
        SafeTensors begun = SafeTensors.open(file(temp.resolve("later"), BEGIN));
        for (String name : from.names()) {
            if (name.startsWith("model.inner.") || name.startsWith("ema.")) {
                assertEquals(from.bytes(name), begun.bytes(name), name);
            } else if (name.startsWith("m.") || name.startsWith("v.")) {
                for (float value : begun.floats(name)) {
                    assertEquals(0, value, name);
                }
            }
        }
        double[] controls = begun.doubles("state.controls");
        assertEquals(BEGIN, controls[Control.STEP.ordinal()]);
        assertEquals(from.doubles("state.controls")[Control.LR.ordinal()], controls[Control.LR.ordinal()]);
        assertEquals(0, controls[Control.CORRECTION1.ordinal()], "the moments have seen no step");
        assertArrayEquals(from.longs("state.loader"), begun.longs("state.loader"));
        for (int halted : begun.ints("lanes.halted")) {
            assertEquals(1, halted);
        }
        String settings = ConfigLoader.toYaml(RunFolder.settings(temp.resolve("later"), message -> {}));
        assertTrue(settings.contains("begin_step: 10\n"), settings);
    }

    /** A window is for the steps that are left, in the parts of the depth schedule that are left. */
    @Test
    void aWindowIsForTheStepsThatAreLeft() {
        double[] level = {0.5};
        TrainConfig later = config("max_train_seconds=100", "max_steps=0", "load_checkpoint=x", "begin_step=1000");
        assertEquals(1180, TimedSteps.steps(later, 37_500, level, 8));
        assertEquals(1100, TimedSteps.steps(later, 1100, level, 8));
        assertEquals(
                "max_train_seconds is 100.0: the window is over before the first step: a step takes 0.500 s, and to time that"
                        + " took 98.0 s; must be above 101",
                assertThrows(ConfigException.class, () -> TimedSteps.steps(later, 37_500, level, 98))
                        .getMessage());
        TrainConfig grows = config(
                "max_train_seconds=100",
                "max_steps=0",
                "load_checkpoint=x",
                "begin_step=100",
                "depth_schedule=[{until: 0.5, H_cycles: 1, L_cycles: 1}]");
        // 0.5 T - 100 steps of 0.1 s and 0.5 T of 0.4 s are 90 s
        assertEquals(400, TimedSteps.steps(grows, 37_500, new double[] {0.1, 0.4}, 8));
        // the first part is over: T - 100 steps of 0.4 s
        TrainConfig over = config(
                "max_train_seconds=10",
                "max_steps=0",
                "load_checkpoint=x",
                "begin_step=100",
                "depth_schedule=[{until: 0.5, H_cycles: 1, L_cycles: 1}]");
        assertEquals(120, TimedSteps.steps(over, 37_500, new double[] {0.1, 0.4}, 1.8));
    }

    @Test
    void aTimedRunBeginsThereToo() {
        run(config(), temp.resolve("source"), false, Long.MAX_VALUE);
        TrainConfig later = config(
                weights(temp.resolve("source")), "begin_step=" + BEGIN, "max_train_seconds=60", "log_every_steps=1");
        Recorder recorder = run(later, temp.resolve("later"), false, Long.MAX_VALUE);
        assertEquals(
                STEPS,
                RunFolder.settings(temp.resolve("later"), message -> {})
                        .schedule()
                        .plannedSteps());
        assertEquals(BEGIN + 1, recorder.rows.get(0).step());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "24 | | begin_step is 24: the schedule is over at step 24 (max_steps); must be less",
                "99 | planned_steps=20;max_train_seconds=9 | begin_step is 99: the schedule is over at step 20 (planned_steps)",
                "9999 | max_steps=0 | begin_step is 9999: the schedule is over at step 125 (epochs); must be less",
            })
    void aStepBeyondTheSchedule(long step, String more, String expected) {
        String[] overrides =
                with(more == null ? new String[0] : more.split(";"), "load_checkpoint=x", "begin_step=" + step);
        ConfigException e = assertThrows(
                ConfigException.class, () -> run(config(overrides), temp.resolve("run"), false, Long.MAX_VALUE));
        assertTrue(e.getMessage().startsWith(expected), e.getMessage());
        assertTrue(Files.notExists(temp.resolve("run")));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "arch.hidden_size=32 | has shape [",
                "arch.L_layers=2 | no tensor model.inner.L_level.layers.1.",
                "arch.learned_prefix=0;arch.puzzle_emb_ndim=16 | has shape [",
                "arch.mlp_t=false | is this a checkpoint of another architecture?",
            })
    void weightsOfAnotherArchitecture(String variant, String expected) {
        run(config(), temp.resolve("source"), false, Long.MAX_VALUE);
        String[] overrides = with(variant.split(";"), weights(temp.resolve("source")), "begin_step=" + BEGIN);
        FormatException e = assertThrows(
                FormatException.class, () -> run(config(overrides), temp.resolve("run"), false, Long.MAX_VALUE));
        assertTrue(e.getMessage().contains(file(temp.resolve("source"), BEGIN) + ": "), e.getMessage());
        assertTrue(e.getMessage().contains(expected.strip()), e.getMessage());
    }

    @Test
    void aStepWithoutWeights() {
        assertTrue(assertThrows(ConfigException.class, () -> config("begin_step=7"))
                .getMessage()
                .endsWith("begin_step is 7: needs the weights after that step: load_checkpoint, which is not given"));
        assertTrue(assertThrows(ConfigException.class, () -> config("load_checkpoint=x", "begin_step=-1"))
                .getMessage()
                .endsWith("begin_step is -1: must be at least 0"));
    }

    /** It is no setting that a run may change. */
    @Test
    void isKeptOnResume() {
        TrainConfig run = config("load_checkpoint=x", "begin_step=" + BEGIN);
        String message = assertThrows(
                        ConfigException.class, () -> Resume.settle(run, config("load_checkpoint=x", "begin_step=11")))
                .getMessage();
        assertTrue(
                message.startsWith("begin_step is 11, but the run has 10: it changes what the run computes"), message);
    }

    /** What begins after the last step is allowed, as a trial may be short, and said. */
    @Test
    void whatIsNeverReachedIsSaid() {
        assertEquals(List.of(), Run.neverReached(config("ema_from_step=24", "carry_from_step=24"), STEPS));
        List<String> said = Run.neverReached(config("ema_from_step=25", "carry_from_step=30"), STEPS);
        assertEquals(2, said.size());
        assertTrue(said.get(0).contains("ema_from_step is 25, and the run ends at step 24"), said.toString());
        assertTrue(said.get(1).contains("carry_from_step is 30, and the run ends at step 24"), said.toString());
    }
}
