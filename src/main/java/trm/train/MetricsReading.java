package trm.train;

import trm.device.Arena;
import trm.device.Backend;
import trm.device.Control;
import trm.device.Dtype;
import trm.device.HostBuffer;
import trm.device.Kernels;
import trm.device.Mark;
import trm.device.Metric;
import trm.device.Tensor;

/**
 * The sums of a run's last steps on their way to the host. {@link #take} enqueues a copy and the return to zero, in the
 * order of the device's work, and the host reads the copy when it has come: the device waits for nobody.
 */
public final class MetricsReading implements AutoCloseable {
    private static final int DOUBLE = 8; // bytes

    private final Backend backend;
    private final Tensor taken;
    private final Tensor takenMetrics;
    private final Tensor takenControls;
    private final HostBuffer host;
    private final Mark copied;

    MetricsReading(Backend backend, Arena arena) {
        this.backend = backend;
        taken = arena.tensor("lanes", "metrics_taken", Dtype.F64, Kernels.METRICS + Kernels.CONTROLS);
        takenMetrics = taken.view(0, Kernels.METRICS);
        takenControls = taken.view(Kernels.METRICS, Kernels.CONTROLS);
        host = backend.hostBuffer((int) taken.bytes());
        copied = backend.mark();
    }

    /** Takes the sums and sets them to zero; what was taken before must have been read. */
    void take(Tensor metrics, Tensor controls) {
        Kernels kernels = backend.kernels();
        kernels.copy(metrics, takenMetrics);
        kernels.copy(controls, takenControls);
        kernels.zero(metrics);
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
        return host.bytes().getDouble(DOUBLE * (Kernels.METRICS + Control.LR.ordinal()));
    }

    @Override
    public void close() {
        copied.close();
        host.close();
    }
}
