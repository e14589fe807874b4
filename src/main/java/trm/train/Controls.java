package trm.train;

import trm.config.TrainConfig;
import trm.device.Control;
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

    private Controls() {}

    /** What element {@code i} of [CONTROLS] is. */
    static String name(int i) {
        if (i >= Control.values().length) {
            return "not used";
        }
        return switch (Control.values()[i]) {
            case STEP -> "number of the step";
            case LR -> "learning rate";
            case PUZZLE_LR -> "learning rate of the puzzle table";
            case CORRECTION1 -> "1 - beta1^(step - begin_step)";
            case CORRECTION2 -> "1 - beta2^(step - begin_step)";
        };
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
        controls[Control.STEP.ordinal()] = t;
        controls[Control.LR.ordinal()] = config.learningRate().base() * factor;
        controls[Control.PUZZLE_LR.ordinal()] = config.learningRate().puzzleBase() * factor;
        double updates = t - config.run().beginStep(); // that the moments have seen
        controls[Control.CORRECTION1.ordinal()] =
                1 - Math.pow(config.optimizer().beta1(), updates);
        controls[Control.CORRECTION2.ordinal()] =
                1 - Math.pow(config.optimizer().beta2(), updates);
        return controls;
    }

    /** How far each of [CONTROLS] may be from {@link #after}. */
    static double[] bounds(TrainConfig config) {
        double[] bounds = new double[OptimizerKernels.CONTROLS];
        bounds[Control.LR.ordinal()] = config.learningRate().base() * ROUNDING;
        bounds[Control.PUZZLE_LR.ordinal()] = config.learningRate().puzzleBase() * ROUNDING;
        bounds[Control.CORRECTION1.ordinal()] = ROUNDING;
        bounds[Control.CORRECTION2.ordinal()] = ROUNDING;
        return bounds;
    }
}
