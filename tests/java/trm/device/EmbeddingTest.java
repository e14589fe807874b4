package trm.device;

import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code embed embed_bwd}. Bound forward: one rounding to the type for each of sum, factor 0.707106781 and factor
 * sqrt(D), of the puzzle vector also for its cast, each with its float32 factor. Backward sums in double and rounds once
 * to float32; both factors are float32 constants or closer.
 */
class EmbeddingTest extends KernelTest {
    private static final double HALF_ROOT = 0.707106781;
    private static final int VOCABULARY = 7;

    @ParameterizedTest(name = "{0} B={1} L={2} P={3} D={4} E={5} positions={6} prefix={7}")
    @CsvSource({
        "F32,1,1,0,1,0,false,false",
        "F32,3,5,0,17,0,true,false",
        "F32,2,4,2,15,30,false,false",
        "F32,5,7,3,33,70,true,false",
        "F32,2,3,1,131,31,false,false",
        "F32,4,3,2,16,17,true,false",
        "BF16,1,1,0,1,0,false,false",
        "BF16,3,5,0,17,0,true,false",
        "BF16,2,4,2,15,30,false,false",
        "BF16,5,7,3,33,70,true,false",
        "BF16,2,3,1,131,31,false,false",
        "BF16,4,3,2,16,17,true,false",
        "F32,3,4,2,17,0,false,true",
        "F32,5,7,1,33,0,true,true",
        "BF16,3,4,2,17,0,false,true",
        "BF16,5,7,1,33,0,true,true"
    })
    void matchesEquation(
            Dtype dtype, int lanes, int length, int prefix, int d, int e, boolean learned, boolean common) {
        int positions = prefix + length;
        int identifiers = 4;
        double[] embed = values(dtype, VOCABULARY * d, 1);
        double[] pos = values(dtype, positions * d, 1);
        double[] before = values(dtype, Math.max(1, prefix * d), 1); // the prefix of all lanes
        double[] table = values(Dtype.F32, identifiers * Math.max(1, e), 1);
        int[] tokens = random.ints(lanes * length, 0, VOCABULARY).toArray();
        int[] ids = random.ints(lanes, 0, identifiers).toArray();
        double unit = unit(dtype);
        double root = Math.sqrt(d);
        Expected x = new Expected(lanes * positions * d);
        for (int b = 0; b < lanes; b++) {
            for (int t = 0; t < positions; t++) {
                for (int i = 0; i < d; i++) {
                    int within = t * d + i;
                    double row = t >= prefix
                            ? embed[tokens[b * length + t - prefix] * d + i]
                            : common ? before[within] : within < e ? table[ids[b] * e + within] : 0;
                    double cast = t < prefix && !common ? unit * Math.abs(row) : 0;
                    double factor = learned ? HALF_ROOT * root : root;
                    double value = (learned ? row + pos[within] : row) * factor;
                    int roundings = learned ? 3 : 1;
                    double bound = (1 + 4 * unit) * cast * factor
                            + roundings * (unit + 2 * U32) * (1 + 2 * unit) * Math.abs(value);
                    x.set((b * positions + t) * d + i, value, bound);
                }
            }
        }
        Tensor tx = tensor("x", dtype, lanes, positions, d);
        Tensor ttokens = ints("tokens", tokens, lanes, length);
        kernels.embedding()
                .embed(
                        ttokens,
                        ints("ids", ids, lanes),
                        put("embed", dtype, embed, VOCABULARY, d),
                        learned ? put("pos", dtype, pos, positions, d) : null,
                        prefix > 0 && !common ? put("table", Dtype.F32, table, identifiers, e) : null,
                        common ? put("prefix", dtype, before, prefix, d) : null,
                        tx);
        check("x", x, tx);

        double[] dx = values(Dtype.F32, lanes * positions * d, 1);
        double[] embedBefore = values(Dtype.F32, VOCABULARY * d, 1);
        double[] posBefore = values(Dtype.F32, positions * d, 1);
        double factor = learned ? HALF_ROOT * root : root;
        double[] dEmbed = new double[VOCABULARY * d];
        double[] dPos = new double[positions * d];
        double[] prefixBefore = values(Dtype.F32, prefix * d, 1);
        Expected dRows = new Expected(lanes * e);
        for (int b = 0; b < lanes; b++) {
            for (int within = 0; within < positions * d; within++) {
                double g = dx[b * positions * d + within] * factor;
                int t = within / d;
                dPos[within] += g;
                if (t >= prefix) {
                    dEmbed[tokens[b * length + t - prefix] * d + within % d] += g;
                } else if (within < e) {
                    dRows.set(b * e + within, g, 2 * U32 * Math.abs(g));
                }
            }
        }
        Tensor tdEmbed = put("d_embed", Dtype.F32, embedBefore, VOCABULARY, d);
        Tensor tdPos = learned ? put("d_pos", Dtype.F32, posBefore, positions, d) : null;
        Tensor tdRows = prefix > 0 && !common ? tensor("d_rows", Dtype.F32, lanes, e) : null;
        Tensor tdPrefix = common ? put("d_prefix", Dtype.F32, prefixBefore, prefix, d) : null;
        Tensor tdx = put("dx", Dtype.F32, dx, lanes, positions, d);
        kernels.embedding().embedBwd(tdx, ttokens, tdEmbed, tdPos, tdRows, tdPrefix);
        check("d_embed", added(embedBefore, dEmbed), tdEmbed);
        if (learned) {
            check("d_pos", added(posBefore, dPos), tdPos);
        }
        if (tdRows != null) {
            check("d_rows", dRows, tdRows);
        }
        if (common) {
            check("d_prefix", added(prefixBefore, Arrays.copyOf(dPos, prefix * d)), tdPrefix);
        }
    }

    private static Expected added(double[] before, double[] sum) {
        Expected result = new Expected(sum.length);
        for (int i = 0; i < sum.length; i++) {
            double value = before[i] + sum[i];
            result.set(i, value, U32 * (Math.abs(value) + Math.abs(sum[i])));
        }
        return result;
    }
}
