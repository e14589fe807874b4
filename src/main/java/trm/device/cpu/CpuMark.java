package trm.device.cpu;

import trm.device.Mark;
import trm.device.Recording;

/** Work has been done when it is enqueued, so every mark is reached at once. */
final class CpuMark implements Mark {
    private final Recording recording;
    private long nanos;

    CpuMark(Recording recording) {
        this.recording = recording;
    }

    @Override
    public void set() {
        recording.refuse("a mark");
        nanos = System.nanoTime();
    }

    @Override
    public boolean reached() {
        recording.refuse("a question for a mark");
        return true;
    }

    @Override
    public void await() {
        recording.refuse("a wait for a mark");
    }

    @Override
    public double millisecondsSince(Mark earlier) {
        return (nanos - ((CpuMark) earlier).nanos) * 1e-6;
    }

    @Override
    public void close() {
        // holds nothing
    }
}
