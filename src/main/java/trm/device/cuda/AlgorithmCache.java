package trm.device.cuda;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * Which algorithm measured fastest for which product, on disk: one JSON file for each device, library and driver. An
 * algorithm is cuBLASLt's 64 opaque bytes, as eight numbers. The file only saves time: one that cannot be read or
 * written is told of once, and the measurements are made again.
 */
final class AlgorithmCache {
    /** Numbers of an algorithm. */
    static final int LONGS = 8;

    private static final int FORMAT = 1;
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path file;
    private final Consumer<String> log;
    private final Map<String, long[]> algorithms = new TreeMap<>();
    private boolean writable = true;

    /**
     * Reads what is there.
     *
     * @param log takes the message about a file of no use
     */
    AlgorithmCache(Path file, Consumer<String> log) {
        this.file = file;
        this.log = log;
        if (Files.exists(file)) {
            try {
                read();
            } catch (IOException | IllegalArgumentException e) {
                algorithms.clear();
                log.accept("algorithms in " + file + " are ignored and measured again: " + reason(e));
            }
        }
    }

    /** $XDG_CACHE_HOME/trm, or ~/.cache/trm. */
    static Path folder(String xdgCacheHome, String home) {
        Path cache = xdgCacheHome == null || !Path.of(xdgCacheHome).isAbsolute()
                ? Path.of(home, ".cache")
                : Path.of(xdgCacheHome);
        return cache.resolve("trm");
    }

    /** A name that tells apart what algorithms depend on. */
    static String fileName(String device, long cublasLt, int driver) {
        return "cublaslt-" + cublasLt + "-driver-" + driver + "-" + device.replaceAll("[^A-Za-z0-9]+", "-") + ".json";
    }

    private void read() throws IOException {
        JsonNode root = JSON.readTree(Files.readAllBytes(file));
        if (root == null
                || root.path("format").asInt() != FORMAT
                || !root.path("algorithms").isObject()) {
            throw new IllegalArgumentException("not a file of format " + FORMAT);
        }
        root.path("algorithms").properties().forEach(entry -> {
            JsonNode values = entry.getValue();
            long[] algorithm = new long[LONGS];
            for (int i = 0; i < LONGS; i++) {
                if (values.size() != LONGS
                        || !values.get(i).canConvertToLong()
                        || !values.get(i).isIntegralNumber()) {
                    throw new IllegalArgumentException(
                            entry.getKey() + " is " + values + ", expected " + LONGS + " whole numbers");
                }
                algorithm[i] = values.get(i).longValue();
            }
            algorithms.put(entry.getKey(), algorithm);
        });
    }

    /** The algorithm of a product, or null. */
    long[] get(String key) {
        long[] algorithm = algorithms.get(key);
        return algorithm == null ? null : algorithm.clone();
    }

    /** Keeps an algorithm, and writes the file: whole, under a temporary name, then renamed. */
    void put(String key, long[] algorithm) {
        if (algorithm.length != LONGS) {
            throw new IllegalArgumentException(algorithm.length + " numbers, expected " + LONGS);
        }
        algorithms.put(key, algorithm.clone());
        if (!writable) {
            return;
        }
        Path temporary = null;
        try {
            Files.createDirectories(file.toAbsolutePath().getParent());
            temporary = Files.createTempFile(file.toAbsolutePath().getParent(), file.getFileName() + ".", ".tmp");
            Files.write(temporary, json());
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            writable = false;
            log.accept("algorithms are not kept in " + file + ": " + reason(e));
            delete(temporary);
        }
    }

    private byte[] json() throws JsonProcessingException {
        ObjectNode root = JSON.createObjectNode();
        root.put("format", FORMAT);
        ObjectNode entries = root.putObject("algorithms");
        algorithms.forEach((key, algorithm) -> {
            ArrayNode values = entries.putArray(key);
            for (long value : algorithm) {
                values.add(value);
            }
        });
        return JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(root);
    }

    private static void delete(Path temporary) {
        try {
            if (temporary != null) {
                Files.deleteIfExists(temporary);
            }
        } catch (IOException e) {
            // a stray temporary file harms nobody
        }
    }

    private static String reason(Exception e) {
        return e instanceof JsonProcessingException json
                ? "damaged at line "
                        + (json.getLocation() == null ? 0 : json.getLocation().getLineNr())
                : e instanceof IOException ? e.toString() : e.getMessage();
    }
}
