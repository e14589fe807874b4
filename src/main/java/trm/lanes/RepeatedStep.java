package trm.lanes;

import trm.device.Backend;
import trm.device.DeviceException;
import trm.device.StepGraph;

/**
 * A step that a device does again and again. It runs once as it is, which chooses algorithms and makes workspaces; then
 * it is captured, and the graph is replayed. Under a profile, which times each operation, it runs as it is.
 */
public final class RepeatedStep implements AutoCloseable {
    private final Backend backend;
    private final Runnable step;
    private final boolean graphs;
    private StepGraph graph; // null until captured
    private boolean ran;

    /** @param graphs false: never captured */
    public RepeatedStep(Backend backend, boolean graphs, Runnable step) {
        this.backend = backend;
        this.graphs = graphs;
        this.step = step;
    }

    /** Whether steps are captured: not with {@code TRM_GRAPH=0} or {@code TRM_DEBUG=sync}. */
    public static boolean graphs() {
        return graphs(System.getenv("TRM_GRAPH"), System.getenv("TRM_DEBUG"));
    }

    public static boolean graphs(String graph, String debug) {
        if (graph != null && !graph.isEmpty() && !graph.equals("0") && !graph.equals("1")) {
            throw new DeviceException("TRM_GRAPH is " + graph + ", expected 0 or 1");
        }
        return !"0".equals(graph) && !"sync".equals(debug);
    }

    public void run() {
        if (!graphs || !ran || backend.kernels().profiling()) {
            step.run();
            ran = true;
            return;
        }
        if (graph == null) {
            graph = backend.capture(step);
        }
        graph.launch();
    }

    /** Whether {@link #run} replays a captured graph. */
    public boolean captured() {
        return graph != null;
    }

    /** Drops the graph, after a change of what the step works on; the next run is a first one. */
    public void forget() {
        close();
        ran = false;
    }

    @Override
    public void close() {
        if (graph != null) {
            graph.close();
            graph = null;
        }
    }
}
