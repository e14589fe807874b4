package trm.data.arc;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.Fuzz;

/** Task files, and files of challenges and solutions: any text gives tasks or one refusal. */
@Tag("fuzz")
class ArcJsonFuzzTest {
    private static final String TASK = "{\"train\": [{\"input\": [[1, 2], [3, 4]], \"output\": [[5]]},"
            + " {\"input\": [[0]], \"output\": [[9, 9, 9]]}], \"test\": [{\"input\": [[6]], \"output\": [[7]]}]}";
    private static final List<String> WORDS = List.of(
            "{",
            "}",
            "[",
            "]",
            "null",
            "true",
            "1.0",
            "3e0",
            "\"train\"",
            "\"test\": []",
            "\"input\":",
            "\"output\": null",
            "\"name\": \"t\",",
            "\u0000",
            "\ufeff",
            "\"\\u0000\"",
            "[[0]],",
            "\"<blank>\"",
            "|||",
            "[[[[[[[[",
            "\\\\ud800");

    @TempDir
    private Path dir;

    @Test
    void taskFiles() throws IOException {
        Path folder = Files.createDirectories(dir.resolve("tasks"));
        Path file = folder.resolve("a.json");
        Fuzz.run(
                "arc-task",
                List.of(bytes(TASK), bytes("[" + TASK + "]"), bytes(TASK.replace("[[7]]", "null")), packed(TASK)),
                WORDS,
                input -> {
                    Files.write(file, input);
                    ArcFiles.read(folder.toString(), "tasks", true, note -> {});
                });
    }

    /** The first half of an input is the challenges' file, the other one the solutions'; a task read can be built from. */
    @Test
    void challengesAndSolutions() throws IOException {
        String challenges = "{\"a\": " + TASK + ", \"b\": " + TASK + "}";
        String solutions = "{\"a\": [[[1]]], \"b\": [[[2, 3]]]}";
        Fuzz.run(
                "arc-challenges",
                List.of(
                        bytes(challenges + "\n" + solutions),
                        bytes(challenges.replace(", \"output\": [[7]]", "") + "\n" + solutions),
                        bytes(challenges + "\n")),
                WORDS,
                input -> {
                    String text = new String(input, StandardCharsets.ISO_8859_1);
                    int cut = text.indexOf('\n') < 0 ? text.length() : text.indexOf('\n');
                    Files.write(dir.resolve("x_s_challenges.json"), bytes(text.substring(0, cut)));
                    if (cut + 1 < text.length()) {
                        Files.write(dir.resolve("x_s_solutions.json"), bytes(text.substring(cut + 1)));
                    } else {
                        Files.deleteIfExists(dir.resolve("x_s_solutions.json"));
                    }
                    for (ArcTask task : ArcFiles.read(dir.resolve("x").toString(), "s", true, note -> {})) {
                        int[] field = new int[ArcTokens.TOKENS];
                        for (ArcTask.Pair pair : task.inFileOrder()) {
                            ArcTokens.put(pair.input(), 0, 0, field);
                            ArcTokens.put(pair.output(), 0, 0, field);
                        }
                    }
                });
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static byte[] packed(String text) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (OutputStream out = new GZIPOutputStream(bytes)) {
            out.write(bytes(text));
        }
        return bytes.toByteArray();
    }
}
