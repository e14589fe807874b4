package trm.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntSupplier;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Output of all commands: messages on standard error, results on standard output. */
final class Cli {
    /** How a line begins that says what went wrong. */
    static final String ERROR = "trm: ";

    /** Where a result goes while standard output is for nothing else; null for standard output. */
    private static volatile PrintStream results;

    private Cli() {}

    /**
     * Runs a command whose JSON object is all that may reach standard output: what it prints for people goes to standard error.
     *
     * @return its exit code
     */
    static int withResultAlone(IntSupplier command) {
        PrintStream out = System.out;
        System.setOut(System.err);
        results = out;
        try {
            return command.getAsInt();
        } finally {
            results = null;
            System.setOut(out);
        }
    }

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

    /** A word of a command line, quoted where a shell would take it apart. */
    static String word(String text) {
        return text.matches("[-\\w./,=+:@]+") ? text : "'" + text.replace("'", "'\\''") + "'";
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

    /** The result of a command: one JSON object, the one line of standard output. */
    static void json(Map<String, ?> result) {
        PrintStream out = results == null ? System.out : results;
        try {
            out.println(new ObjectMapper().writeValueAsString(result));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("result is not JSON: " + e.getMessage(), e);
        }
        out.flush();
    }
}
