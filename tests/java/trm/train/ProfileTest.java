package trm.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.Systems;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.LaneKernels;
import trm.device.Profile;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.device.cpu.CpuBackend;
import trm.model.ModelSizes;
import trm.model.Parameters;

/** What a profile of a step counts. Oracle: the formula of {@link ModelSizes#flops}, which knows no operations. */
class ProfileTest {
    private static final int STEPS = 3;
    private static final int LANES = 3;

    @ParameterizedTest(name = "mlp_t {0}")
    @ValueSource(booleans = {true, false})
    void countsEveryProductOfAStep(boolean mlp) {
        assertEquals(
                List.of(
                        "admit, embed",
                        "cycles without gradient",
                        "differentiated cycle",
                        "heads, losses",
                        "backward",
                        "update"),
                countsEveryProduct(mlp));
    }

    private static Stream<String> systems() {
        return Stream.concat(
                Systems.NAMES.stream().map(name -> String.join(" ", Systems.overrides(name))),
                Stream.of("arch.no_ACT_continue=false"));
    }

    @ParameterizedTest
    @MethodSource("systems")
    void countsEveryProductOfEverySystem(String overrides) {
        countsEveryProduct(false, overrides.split(" "));
    }

    /** Compares the products of a step with the formula; the phases that a step has. */
    private static List<String> countsEveryProduct(boolean mlp, String... overrides) {
        String yaml = String.join(
                "\n",
                "data_paths: [none]",
                "arch:",
                "  hidden_size: 32",
                "  num_heads: 4",
                "  mlp_t: " + mlp,
                "  pos_encodings: " + (mlp ? "none" : "rope"),
                "  H_cycles: 3",
                "  L_cycles: 2",
                "  L_layers: 2",
                "  puzzle_emb_ndim: 32",
                "  puzzle_emb_len: 2",
                "  forward_dtype: float32",
                "global_batch_size: " + LANES,
                "");
        TrainConfig config = ConfigLoader.parse(yaml, "test", List.of(overrides));
        ModelSizes sizes = new ModelSizes(config.arch(), new DataShape(9, 7, 1), LANES);
        Profile profile = new Profile();
        try (Backend backend = new CpuBackend(1);
                Arena arena = new Arena(backend)) {
            Parameters parameters = new Parameters(backend, arena, sizes, true);
            parameters.initialize(3);
            Tensor inputs = arena.tensor(Purpose.DATA, "inputs", Dtype.U8, LANES, 9);
            LaneKernels.Examples data =
                    new LaneKernels.Examples(inputs, inputs, arena.tensor(Purpose.DATA, "ids", Dtype.I32, LANES), -1);
            try (DeepSupervision supervision =
                    new DeepSupervision(backend, arena, sizes, parameters, config, 100, data, true)) {
                int[] rows = {0, 1, 2};
                supervision.step(rows);
                supervision.step(rows);
                assertTrue(supervision.captured());
                backend.kernels().profile(profile);
                for (int i = 0; i < STEPS; i++) {
                    supervision.step(rows);
                }
                backend.kernels().profile(null);
                supervision.step(rows);
            }
        }

        long flops = 0;
        Set<String> phases = new LinkedHashSet<>();
        for (var entry : profile.tallies().entrySet()) {
            Profile.Key key = entry.getKey();
            Profile.Tally tally = entry.getValue();
            phases.add(key.phase());
            flops += tally.flops();
            assertEquals(2 * key.batch() * key.m() * key.n() * key.k() * tally.calls(), tally.flops(), key.toString());
            assertEquals(0, tally.calls() % STEPS, key.toString());
            assertTrue(tally.nanos() > 0, key.toString());
        }
        // no product of its own: forward and twice backward, and once more for the continue loss
        double haltHead = (config.arch().hasContinueLoss() ? 4.0 : 3.0) * LANES * 2 * 2 * 32;
        assertEquals(STEPS * (sizes.flops(true) - haltHead), flops);
        return List.copyOf(phases);
    }
}
