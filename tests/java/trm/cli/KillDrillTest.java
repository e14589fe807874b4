package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.io.CheckpointStore;

/**
 * A run of four steps, and its resume, killed at each call that changes a file, which is torn in half
 * ({@code tests/native/kill_at_io.cpp}). Then the one command that begins or continues it must end in the bytes of the run
 * that nobody killed: checkpoint, settings and rows of metrics.
 */
@Tag("drill")
class KillDrillTest {
    private static final int STEPS = 4;

    /** Calls that a run must have been seen to make: else the drill watches nothing. */
    private static final Set<String> EXPECTED = Set.of("open", "write", "pwrite", "fsync", "rename", "unlink", "mkdir");

    @TempDir
    private static Path shared;

    private static Path config;
    private static Path library;
    private static Path straight;

    @BeforeAll
    static void straightRun() throws Exception {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 32, 8, 1, 8);
        config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        Files.writeString(
                config,
                Files.readString(config).replace("epochs: 1", "epochs: 2").replace("hidden_size: 32", "hidden_size: 16")
                        + "checkpoint_every_steps: 2\ncheckpoint_keep: 1\nlog_every_steps: 2\nthreads: 1\n");
        Files.writeString(config, Files.readString(config).replaceFirst("threads: 2\n", ""));
        library = shared.resolve("libkill_at_io.so");
        Process compiler = new ProcessBuilder(
                        "g++",
                        "-O1",
                        "-shared",
                        "-fPIC",
                        "-o",
                        library.toString(),
                        "tests/native/kill_at_io.cpp",
                        "-ldl")
                .inheritIO()
                .start();
        assertEquals(0, compiler.waitFor());
        straight = shared.resolve("straight");
        assertEquals(0, train(straight, Map.of()).waitFor());
    }

    private static Process train(Path run, Map<String, String> environment) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(
                        Trm.command("256m", "train", config, "--run", run, "--resume", "auto", "--device", "cpu"))
                .redirectErrorStream(true)
                .redirectOutput(run.resolveSibling(run.getFileName() + ".out").toFile());
        builder.environment().putAll(environment);
        return builder.start();
    }

    private static Map<String, String> watched(Path run, String key, Object value) {
        return Map.of("LD_PRELOAD", library.toString(), "KILL_PATH", run.toString(), key, value.toString());
    }

    /** A folder as it stands at the beginning of the drill. */
    @FunctionalInterface
    private interface Start {
        void prepare(Path run) throws IOException;
    }

    private static void drill(String name, Start start) throws Exception {
        Path counted = shared.resolve(name + "-counted");
        start.prepare(counted);
        Path log = shared.resolve(name + ".log");
        assertEquals(0, train(counted, watched(counted, "KILL_LOG", log)).waitFor());
        List<String> calls = Files.readAllLines(log);
        Set<String> kinds = new TreeSet<>();
        calls.forEach(line -> kinds.add(line.split(" ")[1]));
        assertTrue(kinds.containsAll(EXPECTED), kinds.toString());
        ExecutorService both = Executors.newFixedThreadPool(2);
        try {
            List<Future<String>> killed = new ArrayList<>();
            for (int i = 1; i <= calls.size(); i++) {
                int call = i;
                killed.add(both.submit((Callable<String>) () -> killedAt(name, start, call, calls.get(call - 1))));
            }
            for (Future<String> result : killed) {
                assertEquals("", result.get());
            }
        } finally {
            both.shutdownNow();
        }
        System.out.println("kill drill, " + name + ": " + calls.size() + " calls, each torn: " + kinds);
    }

    /** What was wrong after a kill; empty if nothing. */
    private static String killedAt(String name, Start start, int call, String what) throws Exception {
        Path run = shared.resolve(name + "-" + call);
        start.prepare(run);
        int code = train(run, watched(run, "KILL_AT", call)).waitFor();
        if (code != 137) {
            return what + ": was to be killed, ended with " + code + ": " + said(run);
        }
        code = train(run, Map.of()).waitFor();
        if (code != 0) {
            return what + ": after the kill: " + code + ": " + said(run);
        }
        try {
            assertArrayEquals(Files.readAllBytes(checkpoint(straight)), Files.readAllBytes(checkpoint(run)));
            assertEquals(metrics(straight), metrics(run));
            assertArrayEquals(
                    Files.readAllBytes(straight.resolve("config.yaml")),
                    Files.readAllBytes(run.resolve("config.yaml")));
            assertEquals(files(straight), files(run));
        } catch (AssertionError e) {
            return what + ": " + e.getMessage();
        }
        delete(run);
        return "";
    }

    private static String said(Path run) throws IOException {
        return Files.readString(run.resolveSibling(run.getFileName() + ".out"), StandardCharsets.UTF_8);
    }

    private static Path checkpoint(Path run) {
        return new CheckpointStore(run.resolve("checkpoints"), 1).path(STEPS);
    }

    /** Rows of metrics.csv without the two columns of the clock at their end. */
    private static List<String> metrics(Path run) throws IOException {
        return Files.readAllLines(run.resolve("metrics.csv")).stream()
                .map(line -> line.substring(0, line.lastIndexOf(',', line.lastIndexOf(',') - 1)))
                .toList();
    }

    /** Names in the folder but for the event files, of which each start adds one: nothing half written stays. */
    private static Map<String, Boolean> files(Path run) throws IOException {
        Map<String, Boolean> names = new TreeMap<>();
        try (Stream<Path> all = Files.walk(run)) {
            all.filter(file -> !file.getFileName().toString().startsWith("events."))
                    .forEach(file -> names.put(run.relativize(file).toString(), Files.isDirectory(file)));
        }
        return names;
    }

    private static void delete(Path folder) throws IOException {
        List<Path> files;
        try (Stream<Path> all = Files.walk(folder)) {
            files = all.sorted(java.util.Comparator.reverseOrder()).toList();
        }
        for (Path file : files) {
            Files.delete(file);
        }
    }

    @Test
    void aRun() throws Exception {
        drill("run", run -> {});
    }

    /** From the checkpoint of step 2, with rows and events of later steps. */
    @Test
    void itsResume() throws Exception {
        Path early = shared.resolve("early");
        Trm.execute("train", config, "checkpoint_keep=5", "--run", early, "--device", "cpu")
                .assertDone();
        drill("resume", run -> {
            Trm.copy(straight, run);
            Files.delete(checkpoint(run));
            Path from = new CheckpointStore(early.resolve("checkpoints"), 1).path(2);
            Files.copy(from, run.resolve("checkpoints").resolve(from.getFileName()));
        });
    }
}
