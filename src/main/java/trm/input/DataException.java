package trm.input;

/**
 * A fault in the user's data or arguments. The message names the file, the line or key, what was found and what was
 * expected.
 */
public class DataException extends InputException {
    private static final long serialVersionUID = 1L;

    public DataException(String message) {
        super(message);
    }

    public DataException(String message, Throwable cause) {
        super(message, cause);
    }
}
