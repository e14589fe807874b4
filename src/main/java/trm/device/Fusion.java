package trm.device;

/**
 * What some devices compute as one operation, for some sizes; elsewhere the operations that it consists of compose it.
 * Widths as in {@link Kernels}.
 */
public sealed interface Fusion {
    /** {@link MlpKernels#positionMlp} and its backward; {@code normed}: of the normed SwiGLU. */
    record PositionMlp(int positions, int inner, int width, boolean normed, Dtype dtype) implements Fusion {}

    /** {@link MlpKernels#channelMlp} and its backward; {@code normed}: of the normed SwiGLU. */
    record ChannelMlp(int inner, int width, boolean normed, Dtype dtype) implements Fusion {}

    /** {@link ProductKernels#linearSwiglu}: {@code in} columns to gate and up of {@code inner}; {@code normed}: and squares. */
    record LinearSwiglu(int inner, int in, boolean normed, Dtype dtype) implements Fusion {}

    /** {@link ProductKernels#linearAddRmsNorm}: {@code in} columns to {@code out}; {@code normed}: given their squares. */
    record LinearAddRmsNorm(int out, int in, boolean normed, Dtype dtype) implements Fusion {}
}
