package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.device.Arena;
import trm.device.Capture;
import trm.device.CudaInstallation;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.MatmulPrecision;
import trm.device.NativeBuild;
import trm.device.NativeOps;
import trm.device.Purpose;
import trm.device.StickyError;
import trm.device.Tensor;
import trm.device.TestDevice;

/**
 * Attention by cuDNN on {@link FakeGpu}, whose cuDNN computes a graph from its descriptors alone: who computes, what is
 * said of it, and that the graphs are those of attention and of its gradient.
 */
class CudnnAttentionTest {
    private static final String FORWARD = "attention of 3 lanes [257, 2, 16]";
    private static final String BACKWARD = "attention_bwd of 3 lanes [257, 2, 16]";

    @TempDir
    private static Path temp;

    private static FakeGpu with;
    private static FakeGpu without;

    @BeforeAll
    static void compile() throws IOException, InterruptedException {
        with = new FakeGpu(Files.createDirectories(temp.resolve("with"))).withCudnn();
        without = new FakeGpu(Files.createDirectories(temp.resolve("without")));
    }

    /** Settings of a process with a cache of its own. */
    private static Map<String, String> settings(String cache, String... pairs) {
        Map<String, String> settings = new HashMap<>();
        settings.put("XDG_CACHE_HOME", temp.resolve(cache).toString());
        for (int i = 0; i < pairs.length; i += 2) {
            settings.put(pairs[i], pairs[i + 1]);
        }
        return settings;
    }

    private static List<String> linesOf(FakeGpu gpu, Map<String, String> settings)
            throws IOException, InterruptedException {
        return gpu.java(settings, LongAttention.class.getName())
                .done()
                .out()
                .lines()
                .toList();
    }

    /** The test of attention, whose long cases go to the library: the one whose engine compiles, and may be captured. */
    @Test
    void attentionPassesItsTest() throws IOException, InterruptedException {
        FakeGpu.Result result = with.java(
                        settings("test", "TRM_ATTENTION", "cudnn", "-Dtrm.test.device", "cuda:0"),
                        AttentionAlone.class.getName())
                .done();
        assertTrue(result.out().contains(" 0 failed, "), result.out());
        assertTrue(
                result.out().contains(FORWARD + ": cuDNN 9.24.0, engine 41, 1.000 ms (kernels of our own: 0.000)"),
                result.out());
        assertTrue(result.out().contains(BACKWARD + ": cuDNN 9.24.0, engine 41, "), result.out());
        assertTrue(result.out().contains("attention_bwd of 2 lanes [258, 1, 8]: cuDNN"), result.out());
        assertFalse(result.out().contains("of 3 lanes [16, "), result.out());
    }

    /** Main class of {@link #attentionPassesItsTest}. */
    static final class AttentionAlone {
        private AttentionAlone() {}

        public static void main(String[] args) {
            System.exit(TestDevice.run(List.of("trm.device.AttentionTest")) ? 0 : 1);
        }
    }

    /** Forward and backward of three lanes, twice; prints what is told. */
    static final class LongAttention {
        private LongAttention() {}

        public static void main(String[] args) {
            try (CudaBackend backend = new CudaBackend(0, MatmulPrecision.FLOAT32, System.out::println);
                    Arena arena = new Arena(backend)) {
                Operands x = new Operands(backend, arena);
                for (int i = 0; i < 2; i++) {
                    backend.kernels().attention().attention(x.qkv, x.cos, x.sin, x.o, x.lse, 3, 257, 2);
                    backend.kernels()
                            .attention()
                            .attentionBwd(x.qkv, x.cos, x.sin, x.o, x.lse, x.dO, x.dqkv, 3, 257, 2);
                }
                backend.synchronize();
            }
        }
    }

    /** Of three lanes, 257 positions, two heads of 16. */
    private static final class Operands {
        final Tensor qkv;
        final Tensor cos;
        final Tensor sin;
        final Tensor o;
        final Tensor lse;
        final Tensor dO;
        final Tensor dqkv;

        Operands(CudaBackend backend, Arena arena) {
            Random random = new Random(5);
            qkv = arena.tensor(Purpose.CASE, "qkv", Dtype.BF16, 3, 257, 3, 2, 16);
            cos = arena.tensor(Purpose.CASE, "cos", Dtype.F32, 257, 8);
            sin = arena.tensor(Purpose.CASE, "sin", Dtype.F32, 257, 8);
            o = arena.tensor(Purpose.CASE, "o", Dtype.BF16, 3, 257, 2, 16);
            lse = arena.tensor(Purpose.CASE, "lse", Dtype.F32, 3, 2, 257);
            dO = arena.tensor(Purpose.CASE, "d_o", Dtype.BF16, 3, 257, 2, 16);
            dqkv = arena.tensor(Purpose.CASE, "dqkv", Dtype.BF16, 3, 257, 3, 2, 16);
            for (Tensor t : List.of(qkv, cos, sin, dO)) {
                float[] values = new float[(int) t.count()];
                for (int i = 0; i < values.length; i++) {
                    values[i] = (float) random.nextGaussian();
                }
                HostCopy.put(backend, t, values);
            }
        }
    }

    @Test
    void withoutTheLibrary() throws IOException, InterruptedException {
        assumeTrue(
                CudaInstallation.ofThisMachine().libraries().stream()
                        .noneMatch(l -> l.name().equals("libcudnn.so") && l.found()),
                "this machine has a cuDNN of its own");
        List<String> lines = linesOf(without, settings("missing"));
        assertEquals(1, lines.size(), lines.toString());
        assertTrue(
                lines.get(0)
                        .startsWith(
                                "attention runs on kernels of our own, cuDNN cannot be used: no libcudnn.so.9 (looked in "
                                        + without.folder() + ":"),
                lines.toString());
    }

    /** A version without the operation; a library that is not whole. */
    @Test
    void ofNoUse() throws IOException, InterruptedException {
        List<String> lines = linesOf(with, settings("old", "FAKE_CUDNN_VERSION", "91002"));
        assertEquals(
                List.of("attention runs on kernels of our own, cuDNN cannot be used: cuDNN 9.10.2 is too old, needed is"
                        + " 9.13.1 or newer (" + with.folder().resolve("libcudnn.so.9") + ")"),
                lines);
        Path part = with.folder().resolve("libcudnn_adv.so.9");
        Files.move(part, temp.resolve("aside"));
        try {
            lines = linesOf(with, settings("torn"));
        } finally {
            Files.move(temp.resolve("aside"), part);
        }
        assertEquals(1, lines.size(), lines.toString());
        assertTrue(lines.get(0).contains("libcudnn.so.9 fails: "), lines.toString());
        assertTrue(lines.get(0).contains("libcudnn_adv.so.9"), lines.toString());
    }

    /** What the library does not propose an engine for, our kernels do; the other direction is the library's. */
    @ParameterizedTest
    @CsvSource({"forward", "backward"})
    void aRefusal(String refused) throws IOException, InterruptedException {
        List<String> lines = linesOf(with, settings(refused, "FAKE_CUDNN_REFUSE", refused, "TRM_ATTENTION", "cudnn"));
        String shape = refused.equals("forward") ? FORWARD : BACKWARD;
        String other = refused.equals("forward") ? BACKWARD : FORWARD;
        assertEquals(2, lines.size(), lines.toString());
        assertTrue(
                lines.contains(shape + " runs on kernels of our own: cuDNN 9.24.0: the library proposes no engine"),
                lines.toString());
        assertTrue(
                lines.stream().anyMatch(line -> line.startsWith(other + ": cuDNN 9.24.0, engine 41, ")),
                lines.toString());
    }

    /** Whoever is faster, measured once: a second process does not measure, and says so. */
    @ParameterizedTest
    @CsvSource({"-1,true", "1,false"})
    void theFasterOneIsKept(String ms, boolean library) throws IOException, InterruptedException {
        Map<String, String> settings = settings("cache" + ms, "FAKE_CUDNN_MS", ms);
        List<String> first = linesOf(with, settings);
        List<String> second = linesOf(with, settings);
        assertEquals(2, first.size(), first.toString());
        assertEquals(2, second.size(), second.toString());
        for (int i = 0; i < 2; i++) {
            String shape = i == 0 ? FORWARD : BACKWARD;
            assertEquals(
                    library
                            ? shape + ": cuDNN 9.24.0, engine 41, -1.000 ms (kernels of our own: 0.000)"
                            : shape + ": kernels of our own, 0.000 ms (cuDNN 9.24.0, engine 41: 1.000)",
                    first.get(i));
            assertEquals(
                    shape + (library ? ": cuDNN 9.24.0, engine 41" : ": kernels of our own") + ", as measured earlier",
                    second.get(i));
        }
    }

    @Test
    void ownKernelsOnRequest() throws IOException, InterruptedException {
        assertEquals(List.of(), linesOf(with, settings("own", "TRM_ATTENTION", "own")));
        FakeGpu.Result result = with.java(settings("wrong", "TRM_ATTENTION", "flash"), LongAttention.class.getName());
        assertTrue(result.out().contains("TRM_ATTENTION is flash, expected own or cudnn"), result.out());
    }

    /** Lanes in parts, the last one smaller, give the bits that they give at once; afterwards nothing is allocated. */
    @Tag("drill")
    @Test
    void lanesInParts() throws IOException, InterruptedException {
        assertEquals(
                "allocated 0",
                with.java(settings("parts"), Parts.class.getName()).done().out().strip());
    }

    /** Main class of {@link #lanesInParts}. */
    static final class Parts {
        private Parts() {}

        public static void main(String[] args) {
            try (CudaBackend backend = new CudaBackend(0, MatmulPrecision.FLOAT32, System.out::println);
                    Arena arena = new Arena(backend)) {
                Operands x = new Operands(backend, arena);
                CUstream_st stream = new CUstream_st();
                assertEquals(0, cudart.cudaStreamCreateWithFlags(stream, cudart.cudaStreamNonBlocking));
                long lane = new CudnnSdpa(true, 3, 257, 2, 16, true, true).bytesPerLane();
                Results whole = results(backend, x, stream, 3 * lane);
                Results parts = results(backend, x, stream, 2 * lane);
                for (int i = 0; i < whole.values.length; i++) {
                    assertArrayEquals(whole.values[i], parts.values[i], "result " + i);
                }
                System.out.println("allocated " + parts.allocated);
            }
        }

        private record Results(float[][] values, long allocated) {}

        private static Results results(CudaBackend backend, Operands x, CUstream_st stream, long bytes) {
            ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            NativeOps.Table table = NativeBuild.open("libtrm_cuda.so", false);
            AlgorithmCache cache = new AlgorithmCache(temp(), System.out::println);
            try (CudnnAttention attention = new CudnnAttention(
                    table,
                    table,
                    new GpuStream(stream, new StickyError("test"), new Capture()),
                    cache,
                    new CudnnAttention.Settings(CudnnAttention.Choice.CUDNN, "test", bytes),
                    line -> {})) {
                long least = Long.MAX_VALUE;
                for (int window = 0; window < 6; window++) {
                    long before = threads.getThreadAllocatedBytes(
                            Thread.currentThread().getId());
                    for (int i = 0; i < 2; i++) {
                        call(attention, x, stream.address());
                    }
                    least = Math.min(
                            least,
                            threads.getThreadAllocatedBytes(
                                            Thread.currentThread().getId())
                                    - before);
                }
                float[][] values = {
                    HostCopy.floats(backend, x.o), HostCopy.floats(backend, x.lse), HostCopy.floats(backend, x.dqkv)
                };
                return new Results(values, least);
            }
        }

        private static Path temp() {
            return Path.of(System.getenv("XDG_CACHE_HOME"), "parts.json");
        }

        private static void call(CudnnAttention attention, Operands x, long stream) {
            long qkv = x.qkv.address();
            long cos = x.cos.address();
            long sin = x.sin.address();
            long lse = x.lse.address();
            attention.attention(qkv, cos, sin, x.o.address(), lse, 3, 257, 2, 16, 1, stream);
            attention.attention_bwd(
                    qkv, cos, sin, x.o.address(), lse, x.dO.address(), x.dqkv.address(), 3, 257, 2, 16, 1, stream);
        }
    }

    /** 916 positions, 8 heads of 64: the parts that a batch of 768 falls into, from the shape alone. */
    @Test
    void partsOfTheLongConfigurations() {
        CudnnSdpa backward = new CudnnSdpa(true, 768, 916, 8, 64, true, true);
        // q and k 916 x 2 x 512 x 2 bytes, delta 8 x 916 x 4, scores 8 x 960 x 960 x 2
        assertEquals(1_875_968 + 29_312 + 14_745_600, backward.bytesPerLane());
        assertEquals(16, CudnnEngines.lanesAtOnce(backward, CudnnAttention.WORKSPACE_BYTES));
        CudnnSdpa forward = new CudnnSdpa(false, 768, 916, 8, 64, true, true);
        assertEquals(128, CudnnEngines.lanesAtOnce(forward, CudnnAttention.WORKSPACE_BYTES));
        CudnnSdpa plain = new CudnnSdpa(false, 768, 916, 8, 64, false, false);
        assertEquals(768, CudnnEngines.lanesAtOnce(plain, CudnnAttention.WORKSPACE_BYTES));
        assertEquals(1, CudnnEngines.lanesAtOnce(backward, 1));
    }
}
