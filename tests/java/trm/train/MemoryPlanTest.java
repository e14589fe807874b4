package trm.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import trm.Systems;
import trm.config.ComputeType;
import trm.config.ConfigLoader;
import trm.config.Recompute;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Capabilities;
import trm.device.Collective;
import trm.device.DeviceBuffer;
import trm.device.DeviceException;
import trm.device.Dtype;
import trm.device.Event;
import trm.device.HostBuffer;
import trm.device.Kernels;
import trm.device.Layout;
import trm.device.OneRank;
import trm.device.PlanningBackend;
import trm.device.Purpose;
import trm.device.StepGraph;
import trm.device.Tensor;
import trm.device.cpu.CpuBackend;
import trm.lanes.DeviceExamples;

/**
 * Plans of memory. Oracles: sums by hand over the shapes, for the published settings; the bytes that a backend is asked
 * for, for small ones. Bound: none, a plan is exact.
 */
class MemoryPlanTest {
    private static final long GB = 1_000_000_000;
    private static final int BATCH = 768;
    private static final List<Recompute> MODES =
            List.of(Recompute.NONE, Recompute.ACTIVATION, Recompute.GATE_UP, Recompute.LAYERS, Recompute.APPLICATIONS);

    private static Backend backend;

    @BeforeAll
    static void open() {
        backend = new CpuBackend(2);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    /** The paper's shapes: settings, what they replace, positions, n. */
    private static Stream<Arguments> shapes() {
        return Stream.of(
                Arguments.of("mlp", List.of(), 97, 6),
                Arguments.of("att", List.of(), 97, 6),
                Arguments.of("att", List.of("arch.L_cycles=4", "data_shape.seq_len=900"), 916, 4),
                Arguments.of("mlp", List.of("arch.L_cycles=12"), 97, 12),
                Arguments.of("mlp", List.of("arch.L_cycles=12", "arch.H_cycles=6"), 97, 12),
                Arguments.of("att", List.of("arch.L_cycles=12"), 97, 12),
                Arguments.of("att", List.of("arch.L_cycles=12", "arch.H_cycles=6"), 97, 12),
                Arguments.of("att", List.of("arch.L_cycles=12", "data_shape.seq_len=900"), 916, 12));
    }

    private static TrainConfig published(String kind, List<String> overrides) {
        return ConfigLoader.load(Path.of("configs", "sudoku-" + kind + ".yaml"), overrides);
    }

    private static MemoryPlan plan(TrainConfig config, long limit) {
        return plan(Devices.absentGpu(), config, limit);
    }

    private static MemoryPlan plan(PlanningBackend device, TrainConfig config, long limit) {
        return MemoryPlan.of(device, limit, config, positions(config), contents(config));
    }

    private static int positions(TrainConfig config) {
        return config.arch().prefixLen() + config.data().shape().seqLen();
    }

    private static MemoryPlan.Contents<RunTensors> contents(TrainConfig config) {
        RunTensors.DataSizes data = new RunTensors.DataSizes(
                config.data().shape(), DeviceExamples.Size.expanded(1000, 0), DeviceExamples.Size.expanded(100, 0));
        return (device, arena, settled) -> RunTensors.allocate(device, arena, settled, data, 1000);
    }

    private static long padded(long bytes) {
        return (bytes + 255) / 256 * 256;
    }

    /** The tape by hand: states [B, S, 512] bf16, inner widths 1536 and, over 97 positions, 512. */
    private static long tape(boolean mixer, long positions, int n, Recompute mode) {
        long rows = BATCH * positions;
        long state = padded(rows * 512 * 2);
        long gateUp = padded(rows * 2 * 1536 * 2);
        long mixGateUp = padded(BATCH * 2 * 512L * 512 * 2);
        long mixing =
                mixer ? padded(BATCH * 512 * 4) : 4 * state + padded(BATCH * 8 * positions * 4) + padded(rows * 4);
        long kept = mixing + padded(rows * 4) + 2 * state; // besides gate and up: scales, mid and out
        long products = gateUp + (mixer ? mixGateUp : 0);
        long activation = padded(rows * 1536 * 2);
        return switch (mode) {
            case NONE -> (n + 1) * (state + 2 * (kept + products + activation));
            case ACTIVATION -> (n + 1) * (state + 2 * (kept + products));
            case GATE_UP -> (n + 1) * (state + 2 * kept);
            case LAYERS -> (n + 1) * 2 * state + kept + products;
            default -> (n + 1) * state + state + kept + products;
        };
    }

    @ParameterizedTest
    @MethodSource("shapes")
    void tapesOfThePublishedShapes(String kind, List<String> overrides, int positions, int n) {
        TrainConfig config = published(kind, overrides);
        long before = Long.MAX_VALUE;
        for (Recompute mode : MODES) {
            MemoryPlan plan = plan(config.with(mode, 1), 141 * GB);
            assertEquals(mode, plan.settled().memory().recompute());
            assertEquals(
                    tape(kind.equals("mlp"), positions, n, mode), plan.parts().get("tape"), mode.toString());
            assertEquals(
                    plan.totalBytes(),
                    plan.parts().values().stream().mapToLong(Long::longValue).sum());
            assertTrue(plan.totalBytes() < before, mode.toString());
            before = plan.totalBytes();
        }
    }

    /** The first choice that fits is taken, and any size of a GPU has one. */
    @ParameterizedTest
    @MethodSource("shapes")
    void publishedShapesFit(String kind, List<String> overrides, int positions, int n) {
        TrainConfig config = published(kind, overrides);
        for (long size : new long[] {24, 48, 80, 141}) {
            MemoryPlan plan = plan(config, size * GB);
            assertTrue(plan.fits(), plan.refusal());
            assertTrue(plan.totalBytes() <= size * GB);
            List<MemoryPlan.Tried> tried = plan.tried();
            for (MemoryPlan.Tried t : tried.subList(0, tried.size() - 1)) {
                assertTrue(t.bytes() > size * GB, t.toString());
            }
            MemoryPlan.Tried last = tried.get(tried.size() - 1);
            assertEquals(plan.settled().memory().recompute(), last.recompute());
            assertEquals(plan.settled().memory().microBatches(), last.microBatches());
            assertEquals(plan.totalBytes(), last.bytes());
            for (Recompute mode : MODES) {
                assertTrue(plan(config.with(mode, 0), size * GB).fits(), mode + " in " + size + " GB");
            }
        }
    }

    /** 916 positions do not fit 80 GB at once but do in two parts, with nothing computed twice. */
    @Test
    void microBatchesComeFirst() {
        TrainConfig config = published("att", List.of("arch.L_cycles=4", "data_shape.seq_len=900"));
        MemoryPlan plan = plan(config, 80 * GB);
        assertEquals(
                List.of(1, 1, 2),
                plan.tried().stream().map(MemoryPlan.Tried::microBatches).toList());
        assertEquals(Recompute.NONE, plan.settled().memory().recompute());
        assertTrue(
                plan.describe()
                        .matches("62\\.4 GB of 80\\.0 GB with recompute none and micro_batches 2: "
                                + "recompute none with micro_batches 1 would need 122\\.0 GB"),
                plan.describe());
    }

    /** Parts stay large, then less and less is kept, then parts get smaller still. */
    @Test
    void orderOfChoices() {
        TrainConfig config = published("mlp", List.of());
        List<MemoryPlan.Tried> tried = plan(config, GB).tried();
        List<String> order = tried.stream()
                .map(t -> t.recompute().key() + " " + t.microBatches())
                .toList();
        List<String> expected = new ArrayList<>();
        for (int parts : new int[] {1, 2, 3, 4}) {
            expected.addAll(List.of("none " + parts, "activation " + parts));
        }
        for (Recompute mode : MODES.subList(2, MODES.size())) {
            for (int parts : new int[] {1, 2, 3, 4}) { // of 768 x 97 rows: the fifth would have 14,900
                expected.add(mode.key() + " " + parts);
            }
        }
        for (int parts : new int[] {6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 768}) {
            expected.add("evaluations " + parts);
        }
        assertEquals(expected, order);
    }

    @Test
    void whatDoesNotFitSaysWhatWould() {
        TrainConfig config = published("att", List.of("arch.L_cycles=4", "data_shape.seq_len=900"));
        MemoryPlan set = plan(config.with(Recompute.NONE, 1), 80 * GB);
        assertFalse(set.fits());
        assertEquals(
                "a batch of 768 needs 122.0 GB, with recompute: none and micro_batches: 1, and there are 80.0 GB;"
                        + " recompute: none with micro_batches: 2 would fit",
                set.refusal());
        assertEquals(
                set.refusal(),
                assertThrows(DeviceException.class, set::requireFits).getMessage());

        MemoryPlan small = plan(config, 2 * GB);
        assertFalse(small.fits());
        assertTrue(
                small.refusal()
                        .matches("a batch of 768 needs .* with recompute: evaluations and micro_batches: 768, and"
                                + " there are 2\\.00 GB; the largest batch that fits is global_batch_size: \\d+"),
                small.refusal());
        int batch = Integer.parseInt(small.refusal().replaceAll(".*: ", ""));
        assertTrue(batch > 1 && batch < BATCH, small.refusal());
        assertTrue(plan(config.with(batch, Recompute.AUTO, 0), 2 * GB).fits());
        assertFalse(plan(config.with(batch + 1, Recompute.AUTO, 0), 2 * GB).fits());

        assertTrue(
                plan(config, GB).refusal().endsWith("; not even a batch of 1 would fit"),
                plan(config, GB).refusal());
    }

    /** A CPU that remembers how much memory it was asked for, and can be told how much there is. */
    private static final class Counting implements Backend {
        private final long free;
        private final List<Long> allocated = new ArrayList<>();
        private int hostBuffers;

        Counting(long free) {
            this.free = free;
        }

        @Override
        public String name() {
            return backend.name();
        }

        @Override
        public String target() {
            return backend.target();
        }

        @Override
        public Capabilities capabilities() {
            return backend.capabilities();
        }

        @Override
        public Kernels kernels() {
            return backend.kernels();
        }

        @Override
        public Collective collective() {
            return new OneRank(this);
        }

        @Override
        public long freeBytes() {
            return free;
        }

        @Override
        public DeviceBuffer allocate(String name, long bytes) {
            allocated.add(bytes);
            return backend.allocate(name, bytes);
        }

        @Override
        public void upload(ByteBuffer from, Tensor to) {
            backend.upload(from, to);
        }

        @Override
        public void download(Tensor from, ByteBuffer to) {
            backend.download(from, to);
        }

        @Override
        public void synchronize() {
            backend.synchronize();
        }

        @Override
        public HostBuffer hostBuffer(int bytes) {
            hostBuffers++;
            return backend.hostBuffer(bytes);
        }

        @Override
        public void enqueueUpload(HostBuffer from, int offset, Tensor to) {
            backend.enqueueUpload(from, offset, to);
        }

        @Override
        public void enqueueDownload(Tensor from, HostBuffer to) {
            backend.enqueueDownload(from, to);
        }

        @Override
        public Event event() {
            return backend.event();
        }

        @Override
        public StepGraph capture(Runnable step) {
            return backend.capture(step);
        }

        @Override
        public void close() {
            // the backend is shared
        }
    }

    private static Stream<Arguments> small() {
        return Stream.of("mlp", "att")
                .flatMap(kind -> Stream.of(
                        Arguments.of(kind, List.of("global_batch_size=2")),
                        Arguments.of(kind, List.of("global_batch_size=8", "arch.hidden_size=64")),
                        Arguments.of(kind, List.of("global_batch_size=8", "arch.hidden_size=64", "micro_batches=4")),
                        Arguments.of(kind, List.of("global_batch_size=4", "arch.hidden_size=64", "optimizer=muon")),
                        Arguments.of(
                                kind,
                                List.of(
                                        "global_batch_size=8",
                                        "arch.hidden_size=64",
                                        "dtype=float32",
                                        "arch.mlp_activation=normed_swiglu")),
                        Arguments.of(
                                kind,
                                List.of(
                                        "global_batch_size=6",
                                        "arch.hidden_size=48",
                                        "dtype=float32",
                                        "eval_batch_size=30")),
                        Arguments.of(
                                kind,
                                List.of("global_batch_size=3", "arch.hidden_size=64", "arch.no_ACT_continue=false")),
                        Arguments.of(kind, List.of("global_batch_size=1", "arch.hidden_size=64", "arch.L_cycles=12"))));
    }

    private static Stream<Arguments> systems() {
        return Systems.NAMES.stream()
                .map(name -> Arguments.of(
                        "att", List.of(Systems.overrides(name, "global_batch_size=4", "arch.hidden_size=64"))));
    }

    /** At sizes that this machine can hold, a plan is what is allocated: one region that lasts, one of the turns. */
    @ParameterizedTest
    @MethodSource({"small", "systems"})
    void planIsWhatIsAllocated(String kind, List<String> overrides) {
        TrainConfig config = published(kind, overrides);
        for (Recompute mode : MODES) {
            Counting counting = new Counting(8 * GB);
            TrainConfig choice = config.with(mode, Math.max(1, config.memory().microBatches()));
            MemoryPlan plan = MemoryPlan.of(counting, choice, positions(config), contents(config));
            assertTrue(counting.allocated.isEmpty(), "a plan allocates nothing");
            assertEquals(0, counting.hostBuffers, "nor on the host");
            try (Arena arena = plan.allocate(counting);
                    RunTensors tensors = contents(config).allocate(counting, arena, plan.settled())) {
                assertEquals(2, counting.allocated.size());
                assertEquals(
                        plan.totalBytes(),
                        counting.allocated.stream().mapToLong(Long::longValue).sum());
                assertEquals(plan.totalBytes(), arena.totalBytes());
                assertEquals(plan.parts(), arena.bytesByPurpose());
                assertEquals(plan.arenaBytes(), arena.layout().totalBytes());
                assertEquals(0, tensors.supervision().lanes().y().address() % Layout.ALIGNMENT);
            }
            // the very same figures come from a plan for a device that is not here, what it takes besides apart
            PlanningBackend absent = PlanningBackend.ofAbsent(Map.of());
            if (config.arch().dtype() == ComputeType.BFLOAT16 && mode != Recompute.NONE) { // fused here
                assertEquals(plan.parts(), plan(absent, choice, GB).parts());
            }
        }
    }

    /** Two layers of 512 over 97 positions: two copies of the matrices in bfloat16, two of their squares, sums, the table. */
    @Test
    void whatMuonWorksIn() {
        Map<String, Long> plain = plan(published("mlp", List.of()), 141 * GB).parts();
        Map<String, Long> muon =
                plan(published("mlp", List.of("optimizer=muon")), 141 * GB).parts();
        long matrices = 2L * (3072 * 512 + 512 * 1536 + 1024 * 104 + 104 * 512);
        long squares = 2L * (512 * 512 + 512 * 512 + 104 * 104 + 104 * 104);
        long sums = 2L * (384 + 192 + 25 + 13); // of 4096 values each, of 97 columns or rows
        assertEquals(
                padded(2 * matrices) * 2 + padded(2 * squares) * 2 + padded(8 * sums),
                muon.get("scratch") - plain.get("scratch"));
        assertEquals(padded(8 * 6 * 4), muon.get("optimizer") - plain.get("optimizer"));
    }

    /** Turns share memory: an evaluation no larger than the step costs nothing, a larger one the difference. */
    @Test
    void evaluationLivesInTheStepsMemory() {
        TrainConfig config = published("mlp", List.of("global_batch_size=8"));
        MemoryPlan same = plan(config, 80 * GB);
        assertEquals(0, same.parts().get("evaluation"));
        MemoryPlan large = plan(published("mlp", List.of("global_batch_size=8", "eval_batch_size=800")), 80 * GB);
        assertTrue(large.parts().get("evaluation") > 0);
        assertEquals(same.parts().get("tape"), large.parts().get("tape"));
    }

    @Test
    void anArenaIsAskedForWhatWasPlanned() {
        try (Arena planning = new Arena(PlanningBackend.ofAbsent(Map.of()))) {
            planning.tensor(Purpose.LANES, "a", Dtype.F32, 3);
            planning.tensor(Purpose.SCRATCH, "b", Dtype.BF16, 5, 7);
            try (Arena arena = new Arena(backend, planning.layout())) {
                assertEquals(512, arena.totalBytes());
                arena.tensor(Purpose.LANES, "a", Dtype.F32, 3);
                String message = assertThrows(
                                IllegalStateException.class, () -> arena.tensor(Purpose.SCRATCH, "b", Dtype.BF16, 5, 8))
                        .getMessage();
                assertTrue(message.contains("[5,8]") && message.contains("[5,7]"), message);
            }
        }
    }

    /** There is nothing that a plan could compute with, nor anything that it could say it computed. */
    @Test
    void aPlanComputesNothing() {
        PlanningBackend plan = PlanningBackend.ofAbsent(Map.of());
        for (Runnable call : List.<Runnable>of(
                () -> plan.kernels().elementwise(),
                () -> plan.kernels().products(),
                () -> plan.kernels().phase("x"),
                () -> plan.capture(() -> {}))) {
            assertThrows(UnsupportedOperationException.class, call::run);
        }
    }

    @Test
    void partsOfABufferEndWithIt() {
        Tensor t;
        try (Arena planning = new Arena(PlanningBackend.ofAbsent(Map.of()))) {
            planning.tensor(Purpose.LANES, "a", Dtype.F32, 64);
            planning.tensor(Purpose.LANES, "b", Dtype.F32, 64);
            try (Arena arena = new Arena(backend, planning.layout())) {
                Tensor a = arena.tensor(Purpose.LANES, "a", Dtype.F32, 64);
                t = arena.tensor(Purpose.LANES, "b", Dtype.F32, 64);
                assertEquals(a.address() + 256, t.address());
                assertEquals("b:F32[64]", t.toString());
                assertThrows(IllegalArgumentException.class, () -> a.view(1, 64));
            }
        }
        assertThrows(IllegalStateException.class, t::address);
    }
}
