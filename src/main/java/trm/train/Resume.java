package trm.train;

import trm.config.ConfigException;
import trm.config.ConfigKey.OnResume;
import trm.config.Difference;
import trm.config.TrainConfig;

/** Which settings of a run may change when it is resumed: those that change no result. */
public final class Resume {
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
        int parts = wanted.memory().microBatches() == 0
                ? run.memory().microBatches()
                : wanted.memory().microBatches();
        int planned = wanted.schedule().plannedSteps() == 0 && wanted.schedule().maxTrainSeconds() > 0
                ? run.schedule().plannedSteps()
                : wanted.schedule().plannedSteps();
        return wanted.with(wanted.memory().recompute(), parts)
                .withPlannedSteps(planned)
                .with(
                        run.data().paths(),
                        wanted.data().shape() == null
                                ? run.data().shape()
                                : wanted.data().shape(),
                        wanted.schedule().epochsPerPass() == null
                                ? run.schedule().passEpochs()
                                : wanted.schedule().epochsPerPass());
    }

    /** The schedules are stretched over all steps: that of the depth, and of the rate unless it stays level after the warm-up. */
    private static void require(TrainConfig run, Difference difference) {
        OnResume rule = difference.onResume();
        double ratio = run.learningRate().minRatio();
        boolean level = run.schedule().depthStages().isEmpty();
        if (rule == OnResume.FREE || rule == OnResume.LENGTH && ratio == 1 && level) {
            return;
        }
        String why = rule == OnResume.LENGTH
                ? ratio == 1
                        ? "depth_schedule stands against it: the depth of each step follows from the number of all"
                        : "lr_min_ratio, which is " + ratio
                                + ", stands against it: the learning rate of each step follows from the number of all"
                : "it changes what the run computes; begin another run (load_checkpoint takes the weights of this one)";
        String key = difference.key();
        throw new ConfigException(
                key, key + " is " + difference.second() + ", but the run has " + difference.first() + ": " + why);
    }
}
