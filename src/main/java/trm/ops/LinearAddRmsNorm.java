package trm.ops;

import trm.device.Kernels;
import trm.device.Tensor;

/**
 * out = rms_norm(h + x W^T) over channels: how a residual sublayer ends. One operation of the device for sizes that it
 * fuses, else composed. Forward only: backward, the sublayer takes both apart.
 */
final class LinearAddRmsNorm {
    private final Kernels kernels;
    private final boolean fused;
    private final Tensor weight;
    private final Tensor branch;
    private final float eps;

    /**
     * @param weight [D, K]
     * @param branch scratch [B, S, D], for the composed way
     */
    LinearAddRmsNorm(Kernels kernels, boolean fused, Tensor weight, Tensor branch, float eps) {
        this.kernels = kernels;
        this.fused = fused;
        this.weight = weight;
        this.branch = branch;
        this.eps = eps;
    }

    /**
     * @param x in, [B * S, K]
     * @param squares in, [B * S, K / TRM_SQUARES] float32, where x is of a fused normed SwiGLU and this is fused; else null
     * @param h in, [B, S, D]
     * @param c in, as h, or null
     * @param out out, as h; may alias it
     * @param u out, as h: out + c unless c is null; may alias h
     * @param scale out, [B * S] float32
     */
    void forward(Tensor x, Tensor squares, Tensor h, Tensor c, Tensor out, Tensor u, Tensor scale) {
        if (fused) {
            kernels.products().linearAddRmsNorm(x, squares, weight, h, c, out, u, scale, eps);
            return;
        }
        kernels.products().linear(x, weight, branch);
        kernels.norms().addRmsNorm(h, branch, c, out, u, scale, eps);
    }
}
