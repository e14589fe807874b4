package trm.data;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.Fuzz;

/** Any file as JSON and JSON Lines of puzzles. */
@Tag("fuzz")
class OwnJsonFuzzTest {
    private static final List<String> TOKENS = List.of(
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\\ud800",
            "\\u0000",
            "null",
            "true",
            "\n",
            "{\"question\":",
            "\"answer\":",
            "[[",
            "]]",
            "\ufeff",
            "\"rating\":1e5,",
            "-0",
            "1.0",
            "/*",
            "'");

    @TempDir
    private Path dir;

    @Test
    void json() throws IOException {
        List<byte[]> seeds = Stream.of(
                        "[{\"question\":[[0,2],[1,0]],\"answer\":[[1,2],[1,1]]},{\"question\":[[2,0],[0,1]],\"answer\":[[2,1],[1,1]]}]",
                        "{\"question\":[[0,2]],\"answer\":[[1,2]]}\n{\"question\":[[2,0]],\"answer\":[[2,1]]}\n",
                        "\ufeff{\"puzzle\":\"..X\",\"solution\":\"OXX\",\"rating\":2.5,\"source\":null,\"x\":{\"y\":[1,{}]}}\r\n",
                        "[{\"question\":[\"###\",\"S G\",\"###\"],\"answer\":\"###SoG###\"}]",
                        "[{\"question\":[[\"1\",\".\"],[\".\",\"2\"]],\"answer\":[[\"1\",\"2\"],[\"2\",\"1\"]]}]",
                        "{\"question\":[0,1,2],\"answer\":[1,1,2]}")
                .map(text -> text.getBytes(StandardCharsets.UTF_8))
                .toList();
        Path path = dir.resolve("t");
        Fuzz.run("own-json", seeds, TOKENS, input -> {
            Files.write(path, input);
            TableFuzzTest.readAll(path);
        });
    }
}
