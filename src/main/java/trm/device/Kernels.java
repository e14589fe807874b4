package trm.device;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * The operations of a backend over tensors: checks sizes and types, calls the table, turns a status into a
 * {@link DeviceException}. Equations, aliasing and gradients' accumulate-or-overwrite stand in
 * {@code native/include/trm_ops.h}, entry by entry, under the same names.
 */
public final class Kernels {
    /** Number of float64 scalars that {@link #advance} writes. */
    public static final int CONTROLS = Operations.CONTROLS;

    /** Number of float64 sums that {@link #metrics} adds to; indices are {@link Metric}'s ordinals. */
    public static final int METRICS = Operations.METRICS;

    /** Room of float64 that {@link #gradNorm} needs. */
    public static final int NORM_PARTIALS = Operations.NORM_PARTIALS;

    /** Waits for a device. */
    @FunctionalInterface
    public interface Barrier {
        /** Waits for all enqueued work; the library's text when some of it failed, else null. */
        String await();
    }

    private final NativeOps.Table table; // null: of a device that is planned for and not here
    private final Products products;
    private final AttentionCalls attention;
    private final long stream;
    private final Fault fault; // null: an error has no effect on later calls
    private final Barrier barrier; // null: calls finish before they return
    private final boolean waiting; // after each call, so that an error is told with the call it belongs to
    private final Tensor[] operands = new Tensor[16]; // of the last call, for its error message
    private int operandCount;
    private boolean called; // the operands above belong to a call that was made
    private final Recording recording;
    private Profile profile; // null unless asked for

    /** Of a backend whose calls finish before they return. */
    public Kernels(NativeOps.Table table, Products products) {
        this(table, products, table, 0, null, null, false, new Recording());
    }

    /**
     * Of a backend whose calls only enqueue work.
     *
     * @param fault what the backend's other calls check too
     * @param waiting whether to wait after each call: slow, but an error then names its operation and operands. A profile
     *     waits too
     * @param recording what the backend's other calls look at too
     */
    public Kernels(
            NativeOps.Table table,
            Products products,
            AttentionCalls attention,
            long stream,
            Fault fault,
            Barrier barrier,
            boolean waiting,
            Recording recording) {
        this.table = table;
        this.products = products;
        this.attention = attention;
        this.stream = stream;
        this.fault = fault;
        this.barrier = barrier;
        this.waiting = waiting;
        this.recording = recording;
    }

    /** Begins to record the calls in {@code record}; null stops it. Costs nothing where it is not asked for. */
    public void profile(Profile record) {
        profile = record;
    }

    /** Whether calls go into a profile. */
    public boolean profiling() {
        return profile != null;
    }

    /** Whether the calls are being recorded, and what then is refused. */
    public Recording recording() {
        return recording;
    }

    /** Runs a step whose calls its backend records; what they were, in order. */
    public List<String> record(Runnable step) {
        if (waiting || profile != null) {
            throw new DeviceException("a step cannot be recorded while " + (waiting ? "TRM_DEBUG=sync" : "a profile")
                    + " waits for each operation");
        }
        return recording.of(step);
    }

    /** Names what the calls that follow are for, in a profile. */
    public void phase(String name) {
        if (profile != null) {
            profile.phase(name);
        }
    }

    /** The stream. Every call asks for it last, so that the time of the native call begins here. */
    private long stream() {
        called = true;
        if (fault != null) {
            fault.check();
        }
        if (profile != null) {
            profile.begin();
        }
        return stream;
    }

    private void check(int status, String operation) {
        check(status, operation, 0);
    }

    /** After a call that moved {@code bytes} of operands. */
    private void check(int status, String operation, long bytes) {
        String error = error(status);
        if (profile != null) {
            profile.end(operation, 0, 0, 0, 0, 0, bytes);
        }
        fail(status, operation, error);
    }

    /**
     * After {@code batch} products [m, k] x [k, n]. Attention and the fused halves of a block count as such too, their
     * backward as twice their forward.
     */
    private void check(int status, String operation, long batch, long m, long n, long k) {
        String error = error(status);
        if (profile != null) {
            profile.end(operation, batch, m, n, k, 2 * batch * m * n * k, 0);
        }
        fail(status, operation, error);
    }

    /** What went wrong, or null. */
    private String error(int status) {
        if (status != 0) {
            return table.last_error().getString();
        }
        return barrier != null && (waiting || profile != null) ? barrier.await() : null;
    }

    private void fail(int status, String operation, String error) {
        if (error == null) {
            if (recording.active()) {
                recording.add(operation + operands());
            }
            return;
        }
        String text = operation + ": " + error + operands();
        // a call that cannot be recorded leaves the device as it was
        boolean broken = fault != null && !recording.active() && (status == 0 || status == Operations.EDEVICE);
        throw broken ? fault.raise(text) : new DeviceException(text);
    }

    private String operands() {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < operandCount; i++) {
            text.append(i == 0 ? " (operands " : ", ").append(operands[i]).append(i == operandCount - 1 ? ")" : "");
        }
        return text.toString();
    }

    /** The address of an operand, 0 for null. */
    private long ptr(Tensor t) {
        if (t == null) {
            return 0;
        }
        if (called) {
            called = false;
            operandCount = 0;
        }
        if (operandCount < operands.length) {
            operands[operandCount++] = t;
        }
        return t.address();
    }

    /** The address of a tensor that must have {@code count} elements of a type. */
    private long ptr(Tensor t, Dtype dtype, long count, String what) {
        if (t.dtype() != dtype || t.count() != count) {
            called = true; // the call is not made: what follows is another one
            throw new DeviceException(what + " is " + t + ", expected " + dtype + " with " + count + " elements");
        }
        return ptr(t);
    }

    private long optional(Tensor t, Dtype dtype, long count, String what) {
        return t == null ? 0 : ptr(t, dtype, count, what);
    }

    private static int size(Tensor t, int axis) {
        return (int) t.shape().dim(axis);
    }

    /** @param threads worker threads of a CPU backend, 0 for all processors */
    public void setThreads(int threads) {
        recording.refuse("set_threads");
        check(table.set_threads(threads), "set_threads");
    }

    /** For a backend whose memory is the host's; the bytes between position and limit of a direct buffer. */
    public void copyFromHost(Tensor to, ByteBuffer from) {
        recording.refuse("upload to ", to);
        check(table.copy(ptr(to), from, from.remaining(), stream()), "copy", 2L * from.remaining());
    }

    /** For a backend whose memory is the host's; to a direct buffer from its position on. */
    public void copyToHost(Tensor from, ByteBuffer to) {
        recording.refuse("download of ", from);
        check(table.copy(to, ptr(from), from.bytes(), stream()), "copy", 2 * from.bytes());
    }

    /** As {@link #copyFromHost(Tensor, ByteBuffer)}, from an address. */
    public void copyFromHost(Tensor to, long from) {
        recording.refuse("upload to ", to);
        check(table.copy(ptr(to), from, to.bytes(), stream()), "copy", 2 * to.bytes());
    }

    /** As {@link #copyToHost(Tensor, ByteBuffer)}, to an address. */
    public void copyToHost(Tensor from, long to) {
        recording.refuse("download of ", from);
        check(table.copy(to, ptr(from), from.bytes(), stream()), "copy", 2 * from.bytes());
    }

    public void zero(Tensor t) {
        check(table.zero(ptr(t), t.bytes(), stream()), "zero", t.bytes());
    }

    public void copy(Tensor from, Tensor to) {
        ptr(to, from.dtype(), from.count(), "copy: to");
        check(table.copy(ptr(to), ptr(from), from.bytes(), stream()), "copy", 2 * from.bytes());
    }

    /** float32 to bfloat16. */
    public void castBf16(Tensor from, Tensor to) {
        long n = from.count();
        check(
                table.cast_bf16(ptr(from, Dtype.F32, n, "from"), ptr(to, Dtype.BF16, n, "to"), n, stream()),
                "cast_bf16",
                6 * n);
    }

    /** out [N, B, D] = x [B, N, D] with its first two axes exchanged. */
    public void permuteLanes(Tensor x, Tensor out, long lanes, int width) {
        long n = x.count();
        Dtype t = x.dtype();
        check(
                table.permute_lanes(
                        ptr(x),
                        ptr(out, t, n, "permute_lanes: out"),
                        lanes,
                        (int) (n / lanes / width),
                        width,
                        t.code(),
                        stream()),
                "permute_lanes",
                2 * n * t.bytes());
    }

    /** y [M, N] = x [M, K] W^T, w [N, K]. */
    public void linear(Tensor x, Tensor w, Tensor y) {
        int n = size(w, 0);
        int k = size(w, 1);
        long m = x.count() / k;
        Dtype t = x.dtype();
        check(
                products.linear(
                        ptr(x, t, m * k, "linear: x"),
                        ptr(w, t, (long) n * k, "linear: w"),
                        ptr(y, t, m * n, "linear: y"),
                        m,
                        n,
                        k,
                        t.code(),
                        stream()),
                "linear",
                1,
                m,
                n,
                k);
    }

    /** dx [M, K] = dy [M, N] W, or += when {@code accumulate}. */
    public void linearBwdX(Tensor dy, Tensor w, Tensor dx, boolean accumulate) {
        int n = size(w, 0);
        int k = size(w, 1);
        long m = dy.count() / n;
        Dtype t = dy.dtype();
        check(
                products.linear_bwd_x(
                        ptr(dy, t, m * n, "linear_bwd_x: dy"),
                        ptr(w, t, (long) n * k, "linear_bwd_x: w"),
                        ptr(dx, t, m * k, "linear_bwd_x: dx"),
                        m,
                        n,
                        k,
                        accumulate ? 1 : 0,
                        t.code(),
                        stream()),
                "linear_bwd_x",
                1,
                m,
                k,
                n);
    }

    /** dw [N, K] float32 += dy^T [N, M] x [M, K]. */
    public void linearBwdW(Tensor dy, Tensor x, Tensor dw) {
        int n = size(dw, 0);
        int k = size(dw, 1);
        long m = x.count() / k;
        Dtype t = x.dtype();
        check(
                products.linear_bwd_w(
                        ptr(dy, t, m * n, "linear_bwd_w: dy"),
                        ptr(x, t, m * k, "linear_bwd_w: x"),
                        ptr(dw, Dtype.F32, (long) n * k, "linear_bwd_w: dw"),
                        m,
                        n,
                        k,
                        t.code(),
                        stream()),
                "linear_bwd_w",
                1,
                n,
                k,
                m);
    }

    /** y_b [N, D] = W [N, K] x_b [K, D] for each of B lanes. */
    public void mix(Tensor x, Tensor w, Tensor y, long lanes, int width) {
        int n = size(w, 0);
        int k = size(w, 1);
        Dtype t = x.dtype();
        check(
                products.mix(
                        ptr(x, t, lanes * k * width, "mix: x"),
                        ptr(w, t, (long) n * k, "mix: w"),
                        ptr(y, t, lanes * n * width, "mix: y"),
                        lanes,
                        n,
                        k,
                        width,
                        t.code(),
                        stream()),
                "mix",
                lanes,
                n,
                width,
                k);
    }

    /** dx_b = W^T dy_b, or += when {@code accumulate}. */
    public void mixBwdX(Tensor dy, Tensor w, Tensor dx, long lanes, int width, boolean accumulate) {
        int n = size(w, 0);
        int k = size(w, 1);
        Dtype t = dy.dtype();
        check(
                products.mix_bwd_x(
                        ptr(dy, t, lanes * n * width, "mix_bwd_x: dy"),
                        ptr(w, t, (long) n * k, "mix_bwd_x: w"),
                        ptr(dx, t, lanes * k * width, "mix_bwd_x: dx"),
                        lanes,
                        n,
                        k,
                        width,
                        accumulate ? 1 : 0,
                        t.code(),
                        stream()),
                "mix_bwd_x",
                lanes,
                k,
                width,
                n);
    }

    /** dw [N, K] float32 += sum_b dy_b x_b^T. */
    public void mixBwdW(Tensor dy, Tensor x, Tensor dw, long lanes, int width) {
        int n = size(dw, 0);
        int k = size(dw, 1);
        Dtype t = x.dtype();
        check(
                products.mix_bwd_w(
                        ptr(dy, t, lanes * n * width, "mix_bwd_w: dy"),
                        ptr(x, t, lanes * k * width, "mix_bwd_w: x"),
                        ptr(dw, Dtype.F32, (long) n * k, "mix_bwd_w: dw"),
                        lanes,
                        n,
                        k,
                        width,
                        t.code(),
                        stream()),
                "mix_bwd_w",
                lanes,
                n,
                k,
                width);
    }

    /** out = a + b; out may alias either. */
    public void add(Tensor a, Tensor b, Tensor out) {
        Dtype t = a.dtype();
        long n = a.count();
        check(
                table.add(ptr(a), ptr(b, t, n, "add: b"), ptr(out, t, n, "add: out"), n, t.code(), stream()),
                "add",
                3 * n * t.bytes());
    }

    /** sum (float32) += a. */
    public void addInto(Tensor a, Tensor sum) {
        long n = a.count();
        check(
                table.add_into(
                        ptr(a),
                        ptr(sum, Dtype.F32, n, "add_into: sum"),
                        n,
                        a.dtype().code(),
                        stream()),
                "add_into",
                n * (8 + a.dtype().bytes()));
    }

    /** y = rms_norm(h + f) over the last axis, s [rows] its scale; u = y + c unless c is null. */
    public void addRmsNorm(Tensor h, Tensor f, Tensor c, Tensor y, Tensor u, Tensor s, float eps) {
        long rows = s.count();
        long n = h.count();
        Dtype t = h.dtype();
        check(
                table.add_rms_norm(
                        ptr(h),
                        ptr(f, t, n, "add_rms_norm: f"),
                        optional(c, t, n, "add_rms_norm: c"),
                        ptr(y, t, n, "add_rms_norm: y"),
                        optional(u, t, n, "add_rms_norm: u"),
                        ptr(s, Dtype.F32, rows, "add_rms_norm: s"),
                        rows,
                        (int) (n / rows),
                        eps,
                        t.code(),
                        stream()),
                "add_rms_norm",
                (c == null ? 3 : 5) * n * t.bytes());
    }

    /** dr = s (dy - y mean(dy y)); dr may alias dy. */
    public void addRmsNormBwd(Tensor dy, Tensor y, Tensor s, Tensor dr) {
        long rows = s.count();
        long n = dy.count();
        Dtype t = dy.dtype();
        check(
                table.add_rms_norm_bwd(
                        ptr(dy),
                        ptr(y, t, n, "add_rms_norm_bwd: y"),
                        ptr(s),
                        ptr(dr, t, n, "add_rms_norm_bwd: dr"),
                        rows,
                        (int) (n / rows),
                        t.code(),
                        stream()),
                "add_rms_norm_bwd",
                3 * n * t.bytes());
    }

    /** y = rms_norm(h + f) over the positions of [B, S, D]; s [B, D]. */
    public void addRmsNormPositions(Tensor h, Tensor f, Tensor y, Tensor s, long lanes, int width, float eps) {
        long n = h.count();
        int positions = (int) (n / lanes / width);
        Dtype t = h.dtype();
        check(
                table.add_rms_norm_positions(
                        ptr(h),
                        ptr(f, t, n, "add_rms_norm_positions: f"),
                        ptr(y, t, n, "add_rms_norm_positions: y"),
                        ptr(s, Dtype.F32, lanes * width, "add_rms_norm_positions: s"),
                        lanes,
                        positions,
                        width,
                        eps,
                        t.code(),
                        stream()),
                "add_rms_norm_positions",
                3 * n * t.bytes());
    }

    public void addRmsNormPositionsBwd(Tensor dy, Tensor y, Tensor s, Tensor dr, long lanes, int width) {
        long n = dy.count();
        int positions = (int) (n / lanes / width);
        Dtype t = dy.dtype();
        check(
                table.add_rms_norm_positions_bwd(
                        ptr(dy),
                        ptr(y, t, n, "add_rms_norm_positions_bwd: y"),
                        ptr(s, Dtype.F32, lanes * width, "add_rms_norm_positions_bwd: s"),
                        ptr(dr, t, n, "add_rms_norm_positions_bwd: dr"),
                        lanes,
                        positions,
                        width,
                        t.code(),
                        stream()),
                "add_rms_norm_positions_bwd",
                3 * n * t.bytes());
    }

    private static long work(Tensor work, long bytes, String operation) {
        long given = work == null ? 0 : work.bytes();
        if (given < bytes) {
            throw new IllegalArgumentException(operation + ": work has " + given + " bytes, needed are " + bytes);
        }
        return work == null ? 0 : work.address();
    }

    /** Whether {@link #positionMlp} and its backward take these sizes; else the operations above compose them. */
    public boolean fusesPositionMlp(int positions, int inner, int width, Dtype dtype) {
        return table != null && table.fuses_position_mlp(positions, inner, width, dtype.code()) != 0;
    }

    /** Bytes of scratch memory that {@link #positionMlp}, and with {@code backward} its backward too, need; may be 0. */
    public long positionMlpWork(long lanes, int positions, int inner, int width, Dtype dtype, boolean backward) {
        return table.position_mlp_work(lanes, positions, inner, width, dtype.code(), backward ? 1 : 0);
    }

    /**
     * y [B, S, D] = rms_norm over positions of h + swiglu(h); weights [2 I, S] and [S, I], s [B, D].
     *
     * @param work of {@link #positionMlpWork} bytes, null where that is 0
     */
    public void positionMlp(Tensor h, Tensor gateUp, Tensor down, Tensor y, Tensor s, Tensor work, float eps) {
        Dtype t = h.dtype();
        int positions = size(down, 0);
        int inner = size(down, 1);
        long lanes = h.shape().dim(0);
        long n = h.count();
        int width = (int) (n / lanes / positions);
        check(
                table.position_mlp(
                        ptr(h),
                        ptr(gateUp, t, 2L * inner * positions, "position_mlp: w_gate_up"),
                        ptr(down),
                        ptr(y, t, n, "position_mlp: y"),
                        ptr(s, Dtype.F32, lanes * width, "position_mlp: s"),
                        work(work, positionMlpWork(lanes, positions, inner, width, t, false), "position_mlp"),
                        lanes,
                        positions,
                        inner,
                        width,
                        eps,
                        t.code(),
                        stream()),
                "position_mlp",
                1,
                lanes * width,
                3L * inner,
                positions);
    }

    /** d: in the gradient of y, out that of h; adds to the weights' gradients (float32). */
    public void positionMlpBwd(
            Tensor h,
            Tensor y,
            Tensor s,
            Tensor gateUp,
            Tensor down,
            Tensor d,
            Tensor dGateUp,
            Tensor dDown,
            Tensor work) {
        Dtype t = h.dtype();
        int positions = size(down, 0);
        int inner = size(down, 1);
        long lanes = h.shape().dim(0);
        long n = h.count();
        int width = (int) (n / lanes / positions);
        check(
                table.position_mlp_bwd(
                        ptr(h),
                        ptr(y, t, n, "position_mlp_bwd: y"),
                        ptr(s, Dtype.F32, lanes * width, "position_mlp_bwd: s"),
                        ptr(gateUp, t, 2L * inner * positions, "position_mlp_bwd: w_gate_up"),
                        ptr(down),
                        ptr(d, t, n, "position_mlp_bwd: d"),
                        ptr(dGateUp, Dtype.F32, gateUp.count(), "position_mlp_bwd: dw_gate_up"),
                        ptr(dDown, Dtype.F32, down.count(), "position_mlp_bwd: dw_down"),
                        work(work, positionMlpWork(lanes, positions, inner, width, t, true), "position_mlp_bwd"),
                        lanes,
                        positions,
                        inner,
                        width,
                        t.code(),
                        stream()),
                "position_mlp_bwd",
                2,
                lanes * width,
                3L * inner,
                positions);
    }

    /** Whether {@link #channelMlp} and its backward take these sizes; else the operations above compose them. */
    public boolean fusesChannelMlp(int inner, int width, Dtype dtype) {
        return table != null && table.fuses_channel_mlp(inner, width, dtype.code()) != 0;
    }

    /**
     * y [rows, D] = rms_norm of h + swiglu(h), and u = y + c unless c is null; weights [2 I, D] and [D, I], s [rows].
     *
     * @param kept [rows, 2, I], the gate and up products for the backward pass, or null
     */
    public void channelMlp(
            Tensor h, Tensor gateUp, Tensor down, Tensor c, Tensor kept, Tensor y, Tensor u, Tensor s, float eps) {
        Dtype t = h.dtype();
        int width = size(down, 0);
        int inner = size(down, 1);
        long n = h.count();
        long rows = n / width;
        check(
                table.channel_mlp(
                        ptr(h),
                        ptr(gateUp, t, 2L * inner * width, "channel_mlp: w_gate_up"),
                        ptr(down),
                        optional(c, t, n, "channel_mlp: c"),
                        optional(kept, t, 2 * rows * inner, "channel_mlp: kept"),
                        ptr(y, t, n, "channel_mlp: y"),
                        optional(u, t, n, "channel_mlp: u"),
                        ptr(s, Dtype.F32, rows, "channel_mlp: s"),
                        rows,
                        inner,
                        width,
                        eps,
                        t.code(),
                        stream()),
                "channel_mlp",
                1,
                rows,
                3L * inner,
                width);
    }

    /** d: in the gradient of y, out that of h; adds to the weights' gradients (float32). */
    public void channelMlpBwd(
            Tensor h,
            Tensor kept,
            Tensor y,
            Tensor s,
            Tensor gateUp,
            Tensor down,
            Tensor d,
            Tensor dGateUp,
            Tensor dDown) {
        Dtype t = h.dtype();
        int width = size(down, 0);
        int inner = size(down, 1);
        long n = h.count();
        long rows = n / width;
        check(
                table.channel_mlp_bwd(
                        ptr(h),
                        ptr(kept, t, 2 * rows * inner, "channel_mlp_bwd: kept"),
                        ptr(y, t, n, "channel_mlp_bwd: y"),
                        ptr(s, Dtype.F32, rows, "channel_mlp_bwd: s"),
                        ptr(gateUp, t, 2L * inner * width, "channel_mlp_bwd: w_gate_up"),
                        ptr(down),
                        ptr(d, t, n, "channel_mlp_bwd: d"),
                        ptr(dGateUp, Dtype.F32, gateUp.count(), "channel_mlp_bwd: dw_gate_up"),
                        ptr(dDown, Dtype.F32, down.count(), "channel_mlp_bwd: dw_down"),
                        rows,
                        inner,
                        width,
                        t.code(),
                        stream()),
                "channel_mlp_bwd",
                2,
                rows,
                3L * inner,
                width);
    }

    /** Whether {@link #linearSwiglu} takes these sizes; else {@link #linear} and {@link #swiglu} compose it. */
    public boolean fusesLinearSwiglu(int inner, int k, Dtype dtype) {
        return table != null && table.fuses_linear_swiglu(inner, k, dtype.code()) != 0;
    }

    /**
     * gu [M, 2, I] = x [M, K] W^T and p [M, I] = silu(g) u, w [2 I, K].
     *
     * @param gu null when no backward pass follows
     */
    public void linearSwiglu(Tensor x, Tensor w, Tensor gu, Tensor p) {
        int k = size(w, 1);
        int inner = size(w, 0) / 2;
        long m = x.count() / k;
        Dtype t = x.dtype();
        check(
                table.linear_swiglu(
                        ptr(x, t, m * k, "linear_swiglu: x"),
                        ptr(w, t, 2L * inner * k, "linear_swiglu: w_gate_up"),
                        optional(gu, t, 2 * m * inner, "linear_swiglu: gu"),
                        ptr(p, t, m * inner, "linear_swiglu: p"),
                        m,
                        inner,
                        k,
                        t.code(),
                        stream()),
                "linear_swiglu",
                1,
                m,
                2L * inner,
                k);
    }

    /** Whether {@link #linearAddRmsNorm} takes these sizes; else {@link #linear} and {@link #addRmsNorm} compose it. */
    public boolean fusesLinearAddRmsNorm(int n, int k, Dtype dtype) {
        return table != null && table.fuses_linear_add_rms_norm(n, k, dtype.code()) != 0;
    }

    /** y [M, N] = rms_norm(h + x [M, K] W^T), w [N, K], s [M] its scale; u = y + c unless c is null. */
    public void linearAddRmsNorm(Tensor x, Tensor w, Tensor h, Tensor c, Tensor y, Tensor u, Tensor s, float eps) {
        int n = size(w, 0);
        int k = size(w, 1);
        long m = x.count() / k;
        Dtype t = x.dtype();
        check(
                table.linear_add_rms_norm(
                        ptr(x, t, m * k, "linear_add_rms_norm: x"),
                        ptr(w, t, (long) n * k, "linear_add_rms_norm: w"),
                        ptr(h, t, m * n, "linear_add_rms_norm: h"),
                        optional(c, t, m * n, "linear_add_rms_norm: c"),
                        ptr(y, t, m * n, "linear_add_rms_norm: y"),
                        optional(u, t, m * n, "linear_add_rms_norm: u"),
                        ptr(s, Dtype.F32, m, "linear_add_rms_norm: s"),
                        m,
                        n,
                        k,
                        eps,
                        t.code(),
                        stream()),
                "linear_add_rms_norm",
                1,
                m,
                n,
                k);
    }

    /** p [outer, inner] = silu(g) u of gu [outer, 2, inner]. */
    public void swiglu(Tensor gu, Tensor p, long outer) {
        long inner = gu.count() / 2 / outer;
        Dtype t = gu.dtype();
        check(
                table.swiglu(ptr(gu), ptr(p, t, outer * inner, "swiglu: p"), outer, inner, t.code(), stream()),
                "swiglu",
                3 * outer * inner * t.bytes());
    }

    /** dgu from dp, may alias gu; and p again unless it is null, may alias dp. */
    public void swigluBwd(Tensor gu, Tensor dp, Tensor dgu, Tensor p, long outer) {
        long inner = gu.count() / 2 / outer;
        Dtype t = gu.dtype();
        check(
                table.swiglu_bwd(
                        ptr(gu),
                        ptr(dp, t, outer * inner, "swiglu_bwd: dp"),
                        ptr(dgu, t, gu.count(), "swiglu_bwd: dgu"),
                        optional(p, t, outer * inner, "swiglu_bwd: p"),
                        outer,
                        inner,
                        t.code(),
                        stream()),
                "swiglu_bwd",
                (p == null ? 5 : 6) * outer * inner * t.bytes());
    }

    /** o [B, S, A, d] from qkv [B, S, 3, A, d]; cos, sin [S, d/2] or null; lse [B, A, S] or null. */
    public void attention(
            Tensor qkv, Tensor cos, Tensor sin, Tensor o, Tensor lse, long lanes, int positions, int heads) {
        Dtype t = qkv.dtype();
        long n = qkv.count() / 3;
        int d = (int) (n / lanes / positions / heads);
        long table2 = (long) positions * (d / 2);
        check(
                attention.attention(
                        ptr(qkv),
                        optional(cos, Dtype.F32, table2, "attention: cos"),
                        optional(sin, Dtype.F32, table2, "attention: sin"),
                        ptr(o, t, n, "attention: o"),
                        optional(lse, Dtype.F32, lanes * heads * positions, "attention: lse"),
                        lanes,
                        positions,
                        heads,
                        d,
                        t.code(),
                        stream()),
                "attention",
                2 * lanes * heads,
                positions,
                positions,
                d);
    }

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
        check(
                attention.attention_bwd(
                        ptr(qkv),
                        ptr(cos),
                        ptr(sin),
                        ptr(o, t, n, "attention_bwd: o"),
                        ptr(lse, Dtype.F32, lanes * heads * positions, "attention_bwd: lse"),
                        ptr(dO, t, n, "attention_bwd: d_o"),
                        ptr(dqkv, t, 3 * n, "attention_bwd: dqkv"),
                        lanes,
                        positions,
                        heads,
                        d,
                        t.code(),
                        stream()),
                "attention_bwd",
                4 * lanes * heads,
                positions,
                positions,
                d);
    }

    /** qk [B, S, 2, A, d]: q and k of qkv [B, S, 3, A, d], rotated. */
    public void rotary(Tensor qkv, Tensor cos, Tensor sin, Tensor qk, long lanes, int positions, int heads) {
        Dtype t = qkv.dtype();
        long n = qkv.count() / 3;
        int d = (int) (n / lanes / positions / heads);
        long table2 = (long) positions * (d / 2);
        check(
                table.rotary(
                        ptr(qkv),
                        ptr(cos, Dtype.F32, table2, "rotary: cos"),
                        ptr(sin, Dtype.F32, table2, "rotary: sin"),
                        ptr(qk, t, 2 * n, "rotary: qk"),
                        lanes,
                        positions,
                        heads,
                        d,
                        t.code(),
                        stream()),
                "rotary",
                qk.bytes() * 2);
    }

    /** The gradients of rotated q and k in dqkv [B, S, 3, A, d] become those of q and k. */
    public void rotaryBwd(Tensor dqkv, Tensor cos, Tensor sin, long lanes, int positions, int heads) {
        Dtype t = dqkv.dtype();
        int d = (int) (dqkv.count() / 3 / lanes / positions / heads);
        long table2 = (long) positions * (d / 2);
        check(
                table.rotary_bwd(
                        ptr(dqkv),
                        ptr(cos, Dtype.F32, table2, "rotary_bwd: cos"),
                        ptr(sin, Dtype.F32, table2, "rotary_bwd: sin"),
                        lanes,
                        positions,
                        heads,
                        d,
                        t.code(),
                        stream()),
                "rotary_bwd",
                dqkv.bytes() / 3 * 4);
    }

    /** x [B, S, D] from tokens [B, L]; pos and table may be null. */
    public void embed(Tensor tokens, Tensor ids, Tensor embed, Tensor pos, Tensor puzzleTable, Tensor x) {
        int length = size(tokens, 1);
        int prefix = size(x, 1) - length;
        int width = size(x, 2);
        Dtype t = x.dtype();
        check(
                table.embed(
                        ptr(tokens, Dtype.I32, tokens.count(), "embed: tokens"),
                        ptr(ids, Dtype.I32, size(tokens, 0), "embed: ids"),
                        ptr(embed, t, embed.count(), "embed: embed"),
                        optional(pos, t, (long) (length + prefix) * width, "embed: pos"),
                        optional(puzzleTable, Dtype.F32, puzzleTable == null ? 0 : puzzleTable.count(), "embed: table"),
                        ptr(x),
                        size(tokens, 0),
                        length,
                        prefix,
                        width,
                        puzzleTable == null ? 0 : size(puzzleTable, 1),
                        t.code(),
                        stream()),
                "embed");
    }

    /** From dx [B, S, D] float32: dEmbed [V, D] +=, dPos += (or null), dRows [B, E] = (or null). */
    public void embedBwd(Tensor dx, Tensor tokens, Tensor dEmbed, Tensor dPos, Tensor dRows) {
        int length = size(tokens, 1);
        int prefix = size(dx, 1) - length;
        int width = size(dx, 2);
        check(
                table.embed_bwd(
                        ptr(dx, Dtype.F32, dx.count(), "embed_bwd: dx"),
                        ptr(tokens),
                        ptr(dEmbed, Dtype.F32, dEmbed.count(), "embed_bwd: d_embed"),
                        ptr(dPos),
                        ptr(dRows),
                        size(tokens, 0),
                        length,
                        prefix,
                        width,
                        dRows == null ? 0 : size(dRows, 1),
                        size(dEmbed, 0),
                        stream()),
                "embed_bwd");
    }

    /**
     * The lanes of a batch: all [B] or [B, ...] tensors that {@link #admit} may refill.
     *
     * @param latents [B, S, D] each, the answer y first
     */
    public record Lanes(Tensor halted, Tensor steps, Tensor inputs, Tensor labels, Tensor ids, List<Tensor> latents) {
        /** The answer, which the heads read. */
        public Tensor y() {
            return latents.get(0);
        }
    }

    /**
     * A device-resident data set: ids [examples] int32; inputs and labels [examples, L] uint8 as they are, or with
     * {@code origins} [examples, 2] int32, those of tasks [tasks, L], L = side * side, of which example e is number
     * origins[e][0], changed by record origins[e][1] of {@code augmentations} [., 1 + 2 side + vocabulary] uint8: a flag to
     * transpose, rows, columns, tokens (see {@code admit} in trm_ops.h). Every number there must be in range.
     *
     * @param ignoreLabel label of tokens that carry no loss, -1 for none
     * @param origins null where the examples are as they are, as {@code augmentations}
     */
    public record Examples(
            Tensor inputs, Tensor labels, Tensor ids, int ignoreLabel, Tensor origins, Tensor augmentations) {
        /** Examples as they are. */
        public Examples(Tensor inputs, Tensor labels, Tensor ids, int ignoreLabel) {
            this(inputs, labels, ids, ignoreLabel, null, null);
        }
    }

    /**
     * Every halted lane takes the example {@code rows[step % ring, b]} (-1: an empty one) of rows [ring, B]; the step is
     * that of {@code controls}, which may be null for a ring of one. Its latents stay: {@link #resetLatents}.
     */
    public void admit(Tensor rows, Tensor controls, Examples data, Lanes lanes) {
        long n = lanes.halted().count();
        int ring = size(rows, 0);
        int length = size(lanes.inputs(), 1);
        Tensor records = data.augmentations();
        int side = records == null ? 0 : (int) Math.sqrt(length);
        check(
                table.admit(
                        ptr(rows, Dtype.I32, ring * n, "admit: rows"),
                        optional(controls, Dtype.F64, CONTROLS, "admit: controls"),
                        ring,
                        ptr(data.inputs()),
                        ptr(data.labels()),
                        ptr(data.ids()),
                        optional(data.origins(), Dtype.I32, 2 * data.ids().count(), "admit: origins"),
                        ptr(records),
                        data.ignoreLabel(),
                        ptr(lanes.halted(), Dtype.I32, n, "admit: halted"),
                        ptr(lanes.steps(), Dtype.I32, n, "admit: steps"),
                        ptr(lanes.inputs()),
                        ptr(lanes.labels()),
                        ptr(lanes.ids(), Dtype.I32, n, "admit: ids"),
                        n,
                        length,
                        side,
                        records == null ? 0 : size(records, 1) - 1 - 2 * side,
                        stream()),
                "admit");
    }

    /** The latents of halted lanes = {@code inits}, [D] float32 each, at every position. */
    public void resetLatents(List<Tensor> inits, Lanes lanes) {
        for (int i = 0; i < inits.size(); i++) {
            Tensor z = lanes.latents().get(i);
            long n = z.shape().dim(0);
            check(
                    table.reset_latent(
                            ptr(lanes.halted(), Dtype.I32, n, "reset_latent: halted"),
                            ptr(inits.get(i), Dtype.F32, size(z, 2), "reset_latent: init"),
                            ptr(z),
                            n,
                            size(z, 1),
                            size(z, 2),
                            z.dtype().code(),
                            stream()),
                    "reset_latent");
        }
    }

    /** Draws minSteps [B]. */
    public void explore(Tensor controls, Tensor minSteps, long firstLane, long seed, double p, int maxSteps) {
        check(
                table.explore(
                        ptr(controls, Dtype.F64, CONTROLS, "explore: controls"),
                        ptr(minSteps, Dtype.I32, minSteps.count(), "explore: min_steps"),
                        minSteps.count(),
                        firstLane,
                        seed,
                        p,
                        maxSteps,
                        stream()),
                "explore");
    }

    /**
     * What random numbers on the device depend on, besides lane, place and number of the draw.
     *
     * @param controls [CONTROLS] float64, whose step it is; null for step 0
     */
    public record Draws(Tensor controls, long seed) {}

    /**
     * state = (1 - lambda) state + lambda f + sigma eps, f and state [B, ...] of one type, eps ~ N(0, 1).
     *
     * @param draws may be null where sigma is 0
     * @param firstLane number of the first of these lanes in the whole batch
     * @param draw at least 1, of its own for each draw of a step; {@link #randomStart} takes as many as there are latents
     */
    public void relax(Tensor f, Tensor state, double lambda, double sigma, Draws draws, long firstLane, int draw) {
        long lanes = state.shape().dim(0);
        Dtype t = state.dtype();
        check(
                table.relax(
                        ptr(f, t, state.count(), "relax: f"),
                        ptr(state),
                        sigma == 0 ? 0 : ptr(draws.controls(), Dtype.F64, CONTROLS, "relax: controls"),
                        lanes,
                        state.count() / lanes,
                        firstLane,
                        sigma == 0 ? 0 : draws.seed(),
                        draw,
                        lambda,
                        sigma,
                        t.code(),
                        stream()),
                "relax",
                3 * state.bytes());
    }

    /** dF = lambda d, then d = (1 - lambda) d: from the gradient of the new state those of f and of the old state. */
    public void relaxBwd(Tensor d, Tensor dF, double lambda) {
        Dtype t = d.dtype();
        check(
                table.relax_bwd(ptr(d), ptr(dF, t, d.count(), "relax_bwd: d_f"), d.count(), lambda, t.code(), stream()),
                "relax_bwd",
                3 * d.bytes());
    }

    /**
     * Random latents for halted lanes, in place of {@link #resetLatents}: normal, cut to two deviations, of deviation 1.
     * Draws 1, 2, ... are those of the first, second, ... latent.
     *
     * @param keys [B] int32, what stands for a lane in its draws; null for its number in the whole batch
     * @param firstLane number of the first of these lanes in the whole batch
     */
    public void randomStart(Lanes lanes, Tensor keys, Draws draws, long firstLane) {
        for (int i = 0; i < lanes.latents().size(); i++) {
            Tensor z = lanes.latents().get(i);
            long n = z.shape().dim(0);
            check(
                    table.random_start(
                            ptr(lanes.halted(), Dtype.I32, n, "random_start: halted"),
                            optional(keys, Dtype.I32, n, "random_start: keys"),
                            optional(draws.controls(), Dtype.F64, CONTROLS, "random_start: controls"),
                            ptr(z),
                            n,
                            z.count() / n,
                            firstLane,
                            draws.seed(),
                            1 + i,
                            z.dtype().code(),
                            stream()),
                    "random_start");
        }
    }

    /** q [B, 2] float32 from y [B, S, D]. */
    public void haltHead(Tensor y, Tensor w, Tensor bias, Tensor q) {
        long n = y.shape().dim(0);
        Dtype t = y.dtype();
        check(
                table.halt_head(
                        ptr(y),
                        ptr(w, t, 2L * size(y, 2), "halt_head: w"),
                        ptr(bias, t, 2, "halt_head: bias"),
                        ptr(q, Dtype.F32, 2 * n, "halt_head: q"),
                        n,
                        size(y, 1),
                        size(y, 2),
                        t.code(),
                        stream()),
                "halt_head");
    }

    /** dy[:, 0, :] +=, dw +=, dBias +=. */
    public void haltHeadBwd(Tensor dq, Tensor y, Tensor w, Tensor dy, Tensor dw, Tensor dBias) {
        long n = y.shape().dim(0);
        Dtype t = y.dtype();
        check(
                table.halt_head_bwd(
                        ptr(dq, Dtype.F32, 2 * n, "halt_head_bwd: dq"),
                        ptr(y),
                        ptr(w, t, 2L * size(y, 2), "halt_head_bwd: w"),
                        ptr(dy, t, y.count(), "halt_head_bwd: dy"),
                        ptr(dw, Dtype.F32, 2L * size(y, 2), "halt_head_bwd: dw"),
                        ptr(dBias, Dtype.F32, 2, "halt_head_bwd: d_bias"),
                        n,
                        size(y, 1),
                        size(y, 2),
                        t.code(),
                        stream()),
                "halt_head_bwd");
    }

    /** What the token loss says of each lane. */
    public record TokenResults(Tensor preds, Tensor laneLoss, Tensor hits, Tensor labelled) {}

    /** Token loss of logits [B, S, V] against labels [B, L]; dLogits may be null or alias logits. */
    public void tokenLoss(
            Tensor logits, Tensor labels, TokenResults out, Tensor dLogits, boolean softmax, double scale) {
        long n = logits.shape().dim(0);
        int length = size(labels, 1);
        check(
                table.token_loss(
                        ptr(logits),
                        ptr(labels, Dtype.I32, n * length, "token_loss: labels"),
                        ptr(out.preds(), Dtype.I32, n * length, "token_loss: preds"),
                        ptr(out.laneLoss(), Dtype.F64, n, "token_loss: lane_loss"),
                        ptr(out.hits(), Dtype.I32, n, "token_loss: hits"),
                        ptr(out.labelled(), Dtype.I32, n, "token_loss: labelled"),
                        optional(dLogits, logits.dtype(), logits.count(), "token_loss: d_logits"),
                        n,
                        length,
                        size(logits, 1) - length,
                        size(logits, 2),
                        softmax ? Operations.SOFTMAX : Operations.STABLEMAX,
                        scale,
                        logits.dtype().code(),
                        stream()),
                "token_loss");
    }

    /** What the halting rule says of each lane. */
    public record HaltResults(Tensor exact, Tensor haltLoss, Tensor dq) {}

    /** Counts the step, decides which lanes halt, and the halt loss; {@code out.dq} may be null. */
    public void halt(
            Tensor q,
            TokenResults tokens,
            Tensor minSteps,
            Lanes lanes,
            HaltResults out,
            int maxSteps,
            HaltRule rule,
            double scale) {
        long n = lanes.steps().count();
        check(
                table.halt(
                        ptr(q, Dtype.F32, 2 * n, "halt: q"),
                        ptr(tokens.hits()),
                        ptr(tokens.labelled()),
                        ptr(minSteps, Dtype.I32, n, "halt: min_steps"),
                        ptr(lanes.steps()),
                        ptr(lanes.halted()),
                        ptr(out.exact(), Dtype.I32, n, "halt: exact"),
                        ptr(out.haltLoss(), Dtype.F64, n, "halt: halt_loss"),
                        optional(out.dq(), Dtype.F32, 2 * n, "halt: dq"),
                        n,
                        maxSteps,
                        rule.ordinal(),
                        scale,
                        stream()),
                "halt");
    }

    /** What the continue loss says of each lane: target and loss, [B] float64. */
    public record ContinueResults(Tensor target, Tensor loss) {}

    /** After {@link #halt}: target and loss from nextQ [B, 2] of one more forward pass, and dq[:, 1] = its gradient. */
    public void continueLoss(
            Tensor q, Tensor nextQ, Lanes lanes, ContinueResults out, Tensor dq, int maxSteps, double scale) {
        long n = lanes.steps().count();
        check(
                table.continue_loss(
                        ptr(q, Dtype.F32, 2 * n, "continue_loss: q"),
                        ptr(nextQ, Dtype.F32, 2 * n, "continue_loss: next_q"),
                        ptr(lanes.steps()),
                        ptr(out.target(), Dtype.F64, n, "continue_loss: target"),
                        ptr(out.loss(), Dtype.F64, n, "continue_loss: loss"),
                        ptr(dq, Dtype.F32, 2 * n, "continue_loss: dq"),
                        n,
                        maxSteps,
                        scale,
                        stream()),
                "continue_loss");
    }

    /** Adds one step to metrics [METRICS]; {@code continueLoss} [B] or null. */
    public void metrics(
            Tensor q, TokenResults tokens, HaltResults halts, Lanes lanes, Tensor continueLoss, Tensor metrics) {
        long n = lanes.steps().count();
        check(
                table.metrics(
                        ptr(q),
                        ptr(tokens.hits()),
                        ptr(tokens.labelled()),
                        ptr(halts.exact()),
                        ptr(lanes.steps()),
                        ptr(lanes.halted()),
                        ptr(tokens.laneLoss()),
                        ptr(halts.haltLoss()),
                        optional(continueLoss, Dtype.F64, n, "metrics: continue_loss"),
                        ptr(metrics, Dtype.F64, METRICS, "metrics: metrics"),
                        n,
                        stream()),
                "metrics");
    }

    /** Learning-rate schedule, reference section 7. */
    public record Schedule(double lr, double puzzleLr, long warmup, long total, double minRatio) {}

    /** Controls to the next step. */
    public void advance(Tensor controls, Schedule s, double beta1, double beta2) {
        check(
                table.advance(
                        ptr(controls, Dtype.F64, CONTROLS, "advance: controls"),
                        s.lr(),
                        s.puzzleLr(),
                        s.warmup(),
                        s.total(),
                        s.minRatio(),
                        beta1,
                        beta2,
                        stream()),
                "advance");
    }

    /** norm [1] of the gradient g, added to the metrics' GRAD_NORM; partials [NORM_PARTIALS]. All but g float64. */
    public void gradNorm(Tensor g, Tensor partials, Tensor norm, Tensor metrics) {
        check(
                table.grad_norm(
                        ptr(g, Dtype.F32, g.count(), "grad_norm: g"),
                        ptr(partials, Dtype.F64, NORM_PARTIALS, "grad_norm: partials"),
                        ptr(norm, Dtype.F64, 1, "grad_norm: norm"),
                        ptr(metrics, Dtype.F64, METRICS, "grad_norm: metrics")
                                + (long) Metric.GRAD_NORM.ordinal() * Dtype.F64.bytes(),
                        g.count(),
                        stream()),
                "grad_norm",
                g.bytes());
    }

    /** g *= max / (norm + 1e-6) where that is below 1; norm [1] of {@link #gradNorm}. */
    public void clipGradient(Tensor g, Tensor norm, double max) {
        check(
                table.clip_gradient(
                        ptr(g, Dtype.F32, g.count(), "clip_gradient: g"),
                        ptr(norm, Dtype.F64, 1, "clip_gradient: norm"),
                        max,
                        g.count(),
                        stream()),
                "clip_gradient",
                2 * g.bytes());
    }

    /** Constants of the dense optimizer. */
    public record Adam(double beta1, double beta2, double weightDecay, double eps, double emaRate, boolean atan2) {}

    /** One update of all parameters, moving average (or null) and bf16 copy (or null); gradients become zero. */
    public void adam(Tensor p, Tensor g, Tensor m, Tensor v, Tensor ema, Tensor bf16, Tensor controls, Adam c) {
        long n = p.count();
        check(
                table.adam(
                        ptr(p, Dtype.F32, n, "adam: p"),
                        ptr(g, Dtype.F32, n, "adam: g"),
                        ptr(m, Dtype.F32, n, "adam: m"),
                        ptr(v, Dtype.F32, n, "adam: v"),
                        optional(ema, Dtype.F32, n, "adam: ema"),
                        optional(bf16, Dtype.BF16, n, "adam: bf16_copy"),
                        ptr(controls, Dtype.F64, CONTROLS, "adam: controls"),
                        n,
                        c.beta1(),
                        c.beta2(),
                        c.weightDecay(),
                        c.eps(),
                        c.emaRate(),
                        c.atan2() ? Operations.ADAM_ATAN2 : Operations.ADAMW,
                        stream()),
                "adam",
                n * (32 + (ema == null ? 0 : 8) + (bf16 == null ? 0 : 2)));
    }

    /** Sign descent on the rows of the puzzle table named by ids. */
    public void signSgd(Tensor puzzleTable, Tensor ids, Tensor dRows, Tensor controls, double weightDecay) {
        long n = ids.count();
        check(
                table.sign_sgd(
                        ptr(puzzleTable, Dtype.F32, puzzleTable.count(), "sign_sgd: table"),
                        ptr(ids, Dtype.I32, n, "sign_sgd: ids"),
                        ptr(dRows, Dtype.F32, n * size(puzzleTable, 1), "sign_sgd: d_rows"),
                        ptr(controls, Dtype.F64, CONTROLS, "sign_sgd: controls"),
                        n,
                        size(puzzleTable, 1),
                        weightDecay,
                        stream()),
                "sign_sgd");
    }
}
