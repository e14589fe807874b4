package trm.device;

/**
 * The six products of {@code native/include/trm_ops.h}, under their names and with their contracts: row-major operands
 * by device address, sizes, {@code TRM_F32} or {@code TRM_BF16}, stream. The CPU's are its table's; a GPU's come from a
 * library. Calls allocate nothing once a shape has been seen.
 *
 * <p>Each returns {@code TRM_OK} or a status whose text the table's {@code last_error} has, or throws a
 * {@link DeviceException}.
 */
public interface Products {
    /** y = x W^T: x [M, K], w [N, K], y [M, N]. */
    int linear(long x, long w, long y, long m, int n, int k, int dtype, long stream);

    /** dx = dy W, or += with {@code accumulate} 1: dy [M, N], w [N, K], dx [M, K]. */
    int linear_bwd_x(long dy, long w, long dx, long m, int n, int k, int accumulate, int dtype, long stream);

    /** dw += dy^T x: dy [M, N], x [M, K], dw [N, K] float32. */
    int linear_bwd_w(long dy, long x, long dw, long m, int n, int k, int dtype, long stream);

    /** y_b = W x_b for each lane: x [B, K, D], w [N, K], y [B, N, D]. */
    int mix(long x, long w, long y, long b, int n, int k, int d, int dtype, long stream);

    /** dx_b = W^T dy_b, or += with {@code accumulate} 1: dy [B, N, D], w [N, K], dx [B, K, D]. */
    int mix_bwd_x(long dy, long w, long dx, long b, int n, int k, int d, int accumulate, int dtype, long stream);

    /** dw += sum over lanes of dy_b x_b^T: dy [B, N, D], x [B, K, D], dw [N, K] float32. */
    int mix_bwd_w(long dy, long x, long dw, long b, int n, int k, int d, int dtype, long stream);
}
