package trm.device;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * Host memory through which tensors of any size go to and from a device, piece by piece: a run has one, of
 * {@value #BYTES} bytes, for its checkpoints. Page-locked where that matters, freed by {@link #close()} and never by the
 * garbage collector. For one thread.
 */
public final class Staging implements AutoCloseable {
    /** Bytes of the buffer: a piece takes the disk milliseconds and the device's answer microseconds. */
    public static final int BYTES = 4 << 20;

    /** What a plan calls it where host memory is the device's. */
    public static final String PURPOSE = "staging";

    private final Backend backend;
    private final HostBuffer buffer;

    /** Takes pieces of a tensor. */
    @FunctionalInterface
    public interface Sink<E extends Exception> {
        /** @param piece bytes between position and limit; valid until this returns */
        void take(ByteBuffer piece) throws E;
    }

    /** @throws DeviceException when there is not enough host memory */
    public Staging(Backend backend) {
        this.backend = backend;
        buffer = backend.hostBuffer(BYTES);
    }

    /** Gives a tensor's bytes out in order, after all enqueued work. */
    public <E extends Exception> void download(Tensor from, Sink<E> to) throws E {
        for (long at = 0; at < from.bytes(); at += BYTES) {
            int count = (int) Math.min(BYTES, from.bytes() - at);
            backend.enqueueDownload(piece(from, at, count), buffer);
            backend.synchronize();
            to.take(buffer.bytes().clear().limit(count));
        }
    }

    /** Fills a tensor with bytes that lie one after the other in {@code from}; each part holds whole elements. */
    public void upload(List<ByteBuffer> from, Tensor to) {
        long all = from.stream().mapToLong(ByteBuffer::remaining).sum();
        if (all != to.bytes()) {
            throw new IllegalArgumentException(to + " has " + to.bytes() + " bytes, found " + all);
        }
        long at = 0;
        for (ByteBuffer part : from) {
            for (int done = 0; done < part.remaining(); ) {
                int count = Math.min(BYTES, part.remaining() - done);
                buffer.bytes().put(0, part, part.position() + done, count);
                backend.enqueueUpload(buffer, 0, piece(to, at, count));
                backend.synchronize();
                done += count;
                at += count;
            }
        }
    }

    private static Tensor piece(Tensor t, long fromByte, int bytes) {
        int width = t.dtype().bytes();
        return t.view(fromByte / width, bytes / width);
    }

    @Override
    public void close() {
        buffer.close();
    }
}
