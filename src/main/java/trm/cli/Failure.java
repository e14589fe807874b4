package trm.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import trm.config.MemorySize;
import trm.device.DeviceException;
import trm.input.InputException;
import trm.input.Shown;
import trm.io.FormatException;

/** What a command says of what stopped it: one line, also of errors that are not exceptions. */
final class Failure {
    private Failure() {}

    static String describe(Throwable error) {
        return Shown.line(text(error));
    }

    private static String text(Throwable error) {
        if (error instanceof InputException && error.getCause() instanceof InvalidPathException path) {
            return error.getMessage() + ": " + FileNames.describe(path);
        }
        if (error instanceof InputException || error instanceof DeviceException) {
            return error.getMessage();
        }
        if (error instanceof UncheckedIOException unchecked) {
            return io(unchecked.getCause());
        }
        if (error instanceof IOException failed) {
            return io(failed);
        }
        if (error instanceof InvalidPathException path) {
            return FileNames.describe(path);
        }
        if (error instanceof Error) {
            return ofTheMachine((Error) error);
        }
        return "internal error: " + error + " (a fault of the program: please report it with what --verbose prints)";
    }

    private static String io(IOException e) {
        String file = e instanceof FileSystemException f && f.getFile() != null ? f.getFile() + ": " : "";
        return file + "cannot be read or written: " + FormatException.reason(e);
    }

    /** Errors that Java itself throws. */
    private static String ofTheMachine(Error error) {
        String message = error.getMessage() == null ? "" : error.getMessage();
        if (error instanceof StackOverflowError) {
            return "out of stack: what was read is nested too deeply (TRM_JAVA_OPTS=-Xss16m gives more)";
        }
        if (error instanceof OutOfMemoryError) {
            return message.contains("direct")
                    ? "out of memory outside the Java heap: " + message
                            + " (TRM_JAVA_OPTS=-XX:MaxDirectMemorySize=8g gives more)"
                    : "out of memory: " + message + ", the Java heap may take "
                            + MemorySize.text(Runtime.getRuntime().maxMemory()) + " (TRM_JAVA_OPTS=-Xmx8g gives more)";
        }
        if (error instanceof LinkageError) {
            return "a part of the program or a library that it needs cannot be loaded: "
                    + (error.getCause() == null ? error : rootCause(error));
        }
        if (error instanceof InternalError && message.contains("unsafe memory access")) {
            return "a file could not be read to its end: it became shorter while it was in use, or its disk failed";
        }
        return "internal error: " + error + " (a fault of the program: please report it with what --verbose prints)";
    }

    private static Throwable rootCause(Throwable error) {
        Throwable cause = error;
        for (int i = 0; i < 100 && cause.getCause() != null; i++) {
            cause = cause.getCause();
        }
        return cause;
    }
}
