package trm.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/** Lines of a process that this one has started, on this one's streams, each with its number in front. */
final class ChildLines {
    private ChildLines() {}

    /** A thread that copies them until there are no more. @param seen told of each, without the number */
    static Thread copy(int number, InputStream from, PrintStream to, Consumer<String> seen) {
        Thread thread = new Thread(
                () -> {
                    try (BufferedReader lines =
                            new BufferedReader(new InputStreamReader(from, StandardCharsets.UTF_8))) {
                        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                            to.println("[" + number + "] " + line);
                            seen.accept(line);
                        }
                    } catch (IOException e) {
                        Cli.message("process " + number + ": its lines cannot be read: " + e.getMessage());
                    }
                },
                "lines of process " + number);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }
}
