package trm.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import trm.config.OnNan;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.TrainLoader;
import trm.data.random.LegacyRandom;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Staging;
import trm.evaluation.ArcVotes;
import trm.evaluation.ArcVoting;
import trm.evaluation.Evaluator;
import trm.evaluation.Score;
import trm.input.Shown;
import trm.io.CheckpointStore;
import trm.io.EventFile;
import trm.io.FormatException;
import trm.io.MetricsCsv;
import trm.io.RunLog;
import trm.io.SafeTensors;
import trm.lanes.DeviceExamples;
import trm.model.Parameters;
import trm.train.MetricsRow.Column;

/**
 * One training run and its folder: {@code config.yaml}, {@code metrics.csv}, {@code log.txt}, TensorBoard events,
 * {@code checkpoints/}.
 * Training goes pass by pass over the data ({@code eval_interval} epochs each), evaluating on the moving average after
 * each, on {@code eval_puzzles} test examples but for the last; a resumed run continues bit for bit.
 */
public final class Run {
    private static final Logger LOG = LoggerFactory.getLogger(Run.class);

    /** Passes in a row that may fill no batch, where it is left to chance how many samples a pass has. */
    private static final int MOST_EMPTY_PASSES = 1000;

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
        STOPPED
    }

    private final Backend backend;
    private TrainConfig config; // settled with the data and the plan, once they are known
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

    /** Optimizer steps of the whole run: floor(epochs * groups * mean examples / batch), or max_steps if smaller. */
    public static long totalSteps(TrainConfig config, Dataset train) {
        return totalSteps(config, train.info().totalGroups(), train.info().meanPuzzleExamples());
    }

    /** As {@link #totalSteps(TrainConfig, Dataset)}, for data that is not there. */
    public static long totalSteps(TrainConfig config, long groups, double meanExamples) {
        double samples = (double) config.epochs() * groups * meanExamples;
        long all = (long) (samples / config.globalBatchSize());
        return config.maxSteps() > 0 ? Math.min(config.maxSteps(), all) : all;
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
        RunData data =
                resume ? RunData.reopen(folder, config, movedData) : RunData.open(DataFolders.of(config.dataPaths()));
        config = data.settle(config);
        long total = totalSteps(config, data.train());
        if (total < 1) {
            throw new FormatException(data.folders() + ": " + config.epochs() + " epochs of "
                    + data.train().examples() + " examples fill no batch of global_batch_size: "
                    + config.globalBatchSize());
        }
        config.requirePass(data.train().info().totalGroups());
        data.requireBatches(config);
        RunTensors.DataSizes sizes = RunTensors.DataSizes.of(data.train(), data.test());
        int positions = config.arch().prefixLen() + data.train().seqLen();
        MemoryPlan plan = MemoryPlan.of(
                backend,
                config,
                positions,
                (device, arena, settled) -> RunTensors.allocate(device, arena, settled, sizes, total));
        plan.requireFits();
        // gradients are summed part by part: a resumed run must go on with as many parts
        config = config.with(config.recompute(), plan.settled().microBatches());
        try (RunFolder held = resume ? RunFolder.resume(folder) : RunFolder.begin(folder)) {
            CheckpointStore store = held.store(config.checkpointKeep());
            boolean begins = store.list().isEmpty();
            if (begins && resume && !RunFolder.isRun(folder)) {
                throw new FormatException(
                        folder.resolve(RunFolder.CHECKPOINTS) + ": no valid checkpoint to resume from");
            }
            if (begins) {
                Files.deleteIfExists(held.file(RunFolder.METRICS));
            }
            held.write(config, data);
            try (RunLog log = new RunLog(folder)) {
                return logged(held, store, begins, data, plan, sizes, total, log);
            }
        } catch (IOException e) {
            throw new FormatException(folder + ": the run folder cannot be written: " + FormatException.reason(e), e);
        }
    }

    private Outcome logged(
            RunFolder held,
            CheckpointStore store,
            boolean begins,
            RunData data,
            MemoryPlan plan,
            RunTensors.DataSizes sizes,
            long total,
            RunLog log) {
        LOG.info(
                "device {} ({}), settings in {}",
                backend.name(),
                backend.target(),
                log.file().resolveSibling(RunFolder.CONFIG));
        held.killed().ifPresent(who -> LOG.info("the folder was last written by {}, which was killed", who));
        try {
            say("memory: " + plan.describe());
            return train(held, store, begins, data, plan, sizes, total);
        } catch (RuntimeException e) {
            LOG.error("the run failed", e);
            throw e;
        }
    }

    private Outcome train(
            RunFolder held,
            CheckpointStore store,
            boolean begins,
            RunData data,
            MemoryPlan plan,
            RunTensors.DataSizes sizes,
            long total) {
        try (Arena arena = plan.allocate(backend);
                RunTensors tensors = RunTensors.allocate(backend, arena, plan.settled(), sizes, total);
                MetricsCsv csv = new MetricsCsv(held.file(RunFolder.METRICS), MetricsRow.titles())) {
            csv.torn()
                    .ifPresent(row -> warn(held.file(RunFolder.METRICS) + ": dropped a row that a crash has torn: "
                            + Shown.quoted(row)));
            DeviceExamples.upload(backend, data.train(), tensors.trainExamples());
            if (data.test() != null) {
                DeviceExamples.upload(backend, data.test(), tensors.testExamples());
            }
            Parameters parameters = tensors.parameters();
            LegacyRandom legacy = new LegacyRandom(config.seed());
            TrainLoader loader =
                    new TrainLoader(data.train(), config.seed(), legacy, config.globalBatchSize(), config.passEpochs());
            long step = 0;
            long evaluated = 0;
            boolean repeats = false; // an evaluation of this step, whose row was already written
            if (begins) {
                parameters.initialize(config.seed());
                loadInitial(parameters);
                loader.startPass();
            } else {
                SafeTensors file = SafeTensors.open(store.latestValid(this::warn)
                        .orElseThrow(() -> new FormatException(
                                folder.resolve(RunFolder.CHECKPOINTS) + ": no valid checkpoint to resume from")));
                long meant = Checkpoint.config(file)
                        .map(settings -> totalSteps(settings, data.train()))
                        .orElse(total);
                CheckpointState state =
                        CheckpointState.read(file, tensors, loader, meant, config.onNan() == OnNan.STOP);
                state.load(backend, tensors, loader, config, total);
                step = state.progress().step();
                evaluated = state.progress().evaluatedStep();
                csv.truncateAfter(step);
                repeats = evaluated != step && csv.dropRows(step, Column.EVAL_PUZZLES.ordinal());
                if (step >= total && (tensors.evaluator() == null || evaluated == step)) {
                    say("the run in " + folder + " is finished: step " + step + " of " + total);
                    return Outcome.ALREADY_FINISHED;
                }
                say("resuming " + file.file() + " at step " + step + " of " + total);
            }
            double norm =
                    HostCopy.doubles(backend, tensors.supervision().metrics())[Kernels.Metric.GRAD_NORM.ordinal()];
            try (EventFile events = new EventFile(folder, begins ? 0 : repeats ? step : step + 1);
                    FiniteWatch watch = new FiniteWatch(backend, !Double.isNaN(norm))) {
                if (repeats) {
                    MetricsRow.read(held.file(RunFolder.METRICS), step).ifPresent(row -> write(events, row));
                }
                Loop loop = new Loop(tensors, loader, legacy, store, csv, events, watch, total, data);
                return loop.run(step, evaluated);
            }
        }
    }

    private static void write(EventFile events, MetricsRow row) {
        String family = row.has(Column.EVAL_PUZZLES) ? "" : "train/";
        double wall = System.currentTimeMillis() * 1e-3;
        for (Column column : Column.values()) {
            if (column != Column.STEP && row.has(column)) {
                events.scalar(family + column.title(), row.step(), row.get(column), wall);
            }
        }
    }

    /**
     * The test examples of an evaluation: the same ones every time, evenly spread, i all / wanted for i = 0, 1, ...
     *
     * @param wanted {@code eval_puzzles}; all of them if it is 0 or more than there are
     */
    static int[] evaluationRows(int all, int wanted) {
        int count = wanted == 0 ? all : Math.min(wanted, all);
        return IntStream.range(0, count)
                .map(i -> (int) ((long) i * all / count))
                .toArray();
    }

    /** Weights of {@code load_checkpoint} in place of the fresh ones, if it is set. */
    private void loadInitial(Parameters parameters) {
        if (config.loadCheckpoint() == null) {
            return;
        }
        SafeTensors file = Checkpoint.open(Path.of(config.loadCheckpoint()), this::warn);
        Checkpoint.used(file, Optional.of(config.ema())).ifPresent(this::say);
        boolean reset = Checkpoint.readInitial(file, backend, parameters, config.ema());
        say("initial weights from " + file.file()
                + (reset
                        ? "; it has other puzzle identifiers: every puzzle vector begins as the mean of its own"
                        : ""));
    }

    private void say(String text) {
        LOG.info(text);
        listener.message(text);
    }

    private void warn(String text) {
        LOG.warn(text);
        listener.message(text);
    }

    /** The steps of a run, from where it stands to its end. */
    private final class Loop {
        private final Parameters parameters;
        private final DeepSupervision supervision;
        private final Evaluator evaluator;
        private final Kernels.Examples testExamples;
        private final Staging staging;
        private final TrainLoader loader;
        private final LegacyRandom legacy;
        private final CheckpointStore store;
        private final MetricsCsv csv;
        private final EventFile events;
        private final FiniteWatch watch;
        private final long total;
        private final RunData data;
        private long evaluated;
        private long saved = -1;
        private int emptyPasses; // one after the other
        private boolean diverged;
        private MetricsReading reading; // on its way, null while there is none
        private long taken; // the step after which it was taken
        private long lastLogged;
        private final long began = System.nanoTime();
        private long lastLogTime = began;

        Loop(
                RunTensors tensors,
                TrainLoader loader,
                LegacyRandom legacy,
                CheckpointStore store,
                MetricsCsv csv,
                EventFile events,
                FiniteWatch watch,
                long total,
                RunData data) {
            this.parameters = tensors.parameters();
            this.supervision = tensors.supervision();
            this.evaluator = tensors.evaluator();
            this.testExamples = tensors.testExamples();
            this.staging = tensors.staging();
            this.loader = loader;
            this.legacy = legacy;
            this.store = store;
            this.csv = csv;
            this.events = events;
            this.watch = watch;
            this.total = total;
            this.data = data;
        }

        Outcome run(long from, long evaluatedBefore) {
            long step = from;
            evaluated = evaluatedBefore;
            lastLogged = from - from % config.logEverySteps();
            while (!stop) {
                int[] rows = step < total ? loader.nextBatch() : null;
                if (rows == null) {
                    if (isDue(step)) {
                        save(step); // a kill during the evaluation loses no step
                        if (!evaluate(step)) {
                            break; // the run that continues this one evaluates
                        }
                    }
                    if (step >= total) {
                        save(step);
                        return Outcome.FINISHED;
                    }
                    requireBatch();
                    loader.startPass();
                    save(step);
                    continue;
                }
                emptyPasses = 0;
                supervision.step(rows);
                step++;
                watch.look(step, supervision.metrics());
                if (step % config.logEverySteps() == 0 || step == total) {
                    log(true);
                    reading = supervision.takeMetrics();
                    watch.reset();
                    taken = step;
                }
                log(false);
                requireFinite(false);
                if (config.checkpointEverySteps() > 0 && step % config.checkpointEverySteps() == 0 && step < total) {
                    save(step);
                }
            }
            save(step);
            say("stopped at step " + step + " of " + total + "; continue with --resume " + folder);
            return Outcome.STOPPED;
        }

        /** Whether the pass that has ended is followed by an evaluation. */
        private boolean isDue(long step) {
            long epochs = loader.passes() * config.passEpochs();
            return evaluator != null
                    && evaluated != step
                    && (step >= total || epochs % config.epochsBetweenEvaluations() == 0);
        }

        /** How many samples a pass has may depend on draws; one that never fills a batch is no run. */
        private void requireBatch() {
            if (++emptyPasses > MOST_EMPTY_PASSES) {
                throw new FormatException(data.folders() + ": " + MOST_EMPTY_PASSES
                        + " passes filled no batch of global_batch_size: " + config.globalBatchSize()
                        + "; expected a smaller batch, or more epochs in a pass (eval_interval)");
            }
        }

        /**
         * Stops the run, or warns, at the first step that is not finite.
         *
         * @param all wait for the steps under way
         */
        private void requireFinite(boolean all) {
            if (!diverged) {
                watch.read(all).ifPresent(finding -> {
                    String what = finding.metric().name().toLowerCase(Locale.ROOT) + " is " + finding.value();
                    diverged(finding.step(), what, Divergence.first(backend, parameters));
                });
            }
        }

        private void diverged(long step, String what, Optional<String> tensor) {
            diverged = true;
            Optional<Path> finite = store.newestBefore(step);
            String text = "step " + step + ": " + what
                    + tensor.map(name -> "; the first tensor that is not finite is " + name)
                            .orElse("")
                    + finite.map(file -> "; the newest checkpoint before it is " + file)
                            .orElse("; there is no checkpoint before it");
            if (config.onNan() == OnNan.STOP) {
                throw new DivergedException(folder + ": " + text + " (on_nan: warn goes on)");
            }
            finite.ifPresent(store::pin);
            warn(text + "; going on, as on_nan is warn");
        }

        /** A checkpoint comes after the rows of the steps before it, or a resumed run would lack them. */
        private void save(long step) {
            if (saved == step) {
                return;
            }
            requireFinite(true);
            if (!diverged) {
                Divergence.weights(backend, parameters)
                        .ifPresent(name ->
                                diverged(step, "the update left weights that are not finite", Optional.of(name)));
            }
            log(true);
            csv.force();
            Checkpoint.HostState host = Checkpoint.host(step, evaluated, loader, legacy);
            store.save(step, out -> Checkpoint.write(out, staging, config, total, parameters, supervision, host));
            saved = step;
        }

        /** Writes the row of the metrics that are on their way, if they have come or are waited for. */
        private void log(boolean wait) {
            if (reading == null || !wait && !reading.arrived()) {
                return;
            }
            reading.await();
            MetricsReading m = reading;
            reading = null;
            long now = System.nanoTime();
            double samples = (double) (taken - lastLogged) * config.globalBatchSize();
            double halted = m.metric(Kernels.Metric.COUNT);
            MetricsRow row = new MetricsRow(taken)
                    .set(Column.LR, m.learningRate())
                    .set(Column.LM_LOSS, m.metric(Kernels.Metric.LM_LOSS) / samples)
                    .set(Column.Q_HALT_LOSS, m.metric(Kernels.Metric.Q_HALT_LOSS) / samples)
                    .set(Column.GRAD_NORM, m.metric(Kernels.Metric.GRAD_NORM) / (taken - lastLogged))
                    .set(Column.HALTED, (long) halted)
                    .set(Column.ELAPSED_SECONDS, (now - began) * 1e-9)
                    .set(Column.SAMPLES_PER_SECOND, samples / ((now - lastLogTime) * 1e-9));
            if (config.arch().hasContinueLoss()) {
                row.set(Column.Q_CONTINUE_LOSS, m.metric(Kernels.Metric.Q_CONTINUE_LOSS) / samples);
            }
            if (halted > 0) {
                row.set(Column.ACCURACY, m.metric(Kernels.Metric.ACCURACY) / halted)
                        .set(Column.EXACT_ACCURACY, m.metric(Kernels.Metric.EXACT_ACCURACY) / halted)
                        .set(Column.Q_HALT_ACCURACY, m.metric(Kernels.Metric.Q_HALT_ACCURACY) / halted)
                        .set(Column.STEPS, m.metric(Kernels.Metric.STEPS) / halted);
            }
            record(row);
            lastLogged = taken;
            lastLogTime = now;
        }

        /** False if a request to stop came before the end. */
        private boolean evaluate(long step) {
            log(true);
            parameters.refreshWorking();
            int all = (int) testExamples.ids().count();
            int[] rows = evaluationRows(all, step >= total ? 0 : config.evalPuzzles());
            LOG.info("evaluating {} of {} puzzles at step {}", rows.length, all, step);
            listener.evaluating(step, rows.length);
            ArcVoting voting = ArcVoting.of(data.folders(), data.test());
            Optional<Score> result = evaluator.evaluate(testExamples, rows, () -> stop, voting);
            if (result.isEmpty()) {
                return false;
            }
            Score r = result.get();
            evaluated = step;
            saved = -1; // what a checkpoint of this step says has changed
            MetricsRow row = new MetricsRow(step)
                    .set(Column.EVAL_PUZZLES, r.puzzles())
                    .set(Column.EVAL_ACCURACY, r.accuracy())
                    .set(Column.EVAL_EXACT_ACCURACY, r.exactAccuracy())
                    .set(Column.ELAPSED_SECONDS, (System.nanoTime() - began) * 1e-9);
            Map<Integer, Double> pass =
                    voting == null ? Map.of() : voting.votes().pass(ArcVotes.PASS_K);
            if (voting != null) {
                row.set(Column.EVAL_PASS_2, pass.get(ArcVotes.ATTEMPTS));
            }
            record(row);
            if (voting != null) {
                say(ArcVoting.describe(pass));
            }
            lastLogTime = System.nanoTime();
            return true;
        }

        private void record(MetricsRow row) {
            csv.append(row.values());
            write(events, row);
            LOG.info(row.describe(total));
            listener.row(row, total);
        }
    }
}
