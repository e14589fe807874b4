package trm.device.cuda;

import java.util.ArrayList;
import java.util.List;
import trm.device.Capture;
import trm.device.DeviceException;

/**
 * Device memory for what lives within one call. A larger wish gets a larger block; the earlier ones stay until the end,
 * because a captured graph names their addresses.
 */
final class Workspace implements AutoCloseable {
    private final String name;
    private final Capture capture;
    private final List<Long> blocks = new ArrayList<>();
    private long bytes; // of the last block

    /**
     * @param name for messages
     * @param capture while it is active, nothing is allocated
     */
    Workspace(String name, Capture capture) {
        this.name = name;
        this.capture = capture;
    }

    /** Bytes up to the next place where something else may begin. */
    static long align(long bytes) {
        return (bytes + 255) / 256 * 256;
    }

    /**
     * The address of at least so many bytes, the same until a larger wish.
     *
     * @throws DeviceException if there is no such memory
     */
    long reserve(long wanted) {
        if (wanted > bytes) {
            capture.refuse("allocation of ", name);
            long address = CudaBackend.allocate(wanted);
            if (address == 0) {
                throw new DeviceException("no memory on the device for " + name + ": " + wanted + " bytes");
            }
            blocks.add(address);
            bytes = wanted;
        }
        return blocks.isEmpty() ? 0 : blocks.get(blocks.size() - 1);
    }

    @Override
    public void close() {
        blocks.forEach(CudaBackend::free);
        blocks.clear();
        bytes = 0;
    }
}
