package trm.device;

import java.util.ArrayList;
import java.util.List;

/**
 * Whether a device is capturing a step, and what that step calls. A captured graph holds operations with the addresses and
 * scalars they had; what it could not repeat is refused: memory, copies from or to the host, waiting. Used by one thread.
 */
public final class Capture {
    private List<Call> calls; // null while nothing is captured

    /**
     * A captured call, for messages.
     *
     * @param text operation and operands
     * @param table of the library that makes it, whose last error a failure is
     */
    public record Call(String text, NativeOps.Table table) {
        /** What has failed, and why. */
        public String failure() {
            return text + ": " + table.last_error().getString();
        }
    }

    /** Runs a step whose calls are being captured; what it called, in order. */
    List<Call> of(Runnable step) {
        List<Call> found = new ArrayList<>();
        calls = found;
        try {
            step.run();
        } finally {
            calls = null;
        }
        return found;
    }

    public boolean active() {
        return calls != null;
    }

    void add(String text, NativeOps.Table table) {
        calls.add(new Call(text, table));
    }

    /** @throws DeviceException if a step is being captured; the text begins with {@code what} */
    public void refuse(String what) {
        refuse(what, "");
    }

    /** As {@link #refuse(String)}; the text begins with {@code what} and {@code subject}. */
    public void refuse(String what, Object subject) {
        if (calls != null) {
            throw new DeviceException(what + subject + " within a captured step, after " + calls.size()
                    + " operations: a captured graph repeats operations with the addresses and scalars they had; it cannot"
                    + " allocate, wait, or copy from or to the host");
        }
    }
}
