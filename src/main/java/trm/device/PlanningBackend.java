package trm.device;

import java.nio.ByteBuffer;

/**
 * A backend without memory: allocations are counted by the {@link Arena} and nothing runs. Building a model on it tells
 * how much memory that model needs on the device planned for, at any size.
 */
public final class PlanningBackend implements Backend {
    private final Backend device;

    /** @param device whose operations say which sizes they fuse */
    public PlanningBackend(Backend device) {
        this.device = device;
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
        return device.kernels();
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
        return device.hostBuffer(bytes);
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
        return device.mark();
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
}
