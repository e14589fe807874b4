package trm.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.TrainLoader;
import trm.data.random.LegacyRandom;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.cpu.CpuBackend;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * After the first steps a training step, which by then is a replayed graph, allocates nothing on the Java heap and leaves
 * nothing behind on the native one. Oracles: the virtual machine's own count of this thread's bytes, which must not move
 * at all, and malloc's count of the bytes in use. What a step takes shows in every window of steps; what the virtual
 * machine takes now and then does not, so the window with the least counts.
 */
class AllocationTest {
    private static final int WINDOWS = 5;
    private static final int STEPS = 50; // of a window, Java heap
    private static final int NATIVE_STEPS = 200; // of a window, native heap
    private static final long BOUND = 16 * NATIVE_STEPS; // bytes; a block of malloc takes 32 or more

    @TempDir
    private static Path temp;

    @BeforeAll
    static void build() {
        MiniSudokuBuilder.build(temp, 4, 300, 10, 3, 8);
    }

    /** A training loop in miniature: the loader's batches, the optimizer's steps. */
    private static final class Training implements AutoCloseable {
        private final Backend backend = new CpuBackend(2);
        private final Arena arena = new Arena(backend);
        private final DeepSupervision supervision;
        private final TrainLoader loader;

        Training(Path folder, boolean mlp, String dtype, String optimizer) {
            Dataset data = Dataset.open(folder, "train");
            String yaml = String.join(
                    "\n",
                    "data_paths: ['" + folder + "']",
                    "arch:",
                    "  hidden_size: 16",
                    "  num_heads: 2",
                    "  mlp_t: " + mlp,
                    "  pos_encodings: " + (mlp ? "none" : "rope"),
                    "  H_cycles: 2",
                    "  L_cycles: 1",
                    "  L_layers: 1",
                    "  expansion: 1",
                    "  puzzle_emb_ndim: 16",
                    "  halt_max_steps: 3",
                    "  forward_dtype: " + dtype,
                    "global_batch_size: 2",
                    "optimizer: " + optimizer,
                    "");
            TrainConfig config = ConfigLoader.parse(yaml, "test", List.of());
            DataShape shape = new DataShape(
                    data.seqLen(), data.info().vocabSize(), data.info().numPuzzleIdentifiers());
            ModelSizes sizes =
                    new ModelSizes(config.arch(), shape, config.schedule().globalBatchSize());
            Parameters parameters = new Parameters(backend, arena, sizes, true);
            parameters.initialize(7);
            supervision = new DeepSupervision(
                    backend, arena, sizes, parameters, config, 100, DeviceExamples.upload(backend, arena, data));
            loader = new TrainLoader(
                    data, 0, new LegacyRandom(0), config.schedule().globalBatchSize(), 1000);
            loader.startPass();
        }

        void steps(int count) {
            for (int i = 0; i < count; i++) {
                supervision.step(loader.nextBatch());
            }
        }

        @Override
        public void close() {
            supervision.close();
            arena.close();
            backend.close();
        }
    }

    @ParameterizedTest(name = "mlp_t {0}, {1}, {2}")
    @CsvSource({
        "true, float32, adam_atan2",
        "false, float32, adam_atan2",
        "true, bfloat16, adam_atan2",
        "false, bfloat16, adam_atan2",
        "true, float32, muon"
    })
    void aStepAllocatesNothingOnTheJavaHeap(boolean mlp, String dtype, String optimizer) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long thread = Thread.currentThread().getId();
        try (Training training = new Training(temp, mlp, dtype, optimizer)) {
            training.steps(STEPS);
            assertTrue(training.supervision.captured());
            threads.getThreadAllocatedBytes(thread); // its own first call allocates
            long least = Long.MAX_VALUE;
            for (int window = 0; window < WINDOWS; window++) {
                long before = threads.getThreadAllocatedBytes(thread);
                training.steps(STEPS);
                least = Math.min(least, threads.getThreadAllocatedBytes(thread) - before);
            }
            assertEquals(0, least, "bytes in each " + STEPS + " steps");
        }
    }

    /** In a virtual machine that compiles nothing: its compiler threads allocate at any time. */
    @Tag("drill")
    @Test
    void stepsLeaveNoNativeMemoryBehind() throws IOException, InterruptedException {
        Path source = Files.writeString(temp.resolve("in_use.cpp"), Native.SOURCE);
        Path library = temp.resolve("in_use.so");
        run("g++", "-shared", "-fPIC", "-o", library.toString(), source.toString());
        String text = run(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xint",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                Native.class.getName(),
                temp.toString(),
                library.toString());
        List<Long> grown = text.lines()
                .filter(line -> line.startsWith("grown "))
                .map(line -> Long.parseLong(line.substring(6)))
                .toList();
        assertEquals(WINDOWS, grown.size(), text);
        assertTrue(
                Collections.min(grown) < BOUND,
                "each " + NATIVE_STEPS + " steps leave memory behind, in bytes: " + grown);
    }

    private static String run(String... command) throws IOException, InterruptedException {
        Path out = temp.resolve("out.txt");
        int code = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(out.toFile())
                .start()
                .waitFor();
        String text = Files.readString(out);
        assertEquals(0, code, String.join(" ", command) + "\n" + text);
        return text;
    }

    /** Prints, window by window, how many more bytes malloc has given out. */
    static final class Native {
        /** All arenas' blocks in use, and those that are mappings of their own. */
        private static final String SOURCE = String.join(
                "\n",
                "#include <malloc.h>",
                "extern \"C\" long long Java_trm_train_AllocationTest_00024Native_inUse(void*, void*) {",
                "    struct mallinfo2 m = mallinfo2();",
                "    return (long long) (m.uordblks + m.hblkhd);",
                "}",
                "");

        private Native() {}

        private static native long inUse();

        public static void main(String[] args) {
            System.load(args[1]);
            try (Training mlp = new Training(Path.of(args[0]), true, "float32", "adam_atan2");
                    Training attention = new Training(Path.of(args[0]), false, "float32", "adam_atan2")) {
                long before = 0;
                for (int window = 0; window <= WINDOWS; window++) {
                    mlp.steps(NATIVE_STEPS / 2);
                    attention.steps(NATIVE_STEPS / 2);
                    long now = inUse();
                    if (window > 0) {
                        System.out.println("grown " + (now - before));
                    }
                    before = now;
                }
            }
        }
    }
}
