package trm.device;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code swiglu swiglu_bwd}. Bound: the error of exp and a few float32 roundings, relative to the product for p and du;
 * for dg relative to the sum of the magnitudes in silu', which has a zero; then one rounding to the type.
 */
class SwigluTest extends KernelTest {
    /** silu(g) u of one element, and what a backend's float32 arithmetic may be off. */
    record Gate(Dtype dtype, double gate, double up) {
        /** bfloat16: special functions of a GPU, see cuda-kernels/swiglu.cuh. */
        private double few() {
            return dtype == Dtype.BF16 ? 0x1p-19 : EXP + 8 * U32;
        }

        /** What is left of sigma, rounded, where exp(-gate) is cut off: at 2^60 (bfloat16 on a GPU), else at exp(87). */
        private double rest() {
            return dtype == Dtype.BF16 ? (gate < -41 ? 0x1p-59 : 0) : gate < -80 ? 1e-33 : 0;
        }

        private double sigma() {
            return 1 / (1 + Math.exp(-gate));
        }

        double silu() {
            return gate * sigma();
        }

        double siluBound() {
            return few() * Math.abs(silu()) + rest() * Math.abs(gate);
        }

        double product() {
            return silu() * up;
        }

        double productBound() {
            return Math.abs(up) * siluBound() + unit(dtype) * Math.abs(product());
        }

        double slope() {
            return sigma() * (1 + gate / (1 + Math.exp(gate)));
        }

        /** bfloat16: 1 - sigma comes from a rounded sigma, and silu multiplies it. */
        double slopeBound() {
            double cancelled = dtype == Dtype.BF16 ? Math.abs(silu()) * 0x1p-21 : 0;
            return few() * sigma() * (1 + Math.abs(gate) / (1 + Math.exp(gate))) + cancelled + rest() * Math.abs(gate);
        }
    }

    @ParameterizedTest(name = "{0} outer={1} inner={2}")
    @CsvSource({
        "F32,1,1", "F32,3,5", "F32,2,15", "F32,5,17", "F32,7,31", "F32,2,33", "F32,3,256", "F32,2,8209",
        "BF16,1,1", "BF16,3,5", "BF16,2,15", "BF16,5,17", "BF16,7,31", "BF16,2,33", "BF16,3,256", "BF16,2,8209"
    })
    void matchesEquation(Dtype dtype, int outer, int inner) {
        double[] gu = values(dtype, 2 * outer * inner, 8);
        double[] dp = values(dtype, outer * inner, 2);
        double[] extremes = {0, -0.0, 30, -30, 80, -80, 1e4, -1e4};
        for (int i = 0; i < Math.min(extremes.length, inner); i++) {
            gu[i] = round(dtype, extremes[i]);
        }
        Expected p = new Expected(outer * inner);
        Expected dgu = new Expected(2 * outer * inner);
        double unit = unit(dtype);
        for (int o = 0; o < outer; o++) {
            for (int i = 0; i < inner; i++) {
                int at = o * inner + i;
                int g = 2 * o * inner + i;
                Gate gate = new Gate(dtype, gu[g], gu[g + inner]);
                p.set(at, gate.product(), gate.productBound());
                double dg = dp[at] * gate.up() * gate.slope();
                dgu.set(g, dg, Math.abs(dp[at] * gate.up()) * gate.slopeBound() + unit * Math.abs(dg));
                double du = dp[at] * gate.silu();
                dgu.set(g + inner, du, Math.abs(dp[at]) * gate.siluBound() + unit * Math.abs(du));
            }
        }
        Tensor tp = tensor("p", dtype, outer, inner);
        kernels.mlps().swiglu(put("gu", dtype, gu, outer, 2, inner), tp, outer);
        check("p", p, tp);
        for (boolean alias : new boolean[] {false, true}) {
            Tensor tgu = put("gu", dtype, gu, outer, 2, inner);
            Tensor tdgu = alias ? tgu : tensor("dgu", dtype, outer, 2, inner);
            Tensor tdp = put("dp", dtype, dp, outer, inner);
            kernels.mlps().swigluBwd(tgu, tdp, tdgu, alias ? tdp : null, outer);
            if (alias) {
                check("p in the place of dp", p, tdp);
            }
            check("dgu, alias " + alias, dgu, tdgu);
        }
    }
}
