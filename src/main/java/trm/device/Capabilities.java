package trm.device;

import java.util.function.BooleanSupplier;

/** What a device computes, and what as one operation. Asked when a model is made: the answer decides which memory it needs. */
public interface Capabilities {
    /** Whether the device has products of this type: each has those of float32. */
    boolean computes(Dtype dtype);

    /** Whether the device has one operation for this; else those that it consists of compose it. */
    boolean fuses(Fusion fusion);

    /**
     * Bytes of scratch memory that {@link MlpKernels#positionMlp}, and with {@code backward} its backward too, need where
     * the device fuses them; may be 0.
     */
    long positionMlpWork(long lanes, int positions, int inner, int width, Dtype dtype, boolean backward);

    /** Of a backend library for devices that have products of every type. */
    static Capabilities of(NativeOps.Table table) {
        return new TableCapabilities(table, () -> true);
    }

    /** @param bfloat16 asked whether this device has products of bfloat16 */
    static Capabilities of(NativeOps.Table table, BooleanSupplier bfloat16) {
        return new TableCapabilities(table, bfloat16);
    }

    /** Of a device that is not here: it is taken to compute every type and to fuse nothing. */
    static Capabilities none() {
        return new Capabilities() {
            @Override
            public boolean computes(Dtype dtype) {
                return true;
            }

            @Override
            public boolean fuses(Fusion fusion) {
                return false;
            }

            @Override
            public long positionMlpWork(long b, int s, int i, int d, Dtype dtype, boolean backward) {
                return 0;
            }
        };
    }
}
