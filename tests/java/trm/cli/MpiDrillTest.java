package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.arc.ArcBuilder;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Mpi;
import trm.device.NativeBuild;
import trm.io.MetricsCsv;
import trm.io.SafeTensors;

/**
 * Ranks that mpirun starts on this machine. Oracle of what they compute: one process with the whole batch. Bounds: the same lanes, so that
 * losses of the first steps agree to a relative 1e-5, as sums in another order do; after that the recursion makes more of such a
 * difference, and what counts is that ranks differ no more from one process than ten times what a process differs from itself that
 * adds up as many micro-batches. Of what becomes of them after faults: the run without, byte for byte.
 */
@Tag("drill")
class MpiDrillTest {
    private static final int STEPS = 30;
    private static final int LONG = 120;
    private static final int FIRST = 5;
    private static final double CLOSE = 1e-5;
    private static final int LOST = 129;

    /** For a process that should have ended long ago; a test fails, it does not measure. */
    private static final int MINUTES = 5;

    @TempDir
    private static Path shared;

    @TempDir
    private Path temp;

    private static Path sudoku;
    private static Path mini;
    private static Path arc;
    private static Path straight; // null before it was first needed

    @BeforeAll
    static void build() throws IOException {
        assumeTrue(
                Stream.of(System.getenv("PATH").split(File.pathSeparator))
                        .anyMatch(p -> Files.isExecutable(Path.of(p, "mpirun"))),
                "no mpirun on PATH");
        assumeTrue(NativeBuild.carries(Mpi.LIBRARY), "this build has no " + Mpi.LIBRARY);
        sudoku = shared.resolve("sudoku");
        Trm.execute(
                        "data",
                        "sudoku",
                        "--train",
                        "data/sudoku/train.csv",
                        "--test",
                        "data/sudoku/test.csv",
                        "--subsample",
                        "100",
                        "--aug",
                        "10",
                        "--limit-test",
                        "20",
                        "--out",
                        sudoku)
                .assertDone();
        mini = shared.resolve("mini");
        MiniSudokuBuilder.build(mini, 4, 400, 40, 1, 8);
        arc = shared.resolve("arc");
        ArcBuilder.build(
                "tests/golden/datasets/arc_tiny/input/arc",
                List.of("training", "evaluation"),
                List.of("evaluation"),
                arc,
                3,
                1,
                1,
                false,
                note -> {});
    }

    private static final String TINY = "arch.hidden_size=32 arch.num_heads=4 arch.L_layers=1 arch.halt_max_steps=4"
            + " arch.halt_exploration_prob=0.3 lr=1e-3 lr_warmup_steps=5 log_every_steps=1 check_every_steps=1"
            + " threads=1 epochs=4000 eval_interval=4000 max_steps=" + STEPS;

    private static String settings(String which) {
        return TINY
                + switch (which) {
                    case "sudoku" -> " global_batch_size=8 " + data(sudoku);
                    case "halting" -> " global_batch_size=16 data_shape=null " + data(mini);
                    case "noise" ->
                        " global_batch_size=16 data_shape=null arch.relaxation=0.7 arch.latent_noise=0.1"
                                + " arch.random_start=true " + data(mini);
                    case "arc" ->
                        " global_batch_size=8 data_shape=null arch.puzzle_emb_ndim=32 arch.puzzle_emb_len=1 "
                                + data(arc);
                    default -> throw new IllegalArgumentException(which);
                };
    }

    private static String data(Path folder) {
        return "data_paths=[" + folder + "]";
    }

    private record Ended(int code, String out) {
        Ended done() {
            assertEquals(0, code, out);
            return this;
        }
    }

    /** What a test does to processes that run. */
    @FunctionalInterface
    private interface Action {
        void on(Process launcher) throws Exception;
    }

    private static Process start(int ranks, Path run, String settings, String... more) throws IOException {
        List<String> command = new ArrayList<>();
        if (ranks > 0) {
            command.addAll(List.of("mpirun", "--oversubscribe", "--bind-to", "none", "-np", Integer.toString(ranks)));
        }
        command.addAll(Trm.command("256m", "train", "configs/cpu/sudoku-mlp-small.yaml"));
        command.addAll(List.of(settings.split(" ")));
        command.addAll(List.of("--run", run.toString(), "--resume", "auto", "--device", "cpu"));
        command.addAll(List.of(more));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment()
                .putAll(Map.of(
                        "OMPI_ALLOW_RUN_AS_ROOT",
                        "1",
                        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                        "1",
                        "OMPI_MCA_btl_vader_single_copy_mechanism",
                        "none",
                        "OMPI_MCA_odls_base_sigkill_timeout", // seconds; mpirun always waits them out
                        "5"));
        return builder.start();
    }

    private static Ended end(Process process, String at, Action action) throws Exception {
        StringBuilder out = new StringBuilder();
        boolean acted = false;
        try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                out.append(line).append('\n');
                if (!acted && at != null && line.startsWith(at)) {
                    acted = true;
                    action.on(process);
                }
            }
        }
        if (!process.waitFor(MINUTES, TimeUnit.MINUTES)) {
            process.destroyForcibly();
            fail("did not end: " + out);
        }
        return new Ended(process.exitValue(), out.toString());
    }

    private static Ended train(int ranks, Path run, String settings, String... more) throws Exception {
        return end(start(ranks, run, settings, more), null, p -> {});
    }

    /** Losses by step. */
    private static Map<Long, Double> losses(Path run) {
        Map<Long, Double> losses = new HashMap<>();
        MetricsCsv.read(run.resolve("metrics.csv")).stream()
                .filter(row -> row.containsKey("lm_loss"))
                .forEach(row -> losses.put(row.get("step").longValue(), row.get("lm_loss")));
        return losses;
    }

    private static double difference(Map<Long, Double> a, Map<Long, Double> b, long step) {
        return Math.abs(a.get(step) - b.get(step)) / a.get(step);
    }

    @ParameterizedTest
    @ValueSource(strings = {"sudoku", "halting", "noise", "arc"})
    void ranksTrainAsOne(String which) throws Exception {
        String settings = settings(which);
        Path one = temp.resolve("one");
        train(0, one, settings).done();
        Map<Long, Double> expected = losses(one);
        assertEquals(STEPS, expected.size());
        Path single = temp.resolve("single");
        train(1, single, settings).done();
        Trm.assertSameEnd(one, single, STEPS);
        for (int ranks : new int[] {2, 4}) {
            Path parts = temp.resolve("parts-" + ranks);
            train(0, parts, settings + " micro_batches=" + ranks).done();
            Map<Long, Double> micro = losses(parts);
            Path run = temp.resolve("ranks-" + ranks);
            Ended ended = train(ranks, run, settings).done();
            assertTrue(ended.out.contains("rank 0 of " + ranks), ended.out);
            Map<Long, Double> found = losses(run);
            assertEquals(STEPS, found.size());
            double most = 0;
            for (long step = 1; step <= STEPS; step++) {
                most = Math.max(most, difference(expected, micro, step));
                double bound = step <= FIRST ? CLOSE : Math.max(CLOSE, 10 * most);
                assertTrue(
                        difference(expected, found, step) <= bound,
                        which + ", " + ranks + " ranks, step " + step + ": " + expected.get(step) + ", "
                                + found.get(step) + ", micro-batches " + micro.get(step));
            }
        }
    }

    @ParameterizedTest(name = "from {0} ranks to {1}")
    @CsvSource({"2,1", "2,4"})
    void aRunGoesOnWithAnotherNumberOfRanks(int before, int after) throws Exception {
        String settings = settings("halting") + " checkpoint_every_steps=5";
        Path whole = temp.resolve("whole");
        train(before, whole, settings).done();
        Map<Long, Double> expected = losses(whole);
        Path moved = temp.resolve("moved");
        assertEquals(143, stopped(before, moved, settings, "step 10/", p -> signal(p, "TERM", 0)).code);
        train(after, moved, settings).done();
        Map<Long, Double> found = losses(moved);
        assertEquals(STEPS, found.size());
        long from = -1;
        for (long step = 1; step <= STEPS; step++) {
            double off = difference(expected, found, step);
            if (off > 0 && from < 0) {
                from = step;
            }
            assertTrue(from < 0 || step > from + FIRST || off <= CLOSE, "step " + step + " is off by " + off);
        }
        assertTrue(from > 10, "the steps before the end of the first run are those of the other");
    }

    /** Java processes that a launcher has started, by age. */
    private static List<ProcessHandle> processes(Process launcher) {
        return launcher.descendants()
                .filter(p -> p.info().command().orElse("").endsWith("/java"))
                .sorted(Comparator.comparing(ProcessHandle::pid))
                .toList();
    }

    private static void signal(Process launcher, String name, int rank) throws Exception {
        List<ProcessHandle> all = processes(launcher);
        assertTrue(all.size() > rank, all.toString());
        kill(name, all.get(rank).pid());
    }

    private static void kill(String name, long pid) throws Exception {
        new ProcessBuilder("kill", "-" + name, Long.toString(pid))
                .inheritIO()
                .start()
                .waitFor();
    }

    private static Ended stopped(int ranks, Path run, String settings, String at, Action action) throws Exception {
        return end(start(ranks, run, settings), at, action);
    }

    /** Settings of a run that is interrupted, always the same but for the time that a rank waits. */
    private static String interruptible(int timeout) {
        return settings("halting").replace("max_steps=" + STEPS, "max_steps=" + LONG)
                + " checkpoint_every_steps=20 collective_timeout=" + timeout;
    }

    /** The run goes on, to the end of the one that nobody has interrupted. */
    private static void assertGoesOn(Path run) throws Exception {
        if (straight == null) {
            straight = shared.resolve("straight");
            train(2, straight, interruptible(60)).done();
        }
        train(2, run, interruptible(60)).done();
        assertEquals(Trm.metrics(straight), Trm.metrics(run));
        assertSameTensors(Trm.checkpoint(straight, LONG), Trm.checkpoint(run, LONG));
    }

    /** All tensors of two checkpoints: the settings beside them say how long a rank waited. */
    private static void assertSameTensors(Path one, Path other) {
        SafeTensors a = SafeTensors.open(one);
        SafeTensors b = SafeTensors.open(other);
        assertEquals(a.names(), b.names());
        for (String name : a.names()) {
            assertEquals(a.parts(name), b.parts(name), name);
        }
    }

    /** One rank is killed in the midst of a step: all end, and the run goes on from its last checkpoint. */
    @Test
    void aRankThatIsKilled() throws Exception {
        String settings = interruptible(5);
        Path run = temp.resolve("run");
        Ended ended = stopped(2, run, settings, "step 30/", p -> signal(p, "KILL", 1));
        assertNotEquals(0, ended.code, ended.out);
        assertGoesOn(run);
    }

    /** One rank stands still: the other waits its time, says so, and ends all. */
    @Test
    void aRankThatIsStopped() throws Exception {
        String settings = interruptible(3);
        Path run = temp.resolve("run");
        Ended ended = stopped(2, run, settings, "step 30/", p -> signal(p, "STOP", 1));
        assertEquals(LOST, ended.code, ended.out);
        assertTrue(
                ended.out.contains(
                        "rank 0 of 2 waited 3 s for the others: one of them has ended, hangs or was stopped"),
                ended.out);
        assertTrue(ended.out.contains("; the last completed step is "), ended.out);
        assertGoesOn(run);
    }

    /**
     * A signal to one rank, or to all of them by way of the launcher: one checkpoint, and all end with the signal's code. mpirun that
     * is told to end has a code of its own, and kills the ranks after a second: there may be a checkpoint or not.
     */
    @ParameterizedTest(name = "{0} to {1}")
    @CsvSource({"TERM,0,143", "TERM,1,143", "USR1,1,138", "TERM,-1,0", "USR1,-1,138"})
    void aSignalStopsAll(String name, int rank, int code) throws Exception {
        String settings = interruptible(60);
        Path run = temp.resolve("run");
        Ended ended = stopped(2, run, settings, "step 30/", p -> {
            if (rank >= 0) {
                signal(p, name, rank);
            } else {
                kill(name, p.pid());
            }
        });
        if (code == 0) {
            assertNotEquals(0, ended.code, ended.out);
        } else {
            assertEquals(code, ended.code, ended.out);
            assertTrue(Files.readString(run.resolve("log.txt")).contains("stopped at step "), ended.out);
        }
        assertGoesOn(run);
    }

    @Test
    void aBatchThatRanksCannotShare() throws Exception {
        Ended ended = train(3, temp.resolve("run"), settings("halting"));
        assertEquals(2, ended.code, ended.out);
        assertTrue(ended.out.contains("global_batch_size is 16: 3 ranks cannot share it equally"), ended.out);
    }
}
