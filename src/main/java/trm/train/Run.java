package trm.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.format.DatasetInfo;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.RankExchange;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.RunLog;
import trm.lanes.DeviceExamples;

/**
 * One training run and its folder: {@code config.yaml}, {@code metrics.csv}, {@code log.txt}, TensorBoard events,
 * {@code checkpoints/}, {@code heartbeat.json}, and {@code DONE} once it is finished.
 * Training goes pass by pass over the data ({@code eval_interval} epochs each), evaluating on the moving average after
 * each, on {@code eval_puzzles} test examples but for the last; a resumed run continues bit for bit.
 */
public final class Run {
    private static final Logger LOG = LoggerFactory.getLogger(Run.class);

    /** FLOP a second of an H100 or H200 in bfloat16, the fixed yardstick of docs/measurements. */
    private static final double YARDSTICK = 798e12;

    private static final Pattern HOPPER = Pattern.compile("H[12]00");

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
    private final RunStatus status = new RunStatus();
    private final List<String> remarks = new ArrayList<>();
    private volatile StopCause stop; // null as long as nobody has asked
    private volatile StopCause stopped; // by what, of one of the ranks; null unless they have

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
        requestStop(StopCause.TERMINATED);
    }

    /** As {@link #requestStop()}; all ranks are told why. */
    public void requestStop(StopCause cause) {
        stop = cause;
    }

    /** Whether this rank was asked to stop. */
    public boolean isAsked() {
        return stop != null;
    }

    /** Why all ranks have stopped; null unless the outcome is that they have. */
    public StopCause stoppedBy() {
        return stopped;
    }

    /** Something to say when the run begins, in its log, too. */
    public void remark(String text) {
        remarks.add(text);
    }

    /** How the run is doing; from any thread. */
    public RunStatus status() {
        return status;
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
        try {
            return hold(resume);
        } catch (RuntimeException | Error e) {
            status.enter(RunStatus.Phase.FAILED);
            throw e;
        }
    }

    private Outcome hold(boolean resume) {
        if (backend.collective().rank() == 0) {
            listener.message("reading " + String.join(", ", config.data().paths()));
        }
        RunSetup setup = RunSetup.of(backend, config, folder, movedData, resume);
        RankAgreement.require(backend, setup.config(), setup.data());
        try (RunFolder held = take(resume)) {
            CheckpointStore store = held.store(setup.config().checkpoints().keep());
            // a folder on a network may not look the same to all ranks yet
            boolean begins =
                    RankExchange.any(backend, held.isWritten() && store.list().isEmpty());
            if (begins && resume && !RunFolder.isRun(folder)) {
                throw RunStart.noCheckpoint(setup);
            }
            if (begins && held.isWritten()) {
                Files.deleteIfExists(held.file(RunFolder.METRICS));
            }
            held.write(setup.config(), setup.data());
            try (RunLog log = held.isWritten() ? new RunLog(folder) : null;
                    Heartbeat heartbeat = held.isWritten() ? new Heartbeat(folder, status) : null) {
                LOG.info(
                        "device {} ({}), {}settings in {}",
                        backend.name(),
                        backend.target(),
                        backend.collective().ranks() == 1
                                ? ""
                                : backend.collective().ranks() + " ranks, ",
                        log == null ? folder : log.file().resolveSibling(RunFolder.CONFIG));
                held.killed().ifPresent(who -> LOG.info("the folder was last written by {}, which was killed", who));
                if (begins && setup.config().schedule().isUnplanned()) {
                    Optional<RunSetup> planned = planned(setup);
                    if (planned.isEmpty()) {
                        status.enter(RunStatus.Phase.ENDED);
                        return Outcome.STOPPED;
                    }
                    setup = planned.get();
                    held.write(setup.config(), setup.data());
                }
                if (heartbeat != null) {
                    heartbeat.begin();
                }
                Outcome outcome = train(setup, held, store, begins);
                status.enter(RunStatus.Phase.ENDED);
                return outcome;
            }
        } catch (IOException e) {
            throw new FormatException(folder + ": the run folder cannot be written: " + FormatException.reason(e), e);
        }
    }

    /** The first rank takes the folder; where it cannot, all fail. */
    private RunFolder take(boolean resume) {
        RunFolder held = null;
        FormatException refusal = null;
        if (backend.collective().rank() == 0) {
            try {
                held = resume ? RunFolder.resume(folder) : RunFolder.begin(folder);
            } catch (FormatException e) {
                refusal = e;
            }
        }
        String said = RankExchange.first(backend, refusal == null ? "" : refusal.getMessage());
        if (refusal != null) {
            throw refusal;
        }
        if (!said.isEmpty()) {
            throw new FormatException("rank 0: " + said);
        }
        return held == null ? RunFolder.follow(folder) : held;
    }

    /** With as many steps as fit into the run's time; nothing if it was asked to stop before it knew. */
    private Optional<RunSetup> planned(RunSetup setup) {
        try {
            OptionalInt steps = agreed(new TimedSteps(setup, this::isAsked).plan());
            String window = setup.config().schedule().maxTrainSeconds() + " s";
            say(
                    steps.isEmpty()
                            ? "stopped while steps were timed: the run has not begun"
                            : steps.getAsInt() + " of " + setup.totalSteps() + " steps are planned for " + window);
            return steps.isEmpty() ? Optional.empty() : Optional.of(setup.withPlannedSteps(steps.getAsInt()));
        } catch (RuntimeException e) {
            throw failed(e);
        }
    }

    /** The same in all ranks. */
    private StopCause agreedCause() {
        StopCause own = stop;
        return RankExchange.gather(backend, own == null ? "" : own.name()).stream()
                .filter(name -> !name.isEmpty())
                .map(StopCause::valueOf)
                .min(Comparator.naturalOrder())
                .orElse(StopCause.TERMINATED);
    }

    /** What the first rank has timed; nothing if any was asked to stop. */
    private OptionalInt agreed(OptionalInt own) {
        if (RankExchange.any(backend, own.isEmpty())) {
            return OptionalInt.empty();
        }
        return OptionalInt.of(Integer.parseInt(RankExchange.first(backend, Integer.toString(own.getAsInt()))));
    }

    private void say(String text) {
        if (backend.collective().rank() == 0) {
            LOG.info(text);
            listener.message(text);
        }
    }

    /** Settings that begin at a step which the run does not have: allowed, as a trial may be short, but said. */
    static List<String> neverReached(TrainConfig config, long totalSteps) {
        List<String> said = new ArrayList<>();
        if (config.average().fromStep() > totalSteps) {
            said.add("ema_from_step is " + config.average().fromStep() + ", and the run ends at step " + totalSteps
                    + ": nothing is averaged, the weights are evaluated as they are");
        }
        if (config.schedule().carryFromStep() > totalSteps) {
            said.add("carry_from_step is " + config.schedule().carryFromStep() + ", and the run ends at step "
                    + totalSteps + ": each sample gets one supervision step, and halting is never trained");
        }
        return said;
    }

    /** What a run says that evaluates but once: it may be meant so, or an oversight. */
    private static Optional<String> evaluatesOnce(RunSetup setup) {
        TrainConfig config = setup.config();
        long total = setup.totalSteps();
        int bySteps = config.evaluation().everySteps();
        DatasetInfo info = setup.data().train().info();
        double pass = (double) config.schedule().epochsBetweenEvaluations()
                * info.totalGroups()
                * info.meanPuzzleExamples()
                / config.schedule().globalBatchSize();
        boolean within = bySteps > 0 && bySteps < total || pass < total;
        return setup.data().test() == null || within
                ? Optional.empty()
                : Optional.of("evaluates once, after the last of " + total
                        + " steps; eval_every_steps evaluates before, or an eval_interval of fewer epochs");
    }

    private Outcome train(RunSetup setup, RunFolder held, CheckpointStore store, boolean begins) {
        try (RunJournal journal = new RunJournal(
                held,
                listener,
                setup.totalSteps(),
                setup.config().arch().halting().maxSteps())) {
            remarks.forEach(journal::say);
            journal.say("memory: " + setup.plan().describe());
            neverReached(setup.config(), setup.totalSteps()).forEach(journal::warn);
            evaluatesOnce(setup).ifPresent(journal::say);
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
                status.begins(
                        start.step(),
                        setup.totalSteps(),
                        backend.collective().ranks(),
                        setup.plan().totalBytes(),
                        work(setup, tensors));
                return train(setup, tensors, start, held, store, journal);
            }
        } catch (RuntimeException e) {
            throw failed(e);
        }
    }

    /** What its settings do not say. */
    private Map<String, String> facts(RunSetup setup) {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("device", backend.name() + " (" + backend.target() + ")");
        facts.put("ranks", Integer.toString(backend.collective().ranks()));
        facts.put("optimizer steps", Long.toString(setup.totalSteps()));
        facts.put("memory", setup.plan().describe());
        facts.put("data", setup.data().folders().toString());
        return facts;
    }

    private RunStatus.Work work(RunSetup setup, RunTensors tensors) {
        int ranks = backend.collective().ranks();
        double flops = ranks * tensors.supervision().model().sizes().flops(true);
        boolean hopper = HOPPER.matcher(backend.target()).find();
        return new RunStatus.Work(setup.config().schedule().globalBatchSize(), flops, hopper ? YARDSTICK : 0);
    }

    private RuntimeException failed(RuntimeException e) {
        status.enter(RunStatus.Phase.FAILED);
        LOG.error("the run failed", e);
        return e;
    }

    private Outcome train(
            RunSetup setup,
            RunTensors tensors,
            RunStart start,
            RunFolder held,
            CheckpointStore store,
            RunJournal journal) {
        if (start.checkpoint() != null) {
            journal.resumeAt(start.step(), start.evaluatedStep() == start.step());
            String at = "step " + start.step() + " of " + setup.totalSteps();
            if (start.finished(
                    setup.totalSteps(),
                    tensors.evaluator() != null,
                    setup.config().evaluation().patience())) {
                journal.say("the run in " + folder + " is finished: " + at);
                held.markDone(true, start.step());
                return Outcome.ALREADY_FINISHED;
            }
            journal.say("resuming " + start.checkpoint() + " at " + at);
        }
        held.markDone(false, start.step());
        journal.begin(setup.config(), facts(setup));
        try (RunCheckpoints checkpoints = new RunCheckpoints(store, held.isWritten(), tensors.copy(), journal, status);
                TrainingLoop loop =
                        new TrainingLoop(setup, tensors, start, checkpoints, journal, status, this::isAsked)) {
            Outcome outcome = loop.run();
            if (outcome == Outcome.STOPPED) {
                stopped = agreedCause();
            }
            if (outcome == Outcome.FINISHED) {
                held.markDone(true, loop.step());
            }
            return outcome;
        }
    }
}
