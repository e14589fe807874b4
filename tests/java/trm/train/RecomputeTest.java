package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import trm.Systems;
import trm.config.ConfigLoader;
import trm.config.Recompute;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.TrainLoader;
import trm.data.random.LegacyRandom;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Tensor;
import trm.device.TestDevice;
import trm.lanes.DeviceExamples;
import trm.model.Parameters;

/**
 * Recomputation and micro-batches change what a step keeps, not what it computes. Oracle: the same steps with everything
 * kept and all lanes at once. Bounds: recomputation none; micro-batches that of another order of the same float32 sums,
 * derived at {@link #microBatchesSumTheSameGradients}.
 */
public class RecomputeTest {
    private static final int STEPS = 7;
    private static final int POSITIONS = 17;

    @TempDir
    private static Path temp;

    private static Backend backend;
    private static Dataset train;
    private static Dataset test;

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(temp, 4, 200, 10, 1, 8);
        train = Dataset.open(temp, "train");
        test = Dataset.open(temp, "test");
        backend = TestDevice.open();
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    /** {@link #allNetworks}; on the stand-in for a GPU, whose products are slow, one with each token mixer, one normed. */
    private static Stream<String[]> networks() {
        return backend.name().equals("cpu")
                ? allNetworks()
                : Stream.of(
                        new String[] {"arch.mlp_t=true", "arch.hidden_size=24"},
                        new String[] {"arch.mlp_t=true", "arch.hidden_size=24", "arch.mlp_activation=normed_swiglu"},
                        new String[] {"arch.mlp_t=false", "arch.hidden_size=24", "arch.pos_encodings=learned"});
    }

    /** TRM with each kind of network, and every other system with attention. */
    private static Stream<String[]> allNetworks() {
        return Stream.concat(
                kindsOfNetworks(),
                Systems.NAMES.stream().map(name -> Systems.overrides(name, "arch.mlp_t=false", "arch.hidden_size=24")));
    }

    /** Kinds of networks: by token mixer, type, and whether the backend fuses residual sublayers (widths of 16 in float32). */
    private static Stream<String[]> kindsOfNetworks() {
        return Stream.of(
                new String[] {"arch.mlp_t=true", "arch.hidden_size=32"},
                new String[] {"arch.mlp_t=true", "arch.hidden_size=24"},
                new String[] {"arch.mlp_t=true", "arch.hidden_size=32", "dtype=bfloat16"},
                new String[] {"arch.mlp_t=false", "arch.hidden_size=32", "arch.pos_encodings=rope"},
                new String[] {"arch.mlp_t=false", "arch.hidden_size=24", "arch.pos_encodings=learned"},
                new String[] {"arch.mlp_t=false", "arch.hidden_size=32", "dtype=bfloat16"},
                new String[] {"arch.mlp_t=true", "arch.hidden_size=24", "arch.no_ACT_continue=false"},
                new String[] {"arch.mlp_t=true", "arch.hidden_size=24", "arch.L_layers=1"},
                new String[] {"arch.mlp_t=true", "arch.hidden_size=24", "optimizer=muon"},
                new String[] {"arch.mlp_t=true", "arch.hidden_size=32", "arch.mlp_activation=normed_swiglu"},
                new String[] {"arch.mlp_t=true", "arch.hidden_size=24", "arch.mlp_activation=normed_swiglu"},
                new String[] {
                    "arch.mlp_t=true", "arch.hidden_size=32", "arch.mlp_activation=normed_swiglu", "dtype=bfloat16"
                },
                new String[] {"arch.mlp_t=false", "arch.hidden_size=32", "arch.mlp_activation=normed_swiglu"},
                new String[] {
                    "arch.mlp_t=true",
                    "arch.hidden_size=24",
                    "arch.relaxation=0.9",
                    "arch.latent_noise=0.1",
                    "arch.random_start=true"
                },
                new String[] {"arch.mlp_t=false", "arch.hidden_size=24", "arch.L_layers=3", "arch.L_cycles=1"});
    }

    private static Stream<Arguments> cases() {
        return networks().flatMap(network -> Stream.of(
                        Recompute.ACTIVATION, Recompute.GATE_UP, Recompute.LAYERS, Recompute.APPLICATIONS)
                .map(mode -> Arguments.of(mode, String.join(" ", network))));
    }

    private static TrainConfig config(String... overrides) {
        List<String> all = new ArrayList<>(List.of(overrides));
        String yaml = String.join(
                "\n",
                "data_paths: ['" + temp + "']",
                "arch:",
                "  num_heads: 4",
                "  pos_encodings: none",
                "  expansion: 1",
                "  H_cycles: 2",
                "  L_cycles: 3",
                "  L_layers: 2",
                "  puzzle_emb_ndim: 16",
                "  puzzle_emb_len: 1",
                "  halt_max_steps: 4",
                "  halt_exploration_prob: 0.3",
                "  forward_dtype: float32",
                "global_batch_size: 6",
                "eval_batch_size: 30", // whose turn is larger than that of a step: it overwrites all of it
                "lr: 1e-3",
                "lr_warmup_steps: 2",
                "puzzle_emb_lr: 1e-3",
                "");
        return ConfigLoader.parse(yaml, "test", all);
    }

    /** Training of a planned arena, as a run has it. */
    private static final class Training implements AutoCloseable {
        private final TrainConfig settled;
        private final Arena arena;
        private final RunTensors tensors;
        private final TrainLoader loader;

        Training(TrainConfig config) {
            RunTensors.DataSizes sizes = RunTensors.DataSizes.of(train, test);
            MemoryPlan plan = MemoryPlan.of(
                    backend, config, POSITIONS, (b, a, settled) -> RunTensors.allocate(b, a, settled, sizes, 100));
            settled = plan.settled();
            arena = plan.allocate(backend);
            tensors = RunTensors.allocate(backend, arena, settled, sizes, 100);
            DeviceExamples.upload(backend, train, tensors.trainExamples());
            DeviceExamples.upload(backend, test, tensors.testExamples());
            tensors.parameters().initialize(7);
            // it begins as "never right": lanes would halt at their last step only
            Tensor weight = tensors.parameters().masterOf("q_head.weight");
            float[] q = new float[(int) weight.count()];
            for (int i = 0; i < q.length; i++) {
                q[i] = 0.1f * (i % 7 - 3);
            }
            HostCopy.put(backend, weight, q);
            HostCopy.put(backend, tensors.parameters().masterOf("q_head.bias"), new float[2]);
            tensors.parameters().refreshWorking();
            loader = new TrainLoader(
                    train, 0, new LegacyRandom(0), config.schedule().globalBatchSize(), 100);
            loader.startPass();
        }

        void steps(int count) {
            for (int i = 0; i < count; i++) {
                tensors.supervision().step(loader.nextBatch());
            }
        }

        /** Gradients of the first step, which is not taken. */
        Map<String, float[]> gradients() {
            DeepSupervision supervision = tensors.supervision();
            supervision.offer(loader.nextBatch());
            supervision.advance();
            supervision.forwardBackward();
            Map<String, float[]> all = new LinkedHashMap<>();
            for (String name : tensors.parameters().names()) {
                all.put(
                        name,
                        HostCopy.floats(
                                backend, tensors.parameters().gradients().get(name)));
            }
            all.put("puzzle rows", HostCopy.floats(backend, supervision.model().puzzleRowGradients()));
            return all;
        }

        /** Every bit that the next step depends on, and the metrics. */
        Map<String, byte[]> state() {
            Map<String, byte[]> all = new LinkedHashMap<>();
            Parameters p = tensors.parameters();
            put(all, "weights", p.master());
            put(all, "m", p.moment1());
            put(all, "v", p.moment2());
            put(all, "ema", p.average());
            put(all, "puzzles", p.puzzleTable());
            LaneKernels.Lanes lanes = tensors.supervision().lanes();
            for (Tensor latent : lanes.latents()) {
                put(all, latent.storage().name(), latent);
            }
            put(all, "steps", lanes.steps());
            put(all, "halted", lanes.halted());
            put(all, "inputs", lanes.inputs());
            put(all, "controls", tensors.supervision().controls());
            put(all, "metrics", tensors.supervision().metrics());
            put(all, "q", tensors.supervision().model().q());
            return all;
        }

        private static void put(Map<String, byte[]> all, String name, Tensor t) {
            ByteBuffer bytes = ByteBuffer.allocateDirect((int) t.bytes());
            backend.download(t, bytes);
            byte[] copy = new byte[(int) t.bytes()];
            bytes.rewind().get(copy);
            all.put(name, copy);
        }

        @Override
        public void close() {
            tensors.close();
            arena.close();
        }
    }

    private static void assertSame(Map<String, byte[]> expected, Map<String, byte[]> found) {
        assertEquals(expected.keySet(), found.keySet());
        expected.forEach((name, bytes) -> assertArrayEquals(bytes, found.get(name), name));
    }

    private static String[] split(String network) {
        return network.split(" ");
    }

    /** With halting, refills, exploration, and an evaluation in between that overwrites tape and scratch. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("cases")
    void recomputationGivesTheSameBits(Recompute mode, String network) {
        TrainConfig kept = config(split(network)).with(Recompute.NONE, 1);
        try (Training plain = new Training(kept);
                Training again = new Training(kept.with(mode, 1))) {
            assertEquals(mode, again.settled.memory().recompute());
            assertTrue(
                    mode == Recompute.ACTIVATION || again.arena.bytesByPurpose().get("evaluation") > 0,
                    "an evaluation overwrites less than a step");
            int halted = 0;
            for (int step = 0; step < STEPS; step++) {
                if (step == STEPS / 2) {
                    again.tensors.evaluator().evaluate(again.tensors.testExamples(), 6);
                }
                plain.steps(1);
                again.steps(1);
                halted += Arrays.stream(HostCopy.ints(
                                backend, plain.tensors.supervision().lanes().halted()))
                        .sum();
                assertSame(plain.state(), again.state());
            }
            assertTrue(halted > 0 && halted < STEPS * kept.schedule().globalBatchSize(), "halted " + halted);
        }
    }

    /** Recomputation in parts gives the bits of the parts without it. */
    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("cases")
    void recomputationOfParts(Recompute mode, String network) {
        TrainConfig kept = config(split(network)).with(Recompute.NONE, 3);
        try (Training plain = new Training(kept);
                Training again = new Training(kept.with(mode, 3))) {
            plain.steps(3);
            again.steps(3);
            assertSame(plain.state(), again.state());
        }
    }

    private static Stream<Arguments> parts() {
        return networks()
                .filter(network -> !String.join(" ", network).contains("bfloat16"))
                .flatMap(network -> Stream.of(2, 3, 6).map(parts -> Arguments.of(parts, String.join(" ", network))));
    }

    /**
     * A lane's states do not depend on the other lanes; the gradients of weights are float32 sums over R = B S (n + 1)
     * rows, which parts cut elsewhere. The rounding errors of a sum of R terms add up like a random walk to sqrt(R) u of
     * its size, u = 2^-24, on both sides: 2 sqrt(R) u of the Frobenius norm. (A part left out or counted twice changes it
     * by a sixth or more.)
     */
    @ParameterizedTest(name = "{0} parts: {1}")
    @MethodSource("parts")
    void microBatchesSumTheSameGradients(int parts, String network) {
        TrainConfig kept = config(split(network)).with(Recompute.NONE, 1);
        try (Training whole = new Training(kept);
                Training cut = new Training(kept.with(Recompute.NONE, parts))) {
            Map<String, float[]> expected = whole.gradients();
            Map<String, float[]> found = cut.gradients();
            double rows = kept.schedule().globalBatchSize()
                    * POSITIONS
                    * (kept.arch().recursion().latentSteps() + 1.0);
            double bound = 2 * Math.sqrt(rows) * Math.scalb(1.0, -24);
            for (String name : expected.keySet()) {
                float[] e = expected.get(name);
                float[] f = found.get(name);
                double difference = 0;
                double norm = 0;
                for (int i = 0; i < e.length; i++) {
                    difference += Math.pow((double) e[i] - f[i], 2);
                    norm += Math.pow(e[i], 2);
                }
                assertTrue(norm > 0, name);
                assertTrue(Math.sqrt(difference) <= bound * Math.sqrt(norm), name + " " + Math.sqrt(difference / norm));
            }
        }
    }

    /** Decisions, draws and metrics are those of the whole batch. */
    @Test
    void microBatchesHaltAlike() {
        TrainConfig kept = config("arch.mlp_t=true", "arch.hidden_size=32", "lr=0", "puzzle_emb_lr=0")
                .with(Recompute.NONE, 1);
        try (Training whole = new Training(kept);
                Training cut = new Training(kept.with(Recompute.NONE, 3))) {
            for (int step = 0; step < 12; step++) {
                whole.steps(1);
                cut.steps(1);
                Map<String, byte[]> a = whole.state();
                Map<String, byte[]> b = cut.state();
                for (String name : List.of("steps", "halted", "inputs", "controls")) {
                    assertArrayEquals(a.get(name), b.get(name), name + " after step " + (step + 1));
                }
            }
            double[] expected =
                    HostCopy.doubles(backend, whole.tensors.supervision().metrics());
            double[] found = HostCopy.doubles(backend, cut.tensors.supervision().metrics());
            assertArrayEquals(
                    expected, found, 1e-5 * Arrays.stream(expected).max().orElseThrow());
            assertTrue(expected[0] > 0, "no lane has halted");
        }
    }

    /** What is kept shrinks from mode to mode, to one tape of a block and the inputs. */
    @Test
    void tapesShrink() {
        TrainConfig config = config("arch.mlp_t=false", "arch.hidden_size=24", "arch.L_cycles=12");
        long before = Long.MAX_VALUE;
        for (Recompute mode : List.of(
                Recompute.NONE, Recompute.ACTIVATION, Recompute.GATE_UP, Recompute.LAYERS, Recompute.APPLICATIONS)) {
            try (Training training = new Training(config.with(mode, 1))) {
                long bytes = training.arena.bytesByPurpose().get("tape");
                assertTrue(bytes < before, mode.toString());
                before = bytes;
            }
        }
        // u of 13 applications of f, the input of the second block; qkv, mixed, mid, out; gate and up; lse and 2 scales
        long rows = 6 * POSITIONS;
        long state = padded(rows * 24 * Dtype.F32.bytes());
        long block = padded(3 * rows * 24 * 4) + 3 * state + padded(rows * 2 * 256 * 4) + padded(rows * 4 * 4);
        assertEquals(14 * state + block + 2 * padded(rows * 4), before);
    }

    private static long padded(long bytes) {
        return (bytes + 255) / 256 * 256;
    }
}
