package trm.device.cpu;

import java.util.List;
import trm.device.Capture;
import trm.device.DeviceException;
import trm.device.NativeOps;
import trm.device.StepGraph;

/** Native calls with their arguments, made again one after the other. */
final class CpuGraph implements StepGraph {
    private final Capture capture;
    private final List<Capture.Call> calls;
    private long graph; // 0 once closed

    CpuGraph(Capture capture, long graph, List<Capture.Call> calls) {
        this.capture = capture;
        this.graph = graph;
        this.calls = calls;
    }

    @Override
    public void launch() {
        if (graph == 0) {
            throw new IllegalStateException("a graph of " + calls.size() + " operations is closed");
        }
        capture.refuse("launch of another graph");
        int failed = NativeOps.trm_graph_replay(graph);
        if (failed >= 0) {
            throw new DeviceException("replayed " + calls.get(failed).failure());
        }
    }

    @Override
    public void close() {
        if (graph != 0) {
            NativeOps.trm_graph_free(graph);
            graph = 0;
        }
    }
}
