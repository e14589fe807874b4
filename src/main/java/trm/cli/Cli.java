package trm.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Map;

/** Output of all commands: messages on standard error, results on standard output. */
final class Cli {
    private Cli() {}

    /** A line for people. */
    static void message(String text) {
        System.err.println(text);
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
