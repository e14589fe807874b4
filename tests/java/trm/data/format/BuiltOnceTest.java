package trm.data.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.input.DataException;

class BuiltOnceTest {
    @TempDir
    private Path temp;

    private static void write(Path folder, String text) {
        try {
            Files.writeString(folder.resolve("file"), text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(temp)) {
            return files.map(file -> file.getFileName().toString()).toList();
        }
    }

    @Test
    void onceIsEnough() throws IOException {
        Path out = temp.resolve("data");
        assertTrue(BuiltOnce.folder(out, folder -> write(folder, "first")));
        assertFalse(BuiltOnce.folder(out, folder -> write(folder, "second")));
        assertEquals("first", Files.readString(out.resolve("file")));
        assertEquals(List.of("data"), names());
    }

    /** While one builds, another builds the same and is done before: the slower one takes what is there. */
    @Test
    void theFasterOfTwoMakesIt() throws IOException {
        Path out = temp.resolve("data");
        boolean made = BuiltOnce.folder(out, folder -> {
            assertTrue(BuiltOnce.folder(out, other -> write(other, "faster")));
            write(folder, "slower");
        });
        assertFalse(made);
        assertEquals("faster", Files.readString(out.resolve("file")));
        assertEquals(List.of("data"), names());
    }

    @Test
    void whatFailsLeavesNothing() throws IOException {
        Path out = temp.resolve("data");
        assertThrows(
                IllegalStateException.class,
                () -> BuiltOnce.folder(out, folder -> {
                    write(folder, "half");
                    throw new IllegalStateException("no more");
                }));
        assertEquals(List.of(), names());
        Files.writeString(temp.resolve("taken"), "a file");
        Path taken = temp.resolve("taken");
        DataException refused =
                assertThrows(DataException.class, () -> BuiltOnce.folder(taken, folder -> write(folder, "data")));
        assertTrue(refused.getMessage().contains(taken + ": cannot be written"), refused.getMessage());
        assertEquals(List.of("taken"), names());
    }
}
