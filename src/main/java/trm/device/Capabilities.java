package trm.device;

/** What a device computes as one operation. Asked when a model is made: the answer decides which memory it needs. */
public interface Capabilities {
    /** Whether the device has one operation for this; else those that it consists of compose it. */
    boolean fuses(Fusion fusion);

    /**
     * Bytes of scratch memory that {@link MlpKernels#positionMlp}, and with {@code backward} its backward too, need where
     * the device fuses them; may be 0.
     */
    long positionMlpWork(long lanes, int positions, int inner, int width, Dtype dtype, boolean backward);

    /** Of a backend library. */
    static Capabilities of(NativeOps.Table table) {
        return new TableCapabilities(table);
    }

    /** Of a device that is not here: it is taken to fuse nothing. */
    static Capabilities none() {
        return new Capabilities() {
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
