package trm.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

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
import trm.device.cpu.CpuBackend;
import trm.io.CheckpointStore;
import trm.io.SafeTensors;
import trm.train.MetricsRow.Column;

/**
 * A run that has a time plans its steps. Oracle: the run that is told how many; all tensors of its last checkpoint, byte for byte.
 * How many they are depends on the machine, so the equation has a test of its own.
 */
class TimedStepsTest {
    private static final int ALL = 37_500; // steps of 2,000 epochs

    @TempDir
    private static Path shared;

    private static CpuBackend backend;

    @TempDir
    private Path temp;

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 300, 8, 1, 8);
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
                "epochs: 2000",
                "checkpoint_every_steps: 0",
                "log_every_steps: 10",
                "lr: 1e-3",
                "lr_min_ratio: 0",
                "lr_warmup_steps: 5",
                "max_train_seconds: 2",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    /** Collects rows and messages; stops the run at a row. */
    private static final class Recorder implements Run.Listener {
        private final List<MetricsRow> rows = new ArrayList<>();
        private final List<String> messages = new ArrayList<>();
        private int stopAt;
        private Run run;

        @Override
        public void row(MetricsRow row, long totalSteps) {
            rows.add(row);
            if (rows.size() == stopAt) {
                run.requestStop();
            }
        }

        @Override
        public void evaluating(long step, long puzzles) {}

        @Override
        public void message(String text) {
            messages.add(text);
        }
    }

    private static Recorder run(TrainConfig config, Path folder, boolean resume, int stopAt) {
        Recorder recorder = new Recorder();
        recorder.stopAt = stopAt;
        recorder.run = new Run(backend, config, folder, recorder);
        assertEquals(stopAt > 0 ? Run.Outcome.STOPPED : Run.Outcome.FINISHED, recorder.run.run(resume));
        return recorder;
    }

    private static TrainConfig settings(Path folder) {
        return RunFolder.settings(folder, message -> {});
    }

    private static void assertSameEnd(Path expected, Path found, int steps) {
        SafeTensors a = SafeTensors.open(new CheckpointStore(expected.resolve("checkpoints"), 1).path(steps));
        SafeTensors b = SafeTensors.open(new CheckpointStore(found.resolve("checkpoints"), 1).path(steps));
        assertEquals(a.names(), b.names());
        for (String name : a.names()) {
            assertEquals(a.bytes(name), b.bytes(name), name);
        }
    }

    /** The number is in config.yaml, the rate falls to 0 in the last of the steps, and the run is that of so many. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "log_every_steps=10",
                "depth_schedule=[{until: 0.3, H_cycles: 1, L_cycles: 1}, {until: 0.6, H_cycles: 2, L_cycles: 1}]"
            })
    void isTheRunOfAsManySteps(String more) {
        Path timed = temp.resolve("timed");
        Recorder recorder = run(config(more), timed, false, 0);
        int steps = settings(timed).schedule().plannedSteps();
        assertTrue(steps > 5 && steps < ALL, steps + " steps");
        assertTrue(
                recorder.messages.contains(steps + " of " + ALL + " steps are planned for 2.0 s"),
                recorder.messages.toString());
        MetricsRow last = recorder.rows.stream()
                .filter(row -> row.step() == steps && row.has(Column.LR))
                .findFirst()
                .orElseThrow();
        assertEquals(0, last.get(Column.LR));
        Path told = temp.resolve("told");
        recorder = run(config(more, "planned_steps=" + steps), told, false, 0);
        assertFalse(recorder.messages.toString().contains("are planned"), recorder.messages.toString());
        assertSameEnd(told, timed, steps);
        Path limited = temp.resolve("limited");
        run(config(more, "max_train_seconds=0", "max_steps=" + steps), limited, false, 0);
        assertSameEnd(limited, timed, steps);
    }

    /** A run that goes on, in another window or on a slower machine, has the steps that it began with. */
    @Test
    void aResumeHasTheSameSteps() {
        Path stopped = temp.resolve("stopped");
        run(config(), stopped, false, 1);
        int steps = settings(stopped).schedule().plannedSteps();
        Recorder recorder = run(Resume.settle(settings(stopped), config()), stopped, true, 0);
        assertFalse(recorder.messages.toString().contains("are planned"), recorder.messages.toString());
        assertEquals(steps, settings(stopped).schedule().plannedSteps());
        Path told = temp.resolve("told");
        run(config("planned_steps=" + steps), told, false, 0);
        assertSameEnd(told, stopped, steps);
        for (String change : List.of("max_train_seconds=0.7", "max_train_seconds=0", "planned_steps=7")) {
            TrainConfig wanted = config(change);
            String message = assertThrows(ConfigException.class, () -> Resume.settle(settings(stopped), wanted))
                    .getMessage();
            assertTrue(message.contains("it changes what the run computes"), message);
        }
    }

    /** One that is ended before its first checkpoint begins again with what it planned; one that had planned nothing yet, plans. */
    @Test
    void stopsWhileItTimes() throws Exception {
        Recorder recorder = new Recorder();
        recorder.run = new Run(backend, config("max_train_seconds=1000"), temp.resolve("run"), recorder);
        recorder.run.requestStop();
        assertEquals(Run.Outcome.STOPPED, recorder.run.run(false));
        assertEquals(2, recorder.messages.size(), recorder.messages.toString()); // it also says what it reads
        assertEquals("stopped while steps were timed: the run has not begun", recorder.messages.get(1));
        assertEquals(0, settings(temp.resolve("run")).schedule().plannedSteps());
        assertFalse(RunFolder.hasCheckpoints(temp.resolve("run")));
        run(config("planned_steps=9"), temp.resolve("run"), true, 0);
        assertTrue(Files.exists(new CheckpointStore(temp.resolve("run/checkpoints"), 1).path(9)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "max_train_seconds=1e-6 | max_train_seconds is 1.0E-6: the window is over before the first step: a step takes",
                "lr_warmup_steps=30000 | max_train_seconds is 2.0: the window is over within lr_warmup_steps, which is 30000: a"
                        + " step takes",
            })
    void aWindowThatIsOver(String override, String expected) {
        ConfigException e = assertThrows(
                ConfigException.class,
                () -> new Run(backend, config(override), temp.resolve("run"), new Recorder()).run(false));
        assertTrue(e.getMessage().startsWith(expected), e.getMessage());
        assertFalse(RunFolder.hasCheckpoints(temp.resolve("run")));
    }

    /** 2 % of the window are kept, and what the timing took is gone. */
    @Test
    void whatFits() {
        TrainConfig level = config("max_train_seconds=100", "lr_min_ratio=1", "lr_warmup_steps=2000");
        assertEquals(180, TimedSteps.steps(level, ALL, new double[] {0.5}, 8));
        assertEquals(150, TimedSteps.steps(level, 150, new double[] {0.5}, 8));
        TrainConfig falls = config("max_train_seconds=100", "lr_warmup_steps=179");
        assertEquals(180, TimedSteps.steps(falls, ALL, new double[] {0.5}, 8));
        TrainConfig longer = config("max_train_seconds=100", "lr_warmup_steps=180");
        String message = assertThrows(ConfigException.class, () -> TimedSteps.steps(longer, ALL, new double[] {0.5}, 8))
                .getMessage();
        assertEquals(
                "max_train_seconds is 100.0: the window is over within lr_warmup_steps, which is 180: a step takes 0.500 s, and"
                        + " to time that took 8.00 s; must be above 101, or lr_warmup_steps be smaller",
                message);
        assertEquals(
                100,
                TimedSteps.steps(longer, 100, new double[] {0.5}, 8),
                "a run that is no longer than its warm-up anyway");
    }
}
