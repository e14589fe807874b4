package trm.device;

/**
 * Attention, both directions, as {@code native/include/trm_ops.h} has it: operands by device address, {@code TRM_F32} or
 * {@code TRM_BF16}, stream. A table has its own; a GPU's may come from a library. Calls allocate nothing once a shape has
 * been seen.
 *
 * <p>Each returns {@code TRM_OK} or a status whose text the table's {@code last_error} has, or throws a
 * {@link DeviceException}.
 */
public interface AttentionCalls {
    /** qkv [B, S, 3, A, d], cos and sin [S, d/2] or 0, o [B, S, A, d], lse [B, A, S] or 0. */
    int attention(
            long qkv,
            long cos,
            long sin,
            long o,
            long lse,
            long lanes,
            int s,
            int heads,
            int d,
            int dtype,
            long stream);

    /** dqkv [B, S, 3, A, d] = from dO [B, S, A, d] and what {@link #attention} took and gave. */
    int attention_bwd(
            long qkv,
            long cos,
            long sin,
            long o,
            long lse,
            long dO,
            long dqkv,
            long lanes,
            int s,
            int heads,
            int d,
            int dtype,
            long stream);
}
