package trm.io;

/** A run's folder is being written by another process, or by another run of this one. */
public final class HeldException extends FormatException {
    private static final long serialVersionUID = 1L;

    HeldException(String message) {
        super(message);
    }
}
