package trm.train;

import trm.config.TrainConfig;
import trm.device.OptimizerKernels;

/**
 * The scalars that the operation {@code advance} leaves on the device, formed on the host, to judge those of a checkpoint.
 * The equations are those of {@code native/cpu/ops/schedule.cpp}; steps are counted from 1, and before the first all are 0.
 */
final class Controls {
    /**
     * No factor of a rate and no power exceeds 1. A cosine or power of a library or of a GPU is within 2 units in the last
     * place, Java's within 1, and each of the four operations that follow rounds once: fewer than 16 times 2^-53 in all.
     */
    private static final double ROUNDING = 0x1p-49;

    private static final String[] NAMES = {
        "number of the step", "learning rate", "learning rate of the puzzle table", "1 - beta1^step", "1 - beta2^step"
    };

    private Controls() {}

    /** What element {@code i} of [CONTROLS] is. */
    static String name(int i) {
        return i < NAMES.length ? NAMES[i] : "not used";
    }

    /** [CONTROLS] after a step of a run with so many in all. */
    static double[] after(long step, TrainConfig config, long totalSteps) {
        double[] controls = new double[OptimizerKernels.CONTROLS];
        if (step == 0) {
            return controls;
        }
        double t = step;
        double warmup = config.learningRate().warmupSteps();
        double factor;
        if (t < warmup) {
            factor = t / Math.max(1, warmup);
        } else {
            double ratio = config.learningRate().minRatio();
            double phi = (t - warmup) / Math.max(1, totalSteps - warmup);
            factor = ratio + Math.max(0, (1 - ratio) * 0.5 * (1 + Math.cos(Math.PI * phi)));
        }
        controls[0] = t;
        controls[1] = config.learningRate().base() * factor;
        controls[2] = config.learningRate().puzzleBase() * factor;
        controls[3] = 1 - Math.pow(config.optimizer().beta1(), t);
        controls[4] = 1 - Math.pow(config.optimizer().beta2(), t);
        return controls;
    }

    /** How far each of [CONTROLS] may be from {@link #after}. */
    static double[] bounds(TrainConfig config) {
        return new double[] {
            0,
            config.learningRate().base() * ROUNDING,
            config.learningRate().puzzleBase() * ROUNDING,
            ROUNDING,
            ROUNDING,
            0,
            0,
            0
        };
    }
}
