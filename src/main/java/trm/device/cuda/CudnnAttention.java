package trm.device.cuda;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.cudnn.cudnnBackendDescriptor_t;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.javacpp.FloatPointer;
import trm.device.AttentionCalls;
import trm.device.DeviceException;
import trm.device.Fault;
import trm.device.NativeOps;
import trm.device.Recording;

/**
 * Attention over long sequences by cuDNN, where that is faster than kernels of our own; {@link CudnnSdpa} has how the
 * library is asked for it. Calls in float32, of short sequences or of heads that the library does not take go to our own
 * kernels without more ado.
 *
 * <p>The first call of a shape decides: engines that the library proposes and our own kernels are timed on the call's
 * operands, unless the cache has the answer. Without cuDNN, with one that is too old, or that refuses, our own kernels
 * serve. The log says once what was decided, and why. cuDNN does not rotate: q and k are rotated into a workspace, so many
 * lanes at a time as fit, and their gradients back in place, which rounds those once more than our own kernels do.
 */
final class CudnnAttention implements AttentionCalls, AutoCloseable {
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

    /** Fewer positions than this are our own kernels' business: a head's keys and values fit into shared memory. */
    static final int MIN_POSITIONS = 256;

    private static final int MAX_WIDTH = 128;
    /** About the device memory to use: lanes are taken in parts that need no more. */
    static final long WORKSPACE_BYTES = 256L << 20;

    private static final int WARM_RUNS = 2;
    private static final int TIMED_RUNS = 5;
    private static final int OWN = -1; // in the cache; else the number of the library's proposal
    private static final int BF16 = 1;

    /** Operands of a call by address, 0 where there is none; one object for all calls. */
    private static final class Call {
        long qkv;
        long cos;
        long sin;
        long o;
        long stats;
        long dO;
        long dqkv;
        long stream;
    }

    /** So many lanes at once by the library. */
    private final class Part {
        final CudnnSdpa shape;
        final CudnnGraph graph;
        final CudnnGraph.Plan plan;
        final long qk; // addresses in the workspace
        final long delta;
        final long room;
        final List<long[]> known = new ArrayList<>(); // addresses of earlier calls
        final List<cudnnBackendDescriptor_t> packs = new ArrayList<>(); // and what they became

        Part(CudnnSdpa shape, CudnnGraph graph, CudnnGraph.Plan plan) {
            this.shape = shape;
            this.graph = graph;
            this.plan = plan;
            long qkBytes = Workspace.align(shape.rotatedBytes());
            long deltaBytes = Workspace.align(shape.deltaBytes());
            qk = workspace.reserve(qkBytes + deltaBytes + plan.workspaceBytes());
            delta = qk + qkBytes;
            room = delta + deltaBytes;
        }

        /** The lanes from {@code first} on; the library's or the kernels' words if that fails, else null. */
        String run(Call c, long first) {
            long row = (long) shape.heads() * shape.d() * 2;
            long rows = first * shape.s();
            long qkv = c.qkv + rows * 3 * row;
            long o = c.o + rows * row;
            long stats = c.stats == 0 ? 0 : c.stats + rows * shape.heads() * 4;
            long dqkv = c.dqkv == 0 ? 0 : c.dqkv + rows * 3 * row;
            if (shape.rotated()
                    && own.rotary(
                                    qkv,
                                    c.cos,
                                    c.sin,
                                    qk,
                                    shape.lanes(),
                                    shape.s(),
                                    shape.heads(),
                                    shape.d(),
                                    BF16,
                                    c.stream)
                            != 0) {
                return own.last_error().getString();
            }
            long q = shape.rotated() ? qk : qkv;
            cudnnBackendDescriptor_t pack = shape.backward()
                    ? pack(q, qkv, o, stats, c.dO + rows * row, dqkv, row)
                    : pack(q, qkv, o, stats, 0, 0, row);
            scale.put((float) (1 / Math.sqrt(shape.d())));
            int status = cudnn.cudnnBackendExecute(library.handle(), plan.descriptor(), pack);
            if (status != 0) {
                return "cudnnBackendExecute: " + Cudnn.reason(status);
            }
            if (shape.rotated()
                    && shape.backward()
                    && own.rotary_bwd(
                                    dqkv,
                                    c.cos,
                                    c.sin,
                                    shape.lanes(),
                                    shape.s(),
                                    shape.heads(),
                                    shape.d(),
                                    BF16,
                                    c.stream)
                            != 0) {
                return own.last_error().getString();
            }
            return null;
        }

        private cudnnBackendDescriptor_t pack(long q, long qkv, long o, long stats, long dO, long dqkv, long row) {
            for (int i = 0; i < known.size(); i++) {
                long[] a = known.get(i);
                if (a[0] == q && a[1] == qkv && a[2] == o && a[3] == stats && a[4] == dO && a[5] == dqkv) {
                    return packs.get(i);
                }
            }
            long[] addresses = shape.backward()
                    ? new long[] {
                        q,
                        q + row,
                        qkv + 2 * row,
                        o,
                        stats,
                        dO,
                        dqkv,
                        dqkv + row,
                        dqkv + 2 * row,
                        delta,
                        scale.address(),
                        one.address()
                    }
                    : shape.stats()
                            ? new long[] {q, q + row, qkv + 2 * row, o, stats, scale.address()}
                            : new long[] {q, q + row, qkv + 2 * row, o, scale.address()};
            try {
                packs.add(graph.addresses(shape.operands(), addresses, room));
            } catch (CudnnException e) {
                throw new DeviceException(shape + ": " + e.getMessage());
            }
            known.add(new long[] {q, qkv, o, stats, dO, dqkv});
            return packs.get(packs.size() - 1);
        }
    }

    /** What was decided for a shape: the library's parts, or none for our own kernels. */
    private record Decision(CudnnSdpa shape, List<Part> parts) {}

    private final NativeOps.Table own;
    private final String ownVersion;
    private final CUstream_st stream;
    private final Fault fault;
    private final Recording recording;
    private final AlgorithmCache cache;
    private final Choice choice;
    private final long workspaceBytes;
    private final Consumer<String> log;
    private final Workspace workspace;
    private final FloatPointer scale = new FloatPointer(1f);
    private final FloatPointer one = new FloatPointer(1f);
    private final Call call = new Call();
    private final List<Decision> decisions = new ArrayList<>();
    private final List<CudnnGraph> graphs = new ArrayList<>(); // of parts that are used
    private Cudnn library; // null until asked for, and where it is of no use
    private boolean asked;

    /**
     * @param own our kernels
     * @param ownVersion tells apart builds of them, whose times differ
     * @param workspaceBytes as {@link #WORKSPACE_BYTES}
     */
    CudnnAttention(
            NativeOps.Table own,
            String ownVersion,
            CUstream_st stream,
            Fault fault,
            Recording recording,
            AlgorithmCache cache,
            Choice choice,
            long workspaceBytes,
            Consumer<String> log) {
        this.own = own;
        this.ownVersion = ownVersion;
        this.stream = stream;
        this.fault = fault;
        this.recording = recording;
        workspace = new Workspace("attention by cuDNN", recording);
        this.cache = cache;
        this.choice = choice;
        this.workspaceBytes = workspaceBytes;
        this.log = log;
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
        return own.attention(qkv, cos, sin, o, lse, lanes, s, heads, d, dtype, st);
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
        return own.attention_bwd(qkv, cos, sin, o, lse, dO, dqkv, lanes, s, heads, d, dtype, st);
    }

    private void set(long qkv, long cos, long sin, long o, long stats, long dO, long dqkv, long st) {
        call.qkv = qkv;
        call.cos = cos;
        call.sin = sin;
        call.o = o;
        call.stats = stats;
        call.dO = dO;
        call.dqkv = dqkv;
        call.stream = st;
    }

    private boolean suits(int s, int d, int dtype) {
        return choice != Choice.OWN && dtype == BF16 && s >= MIN_POSITIONS && d % 8 == 0 && d <= MAX_WIDTH;
    }

    private void run(Decision decision) {
        long first = 0;
        for (int i = 0; i < decision.parts.size(); i++) {
            Part part = decision.parts.get(i);
            String error = part.run(call, first);
            if (error != null) {
                String text = part.shape + ": " + error;
                throw recording.active() ? new DeviceException(text) : fault.raise(text);
            }
            first += part.shape.lanes();
        }
    }

    // ---- decisions --------------------------------------------------------------------------------------------------

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
        recording.refuse("choice of an engine for ", shape);
        Decision decision = new Decision(shape, decide(shape));
        decisions.add(decision);
        return decision;
    }

    private List<Part> decide(CudnnSdpa shape) {
        if (!asked) {
            asked = true;
            try {
                library = new Cudnn(stream);
            } catch (CudnnException e) {
                log.accept("attention runs on kernels of our own, cuDNN cannot be used: " + e.getMessage());
            }
        }
        if (library == null) {
            return List.of();
        }
        long atOnce = lanesAtOnce(shape, workspaceBytes);
        CudnnGraph graph = new CudnnGraph(library.handle(), null);
        try {
            CudnnSdpa first = shape.withLanes(atOnce);
            first.describe(graph);
            Part part = choose(first, graph, graph.propose());
            if (part == null) {
                graph.close();
                return List.of();
            }
            List<Part> parts = new ArrayList<>(Collections.nCopies((int) (shape.lanes() / atOnce), part));
            if (shape.lanes() % atOnce != 0) {
                parts.add(remainder(shape.withLanes(shape.lanes() % atOnce)));
            }
            return parts;
        } catch (CudnnException | DeviceException e) {
            graph.close();
            fault.check(); // a broken device is no reason to go on
            log.accept(shape + " runs on kernels of our own: " + library + ": " + e.getMessage());
            return List.of();
        }
    }

    /** So many that the workspace suffices, in parts of about the same size, from the shape alone. */
    static long lanesAtOnce(CudnnSdpa shape, long workspaceBytes) {
        long room = Math.min(
                workspaceBytes / Math.max(1, shape.bytesPerLane()), Integer.MAX_VALUE / shape.elementsPerLane());
        long most = Math.max(1, Math.min(shape.lanes(), room));
        long parts = (shape.lanes() + most - 1) / most;
        return (shape.lanes() + parts - 1) / parts;
    }

    /** The lanes that are left over, by the first engine that takes them. */
    private Part remainder(CudnnSdpa shape) throws CudnnException {
        CudnnGraph graph = new CudnnGraph(library.handle(), null);
        try {
            shape.describe(graph);
            Part part = firstThatCompiles(shape, graph, graph.propose());
            graphs.add(graph);
            return part;
        } catch (CudnnException | DeviceException e) {
            graph.close();
            throw e;
        }
    }

    private Part firstThatCompiles(CudnnSdpa shape, CudnnGraph graph, List<CudnnGraph.Config> configs)
            throws CudnnException {
        CudnnException last = null;
        for (CudnnGraph.Config config : configs) {
            try {
                return new Part(shape, graph, graph.plan(config));
            } catch (CudnnException e) {
                last = e;
            }
        }
        throw last;
    }

    /** The fastest of the configurations, or null where our own kernels are faster. */
    private Part choose(CudnnSdpa shape, CudnnGraph graph, List<CudnnGraph.Config> configs) throws CudnnException {
        String key = shape.key() + "_cudnn" + library.version() + "_own" + ownVersion;
        long[] cached = choice == Choice.FASTEST ? cache.get(key) : null;
        if (cached != null && cached[0] == OWN) {
            log.accept(shape + ": kernels of our own, as measured earlier");
            return null;
        }
        if (cached != null && cached[0] < configs.size()) {
            CudnnGraph.Config config = configs.get((int) cached[0]);
            Part part = new Part(shape, graph, graph.plan(config));
            graphs.add(graph);
            log.accept(shape + ": " + library + ", engine " + config.engine() + ", as measured earlier");
            return part;
        }
        Part best = null;
        int number = OWN;
        float least = Float.MAX_VALUE;
        float ours;
        List<String> refused = new ArrayList<>();
        try (DeviceTimer timer = new DeviceTimer(stream)) {
            ours = time(timer, () -> own(shape));
            for (int i = 0; i < configs.size(); i++) {
                try {
                    Part part = new Part(shape, graph, graph.plan(configs.get(i)));
                    float took = time(timer, () -> part.run(call, 0));
                    if (took < least) {
                        least = took;
                        best = part;
                        number = i;
                    }
                } catch (CudnnException e) {
                    refused.add(e.getMessage());
                }
            }
            if (timer.error() != null) {
                throw fault.raise(shape + ": timing it: " + timer.error());
            }
        }
        if (best == null) {
            throw new CudnnException(String.join("; ", refused));
        }
        boolean theirs = choice == Choice.CUDNN || least < ours;
        log.accept(String.format(
                Locale.ROOT,
                theirs
                        ? "%1$s: %2$s, %3$.3f ms (kernels of our own: %4$.3f)"
                        : "%1$s: kernels of our own, %4$.3f ms (%2$s: %3$.3f)",
                shape,
                library + ", engine " + configs.get(number).engine(),
                least,
                ours));
        if (choice == Choice.FASTEST) {
            long[] words = new long[AlgorithmCache.LONGS];
            words[0] = theirs ? number : OWN;
            cache.put(key, words);
        }
        if (!theirs) {
            return null;
        }
        graphs.add(graph);
        return best;
    }

    /** Milliseconds of one run. @throws CudnnException with the first failure's text */
    private static float time(DeviceTimer timer, Supplier<String> run) throws CudnnException {
        for (int i = 0; i < WARM_RUNS + TIMED_RUNS; i++) {
            if (i == WARM_RUNS) {
                timer.start();
            }
            String error = run.get();
            if (error != null) {
                throw new CudnnException(error);
            }
        }
        return timer.stop() / TIMED_RUNS;
    }

    private String own(CudnnSdpa x) {
        int status = x.backward()
                ? own.attention_bwd(
                        call.qkv,
                        call.cos,
                        call.sin,
                        call.o,
                        call.stats,
                        call.dO,
                        call.dqkv,
                        x.lanes(),
                        x.s(),
                        x.heads(),
                        x.d(),
                        BF16,
                        call.stream)
                : own.attention(
                        call.qkv,
                        call.cos,
                        call.sin,
                        call.o,
                        call.stats,
                        x.lanes(),
                        x.s(),
                        x.heads(),
                        x.d(),
                        BF16,
                        call.stream);
        return status == 0 ? null : own.last_error().getString();
    }

    @Override
    public void close() {
        graphs.forEach(CudnnGraph::close);
        workspace.close();
        if (library != null) {
            library.close();
        }
    }
}
