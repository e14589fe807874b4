package trm.io;

/**
 * A file is not what it should be, or could not be read or written. The message is meant for the user: it names the
 * file, the tensor or key where there is one, what was found and what was expected.
 */
public class FormatException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public FormatException(String message) {
        super(message);
    }

    public FormatException(String message, Throwable cause) {
        super(message, cause);
    }
}
