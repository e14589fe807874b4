package trm.train;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import trm.device.Arena;
import trm.device.Dtype;
import trm.device.HostBuffer;
import trm.device.Purpose;
import trm.device.Staging;
import trm.device.Tensor;
import trm.io.SafeTensorsWriter;

/**
 * What a checkpoint holds, copied to the host, so that a training goes on while the file is written. Where device memory is the
 * host's, the copy is part of the arena, and so of the plan; elsewhere it is taken when it is first needed. It is kept from one
 * checkpoint to the next, which ask for the same tensors in the same order.
 *
 * <p>Filled by the thread that trains; then read by one other, until {@link #begin()}.
 */
final class CheckpointCopy implements AutoCloseable {
    private final Staging staging;
    private final Tensor room; // null where device memory is not the host's
    private final List<HostBuffer> buffers = new ArrayList<>();
    private int used; // of them
    private long bytes; // in them

    /**
     * @param arena asked for memory if it is the host's
     * @param bytes of all tensors of a checkpoint
     */
    CheckpointCopy(Arena arena, boolean onHost, Staging staging, long bytes) {
        this.staging = staging;
        room = onHost ? arena.tensor(Purpose.CHECKPOINT, "copy for checkpoints", Dtype.U8, Math.max(1, bytes)) : null;
    }

    /** Forgets what was copied. */
    void begin() {
        used = 0;
        bytes = 0;
    }

    /** Bytes of one tensor, copied. */
    final class Copied implements SafeTensorsWriter.Source {
        private final List<ByteBuffer> pieces = new ArrayList<>();

        /** Adds a tensor's bytes to those that are there. */
        void add(Tensor tensor) {
            staging.download(
                    tensor,
                    piece -> pieces.add(buffer(piece.remaining())
                            .bytes()
                            .duplicate()
                            .clear()
                            .put(piece)
                            .flip()));
        }

        @Override
        public void writeTo(SafeTensorsWriter.Sink out) throws IOException {
            for (ByteBuffer piece : pieces) {
                out.take(piece.duplicate());
            }
        }
    }

    /** No bytes yet. */
    Copied empty() {
        return new Copied();
    }

    /** A tensor's bytes. */
    Copied of(Tensor tensor) {
        Copied copied = empty();
        copied.add(tensor);
        return copied;
    }

    /** Bytes that the last copies take. */
    long bytes() {
        return bytes;
    }

    private HostBuffer buffer(int count) {
        if (used == buffers.size()) {
            buffers.add(room == null ? HostBuffer.allocate(count) : part(count));
        }
        HostBuffer buffer = buffers.get(used++);
        bytes += count;
        if (buffer.bytes().capacity() < count) {
            throw new IllegalStateException("a checkpoint holds other tensors than the one before");
        }
        return buffer;
    }

    private HostBuffer part(int count) {
        return new HostBuffer(room.view(bytes, count).address(), count, address -> {});
    }

    @Override
    public void close() {
        buffers.forEach(HostBuffer::close);
        buffers.clear();
        begin();
    }
}
