package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.cli.LaunchedRanks;
import trm.cli.Main;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.CudaInstallation;

/**
 * Ranks that NCCL connects, as processes on {@link FakeGpu} with {@code tests/native/fake_cuda/fake_nccl.cpp}: what the captured step
 * holds, and what becomes of ranks that fail. It says nothing about NCCL or about speed.
 */
@Tag("drill")
class NcclRanksTest {
    private static final int STEPS = 12;
    private static final int LOST = 129;

    @TempDir
    private static Path temp;

    private static FakeGpu gpu;
    private static Path data;
    private static int meetings;

    @BeforeAll
    static void compile() throws IOException, InterruptedException {
        gpu = new FakeGpu(Files.createDirectories(temp.resolve("gpu"))).withNccl();
        data = temp.resolve("data");
        MiniSudokuBuilder.build(data, 4, 100, 10, 3, 8);
    }

    /** Variables of one of several ranks, as torchrun sets them. */
    private static Map<String, String> rank(int rank, int ranks, Path meeting) {
        Map<String, String> variables = new HashMap<>();
        variables.put("RANK", Integer.toString(rank));
        variables.put("WORLD_SIZE", Integer.toString(ranks));
        variables.put("LOCAL_RANK", Integer.toString(rank));
        variables.put("MASTER_ADDR", "127.0.0.1");
        variables.put("MASTER_PORT", "29400");
        variables.put("FAKE_NCCL_DIR", meeting.toString());
        variables.put("FAKE_CUDA_DEVICES", "4");
        variables.put("FAKE_CUDA_LAG", "3");
        variables.put("FAKE_CUDA_TRACE", "1");
        return variables;
    }

    private static Path meeting() throws IOException {
        return Files.createDirectories(temp.resolve("meeting-" + meetings++));
    }

    private static String[] train(Path run, String... more) {
        List<String> arguments = new ArrayList<>(List.of(
                "train",
                "configs/cpu/sudoku-mlp-small.yaml",
                "data_paths=[" + data + "]",
                "data_shape=null",
                "arch.hidden_size=16",
                "arch.num_heads=2",
                "arch.L_layers=1",
                "arch.forward_dtype=float32",
                "arch.halt_max_steps=3",
                "global_batch_size=4",
                "epochs=4",
                "eval_interval=4",
                "max_steps=" + STEPS,
                "log_every_steps=1",
                "checkpoint_every_steps=5",
                "check_every_steps=4",
                "--run",
                run.toString()));
        arguments.addAll(List.of(more));
        return arguments.toArray(new String[0]);
    }

    private static long count(FakeGpu.Result result, String line) {
        return result.out().lines().filter(line::equals).count();
    }

    private static byte[] weights(Path run) throws IOException {
        return Files.readAllBytes(run.resolve("checkpoints/step-000000" + STEPS + ".safetensors"));
    }

    /** Lines of a run's metrics without the two columns of the clock, which are the last. */
    private static List<String> metrics(Path run) throws IOException {
        return Files.readAllLines(run.resolve("metrics.csv")).stream()
                .map(line -> line.replaceFirst(",[^,]*,[^,]*$", ""))
                .toList();
    }

    private static List<FakeGpu.Result> ranks(int ranks, Map<String, String> more, String... arguments)
            throws IOException {
        Path meeting = meeting();
        List<Map<String, String>> environments = new ArrayList<>();
        for (int r = 0; r < ranks; r++) {
            Map<String, String> environment = rank(r, ranks, meeting);
            environment.putAll(more);
            environments.add(environment);
        }
        return gpu.javas(environments, Main.class.getName(), arguments);
    }

    /** The step is captured with its sum over the ranks: enqueued a few times, made in every step; eager, it is enqueued in each. */
    @Test
    void theCapturedStepHoldsTheSum() throws IOException {
        Map<String, Long> sums = new HashMap<>();
        for (String graph : List.of("0", "1")) {
            Path run = temp.resolve("graph-" + graph);
            for (FakeGpu.Result result : ranks(2, Map.of("TRM_GRAPH", graph), train(run))) {
                result.done();
                sums.merge(graph, count(result, "nccl all_reduce"), Math::max);
                assertEquals(1, count(result, "nccl destroy"), result.out());
                assertEquals(0, count(result, "nccl abort"), result.out());
            }
            assertTrue(Files.exists(run.resolve("DONE")));
        }
        assertTrue(sums.get("0") >= sums.get("1") + STEPS / 2, sums.toString());
        assertArrayEquals(weights(temp.resolve("graph-0")), weights(temp.resolve("graph-1")));
        assertEquals(metrics(temp.resolve("graph-0")), metrics(temp.resolve("graph-1")));
    }

    /** One rank has the bits of a process without NCCL. */
    @Test
    void oneRank() throws IOException, InterruptedException {
        Path alone = temp.resolve("alone");
        gpu.java(Map.of("FAKE_CUDA_LAG", "3"), Main.class.getName(), train(alone))
                .done();
        Path one = temp.resolve("one");
        FakeGpu.Result result = ranks(1, Map.of(), train(one)).get(0).done();
        assertTrue(count(result, "nccl all_reduce") > 0, result.out());
        assertArrayEquals(weights(alone), weights(one));
        assertEquals(metrics(alone), metrics(one));
    }

    private static void assertLost(FakeGpu.Result result, String text) {
        assertEquals(LOST, result.code(), result.out());
        assertTrue(result.out().contains(text), result.out());
        assertTrue(result.out().contains("; the last completed step is "), result.out());
        assertTrue(result.out().contains(", and --resume goes on from the last checkpoint"), result.out());
    }

    /** NCCL says that something is wrong with one rank: it gives up, the other sees that, and neither waits out its time. */
    @Test
    void anErrorOfOneRank() throws IOException {
        Path meeting = meeting();
        Map<String, String> failing = rank(1, 2, meeting);
        failing.put("FAKE_NCCL_ERROR_AT", "60");
        List<FakeGpu.Result> results = gpu.javas(
                List.of(rank(0, 2, meeting), failing),
                Main.class.getName(),
                train(temp.resolve("error"), "collective_timeout=1000"));
        assertLost(results.get(1), "rank 1 of 2: internal error (NCCL error 3)");
        assertLost(results.get(0), "rank 0 of 2: remote process exited or there was a network error (NCCL error 6)");
    }

    /** A rank that hangs: the other gives up after its time. */
    @Test
    void aRankThatHangs() throws IOException {
        Path meeting = meeting();
        Map<String, String> hanging = rank(1, 2, meeting);
        hanging.put("FAKE_NCCL_HANG_AT", "60");
        List<FakeGpu.Result> results = gpu.javas(
                List.of(rank(0, 2, meeting), hanging),
                Main.class.getName(),
                train(temp.resolve("hang"), "collective_timeout=3"));
        assertLost(results.get(0), "rank 0 of 2: ");
        assertTrue(
                results.stream().anyMatch(r -> r.out()
                        .contains("waited 3 s for the others: one of them has ended, hangs or was stopped")),
                results.toString());
        assertEquals(LOST, results.get(1).code(), results.get(1).out());
    }

    private static Map<String, String> launched(Path meeting) {
        Map<String, String> variables = rank(0, 1, meeting);
        for (String name : List.of("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")) {
            variables.remove(name);
        }
        return variables;
    }

    /** {@code trm launch}: a process a GPU, their lines by rank, the bits of ranks that somebody else started. */
    @Test
    void launch() throws IOException, InterruptedException {
        Path run = temp.resolve("launched");
        FakeGpu.Result result = gpu.java(launched(meeting()), LaunchedRanks.class.getName(), train(run))
                .done();
        assertTrue(result.out().contains("[0] device auto: cuda:0 (Fake GPU, sm_90), rank 0 of 2"), result.out());
        assertTrue(result.out().contains("[1] nccl destroy"), result.out());
        Path other = temp.resolve("started");
        ranks(2, Map.of(), train(other)).forEach(FakeGpu.Result::done);
        assertArrayEquals(weights(other), weights(run));
    }

    /** One of them ends badly: its code is that of all, and none stays. */
    @Test
    void launchEndsAll() throws IOException, InterruptedException {
        Map<String, String> failing = launched(meeting());
        failing.put("FAKE_NCCL_ERROR_AT", "60");
        FakeGpu.Result result = gpu.java(failing, LaunchedRanks.class.getName(), train(temp.resolve("ended")));
        assertEquals(LOST, result.code(), result.out());
        assertTrue(result.out().contains("has ended with code 129; the others are ended"), result.out());
    }

    @Test
    void aRankThatIsNotThere() throws IOException {
        FakeGpu.Result result = gpu.javas(
                        List.of(rank(1, 2, meeting())),
                        Main.class.getName(),
                        train(temp.resolve("missing"), "collective_timeout=2"))
                .get(0);
        assertEquals(1, result.code(), result.out());
        assertTrue(
                result.out()
                        .contains(
                                "the other ranks were not found within 2.0 s; they must all run, and reach 127.0.0.1:29400"),
                result.out());
    }

    @Test
    void twoRanksOnOneGpu() throws IOException {
        for (FakeGpu.Result result : ranks(2, Map.of(), train(temp.resolve("shared"), "--device", "cuda:0"))) {
            assertEquals(1, result.code(), result.out());
            assertTrue(result.out().contains("Duplicate GPU detected"), result.out());
        }
    }

    @Test
    void noNccl() throws IOException {
        assumeFalse(
                CudaInstallation.ofThisMachine().libraries().stream()
                        .anyMatch(l -> l.found() && l.name().startsWith("libnccl")),
                "this machine has an NCCL of its own");
        Path file = gpu.folder().resolve("libnccl.so.2");
        Path aside = temp.resolve("libnccl");
        Files.move(file, aside);
        try {
            FakeGpu.Result result =
                    ranks(2, Map.of(), train(temp.resolve("none"))).get(0);
            assertEquals(1, result.code(), result.out());
            assertTrue(result.out().contains("ranks on GPUs need NCCL: no libnccl.so.2 (looked in "), result.out());
        } finally {
            Files.move(aside, file);
        }
    }

    /** Settings that differ are named before the first step, with the rank; here in what each was told. */
    @Test
    void ranksWithOtherSettings() throws IOException, InterruptedException {
        Path meeting = meeting();
        List<FakeGpu.Result> results = Stream.of(0, 1)
                .parallel()
                .map(r -> {
                    try {
                        return gpu.java(
                                rank(r, 2, meeting),
                                Main.class.getName(),
                                train(temp.resolve("differ"), "seed=" + r, "collective_timeout=60"));
                    } catch (IOException | InterruptedException e) {
                        throw new AssertionError(e);
                    }
                })
                .toList();
        for (FakeGpu.Result result : results) {
            assertTrue(result.code() == 1 || result.code() == 2, result.out());
            assertTrue(result.out().contains("seed"), result.out());
        }
    }
}
