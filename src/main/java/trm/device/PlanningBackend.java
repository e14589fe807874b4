package trm.device;

import java.nio.ByteBuffer;
import java.util.Map;

/**
 * A device as a plan needs it: its allocations are laid out by the {@link Arena} and take no memory, and it says what the
 * device planned for computes as one operation. Whatever makes tensors runs on it as on a device, so that plan and run are
 * one path; copies to it go nowhere, and there are no kernels to call.
 */
public final class PlanningBackend implements Backend {
    private final Capabilities capabilities;
    private final Map<String, Long> overhead;
    private final int ranks;

    /** @param device that is planned for, as one of its ranks */
    public PlanningBackend(Backend device) {
        this(device.capabilities(), device.overheadBytes(), device.collective().ranks());
    }

    private PlanningBackend(Capabilities capabilities, Map<String, Long> overhead, int ranks) {
        this.capabilities = capabilities;
        this.overhead = overhead;
        this.ranks = ranks;
    }

    /** For a device that is not here: it is taken to fuse nothing. */
    public static PlanningBackend ofAbsent(Map<String, Long> overhead) {
        return new PlanningBackend(Capabilities.none(), overhead, 1);
    }

    /** For the same device as one of so many ranks. */
    public PlanningBackend withRanks(int count) {
        return new PlanningBackend(capabilities, overhead, count);
    }

    @Override
    public String name() {
        return "plan";
    }

    @Override
    public String target() {
        return "none";
    }

    @Override
    public Capabilities capabilities() {
        return capabilities;
    }

    /** None: asking it for an operation is refused. */
    @Override
    public Kernels kernels() {
        return new NoKernels();
    }

    /** That of rank 0: all take the same memory. */
    @Override
    public Collective collective() {
        return new PlannedRanks(ranks);
    }

    @Override
    public Map<String, Long> overheadBytes() {
        return overhead;
    }

    @Override
    public DeviceBuffer allocate(String name, long bytes) {
        return new DeviceBuffer(name, 1, bytes, address -> {});
    }

    @Override
    public void upload(ByteBuffer from, Tensor to) {
        // no memory to copy to
    }

    /** @throws UnsupportedOperationException always: nothing was computed */
    @Override
    public void download(Tensor from, ByteBuffer to) {
        throw new UnsupportedOperationException("a plan computes nothing");
    }

    @Override
    public void synchronize() {
        // nothing runs
    }

    @Override
    public HostBuffer hostBuffer(int bytes) {
        return new HostBuffer(1, bytes, address -> {});
    }

    @Override
    public void enqueueUpload(HostBuffer from, int offset, Tensor to) {
        // no memory to copy to
    }

    /** @throws UnsupportedOperationException always: nothing was computed */
    @Override
    public void enqueueDownload(Tensor from, HostBuffer to) {
        throw new UnsupportedOperationException("a plan computes nothing");
    }

    @Override
    public Event event() {
        return new NoEvent();
    }

    /** @throws UnsupportedOperationException always: nothing can run */
    @Override
    public StepGraph capture(Runnable step) {
        throw new UnsupportedOperationException("a plan computes nothing");
    }

    @Override
    public void close() {
        // nothing is held
    }

    /** Of a device that does nothing. */
    private static final class NoEvent implements Event {
        @Override
        public void set() {
            // there is no work to set it behind
        }

        @Override
        public boolean reached() {
            return true;
        }

        @Override
        public void await() {
            // nothing is waited for
        }

        /** @throws UnsupportedOperationException always: nothing ran */
        @Override
        public double millisecondsSince(Event earlier) {
            throw new UnsupportedOperationException("a plan computes nothing");
        }

        @Override
        public void close() {
            // nothing is held
        }
    }

    /** Ranks of which a plan knows how many they are. */
    private record PlannedRanks(int ranks) implements Collective {
        @Override
        public int rank() {
            return 0;
        }

        @Override
        public void allReduce(Tensor values) {
            throw new UnsupportedOperationException("a plan computes nothing");
        }

        @Override
        public void allGather(Tensor own, Tensor all) {
            throw new UnsupportedOperationException("a plan computes nothing");
        }

        @Override
        public void broadcast(Tensor data, int root) {
            throw new UnsupportedOperationException("a plan computes nothing");
        }

        @Override
        public void barrier() {
            // nobody is waited for
        }

        @Override
        public void abort(int exitCode) {
            // nobody waits
        }

        @Override
        public void close() {
            // nobody is left
        }
    }
}
