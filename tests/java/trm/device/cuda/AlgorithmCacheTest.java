package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AlgorithmCacheTest {
    private static final long[] WORDS = {Long.MIN_VALUE, -1, 0, 1, Long.MAX_VALUE, 42, 0x1234567890abcdefL, 7};

    @TempDir
    private Path temp;

    private final List<String> messages = new ArrayList<>();

    private AlgorithmCache open(Path file) {
        return new AlgorithmCache(file, messages::add);
    }

    @Test
    void whatIsPutIsReadAgain() throws IOException {
        Path file = temp.resolve("new/folder/cache.json");
        AlgorithmCache cache = open(file);
        assertNull(cache.get("a"));
        cache.put("a", WORDS);
        cache.put("b", new long[8]);
        AlgorithmCache again = open(file);
        assertArrayEquals(WORDS, again.get("a"));
        assertArrayEquals(new long[8], again.get("b"));
        assertNull(again.get("c"));
        assertEquals(List.of(), messages);
        try (Stream<Path> files = Files.list(file.getParent())) {
            assertEquals(1, files.count(), "temporary files");
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "{",
                "[]",
                "{\"format\": 2, \"algorithms\": {}}",
                "{\"format\": 1}",
                "{\"format\": 1, \"algorithms\": {\"a\": [1, 2]}}",
                "{\"format\": 1, \"algorithms\": {\"a\": [1,2,3,4,5,6,7,99999999999999999999]}}",
                "{\"format\": 1, \"algorithms\": {\"a\": [1,2,3,4,5,6,7,0.5]}}",
                "{\"format\": 1, \"algorithms\": {\"b\": [1,2,3,4,5,6,7,8], \"a\": null}}"
            })
    void aDamagedFileIsToldOfOnceAndReplaced(String text) throws IOException {
        Path file = Files.writeString(temp.resolve("cache.json"), text);
        AlgorithmCache cache = open(file);
        assertNull(cache.get("a"));
        assertNull(cache.get("b"));
        assertEquals(1, messages.size(), messages.toString());
        assertTrue(
                messages.get(0).startsWith("algorithms in " + file + " are ignored and measured again: "),
                messages.get(0));
        cache.put("a", WORDS);
        assertArrayEquals(WORDS, open(file).get("a"));
        assertEquals(1, messages.size(), messages.toString());
    }

    /** A file where the folder should be: nothing can be written, once told, and nothing fails. */
    @Test
    void whatCannotBeWritten() throws IOException {
        Path file = Files.writeString(temp.resolve("occupied"), "").resolve("cache.json");
        AlgorithmCache cache = open(file);
        cache.put("a", WORDS);
        cache.put("b", WORDS);
        assertArrayEquals(WORDS, cache.get("a"));
        assertEquals(1, messages.size(), messages.toString());
        assertTrue(messages.get(0).startsWith("algorithms are not kept in " + file + ": "), messages.get(0));
    }

    @Test
    void names() {
        assertEquals(Path.of("/x/trm"), AlgorithmCache.folder("/x", "/home/u"));
        for (String none : new String[] {null, "", "relative"}) {
            assertEquals(Path.of("/home/u/.cache/trm"), AlgorithmCache.folder(none, "/home/u"));
        }
        assertEquals(
                "cublaslt-130101-driver-13000-NVIDIA-H100-80GB-HBM3.json",
                AlgorithmCache.fileName("NVIDIA H100/80GB HBM3", 130101, 13000));
    }
}
