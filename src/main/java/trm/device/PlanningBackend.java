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

    /** @param device that is planned for */
    public PlanningBackend(Backend device) {
        this(device.capabilities(), device.overheadBytes());
    }

    private PlanningBackend(Capabilities capabilities, Map<String, Long> overhead) {
        this.capabilities = capabilities;
        this.overhead = overhead;
    }

    /** For a device that is not here: it is taken to fuse nothing. */
    public static PlanningBackend ofAbsent(Map<String, Long> overhead) {
        return new PlanningBackend(Capabilities.none(), overhead);
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
}
