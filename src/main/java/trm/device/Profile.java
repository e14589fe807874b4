package trm.device;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Calls, time and work of a backend's operations, told apart by phase, operation and, for products, by shape. For a
 * backend whose calls finish before they return. Only the native calls are timed: what a step takes beyond
 * {@link #nanos()} is the host's own share. Filled by {@link Kernels#profile}; used by one thread.
 */
public final class Profile {
    /**
     * What is counted together.
     *
     * @param phase as {@link Kernels#phase} named it
     * @param operation name of the entry in {@code trm_ops.h}
     * @param batch number of products [m, k] x [k, n] of one call; this and m, n, k are 0 for other operations
     */
    public record Key(String phase, String operation, long batch, long m, long n, long k) {}

    /** Sums over the calls of one kind. */
    public static final class Tally {
        private long calls;
        private long nanos;
        private long flops;
        private long bytes;

        /** Adds another tally to this one. */
        public void add(Tally other) {
            calls += other.calls;
            nanos += other.nanos;
            flops += other.flops;
            bytes += other.bytes;
        }

        public long calls() {
            return calls;
        }

        /** Time within the native calls. */
        public long nanos() {
            return nanos;
        }

        /** Floating-point operations of products, multiply and add counted apart; 0 for other operations. */
        public long flops() {
            return flops;
        }

        /** Bytes that the operands make up, each read or write counted once; 0 where products dominate or unknown. */
        public long bytes() {
            return bytes;
        }
    }

    private final Map<Key, Tally> tallies = new LinkedHashMap<>();
    private String phase = "";
    private long began;

    void phase(String name) {
        phase = name;
    }

    void begin() {
        began = System.nanoTime();
    }

    void end(String operation, long batch, long m, long n, long k, long flops, long bytes) {
        long nanos = System.nanoTime() - began;
        Tally tally = tallies.computeIfAbsent(new Key(phase, operation, batch, m, n, k), key -> new Tally());
        tally.calls++;
        tally.nanos += nanos;
        tally.flops += flops;
        tally.bytes += bytes;
    }

    /** All tallies, in order of first use. */
    public Map<Key, Tally> tallies() {
        return new LinkedHashMap<>(tallies);
    }

    /** Time within native calls. */
    public long nanos() {
        return tallies.values().stream().mapToLong(Tally::nanos).sum();
    }
}
