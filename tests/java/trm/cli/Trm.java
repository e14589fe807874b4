package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntSupplier;
import java.util.stream.Stream;
import trm.io.CheckpointStore;

/** The command line as tests call it, in this process, and files that many of them need. */
final class Trm {
    private Trm() {}

    /** What a command printed, and its exit code. */
    record Result(int code, String out, String err) {
        /** One message with these parts, no stack trace. */
        void assertFails(int expected, String... parts) {
            assertEquals(expected, code, err);
            for (String part : parts) {
                assertTrue(err.contains(part), "no '" + part + "' in: " + err);
            }
            assertFalse(err.contains("internal error") || err.contains("\tat "), err);
            assertEquals(1, err.lines().filter(line -> line.startsWith("trm: ")).count(), err);
        }

        Result assertDone() {
            assertEquals(0, code, err);
            return this;
        }

        /** What people read, wherever it is printed. */
        String text() {
            return out + err;
        }

        /** Standard output, which is one JSON object and nothing else. */
        JsonNode json() throws IOException {
            assertEquals(1, out.lines().count(), out);
            return new ObjectMapper().readTree(out);
        }
    }

    static Result execute(Object... args) {
        return printed(() -> Main.execute(Stream.of(args).map(Object::toString).toArray(String[]::new)));
    }

    /** What starts the command line in a process of its own, quickly, with so much heap. */
    static List<String> command(String heap, Object... args) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
                "-Xmx" + heap,
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName()));
        Stream.of(args).map(Object::toString).forEach(command::add);
        return command;
    }

    /** What a command that is called in another way prints. */
    static Result printed(IntSupplier command) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream newOut = new ByteArrayOutputStream();
        ByteArrayOutputStream newErr = new ByteArrayOutputStream();
        try {
            System.setOut(new PrintStream(newOut, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(newErr, true, StandardCharsets.UTF_8));
            int code = command.getAsInt();
            System.out.flush();
            System.err.flush();
            return new Result(code, newOut.toString(StandardCharsets.UTF_8), newErr.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
    }

    /** Settings of a tiny model for 4 x 4 puzzles: one epoch, batch 16. */
    static Path tinyConfig(Path file, Path data) throws IOException {
        return Files.writeString(
                file,
                String.join(
                        "\n",
                        "data_paths: ['" + data + "']",
                        "arch:",
                        "  hidden_size: 32",
                        "  num_heads: 4",
                        "  mlp_t: true",
                        "  pos_encodings: none",
                        "  H_cycles: 2",
                        "  L_cycles: 2",
                        "  L_layers: 1",
                        "  puzzle_emb_ndim: 0",
                        "  halt_max_steps: 3",
                        "  forward_dtype: float32",
                        "global_batch_size: 16",
                        "epochs: 1",
                        "threads: 2",
                        ""));
    }

    /** Copies a folder with all below it. */
    static Path copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Path target = to.resolve(from.relativize(file).toString());
                if (Files.isDirectory(file)) {
                    Files.createDirectories(target);
                } else {
                    Files.copy(file, target);
                }
            }
        }
        return to;
    }

    static Path checkpoint(Path run, long step) {
        return new CheckpointStore(run.resolve("checkpoints"), 1).path(step);
    }

    /** A copy of a run that ended, as if it had been killed after one of its checkpoints. */
    static Path killedAfter(long step, Path run, Path to) throws IOException {
        copy(run, to);
        for (Path file : new CheckpointStore(to.resolve("checkpoints"), 1).list()) {
            if (CheckpointStore.stepOf(file).orElseThrow() > step) {
                Files.delete(file);
            }
        }
        return to;
    }

    /** Rows of metrics.csv without the two columns of the clock at their end. */
    static List<String> metrics(Path run) throws IOException {
        return Files.readAllLines(run.resolve("metrics.csv")).stream()
                .map(line -> line.substring(0, line.lastIndexOf(',', line.lastIndexOf(',') - 1)))
                .toList();
    }

    /** The same weights, state and metrics at a step, byte for byte. */
    static void assertSameEnd(Path expected, Path run, long step) throws IOException {
        assertArrayEquals(Files.readAllBytes(checkpoint(expected, step)), Files.readAllBytes(checkpoint(run, step)));
        assertEquals(metrics(expected), metrics(run));
    }
}
