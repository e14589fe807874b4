package trm.device.cuda;

import java.util.ArrayList;
import java.util.List;
import trm.device.DeviceException;

/**
 * Device memory for what lives within one call. A larger wish gets a larger block; the earlier ones stay until the end,
 * because a recorded graph names their addresses.
 */
final class Workspace implements AutoCloseable {
    private final String name;
    private final List<Long> blocks = new ArrayList<>();
    private long bytes; // of the last block

    /** @param name for messages */
    Workspace(String name) {
        this.name = name;
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
