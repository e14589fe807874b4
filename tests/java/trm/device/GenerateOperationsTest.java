package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code native/GenerateOperations.java}, as the build runs it, on copies of the headers. */
class GenerateOperationsTest {
    private static final Path INCLUDE = Path.of("native", "include");

    @TempDir
    private Path folder;

    private record Result(int code, String out) {}

    /** Copies the headers, with one text replaced in each where it occurs, and runs the program on them. */
    private Result generate(String text, String replacement) throws IOException, InterruptedException {
        Path include = Files.createDirectories(folder.resolve("include"));
        int replaced = 0;
        for (String name : List.of("trm_ops.h", "trm_optimizers.h", "trm_collectives.h", "trm_types.h")) {
            String header = Files.readString(INCLUDE.resolve(name), StandardCharsets.UTF_8);
            replaced += header.contains(text) ? 1 : 0;
            Files.writeString(include.resolve(name), header.replace(text, replacement), StandardCharsets.UTF_8);
        }
        assertEquals(1, replaced, "headers that have: " + text);
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "native/GenerateOperations.java",
                        include.toString(),
                        folder.resolve("generated").toString())
                .redirectErrorStream(true)
                .start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), out);
    }

    private Path generated(String name) {
        return folder.resolve("generated").resolve("trm/device").resolve(name);
    }

    @ParameterizedTest(name = "{2}")
    @CsvSource(delimiter = '|', textBlock = """
            X(swiglu_bwd) | '' | swiglu_bwd is in none of the lists below the table
            '#define TRM_CHECK_swiglu_bwd' | '#define TRM_CHECK_other' | swiglu_bwd has no TRM_CHECK_swiglu_bwd
            '#define TRM_CHECK_grad_norm' | '#define TRM_CHECK_other' | trm_optimizers.h:15: grad_norm has no TRM_CHECK_grad_norm
            int (*swiglu_bwd)( | int (*other)( | other is in none of the lists below the table
            gu dgu [outer, 2, inner] | gu [outer, 2, inner] | the comment of swiglu_bwd gives no shape of dgu
            TRM_CTRL_LR = 1 | TRM_CTRL_LR = 6 | TRM_CTRL_LR is not 1: an enum counts from 0
            """)
    void aHeaderThatBreaksItsRules(String text, String replacement, String message)
            throws IOException, InterruptedException {
        Result result = generate(text, replacement);
        assertEquals(1, result.code(), result.out());
        assertTrue(result.out().matches("(?s)\\S*trm_(ops|optimizers|types)\\.h:\\d+: .*"), result.out());
        assertTrue(result.out().contains(message), result.out());
        assertEquals(1, result.out().lines().count(), result.out());
        assertFalse(Files.exists(generated("Operations.java")));
    }

    /** What has not changed is not written, so that javac has nothing to do; what is no longer there goes. */
    @Test
    void filesAreWrittenWhenTheyChange() throws IOException, InterruptedException {
        assertEquals(new Result(0, ""), generate("out = a + b.", "out = a + b."));
        FileTime before = FileTime.fromMillis(1_000_000_000_000L);
        for (String name : List.of("Operations.java", "OperationTable.java")) {
            Files.setLastModifiedTime(generated(name), before);
        }
        Files.writeString(generated("Old.java"), "old");
        assertEquals(new Result(0, ""), generate("out = a + b.", "out = the sum."));
        assertTrue(Files.readString(generated("Operations.java")).contains("out = the sum."));
        assertEquals(before, Files.getLastModifiedTime(generated("OperationTable.java")));
        assertFalse(Files.exists(generated("Old.java")));
    }

    /** Shape, type, direction, aliasing and what may be absent are told of each operand. */
    @Test
    void operandsAreDescribed() throws IOException, InterruptedException {
        generate("out = a + b.", "out = a + b.");
        String text = Files.readString(generated("Operations.java"));
        for (String line : List.of(
                "@param u written: [rows, D] of the compute type, or 0; may alias any input",
                "@param dw added to: [N, K] float32",
                "@param state in and out: [B, count] of the compute type",
                "@param bf16Copy written: [count] bfloat16, or 0",
                "int random_start(long halted, long keys, long controls, long z, long B, long count, long firstLane,")) {
            assertTrue(text.contains(line), line);
        }
    }
}
