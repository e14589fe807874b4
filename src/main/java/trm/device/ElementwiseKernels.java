package trm.device;

import static trm.device.Launcher.at;

import java.nio.ByteBuffer;

/** Zeroing, copies, casts and sums: operations on elements, whatever they mean. */
public final class ElementwiseKernels {
    private final NativeOps.Table table; // for copies between direct buffers and tensors
    private final Operations operations;
    private final Launcher launcher;
    private final long stream;

    ElementwiseKernels(NativeOps.Table table, Operations operations, Launcher launcher) {
        this.table = table;
        this.operations = operations;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /**
     * For a backend whose memory is the host's: the bytes between position and limit of a direct buffer.
     *
     * @param to out, from its first byte on; at least as many bytes, of any type
     */
    public void copyFromHost(Tensor to, ByteBuffer from) {
        launcher.capture().refuse("upload to ", to);
        long bytes = from.remaining();
        launcher.operation("copy").operand(to).beginMoving(2 * bytes);
        launcher.end(table.copy(at(to), from, bytes, stream));
    }

    /** As {@link #copyFromHost(Tensor, ByteBuffer)}, all of {@code to} from an address. */
    public void copyFromHost(Tensor to, long from) {
        launcher.capture().refuse("upload to ", to);
        launcher.operation("copy").operand(to).beginMoving(2 * to.bytes());
        launcher.end(operations.copy(at(to), from, to.bytes(), stream));
    }

    /**
     * For a backend whose memory is the host's: to a direct buffer from its position on.
     *
     * @param from in, all of it, of any type
     */
    public void copyToHost(Tensor from, ByteBuffer to) {
        launcher.capture().refuse("download of ", from);
        launcher.operation("copy").operand(from).beginMoving(2 * from.bytes());
        launcher.end(table.copy(to, at(from), from.bytes(), stream));
    }

    /** As {@link #copyToHost(Tensor, ByteBuffer)}, to an address. */
    public void copyToHost(Tensor from, long to) {
        launcher.capture().refuse("download of ", from);
        launcher.operation("copy").operand(from).beginMoving(2 * from.bytes());
        launcher.end(operations.copy(to, at(from), from.bytes(), stream));
    }

    /** All bytes of {@code t}, of any type and shape, become zero. */
    public void zero(Tensor t) {
        launcher.operation("zero").operand(t).beginMoving(t.bytes());
        launcher.end(operations.zero(at(t), t.bytes(), stream));
    }

    /**
     * to = from.
     *
     * @param from in, any type and shape
     * @param to out, the same type and number of elements
     */
    public void copy(Tensor from, Tensor to) {
        launcher.operation("copy")
                .operand("to", to, from.dtype(), from.count())
                .operand(from)
                .beginMoving(2 * from.bytes());
        launcher.end(operations.copy(at(to), at(from), from.bytes(), stream));
    }

    /**
     * to = from, rounded to bfloat16.
     *
     * @param from in, float32, any shape
     * @param to out, bfloat16, the same number of elements
     */
    public void castBf16(Tensor from, Tensor to) {
        long n = from.count();
        launcher.operation("cast_bf16")
                .operand("from", from, Dtype.F32, n)
                .operand("to", to, Dtype.BF16, n)
                .beginMoving(6 * n);
        launcher.end(operations.cast_bf16(at(from), at(to), n, stream));
    }

    /**
     * out = x with its first two axes exchanged.
     *
     * @param x in, [B, N, D] of the compute type, N from its number of elements
     * @param out out, [N, B, D] of the same type
     * @param lanes B
     * @param width D
     */
    public void permuteLanes(Tensor x, Tensor out, long lanes, int width) {
        long n = x.count();
        Dtype t = x.dtype();
        launcher.operation("permute_lanes").operand(x).operand("out", out, t, n).beginMoving(2 * n * t.bytes());
        launcher.end(
                operations.permute_lanes(at(x), at(out), lanes, (int) (n / lanes / width), width, t.code(), stream));
    }

    /**
     * out = a + b.
     *
     * @param a in, compute type, any shape
     * @param b in, the same type and number of elements
     * @param out out, the same; may alias either
     */
    public void add(Tensor a, Tensor b, Tensor out) {
        long n = a.count();
        Dtype t = a.dtype();
        launcher.operation("add")
                .operand(a)
                .operand("b", b, t, n)
                .operand("out", out, t, n)
                .beginMoving(3 * n * t.bytes());
        launcher.end(operations.add(at(a), at(b), at(out), n, t.code(), stream));
    }

    /**
     * sum += a.
     *
     * @param a in, compute type, any shape
     * @param sum added to, float32, the same number of elements
     */
    public void addInto(Tensor a, Tensor sum) {
        long n = a.count();
        Dtype t = a.dtype();
        launcher.operation("add_into")
                .operand(a)
                .operand("sum", sum, Dtype.F32, n)
                .beginMoving(n * (8 + t.bytes()));
        launcher.end(operations.add_into(at(a), at(sum), n, t.code(), stream));
    }
}
