package trm.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * The processor as Linux describes it.
 *
 * @param model its name, empty where Linux does not tell
 * @param features those that the choice of native code and of number types depends on
 */
record Processor(String model, List<String> features) {
    /** x86-64, then aarch64 (where asimd is NEON). */
    private static final List<String> RELEVANT = List.of(
            "avx2",
            "fma",
            "avx512f",
            "avx512bw",
            "avx512vl",
            "avx512_vnni",
            "avx512_bf16",
            "amx_tile",
            "amx_bf16",
            "asimd",
            "sve",
            "sve2",
            "bf16",
            "svebf16");

    static Processor ofThisMachine() {
        try {
            return parse(Files.readAllLines(Path.of("/proc/cpuinfo")));
        } catch (IOException e) {
            return new Processor("", List.of());
        }
    }

    /** @param lines of /proc/cpuinfo */
    static Processor parse(List<String> lines) {
        List<String> flags = Arrays.asList(
                (value(lines, "flags") + " " + value(lines, "Features")).strip().split("\\s+"));
        return new Processor(
                value(lines, "model name"),
                RELEVANT.stream().filter(flags::contains).toList());
    }

    private static String value(List<String> lines, String key) {
        return lines.stream()
                .filter(line -> line.substring(0, Math.max(0, line.indexOf(':')))
                        .strip()
                        .equals(key))
                .findFirst()
                .map(line -> line.substring(line.indexOf(':') + 1).strip())
                .orElse("");
    }
}
