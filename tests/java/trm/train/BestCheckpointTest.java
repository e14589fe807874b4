package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.config.BestBy;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.cpu.CpuBackend;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.MetricsCsv;
import trm.io.SafeTensors;
import trm.train.MetricsRow.Column;

/** Evaluations by steps, the best checkpoint, patience: runs of 24 steps, in four epochs, whose share of right cells goes up and down. */
class BestCheckpointTest {
    private static final String[] BEST = {
        "eval_interval=null",
        "eval_every_steps=3",
        "checkpoint_best=eval_accuracy",
        "checkpoint_keep=1",
        "lr=0.03",
        "lr_warmup_steps=5"
    };

    @TempDir
    private static Path shared;

    private static CpuBackend backend;
    private static Path straight; // with BEST

    @TempDir
    private Path temp;

    private final List<String> messages = new ArrayList<>();

    private static final class Killed extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 96, 16, 1, 8);
        backend = new CpuBackend(2);
        straight = shared.resolve("straight");
        assertEquals(Run.Outcome.FINISHED, run(config(BEST), straight, false, new ArrayList<>(), -1));
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
                "checkpoint_keep: 9",
                "log_every_steps: 6",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    /** @param killedAt evaluated step whose row is the last thing that the run does; -1 for none */
    private static Run.Outcome run(
            TrainConfig config, Path folder, boolean resume, List<String> messages, long killedAt) {
        return new Run(backend, config, folder, new Run.Listener() {
                    @Override
                    public void row(MetricsRow row, long totalSteps) {
                        if (row.has(Column.EVAL_PUZZLES) && row.step() == killedAt) {
                            throw new Killed();
                        }
                    }

                    @Override
                    public void evaluating(long step, long puzzles) {}

                    @Override
                    public void message(String text) {
                        messages.add(text);
                    }
                })
                .run(resume);
    }

    private Run.Outcome run(Path folder, boolean resume, String... overrides) {
        return run(config(overrides), folder, resume, messages, -1);
    }

    private static List<Long> evaluated(Path folder) {
        return MetricsCsv.read(folder.resolve("metrics.csv")).stream()
                .filter(row -> row.containsKey(Column.EVAL_PUZZLES.title()))
                .map(row -> row.get(Column.STEP.title()).longValue())
                .toList();
    }

    private static Set<Long> kept(Path folder) {
        Set<Long> steps = new TreeSet<>();
        new CheckpointStore(folder.resolve("checkpoints"), 1)
                .list()
                .forEach(file -> steps.add(CheckpointStore.stepOf(file).orElseThrow()));
        return steps;
    }

    /** Step of the first evaluation with the greatest share of right cells, by the rows of metrics. */
    private static long best(Path folder) {
        return MetricsCsv.read(folder.resolve("metrics.csv")).stream()
                .filter(row -> row.containsKey(Column.EVAL_PUZZLES.title()))
                .max(Comparator.<Map<String, Double>>comparingDouble(row -> row.get(Column.EVAL_ACCURACY.title()))
                        .thenComparing(row -> -row.get(Column.STEP.title())))
                .orElseThrow()
                .get(Column.STEP.title())
                .longValue();
    }

    private static byte[] checkpoint(Path folder, long step) throws IOException {
        return Files.readAllBytes(new CheckpointStore(folder.resolve("checkpoints"), 1).path(step));
    }

    private static void assertSameWeights(Path expected, Path found) {
        SafeTensors e = Checkpoint.open(expected, text -> {});
        SafeTensors f = Checkpoint.open(found, text -> {});
        for (String name : e.names()) {
            assertEquals(e.bytes(name), f.bytes(name), name);
        }
    }

    /** In the midst of a pass, at its end, and at the last step once; no bit of the training is another. */
    @Test
    void evaluatesBySteps() {
        Path plain = temp.resolve("plain");
        run(plain, false);
        assertEquals(List.of(24L), evaluated(plain));
        String once = "evaluates once, after the last of 24 steps;"
                + " eval_every_steps evaluates before, or an eval_interval of fewer epochs";
        assertTrue(messages.contains(once), messages.toString());
        messages.clear();
        Path bySteps = temp.resolve("by-steps");
        run(bySteps, false, "eval_every_steps=5");
        assertEquals(List.of(5L, 10L, 15L, 20L, 24L), evaluated(bySteps));
        assertFalse(messages.contains(once), messages.toString());
        assertSameWeights(plain, bySteps);
        Path both = temp.resolve("both");
        run(both, false, "eval_every_steps=8", "eval_interval=2", "epochs_per_pass=1");
        assertEquals(List.of(8L, 12L, 16L, 24L), evaluated(both));
    }

    /** Three epochs, then the one that is left. */
    @Test
    void theLastPassIsWhatRemains() {
        Path folder = temp.resolve("run");
        run(folder, false, "eval_interval=3");
        assertEquals(List.of(18L, 24L), evaluated(folder));
        assertFalse(messages.stream().anyMatch(text -> text.startsWith("evaluates once")), messages.toString());
    }

    @Test
    void theBestStaysBesideTheNewest() throws IOException {
        long best = best(straight);
        assertTrue(
                best > 3 && best < 24,
                "nothing is shown by a best checkpoint that is the first or the newest: " + best);
        assertEquals(Set.of(best, 24L), kept(straight));
        Path named = CheckpointName.of(Path.of(straight + "@best")).find(text -> {});
        assertEquals(new CheckpointStore(straight.resolve("checkpoints"), 1).path(best), named);
        assertEquals(named, CheckpointName.of(Path.of(straight + "@" + best)).find(text -> {}));
        assertEquals(best, Checkpoint.step(Checkpoint.open(Path.of(straight + "@best"), text -> {})));
        assertEquals(
                new BestEvaluation(
                        BestBy.EVAL_ACCURACY,
                        share(best),
                        best,
                        evaluated(straight).size() - evaluated(straight).indexOf(best) - 1),
                BestEvaluation.read(Checkpoint.open(straight, text -> {})).orElseThrow());
    }

    private static double share(long step) {
        return MetricsCsv.read(straight.resolve("metrics.csv")).stream()
                .filter(row -> row.containsKey(Column.EVAL_PUZZLES.title()) && row.get(Column.STEP.title()) == step)
                .mapToDouble(row -> row.get(Column.EVAL_ACCURACY.title()))
                .findFirst()
                .orElseThrow();
    }

    /** Killed when an evaluation's row is there and its checkpoint is not, at each of them in turn; the best survives. */
    @Test
    void aKilledRunKeepsTheSameBest() throws IOException {
        Path folder = temp.resolve("run");
        boolean resume = false;
        for (long step : List.of(3L, best(straight), best(straight) + 3, 24L)) {
            boolean resumed = resume;
            assertThrows(Killed.class, () -> run(config(BEST), folder, resumed, messages, step));
            resume = true;
        }
        assertEquals(Run.Outcome.FINISHED, run(folder, true, BEST));
        assertEquals(kept(straight), kept(folder));
        for (long step : kept(straight)) {
            assertArrayEquals(checkpoint(straight, step), checkpoint(folder, step), "step " + step);
        }
        assertEquals(evaluated(straight), evaluated(folder));
    }

    /** Nothing is solved in so few steps: the first evaluation is the best. A run that is killed waits no longer. */
    @Test
    void patience() throws IOException {
        String[] two = {"eval_every_steps=3", "patience=2", "checkpoint_best=eval_exact_accuracy"};
        Path whole = temp.resolve("whole");
        assertEquals(Run.Outcome.FINISHED, run(whole, false, two));
        assertEquals(List.of(3L, 6L, 9L), evaluated(whole));
        String said = "stopped early at step 9 of 24: 2 evaluations in a row (patience) found none above"
                + " eval_exact_accuracy 0.0000 of step 3";
        assertTrue(messages.contains(said), messages.toString());
        assertEquals("finished at step 9\n", Files.readString(whole.resolve("DONE")));
        assertTrue(Checkpoint.progress(Checkpoint.open(whole, text -> {})).finished(2));
        byte[] end = checkpoint(whole, 9);
        assertEquals(Run.Outcome.ALREADY_FINISHED, run(whole, true, two));
        assertArrayEquals(end, checkpoint(whole, 9));

        Path killed = temp.resolve("killed");
        assertThrows(Killed.class, () -> run(config(two), killed, false, messages, 6));
        assertThrows(Killed.class, () -> run(config(two), killed, true, messages, 9));
        assertEquals(Run.Outcome.FINISHED, run(killed, true, two));
        assertArrayEquals(end, checkpoint(killed, 9));

        assertEquals(Run.Outcome.FINISHED, run(whole, true, "eval_every_steps=3"));
        assertEquals(List.of(3L, 6L, 9L, 12L, 15L, 18L, 21L, 24L), evaluated(whole));
    }

    /** What is compared has changed: the run begins to compare anew, and does not hold shares of two kinds against each other. */
    @Test
    void anotherColumnBeginsAnew() throws IOException {
        Path folder = temp.resolve("run");
        assertThrows(Killed.class, () -> run(config(BEST), folder, false, messages, 12));
        String[] other = BEST.clone();
        other[2] = "checkpoint_best=eval_exact_accuracy";
        assertEquals(Run.Outcome.FINISHED, run(folder, true, other));
        BestEvaluation found =
                BestEvaluation.read(Checkpoint.open(folder, text -> {})).orElseThrow();
        assertEquals(new BestEvaluation(BestBy.EVAL_EXACT_ACCURACY, 0, 12, 4), found);
    }

    @Test
    void checkpointsThatAreNotThere() throws IOException {
        Path none = temp.resolve("none");
        run(none, false, "eval_every_steps=12");
        assertRefused(
                none,
                "best",
                ": no best checkpoint was kept: the run has no checkpoint_best;" + " there are those of steps 12, 24");
        assertRefused(none, "13", ": no checkpoint of step 13; there are those of steps 12, 24");
        assertRefused(none, "last", ": found 'last' after '@', expected best or the step of a checkpoint; there are");
        Path nowhere = temp.resolve("nowhere");
        assertRefused(nowhere, "best", ": neither a checkpoint file nor a run folder");
        Path damaged = temp.resolve("damaged@best");
        Files.createDirectories(damaged);
        assertEquals(new CheckpointName(damaged, null), CheckpointName.of(damaged));
        Path file = new CheckpointStore(none.resolve("checkpoints"), 1).path(12);
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length - 1] ^= 1;
        Files.write(file, bytes);
        FormatException e = assertThrows(FormatException.class, () -> CheckpointName.of(Path.of(none + "@12"))
                .find(text -> {}));
        assertTrue(e.getMessage().startsWith(file + ": checkpoint is damaged"), e.getMessage());
    }

    private static void assertRefused(Path run, String which, String expected) {
        FormatException e = assertThrows(FormatException.class, () -> CheckpointName.of(Path.of(run + "@" + which))
                .find(text -> {}));
        assertTrue(e.getMessage().startsWith(run + "@" + which + expected), e.getMessage());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "eval_interval=1;patience=2 | patience is 2, but the data",
                "eval_every_steps=3 | eval_every_steps is 3, but the data",
                "checkpoint_best=eval_accuracy | checkpoint_best is given, but the data",
            })
    void dataThatAreNotEvaluatedOn(String overrides, String expected) throws IOException {
        Path data = temp.resolve("data");
        MiniSudokuBuilder.build(data, 4, 96, 16, 1, 8);
        try (Stream<Path> files = Files.walk(data.resolve("test"))) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
        List<String> all = new ArrayList<>(List.of(overrides.split(";")));
        all.add("data_paths=['" + data + "']");
        String message = assertThrows(
                        ConfigException.class, () -> run(temp.resolve("run"), false, all.toArray(String[]::new)))
                .getMessage();
        assertEquals(expected + " in " + data + " have no test split to evaluate on", message);
    }

    @Test
    void votesThatNobodyCasts() {
        assertEquals(
                "checkpoint_best is eval_pass_2, but the data in " + shared.resolve("data")
                        + " are none of ARC, where answers vote; expected eval_exact_accuracy",
                assertThrows(
                                ConfigException.class,
                                () -> run(temp.resolve("run"), false, "checkpoint_best=eval_pass_2"))
                        .getMessage());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "patience=3 | patience is 3: there is no evaluation before the last one, so none that it could wait for",
                "patience=3;eval_interval=4 | eval_interval must be given, and be less than epochs, or eval_every_steps",
                "patience=-1 | patience is -1: must be at least 0",
                "eval_every_steps=-1 | eval_every_steps is -1: must be at least 0",
                "eval_interval=5 | eval_interval is 5: must be at most epochs, which is 4",
                "checkpoint_best=loss | checkpoint_best is loss; expected eval_exact_accuracy, eval_accuracy or eval_pass_2",
            })
    void whatCannotBeAsked(String overrides, String expected) {
        String message = assertThrows(ConfigException.class, () -> config(overrides.split(";")))
                .getMessage();
        assertTrue(message.contains(expected), message);
    }

    /** A checkpoint that says what no run can have found. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "best_by | loss | metadata 'best_by' is 'loss', expected a column of evaluations",
                "best_value | 1.5 | metadata 'best_value' is '1.5', expected a number in 0 .. 1",
                "best_value | x | metadata 'best_value' is 'x', expected a number in 0 .. 1",
                "best_step | 30 | metadata 'best_step' is 30, expected 0 .. 24 steps",
                "evaluations_since_best | -1 | metadata 'evaluations_since_best' is '-1', expected a number of steps",
            })
    void whatNoRunWrites(String key, String value, String expected) throws IOException {
        ForgedCheckpoint forged = ForgedCheckpoint.of(Checkpoint.open(straight, text -> {}));
        forged.metadata(key, value);
        Path file = temp.resolve("step-00000024.safetensors");
        forged.writeTo(file);
        String message = assertThrows(FormatException.class, () -> BestEvaluation.read(SafeTensors.open(file)))
                .getMessage();
        assertTrue(message.contains(expected), message);
    }
}
