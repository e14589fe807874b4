package trm.data.format;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.Fuzz;

/** NumPy files: any bytes give an array all of whose elements can be read, or one refusal. */
@Tag("fuzz")
class NpyFuzzTest {
    private static final List<String> WORDS = List.of(
            "'descr'",
            "'<i4'",
            "'>i8'",
            "'|u1'",
            "'|O'",
            "'<f4'",
            "'shape'",
            "(0,)",
            "(1, 2)",
            "(,)",
            "True",
            "False",
            "'fortran_order'",
            "{",
            "}",
            ":",
            ",",
            "L",
            "\n",
            "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,",
            "[('a', '<i4')]",
            "9223372036854775807, 0",
            "\u0093NUMPY\u0002\u0000");

    @TempDir
    private Path dir;

    @Test
    void arrays() throws IOException {
        List<byte[]> seeds = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of("tests/resources/npy/forms.txt"))) {
            seeds.add(Base64.getDecoder().decode(line.split(" ")[3]));
        }
        Path file = dir.resolve("a.npy");
        Fuzz.run("npy", seeds, WORDS, input -> {
            Files.write(file, input);
            Npy array = Npy.open(file, 1 << 12);
            long count = Arrays.stream(array.shape()).reduce(1, (a, b) -> a * b);
            for (long i = 0; i < Math.min(count, 1000); i++) {
                array.get(i);
            }
            if (array.shape().length == 2 && array.shape()[1] <= 1 << 16) {
                int[] row = new int[(int) array.shape()[1]];
                for (long r = 0; r < Math.min(array.shape()[0], 100); r++) {
                    array.copyRow(r, row);
                }
            }
        });
    }
}
