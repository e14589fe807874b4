package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.cli.Main;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Arena;
import trm.device.CudaInstallation;
import trm.device.DeviceException;
import trm.device.Dtype;
import trm.device.Event;
import trm.device.HostBuffer;
import trm.device.HostCopy;
import trm.device.MatmulPrecision;
import trm.device.Purpose;
import trm.device.StepGraph;
import trm.device.Tensor;
import trm.device.TestDevice;
import trm.train.GraphTest;
import trm.train.RecomputeTest;

/** The Java half of the CUDA backend, whole, on {@link FakeGpu}. It says nothing about kernels or about speed. */
class CudaBackendTest {
    @TempDir
    private static Path temp;

    private static FakeGpu gpu;

    @BeforeAll
    static void compile() throws IOException, InterruptedException {
        gpu = new FakeGpu(Files.createDirectories(temp.resolve("gpu")));
    }

    /** The tests of all operations: the products are computed from what cuBLASLt is told and from nothing else. */
    @Test
    void operationsPassTheirTests() throws IOException, InterruptedException {
        FakeGpu.Result result = gpu.java(
                        Map.of("-Dtrm.test.device", "cuda:0", "FAKE_CUDA_FUSED", "1"), Operations.class.getName())
                .done();
        assertTrue(result.out().contains(" 0 failed, "), result.out());
    }

    /** Main class of {@link #operationsPassTheirTests}. */
    static final class Operations {
        private Operations() {}

        public static void main(String[] args) {
            System.exit(TestDevice.run(TestDevice.OPERATIONS) ? 0 : 1);
        }
    }

    /**
     * The tests of captured graphs, at once and with the device some launches behind the host, which then must not touch what a
     * copy has not read yet. Whatever is refused, no graph and no executable is left.
     */
    @Tag("drill")
    @ParameterizedTest(name = "{0} launches behind")
    @ValueSource(ints = {0, 30})
    void graphsPassTheirTests(int lag) throws IOException, InterruptedException {
        FakeGpu.Result result = gpu.java(
                        Map.of(
                                "-Dtrm.test.device",
                                "cuda:0",
                                "FAKE_CUDA_LAG",
                                Integer.toString(lag),
                                "FAKE_CUDA_TRACE",
                                "1"),
                        Graphs.class.getName())
                .done();
        assertTrue(result.out().contains(" 0 failed, "), result.out());
        for (String what : List.of("graph", "executable")) {
            long made = count(result, what + " made");
            assertTrue(made > 10, result.out());
            assertEquals(made, count(result, what + " destroyed"), what);
        }
        assertTrue(count(result, "launch") > 100, result.out());
    }

    /** Recomputation where products are fused with what follows: gate and up come again with the bits of the forward pass. */
    @Tag("drill")
    @Test
    void recomputationPassesItsTests() throws IOException, InterruptedException {
        FakeGpu.Result result = gpu.java(
                        Map.of("-Dtrm.test.device", "cuda:0", "FAKE_CUDA_FUSED", "1", "FAKE_CUDA_TRACE", "1"),
                        Recomputation.class.getName())
                .done();
        assertTrue(result.out().contains(" 0 failed, "), result.out());
        for (String operation : List.of("linear_swiglu", "linear_add_rms_norm")) {
            assertTrue(result.out().contains("fused " + operation), result.out());
        }
    }

    /** Main class of {@link #recomputationPassesItsTests}. */
    static final class Recomputation {
        private Recomputation() {}

        public static void main(String[] args) {
            System.exit(TestDevice.run(List.of(RecomputeTest.class.getName())) ? 0 : 1);
        }
    }

    private static long count(FakeGpu.Result result, String line) {
        return result.out().lines().filter(line::equals).count();
    }

    /** Main class of {@link #graphsPassTheirTests}. */
    static final class Graphs {
        private Graphs() {}

        public static void main(String[] args) {
            System.exit(TestDevice.run(List.of(GraphTest.class.getName())) ? 0 : 1);
        }
    }

    /**
     * A run whose steps are replayed by a device some launches behind, and whose metrics come late, is the run without
     * captured graphs: the same files but for the clock.
     */
    @Test
    void aReplayedRunIsTheRun() throws IOException, InterruptedException {
        Path data = temp.resolve("replayed-data");
        MiniSudokuBuilder.build(data, 4, 300, 10, 3, 8);
        Map<String, Map<String, String>> runs =
                Map.of("eager", Map.of("TRM_GRAPH", "0"), "replayed", Map.of("FAKE_CUDA_LAG", "3"));
        for (Map.Entry<String, Map<String, String>> run : runs.entrySet()) {
            gpu.java(
                            run.getValue(),
                            Main.class.getName(),
                            "train",
                            "configs/cpu/sudoku-mlp-small.yaml",
                            "data_paths=[" + data + "]",
                            "data_shape=null",
                            "arch.hidden_size=16",
                            "arch.num_heads=2",
                            "arch.L_layers=1",
                            "arch.forward_dtype=float32",
                            "arch.halt_max_steps=3",
                            "global_batch_size=2",
                            "epochs=4",
                            "eval_interval=4",
                            "max_steps=40",
                            "log_every_steps=1",
                            "checkpoint_every_steps=15",
                            "--run",
                            temp.resolve(run.getKey()).toString(),
                            "--device",
                            "cuda:0")
                    .done();
        }
        assertEquals(metrics("eager"), metrics("replayed"));
        assertEquals(42, metrics("eager").size()); // titles, steps, an evaluation
        for (String step : List.of("15", "30", "40")) {
            String name = "checkpoints/step-" + "0".repeat(8).substring(step.length()) + step + ".safetensors";
            assertArrayEquals(
                    Files.readAllBytes(temp.resolve("eager").resolve(name)),
                    Files.readAllBytes(temp.resolve("replayed").resolve(name)));
        }
    }

    /** The benchmark times replays, by events; without graphs it says so. */
    @ParameterizedTest(name = "TRM_GRAPH={0}")
    @CsvSource({"1,true", "0,false"})
    void theBenchmarkReplays(String graph, boolean replayed) throws IOException, InterruptedException {
        String[] bench = {
            "bench",
            "configs/demo.yaml",
            "batch=2",
            "arch.hidden_size=16",
            "arch.num_heads=2",
            "arch.forward_dtype=float32",
            "--seconds",
            "0.1",
            "--json",
            "--device",
            "cuda:0"
        };
        FakeGpu.Result result = gpu.java(Map.of("TRM_GRAPH", graph, "FAKE_CUDA_LAG", "3"), Main.class.getName(), bench)
                .done();
        assertTrue(result.out().contains("\"graph\":" + replayed + ","), result.out());
        assertTrue(result.out().contains("\"host_us_per_step\":"), result.out());
    }

    /** Lines of a run's metrics without the two columns of the clock, which are the last. */
    private static List<String> metrics(String run) throws IOException {
        return Files.readAllLines(temp.resolve(run).resolve("metrics.csv")).stream()
                .map(line -> line.replaceFirst(",[^,]*,[^,]*$", ""))
                .toList();
    }

    @ParameterizedTest(name = "{0}={1}")
    @CsvSource(
            delimiter = '|',
            value = {
                "FAKE_CUDA_DRIVER | 12040 | supports CUDA 12.4, needed is 13.0: install driver 580 or newer",
                "FAKE_CUDA_DRIVER | 0 | supports CUDA 0.0, needed is 13.0",
                "FAKE_CUDA_DEVICES | 0 | the driver finds no GPU",
                "FAKE_CUDA_CAPABILITY | 75 | Fake GPU has compute capability 7.5, needed is 8.0 or higher",
                "TRM_DEBUG | slow | TRM_DEBUG is slow, expected sync",
                "TRM_CUDA_FUSED | off | TRM_CUDA_FUSED is off, expected 0, 1 or mma"
            })
    void whatIsWrongIsSaid(String variable, String value, String expected) throws IOException, InterruptedException {
        FakeGpu.Result result =
                gpu.java(Map.of(variable, value), Main.class.getName(), "verify", "tests/golden", "--device", "cuda:0");
        assertEquals(1, result.code(), result.out());
        assertTrue(result.out().contains(expected), result.out());
        assertEquals(
                1, result.out().lines().filter(line -> line.startsWith("trm: ")).count(), result.out());
    }

    @Test
    void aGpuThatIsNotThere() throws IOException, InterruptedException {
        FakeGpu.Result result =
                gpu.java(Map.of(), Main.class.getName(), "verify", "tests/golden", "--device", "cuda:3");
        assertEquals(1, result.code(), result.out());
        assertTrue(result.out().contains("cuda:3 cannot be used: there is no GPU 3, the driver finds 1"), result.out());
    }

    /** Without one library after the other: named, with the folders looked into; {@code auto} then takes the CPU. */
    @ParameterizedTest
    @CsvSource({
        "libcuda.so.1, no NVIDIA driver (libcuda.so.1)",
        "libcudart.so.13, no libcudart.so.13",
        "libcublasLt.so.13, no libcublasLt.so.13",
        "libcublas.so.13, no libcublas.so.13"
    })
    void whatIsMissingIsNamed(String library, String expected) throws IOException, InterruptedException {
        assumeFalse(installed(library), "this machine has a " + library + " of its own");
        Path file = gpu.folder().resolve(library);
        Path aside = temp.resolve(library);
        Files.move(file, aside);
        try {
            FakeGpu.Result named =
                    gpu.java(Map.of(), Main.class.getName(), "verify", "tests/golden", "--device", "cuda:0");
            assertEquals(1, named.code(), named.out());
            assertTrue(named.out().contains("cuda:0 cannot be used: " + expected + "; "), named.out());
            assertTrue(named.out().contains("looked in " + gpu.folder() + ":"), named.out());
            if (library.equals("libcuda.so.1")) {
                FakeGpu.Result auto = gpu.java(Map.of(), Main.class.getName(), "verify", "tests/golden")
                        .done();
                assertTrue(auto.out().contains("device auto: cpu ("), auto.out());
                assertTrue(auto.out().contains("because cuda:0 cannot be used: " + expected), auto.out());
            }
        } finally {
            Files.move(aside, file);
        }
    }

    private static boolean installed(String library) {
        CudaInstallation cuda = CudaInstallation.ofThisMachine();
        return Stream.concat(Stream.of(cuda.driver()), cuda.libraries().stream())
                .anyMatch(l -> l.found() && library.startsWith(l.name()));
    }

    /** A file that is there and cannot be loaded: the linker's words. */
    @Test
    void aBrokenLibrary() throws IOException, InterruptedException {
        Path file = gpu.folder().resolve("libcublasLt.so.13");
        Path aside = temp.resolve("whole");
        Files.move(file, aside);
        Files.writeString(file, "nothing");
        try {
            FakeGpu.Result result =
                    gpu.java(Map.of(), Main.class.getName(), "verify", "tests/golden", "--device", "cuda:0");
            assertEquals(1, result.code(), result.out());
            assertTrue(result.out().contains("loading them fails: "), result.out());
            assertTrue(result.out().contains("libcublasLt.so.13: file too short"), result.out());
        } finally {
            Files.move(aside, file, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /** A CUDA 12 beside the driver is no CUDA 13. */
    @Test
    void anOlderLibrary() throws IOException, InterruptedException {
        Path file = gpu.folder().resolve("libcublasLt.so.13");
        Path aside = temp.resolve("newer");
        Path older = gpu.folder().resolve("libcublasLt.so.12");
        Files.move(file, aside);
        Files.copy(aside, older);
        try {
            FakeGpu.Result result =
                    gpu.java(Map.of(), Main.class.getName(), "verify", "tests/golden", "--device", "cuda:0");
            assertEquals(1, result.code(), result.out());
            assertTrue(result.out().contains("libcublasLt.so.13 is needed, found 12 (" + older + ")"), result.out());
        } finally {
            Files.delete(older);
            Files.move(aside, file);
        }
    }

    /** cuDNN is not there at all, and nothing needs it. Every golden case passes, as on the CPU. */
    @Test
    void autoTakesTheGpuAndGoldenCasesPass() throws IOException, InterruptedException {
        FakeGpu.Result result = gpu.java(Map.of(), Main.class.getName(), "verify", "tests/golden")
                .done();
        assertTrue(result.out().contains("device auto: cuda:0 (Fake GPU, sm_90)"), result.out());
        FakeGpu.Result info =
                gpu.java(Map.of(), Main.class.getName(), "info", "--json").done();
        assertTrue(info.out().contains("\"cuda_obstacles\":[]"), info.out());
        assertTrue(info.out().contains("\"device\":\"cuda:0\""), info.out());
    }

    /** The same with the products that the kernels fuse with what follows: all are called, and the cases pass. */
    @Test
    void goldenCasesPassFused() throws IOException, InterruptedException {
        FakeGpu.Result result = gpu.java(
                        Map.of("FAKE_CUDA_FUSED", "1", "FAKE_CUDA_TRACE", "1"),
                        Main.class.getName(),
                        "verify",
                        "tests/golden",
                        "--device",
                        "cuda:0")
                .done();
        for (String operation : List.of("linear_swiglu", "linear_add_rms_norm")) {
            assertTrue(result.out().contains("fused " + operation), result.out());
        }
    }

    /**
     * What one process measured, the next one takes: it asks for no proposals. Words of a proposal: number 2 is the
     * fastest that runs, and the library is told the alignment that rows of 97 bfloat16 have, 2 bytes.
     */
    @Test
    void algorithmsAreMeasuredOnce() throws IOException, InterruptedException {
        Map<String, String> here = Map.of("XDG_CACHE_HOME", temp.resolve("once").toString(), "FAKE_CUDA_TRACE", "1");
        FakeGpu.Result first = gpu.java(here, OneProduct.class.getName()).done();
        assertEquals(
                1, first.out().lines().filter(line -> line.equals("heuristic")).count(), first.out());
        Path file;
        try (Stream<Path> files = Files.list(temp.resolve("once/trm"))) {
            file = files.findFirst().orElseThrow();
        }
        assertEquals(
                "cublaslt-130000-driver-13000-Fake-GPU.json", file.getFileName().toString());
        String json = Files.readString(file);
        assertTrue(json.replaceAll("\\s", "").contains(":[1717678501,2,2,2,256,0,0,-1]"), json);
        assertFalse(gpu.java(here, OneProduct.class.getName()).done().out().contains("heuristic"));
        // an algorithm that the library no longer takes, then a file that is none
        Files.writeString(file, json.replace("1717678501", "5"));
        assertTrue(gpu.java(here, OneProduct.class.getName()).done().out().contains("heuristic"));
        Files.writeString(file, "{\"format\": 1, \"algo");
        FakeGpu.Result damaged = gpu.java(here, OneProduct.class.getName()).done();
        assertTrue(
                damaged.out().contains("algorithms in " + file + " are ignored and measured again: damaged at line 1"),
                damaged.out());
        assertEquals(json, Files.readString(file));
    }

    /** y [4, 128] = x [4, 97] w^T in bfloat16, of ones. */
    static final class OneProduct {
        private OneProduct() {}

        public static void main(String[] args) {
            try (CudaBackend backend = new CudaBackend(0, MatmulPrecision.FLOAT32, System.out::println);
                    Arena arena = new Arena(backend)) {
                Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.BF16, 4, 97);
                Tensor w = arena.tensor(Purpose.CASE, "w", Dtype.BF16, 128, 97);
                Tensor y = arena.tensor(Purpose.CASE, "y", Dtype.BF16, 4, 128);
                float[] ones = new float[128 * 97];
                java.util.Arrays.fill(ones, 1);
                HostCopy.put(backend, x, java.util.Arrays.copyOf(ones, 4 * 97));
                HostCopy.put(backend, w, ones);
                backend.kernels().products().linear(x, w, y);
                for (float value : HostCopy.floats(backend, y)) {
                    if (value != 97) {
                        throw new AssertionError("y has " + value);
                    }
                }
            }
        }
    }

    /** Rounding of operands tells tf32 from float32; bfloat16 is what it is. */
    @Test
    void tf32IsAsked() throws IOException, InterruptedException {
        gpu.java(Map.of(), Precision.class.getName()).done();
    }

    /** Main class of {@link #tf32IsAsked}: (1 + 2^-20) * 1 in both modes. */
    static final class Precision {
        private Precision() {}

        public static void main(String[] args) {
            for (MatmulPrecision precision : MatmulPrecision.values()) {
                try (CudaBackend backend = new CudaBackend(0, precision, System.out::println);
                        Arena arena = new Arena(backend)) {
                    Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 1, 1);
                    Tensor w = arena.tensor(Purpose.CASE, "w", Dtype.F32, 1, 1);
                    Tensor y = arena.tensor(Purpose.CASE, "y", Dtype.F32, 1, 1);
                    HostCopy.put(backend, x, new float[] {1 + 0x1p-20f});
                    HostCopy.put(backend, w, new float[] {1});
                    backend.kernels().products().linear(x, w, y);
                    float expected = precision == MatmulPrecision.TF32 ? 1 : 1 + 0x1p-20f;
                    if (HostCopy.floats(backend, y)[0] != expected) {
                        throw new AssertionError(precision + " gives " + HostCopy.floats(backend, y)[0]);
                    }
                }
            }
        }
    }

    /** The fault is found at a later wait; with TRM_DEBUG=sync at the operation that caused it. Then all calls fail. */
    @ParameterizedTest
    @CsvSource({"sync", "''"})
    void aFaultIsTold(String debug) throws IOException, InterruptedException {
        Map<String, String> environment = Map.of(
                "FAKE_CUDA_FAULT_AT",
                "30",
                "TRM_DEBUG",
                debug,
                "XDG_CACHE_HOME",
                temp.resolve("faulty" + debug).toString());
        FakeGpu.Result result = gpu.java(environment, Faulty.class.getName()).done();
        String first = (debug.isEmpty() ? "download of y:F32[12]: " : "linear: ")
                + "an illegal memory access was encountered (CUDA error 700)"
                + (debug.isEmpty() ? "" : " (operands x:F32[4,5], w:F32[3,5], y:F32[4,3])");
        List<String> lines = result.out().lines().toList();
        assertEquals(first, lines.get(0), result.out());
        assertEquals(4, lines.size(), result.out());
        for (String later : lines.subList(1, 4)) {
            assertEquals("cuda:0 can no longer be used after: " + first, later);
        }
    }

    /** Main class of {@link #aFaultIsTold}: 26 products of each shape take part in the choice of its algorithm. */
    static final class Faulty {
        private Faulty() {}

        public static void main(String[] args) {
            try (CudaBackend backend = new CudaBackend(0, MatmulPrecision.FLOAT32, System.out::println);
                    Arena arena = new Arena(backend)) {
                Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 4, 5);
                Tensor w = arena.tensor(Purpose.CASE, "w", Dtype.F32, 3, 5);
                Tensor y = arena.tensor(Purpose.CASE, "y", Dtype.F32, 4, 3);
                print(() -> {
                    for (int i = 0; i < 10; i++) {
                        backend.kernels().products().linear(x, w, y);
                    }
                    HostCopy.floats(backend, y);
                });
                print(() -> backend.kernels().elementwise().zero(y));
                print(() -> HostCopy.put(backend, x, new float[20]));
                print(backend::synchronize);
            }
        }

        private static void print(Runnable call) {
            System.out.println(assertThrows(DeviceException.class, call::run).getMessage());
        }
    }

    /**
     * A fault in the middle of a run ends it with the code of a lost device, without a checkpoint of what the device then
     * holds: the last one stays.
     */
    @Test
    void aFaultEndsARunWithItsLastCheckpoint() throws IOException, InterruptedException {
        Path data = temp.resolve("data");
        String run = temp.resolve("run").toString();
        MiniSudokuBuilder.build(data, 4, 300, 10, 3, 8);
        String[] train = {
            "train",
            "configs/cpu/sudoku-mlp-small.yaml",
            "data_paths=[" + data + "]",
            "data_shape=null",
            "arch.hidden_size=16",
            "arch.num_heads=2",
            "arch.L_layers=1",
            "arch.forward_dtype=float32",
            "global_batch_size=2",
            "epochs=4",
            "eval_interval=4",
            "max_steps=40",
            "checkpoint_every_steps=5",
            "--run",
            run,
            "--device",
            "cuda:0"
        };
        FakeGpu.Result result = gpu.java(Map.of("FAKE_CUDA_FAULT_AT", "1500"), Main.class.getName(), train);
        assertEquals(129, result.code(), result.out());
        assertTrue(result.out().contains("an illegal memory access was encountered"), result.out());
        assertFalse(checkpoints().isEmpty(), result.out());
        gpu.java(Map.of(), Main.class.getName(), "train", "--resume", run, "--device", "cuda:0")
                .done();
        assertTrue(
                checkpoints().stream().anyMatch(f -> f.toString().contains("40")),
                checkpoints().toString());
    }

    private static List<Path> checkpoints() throws IOException {
        try (Stream<Path> files = Files.walk(temp.resolve("run"))) {
            return files.filter(f -> f.toString().endsWith(".safetensors")).toList();
        }
    }

    /**
     * Calls of a shape that has a plan leave the Java heap alone, a split sum over lanes and copies included, and so does
     * all that a replayed step takes.
     */
    @Test
    void callsAllocateNothing() throws IOException, InterruptedException {
        FakeGpu.Result result = gpu.java(Map.of(), Allocations.class.getName()).done();
        assertEquals("allocated 0", result.out().strip());
    }

    /** Main class of {@link #callsAllocateNothing}: the least of some windows, as the virtual machine takes some too. */
    static final class Allocations {
        private Allocations() {}

        public static void main(String[] args) {
            ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            long thread = Thread.currentThread().getId();
            ByteBuffer host = ByteBuffer.allocateDirect(3 * 4 * 5 * 4);
            try (CudaBackend backend = new CudaBackend(0, MatmulPrecision.FLOAT32, System.out::println);
                    Arena arena = new Arena(backend)) {
                Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 3, 4, 5);
                Tensor w = arena.tensor(Purpose.CASE, "w", Dtype.F32, 2, 4);
                Tensor y = arena.tensor(Purpose.CASE, "y", Dtype.F32, 3, 2, 5);
                Runnable step = () -> {
                    backend.kernels().products().mix(x, w, y, 3, 5);
                    backend.kernels().products().mixBwdX(y, w, x, 3, 5, true);
                    backend.kernels().products().mixBwdW(y, x, w, 3, 5);
                };
                step.run();
                long least = Long.MAX_VALUE;
                try (HostBuffer locked = backend.hostBuffer(3 * 4 * 5 * 4);
                        Event mark = backend.event();
                        StepGraph graph = backend.capture(step)) {
                    for (int window = 0; window < 10; window++) {
                        long before = threads.getThreadAllocatedBytes(thread);
                        for (int i = 0; i < 200; i++) {
                            backend.upload(host, x);
                            step.run();
                            backend.synchronize();
                            backend.enqueueUpload(locked, 0, x);
                            graph.launch();
                            backend.enqueueDownload(x, locked);
                            mark.set();
                            mark.reached();
                            mark.await();
                        }
                        least = Math.min(least, threads.getThreadAllocatedBytes(thread) - before);
                    }
                }
                System.out.println("allocated " + least);
            }
        }
    }

    @Test
    void tooLittleMemory() throws IOException, InterruptedException {
        FakeGpu.Result result = gpu.java(Map.of("FAKE_CUDA_MEMORY", "40000000"), Large.class.getName())
                .done();
        assertEquals(
                "no memory on cuda:0 for 'large': 80000000 bytes; 40000000 are free",
                result.out().strip());
    }

    /** Main class of {@link #tooLittleMemory}; what follows still works. */
    static final class Large {
        private Large() {}

        public static void main(String[] args) {
            try (CudaBackend backend = new CudaBackend(0, MatmulPrecision.FLOAT32, System.out::println)) {
                System.out.println(assertThrows(DeviceException.class, () -> backend.allocate("large", 80_000_000))
                        .getMessage());
                backend.allocate("small", 80).close();
                backend.synchronize();
            }
        }
    }
}
