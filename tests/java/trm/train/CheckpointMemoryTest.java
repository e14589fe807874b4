package trm.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.config.ConfigLoader;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Backend;
import trm.device.cpu.CpuBackend;
import trm.io.CheckpointStore;

/**
 * A run in a process of its own that writes a checkpoint after each of 220 steps. Oracles: the virtual machine's count of
 * direct memory, which must not move by more than a row of metrics, and the system's of what is resident. The Java heap is resident from the start; what the
 * compilers and their code take in the meantime is a few MB, so the bound is that of a few checkpoints, not of 200.
 */
class CheckpointMemoryTest {
    private static final int STEPS = 220;
    private static final int WARM = 20; // checkpoints before the first reading
    private static final int BOUND = 8; // checkpoints
    private static final int ROW = 1024; // bytes: rows of metrics grow with the number of their step

    @TempDir
    private Path temp;

    @Tag("drill")
    @Test
    void twoHundredCheckpointsLeaveNothingBehind() throws IOException, InterruptedException {
        MiniSudokuBuilder.build(temp.resolve("data"), 4, 40, 4, 1, 8);
        Path out = temp.resolve("out.txt");
        int code = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-Xms96m",
                        "-Xmx96m",
                        "-XX:+AlwaysPreTouch",
                        "-XX:MaxDirectMemorySize=4g",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Training.class.getName(),
                        temp.resolve("data").toString(),
                        temp.resolve("run").toString())
                .redirectErrorStream(true)
                .redirectOutput(out.toFile())
                .start()
                .waitFor();
        String text = Files.readString(out);
        assertEquals(0, code, text);
        List<long[]> readings = text.lines()
                .filter(line -> line.startsWith("reading "))
                .map(line -> line.substring(8).split(" "))
                .map(cells -> new long[] {Long.parseLong(cells[0]), Long.parseLong(cells[1])})
                .toList();
        assertEquals(STEPS - WARM, readings.size(), text);
        long size = Files.size(new CheckpointStore(temp.resolve("run/checkpoints"), 1).path(STEPS));
        assertTrue(size > 2_000_000, "a checkpoint of " + size + " bytes shows nothing");
        long[] first = readings.get(0);
        for (long[] reading : readings) {
            assertTrue(
                    reading[0] <= first[0] + ROW,
                    "direct memory grew from " + first[0] + " to " + reading[0] + " bytes");
            assertTrue(
                    reading[1] - first[1] < BOUND * size,
                    "resident memory grew from " + first[1] + " to " + reading[1] + " bytes");
        }
    }

    /** Prints direct and resident bytes after each logged step, so after each checkpoint but the first few. */
    static final class Training {
        private Training() {}

        public static void main(String[] args) {
            String yaml = String.join(
                    "\n",
                    "data_paths: ['" + args[0] + "']",
                    "arch:",
                    "  hidden_size: 64",
                    "  num_heads: 2",
                    "  mlp_t: true",
                    "  pos_encodings: none",
                    "  H_cycles: 1",
                    "  L_cycles: 1",
                    "  L_layers: 2",
                    "  puzzle_emb_ndim: 64",
                    "  forward_dtype: float32",
                    "global_batch_size: 2",
                    "epochs: 1000",
                    "max_steps: " + STEPS,
                    "checkpoint_every_steps: 1",
                    "checkpoint_keep: 1",
                    "log_every_steps: 1",
                    "");
            try (Backend backend = new CpuBackend(1)) {
                new Run(backend, ConfigLoader.parse(yaml, "test", List.of()), Path.of(args[1]), new Run.Listener() {
                            @Override
                            public void row(MetricsRow row, long totalSteps) {
                                if (row.step() > WARM && !row.has(MetricsRow.Column.EVAL_PUZZLES)) {
                                    System.out.println("reading " + direct() + " " + resident());
                                }
                            }

                            @Override
                            public void evaluating(long step, long puzzles) {
                                // not looked at
                            }

                            @Override
                            public void message(String text) {
                                // not looked at
                            }
                        })
                        .run(false);
            }
        }

        private static long direct() {
            return ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
                    .filter(pool -> pool.getName().equals("direct"))
                    .mapToLong(BufferPoolMXBean::getMemoryUsed)
                    .sum();
        }

        private static long resident() {
            try {
                return Files.readAllLines(Path.of("/proc/self/status")).stream()
                        .filter(line -> line.startsWith("VmRSS:"))
                        .mapToLong(line -> 1024 * Long.parseLong(line.replaceAll("[^0-9]", "")))
                        .sum();
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }
    }
}
