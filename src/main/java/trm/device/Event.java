package trm.device;

/** A point in a device's work, which the host can ask about or wait for. Closed by whoever asked for it. */
public interface Event extends AutoCloseable {
    /** Puts the event behind everything enqueued so far. */
    void set();

    /** Whether the device has come to it; true for an event that was never set. */
    boolean reached();

    /** Returns when the device has come to it, at once for an event that was never set. */
    void await();

    /** The device's time from {@code earlier} to this event, in milliseconds; both have been set and reached. */
    double millisecondsSince(Event earlier);

    @Override
    void close();
}
