package trm.train;

import java.util.Set;
import trm.config.ConfigException;
import trm.config.Difference;
import trm.config.TrainConfig;

/** Which settings of a run may change when it is resumed: those that change no result. */
public final class Resume {
    private static final Set<String> FREE = Set.of(
            "log_every_steps",
            "checkpoint_every_steps",
            "checkpoint_keep",
            "eval_interval",
            "eval_puzzles",
            "eval_batch_size",
            "threads",
            "memory",
            "recompute",
            "run_name",
            "on_nan");

    /** The learning rate's schedule is stretched over all steps, unless it stays level after the warm-up. */
    private static final Set<String> LENGTH = Set.of("max_steps", "epochs");

    private Resume() {}

    /**
     * Settings to go on with.
     *
     * @param run    settings of the run, in full
     * @param wanted settings asked for; what they leave open is the run's
     * @throws ConfigException if a setting changes results, naming it and what stands against it
     */
    public static TrainConfig settle(TrainConfig run, TrainConfig wanted) {
        TrainConfig settled = completed(run, wanted);
        for (Difference difference : Difference.between(completed(run, run), settled)) {
            require(run, difference);
        }
        return settled;
    }

    /** The settings that are wanted, with what they leave to data and plan as the run has it; on the run's data. */
    private static TrainConfig completed(TrainConfig run, TrainConfig wanted) {
        int parts = wanted.microBatches() == 0 ? run.microBatches() : wanted.microBatches();
        return wanted.with(wanted.recompute(), parts)
                .with(
                        run.dataPaths(),
                        wanted.dataShape() == null ? run.dataShape() : wanted.dataShape(),
                        wanted.epochsPerPass() == null ? run.passEpochs() : wanted.epochsPerPass());
    }

    private static void require(TrainConfig run, Difference difference) {
        String key = difference.key();
        if (FREE.contains(key) || LENGTH.contains(key) && run.lrMinRatio() == 1) {
            return;
        }
        String why = LENGTH.contains(key)
                ? "lr_min_ratio, which is " + run.lrMinRatio()
                        + ", stands against it: the learning rate of each step follows from the number of all"
                : "it changes what the run computes; begin another run (load_checkpoint takes the weights of this one)";
        throw new ConfigException(
                key, key + " is " + difference.second() + ", but the run has " + difference.first() + ": " + why);
    }
}
