package trm.device;

import java.util.Map;

/** Gives memory of a device, or of one that is only planned for: all that an {@link Arena} needs. */
public interface Allocator {
    /** Zeroed memory. @throws DeviceException when there is not enough */
    DeviceBuffer allocate(String name, long bytes);

    /** Bytes that a run takes on the device besides its {@link Arena}, by what for. */
    default Map<String, Long> overheadBytes() {
        return Map.of();
    }

    /** Whether the device's memory is the host's. */
    default boolean isOnHost() {
        return overheadBytes().containsKey(Staging.PURPOSE);
    }
}
