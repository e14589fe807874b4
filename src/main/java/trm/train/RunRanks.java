package trm.train;

import java.util.function.Consumer;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Collective;
import trm.device.Dtype;
import trm.device.Event;
import trm.device.HostBuffer;
import trm.device.Purpose;
import trm.device.Shape;
import trm.device.Staging;
import trm.device.Tensor;

/**
 * What the ranks of a run tell each other beside its steps: whether they stop, and what their lanes have, for checkpoints. All
 * ranks call the same in the same order. A process that trains alone takes no memory for it.
 */
final class RunRanks implements AutoCloseable {
    private static final int SLOTS = 4; // votes under way: as many as a host is steps ahead of its device

    private final Backend backend;
    private final Collective collective;
    private final Tensor votes; // null for a process that trains alone, as piece
    private final Tensor piece;
    private final HostBuffer[] own = new HostBuffer[SLOTS];
    private final HostBuffer[] sums = new HostBuffer[SLOTS];
    private final Event[] arrived = new Event[SLOTS];
    private long asked;

    RunRanks(Backend backend, Arena arena) {
        this.backend = backend;
        collective = backend.collective();
        if (isAlone()) {
            votes = null;
            piece = null;
            return;
        }
        votes = arena.tensor(Purpose.LANES, "votes to stop", Dtype.F64, SLOTS);
        piece = arena.tensor(Purpose.LANES, "piece of another rank", Dtype.U8, Staging.BYTES);
        for (int i = 0; i < SLOTS; i++) {
            own[i] = backend.hostBuffer(Dtype.F64.bytes());
            sums[i] = backend.hostBuffer(Dtype.F64.bytes());
            arrived[i] = backend.event();
        }
    }

    boolean isAlone() {
        return collective.ranks() == 1;
    }

    /** Number of this one, from 0: the first writes the run's folder. */
    int rank() {
        return collective.rank();
    }

    int ranks() {
        return collective.ranks();
    }

    /**
     * Whether all stop, found out before each step without waiting for the device: each says whether it was asked to, and all hear
     * the answer of {@value #SLOTS} steps ago, the same in all of them. A process that trains alone has the answer at once.
     */
    boolean stops(boolean wanted) {
        if (isAlone()) {
            return wanted;
        }
        int slot = (int) (asked % SLOTS);
        boolean stop = false;
        if (asked >= SLOTS) {
            arrived[slot].await();
            stop = sums[slot].bytes().getDouble(0) > 0;
        }
        asked++;
        own[slot].bytes().putDouble(0, wanted ? 1 : 0);
        Tensor vote = votes.view(slot, 1);
        backend.enqueueUpload(own[slot], 0, vote);
        collective.allReduce(vote);
        backend.enqueueDownload(vote, sums[slot]);
        arrived[slot].set();
        return stop;
    }

    /**
     * Brings together one tensor of the lanes of all ranks, in their order, piece by piece; on all ranks alike.
     *
     * @param take takes the pieces, on rank 0; valid until it returns
     */
    void gather(Tensor lanes, Consumer<Tensor> take) {
        if (isAlone()) {
            take.accept(lanes);
            return;
        }
        int width = lanes.dtype().bytes();
        for (int r = 0; r < ranks(); r++) {
            for (long at = 0; at < lanes.bytes(); at += Staging.BYTES) {
                long bytes = Math.min(Staging.BYTES, lanes.bytes() - at);
                Tensor part = r == rank()
                        ? lanes.view(at / width, bytes / width)
                        : new Tensor(piece.storage(), piece.byteOffset(), lanes.dtype(), new Shape(bytes / width));
                collective.broadcast(part, r);
                if (rank() == 0) {
                    take.accept(part);
                }
            }
        }
    }

    @Override
    public void close() {
        for (int i = 0; i < SLOTS && !isAlone(); i++) {
            own[i].close();
            sums[i].close();
            arrived[i].close();
        }
    }
}
