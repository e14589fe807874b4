package trm.config;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import trm.Fuzz;

/** Mutated YAML files. */
@Tag("fuzz")
class ConfigFuzzTest {
    private static final List<String> TOKENS = List.of(
            "${.hidden_size}",
            "${arch.num_heads}",
            "${",
            "&a ",
            "*a",
            "<<: ",
            "!!str ",
            "!x ",
            "? ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            "|\n",
            ">\n",
            "\t",
            "\r\n",
            "\"\\u0000\"",
            "'",
            "\"",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "# ",
            "null",
            "data_path: a\n",
            "data_paths: [a, b]\n",
            "arch: hrm\n",
            "  mlp_t: true\n",
            "hrm_v1",
            "1_000",
            "auto",
            "80GB",
            "\ufeff");

    @Test
    void anything() throws IOException {
        List<byte[]> seeds = new ArrayList<>();
        try (Stream<Path> files = Files.list(Path.of("configs"))) {
            for (Path file :
                    files.filter(f -> f.toString().endsWith(".yaml")).sorted().toList()) {
                byte[] text = Files.readAllBytes(file);
                if (!new String(text, StandardCharsets.UTF_8).contains("base:")) {
                    seeds.add(text); // whole: text that is no file has no base
                }
            }
        }
        seeds.add("a: &a [x, x]\nb: &b [*a, *a]\nc: {d: *b, e: *b}\n".getBytes(StandardCharsets.UTF_8));
        seeds.add(ConfigLoader.toYaml(ConfigLoader.parse("data_path: d", "x", List.of("arch=hrm")))
                .getBytes(StandardCharsets.UTF_8));
        Fuzz.run(
                "config",
                seeds,
                TOKENS,
                input -> ConfigLoader.parse(ConfigFile.text(input, "x.yaml"), "x.yaml", List.of()));
    }
}
