package trm.ops;

import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Purpose;
import trm.device.Tensor;

/**
 * Rotary positions (docs/specification.md#33-rotary-positions): cos and sin of position * theta^(-2i/d), phases in float32 arithmetic.
 *
 * @param cos [S, d/2] float32; null for a model without rotary positions, as sin
 */
public record RotaryTable(Tensor cos, Tensor sin) {
    /** Of a model without rotary positions. */
    public static final RotaryTable NONE = new RotaryTable(null, null);

    /**
     * Asks for the table's memory and fills it.
     *
     * @param headWidth d
     */
    public static RotaryTable make(Backend backend, Arena arena, int positions, int headWidth, double theta) {
        int half = headWidth / 2;
        float[] cos = new float[positions * half];
        float[] sin = new float[positions * half];
        for (int i = 0; i < half; i++) {
            float exponent = (float) (2 * i) / headWidth;
            float frequency = 1.0f / (float) Math.pow(theta, exponent);
            for (int t = 0; t < positions; t++) {
                float phase = t * frequency;
                cos[t * half + i] = (float) Math.cos(phase);
                sin[t * half + i] = (float) Math.sin(phase);
            }
        }
        Tensor c = arena.tensor(Purpose.PARAMETERS, "rope.cos", Dtype.F32, positions, half);
        Tensor s = arena.tensor(Purpose.PARAMETERS, "rope.sin", Dtype.F32, positions, half);
        HostCopy.put(backend, c, cos);
        HostCopy.put(backend, s, sin);
        return new RotaryTable(c, s);
    }
}
