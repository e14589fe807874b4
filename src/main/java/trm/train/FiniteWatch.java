package trm.train;

import java.util.List;
import java.util.Optional;
import trm.device.Backend;
import trm.device.HostBuffer;
import trm.device.Kernels;
import trm.device.Mark;
import trm.device.Metric;
import trm.device.Tensor;

/**
 * Finds the first step whose loss or gradient is not finite. After each step a copy of the sums of losses and gradient norms
 * is enqueued to the host, which reads it when it has come: the device waits for nobody, and a host that is {@value #SLOTS}
 * steps ahead waits for the oldest. Sums only grow from step to step, and NaN and infinity stay in them, so that the first
 * copy with such a value is that of the step. Allocates nothing after it was made.
 */
final class FiniteWatch implements AutoCloseable {
    private static final int SLOTS = 4;
    private static final int DOUBLE = 8; // bytes
    private static final List<Metric> WATCHED =
            List.of(Metric.LM_LOSS, Metric.Q_HALT_LOSS, Metric.Q_CONTINUE_LOSS, Metric.GRAD_NORM);

    /** A step and what was not finite in it. */
    record Finding(long step, Metric metric, double value) {}

    private final Backend backend;
    private final HostBuffer[] copies = new HostBuffer[SLOTS];
    private final Mark[] marks = new Mark[SLOTS];
    private final long[] steps = new long[SLOTS];
    private final boolean[] hasNorm = new boolean[SLOTS];
    private boolean normKnown;
    private int first;
    private int pending;

    /** @param normKnown false if the sum of gradient norms is NaN from the beginning, as after a checkpoint that lacked it */
    FiniteWatch(Backend backend, boolean normKnown) {
        this.backend = backend;
        this.normKnown = normKnown;
        try {
            for (int i = 0; i < SLOTS; i++) {
                copies[i] = backend.hostBuffer(DOUBLE * Kernels.METRICS);
                marks[i] = backend.mark();
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Enqueues the copy of a step's sums; there is room once {@link #next} with {@code full} was asked. */
    void look(long step, Tensor metrics) {
        int slot = (first + pending++) % SLOTS;
        backend.enqueueDownload(metrics, copies[slot]);
        marks[slot].set();
        steps[slot] = step;
        hasNorm[slot] = normKnown;
    }

    /** The sums have been set to zero. */
    void reset() {
        normKnown = true;
    }

    /** Whether all slots are taken. */
    boolean full() {
        return pending == SLOTS;
    }

    /**
     * Reads the copies that have come.
     *
     * @param all also waits for those under way
     * @return the first step that is not finite; empty as long as there is none
     */
    Optional<Finding> read(boolean all) {
        while (pending > 0 && (all || full() || marks[first].reached())) {
            marks[first].await();
            int slot = first;
            first = (first + 1) % SLOTS;
            pending--;
            for (int i = 0; i < WATCHED.size(); i++) {
                double value =
                        copies[slot].bytes().getDouble(DOUBLE * WATCHED.get(i).ordinal());
                boolean counts = WATCHED.get(i) != Metric.GRAD_NORM || hasNorm[slot];
                if (counts && !Double.isFinite(value)) {
                    pending = 0;
                    return Optional.of(new Finding(steps[slot], WATCHED.get(i), value));
                }
            }
        }
        return Optional.empty();
    }

    @Override
    public void close() {
        for (int i = 0; i < SLOTS; i++) {
            if (marks[i] != null) {
                marks[i].close();
            }
            if (copies[i] != null) {
                copies[i].close();
            }
        }
    }
}
