package trm.device;

/**
 * The first error of a device after which it cannot go on, as CUDA's sticky errors. What the device holds then cannot
 * be trusted, and most of its calls fail with errors that say nothing of the cause; so every later call is refused with the text of the first. Used by one thread.
 */
public final class StickyError {
    private final String device;
    private String first; // null while there is none

    /** @param device its name, for messages */
    public StickyError(String device) {
        this.device = device;
    }

    /** @throws DeviceException with the first error's text, if there was one */
    public void check() {
        if (first != null) {
            throw new DeviceException(device + " can no longer be used after: " + first);
        }
    }

    /** Keeps the text if it is the first; the caller throws what this returns. */
    public DeviceException raise(String text) {
        if (first == null) {
            first = text;
        }
        return new DeviceException(text);
    }
}
