package trm.device.cpu;

import trm.device.Event;
import trm.device.Recording;

/** Work has been done when it is enqueued, so every event is reached at once. */
final class CpuEvent implements Event {
    private final Recording recording;
    private long nanos;

    CpuEvent(Recording recording) {
        this.recording = recording;
    }

    @Override
    public void set() {
        recording.refuse("an event");
        nanos = System.nanoTime();
    }

    @Override
    public boolean reached() {
        recording.refuse("a question for an event");
        return true;
    }

    @Override
    public void await() {
        recording.refuse("a wait for an event");
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
