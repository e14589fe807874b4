package trm.device;

/**
 * The operations of a device over tensors, by theme: each checks types and sizes, calls the backend's library, and turns a
 * status into a {@link DeviceException}. Equations stand in {@code native/include/trm_ops.h}, entry by entry, under the
 * same names. Operations on a GPU are enqueued and have not run when their method returns. Used by one thread.
 *
 * <p>Letters: B lanes, S = P + L positions (P of the puzzle prefix, L tokens), D channels, V vocabulary, A heads, d head
 * width, I inner width of a SwiGLU, E width of a puzzle vector. "Compute type" is float32 or bfloat16, one for all
 * operands of a call that do not say otherwise. An output is overwritten unless the method says that it adds; operands
 * must not overlap unless the method says that they may.
 */
public interface Kernels {
    /** Zeroing, copies, casts and sums. */
    ElementwiseKernels elementwise();

    /** Matrix products, forward and backward. */
    ProductKernels products();

    /** Residual sums and their RMS norm. */
    NormKernels norms();

    /** SwiGLU, and the MLPs of a block as one operation. */
    MlpKernels mlps();

    /** Attention and rotary positions. */
    AttentionKernels attention();

    /** Input injection. */
    EmbeddingKernels embedding();

    /** What the lanes of a batch carry from step to step. */
    LaneKernels lanes();

    /** Halting head, losses, halting rule and metrics. */
    HeadKernels heads();

    /** Rates, gradient norm, optimizers and moving average. */
    OptimizerKernels optimizers();

    /** Collectives of ranks; only for the {@link Collective} of the same backend. */
    CollectiveKernels collectives();

    /** Names what the calls that follow are for, in a profile. */
    void phase(String name);

    /** Begins to count the calls in {@code into}; null stops it. Costs nothing where it is not asked for. */
    void profile(Profile into);

    /** Whether calls go into a profile. */
    boolean profiling();
}
