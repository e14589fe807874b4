package trm.reproduce;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.config.ConfigException;
import trm.config.TrainConfig;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Backend;
import trm.device.DeviceException;
import trm.device.cpu.CpuBackend;
import trm.input.DataException;
import trm.io.FormatException;
import trm.train.MetricsRow;
import trm.train.Run;

/** Two rows of six steps each on 64 puzzles: run, killed, resumed. */
class ReproductionTest {
    private static final Table TABLE = Table.named("sudoku-ablation");
    private static final List<String> ROWS = List.of("hrm", "t2-n2");

    private static Backend backend;

    @TempDir
    Path temp;

    private Plan plan;
    private final List<String> calls = new ArrayList<>();

    @BeforeAll
    static void open() {
        backend = new CpuBackend(2);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    @BeforeEach
    void data() {
        plan = new Plan(new Scale(0, 6), false, Path.of("configs"), Path.of("data"), temp);
        MiniSudokuBuilder.buildOnce(temp.resolve("mini-sudoku"), 4, 64, 20, 1, 8);
    }

    private static final class Killed extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    /** Dies as the evaluation begins, after the last step, if that is asked for. */
    private record Watcher(boolean kill) implements Run.Listener {
        @Override
        public void row(MetricsRow row, long totalSteps) {
            assertEquals(6, totalSteps);
        }

        @Override
        public void evaluating(long step, long puzzles) {
            if (kill) {
                throw new Killed();
            }
        }

        @Override
        public void message(String text) {}
    }

    private Run.Outcome train(TrainConfig config, Path folder, boolean resume, boolean kill) {
        calls.add(temp.relativize(folder) + (resume ? " resumed" : ""));
        return new Run(backend, config, folder, new Watcher(kill)).run(resume);
    }

    private Reproduction runKilledIn(String setup) {
        return new Reproduction(
                new PublishedStudy(TABLE, plan),
                (config, folder, resume) -> train(
                        config,
                        folder,
                        resume,
                        folder.getParent().getFileName().toString().equals(setup)),
                line -> {});
    }

    private RunSummary folder(String row) {
        return RunSummary.open(plan.folder(TABLE.rows(List.of(row)).get(0).setup(), 0))
                .orElseThrow();
    }

    @Test
    void killedAndStartedAgain() throws IOException {
        assertThrows(Killed.class, () -> runKilledIn("sudoku-mlp-T2-n2").run(ROWS, 1, Shard.ALL));
        assertEquals(List.of("sudoku-hrm/seed-0", "sudoku-mlp-T2-n2/seed-0"), calls);
        assertTrue(folder("hrm").finished());
        assertFalse(folder("t2-n2").finished());
        assertEquals(6, folder("t2-n2").step()); // the checkpoint before the evaluation
        assertTrue(Double.isNaN(folder("t2-n2").percent()));
        String text = new Report(TABLE, plan, Map.of()).markdown();
        assertTrue(text.contains("- t2-n2, seed 0: stopped at step 6 of 6, not evaluated yet\n"), text);
        Path first = temp.resolve("sudoku-hrm/seed-0/checkpoints/step-00000006.safetensors");
        byte[] before = Files.readAllBytes(first);

        calls.clear();
        runKilledIn("none").run(ROWS, 1, Shard.ALL);
        assertEquals(List.of("sudoku-mlp-T2-n2/seed-0 resumed"), calls);
        assertArrayEquals(before, Files.readAllBytes(first));
        assertTrue(folder("t2-n2").finished());
        assertEquals(6, folder("t2-n2").evaluatedStep());
        assertTrue(folder("t2-n2").percent() >= 0 && folder("t2-n2").hours() > 0);
        assertTrue(folder("t2-n2").stepsPerSecond() > 0);

        calls.clear();
        runKilledIn("none").run(ROWS, 1, Shard.ALL);
        assertEquals(List.of(), calls);
    }

    /** Killed before its first checkpoint a run begins anew. */
    @Test
    void begunWithoutACheckpoint() throws IOException {
        List<String> one = ROWS.subList(1, 2);
        assertThrows(Killed.class, () -> runKilledIn("sudoku-mlp-T2-n2").run(one, 1, Shard.ALL));
        Path checkpoints = temp.resolve("sudoku-mlp-T2-n2/seed-0/checkpoints");
        try (var files = Files.list(checkpoints)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        calls.clear();
        runKilledIn("none").run(one, 1, Shard.ALL);
        assertEquals(List.of("sudoku-mlp-T2-n2/seed-0"), calls);
        assertTrue(folder("t2-n2").finished());
    }

    /** Each run belongs to one shard; all together do all. */
    @Test
    void shards() {
        PublishedStudy study = new PublishedStudy(TABLE, plan);
        List<PlannedRun> all = study.runs(List.of(), 3);
        for (int count : new int[] {1, 2, 5, all.size() + 3}) {
            List<PlannedRun> together = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                List<PlannedRun> own = Shard.parse(i + "/" + count).of(all);
                assertTrue(own.size() <= (all.size() + count - 1) / count);
                together.addAll(own);
            }
            assertEquals(all.size(), together.size());
            assertEquals(Set.copyOf(all), Set.copyOf(together));
        }
        for (String wrong : List.of("", "1", "2/2", "-1/2", "0/0", "1/2/3", "a/b")) {
            ConfigException e = assertThrows(ConfigException.class, () -> Shard.parse(wrong));
            assertTrue(e.getMessage().startsWith("--shard is '" + wrong + "': expected i/n with"), e.getMessage());
        }
    }

    private List<String> called(Reproduction.Runner runner, int seeds) {
        List<String> folders = new ArrayList<>();
        Reproduction reproduction = new Reproduction(
                new PublishedStudy(TABLE, plan),
                (config, folder, resume) -> {
                    folders.add(temp.relativize(folder) + " " + config.run().seed());
                    return runner.run(config, folder, resume);
                },
                line -> {});
        reproduction.run(ROWS, seeds, Shard.ALL);
        folders.addAll(reproduction.failures().values());
        return folders;
    }

    @Test
    void everySeedOfARowIsARun() {
        assertEquals(
                List.of(
                        "sudoku-hrm/seed-0 0",
                        "sudoku-mlp-T2-n2/seed-0 0",
                        "sudoku-hrm/seed-1 1",
                        "sudoku-mlp-T2-n2/seed-1 1"),
                called((config, folder, resume) -> Run.Outcome.FINISHED, 2));
    }

    @Test
    void aRequestToStopEndsAll() {
        assertEquals(List.of("sudoku-hrm/seed-0 0"), called((config, folder, resume) -> Run.Outcome.STOPPED, 2));
    }

    @Test
    void aRowThatFailsDoesNotStopTheOthers() {
        assertEquals(
                List.of("sudoku-hrm/seed-0 0", "sudoku-mlp-T2-n2/seed-0 0", "too large"),
                called(
                        (config, folder, resume) -> {
                            if (folder.toString().contains("hrm")) {
                                throw new DeviceException("too large");
                            }
                            return Run.Outcome.FINISHED;
                        },
                        1));
    }

    @Test
    void nothingRunsBesideARunOfOtherSettings() throws IOException {
        Setup second = TABLE.rows(ROWS).get(1).setup();
        MadeRuns.make(plan.folder(second, 0), plan.config(second, 7), 2, 0, 6, "2,1,,,,5,64");
        FormatException e = assertThrows(FormatException.class, () -> called(null, 1));
        assertTrue(e.getMessage().contains("found 'seed: 7', expected 'seed: 0'"), e.getMessage());
    }

    @Test
    void missingData() {
        Plan full = new Plan(Scale.FULL, false, Path.of("configs"), temp.resolve("none"), temp);
        Reproduction reproduction = new Reproduction(new PublishedStudy(TABLE, full), null, line -> {});
        DataException e = assertThrows(DataException.class, () -> reproduction.run(ROWS, 1, Shard.ALL));
        Path folder = temp.resolve("none").resolve("sudoku-extreme-1k-aug-1000");
        assertEquals(
                folder + ": no data set with splits train and test, expected Sudoku-Extreme for row hrm; make it:"
                        + " trm data sudoku --train train.csv --test test.csv --subsample 1000 --aug 1000 --compact --out "
                        + folder,
                e.getMessage());
    }
}
