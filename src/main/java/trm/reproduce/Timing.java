package trm.reproduce;

import trm.config.TrainConfig;
import trm.model.ModelSizes;

/**
 * How long one device takes for one kind of work on one shape.
 *
 * @param work what was timed
 * @param config settings that it was timed with, as on the command line
 * @param mixer {@code mlp} or {@code attention}
 * @param networks of the system, each with weights of its own
 * @param dtype compute type, as configurations write it
 * @param positions of a sample, the prefix included
 * @param batch samples
 * @param flops floating-point operations of the work's matrix products ({@link ModelSizes#flops})
 * @param ms milliseconds, the median
 */
public record Timing(
        Work work,
        String config,
        String mixer,
        int networks,
        String dtype,
        int positions,
        int batch,
        double flops,
        double ms) {
    /** What is timed. */
    public enum Work {
        /** An optimizer step. */
        STEP,
        /** One supervision step of a batch that is evaluated. */
        EVALUATION
    }

    /** @throws IllegalArgumentException if a value cannot be one */
    public Timing {
        if (work == null || config == null || mixer == null || dtype == null) {
            throw new IllegalArgumentException("a timing lacks work, config, mixer or dtype");
        }
        if (!(ms > 0 && flops > 0 && ms < Double.MAX_VALUE && flops < Double.MAX_VALUE)
                || positions < 1
                || batch < 1
                || networks < 1) {
            throw new IllegalArgumentException("ms " + ms + ", flops " + flops + ", networks " + networks
                    + ", positions " + positions + ", batch " + batch + ": must be above 0");
        }
    }

    /** What was timed with a configuration. */
    public static Timing of(Work work, String name, TrainConfig config, ModelSizes sizes, double ms) {
        return new Timing(
                work,
                name,
                mixer(sizes),
                sizes.arch().networks().size(),
                config.arch().dtype().key(),
                sizes.positions(),
                sizes.lanes(),
                sizes.flops(work == Work.STEP),
                ms);
    }

    static String mixer(ModelSizes sizes) {
        return sizes.arch().block().mlpT() ? "mlp" : "attention";
    }

    /** Whether this is the very work, on these sizes. */
    boolean isOf(ModelSizes sizes) {
        return mixer.equals(mixer(sizes))
                && networks == sizes.arch().networks().size()
                && positions == sizes.positions()
                && batch == sizes.lanes()
                && Math.abs(sizes.flops(work == Work.STEP) / flops - 1) < 1e-9;
    }

    /** How unlike the work on these sizes is, for the choice of what to predict from. */
    double unlike(ModelSizes sizes) {
        double other = mixer.equals(mixer(sizes)) ? 0 : 1000;
        return other
                + Math.abs(Math.log((double) positions / sizes.positions()))
                + 0.01 * Math.abs(Math.log(sizes.flops(work == Work.STEP) / sizes.lanes() / (flops / batch)))
                + 0.001 * Math.abs(Math.log((double) batch / sizes.lanes()));
    }

    /** Whether it is the same work, timed anew. */
    boolean replaces(Timing before) {
        return work == before.work
                && config.equals(before.config)
                && dtype.equals(before.dtype)
                && batch == before.batch
                && positions == before.positions
                && mixer.equals(before.mixer)
                && networks == before.networks
                && flops == before.flops;
    }
}
