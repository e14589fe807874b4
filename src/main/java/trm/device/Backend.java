package trm.device;

import java.nio.ByteBuffer;

/**
 * A device: memory, the operations of {@link Kernels}, copies to and from the host, and captured graphs of what it does
 * again and again. The model is written once over this interface. Used by one thread; closed by whoever opened it, after every
 * {@link Arena} on it.
 */
public interface Backend extends Allocator, AutoCloseable {
    /** What a user calls it: {@code cpu}, {@code cuda:0}. */
    String name();

    /** What the library chose on this machine, e.g. {@code avx512}. */
    String target();

    /** What it computes as one operation. */
    Capabilities capabilities();

    /** What it computes. */
    Kernels kernels();

    /** The ranks that train together, this process alone in most cases. */
    Collective collective();

    /** Bytes of memory that a run may take: what is free now, with a margin where others need some of it too. */
    default long freeBytes() {
        return Long.MAX_VALUE;
    }

    /** Copies the bytes between position and limit of a direct buffer to the start of {@code to}. */
    void upload(ByteBuffer from, Tensor to);

    /** Copies a tensor into a direct buffer from its position on, after all enqueued work. */
    void download(Tensor from, ByteBuffer to);

    /** Waits for all enqueued work. */
    void synchronize();

    /** Host memory for {@link #enqueueUpload} and {@link #enqueueDownload}. */
    HostBuffer hostBuffer(int bytes);

    /** Enqueues a copy of {@code to}'s bytes from {@code offset} of a host buffer on, and returns. */
    void enqueueUpload(HostBuffer from, int offset, Tensor to);

    /** Enqueues a copy of a tensor to the start of a host buffer, and returns. */
    void enqueueDownload(Tensor from, HostBuffer to);

    /** An event that is not set yet. */
    Event event();

    /**
     * Captures the operations that {@code step} calls, without running them. The graph repeats them with the addresses and
     * scalars they have now, so {@code step} must have run once as it is, and allocate, copy from or to the host and wait
     * for nothing: this throws.
     *
     * @throws DeviceException if something in {@code step} cannot be captured; nothing is left behind then
     */
    StepGraph capture(Runnable step);

    @Override
    void close();
}
