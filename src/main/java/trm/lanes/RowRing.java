package trm.lanes;

import java.nio.ByteBuffer;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.Event;
import trm.device.HostBuffer;
import trm.device.Purpose;
import trm.device.Tensor;

/**
 * Numbers of samples on their way to the device: those of step t lie in slot t % slots of a ring there, where
 * {@code admit} finds them by the device's own count of steps. So a captured step is the same every time, and the host may
 * be as many steps ahead of the device as there are slots: it waits when the upload from a slot's staging memory is not
 * over. On the device an upload comes after the steps that read the slot before, by the order of its work.
 */
public final class RowRing implements AutoCloseable {
    private final Backend backend;
    private final int lanes;
    private final Tensor rows;
    private final Tensor[] slots;
    private final Event[] uploaded;
    private final HostBuffer staging;

    public RowRing(Backend backend, Arena arena, int lanes, int slots) {
        this.backend = backend;
        this.lanes = lanes;
        rows = arena.tensor(Purpose.LANES, "rows", Dtype.I32, slots, lanes);
        staging = backend.hostBuffer(4 * slots * lanes);
        this.slots = new Tensor[slots];
        uploaded = new Event[slots];
        for (int i = 0; i < slots; i++) {
            this.slots[i] = rows.view((long) i * lanes, lanes);
            uploaded[i] = backend.event();
        }
    }

    /** Enqueues the upload of a step's samples, one a lane. */
    public void offer(long step, int[] samples) {
        if (samples.length != lanes) {
            throw new IllegalArgumentException(samples.length + " samples are offered to " + lanes + " lanes");
        }
        offer(step, samples, 0);
    }

    /** Enqueues the upload of a step's samples, one a lane, from {@code samples[from]} on. */
    public void offer(long step, int[] samples, int from) {
        int slot = (int) (step % slots.length);
        uploaded[slot].await();
        ByteBuffer bytes = staging.bytes();
        int at = 4 * slot * lanes;
        for (int b = 0; b < lanes; b++) {
            bytes.putInt(at + 4 * b, samples[from + b]);
        }
        backend.enqueueUpload(staging, at, slots[slot]);
        uploaded[slot].set();
    }

    /** [slots, B] int32. */
    public Tensor rows() {
        return rows;
    }

    @Override
    public void close() {
        for (Event mark : uploaded) {
            mark.close();
        }
        staging.close();
    }
}
