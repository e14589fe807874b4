package trm.data;

/**
 * A fault in the user's data or arguments. The message names the file, the line or key, what was found and what was
 * expected.
 */
public class DataException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public DataException(String message) {
        super(message);
    }

    public DataException(String message, Throwable cause) {
        super(message, cause);
    }
}
