package trm.device;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;

/**
 * Host memory that a device copies from and to while the host goes on, page-locked where that matters. Little-endian,
 * zeroed, freed by {@link #close()} and never by the garbage collector. What an enqueued copy reads or writes is left
 * alone until an {@link Event} behind it is reached.
 */
public final class HostBuffer implements AutoCloseable {
    /** An address to make a buffer of. */
    private static final class Place extends Pointer {
        Place(long value) {
            address = value;
        }
    }

    private final ByteBuffer bytes;
    private final DeviceBuffer.Release release;
    private long address; // 0 once closed

    /** Of zeroed memory. */
    public HostBuffer(long address, int bytes, DeviceBuffer.Release release) {
        this.address = address;
        this.release = release;
        this.bytes = new BytePointer(new Place(address))
                .capacity(bytes)
                .asByteBuffer()
                .order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Ordinary memory of the host. */
    public static HostBuffer allocate(int bytes) {
        long address = NativeOps.trm_host_allocate(bytes);
        if (address == 0) {
            throw new DeviceException("no host memory: " + bytes + " bytes");
        }
        return new HostBuffer(address, bytes, NativeOps::trm_host_free);
    }

    /** The memory; its position and limit mean nothing to copies. */
    public ByteBuffer bytes() {
        address(0, 0);
        return bytes;
    }

    /** The address of a part that a copy reads or writes. */
    public long address(long offset, long count) {
        if (address == 0) {
            throw new IllegalStateException("a host buffer of " + bytes.capacity() + " bytes is closed");
        }
        if (offset < 0 || offset + count > bytes.capacity()) {
            throw new IllegalArgumentException(
                    count + " bytes from " + offset + " on exceed a host buffer of " + bytes.capacity());
        }
        return address + offset;
    }

    @Override
    public void close() {
        if (address != 0) {
            release.free(address);
            address = 0;
        }
    }
}
