package trm.device;

/** One allocation on one device, zeroed, freed by {@link #close()} and never by the garbage collector. */
public final class DeviceBuffer implements AutoCloseable {
    /** Gives memory back to the device it came from. */
    @FunctionalInterface
    public interface Release {
        void free(long address);
    }

    private final String name;
    private final long bytes;
    private final Release release;
    private long address; // 0 once closed

    public DeviceBuffer(String name, long address, long bytes, Release release) {
        this.name = name;
        this.address = address;
        this.bytes = bytes;
        this.release = release;
    }

    public String name() {
        return name;
    }

    public long bytes() {
        return bytes;
    }

    long address() {
        if (address == 0) {
            throw new IllegalStateException("buffer '" + name + "' of " + bytes + " bytes is closed");
        }
        return address;
    }

    @Override
    public void close() {
        if (address != 0) {
            release.free(address);
            address = 0;
        }
    }
}
