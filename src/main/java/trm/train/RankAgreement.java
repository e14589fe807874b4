package trm.train;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Collectors;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.device.Backend;
import trm.device.NativeLibrary;
import trm.device.RankExchange;
import trm.input.Shown;
import trm.io.FormatException;

/**
 * What ranks must have in common before their first step, or they would compute something else each: the program, the settings,
 * the data and the kind of device. Found out on all ranks alike, and named at once, before work is lost.
 */
final class RankAgreement {
    private RankAgreement() {}

    /**
     * Asks all ranks.
     *
     * @param config settled with the data and the plan
     * @throws FormatException on every rank, if one differs from rank 0, with all that differs
     */
    static void require(Backend backend, TrainConfig config, RunData data) {
        if (backend.collective().ranks() == 1) {
            return;
        }
        Map<String, String> own = new LinkedHashMap<>();
        own.put("program", start(NativeLibrary.digest("libtrm_cpu.so")) + start(NativeLibrary.digestOfJar()));
        own.put("device", backend.name().replaceFirst(":.*", "") + " (" + backend.target() + ")");
        ConfigLoader.toYaml(config)
                .lines()
                .filter(line -> !line.isBlank())
                .forEach(line -> own.merge("settings", line, (a, b) -> a + "\n" + b));
        data.fingerprints().forEach((split, parts) -> own.put(split + " data", parts.toString()));
        List<Map<String, String>> all = RankExchange.gather(backend, write(own)).stream()
                .map(RankAgreement::read)
                .toList();
        String differences = differences(all);
        if (!differences.isEmpty()) {
            throw new FormatException("the ranks do not agree: " + differences);
        }
    }

    private static String start(String digest) {
        return digest.substring(0, Math.min(8, digest.length()));
    }

    /** What each rank has other than rank 0; empty if nothing. */
    static String differences(List<Map<String, String>> all) {
        Map<String, String> first = all.get(0);
        List<String> found = new ArrayList<>();
        for (int rank = 1; rank < all.size(); rank++) {
            Map<String, String> other = all.get(rank);
            TreeSet<String> names = new TreeSet<>(first.keySet());
            names.addAll(other.keySet());
            for (String name : names) {
                String expected = first.getOrDefault(name, "none");
                String here = other.getOrDefault(name, "none");
                if (!expected.equals(here)) {
                    found.add("rank " + rank + " has other " + name + " than rank 0: " + firstOther(here, expected)
                            + ", not " + firstOther(expected, here));
                }
            }
        }
        return String.join("; ", found);
    }

    /** The first line that the other text lacks. */
    private static String firstOther(String text, String other) {
        List<String> others = other.lines().toList();
        return Shown.quoted(text.lines()
                .filter(line -> !others.contains(line))
                .findFirst()
                .map(String::strip)
                .orElse("less"));
    }

    private static String write(Map<String, String> own) {
        return own.entrySet().stream()
                .map(e -> e.getKey() + "\u0001" + e.getValue())
                .collect(Collectors.joining("\u0002"));
    }

    private static Map<String, String> read(String text) {
        Map<String, String> theirs = new LinkedHashMap<>();
        for (String entry : text.split("\u0002")) {
            String[] parts = entry.split("\u0001", 2);
            theirs.put(parts[0], parts[1]);
        }
        return theirs;
    }
}
