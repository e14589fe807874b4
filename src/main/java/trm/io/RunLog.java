package trm.io;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.encoder.PatternLayoutEncoder;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.FileAppender;
import java.nio.file.Path;
import org.slf4j.LoggerFactory;

/**
 * The log of a run: while it is open, what the program logs goes to {@code log.txt} in the run's folder, line by line,
 * each with the time. Lines already there stay. One run of a process at a time.
 */
public final class RunLog implements AutoCloseable {
    public static final String FILE = "log.txt";

    private static final String LINE = "%date{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %-5level %message%n";

    private final Path file;
    private final Logger logger;
    private final PatternLayoutEncoder encoder = new PatternLayoutEncoder();
    private final FileAppender<ILoggingEvent> appender = new FileAppender<>();

    /** @throws FormatException if the file cannot be written */
    public RunLog(Path folder) {
        file = folder.resolve(FILE);
        LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
        encoder.setContext(context);
        encoder.setPattern(LINE);
        encoder.start();
        appender.setContext(context);
        appender.setEncoder(encoder);
        appender.setFile(file.toString());
        appender.start();
        if (!appender.isStarted()) {
            throw new FormatException(file + ": the log cannot be opened for writing");
        }
        logger = context.getLogger("trm");
        logger.setLevel(Level.INFO);
        logger.addAppender(appender);
    }

    public Path file() {
        return file;
    }

    @Override
    public void close() {
        logger.detachAppender(appender);
        appender.stop();
        encoder.stop();
    }
}
