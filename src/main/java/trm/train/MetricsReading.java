package trm.train;

import trm.device.Arena;
import trm.device.Backend;
import trm.device.Control;
import trm.device.Dtype;
import trm.device.Event;
import trm.device.HeadKernels;
import trm.device.HostBuffer;
import trm.device.Kernels;
import trm.device.Metric;
import trm.device.OptimizerKernels;
import trm.device.Purpose;
import trm.device.Tensor;

/**
 * The sums of a run's last steps, over the lanes of all ranks, on their way to the host. {@link #take} enqueues a copy and the return to zero, in the
 * order of the device's work, and the host reads the copy when it has come: the device waits for nobody.
 */
public final class MetricsReading implements AutoCloseable {
    private static final int DOUBLE = 8; // bytes

    private final Backend backend;
    private final Tensor taken;
    private final Tensor takenMetrics;
    private final Tensor takenControls;
    private final HostBuffer host;
    private final Event copied;

    MetricsReading(Backend backend, Arena arena) {
        this.backend = backend;
        taken = arena.tensor(
                Purpose.LANES, "metrics_taken", Dtype.F64, HeadKernels.METRICS + OptimizerKernels.CONTROLS);
        takenMetrics = taken.view(0, HeadKernels.METRICS);
        takenControls = taken.view(HeadKernels.METRICS, OptimizerKernels.CONTROLS);
        host = backend.hostBuffer((int) taken.bytes());
        copied = backend.event();
    }

    /** Takes the sums and sets them to zero; what was taken before must have been read. */
    void take(Tensor metrics, Tensor controls) {
        Kernels kernels = backend.kernels();
        kernels.elementwise().copy(metrics, takenMetrics);
        kernels.elementwise().copy(controls, takenControls);
        kernels.elementwise().zero(metrics);
        RankSums.addMetrics(backend, takenMetrics);
        backend.enqueueDownload(taken, host);
        copied.set();
    }

    /** Whether what was taken has come. */
    public boolean arrived() {
        return copied.reached();
    }

    /** Waits until what was taken has come. */
    public void await() {
        copied.await();
    }

    /** A sum as it was taken; it has arrived. */
    public double metric(Metric metric) {
        return host.bytes().getDouble(DOUBLE * metric.ordinal());
    }

    /** The learning rate of the step after which the sums were taken; it has arrived. */
    public double learningRate() {
        return host.bytes().getDouble(DOUBLE * (HeadKernels.METRICS + Control.LR.ordinal()));
    }

    @Override
    public void close() {
        copied.close();
        host.close();
    }
}
