package trm.ops;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Capabilities;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.device.TestDevice;

/**
 * Both residual MLPs of a block where the device fuses them, against the same sublayers composed of operations, with the plain
 * SwiGLU and the normed one, gate and up taped or recomputed.
 *
 * <p>Bound: each way is within {@code trm.device.FusedMlpTest}'s of the equations: in float32 5e-6 of the largest value, so the
 * two are within 1e-5. In bfloat16 a result of either passes at most six roundings of 2^-9 that do not cancel (gate or up,
 * activation, branch, y, dr, dp); errors of random signs add as squares: by the Frobenius norm 2 sqrt(6) 2^-9 at most.
 */
class FusedSublayersTest {
    private static final int LANES = 5;
    private static final float EPS = 0.01f; // large: the scale of a row that cancels stays below 10

    private static Backend backend;

    @BeforeAll
    static void open() {
        backend = TestDevice.open();
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    @ParameterizedTest(name = "{0}, normed {1}, recompute {2}, S={3} D={4} I={5}")
    @CsvSource({
        "F32, false, false, 17, 48, 128",
        "F32, true, false, 17, 48, 128",
        "F32, true, true, 17, 48, 128",
        "F32, true, false, 1, 16, 64",
        "F32, true, false, 61, 128, 192",
        "BF16, false, false, 17, 64, 128",
        "BF16, true, false, 17, 64, 128",
        "BF16, true, true, 17, 64, 128",
        "BF16, true, false, 61, 128, 192"
    })
    void fusedIsComposed(Dtype dtype, boolean normed, boolean recompute, int positions, int width, int inner) {
        BlockSizes sizes = new BlockSizes(LANES, positions, width, 1, width, inner, inner, normed, EPS, dtype);
        Fusions fusions = Fusions.of(backend.capabilities(), sizes, true);
        assumeTrue(fusions.positionMlp() && fusions.channelMlp(), "not fused");
        Map<String, float[]> fused = run(backend.capabilities(), sizes, recompute);
        Map<String, float[]> composed = run(Capabilities.none(), sizes, recompute);
        composed.forEach((name, expected) -> {
            float[] found = fused.get(name);
            double error = 0;
            double norm = 0;
            double worst = 0;
            double largest = 0;
            for (int i = 0; i < expected.length; i++) {
                double difference = (double) found[i] - expected[i];
                error += difference * difference;
                norm += (double) expected[i] * expected[i];
                worst = Math.max(worst, Double.isNaN(difference) ? Double.POSITIVE_INFINITY : Math.abs(difference));
                largest = Math.max(largest, Math.abs(expected[i]));
            }
            assertTrue(norm > 0, name);
            double share = dtype == Dtype.F32 ? worst / largest : Math.sqrt(error / norm);
            double bound = dtype == Dtype.F32 ? 1e-5 : 2 * Math.sqrt(6) * 0x1p-9;
            assertTrue(share <= bound, name + ": " + share + ", more than " + bound);
        });
    }

    /** One block's two MLPs forward and backward: its state and all gradients. */
    private static Map<String, float[]> run(Capabilities device, BlockSizes s, boolean recompute) {
        Map<String, float[]> found = new LinkedHashMap<>();
        Random random = new Random(3);
        try (Arena arena = new Arena(backend)) {
            Scratch scratch =
                    Scratch.allocate(device, arena, s, true, true, recompute ? MlpTape.NOTHING : MlpTape.ACTIVATION);
            Tensor[] weights = {
                draw(arena, random, s.dtype(), 2 * s.mixInner(), s.positions()),
                draw(arena, random, s.dtype(), s.positions(), s.mixInner()),
                draw(arena, random, s.dtype(), 2 * s.inner(), s.width()),
                draw(arena, random, s.dtype(), s.width(), s.inner())
            };
            Tensor[] gradients = new Tensor[4];
            for (int i = 0; i < 4; i++) {
                gradients[i] = draw(arena, random, Dtype.F32, weights[i].size(0), weights[i].size(1));
            }
            PositionMlp mixer = new PositionMlp(backend.kernels(), s, weights[0], weights[1], scratch);
            ChannelMlp mlp = new ChannelMlp(backend.kernels(), s, weights[2], weights[3], scratch);
            PositionMlp.Saved mixed = PositionMlp.save(arena, s, scratch, "mixer");
            ChannelMlp.Saved saved = ChannelMlp.save(arena, s, scratch, "mlp");
            boolean factors = s.normed() && scratch.fusions().positionMlp();
            assertEquals(factors, mixed.rho() != null && saved.rho() != null);
            Tensor h = state(arena, random, s);
            Tensor c = state(arena, random, s);
            Tensor d = state(arena, random, s);
            Tensor mid = state(arena, random, s);
            Tensor out = state(arena, random, s);
            Tensor u = state(arena, random, s);
            mixer.forward(h, mixed, mid);
            mlp.forward(mid, saved, c, out, u, true);
            mlp.backward(mid, saved, out, d, gradients[2], gradients[3]);
            found.put("d of the state between", HostCopy.floats(backend, d));
            mixer.backward(h, mixed, mid, d, gradients[0], gradients[1]);
            found.put("mid", HostCopy.floats(backend, mid));
            found.put("out", HostCopy.floats(backend, out));
            found.put("u", HostCopy.floats(backend, u));
            found.put("d", HostCopy.floats(backend, d));
            for (int i = 0; i < 4; i++) {
                found.put("gradient of weight " + i, HostCopy.floats(backend, gradients[i]));
            }
        }
        return found;
    }

    private static Tensor state(Arena arena, Random random, BlockSizes s) {
        float[] values = new float[(int) (s.rows() * s.width())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        Tensor t = arena.tensor(Purpose.CASE, "state", s.dtype(), s.lanes(), s.positions(), s.width());
        HostCopy.put(backend, t, values);
        return t;
    }

    /** Values of deviation 1 / sqrt(columns), as weights begin; [rows, columns]. */
    private static Tensor draw(Arena arena, Random random, Dtype dtype, int rows, int columns) {
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (random.nextGaussian() / Math.sqrt(columns));
        }
        Tensor t = arena.tensor(Purpose.CASE, "weight", dtype, rows, columns);
        HostCopy.put(backend, t, values);
        return t;
    }
}
