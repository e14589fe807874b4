package trm.device.cpu;

import java.nio.file.Path;

/** This machine's memory, or what the control groups of this process leave of it. */
final class HostMemory {
    private HostMemory() {}

    /** Bytes that can still be taken, {@link Long#MAX_VALUE} where nothing tells. */
    static long availableBytes() {
        return availableBytes(Path.of("/"));
    }

    /** @param root under which {@code proc} and {@code sys} lie */
    static long availableBytes(Path root) {
        long bytes = machineBytes(root, "MemAvailable:");
        ControlGroups groups = new ControlGroups(root);
        for (Path group : groups.version2()) {
            bytes = Math.min(bytes, left(group, limit2(group), "memory.current", "inactive_file "));
        }
        for (Path group : groups.version1("memory")) {
            bytes = Math.min(bytes, left(group, limit1(group), "memory.usage_in_bytes", "total_inactive_file "));
        }
        return bytes;
    }

    /** Bytes that this process and those it shares a limit with may take, {@link Long#MAX_VALUE} where nothing tells. */
    static long totalBytes(Path root) {
        return Math.min(machineBytes(root, "MemTotal:"), limitBytes(root));
    }

    /** The least limit of a control group, {@link Long#MAX_VALUE} where there is none. */
    static long limitBytes(Path root) {
        long bytes = Long.MAX_VALUE;
        ControlGroups groups = new ControlGroups(root);
        for (Path group : groups.version2()) {
            bytes = Math.min(bytes, limit2(group));
        }
        for (Path group : groups.version1("memory")) {
            bytes = Math.min(bytes, limit1(group));
        }
        return bytes;
    }

    private static long machineBytes(Path root, String key) {
        long kibibytes = ControlGroups.number(root.resolve("proc/meminfo"), key);
        return kibibytes < 0 ? Long.MAX_VALUE : 1024 * kibibytes;
    }

    private static long limit2(Path group) {
        return limit(group.resolve("memory.max"), "");
    }

    /** With that of groups above which cannot be seen from within a container. */
    private static long limit1(Path group) {
        return Math.min(
                limit(group.resolve("memory.limit_in_bytes"), ""),
                limit(group.resolve("memory.stat"), "hierarchical_memory_limit "));
    }

    private static long limit(Path file, String key) {
        long bytes = ControlGroups.number(file, key);
        return bytes < 0 ? Long.MAX_VALUE : bytes;
    }

    /** What a limit leaves. Pages of files that the kernel can drop count as taken in the file {@code taken}. */
    private static long left(Path group, long limit, String taken, String files) {
        if (limit == Long.MAX_VALUE) {
            return limit;
        }
        long cached = Math.max(0, ControlGroups.number(group.resolve("memory.stat"), files));
        return Math.max(0, limit - Math.max(0, ControlGroups.number(group.resolve(taken), "") - cached));
    }
}
