package trm.device.cpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What is left of this machine's memory, or of what its container may take. */
final class HostMemory {
    private HostMemory() {}

    /** Bytes, {@link Long#MAX_VALUE} where nothing tells. */
    static long availableBytes() {
        return availableBytes(Path.of("/"));
    }

    /** @param root under which {@code proc} and {@code sys} lie */
    static long availableBytes(Path root) {
        long machine = number(root.resolve("proc/meminfo"), "MemAvailable:");
        long bytes = machine < 0 ? Long.MAX_VALUE : 1024 * machine;
        Path group = root.resolve("sys/fs/cgroup");
        long limit = number(group.resolve("memory.max"), "");
        if (limit >= 0) {
            // pages of files that the kernel can drop count as taken there
            long taken = number(group.resolve("memory.current"), "");
            long files = number(group.resolve("memory.stat"), "inactive_file ");
            bytes = Math.min(bytes, Math.max(0, limit - Math.max(0, taken - Math.max(0, files))));
        }
        return bytes;
    }

    /** The number in the first line that begins with {@code key}, -1 if there is none. */
    private static long number(Path file, String key) {
        try {
            return Files.readAllLines(file).stream()
                    .filter(line -> line.startsWith(key))
                    .map(line -> line.substring(key.length()).replace("kB", "").strip())
                    .filter(value -> value.matches("\\d{1,18}"))
                    .mapToLong(Long::parseLong)
                    .findFirst()
                    .orElse(-1);
        } catch (IOException e) {
            return -1;
        }
    }
}
