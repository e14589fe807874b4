package trm.device;

import static trm.device.Launcher.at;

/**
 * Attention of every position of a lane to every other, and rotary positions. q, k and v lie together in qkv
 * [B, S, 3, A, d]. Operands are of the compute type; cos and sin [S, d/2] and lse [B, A, S] are float32.
 */
public final class AttentionKernels {
    private final Operations operations;
    private final Launcher launcher;
    private final long stream;

    AttentionKernels(Operations operations, Launcher launcher) {
        this.operations = operations;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /**
     * o = softmax(q k^T / sqrt(d)) v per head, with q and k rotated where there are cos and sin.
     *
     * @param qkv in, [B, S, 3, A, d], d from its number of elements
     * @param cos in, [S, d/2] float32, or null, as sin
     * @param o out, [B, S, A, d]
     * @param lse out, [B, A, S] float32: logarithm of a row's sum of exponentials; null when no backward pass follows
     * @param lanes B
     * @param positions S
     * @param heads A
     */
    public void attention(
            Tensor qkv, Tensor cos, Tensor sin, Tensor o, Tensor lse, long lanes, int positions, int heads) {
        Dtype t = qkv.dtype();
        long n = qkv.count() / 3;
        int d = (int) (n / lanes / positions / heads);
        launcher.operation("attention")
                .operand(qkv)
                .optional("cos", cos, Dtype.F32, positions, d / 2)
                .optional("sin", sin, Dtype.F32, positions, d / 2)
                .operand("o", o, t, n)
                .optional("lse", lse, Dtype.F32, lanes * heads * positions)
                .beginProducts(2 * lanes * heads, positions, positions, d);
        launcher.end(operations.attention(
                at(qkv), at(cos), at(sin), at(o), at(lse), lanes, positions, heads, d, t.code(), stream));
    }

    /**
     * Backward of {@link #attention}.
     *
     * @param qkv in, [B, S, 3, A, d]; cos and sin in; o in, [B, S, A, d]; lse in: what the forward pass took and put out
     * @param dO in, as o
     * @param dqkv out, as qkv: the gradients of q, k and v before their rotation
     * @param lanes B
     * @param positions S
     * @param heads A
     */
    public void attentionBwd(
            Tensor qkv,
            Tensor cos,
            Tensor sin,
            Tensor o,
            Tensor lse,
            Tensor dO,
            Tensor dqkv,
            long lanes,
            int positions,
            int heads) {
        Dtype t = qkv.dtype();
        long n = qkv.count() / 3;
        int d = (int) (n / lanes / positions / heads);
        launcher.operation("attention_bwd")
                .operand(qkv)
                .optional("cos", cos, Dtype.F32, positions, d / 2)
                .optional("sin", sin, Dtype.F32, positions, d / 2)
                .operand("o", o, t, n)
                .operand("lse", lse, Dtype.F32, lanes * heads * positions)
                .operand("d_o", dO, t, n)
                .operand("dqkv", dqkv, t, 3 * n)
                .beginProducts(4 * lanes * heads, positions, positions, d);
        launcher.end(operations.attention_bwd(
                at(qkv), at(cos), at(sin), at(o), at(lse), at(dO), at(dqkv), lanes, positions, heads, d, t.code(),
                stream));
    }

    /**
     * q and k as {@link #attention} rotates and rounds them, for the attention of a library that does not rotate.
     *
     * @param qkv in, [B, S, 3, A, d], d even, from its number of elements
     * @param cos in, [S, d/2] float32, as sin
     * @param qk out, [B, S, 2, A, d]
     * @param lanes B
     * @param positions S
     * @param heads A
     */
    public void rotary(Tensor qkv, Tensor cos, Tensor sin, Tensor qk, long lanes, int positions, int heads) {
        Dtype t = qkv.dtype();
        long n = qkv.count() / 3;
        int d = (int) (n / lanes / positions / heads);
        launcher.operation("rotary")
                .operand(qkv)
                .operand("cos", cos, Dtype.F32, positions, d / 2)
                .operand("sin", sin, Dtype.F32, positions, d / 2)
                .operand("qk", qk, t, 2 * n)
                .beginMoving(2 * qk.bytes());
        launcher.end(
                operations.rotary(at(qkv), at(cos), at(sin), at(qk), lanes, positions, heads, d, t.code(), stream));
    }

    /**
     * The gradients of rotated q and k become those of q and k.
     *
     * @param dqkv in and out, [B, S, 3, A, d]; that of v stays
     * @param cos in, [S, d/2] float32, as sin
     * @param lanes B
     * @param positions S
     * @param heads A
     */
    public void rotaryBwd(Tensor dqkv, Tensor cos, Tensor sin, long lanes, int positions, int heads) {
        Dtype t = dqkv.dtype();
        int d = (int) (dqkv.count() / 3 / lanes / positions / heads);
        launcher.operation("rotary_bwd")
                .operand(dqkv)
                .operand("cos", cos, Dtype.F32, positions, d / 2)
                .operand("sin", sin, Dtype.F32, positions, d / 2)
                .beginMoving(dqkv.bytes() / 3 * 4);
        launcher.end(operations.rotary_bwd(at(dqkv), at(cos), at(sin), lanes, positions, heads, d, t.code(), stream));
    }
}
