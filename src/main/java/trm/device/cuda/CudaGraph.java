package trm.device.cuda;

import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.global.cudart;
import trm.device.StepGraph;

/** A CUDA graph, ready to run on the backend's stream. */
final class CudaGraph implements StepGraph {
    private final CUgraphExec_st executable;
    private final GpuStream stream;
    private final int operations; // for messages

    CudaGraph(CUgraphExec_st executable, GpuStream stream, int operations) {
        this.executable = executable;
        this.stream = stream;
        this.operations = operations;
    }

    @Override
    public void launch() {
        if (executable.isNull()) {
            throw new IllegalStateException("a graph of " + operations + " operations is closed");
        }
        stream.before("launch of another graph");
        int status = cudart.cudaGraphLaunch(executable, stream.handle());
        if (status != 0) {
            throw stream.failure("launch of " + operations + " captured operations: " + Cuda.text(status));
        }
    }

    /** The runtime keeps what still runs until it is done. */
    @Override
    public void close() {
        if (!executable.isNull()) {
            cudart.cudaGraphExecDestroy(executable);
            executable.setNull();
        }
    }
}
