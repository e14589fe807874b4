package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.io.CheckpointStore;

/**
 * Runs that are killed at 200 random moments, each begun again by the same command line: at its start, in a step, while a checkpoint is
 * written by a thread of its own. They must end in the bytes of a run that nobody killed, and no kill may cost more than the steps
 * since the last checkpoint. Two runs at a time, each with its own sequence of moments, which its seed gives.
 */
@Tag("drill")
class RandomKillDrillTest {
    private static final int KILLS = 200;
    private static final int AT_ONCE = 2;
    private static final int STEPS = 2000;
    private static final int EVERY = 20;
    private static final int KEPT = 3;

    /** Milliseconds after its start at which a process is killed at the latest: it is at step some hundred by then. */
    private static final int LATEST = 2500;

    @TempDir
    private static Path shared;

    private static Path config;
    private static Path straight;

    @BeforeAll
    static void straightRun() throws Exception {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 200, 20, 1, 8);
        config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        Files.writeString(
                config,
                Files.readString(config)
                                .replace("epochs: 1", "epochs: 10000\neval_interval: 10000")
                                .replace("hidden_size: 32", "hidden_size: 16")
                                .replace("threads: 2", "threads: 1")
                                .replace("global_batch_size: 16", "global_batch_size: 8")
                        + "max_steps: " + STEPS + "\nlog_every_steps: 10\ncheckpoint_every_steps: " + EVERY
                        + "\ncheckpoint_keep: " + KEPT + "\n");
        straight = shared.resolve("straight");
        Process process = train(straight);
        assertEquals(0, process.waitFor(), said(straight));
    }

    private static Process train(Path run) throws IOException {
        return new ProcessBuilder(
                        Trm.command("256m", "train", config, "--run", run, "--resume", "auto", "--device", "cpu"))
                .redirectErrorStream(true)
                .redirectOutput(out(run).toFile())
                .start();
    }

    private static Path out(Path run) {
        return run.resolveSibling(run.getFileName() + ".out");
    }

    private static String said(Path run) throws IOException {
        return Files.readString(out(run), StandardCharsets.UTF_8);
    }

    private static List<Long> steps(Path run) {
        return new CheckpointStore(run.resolve("checkpoints"), 1)
                .list().stream()
                        .map(file -> CheckpointStore.stepOf(file).orElseThrow())
                        .toList();
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

    /** Kills runs so many times; returns how many there were, and at which steps they stood. */
    private static String kill(int number, int kills) throws Exception {
        Random random = new Random(number);
        int runs = 0;
        int inRun = 0;
        Path run = shared.resolve(number + "-run-" + runs);
        for (int killed = 0; killed < kills; ) {
            long before = steps(run).stream().mapToLong(Long::longValue).max().orElse(0);
            Process process = train(run);
            if (!process.waitFor(random.nextInt(LATEST), TimeUnit.MILLISECONDS)) {
                process.destroyForcibly();
                process.waitFor();
                killed++;
                inRun++;
                List<Long> left = steps(run);
                long now = left.stream().mapToLong(Long::longValue).max().orElse(0);
                assertTrue(now >= before, "a checkpoint was lost: " + before + ", then " + left);
                assertTrue(left.size() <= KEPT + 1, left.toString());
                continue;
            }
            assertEquals(0, process.exitValue(), said(run));
            Trm.assertSameEnd(straight, run, STEPS);
            delete(run);
            runs++;
            run = shared.resolve(number + "-run-" + runs);
        }
        Process last = train(run);
        assertEquals(0, last.waitFor(), said(run));
        Trm.assertSameEnd(straight, run, STEPS);
        return kills + " kills of " + (runs + 1) + " runs, the last " + inRun;
    }

    @Test
    void killedAtRandomMoments() throws Exception {
        ExecutorService both = Executors.newFixedThreadPool(AT_ONCE);
        try {
            List<Future<String>> results = new ArrayList<>();
            for (int i = 0; i < AT_ONCE; i++) {
                int number = i;
                results.add(both.submit((Callable<String>) () -> kill(number, KILLS / AT_ONCE)));
            }
            for (Future<String> result : results) {
                System.out.println("random kills: " + result.get());
            }
        } finally {
            both.shutdownNow();
        }
    }
}
