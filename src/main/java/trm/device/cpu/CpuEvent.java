package trm.device.cpu;

import trm.device.Capture;
import trm.device.Event;

/** Work has been done when it is enqueued, so every event is reached at once. */
final class CpuEvent implements Event {
    private final Capture capture;
    private long nanos;

    CpuEvent(Capture capture) {
        this.capture = capture;
    }

    @Override
    public void set() {
        capture.refuse("an event");
        nanos = System.nanoTime();
    }

    @Override
    public boolean reached() {
        capture.refuse("a question for an event");
        return true;
    }

    @Override
    public void await() {
        capture.refuse("a wait for an event");
    }

    @Override
    public double millisecondsSince(Event earlier) {
        return (nanos - ((CpuEvent) earlier).nanos) * 1e-6;
    }

    @Override
    public void close() {
        // holds nothing
    }
}
