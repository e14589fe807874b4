package trm.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.device.Arena;
import trm.device.Backend;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.RunLog;
import trm.lanes.DeviceExamples;

/**
 * One training run and its folder: {@code config.yaml}, {@code metrics.csv}, {@code log.txt}, TensorBoard events,
 * {@code checkpoints/}.
 * Training goes pass by pass over the data ({@code eval_interval} epochs each), evaluating on the moving average after
 * each, on {@code eval_puzzles} test examples but for the last; a resumed run continues bit for bit.
 */
public final class Run {
    private static final Logger LOG = LoggerFactory.getLogger(Run.class);

    /** Follows a run from outside. */
    public interface Listener {
        /** A row of metrics. */
        void row(MetricsRow row, long totalSteps);

        /** An evaluation begins; its row follows, unless the run is asked to stop. */
        void evaluating(long step, long puzzles);

        /** A line for people. */
        void message(String text);
    }

    /** How a run ended. */
    public enum Outcome {
        FINISHED,
        ALREADY_FINISHED,
        STOPPED,
        /** An evaluation did not reach its gate ({@code gates}). */
        GATED
    }

    private final Backend backend;
    private final TrainConfig config;
    private final Path folder;
    private final List<Path> movedData;
    private final Listener listener;
    private volatile boolean stop;

    public Run(Backend backend, TrainConfig config, Path folder, Listener listener) {
        this(backend, config, folder, List.of(), listener);
    }

    /** @param movedData where the data of a run that is resumed are now; empty if they are where they were */
    public Run(Backend backend, TrainConfig config, Path folder, List<Path> movedData, Listener listener) {
        this.backend = backend;
        this.config = config;
        this.folder = folder;
        this.movedData = List.copyOf(movedData);
        this.listener = listener;
    }

    /** Asks the run to finish its step, write a checkpoint and return; callable from any thread. */
    public void requestStop() {
        stop = true;
    }

    /** Optimizer steps of the whole run: floor(epochs * groups * mean examples / batch), or max_steps or planned_steps if smaller. */
    public static long totalSteps(TrainConfig config, Dataset train) {
        return totalSteps(config, train.info().totalGroups(), train.info().meanPuzzleExamples());
    }

    /** As {@link #totalSteps(TrainConfig, Dataset)}, for data that is not there. */
    public static long totalSteps(TrainConfig config, long groups, double meanExamples) {
        double samples = (double) config.schedule().epochs() * groups * meanExamples;
        long all = (long) (samples / config.schedule().globalBatchSize());
        return Math.min(config.schedule().mostSteps(), all);
    }

    /**
     * Trains until the end or a request to stop. A failure is in the log, too.
     *
     * @param resume continue from the folder's newest valid checkpoint; a run that was ended before its first begins
     * @throws FormatException if the data, a checkpoint or the folder cannot be read or written, or another process
     *     writes the folder
     * @throws DivergedException if a loss or gradient is not finite, unless {@code on_nan} says to go on
     */
    public Outcome run(boolean resume) {
        RunSetup setup = RunSetup.of(backend, config, folder, movedData, resume);
        try (RunFolder held = resume ? RunFolder.resume(folder) : RunFolder.begin(folder)) {
            CheckpointStore store = held.store(setup.config().checkpoints().keep());
            boolean begins = store.list().isEmpty();
            if (begins && resume && !RunFolder.isRun(folder)) {
                throw RunStart.noCheckpoint(setup);
            }
            if (begins) {
                Files.deleteIfExists(held.file(RunFolder.METRICS));
            }
            held.write(setup.config(), setup.data());
            try (RunLog log = new RunLog(folder)) {
                LOG.info(
                        "device {} ({}), settings in {}",
                        backend.name(),
                        backend.target(),
                        log.file().resolveSibling(RunFolder.CONFIG));
                held.killed().ifPresent(who -> LOG.info("the folder was last written by {}, which was killed", who));
                if (begins && setup.config().schedule().isUnplanned()) {
                    Optional<RunSetup> planned = planned(setup);
                    if (planned.isEmpty()) {
                        return Outcome.STOPPED;
                    }
                    setup = planned.get();
                    held.write(setup.config(), setup.data());
                }
                return train(setup, held, store, begins);
            }
        } catch (IOException e) {
            throw new FormatException(folder + ": the run folder cannot be written: " + FormatException.reason(e), e);
        }
    }

    /** With as many steps as fit into the run's time; nothing if it was asked to stop before it knew. */
    private Optional<RunSetup> planned(RunSetup setup) {
        try {
            OptionalInt steps = new TimedSteps(setup, () -> stop).plan();
            String window = setup.config().schedule().maxTrainSeconds() + " s";
            say(
                    steps.isEmpty()
                            ? "stopped while steps were timed: the run has not begun"
                            : steps.getAsInt() + " of " + setup.totalSteps() + " steps are planned for " + window);
            return steps.isEmpty() ? Optional.empty() : Optional.of(setup.withPlannedSteps(steps.getAsInt()));
        } catch (RuntimeException e) {
            LOG.error("the run failed", e);
            throw e;
        }
    }

    private void say(String text) {
        LOG.info(text);
        listener.message(text);
    }

    private Outcome train(RunSetup setup, RunFolder held, CheckpointStore store, boolean begins) {
        try (RunJournal journal = new RunJournal(held, listener, setup.totalSteps())) {
            journal.say("memory: " + setup.plan().describe());
            try (Arena arena = setup.plan().allocate(backend);
                    RunTensors tensors = RunTensors.allocate(
                            backend, arena, setup.plan().settled(), setup.sizes(), setup.totalSteps())) {
                DeviceExamples.upload(backend, setup.data().train(), tensors.trainExamples());
                if (setup.data().test() != null) {
                    DeviceExamples.upload(backend, setup.data().test(), tensors.testExamples());
                }
                RunStart start = begins
                        ? RunStart.fresh(setup, tensors, journal)
                        : RunStart.resumed(setup, tensors, store, journal);
                return train(setup, tensors, start, store, journal);
            }
        } catch (RuntimeException e) {
            LOG.error("the run failed", e);
            throw e;
        }
    }

    private Outcome train(
            RunSetup setup, RunTensors tensors, RunStart start, CheckpointStore store, RunJournal journal) {
        if (start.checkpoint() != null) {
            journal.resumeAt(start.step(), start.evaluatedStep() == start.step());
            String at = "step " + start.step() + " of " + setup.totalSteps();
            if (start.finished(setup.totalSteps(), tensors.evaluator() != null)) {
                journal.say("the run in " + folder + " is finished: " + at);
                return Outcome.ALREADY_FINISHED;
            }
            journal.say("resuming " + start.checkpoint() + " at " + at);
        }
        journal.begin();
        try (TrainingLoop loop = new TrainingLoop(setup, tensors, start, store, journal, () -> stop)) {
            return loop.run();
        }
    }
}
