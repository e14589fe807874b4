package trm.device;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code swiglu swiglu_bwd}. Bound: the error of exp and a few float32 roundings, relative to the product for p and du;
 * for dg relative to the sum of the magnitudes in silu', which has a zero; then one rounding to the type.
 */
class SwigluTest extends KernelTest {
    private static final double FEW = EXP + 8 * U32;

    private static double sigma(double a) {
        return 1 / (1 + Math.exp(-a));
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
                int u = g + inner;
                double s = sigma(gu[g]);
                // below -87 exp is clamped; what is left there is smaller than 1e-33 times the other factors
                double clamped = gu[g] < -80 ? 1e-33 * Math.abs(gu[g]) : 0;
                double value = gu[g] * s * gu[u];
                p.set(at, value, (FEW + unit) * Math.abs(value) + clamped * Math.abs(gu[u]));
                double rest = sigma(-gu[g]); // 1 - sigma
                double dg = dp[at] * gu[u] * s * (1 + gu[g] * rest);
                double size = Math.abs(dp[at] * gu[u]) * s * (1 + Math.abs(gu[g]) * rest);
                dgu.set(g, dg, FEW * size + unit * Math.abs(dg) + clamped * Math.abs(dp[at] * gu[u]));
                double du = dp[at] * gu[g] * s;
                dgu.set(u, du, (FEW + unit) * Math.abs(du) + clamped * Math.abs(dp[at]));
            }
        }
        Tensor tp = tensor("p", dtype, outer, inner);
        kernels.swiglu(put("gu", dtype, gu, outer, 2, inner), tp, outer);
        check("p", p, tp);
        for (boolean alias : new boolean[] {false, true}) {
            Tensor tgu = put("gu", dtype, gu, outer, 2, inner);
            Tensor tdgu = alias ? tgu : tensor("dgu", dtype, outer, 2, inner);
            Tensor tdp = put("dp", dtype, dp, outer, inner);
            kernels.swigluBwd(tgu, tdp, tdgu, alias ? tdp : null, outer);
            if (alias) {
                check("p in the place of dp", p, tdp);
            }
            check("dgu, alias " + alias, dgu, tdgu);
        }
    }
}
