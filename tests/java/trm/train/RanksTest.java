package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.RanksInThreads;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.Metric;
import trm.device.Staging;
import trm.device.Tensor;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * A batch that several ranks share. Oracle: one rank with the whole batch. All ranks end in the same bits. Bound: the lanes'
 * samples, steps, halting and draws are the same; gradients differ by the order of their sums, so that weights and losses agree
 * to a relative 1e-5 over a few steps, before recursion and halting make more of a difference.
 */
class RanksTest {
    private static final int BATCH = 12;
    private static final int STEPS = 5;
    private static final double CLOSE = 1e-5;

    @TempDir
    private static Path temp;

    @BeforeAll
    static void build() {
        MiniSudokuBuilder.build(temp, 4, 60, 10, 1, 8);
    }

    private static TrainConfig config(String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + temp + "']",
                "arch:",
                "  hidden_size: 32",
                "  num_heads: 4",
                "  mlp_t: false",
                "  pos_encodings: rope",
                "  H_cycles: 2",
                "  L_cycles: 2",
                "  L_layers: 1",
                "  puzzle_emb_ndim: 32",
                "  puzzle_emb_len: 1",
                "  halt_max_steps: 3",
                "  halt_exploration_prob: 0.5",
                "  forward_dtype: float32",
                "global_batch_size: " + BATCH,
                "lr: 1e-3",
                "puzzle_emb_lr: 1e-2",
                "lr_warmup_steps: 2",
                "");
        return ConfigLoader.parse(yaml, "test", List.of(overrides));
    }

    /** What a rank has seen and where it has come to. */
    private record End(
            List<double[]> metrics,
            List<int[]> steps,
            List<int[]> inputs,
            float[] weights,
            float[] average,
            float[] puzzles) {}

    private static End train(Backend backend, TrainConfig config) {
        Dataset data = Dataset.open(temp, "train");
        DataShape shape = new DataShape(
                data.seqLen(), data.info().vocabSize(), data.info().numPuzzleIdentifiers());
        int lanes = BATCH / backend.collective().ranks();
        ModelSizes sizes = new ModelSizes(config.arch(), shape, lanes);
        try (Arena arena = new Arena(backend)) {
            Parameters parameters = new Parameters(backend, arena, sizes, true);
            parameters.initialize(7);
            // lanes halt as soon as they may, which exploration says: as it begins, none would before the last step
            HostCopy.put(backend, parameters.masterOf("q_head.bias"), new float[] {5, -5});
            parameters.refreshWorking();
            try (DeepSupervision supervision = new DeepSupervision(
                    backend, arena, sizes, parameters, config, 100, DeviceExamples.upload(backend, arena, data))) {
                List<double[]> metrics = new ArrayList<>();
                List<int[]> steps = new ArrayList<>();
                List<int[]> inputs = new ArrayList<>();
                for (int step = 0; step < STEPS; step++) {
                    int[] rows = new int[BATCH];
                    for (int b = 0; b < BATCH; b++) {
                        rows[b] = (7 * step + b / 2) % 60; // each twice, on two ranks or one
                    }
                    supervision.step(rows);
                    MetricsReading reading = supervision.takeMetrics();
                    reading.await();
                    metrics.add(Arrays.stream(Metric.values())
                            .mapToDouble(reading::metric)
                            .toArray());
                    steps.add(HostCopy.ints(backend, supervision.lanes().steps()));
                    inputs.add(HostCopy.ints(backend, supervision.lanes().inputs()));
                }
                Tensor table = parameters.puzzleTable();
                return new End(
                        metrics,
                        steps,
                        inputs,
                        HostCopy.floats(backend, parameters.master()),
                        HostCopy.floats(backend, parameters.average()),
                        HostCopy.floats(backend, table));
            }
        }
    }

    private static int[] joined(List<End> ends, int step, java.util.function.Function<End, List<int[]>> of) {
        return ends.stream()
                .flatMapToInt(end -> Arrays.stream(of.apply(end).get(step)))
                .toArray();
    }

    private static void assertClose(float[] expected, float[] found, String what) {
        double largest = 0;
        for (float e : expected) {
            largest = Math.max(largest, Math.abs(e));
        }
        for (int i = 0; i < expected.length; i++) {
            assertEquals(expected[i], found[i], CLOSE * largest, what + "[" + i + "]");
        }
    }

    @ParameterizedTest(name = "{0} ranks {1}")
    @CsvSource(
            delimiter = '|',
            value = {
                "2 | ",
                "3 | ",
                "4 | arch.no_ACT_continue=false",
                "2 | arch.mlp_t=true arch.pos_encodings=none micro_batches=3",
                "4 | arch.relaxation=0.7 arch.latent_noise=0.1 arch.random_start=true",
                "2 | max_grad_norm=0.01 optimizer=adamw"
            })
    void ranksTrainAsOne(int ranks, String overrides) throws Exception {
        TrainConfig config = config(overrides == null ? new String[0] : overrides.split(" "));
        End whole = RanksInThreads.run(1, backend -> train(backend, config)).get(0);
        List<End> ends = RanksInThreads.run(ranks, backend -> train(backend, config));
        for (End end : ends) {
            assertArrayEquals(ends.get(0).weights, end.weights, "weights of the ranks");
            assertArrayEquals(ends.get(0).average, end.average, "moving averages of the ranks");
            assertArrayEquals(ends.get(0).puzzles, end.puzzles, "puzzle vectors of the ranks");
        }
        for (int step = 0; step < STEPS; step++) {
            String at = "step " + (step + 1);
            assertArrayEquals(whole.inputs.get(step), joined(ends, step, End::inputs), at + ": samples");
            assertArrayEquals(whole.steps.get(step), joined(ends, step, End::steps), at + ": steps of the lanes");
            for (Metric metric : Metric.values()) {
                double expected = whole.metrics.get(step)[metric.ordinal()];
                for (End end : ends) {
                    assertEquals(
                            expected,
                            end.metrics.get(step)[metric.ordinal()],
                            CLOSE * Math.max(1, Math.abs(expected)),
                            at + ": " + metric);
                }
            }
        }
        assertClose(whole.weights, ends.get(0).weights, "weight");
        assertClose(whole.puzzles, ends.get(0).puzzles, "puzzle vector");
        assertTrue(
                whole.steps.stream()
                        .anyMatch(steps -> Arrays.stream(steps).distinct().count() > 1),
                "lanes must halt at different steps, or exploration is not tried");
    }

    /** One value of one rank is changed behind its back: every rank is told the step, the rank and the tensor. */
    @ParameterizedTest
    @CsvSource({"lm_head.weight, true", "lm_head.weight, false"})
    void otherBitsAreFound(String name, boolean changed) throws Exception {
        TrainConfig config = config();
        List<String> said = RanksInThreads.run(3, backend -> {
            ModelSizes sizes = new ModelSizes(config.arch(), new DataShape(16, 6, 1), 4);
            try (Arena arena = new Arena(backend);
                    Staging staging = new Staging(backend)) {
                Parameters parameters = new Parameters(backend, arena, sizes, true);
                parameters.initialize(7);
                if (changed && backend.collective().rank() == 2) {
                    float[] values = HostCopy.floats(backend, parameters.masterOf(name));
                    values[5] = Math.nextUp(values[5]);
                    HostCopy.put(backend, parameters.masterOf(name), values);
                }
                RankCheck.require(backend, staging, parameters, 40);
                return "";
            } catch (DivergedException e) {
                return e.getMessage();
            }
        });
        String expected = changed
                ? "step 40: rank 2 has other bits of lm_head.weight than rank 0; the ranks no longer train one model"
                : "";
        assertEquals(List.of(expected, expected, expected), said);
    }

    /** All that differs is named, of each rank. */
    @Test
    void whatRanksDifferInIsNamed() {
        Map<String, String> first = Map.of(
                "program",
                "0123",
                "device",
                "cpu (avx2)",
                "settings",
                "lr: 0.001\nseed: 0",
                "train data",
                "{labels=1}");
        Map<String, String> second = Map.of(
                "program",
                "4567",
                "device",
                "cpu (avx2)",
                "settings",
                "lr: 0.001\nseed: 1",
                "train data",
                "{labels=2}");
        Map<String, String> third = Map.of(
                "program",
                "0123",
                "device",
                "cuda (sm_90)",
                "settings",
                "lr: 0.001\nseed: 0",
                "train data",
                "{labels=1}",
                "test data",
                "{labels=3}");
        assertEquals("", RankAgreement.differences(List.of(first, first)));
        assertEquals(
                "rank 1 has other program than rank 0: '4567', not '0123';"
                        + " rank 1 has other settings than rank 0: 'seed: 1', not 'seed: 0';"
                        + " rank 1 has other train data than rank 0: '{labels=2}', not '{labels=1}';"
                        + " rank 2 has other device than rank 0: 'cuda (sm_90)', not 'cpu (avx2)';"
                        + " rank 2 has other test data than rank 0: '{labels=3}', not 'none'",
                RankAgreement.differences(List.of(first, second, third)));
    }
}
