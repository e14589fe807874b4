package trm.device;

import java.nio.ByteBuffer;
import java.util.Map;

/**
 * A backend without memory: allocations are laid out by the {@link Arena} and nothing runs. Building a model on it tells
 * how much memory that model needs on the device planned for, at any size.
 */
public final class PlanningBackend implements Backend {
    private final Kernels kernels;
    private final Map<String, Long> overhead;

    /** @param device whose operations say which sizes they fuse */
    public PlanningBackend(Backend device) {
        this(device.kernels(), device.overheadBytes());
    }

    private PlanningBackend(Kernels kernels, Map<String, Long> overhead) {
        this.kernels = kernels;
        this.overhead = overhead;
    }

    /** For a device that is not here: it is taken to fuse nothing. */
    public static PlanningBackend ofAbsent(Map<String, Long> overhead) {
        return new PlanningBackend(new Kernels(null, null), overhead);
    }

    @Override
    public String name() {
        return "plan";
    }

    @Override
    public String target() {
        return "none";
    }

    /** The device's, to be asked about sizes; there is no memory to run them on. */
    @Override
    public Kernels kernels() {
        return kernels;
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
    public Mark mark() {
        return new NoMark();
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
    private static final class NoMark implements Mark {
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
        public double millisecondsSince(Mark earlier) {
            throw new UnsupportedOperationException("a plan computes nothing");
        }

        @Override
        public void close() {
            // nothing is held
        }
    }
}
