package trm.train;

import java.util.Locale;
import java.util.OptionalInt;
import java.util.function.BooleanSupplier;
import trm.config.ConfigException;
import trm.config.TrainConfig;
import trm.data.TrainLoader;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.RankExchange;
import trm.lanes.DeviceExamples;

/**
 * How many steps of a run fit into {@code max_train_seconds}: some are timed, from which nothing remains, and the number that
 * follows is the run's for good, {@code planned_steps}. So the run is that of as many steps, bit for bit, whatever its rate turns out
 * to be, and its learning rate ends where it should.
 *
 * <pre>
 *   steps = the largest number for which, over the parts of the depth schedule,
 *           sum(steps of a part after begin_step * seconds a step) &lt;= seconds (1 - reserve) - seconds of the timing
 * </pre>
 *
 * The clock begins with the timing, when data and plan are there. A step is timed as it is later, with its samples from the loader
 * and as a captured graph, in each part of the depth schedule. Evaluations and checkpoints are not in it.
 */
final class TimedSteps {
    /** Of the time, for what the rows of metrics take and for a machine that is now and then slower. */
    static final double RESERVE = 0.02;

    /** Share of the time that the timing takes, unless its least number of steps takes longer. */
    private static final double TIMED = 0.02;

    /** Steps of each part before the clock: the first chooses algorithms, the second is captured. */
    private static final int WARM_UP = 3;

    private static final int LEAST_TIMED = 5;

    private final RunSetup setup;
    private final BooleanSupplier stop;

    /** @param stop asked after each step */
    TimedSteps(RunSetup setup, BooleanSupplier stop) {
        this.setup = setup;
        this.stop = stop;
    }

    /**
     * Times and plans; leaves nothing on the device.
     *
     * @return steps of the whole run, at most those that it has without the limit; empty if it was asked to stop
     * @throws ConfigException if no step fits, or the rate would never begin to fall
     */
    OptionalInt plan() {
        long began = System.nanoTime();
        double[] secondsPerStep; // of each part
        DepthSchedule depth = new DepthSchedule(setup.config(), setup.totalSteps());
        try (Arena arena = setup.plan().allocate(setup.backend());
                RunTensors tensors = RunTensors.allocate(
                        setup.backend(), arena, setup.plan().settled(), setup.sizes(), setup.totalSteps())) {
            DeviceExamples.upload(setup.backend(), setup.data().train(), tensors.trainExamples());
            tensors.parameters().initialize(setup.config().run().seed());
            TrainLoader loader = RunStart.loader(setup);
            loader.startPass();
            secondsPerStep = new double[depth.parts()];
            for (int part = 0; part < depth.parts(); part++) {
                secondsPerStep[part] = secondsPerStep(tensors.supervision(), loader, part, depth.parts());
                if (stop.getAsBoolean()) {
                    return OptionalInt.empty();
                }
            }
        }
        double spent = (System.nanoTime() - began) * 1e-9;
        return OptionalInt.of(steps(setup.config(), setup.totalSteps(), secondsPerStep, spent));
    }

    private double secondsPerStep(DeepSupervision supervision, TrainLoader loader, int part, int parts) {
        Backend backend = setup.backend();
        for (int i = 0; i < WARM_UP; i++) {
            supervision.step(RunStart.batch(loader), part);
        }
        backend.synchronize();
        double enough = TIMED * setup.config().schedule().maxTrainSeconds() / parts;
        long began = System.nanoTime();
        int steps = 0;
        boolean goesOn = true;
        while (goesOn) {
            supervision.step(RunStart.batch(loader), part);
            steps++;
            boolean wanted =
                    !stop.getAsBoolean() && (steps < LEAST_TIMED || (System.nanoTime() - began) * 1e-9 < enough);
            goesOn = !RankExchange.any(backend, !wanted);
        }
        backend.synchronize();
        return (System.nanoTime() - began) * 1e-9 / steps;
    }

    /**
     * The last step that fits.
     *
     * @param most that the run has without the limit
     * @param secondsPerStep of each part of the depth schedule
     * @param spent seconds since the clock began
     */
    static int steps(TrainConfig config, long most, double[] secondsPerStep, double spent) {
        DepthSchedule depth = new DepthSchedule(config, most);
        long begin = config.run().beginStep();
        double window = config.schedule().maxTrainSeconds();
        double left = window * (1 - RESERVE) - spent;
        long fit = begin;
        for (long beyond = Math.min(most, Integer.MAX_VALUE) + 1; beyond - fit > 1; ) {
            long middle = (fit + beyond) / 2;
            if (seconds(depth, begin, middle, secondsPerStep) <= left) {
                fit = middle;
            } else {
                beyond = middle;
            }
        }
        int steps = (int) fit;
        int warmup = config.learningRate().warmupSteps();
        boolean falls = config.learningRate().minRatio() < 1 && most > warmup;
        long least = Math.max(begin, falls ? warmup : 0) + 1;
        if (steps < least) {
            double needed = (spent + seconds(depth, begin, least, secondsPerStep)) / (1 - RESERVE);
            throw new ConfigException(
                    "max_train_seconds",
                    String.format(
                            Locale.ROOT,
                            "max_train_seconds is %s: the window is over %s: a step takes %.3g s, and to time that took %.3g s;"
                                    + " must be above %.3g%s",
                            window,
                            steps <= begin ? "before the first step" : "within lr_warmup_steps, which is " + warmup,
                            seconds(depth, begin, most, secondsPerStep) / (most - begin),
                            spent,
                            needed,
                            steps <= begin ? "" : ", or lr_warmup_steps be smaller"));
        }
        return steps;
    }

    /** What the steps after {@code begin} of a run of {@code total} take. */
    private static double seconds(DepthSchedule depth, long begin, long total, double[] secondsPerStep) {
        double seconds = 0;
        for (int part = 0; part < secondsPerStep.length; part++) {
            seconds += depth.steps(part, begin, total) * secondsPerStep[part];
        }
        return seconds;
    }
}
