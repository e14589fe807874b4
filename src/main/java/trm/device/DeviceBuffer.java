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
    private final DeviceBuffer whole; // null unless this is a part of it
    private long address; // 0 once closed; of a part: the offset

    public DeviceBuffer(String name, long address, long bytes, Release release) {
        this(name, address, bytes, release, null);
    }

    private DeviceBuffer(String name, long address, long bytes, Release release, DeviceBuffer whole) {
        this.name = name;
        this.address = address;
        this.bytes = bytes;
        this.release = release;
        this.whole = whole;
    }

    /** A part with a name of its own. It owns nothing: it is open as long as the whole is. */
    DeviceBuffer part(String partName, long offset, long partBytes) {
        if (offset < 0 || partBytes < 0 || offset > bytes - partBytes) {
            throw new IllegalArgumentException("part '" + partName + "' of " + partBytes + " bytes at byte " + offset
                    + " exceeds '" + name + "' of " + bytes + " bytes");
        }
        return new DeviceBuffer(partName, offset, partBytes, null, this);
    }

    public String name() {
        return name;
    }

    public long bytes() {
        return bytes;
    }

    long address() {
        if (whole != null) {
            return whole.address() + address;
        }
        if (address == 0) {
            throw new IllegalStateException("buffer '" + name + "' of " + bytes + " bytes is closed");
        }
        return address;
    }

    @Override
    public void close() {
        if (whole == null && address != 0) {
            release.free(address);
            address = 0;
        }
    }
}
