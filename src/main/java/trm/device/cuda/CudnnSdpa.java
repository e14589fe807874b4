package trm.device.cuda;

import java.util.stream.LongStream;
import org.bytedeco.cuda.global.cudnn;
import trm.device.Dtype;

/**
 * Attention of some lanes in bfloat16, as cuDNN is asked for it. Forward is one operation of the library. Its operation
 * for the backward pass exists for compute capability 10.x only (in 9.24), so backward is a graph of products and
 * pointwise operations, a pattern that it has an engine for:
 *
 * <pre>
 *   delta = sum_d(do o)          p = exp(q k^T / sqrt(d) - stats)         dv = p^T do
 *   ds = p (do v^T - delta) / sqrt(d)             dk = ds^T q             dq = ds k
 * </pre>
 *
 * <p>dq is the result of one product. The other form of the pattern sums dq in a float32 buffer with atomic additions,
 * so that equal inputs give other bits each time; this one writes ds to memory first, which costs 2 bytes a score of
 * workspace, written and read once more, and is what the library calls deterministic.
 *
 * @param s positions
 * @param d width of a head
 * @param rotated whether q and k are those of qk [B, S, 2, A, d]; else they are those of qkv [B, S, 3, A, d], as v always
 * @param stats whether a forward pass keeps the logarithm of each row's sum of exponentials, [B, A, S]
 */
record CudnnSdpa(boolean backward, long lanes, int s, int heads, int d, boolean rotated, boolean stats) {
    /** Numbers of the operands that have an address, in both directions. */
    static final long Q = 1;

    static final long K = 2;
    static final long V = 3;
    static final long O = 4;
    static final long STATS = 5;
    static final long SCALE = 6;
    static final long D_O = 7;
    static final long DQ = 8;
    static final long DK = 9;
    static final long DV = 10;
    static final long DELTA = 11;
    static final long ONE = 12;

    private static final int TILE = 64; // scores in memory are padded to multiples of it

    CudnnSdpa withLanes(long count) {
        return new CudnnSdpa(backward, count, s, heads, d, rotated, stats);
    }

    /** Numbers of the operands whose addresses a call gives, in the order in which it gives them. */
    long[] operands() {
        return backward
                ? LongStream.of(Q, K, V, O, STATS, D_O, DQ, DK, DV, DELTA, SCALE, ONE)
                        .toArray()
                : stats
                        ? LongStream.of(Q, K, V, O, STATS, SCALE).toArray()
                        : LongStream.of(Q, K, V, O, SCALE).toArray();
    }

    /** Bytes of qk, 0 without rotation. */
    long rotatedBytes() {
        return rotated ? lanes * s * 2 * heads * d * Dtype.BF16.bytes() : 0;
    }

    /** Bytes of delta. */
    long deltaBytes() {
        return backward ? lanes * heads * s * Dtype.F32.bytes() : 0;
    }

    /** Device memory of our own and about what the library will want, for one lane. */
    long bytesPerLane() {
        CudnnSdpa one = withLanes(1);
        long padded = (s + TILE - 1L) / TILE * TILE;
        return one.rotatedBytes() + one.deltaBytes() + (backward ? heads * padded * padded * Dtype.BF16.bytes() : 0);
    }

    /** Elements of qkv. */
    long elementsPerLane() {
        return 3L * s * heads * d;
    }

    void describe(CudnnGraph g) throws CudnnException {
        if (backward) {
            describeBackward(g);
        } else {
            describeForward(g);
        }
    }

    private void describeForward(CudnnGraph g) throws CudnnException {
        g.attention(
                g.tensor(Q, Dtype.BF16, rows(), strides(rotated ? 2 : 3)),
                g.tensor(K, Dtype.BF16, rows(), strides(rotated ? 2 : 3)),
                g.tensor(V, Dtype.BF16, rows(), strides(3)),
                g.scalar(SCALE),
                stats ? g.tensor(STATS, Dtype.F32, sizes(s, 1), packed(s, 1)) : null,
                g.tensor(O, Dtype.BF16, rows(), strides(1)));
    }

    private void describeBackward(CudnnGraph g) throws CudnnException {
        int parts = rotated ? 2 : 3;
        CudnnGraph.Operand q = g.tensor(Q, Dtype.BF16, rows(), strides(parts));
        CudnnGraph.Operand kT = g.tensor(K, Dtype.BF16, transposed(rows()), transposed(strides(parts)));
        CudnnGraph.Operand vT = g.tensor(V, Dtype.BF16, transposed(rows()), transposed(strides(3)));
        CudnnGraph.Operand o = g.tensor(O, Dtype.BF16, rows(), strides(1));
        CudnnGraph.Operand dO = g.tensor(D_O, Dtype.BF16, rows(), strides(1));
        CudnnGraph.Operand dq = g.tensor(DQ, Dtype.BF16, rows(), strides(3));
        CudnnGraph.Operand dk = g.tensor(DK, Dtype.BF16, rows(), strides(3));
        CudnnGraph.Operand dv = g.tensor(DV, Dtype.BF16, rows(), strides(3));
        CudnnGraph.Operand logSums = g.tensor(STATS, Dtype.F32, sizes(s, 1), packed(s, 1));
        CudnnGraph.Operand delta = g.tensor(DELTA, Dtype.F32, sizes(s, 1), packed(s, 1));
        CudnnGraph.Operand scale = g.scalar(SCALE);

        CudnnGraph.Operand terms =
                g.pointwise(cudnn.CUDNN_POINTWISE_MUL, dO, o, g.between(Dtype.F32, rows(), packed(s, d)));
        CudnnGraph.Operand sums = g.sum(terms, g.between(Dtype.F32, sizes(s, 1), packed(s, 1)));
        g.pointwise(cudnn.CUDNN_POINTWISE_MUL, sums, g.scalar(ONE), delta);

        CudnnGraph.Operand scores = g.product(q, kT, scores(g));
        CudnnGraph.Operand scaled = g.pointwise(cudnn.CUDNN_POINTWISE_MUL, scores, scale, scores(g));
        CudnnGraph.Operand shifted = g.pointwise(cudnn.CUDNN_POINTWISE_SUB, scaled, logSums, scores(g));
        CudnnGraph.Operand p = g.pointwise(cudnn.CUDNN_POINTWISE_EXP, shifted, null, scores(g));
        g.product(g.reshape(p, transposedScores(g)), dO, dv);

        CudnnGraph.Operand dp = g.product(dO, vT, scores(g));
        CudnnGraph.Operand centred = g.pointwise(cudnn.CUDNN_POINTWISE_SUB, dp, delta, scores(g));
        CudnnGraph.Operand unscaled = g.pointwise(cudnn.CUDNN_POINTWISE_MUL, centred, p, scores(g));
        CudnnGraph.Operand ds = g.pointwise(cudnn.CUDNN_POINTWISE_MUL, unscaled, scale, scores(g));
        g.product(g.reshape(ds, transposedScores(g)), q, dk);
        CudnnGraph.Operand k = g.reshape(kT, g.between(Dtype.BF16, rows(), strides(parts)));
        g.product(ds, k, dq);
    }

    private CudnnGraph.Operand scores(CudnnGraph g) throws CudnnException {
        return g.between(Dtype.F32, sizes(s, s), packed(s, s));
    }

    private CudnnGraph.Operand transposedScores(CudnnGraph g) throws CudnnException {
        return g.between(Dtype.BF16, sizes(s, s), transposed(packed(s, s)));
    }

    private long[] sizes(long rows, long columns) {
        return new long[] {lanes, heads, rows, columns};
    }

    /** [B, A, S, d] as the library sees it. */
    private long[] rows() {
        return sizes(s, d);
    }

    /** Of q in a buffer [B, S, parts, A, d], seen as [B, A, S, d]. */
    private long[] strides(int parts) {
        long row = (long) parts * heads * d;
        return new long[] {s * row, d, row, 1};
    }

    /** Of [B, A, rows, columns] in this order. */
    private long[] packed(long rows, long columns) {
        return new long[] {heads * rows * columns, rows * columns, columns, 1};
    }

    private static long[] transposed(long[] x) {
        return new long[] {x[0], x[1], x[3], x[2]};
    }

    /** All that decides the choice of an engine, in one word. */
    String key() {
        return (backward ? "attention_bwd" : "attention") + "_b" + lanes + "_s" + s + "_h" + heads + "_d" + d
                + (rotated ? "_rotated" : "") + (stats ? "_stats" : "");
    }

    @Override
    public String toString() {
        return (backward ? "attention_bwd" : "attention") + " of " + lanes + (lanes == 1 ? " lane" : " lanes") + " ["
                + s + ", " + heads + ", " + d + "]";
    }
}
