package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.io.CheckpointStore;
import trm.train.RunFolder;

/**
 * Whole processes of {@code trm train}: signals, kills, full disks. Oracle: the same run without interruption. Bound:
 * none; checkpoints are compared byte for byte.
 */
class ProcessTest {
    private static final int STEPS = 100;

    /** For a process that should have ended long ago; a test fails, it does not measure. */
    private static final int MINUTES = 5;

    /** Files of a limited process may have this many KiB: less than a checkpoint, more than anything else. */
    private static final int FILE_KIB = 128;

    private static final int ATTEMPTS = 5;

    @TempDir
    private static Path shared;

    private static Path config;
    private static Path straight;

    @TempDir
    private Path temp;

    /** A process that has ended: its exit code and all it wrote, in order. */
    private record Ended(int code, List<String> lines) {
        String text() {
            return String.join("\n", lines);
        }
    }

    @BeforeAll
    static void straightRun() throws Exception {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 400, 600, 1, 8);
        config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        Files.writeString(
                config,
                Files.readString(config)
                                .replace("hidden_size: 32", "hidden_size: 64")
                                .replace("epochs: 1", "epochs: 4\neval_interval: 2")
                                .replace("H_cycles: 2", "H_cycles: 3")
                                .replace("L_cycles: 2", "L_cycles: 4")
                        + "checkpoint_every_steps: 25\nlog_every_steps: 1\nlr: 1e-3\n");
        straight = shared.resolve("straight");
        Ended ended = end(start("", "train", config, "--run", straight, "--device", "cpu"));
        assertEquals(0, ended.code, ended.text());
        assertTrue(Files.exists(Trm.checkpoint(straight, STEPS)), ended.text());
        assertTrue(Files.size(Trm.checkpoint(straight, STEPS)) > 2L * FILE_KIB * 1024);
    }

    /**
     * Starts the program. Signals have their default effect whatever this process inherited: a shell's background jobs
     * ignore SIGINT.
     *
     * @param prelude shell commands before the program
     */
    private static Process start(String prelude, Object... args) throws IOException {
        List<String> command =
                new ArrayList<>(List.of("bash", "-c", prelude + " exec env --default-signal=INT,TERM \"$@\"", "trm"));
        command.addAll(Trm.command("512m", args));
        return new ProcessBuilder(command).redirectErrorStream(true).start();
    }

    /** What a test does to a process. */
    @FunctionalInterface
    private interface Action {
        void on(Process process) throws Exception;
    }

    private static void execute(String... command) throws Exception {
        new ProcessBuilder(command).inheritIO().start().waitFor();
    }

    /** Reads to the end; sends {@code signal} once a line begins with {@code at}. */
    private static Ended signalled(Process process, String at, String signal) throws Exception {
        return watched(
                process,
                line -> signal != null && line.startsWith(at),
                p -> execute("kill", "-" + signal, Long.toString(p.pid())));
    }

    /** Reads to the end; acts at the first line of a kind. */
    private static Ended watched(Process process, Predicate<String> at, Action action) throws Exception {
        List<String> lines = new ArrayList<>();
        try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
            boolean acted = false;
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                lines.add(line);
                if (!acted && at.test(line)) {
                    acted = true;
                    action.on(process);
                }
            }
        }
        if (!process.waitFor(MINUTES, TimeUnit.MINUTES)) {
            process.destroyForcibly();
            fail("did not end: " + lines);
        }
        return new Ended(process.exitValue(), lines);
    }

    private static Ended end(Process process) throws Exception {
        return signalled(process, "", null);
    }

    /** A run interrupted before its end: again, should it have ended before the signal came. */
    private Ended interrupted(Path run, String at, String signal, String... settings) throws Exception {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            Path folder = run.resolveSibling(run.getFileName() + "-" + attempt);
            List<Object> args = new ArrayList<>(List.of("train", config));
            args.addAll(Arrays.asList(settings));
            args.addAll(List.of("--run", folder, "--device", "cpu"));
            Ended ended = signalled(start("", args.toArray()), at, signal);
            if (ended.code != 0) {
                Files.move(folder, run);
                return ended;
            }
        }
        return fail("ended " + ATTEMPTS + " times before the signal came");
    }

    private static void assertResumesToTheSameEnd(Path run) throws Exception {
        Ended resumed = end(start("", "train", "--resume", run, "--device", "cpu"));
        assertEquals(0, resumed.code, resumed.text());
        Trm.assertSameEnd(straight, run, STEPS);
    }

    private static long newest(Path run) {
        List<Path> files = new CheckpointStore(run.resolve("checkpoints"), 1).list();
        return CheckpointStore.stepOf(files.get(files.size() - 1)).orElseThrow();
    }

    @ParameterizedTest
    @CsvSource({"TERM,143", "INT,130"})
    void aSignalFinishesTheStepAndWritesACheckpoint(String signal, int code) throws Exception {
        finishesTheStep(signal, code);
    }

    @Tag("drill")
    @ParameterizedTest
    @CsvSource({"USR1,138", "USR2,140"})
    void soDoTheOthers(String signal, int code) throws Exception {
        finishesTheStep(signal, code);
    }

    private void finishesTheStep(String signal, int code) throws Exception {
        Path run = temp.resolve("run");
        Ended ended = interrupted(run, "step 30/", signal);
        assertEquals(code, ended.code, ended.text());
        long step = newest(run);
        assertTrue(step >= 30 && step < STEPS, ended.text());
        String last = ended.lines.get(ended.lines.size() - 1);
        assertTrue(last.startsWith("stopped at step " + step + " of " + STEPS), ended.text());
        assertTrue(Files.readString(run.resolve("log.txt")).contains(last));
        assertResumesToTheSameEnd(run);
    }

    /** The evaluation is given up, and repeated by the run that continues. */
    @Test
    void aSignalEndsAnEvaluation() throws Exception {
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            Path run = temp.resolve("run-" + attempt);
            Ended ended = signalled(start("", "train", config, "--run", run, "--device", "cpu"), "evaluating ", "TERM");
            if (!ended.text().contains("evaluation: ")) {
                assertEquals(143, ended.code, ended.text());
                assertTrue(ended.text().contains("stopped at step 50 of " + STEPS), ended.text());
                assertResumesToTheSameEnd(run);
                return;
            }
        }
        fail("no signal ended an evaluation in " + ATTEMPTS + " attempts");
    }

    @ParameterizedTest
    @ValueSource(ints = 45) // RandomKillDrillTest has all others
    void killAndResume(int step) throws Exception {
        Path run = temp.resolve("run");
        Ended ended = interrupted(run, "step " + step + "/", "KILL");
        assertEquals(137, ended.code, ended.text());
        int begun = (step - 1) / 25 * 25; // and perhaps still being written
        assertTrue(begun <= 25 || newest(run) >= begun - 25, ended.text());
        assertTrue(begun > 0 || !RunFolder.hasCheckpoints(run), ended.text());
        assertResumesToTheSameEnd(run); // from its beginning, where there is none
    }

    private static Map<String, byte[]> checkpoints(Path run) throws IOException {
        Map<String, byte[]> all = new TreeMap<>();
        for (Path file : new CheckpointStore(run.resolve("checkpoints"), 1).list()) {
            all.put(file.getFileName().toString(), Files.readAllBytes(file));
        }
        return all;
    }

    /** Writing fails in the middle of the file, as on a full disk: here the limit is that of a file's size. */
    @Test
    void aFullDiskLeavesThePreviousCheckpointValid() throws Exception {
        Path run = Trm.killedAfter(50, straight, temp.resolve("run"));
        Map<String, byte[]> before = checkpoints(run);
        Ended ended = end(start("ulimit -f " + FILE_KIB + ";", "train", "--resume", run, "--device", "cpu"));
        assertEquals(1, ended.code, ended.text());
        String message = ended.lines.get(ended.lines.size() - 1);
        assertTrue(
                message.startsWith("trm: " + Trm.checkpoint(run, 100) + ": checkpoint of step 100 cannot be written: "),
                ended.text());
        assertTrue(
                ended.lines.stream()
                        .anyMatch(line -> line.contains("checkpoint of step 75 cannot be written: ")
                                && line.endsWith("; training goes on, and the next checkpoint is tried")),
                ended.text());
        assertTrue(
                message.endsWith("earlier checkpoints in " + run.resolve("checkpoints") + " are untouched"), message);
        assertFalse(ended.text().contains("\tat "), ended.text());
        assertEquals(before.keySet(), checkpoints(run).keySet());
        before.forEach((name, bytes) ->
                assertArrayEquals(bytes, read(run.resolve("checkpoints").resolve(name))));
        try (Stream<Path> files = Files.list(run.resolve("checkpoints"))) {
            assertEquals(before.size(), files.count()); // nor does half a file stay behind
        }
        assertResumesToTheSameEnd(run);
    }

    /** Where room is made in time, nothing was lost. */
    @Tag("drill")
    @Test
    void aDiskThatWasFull() throws Exception {
        Path run = temp.resolve("run");
        Ended ended = watched(
                start("ulimit -S -f " + FILE_KIB + ";", "train", config, "--run", run, "--device", "cpu"),
                line -> line.contains("checkpoint of step 25 cannot be written: "),
                p -> execute("prlimit", "--pid", Long.toString(p.pid()), "--fsize=unlimited"));
        assertEquals(0, ended.code, ended.text());
        assertTrue(ended.text().contains("; training goes on, and the next checkpoint is tried"), ended.text());
        assertTrue(Files.readString(run.resolve("log.txt")).contains("; training goes on"), ended.text());
        Trm.assertSameEnd(straight, run, STEPS);
        assertTrue(Files.exists(run.resolve("DONE")));
    }

    /** A folder that is gone, as a disk that was unmounted, is not made anew; once it is back, the run writes on. */
    @Test
    void aFolderThatWasGone() throws Exception {
        Path run = temp.resolve("run");
        Path away = temp.resolve("away");
        boolean[] back = {false};
        Ended ended = watched(
                start("", "train", config, "--run", run, "--device", "cpu"),
                line -> {
                    if (line.startsWith("step 10/")) {
                        move(run, away);
                    } else if (!back[0] && line.contains(" is gone")) {
                        back[0] = true;
                        assertFalse(Files.exists(run));
                        move(away, run);
                    }
                    return false;
                },
                p -> {});
        assertTrue(back[0], ended.text());
        assertEquals(0, ended.code, ended.text());
        Trm.assertSameEnd(straight, run, STEPS);
    }

    private static void move(Path from, Path to) {
        try {
            Files.move(from, to);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static byte[] read(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new AssertionError(file + ": " + e, e);
        }
    }

    /** Stopped by a signal, but the checkpoint cannot be written: a failure, which the exit code must tell. */
    @Test
    void aStopWithoutACheckpointIsAFailure() throws Exception {
        Process process = start(
                "ulimit -f " + FILE_KIB + ";",
                "train",
                config,
                "epochs=4000",
                "checkpoint_every_steps=0",
                "eval_interval=4000",
                "--run",
                temp.resolve("run"),
                "--device",
                "cpu");
        Ended ended = signalled(process, "step 20/", "TERM");
        assertEquals(1, ended.code, ended.text());
        String message = ended.lines.get(ended.lines.size() - 1);
        assertTrue(message.startsWith("trm: ") && message.contains("cannot be written"), ended.text());
    }

    @Test
    void aReadOnlyRunFolder() throws Exception {
        Path folder = Files.createDirectories(temp.resolve("run"));
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("r-xr-xr-x"));
        try {
            assumeFalse(Files.isWritable(folder), "this user writes everywhere (root)");
            Trm.execute("train", config, "--run", folder, "--device", "cpu")
                    .assertFails(1, folder + ": the run folder cannot be written: permission denied");
        } finally {
            Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
        }
    }

    /** Folders that nobody can write to, root included. */
    @Test
    void aRunFolderThatCannotBe() throws Exception {
        Path file = Files.writeString(temp.resolve("file"), "");
        Trm.execute("train", config, "--run", file.resolve("run"), "--device", "cpu")
                .assertFails(1, file.resolve("run") + ": the run folder cannot be written: ");
        Trm.execute("train", config, "--run", file, "--device", "cpu")
                .assertFails(1, file + ": the run folder cannot be written: ");
        assertEquals("", Files.readString(file));
        Path run = Files.createDirectories(temp.resolve("run"));
        RunFolder.mark(run);
        Files.delete(run.resolve("checkpoints"));
        Files.writeString(run.resolve("checkpoints"), "");
        Trm.execute("train", config, "--run", run, "--device", "cpu")
                .assertFails(1, run + ": the run folder cannot be written: ");
    }
}
