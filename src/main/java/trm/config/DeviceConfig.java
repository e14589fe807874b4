package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;

import trm.config.ConfigKey.OnResume;

/**
 * How the device computes.
 *
 * @param threads of the CPU backend, 0 for all; without effect on a GPU
 * @param precision of products of float32 operands
 */
public record DeviceConfig(int threads, Precision precision) {
    /** How products of float32 operands are computed; TF32 only on a GPU. */
    public enum Precision implements Word {
        FLOAT32,
        TF32
    }

    /**
     * Threads of the CPU. More than the processors of any machine that we know of, and few enough to be started; a multiple
     * of this machine's would make the same file right on one machine and wrong on another.
     */
    private static final int MAX_THREADS = 1024;

    static final ConfigSection<DeviceConfig> KEYS = ConfigSection.of(
            DeviceConfig.class,
            "Device",
            key("threads", INTEGER, 0, DeviceConfig::threads, "threads", "Of the CPU backend; 0 is one a core.")
                    .onResume(OnResume.FREE),
            key(
                    "matmul_precision",
                    ValueType.oneOf(Precision.values()),
                    Precision.FLOAT32,
                    DeviceConfig::precision,
                    "",
                    "Of products of float32 operands: float32, or tf32 on a GPU."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public DeviceConfig {
        Check.within("threads", threads, 0, MAX_THREADS);
    }
}
