package trm.device.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import trm.device.DeviceException;
import trm.device.ForwardingOperations;
import trm.device.NativeOps;
import trm.device.Operations;

/**
 * Operations whose attention over long sequences is cuDNN's, where that is faster than kernels of our own;
 * {@link CudnnSdpa} has how the library is asked for it, {@link CudnnEngines} who decides. Calls in float32, of short
 * sequences or of heads that the library does not take go to our own kernels without more ado.
 *
 * <p>The first call of a shape decides. cuDNN does not rotate: q and k are rotated into a workspace, so many lanes at a
 * time as fit, and their gradients back in place, which rounds those once more than our own kernels do.
 */
final class CudnnAttention extends ForwardingOperations implements AutoCloseable {
    /** Who computes: whoever is faster, or always one of them, for tests and comparisons. */
    enum Choice {
        FASTEST,
        OWN,
        CUDNN;

        /** As TRM_ATTENTION has it: nothing, own or cudnn. @throws DeviceException if it is something else */
        static Choice of(String text) {
            if (text == null || text.isEmpty()) {
                return FASTEST;
            }
            return switch (text) {
                case "own" -> OWN;
                case "cudnn" -> CUDNN;
                default -> throw new DeviceException("TRM_ATTENTION is " + text + ", expected own or cudnn");
            };
        }
    }

    /**
     * How it is decided.
     *
     * @param ownVersion tells apart builds of our own kernels, whose times differ
     * @param workspaceBytes as {@link #WORKSPACE_BYTES}
     */
    record Settings(Choice choice, String ownVersion, long workspaceBytes) {}

    /** Fewer positions than this are our own kernels' business: a head's keys and values fit into shared memory. */
    static final int MIN_POSITIONS = 256;

    /** About the device memory to use: lanes are taken in parts that need no more. */
    static final long WORKSPACE_BYTES = 256L << 20;

    private static final int MAX_WIDTH = 128;

    /** What was decided for a shape: the library's parts, or none for our own kernels. */
    private record Decision(CudnnSdpa shape, List<CudnnPart> parts) {}

    private final GpuStream stream;
    private final Choice choice;
    private final CudnnEngines engines;
    private final CudnnCall call = new CudnnCall();
    private final List<Decision> decisions = new ArrayList<>();

    /**
     * @param own with attention of our own
     * @param table whose last error is that of {@code own}
     */
    CudnnAttention(
            Operations own,
            NativeOps.Table table,
            GpuStream stream,
            AlgorithmCache cache,
            Settings settings,
            Consumer<String> log) {
        super(own);
        this.stream = stream;
        choice = settings.choice();
        engines = new CudnnEngines(own, table, stream, cache, settings, log);
    }

    @Override
    public int attention(
            long qkv, long cos, long sin, long o, long lse, long lanes, int s, int heads, int d, int dtype, long st) {
        if (suits(s, d, dtype)) {
            set(qkv, cos, sin, o, lse, 0, 0, st);
            Decision decision = decision(false, lanes, s, heads, d, cos != 0, lse != 0);
            if (!decision.parts.isEmpty()) {
                run(decision);
                return 0;
            }
        }
        return super.attention(qkv, cos, sin, o, lse, lanes, s, heads, d, dtype, st);
    }

    @Override
    public int attention_bwd(
            long qkv,
            long cos,
            long sin,
            long o,
            long lse,
            long dO,
            long dqkv,
            long lanes,
            int s,
            int heads,
            int d,
            int dtype,
            long st) {
        if (suits(s, d, dtype)) {
            set(qkv, cos, sin, o, lse, dO, dqkv, st);
            Decision decision = decision(true, lanes, s, heads, d, cos != 0, true);
            if (!decision.parts.isEmpty()) {
                run(decision);
                return 0;
            }
        }
        return super.attention_bwd(qkv, cos, sin, o, lse, dO, dqkv, lanes, s, heads, d, dtype, st);
    }

    private void set(long qkv, long cos, long sin, long o, long lse, long dO, long dqkv, long st) {
        call.qkv = qkv;
        call.cos = cos;
        call.sin = sin;
        call.o = o;
        call.lse = lse;
        call.dO = dO;
        call.dqkv = dqkv;
        call.stream = st;
    }

    private boolean suits(int s, int d, int dtype) {
        return choice != Choice.OWN && CudnnCall.isBf16(dtype) && s >= MIN_POSITIONS && d % 8 == 0 && d <= MAX_WIDTH;
    }

    private void run(Decision decision) {
        long first = 0;
        for (int i = 0; i < decision.parts.size(); i++) {
            CudnnPart part = decision.parts.get(i);
            String error = part.run(call, first);
            if (error != null) {
                throw stream.failure(part.shape() + ": " + error);
            }
            first += part.shape().lanes();
        }
    }

    private Decision decision(boolean backward, long lanes, int s, int heads, int d, boolean rotated, boolean stats) {
        for (int i = 0; i < decisions.size(); i++) {
            CudnnSdpa known = decisions.get(i).shape;
            if (known.backward() == backward
                    && known.lanes() == lanes
                    && known.s() == s
                    && known.heads() == heads
                    && known.d() == d
                    && known.rotated() == rotated
                    && known.stats() == stats) {
                return decisions.get(i);
            }
        }
        CudnnSdpa shape = new CudnnSdpa(backward, lanes, s, heads, d, rotated, stats);
        stream.capture().refuse("choice of an engine for ", shape);
        Decision decision = new Decision(shape, engines.decide(shape, call));
        decisions.add(decision);
        return decision;
    }

    @Override
    public void close() {
        engines.close();
    }
}
