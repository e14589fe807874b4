package trm.ops;

import trm.device.Kernels;
import trm.device.Tensor;

/**
 * Products with what follows them: one operation of the backend for sizes that it fuses, else composed. Tensors that only
 * the composed way needs are scratch.
 */
final class FusedProducts {
    private FusedProducts() {}

    /**
     * [g u] = x W^T and p = silu(g) u.
     *
     * @param gu holds g and u afterwards where {@code record}, else nothing
     */
    static void linearSwiglu(Kernels kernels, Tensor x, Tensor w, Tensor gu, Tensor p, long rows, boolean record) {
        int inner = (int) (p.count() / rows);
        int k = (int) (x.count() / rows);
        if (kernels.fusesLinearSwiglu(inner, k, x.dtype())) {
            kernels.linearSwiglu(x, w, record ? gu : null, p);
            return;
        }
        kernels.linear(x, w, gu);
        kernels.swiglu(gu, p, rows);
    }

    /**
     * Forms again what {@link #linearSwiglu} kept in gu, by the operation that formed it, hence with the same bits.
     *
     * @param p scratch
     */
    static void gateUp(Kernels kernels, Tensor x, Tensor w, Tensor gu, Tensor p, long rows) {
        if (kernels.fusesLinearSwiglu((int) (p.count() / rows), (int) (x.count() / rows), x.dtype())) {
            kernels.linearSwiglu(x, w, gu, p);
            return;
        }
        kernels.linear(x, w, gu);
    }

    /** Through p = silu(g) u and then p W^T: gu becomes its gradient, and p is formed again. */
    static void linearSwigluBwd(Kernels kernels, Tensor dy, Tensor w, Tensor gu, Tensor p, long rows) {
        kernels.linearBwdX(dy, w, p, false); // its gradient, then the activation itself
        kernels.swigluBwd(gu, p, gu, p, rows);
    }

    /**
     * out = rms_norm(h + x W^T), and u = out + c unless c is null.
     *
     * @param branch scratch of the size of h
     */
    static void linearAddRmsNorm(
            Kernels kernels,
            Tensor x,
            Tensor w,
            Tensor branch,
            Tensor h,
            Tensor c,
            Tensor out,
            Tensor u,
            Tensor scale,
            float eps) {
        long rows = scale.count();
        if (kernels.fusesLinearAddRmsNorm((int) (h.count() / rows), (int) (x.count() / rows), x.dtype())) {
            kernels.linearAddRmsNorm(x, w, h, c, out, u, scale, eps);
            return;
        }
        kernels.linear(x, w, branch);
        kernels.addRmsNorm(h, branch, c, out, u, scale, eps);
    }
}
