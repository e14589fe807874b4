package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;
import static trm.config.ValueType.NUMBER;

import trm.config.ConfigKey.OnResume;

/**
 * How the device computes.
 *
 * @param threads of the CPU backend, 0 for all; without effect on a GPU
 * @param precision of products of float32 operands
 * @param collectiveTimeout seconds that a rank waits for the others
 * @param checkEverySteps steps between comparisons of the ranks, 0 for none
 */
public record DeviceConfig(int threads, Precision precision, double collectiveTimeout, int checkEverySteps) {
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

    private static final int MAX_TIMEOUT = 86_400;

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
                    "Of products of float32 operands: float32, or tf32 on a GPU."),
            key(
                            "collective_timeout",
                            NUMBER,
                            120.0,
                            DeviceConfig::collectiveTimeout,
                            "seconds",
                            "A rank that waits longer for the others ends all of them.")
                    .onResume(OnResume.FREE),
            key(
                            "check_every_steps",
                            INTEGER,
                            1000,
                            DeviceConfig::checkEverySteps,
                            "optimizer steps",
                            "Steps between checks that all ranks have the same weights, bit for bit; 0 is none.")
                    .onResume(OnResume.FREE));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public DeviceConfig {
        Check.within("threads", threads, 0, MAX_THREADS);
        Check.that(
                collectiveTimeout >= 1 && collectiveTimeout <= MAX_TIMEOUT,
                "collective_timeout",
                collectiveTimeout,
                "must be from 1 to " + MAX_TIMEOUT + " seconds");
        Check.atLeast("check_every_steps", checkEverySteps, 0);
    }
}
