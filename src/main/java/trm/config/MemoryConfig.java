package trm.config;

import static trm.config.ConfigKey.key;

import trm.config.ConfigKey.OnResume;

/**
 * How a run fits into the memory of its device.
 *
 * @param recompute what the backward pass recomputes instead of keeping it; does not change results
 * @param microBatches equal parts of the lanes that go through the network one after the other, 0 for the fewest that
 *     fit; their number changes the order in which gradients are summed
 * @param bytes that a run may take on its device, 0 for what is free
 */
public record MemoryConfig(Recompute recompute, int microBatches, long bytes) {
    static final ConfigSection<MemoryConfig> KEYS = ConfigSection.of(
            MemoryConfig.class,
            "Memory",
            key(
                            "recompute",
                            ValueType.words(Recompute.values()),
                            Recompute.AUTO,
                            MemoryConfig::recompute,
                            "",
                            "What the backward pass recomputes instead of keeping it: none, activation, gate_up,"
                                    + " layers or evaluations; auto is the first that fits.")
                    .onResume(OnResume.FREE),
            key(
                    "micro_batches",
                    ValueType.AUTO_COUNT,
                    0,
                    MemoryConfig::microBatches,
                    "parts",
                    "Equal parts of the batch that are trained on one after the other; auto is the fewest that fit."),
            key(
                            "memory",
                            ValueType.AUTO_BYTES,
                            0L,
                            MemoryConfig::bytes,
                            "bytes, as 80GB",
                            "What the run may take of its device; auto is what is free.")
                    .onResume(OnResume.FREE));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public MemoryConfig {
        Check.atLeast("micro_batches", microBatches, 0);
        Check.atLeast("memory", bytes, 0);
    }

    MemoryConfig with(Recompute recomputed, int parts) {
        return new MemoryConfig(recomputed, parts, bytes);
    }

    /** Bytes that may be taken: {@code memory}, or as many as there are. */
    public long limitBytes() {
        return bytes > 0 ? bytes : Long.MAX_VALUE;
    }
}
