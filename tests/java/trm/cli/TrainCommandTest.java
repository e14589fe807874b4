package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.io.CheckpointStore;
import trm.io.RunLock;

/**
 * Runs of 20 steps over 80 puzzles of side 4, five steps an epoch: what may begin where, what may change when a run goes on,
 * and what ends it. Oracle of a run that goes on: the same run without interruption, byte for byte.
 */
class TrainCommandTest {
    private static final int STEPS = 20;

    @TempDir
    private static Path shared;

    private static Path config;
    private static Path straight;

    @TempDir
    private Path temp;

    @BeforeAll
    static void straightRun() throws IOException {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 80, 20, 1, 8);
        config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        Files.writeString(
                config,
                Files.readString(config).replace("epochs: 1", "epochs: 4\neval_interval: 1")
                        + "checkpoint_every_steps: 3\ncheckpoint_keep: 20\nlog_every_steps: 1\nlr: 1e-3\n");
        straight = shared.resolve("straight");
        train("--run", straight).assertDone();
    }

    private static Trm.Result train(Object... arguments) {
        return Trm.execute(Stream.concat(Stream.of("train", config, "--device", "cpu"), Stream.of(arguments))
                .toArray());
    }

    private static Trm.Result resume(Object... arguments) {
        return Trm.execute(Stream.concat(Stream.of("train", "--device", "cpu", "--resume"), Stream.of(arguments))
                .toArray());
    }

    // ---- where a run begins -----------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(strings = {"config.yaml", "metrics.csv", "notes.txt", ".hidden"})
    void filesOfOthersAreLeftAlone(String name) throws IOException {
        Path run = Files.createDirectories(temp.resolve("run"));
        Files.writeString(run.resolve(name), "mine");
        train("--run", run)
                .assertFails(1, run + ": holds '" + name + "' and no mark of a run, expected a new or empty folder");
        assertEquals("mine", Files.readString(run.resolve(name)));
        assertEquals(List.of(name), List.of(run.toFile().list()));
    }

    @Test
    void aLinkInTheFolderIsNoMark() throws IOException {
        Path run = Files.createDirectories(temp.resolve("run"));
        Path victim = Files.writeString(temp.resolve("victim"), "precious");
        Files.createSymbolicLink(run.resolve(RunLock.FILE), victim);
        train("--run", run).assertFails(1, run.toString());
        assertEquals("precious", Files.readString(victim));
    }

    /** From its first moment: only the folder, or the mark, or settings too. */
    @ParameterizedTest
    @ValueSource(
            strings = {"", "run.lock", "run.lock,config.yaml", "run.lock,data.json,config.yaml,metrics.csv,log.txt"})
    void aRunThatWasKilledBeforeItsFirstCheckpointBeginsAgain(String left) throws IOException {
        for (String how : List.of("start", "auto", "resume")) {
            Path run = Files.createDirectories(temp.resolve(how));
            for (String name : left.isEmpty() ? new String[0] : left.split(",")) {
                Files.copy(straight.resolve(name), run.resolve(name));
            }
            if (how.equals("resume")) {
                if (!left.contains("config.yaml")) {
                    resume(run).assertFails(1, run + ": no config.yaml, expected the folder of a run");
                    continue;
                }
                resume(run).assertDone();
            } else {
                (how.equals("auto") ? train("--run", run, "--resume", "auto") : train("--run", run)).assertDone();
            }
            Trm.assertSameEnd(straight, run, STEPS);
        }
    }

    @Test
    void autoBeginsThenContinuesThenIsFinished() throws IOException {
        Path run = temp.resolve("run");
        train("--run", run, "--resume", "auto").assertDone();
        Trm.assertSameEnd(straight, run, STEPS);
        Files.delete(Trm.checkpoint(run, 20));
        assertTrue(train("--run", run, "--resume", "auto").assertDone().err().contains("at step 18 of 20"));
        Trm.assertSameEnd(straight, run, STEPS);
        assertTrue(train("--run", run, "--resume", "auto").assertDone().err().contains("is finished: step 20 of 20"));
        train("--run", run, "--resume", "auto", "lr=2e-3").assertFails(2, "lr is 0.002, but the run has 0.001");
        train("--run", run).assertFails(1, run + ": already holds a run; use --resume " + run);
    }

    @ParameterizedTest
    @ValueSource(strings = {"../outside", "/tmp/outside", ".", "..", "a/../..", "a/../../b"})
    void aNameStaysBelowRuns(String name) {
        train("run_name=" + name).assertFails(2, "run_name is '" + name + "': must name a folder below runs/");
    }

    @Test
    void aRunFolderHasOneWriter() throws IOException {
        Path run = Trm.killedAfter(6, straight, temp.resolve("run"));
        try (RunLock other = RunLock.take(run)) {
            assertTrue(other.previous().isEmpty());
            resume(run)
                    .assertFails(
                            1,
                            run + ": is being written by process "
                                    + ProcessHandle.current().pid() + " on host '");
            train("--run", run, "--resume", "auto").assertFails(1, "one writer at a time");
        }
        resume(run).assertDone();
        Trm.assertSameEnd(straight, run, STEPS);
    }

    // ---- data -------------------------------------------------------------------------------------------------------

    @Test
    void dataThatHaveMovedAreGiven() throws IOException {
        Path data = Trm.copy(shared.resolve("data"), temp.resolve("data"));
        Path run = temp.resolve("run");
        String path = "data_paths=['" + data + "']";
        train(path, "--run", run).assertDone();
        Files.delete(Trm.checkpoint(run, 20));
        Path moved = Files.move(data, temp.resolve("moved"));
        resume(run).assertFails(1, run + ": its data are no longer in " + data, "--data DIR says where to");
        resume(run, "--data", moved).assertDone();
        assertEquals(Trm.metrics(straight), Trm.metrics(run));
        Files.delete(Trm.checkpoint(run, 20));
        resume(run).assertDone(); // the run knows where they are now
    }

    @ParameterizedTest
    @CsvSource({"train,inputs", "train,labels", "test,inputs", "test,labels"})
    void otherDataAreRefused(String split, String array) throws IOException {
        Path data = Trm.copy(shared.resolve("data"), temp.resolve("data"));
        Path run = temp.resolve("run");
        train("data_paths=['" + data + "']", "--run", run).assertDone();
        Files.delete(Trm.checkpoint(run, 20));
        Path file = data.resolve(split).resolve("all__" + array + ".npy");
        byte[] bytes = Files.readAllBytes(file);
        byte[] row = Arrays.copyOfRange(bytes, bytes.length - 32, bytes.length); // the last two rows, exchanged
        System.arraycopy(row, 16, bytes, bytes.length - 32, 16);
        System.arraycopy(row, 0, bytes, bytes.length - 16, 16);
        Files.write(file, bytes);
        resume(run)
                .assertFails(
                        1,
                        run + ": the " + split + " data in " + data + " are not those",
                        "the fingerprint of " + array);
        resume(run, "--data", shared.resolve("data")).assertDone();
    }

    @Test
    void otherPathsAreCheckedToo() throws IOException {
        MiniSudokuBuilder.build(temp.resolve("other"), 4, 80, 20, 2, 8);
        Path run = Trm.killedAfter(6, straight, temp.resolve("run"));
        resume(run, "data_paths=['" + temp.resolve("other") + "']")
                .assertFails(1, "are not those that the run began with");
        train("data_paths=['" + temp.resolve("other") + "']", "--run", run, "--resume", "auto")
                .assertFails(1, "are not those that the run began with");
    }

    @Test
    void theShapeIsThatOfTheData() throws IOException {
        MiniSudokuBuilder.build(temp.resolve("six"), 6, 20, 8, 1, 18);
        String data = "data_paths=['" + temp.resolve("six") + "']";
        String four = "data_shape={seq_len: 16, vocab_size: 6, num_puzzle_identifiers: 1}";
        train(data, four, "--run", temp.resolve("run"))
                .assertFails(
                        2,
                        "data_shape is {seq_len: 16, ",
                        "the data in " + temp.resolve("six") + " have {seq_len: 36, ");
        assertFalse(Files.exists(temp.resolve("run")));
        assertTrue(Files.readString(straight.resolve("config.yaml")).contains("seq_len: 16\n"));
        Trm.execute("solve", straight, "--puzzle", "1..4..2....33..2", "--steps", "1", "--device", "cpu")
                .assertDone();
    }

    @Test
    void aPassThatFillsNoBatchIsRefused() {
        train("global_batch_size=81", "--run", temp.resolve("run"))
                .assertFails(
                        1,
                        "a pass of 1 epochs (eval_interval) has at most 80 samples, which fill no batch of"
                                + " global_batch_size: 81",
                        "what fits is global_batch_size: 80 or less, or eval_interval (and epochs, at least as many): 2 or more");
        train("global_batch_size=321", "--run", temp.resolve("run")).assertFails(1, "fill no batch");
        assertFalse(Files.exists(temp.resolve("run")));
    }

    // ---- what may change --------------------------------------------------------------------------------------------

    @Test
    void whatChangesNoResultMayChange() throws IOException {
        Path run = Trm.killedAfter(6, straight, temp.resolve("run"));
        resume(
                        run,
                        "checkpoint_every_steps=4",
                        "checkpoint_keep=2",
                        "threads=1",
                        "recompute=layers",
                        "memory=1GB",
                        "run_name=other",
                        "eval_batch_size=7",
                        "on_nan=warn")
                .assertDone();
        assertEquals(Trm.metrics(straight), Trm.metrics(run));
        assertTrue(Files.readString(run.resolve("config.yaml")).contains("checkpoint_every_steps: 4\n"));
        assertArrayEquals(
                weights(Trm.checkpoint(straight, STEPS)),
                weights(Trm.checkpoint(run, STEPS))); // metadata hold the settings
    }

    private static byte[] weights(Path checkpoint) throws IOException {
        byte[] bytes = Files.readAllBytes(checkpoint);
        long header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
        return Arrays.copyOfRange(bytes, (int) (8 + header), bytes.length);
    }

    /** Passes stay as they were drawn: an evaluation may follow every second one. */
    @Test
    void evaluationsMayBecomeRarer() throws IOException {
        Path run = Trm.killedAfter(6, straight, temp.resolve("run"));
        resume(run, "eval_interval=2", "eval_puzzles=5").assertDone();
        List<String> training = Trm.metrics(straight).stream()
                .filter(row -> row.endsWith(",,,"))
                .toList();
        assertEquals(
                training,
                Trm.metrics(run).stream().filter(row -> row.endsWith(",,,")).toList());
        List<String> evaluations = Trm.metrics(run).stream()
                .skip(1)
                .filter(row -> !row.endsWith(",,,"))
                .map(row -> row.split(",")[0])
                .toList();
        assertEquals(List.of("5", "10", "20"), evaluations);
        resume(killedAgain(run), "eval_interval=5").assertFails(2, "eval_interval");
    }

    private static Path killedAgain(Path run) throws IOException {
        Files.delete(Trm.checkpoint(run, 20));
        return run;
    }

    @Test
    void aRunMayBecomeLongerOrShorter() throws IOException {
        Path run = Trm.killedAfter(6, straight, temp.resolve("run"));
        resume(run, "max_steps=9").assertDone();
        assertEquals("9", last(run).split(",")[0]);
        resume(run, "max_steps=0").assertDone();
        assertEquals(
                Trm.metrics(straight).stream()
                        .filter(row -> row.endsWith(",,,"))
                        .toList(),
                Trm.metrics(run).stream().filter(row -> row.endsWith(",,,")).toList());
        resume(run, "epochs=5").assertDone();
        assertEquals("25", last(run).split(",")[0]);
    }

    private static String last(Path run) throws IOException {
        List<String> rows = Trm.metrics(run);
        return rows.get(rows.size() - 1);
    }

    @Test
    void whatStandsAgainstAChangeIsNamed() throws IOException {
        Path run = Trm.killedAfter(6, straight, temp.resolve("run"));
        resume(run, "global_batch_size=8")
                .assertFails(2, "global_batch_size is 8, but the run has 16: it changes what");
        resume(run, "arch.hidden_size=64").assertFails(2, "arch.hidden_size is 64, but the run has 32");
        resume(run, "seed=3").assertFails(2, "seed is 3, but the run has 0");
        resume(run, "micro_batches=4").assertFails(2, "micro_batches is 4, but the run has 1");
        resume(run, "nonsense=4").assertFails(2, "nonsense");
        resume(run, "nonsense").assertFails(2, "found also [nonsense]");
        Path cosine = temp.resolve("cosine");
        train("--run", cosine, "lr_min_ratio=0.1", "max_steps=7").assertDone();
        resume(cosine, "max_steps=9")
                .assertFails(2, "max_steps is 9, but the run has 7: lr_min_ratio, which is 0.1, stands against it");
    }

    /** An edited config.yaml is a wish like any other. */
    @Test
    void editedSettings() throws IOException {
        Path run = Trm.killedAfter(6, straight, temp.resolve("run"));
        Path file = run.resolve("config.yaml");
        String text = Files.readString(file);
        Files.writeString(file, text.replace("global_batch_size: 16", "global_batch_size: 8"));
        resume(run).assertFails(2, "global_batch_size is 8, but the run has 16");
        Files.writeString(file, text.replace("checkpoint_keep: 20", "checkpoint_keep: 1"));
        resume(run).assertDone();
        assertEquals(
                1, new CheckpointStore(run.resolve("checkpoints"), 1).list().size());
    }

    /** Cut at any length, or gone. */
    @ParameterizedTest
    @ValueSource(doubles = {-1, 0, 0.1, 0.5, 0.9, 0.999})
    void tornSettingsAreMended(double share) throws IOException {
        Path run = Trm.killedAfter(6, straight, temp.resolve("run"));
        Path file = run.resolve("config.yaml");
        byte[] text = Files.readAllBytes(file);
        if (share < 0) {
            Files.delete(file);
        } else {
            Files.write(file, Arrays.copyOf(text, (int) (share * text.length)));
        }
        assertTrue(resume(run).assertDone().err().contains("the settings are taken from the newest checkpoint"));
        Trm.assertSameEnd(straight, run, STEPS);
        assertArrayEquals(text, Files.readAllBytes(file));
    }

    @Test
    void aTornRowOfMetricsIsNamed() throws IOException {
        Path run = Trm.killedAfter(6, straight, temp.resolve("run"));
        Path metrics = run.resolve("metrics.csv");
        Files.writeString(metrics, "21,0.", StandardOpenOption.APPEND);
        resume(run).assertDone();
        String said = metrics + ": dropped a row that a crash has torn: '21,0.'";
        assertTrue(Files.readString(run.resolve("log.txt")).contains(said));
        Trm.assertSameEnd(straight, run, STEPS);
    }

    // ---- TensorBoard ------------------------------------------------------------------------------------------------

    /** As TensorBoard reads the files: a session that starts at a step drops what is there of that step and later. */
    @Test
    void eventsAreThereOnce() throws IOException {
        Path run = Trm.killedAfter(6, straight, temp.resolve("run")); // rows up to step 20, events too
        Files.writeString(run.resolve("nothing.txt"), "of the user");
        resume(run).assertDone();
        Path evaluated = temp.resolve("evaluated");
        Trm.copy(run, evaluated);
        // killed after the evaluation of step 5, before the checkpoint behind it: that of step 3 is the newest
        for (Path each : List.of(run, evaluated)) {
            for (Path file : new CheckpointStore(each.resolve("checkpoints"), 1).list()) {
                if (each == evaluated && CheckpointStore.stepOf(file).orElseThrow() > 3) {
                    Files.delete(file);
                }
            }
            resume(each).assertDone();
            TreeMap<String, List<Long>> expected = scalars(straight);
            assertEquals(expected, scalars(each));
        }
    }

    private static TreeMap<String, List<Long>> scalars(Path run) throws IOException {
        TreeMap<String, List<Long>> steps = new TreeMap<>();
        List<Path> files;
        try (Stream<Path> all = Files.list(run)) {
            files = all.filter(file -> file.getFileName().toString().startsWith("events."))
                    .sorted(Comparator.comparing(Path::toString))
                    .toList();
        }
        for (Path file : files) {
            ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
            while (in.hasRemaining()) {
                byte[] event = new byte[(int) in.getLong()];
                in.getInt();
                in.get(event);
                in.getInt();
                int at = 10;
                long step = 0;
                int shift = 0;
                do {
                    step |= (long) (event[at] & 0x7f) << shift;
                    shift += 7;
                } while (event[at++] < 0);
                if (event[at] == (7 << 3 | 2)) {
                    long start = step;
                    steps.values().forEach(list -> list.removeIf(s -> s >= start));
                } else if (event[at] == (5 << 3 | 2)
                        && event[at + 1] == event.length - at - 2) { // one byte long: a scalar
                    int length = event[at + 5];
                    String tag = new String(event, at + 6, length, StandardCharsets.UTF_8);
                    steps.computeIfAbsent(tag, key -> new ArrayList<>()).add(step);
                }
            }
        }
        return steps;
    }

    // ---- not finite -------------------------------------------------------------------------------------------------

    private static final String[] DIVERGING = {"lr=1e30", "lr_warmup_steps=0", "checkpoint_every_steps=1"};

    private static Object[] diverging(Object... more) {
        return Stream.concat(Stream.of(DIVERGING), Stream.of(more)).toArray();
    }

    @Test
    void aLossThatIsNotFiniteStopsTheRun() throws IOException {
        Path run = temp.resolve("run");
        Trm.Result result = train(diverging("--run", run));
        result.assertFails(1, run + ": step 2: lm_loss is ", "the first tensor that is not finite is ");
        Path finite = Trm.checkpoint(run, 1);
        assertTrue(result.err().contains("the newest checkpoint before it is " + finite), result.err());
        assertEquals(List.of(finite), new CheckpointStore(run.resolve("checkpoints"), 1).list());
        resume(run).assertFails(1, run + ": step 2: lm_loss is ");
        assertEquals(List.of(finite), new CheckpointStore(run.resolve("checkpoints"), 1).list());
    }

    @Test
    void withoutACheckpointBeforeThereIsNone() {
        train("lr=1e30", "lr_warmup_steps=0", "--run", temp.resolve("run"))
                .assertFails(1, "step 2: lm_loss is ", "there is no checkpoint before it");
    }

    @Test
    void aWarningKeepsTheLastFiniteCheckpoint() throws IOException {
        Path run = temp.resolve("run");
        Trm.Result result = train(diverging("on_nan=warn", "checkpoint_keep=2", "--run", run))
                .assertDone();
        assertEquals(
                1,
                result.err()
                        .lines()
                        .filter(line -> line.contains("going on, as on_nan is warn"))
                        .count());
        assertEquals(
                List.of(Trm.checkpoint(run, 1), Trm.checkpoint(run, 19), Trm.checkpoint(run, 20)),
                new CheckpointStore(run.resolve("checkpoints"), 1).list());
    }
}
