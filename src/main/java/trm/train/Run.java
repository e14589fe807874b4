package trm.train;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.ArcVotes;
import trm.data.Dataset;
import trm.data.LegacyRandom;
import trm.data.TrainLoader;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Kernels;
import trm.io.CheckpointStore;
import trm.io.EventFile;
import trm.io.FormatException;
import trm.io.MetricsCsv;
import trm.io.RunLog;
import trm.io.SafeTensors;
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
    private TrainConfig config; // with the number of micro-batches, once that is settled
    private final Path folder;
    private final Listener listener;
    private volatile boolean stop;

    public Run(Backend backend, TrainConfig config, Path folder, Listener listener) {
        this.backend = backend;
        this.config = config;
        this.folder = folder;
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
     * @param resume continue from the folder's newest valid checkpoint
     * @throws FormatException if the data, a checkpoint or the folder cannot be read or written
     */
    public Outcome run(boolean resume) {
        Path dataFolder = Path.of(config.dataPaths().get(0));
        Dataset train = Dataset.open(dataFolder, "train");
        Dataset test = Files.isDirectory(dataFolder.resolve("test")) ? Dataset.open(dataFolder, "test") : null;
        long total = totalSteps(config, train);
        if (total < 1) {
            throw new FormatException(dataFolder + ": " + config.epochs() + " epochs of " + train.examples()
                    + " examples fill no batch of " + config.globalBatchSize());
        }
        RunTensors.DataSizes sizes = RunTensors.DataSizes.of(train, test);
        int positions = config.arch().prefixLen() + train.seqLen();
        MemoryPlan plan = MemoryPlan.of(
                backend,
                config,
                positions,
                (device, arena, settled) -> RunTensors.allocate(device, arena, settled, sizes, total));
        plan.requireFits();
        // gradients are summed part by part: a resumed run must go on with as many parts
        config = config.with(config.recompute(), plan.settled().microBatches());
        prepareFolder(resume);
        try (RunLog log = new RunLog(folder)) {
            LOG.info(
                    "device {} ({}), settings in {}",
                    backend.name(),
                    backend.target(),
                    log.file().resolveSibling("config.yaml"));
            try {
                say("memory: " + plan.describe());
                return train(resume, train, test, plan, sizes, total);
            } catch (RuntimeException e) {
                LOG.error("the run failed", e);
                throw e;
            }
        }
    }

    private Outcome train(
            boolean resume, Dataset train, Dataset test, MemoryPlan plan, RunTensors.DataSizes sizes, long total) {
        CheckpointStore store = new CheckpointStore(folder.resolve("checkpoints"), config.checkpointKeep());
        try (Arena arena = plan.allocate(backend);
                RunTensors tensors = RunTensors.allocate(backend, arena, plan.settled(), sizes, total);
                MetricsCsv csv = new MetricsCsv(folder.resolve("metrics.csv"), MetricsRow.titles());
                EventFile events = new EventFile(folder)) {
            DeviceExamples.upload(backend, train, tensors.trainExamples());
            if (test != null) {
                DeviceExamples.upload(backend, test, tensors.testExamples());
            }
            Parameters parameters = tensors.parameters();
            LegacyRandom legacy = new LegacyRandom(config.seed());
            int passEpochs = config.evalInterval() == null ? config.epochs() : config.evalInterval();
            TrainLoader loader = new TrainLoader(train, config.seed(), legacy, config.globalBatchSize(), passEpochs);
            long step = 0;
            long evaluated = 0;
            if (resume) {
                SafeTensors file = SafeTensors.open(store.latestValid(this::warn)
                        .orElseThrow(() -> new FormatException(
                                folder.resolve("checkpoints") + ": no valid checkpoint to resume from")));
                Checkpoint.readParameters(file, backend, parameters);
                Checkpoint.HostState host = Checkpoint.readState(file, backend, tensors.supervision());
                Checkpoint.restore(loader, host);
                step = host.step();
                evaluated = host.evaluatedStep();
                csv.truncateAfter(step);
                if (evaluated != step) {
                    csv.dropRows(step, Column.EVAL_PUZZLES.ordinal()); // its evaluation will run again
                }
                if (step >= total && (tensors.evaluator() == null || evaluated == step)) {
                    say("the run in " + folder + " is finished: step " + step + " of " + total);
                    return Outcome.ALREADY_FINISHED;
                }
                say("resuming " + file.file() + " at step " + step + " of " + total);
            } else {
                parameters.initialize(config.seed());
                loadInitial(parameters);
                loader.startPass();
            }
            Loop loop = new Loop(
                    parameters,
                    tensors.supervision(),
                    tensors.evaluator(),
                    tensors.testExamples(),
                    loader,
                    legacy,
                    store,
                    csv,
                    events,
                    total,
                    test);
            return loop.run(step, evaluated);
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

    private void prepareFolder(boolean resume) {
        try {
            Files.createDirectories(folder.resolve("checkpoints"));
            if (!resume) {
                if (!new CheckpointStore(folder.resolve("checkpoints"), 1)
                        .list()
                        .isEmpty()) {
                    throw new FormatException(
                            folder + ": already holds a run; use --resume " + folder + " or another --run folder");
                }
                Files.deleteIfExists(folder.resolve("metrics.csv"));
                Files.write(
                        folder.resolve("config.yaml"),
                        ConfigLoader.toYaml(config).getBytes(StandardCharsets.UTF_8));
            }
        } catch (IOException e) {
            throw new FormatException(folder + ": the run folder cannot be written: " + FormatException.reason(e), e);
        }
    }

    /** The steps of a run, from where it stands to its end. */
    private final class Loop {
        private final Parameters parameters;
        private final DeepSupervision supervision;
        private final Evaluator evaluator;
        private final Kernels.Examples testExamples;
        private final TrainLoader loader;
        private final LegacyRandom legacy;
        private final CheckpointStore store;
        private final MetricsCsv csv;
        private final EventFile events;
        private final long total;
        private final Dataset test; // null without a test split
        private long evaluated;
        private long saved = -1;
        private MetricsReading reading; // on its way, null while there is none
        private long taken; // the step after which it was taken
        private long lastLogged;
        private final long began = System.nanoTime();
        private long lastLogTime = began;

        Loop(
                Parameters parameters,
                DeepSupervision supervision,
                Evaluator evaluator,
                Kernels.Examples testExamples,
                TrainLoader loader,
                LegacyRandom legacy,
                CheckpointStore store,
                MetricsCsv csv,
                EventFile events,
                long total,
                Dataset test) {
            this.parameters = parameters;
            this.supervision = supervision;
            this.evaluator = evaluator;
            this.testExamples = testExamples;
            this.loader = loader;
            this.legacy = legacy;
            this.store = store;
            this.csv = csv;
            this.events = events;
            this.total = total;
            this.test = test;
        }

        Outcome run(long from, long evaluatedBefore) {
            long step = from;
            evaluated = evaluatedBefore;
            lastLogged = from - from % config.logEverySteps();
            while (!stop) {
                int[] rows = step < total ? loader.nextBatch() : null;
                if (rows == null) {
                    if (!evaluate(step)) {
                        break; // the run that continues this one evaluates
                    }
                    if (step >= total) {
                        save(step);
                        return Outcome.FINISHED;
                    }
                    loader.startPass();
                    save(step);
                    continue;
                }
                supervision.step(rows);
                step++;
                if (step % config.logEverySteps() == 0 || step == total) {
                    log(true);
                    reading = supervision.takeMetrics();
                    taken = step;
                }
                log(false);
                if (config.checkpointEverySteps() > 0 && step % config.checkpointEverySteps() == 0 && step < total) {
                    save(step);
                }
            }
            save(step);
            say("stopped at step " + step + " of " + total + "; continue with --resume " + folder);
            return Outcome.STOPPED;
        }

        /** A checkpoint comes after the rows of the steps before it, or a resumed run would lack them. */
        private void save(long step) {
            log(true);
            if (saved != step) {
                Checkpoint.HostState host = Checkpoint.host(step, evaluated, loader, legacy);
                store.save(step, out -> Checkpoint.write(out, backend, config, total, parameters, supervision, host));
                saved = step;
            }
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
            record(row, "train/");
            lastLogged = taken;
            lastLogTime = now;
        }

        /** False if a request to stop came before the end. */
        private boolean evaluate(long step) {
            if (evaluator == null || evaluated == step) {
                return true;
            }
            log(true);
            parameters.refreshWorking();
            int all = (int) testExamples.ids().count();
            int[] rows = evaluationRows(all, step >= total ? 0 : config.evalPuzzles());
            LOG.info("evaluating {} of {} puzzles at step {}", rows.length, all, step);
            listener.evaluating(step, rows.length);
            ArcVoting voting = ArcVoting.of(Path.of(config.dataPaths().get(0)), test);
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
            record(row, "");
            if (voting != null) {
                say(ArcVoting.describe(pass));
            }
            lastLogTime = System.nanoTime();
            return true;
        }

        private void record(MetricsRow row, String family) {
            csv.append(row.values());
            double wall = System.currentTimeMillis() * 1e-3;
            for (Column column : Column.values()) {
                if (column != Column.STEP && row.has(column)) {
                    events.scalar(family + column.title(), row.step(), row.get(column), wall);
                }
            }
            LOG.info(row.describe(total));
            listener.row(row, total);
        }
    }
}
