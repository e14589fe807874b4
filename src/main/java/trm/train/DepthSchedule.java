package trm.train;

import java.util.ArrayList;
import java.util.List;
import trm.config.ArchConfig;
import trm.config.DepthStage;
import trm.config.TrainConfig;
import trm.model.ModelSizes;
import trm.model.RecursionSchedule;

/**
 * Which updates a step of a run makes, by its number: those of a part of {@code depth_schedule}, in order, and at the end those of
 * the model as it is. A part that ends at a share of the run ends with the step nearest to it.
 */
public final class DepthSchedule {
    private final List<RecursionSchedule> schedules = new ArrayList<>();
    private final long[] lasts; // number of the last step of each
    private final double[] ends; // share of the run's steps at which each ends

    /** @param totalSteps of the whole run */
    public DepthSchedule(TrainConfig config, long totalSteps) {
        ArchConfig arch = config.arch();
        List<DepthStage> stages = config.schedule().depthStages();
        lasts = new long[stages.size() + 1];
        ends = new double[lasts.length];
        for (DepthStage stage : stages) {
            ends[schedules.size()] = stage.until();
            lasts[schedules.size()] = Math.round(stage.until() * totalSteps);
            schedules.add(RecursionSchedule.of(arch, stage.cycles(), stage.latentSteps()));
        }
        ends[schedules.size()] = 1;
        lasts[schedules.size()] = totalSteps;
        schedules.add(RecursionSchedule.of(arch));
    }

    /** Number of parts, the last one included. */
    int parts() {
        return schedules.size();
    }

    /** The part that a step, the first of which is 1, belongs to. */
    int partOf(long step) {
        int part = 0;
        while (part < schedules.size() - 1 && step > lasts[part]) {
            part++;
        }
        return part;
    }

    /** The updates of a part. */
    RecursionSchedule updates(int part) {
        return schedules.get(part);
    }

    /** Steps of a part after the step {@code from}, if the run had {@code total} in all. */
    double steps(int part, long from, long total) {
        return Math.max(0, ends[part] * total - Math.max(from, part == 0 ? 0 : ends[part - 1] * total));
    }

    /** Steps of a part. */
    long steps(int part) {
        return lasts[part] - (part == 0 ? 0 : lasts[part - 1]);
    }

    /** Floating-point operations of the matrix products of all steps ({@link ModelSizes#flops}). */
    public double flops(ModelSizes sizes) {
        double flops = 0;
        for (int part = 0; part < parts(); part++) {
            flops += steps(part) * sizes.flops(true, updates(part));
        }
        return flops;
    }
}
