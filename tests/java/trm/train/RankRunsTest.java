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
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.RanksInThreads;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Backend;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.train.MetricsRow.Column;

/**
 * Whole runs of several ranks in one folder. Oracle: the run without interruption, byte for byte for the same number of ranks; for
 * another number its losses, to a relative 1e-4 over the few steps that are left.
 */
class RankRunsTest {
    private static final int STEPS = 24;
    private static final double CLOSE = 1e-4;

    @TempDir
    private static Path shared;

    @TempDir
    private Path temp;

    @BeforeAll
    static void build() {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 200, 30, 1, 8);
    }

    private static TrainConfig config(String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + shared.resolve("data") + "']",
                "arch:",
                "  hidden_size: 24",
                "  num_heads: 2",
                "  mlp_t: false",
                "  pos_encodings: rope",
                "  H_cycles: 1",
                "  L_cycles: 2",
                "  L_layers: 1",
                "  expansion: 1",
                "  puzzle_emb_ndim: 24",
                "  puzzle_emb_len: 1",
                "  halt_max_steps: 4",
                "  halt_exploration_prob: 0.3",
                "  forward_dtype: float32",
                "global_batch_size: 12",
                "epochs: 4",
                "eval_interval: 1",
                "max_steps: " + STEPS,
                "checkpoint_every_steps: 10",
                "checkpoint_keep: 20",
                "log_every_steps: 4",
                "check_every_steps: 5",
                "lr: 1e-3",
                "lr_warmup_steps: 3",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    private static final class Rows implements Run.Listener {
        private final List<MetricsRow> rows = new ArrayList<>();
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
        public void evaluating(long step, long puzzles) {
            assertEquals(30, puzzles);
        }

        @Override
        public void message(String text) {
            // not looked at
        }
    }

    /** Each rank's rows; those that do not write have none. @param stopAt row after which rank 0 is asked to stop, 0 for none */
    private static List<List<MetricsRow>> run(int ranks, Path folder, boolean resume, int stopAt, TrainConfig config)
            throws Exception {
        return RanksInThreads.run(ranks, backend -> {
            Rows listener = new Rows();
            listener.stopAt = stopAt;
            listener.run = new Run(backend, config, folder, listener);
            assertEquals(stopAt > 0 ? Run.Outcome.STOPPED : Run.Outcome.FINISHED, listener.run.run(resume));
            return listener.rows;
        });
    }

    private static Path checkpoint(Path folder, long step) {
        return new CheckpointStore(folder.resolve("checkpoints"), 1).path(step);
    }

    private static String metrics(Path folder) throws IOException {
        List<String> lines = Files.readAllLines(folder.resolve("metrics.csv"));
        List<String> titles = List.of(lines.get(0).split(",", -1));
        return lines.stream()
                .map(line -> {
                    List<String> cells = new ArrayList<>(List.of(line.split(",", -1)));
                    for (int i = titles.size() - 1; i >= 0; i--) {
                        if (titles.get(i).endsWith("_seconds") || titles.get(i).endsWith("_per_second")) {
                            cells.remove(i);
                        }
                    }
                    return String.join(",", cells);
                })
                .collect(Collectors.joining("\n"));
    }

    @ParameterizedTest(name = "{0} ranks, stopped at row {1}")
    @CsvSource({"1, 2", "2, 2", "3, 3"})
    void aStoppedRunGoesOnBitForBit(int ranks, int stopAt) throws Exception {
        Path straight = temp.resolve("straight");
        List<List<MetricsRow>> rows = run(ranks, straight, false, 0, config());
        for (int rank = 1; rank < ranks; rank++) {
            assertTrue(rows.get(rank).isEmpty(), "rank " + rank + " says nothing");
        }
        Path stopped = temp.resolve("stopped");
        run(ranks, stopped, false, stopAt, config());
        run(ranks, stopped, true, 0, config());
        assertEquals(metrics(straight), metrics(stopped));
        assertArrayEquals(
                Files.readAllBytes(checkpoint(straight, STEPS)), Files.readAllBytes(checkpoint(stopped, STEPS)));
    }

    /** Step 10 lies between two rows: the sums of the next one go on as well. */
    @ParameterizedTest(name = "{0} ranks")
    @ValueSource(ints = {1, 2, 3})
    void aRunGoesOnWithinARowBitForBit(int ranks) throws Exception {
        Path straight = temp.resolve("straight");
        run(ranks, straight, false, 0, config());
        Path again = temp.resolve("again");
        run(ranks, again, false, 0, config());
        for (long step = 11; step <= STEPS; step++) {
            Files.deleteIfExists(checkpoint(again, step));
        }
        run(ranks, again, true, 0, config());
        assertEquals(metrics(straight), metrics(again));
        assertArrayEquals(
                Files.readAllBytes(checkpoint(straight, STEPS)), Files.readAllBytes(checkpoint(again, STEPS)));
    }

    @ParameterizedTest(name = "from {0} ranks to {1}")
    @CsvSource({"2, 1", "2, 4", "1, 3"})
    void aRunGoesOnWithAnotherNumberOfRanks(int before, int after) throws Exception {
        Path straight = temp.resolve("straight");
        List<MetricsRow> expected = run(before, straight, false, 0, config()).get(0);
        Path moved = temp.resolve("moved");
        run(before, moved, false, 0, config());
        for (long step : new long[] {20, 16, 24}) {
            Files.deleteIfExists(checkpoint(moved, step));
        }
        List<MetricsRow> rows = run(after, moved, true, 0, config()).get(0);
        for (MetricsRow row : rows) {
            if (row.has(Column.LM_LOSS)) {
                MetricsRow other = expected.stream()
                        .filter(r -> r.step() == row.step() && r.has(Column.LM_LOSS))
                        .findFirst()
                        .orElseThrow();
                assertEquals(other.get(Column.HALTED), row.get(Column.HALTED), "halted at step " + row.step());
                double loss = other.get(Column.LM_LOSS);
                assertEquals(loss, row.get(Column.LM_LOSS), CLOSE * loss, "loss at step " + row.step());
                assertEquals(
                        other.get(Column.GRAD_NORM),
                        row.get(Column.GRAD_NORM),
                        100 * CLOSE * other.get(Column.GRAD_NORM),
                        "norm at step " + row.step());
            }
        }
        assertEquals(
                SafeTensors.open(checkpoint(straight, STEPS)).names(),
                SafeTensors.open(checkpoint(moved, STEPS)).names());
    }

    @Test
    void evaluationsAreThoseOfOneRank() throws Exception {
        List<MetricsRow> one = run(1, temp.resolve("one"), false, 0, config("lr=0", "puzzle_emb_lr=0"))
                .get(0);
        List<MetricsRow> four = run(4, temp.resolve("four"), false, 0, config("lr=0", "puzzle_emb_lr=0"))
                .get(0);
        assertEquals(one.size(), four.size());
        for (int i = 0; i < one.size(); i++) {
            for (Column column : List.of(Column.EVAL_PUZZLES, Column.EVAL_ACCURACY, Column.EVAL_EXACT_ACCURACY)) {
                assertEquals(one.get(i).has(column), four.get(i).has(column));
                if (one.get(i).has(column)) {
                    assertEquals(one.get(i).get(column), four.get(i).get(column), 1e-12, column.title());
                }
            }
        }
    }

    @Test
    void aBatchThatRanksCannotShareIsRefused() {
        ConfigException refused =
                assertThrows(ConfigException.class, () -> run(5, temp.resolve("run"), false, 0, config()));
        assertTrue(
                refused.getMessage().contains("global_batch_size is 12: 5 ranks cannot share it equally"),
                refused.getMessage());
    }

    @Test
    void ranksWithOtherSettingsAreRefused() {
        FormatException refused = assertThrows(
                FormatException.class,
                () -> RanksInThreads.run(2, backend -> new Run(
                                backend,
                                backend.collective().rank() == 0 ? config() : config("lr=2e-3", "seed=1"),
                                temp.resolve("run"),
                                new Rows())
                        .run(false)));
        assertTrue(
                refused.getMessage().contains("rank 1 has other settings than rank 0: 'lr: 0.002', not 'lr: 0.001'"),
                refused.getMessage());
    }

    @Test
    void aFolderThatIsTakenIsRefusedByAll() throws Exception {
        Path folder = temp.resolve("run");
        run(2, folder, false, 0, config());
        List<String> messages = RanksInThreads.run(2, (Backend backend) -> {
            try {
                new Run(backend, config(), folder, new Rows()).run(false);
                return "none";
            } catch (FormatException e) {
                return e.getMessage();
            }
        });
        for (String message : messages) {
            assertTrue(message.contains("already holds a run"), messages.toString());
        }
    }
}
