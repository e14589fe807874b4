package trm.device;

/** A point in a device's work, which the host can ask about or wait for. Closed by whoever asked for it. */
public interface Mark extends AutoCloseable {
    /** Puts the mark behind everything enqueued so far. */
    void set();

    /** Whether the device has come to it; true for a mark that was never set. */
    boolean reached();

    /** Returns when the device has come to it, at once for a mark that was never set. */
    void await();

    /** The device's time from {@code earlier} to this mark, in milliseconds; both have been set and reached. */
    double millisecondsSince(Mark earlier);

    @Override
    void close();
}
