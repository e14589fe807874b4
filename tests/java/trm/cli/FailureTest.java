package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;
import trm.input.InputException;

/** Whatever stops a command becomes one line. */
class FailureTest {
    static Stream<Arguments> errors() {
        return Stream.of(
                Arguments.of(new InputException("a.csv:3: found 'x'"), "a.csv:3: found 'x'"),
                Arguments.of(new StackOverflowError(), "out of stack: what was read is nested too deeply"),
                Arguments.of(
                        new OutOfMemoryError("Java heap space"),
                        "out of memory: Java heap space, the Java heap may take"),
                Arguments.of(
                        new OutOfMemoryError("Cannot reserve 9 bytes of direct buffer memory (allocated: 1, limit: 5)"),
                        "out of memory outside the Java heap: Cannot reserve 9 bytes of direct"),
                Arguments.of(
                        new InternalError(
                                "a fault occurred in a recent unsafe memory access operation in compiled Java code"),
                        "a file could not be read to its end: it became shorter while it was in use, or its disk failed"),
                Arguments.of(
                        new NoClassDefFoundError("trm/X"),
                        "a part of the program or a library that it needs cannot be loaded: "),
                Arguments.of(
                        new ExceptionInInitializerError(new IllegalStateException("no libx.so")),
                        "cannot be loaded: java.lang.IllegalStateException: no libx.so"),
                Arguments.of(
                        new UncheckedIOException(new AccessDeniedException("/a/b")),
                        "/a/b: cannot be read or written: permission denied"),
                Arguments.of(
                        new UncheckedIOException(new IOException("bad\nsector")),
                        "cannot be read or written: bad\\nsector"),
                Arguments.of(
                        new InvalidPathException("a\0b", "Nul character not allowed"),
                        "'a\\u0000b' is no name of a file: it has a character NUL"),
                Arguments.of(
                        new IllegalStateException("x\ny"),
                        "internal error: java.lang.IllegalStateException: x\\ny (a fault of the program: please report it with"
                                + " what --verbose prints)"),
                Arguments.of(
                        new AssertionError("x"),
                        "internal error: java.lang.AssertionError: x (a fault of the program"));
    }

    @ParameterizedTest
    @MethodSource("errors")
    void oneLine(Throwable error, String expected) {
        String line = Failure.describe(error);
        assertTrue(line.contains(expected), line);
        assertFalse(line.chars().anyMatch(Character::isISOControl), line);
    }

    // ---- as Java throws them ----

    private static int depth(int n) {
        return depth(n + 1) + 1;
    }

    private static String thrownBy(Runnable work) {
        try {
            work.run();
        } catch (Throwable error) {
            return Failure.describe(error);
        }
        throw new AssertionError("nothing was thrown");
    }

    @Test
    void stackAndMemory() {
        assertTrue(thrownBy(() -> depth(0)).startsWith("out of stack: "));
        assertTrue(thrownBy(() -> {
                    List<long[]> all = new ArrayList<>();
                    while (all.size() < 1000) {
                        all.add(new long[Integer.MAX_VALUE]);
                    }
                })
                .startsWith("out of memory: "));
        String direct = thrownBy(() -> {
            List<ByteBuffer> all = new ArrayList<>();
            while (all.size() < 100_000) {
                all.add(ByteBuffer.allocateDirect(Integer.MAX_VALUE));
            }
        });
        assertTrue(direct.startsWith("out of memory outside the Java heap: "), direct);
    }

    /** A mapped file that another program cuts off. */
    @Test
    void fileThatBecomesShorter(@TempDir Path temp) throws IOException {
        Path path = temp.resolve("cut");
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(1 << 20);
            MappedByteBuffer map = file.getChannel().map(FileChannel.MapMode.READ_ONLY, 0, 1 << 20);
            file.setLength(0);
            String line = thrownBy(() -> {
                byte[] all = new byte[1 << 20];
                map.get(0, all);
                Thread.yield();
            });
            assertTrue(line.startsWith("a file could not be read to its end"), line);
        }
    }

    /** A command that throws what is no exception. */
    @CommandLine.Command(name = "overflow")
    static final class Overflow implements Runnable {
        @Override
        public void run() {
            depth(0);
        }
    }

    @Test
    void errorOfACommand() {
        Trm.Result result = Trm.printed(() -> {
            CommandLine line = Main.commandLine();
            line.addSubcommand(new Overflow());
            return Main.execute(line, "overflow");
        });
        result.assertFails(1, "trm: out of stack: ");
        assertEquals(1, result.err().lines().count(), result.err());
    }
}
