package trm.input;

/**
 * What the user gave is at fault: a file, a line, a key, an argument. The message is one line for people: it names the place,
 * what was found and what was expected. Text of a file in it is shown by {@link Shown}; what has slipped past that (control
 * characters, whole lines) is escaped and cut here, so that no file writes on the user's terminal.
 */
public class InputException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public InputException(String message) {
        super(Shown.line(message));
    }

    public InputException(String message, Throwable cause) {
        super(Shown.line(message), cause);
    }
}
