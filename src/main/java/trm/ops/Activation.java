package trm.ops;

import trm.device.Kernels;
import trm.device.Tensor;

/** What stands between the two products of an MLP, composed: the plain SwiGLU or the normed one, forward and backward. */
final class Activation {
    private final Kernels kernels;
    private final long outer;
    private final int inner;
    private final boolean normed;
    private final float eps;

    /**
     * @param outer rows over channels, lanes over positions
     * @param inner I
     */
    Activation(Kernels kernels, BlockSizes sizes, long outer, int inner) {
        this.kernels = kernels;
        this.outer = outer;
        this.inner = inner;
        normed = sizes.normed();
        eps = sizes.eps();
    }

    /**
     * @param gateUp in, [rows, 2, I] or [B, 2, I, D] of the compute type
     * @param p out, [rows, I] or [B, I, D]
     */
    void forward(Tensor gateUp, Tensor p) {
        if (normed) {
            kernels.mlps().normedSwiglu(gateUp, p, outer, inner, eps);
        } else {
            kernels.mlps().swiglu(gateUp, p, outer);
        }
    }

    /**
     * @param gateUp in, as forward took it, out its gradient
     * @param dp in, the gradient of the activation
     * @param p out, the activation itself, with the bits of forward; may be dp, and null with the plain SwiGLU
     */
    void backward(Tensor gateUp, Tensor dp, Tensor p) {
        if (normed) {
            kernels.mlps().normedSwigluBwd(gateUp, dp, gateUp, p, outer, inner, eps);
        } else {
            kernels.mlps().swigluBwd(gateUp, dp, gateUp, p, outer);
        }
    }
}
