package trm.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Numbers of configurations are numbers to readers of YAML 1.1 too, to which 1e-4 and 1.0E4 are texts. */
class YamlNumbersTest {
    /** Whole and floating numbers of YAML 1.1, as PyYAML reads them. */
    private static final Pattern NUMBER =
            Pattern.compile("[-+]?(\\d[\\d_]*(\\.[\\d_]*([eE][-+]\\d+)?)?|\\.\\d[\\d_]*([eE][-+]\\d+)?)");

    static List<Path> shipped() throws IOException {
        try (Stream<Path> files = Files.walk(Path.of("configs"))) {
            return files.filter(file -> file.toString().endsWith(".yaml"))
                    .sorted()
                    .toList();
        }
    }

    @ParameterizedTest
    @MethodSource("shipped")
    void shippedConfigurations(Path file) throws IOException {
        for (String line : Files.readAllLines(file)) {
            String value =
                    line.replaceFirst("#.*", "").replaceFirst("^[^:]*:", "").strip();
            if (isNumber(value)) {
                assertTrue(NUMBER.matcher(value).matches(), file + ": " + line);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {1e-4, 0.5, 3, 2.5e7, 1e10, 1e-300, 1.7e308})
    void writtenConfigurations(double rate) {
        String yaml = ConfigLoader.toYaml(ConfigLoader.parse("data_paths: [x]\n", "x", List.of("lr=" + rate)));
        String written = yaml.lines()
                .filter(line -> line.startsWith("lr: "))
                .findFirst()
                .orElseThrow()
                .substring("lr: ".length());
        assertTrue(NUMBER.matcher(written).matches(), written);
        assertEquals(
                rate, ConfigLoader.parse(yaml, "x", List.of()).learningRate().base());
    }

    @Test
    void textsToOthers() {
        for (String text : List.of("1e-4", "1.0E4", "1e4")) {
            assertTrue(isNumber(text) && !NUMBER.matcher(text).matches(), text);
        }
    }

    private static boolean isNumber(String value) {
        try {
            Double.parseDouble(value);
            return Pattern.matches("[-+.\\d_eE]+", value);
        } catch (NumberFormatException e) {
            return false;
        }
    }
}
