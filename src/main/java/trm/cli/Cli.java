package trm.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Output of all commands: messages on standard error, results on standard output. */
final class Cli {
    /** How a line begins that says what went wrong. */
    static final String ERROR = "trm: ";

    private Cli() {}

    /** A line for people. */
    static void message(String text) {
        System.err.println(text);
    }

    /** A file or folder of the project in the installation, else in the current folder. */
    static Optional<Path> installed(Path relative) {
        return Stream.of(System.getProperty("trm.home", ""), "")
                .map(home -> Path.of(home).resolve(relative))
                .filter(Files::exists)
                .findFirst();
    }

    /** What went wrong. */
    static void error(String text) {
        message(ERROR + text);
    }

    /** An option's value must be at least {@code least}. @throws ParameterException otherwise: wrong usage */
    static void atLeast(CommandSpec spec, String option, long value, long least) {
        if (value < least) {
            throw new ParameterException(spec.commandLine(), option + " " + value + ": expected at least " + least);
        }
    }

    /** An option's value must lie in a range. @throws ParameterException otherwise: wrong usage */
    static void within(CommandSpec spec, String option, long value, long least, long most) {
        atLeast(spec, option, value, least);
        if (value > most) {
            throw new ParameterException(spec.commandLine(), option + " " + value + ": expected at most " + most);
        }
    }

    /** The result of a command: one JSON object as the last line of standard output. */
    static void json(Map<String, ?> result) {
        try {
            System.out.println(new ObjectMapper().writeValueAsString(result));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("result is not JSON: " + e.getMessage(), e);
        }
        System.out.flush();
    }
}
