package trm.device.cuda;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.Supplier;
import trm.device.DeviceException;
import trm.device.NativeOps;
import trm.device.Operations;

/**
 * Decides who computes attention of a shape: engines that the library proposes and our own kernels are timed on a call's
 * operands, unless the cache has the answer. Without cuDNN, with one that is too old, or that refuses, our own kernels
 * serve. The log says once what was decided, and why.
 */
final class CudnnEngines implements AutoCloseable {
    private static final int WARM_RUNS = 2;
    private static final int TIMED_RUNS = 5;
    private static final int OWN = -1; // in the cache; else the number of the library's proposal

    private final Operations own;
    private final NativeOps.Table table;
    private final GpuStream stream;
    private final AlgorithmCache cache;
    private final CudnnAttention.Settings settings;
    private final Consumer<String> log;
    private final Workspace workspace;
    private final List<CudnnGraph> graphs = new ArrayList<>(); // of parts that are used
    private CudnnSession session; // null until asked for, and where the library is of no use
    private boolean asked;

    /** @param table whose last error is that of {@code own} */
    CudnnEngines(
            Operations own,
            NativeOps.Table table,
            GpuStream stream,
            AlgorithmCache cache,
            CudnnAttention.Settings settings,
            Consumer<String> log) {
        this.own = own;
        this.table = table;
        this.stream = stream;
        this.cache = cache;
        this.settings = settings;
        this.log = log;
        workspace = new Workspace("attention by cuDNN", stream.capture());
    }

    /** The parts that a call of this shape falls into by the library, or none for our own kernels. */
    List<CudnnPart> decide(CudnnSdpa shape, CudnnCall call) {
        if (!asked) {
            asked = true;
            try {
                session = new CudnnSession(new Cudnn(stream.handle()), own, table, workspace);
            } catch (CudnnException e) {
                log.accept("attention runs on kernels of our own, cuDNN cannot be used: " + e.getMessage());
            }
        }
        if (session == null) {
            return List.of();
        }
        long atOnce = lanesAtOnce(shape, settings.workspaceBytes());
        CudnnGraph graph = new CudnnGraph(session.library().handle(), null);
        try {
            CudnnSdpa first = shape.withLanes(atOnce);
            first.describe(graph);
            CudnnPart part = choose(first, call, graph, graph.propose());
            if (part == null) {
                graph.close();
                return List.of();
            }
            graphs.add(graph);
            List<CudnnPart> parts = new ArrayList<>(Collections.nCopies((int) (shape.lanes() / atOnce), part));
            if (shape.lanes() % atOnce != 0) {
                parts.add(remainder(shape.withLanes(shape.lanes() % atOnce)));
            }
            return parts;
        } catch (CudnnException | DeviceException e) {
            graph.close();
            stream.stickyError().check(); // a broken device is no reason to go on
            log.accept(shape + " runs on kernels of our own: " + session.library() + ": " + e.getMessage());
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
    private CudnnPart remainder(CudnnSdpa shape) throws CudnnException {
        CudnnGraph graph = new CudnnGraph(session.library().handle(), null);
        try {
            shape.describe(graph);
            CudnnPart part = firstThatCompiles(shape, graph, graph.propose());
            graphs.add(graph);
            return part;
        } catch (CudnnException | DeviceException e) {
            graph.close();
            throw e;
        }
    }

    private CudnnPart firstThatCompiles(CudnnSdpa shape, CudnnGraph graph, List<CudnnGraph.Config> configs)
            throws CudnnException {
        CudnnException last = null;
        for (CudnnGraph.Config config : configs) {
            try {
                return new CudnnPart(session, shape, graph, graph.plan(config));
            } catch (CudnnException e) {
                last = e;
            }
        }
        throw last;
    }

    /** The fastest of the configurations, or null where our own kernels are faster. */
    private CudnnPart choose(CudnnSdpa shape, CudnnCall call, CudnnGraph graph, List<CudnnGraph.Config> configs)
            throws CudnnException {
        boolean fastest = settings.choice() == CudnnAttention.Choice.FASTEST;
        String key = shape.key() + "_cudnn" + session.library().version() + "_own" + settings.ownVersion();
        long[] cached = fastest ? cache.get(key) : null;
        if (cached != null && cached[0] == OWN) {
            log.accept(shape + ": kernels of our own, as measured earlier");
            return null;
        }
        if (cached != null && cached[0] < configs.size()) {
            CudnnGraph.Config config = configs.get((int) cached[0]);
            CudnnPart part = new CudnnPart(session, shape, graph, graph.plan(config));
            log.accept(shape + ": " + session.library() + ", engine " + config.engine() + ", as measured earlier");
            return part;
        }
        Timed timed = time(shape, call, graph, configs);
        boolean theirs = settings.choice() == CudnnAttention.Choice.CUDNN || timed.theirMillis < timed.ownMillis;
        log.accept(String.format(
                Locale.ROOT,
                theirs
                        ? "%1$s: %2$s, %3$.3f ms (kernels of our own: %4$.3f)"
                        : "%1$s: kernels of our own, %4$.3f ms (%2$s: %3$.3f)",
                shape,
                session.library() + ", engine " + configs.get(timed.number).engine(),
                timed.theirMillis,
                timed.ownMillis));
        if (fastest) {
            long[] words = new long[AlgorithmCache.LONGS];
            words[0] = theirs ? timed.number : OWN;
            cache.put(key, words);
        }
        return theirs ? timed.part : null;
    }

    /** The library's fastest configuration, its number, and milliseconds of one run by it and by our own kernels. */
    private record Timed(CudnnPart part, int number, float theirMillis, float ownMillis) {}

    /** @throws CudnnException with all reasons if the library runs none of them */
    private Timed time(CudnnSdpa shape, CudnnCall call, CudnnGraph graph, List<CudnnGraph.Config> configs)
            throws CudnnException {
        CudnnPart best = null;
        int number = OWN;
        float least = Float.MAX_VALUE;
        float ours;
        List<String> refused = new ArrayList<>();
        try (DeviceTimer timer = new DeviceTimer(stream.handle())) {
            ours = time(timer, () -> session.ownError(call.byOwn(own, shape)));
            for (int i = 0; i < configs.size(); i++) {
                try {
                    CudnnPart part = new CudnnPart(session, shape, graph, graph.plan(configs.get(i)));
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
                throw stream.stickyError().raise(shape + ": timing it: " + timer.error());
            }
        }
        if (best == null) {
            throw new CudnnException(String.join("; ", refused));
        }
        return new Timed(best, number, least, ours);
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

    @Override
    public void close() {
        graphs.forEach(CudnnGraph::close);
        workspace.close();
        if (session != null) {
            session.library().close();
        }
    }
}
