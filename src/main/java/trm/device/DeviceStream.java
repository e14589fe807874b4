package trm.device;

/**
 * How the calls of a backend reach its device.
 *
 * @param handle the device's stream, 0 where calls finish before they return
 * @param stickyError what the backend's other calls check too; null where an error has no effect on later calls
 * @param barrier waits for the device; null where calls finish before they return
 * @param waiting whether to wait after each call: slow, but an error then names its operation and operands. A profile
 *     waits too
 * @param capture what the backend's other calls look at too
 */
public record DeviceStream(long handle, StickyError stickyError, Barrier barrier, boolean waiting, Capture capture) {
    /** Waits for a device. */
    @FunctionalInterface
    public interface Barrier {
        /** Waits for all enqueued work; the library's text when some of it failed, else null. */
        String await();
    }

    /** Of a backend whose calls finish before they return. */
    public static DeviceStream synchronous() {
        return new DeviceStream(0, null, null, false, new Capture());
    }
}
