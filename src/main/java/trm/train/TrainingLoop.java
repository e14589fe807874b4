package trm.train;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import trm.config.BestBy;
import trm.config.Gate;
import trm.config.OnNan;
import trm.config.TrainConfig;
import trm.data.TrainLoader;
import trm.data.random.LegacyRandom;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.Metric;
import trm.device.RankExchange;
import trm.evaluation.AnswerListener;
import trm.evaluation.ArcVotes;
import trm.evaluation.ArcVoting;
import trm.evaluation.Score;
import trm.io.FormatException;
import trm.model.Parameters;
import trm.train.MetricsRow.Column;

/** The steps of a run, from where it stands to its end, with the evaluations and checkpoints between them. */
final class TrainingLoop implements AutoCloseable {
    /** Passes in a row that may fill no batch, where it is left to chance how many samples a pass has. */
    static final int MOST_EMPTY_PASSES = 1000;

    private final RunSetup setup;
    private final TrainConfig config;
    private final Backend backend;
    private final long total;
    private final RunTensors tensors;
    private final Parameters parameters;
    private final DeepSupervision supervision;
    private final TrainLoader loader;
    private final LegacyRandom legacy;
    private final RunCheckpoints checkpoints;
    private final RunStatus status;
    private final RunJournal journal;
    private final BooleanSupplier stop;
    private final FiniteWatch watch;
    private final SavedOutputs saves; // null unless evaluations save any
    private long step;
    private long evaluated;
    private BestEvaluation best; // null before the first, and where none is told
    private long saved = -1;
    private int emptyPasses; // one after the other
    private boolean diverged;
    private MetricsReading reading; // on its way, null while there is none
    private long taken; // the step after which it was taken
    private long lastLogged;
    private final long began = System.nanoTime();
    private long lastLogTime = began;

    /** @param stop asked after each step and within evaluations */
    TrainingLoop(
            RunSetup setup,
            RunTensors tensors,
            RunStart start,
            RunCheckpoints checkpoints,
            RunJournal journal,
            RunStatus status,
            BooleanSupplier stop) {
        this.setup = setup;
        this.config = setup.config();
        this.backend = setup.backend();
        this.total = setup.totalSteps();
        this.tensors = tensors;
        this.parameters = tensors.parameters();
        this.supervision = tensors.supervision();
        this.loader = start.loader();
        this.legacy = start.legacy();
        this.checkpoints = checkpoints;
        this.status = status;
        this.journal = journal;
        this.stop = stop;
        saves = tensors.evaluator() == null
                        || config.evaluation().savedOutputs().isEmpty()
                ? null
                : new SavedOutputs(
                        config.evaluation().savedOutputs(), setup.data().test(), backend, tensors.evaluator());
        step = start.step();
        evaluated = start.evaluatedStep();
        best = start.best();
        keepBest();
        lastLogged = Math.max(
                step - step % config.run().logEverySteps(), config.run().beginStep());
        double norm = HostCopy.doubles(backend, supervision.metrics())[Metric.GRAD_NORM.ordinal()];
        watch = new FiniteWatch(backend, !Double.isNaN(norm));
    }

    Run.Outcome run() {
        if (evaluated == step && RankExchange.any(backend, isBelowGate())) {
            return Run.Outcome.GATED; // as before, unless the gates have changed
        }
        while (!tensors.ranks().stops(stop.getAsBoolean())) {
            boolean bySteps = isDueBySteps();
            int[] rows = bySteps || step >= total ? null : loader.nextBatch();
            if (rows != null) {
                step(rows);
                continue;
            }
            if (bySteps || isDue()) {
                save(); // a kill during the evaluation loses no step
                if (!evaluate()) {
                    break; // the run that continues this one evaluates
                }
                if (RankExchange.any(backend, isBelowGate())) {
                    save();
                    return ended(Run.Outcome.GATED);
                }
                if (isOutOfPatience()) {
                    save();
                    return ended(Run.Outcome.FINISHED);
                }
            }
            if (step >= total) {
                save();
                return ended(Run.Outcome.FINISHED);
            }
            if (!bySteps) {
                requireBatch();
                loader.startPass();
            }
            save();
        }
        save();
        ended(Run.Outcome.STOPPED);
        journal.say("stopped at step " + step + " of " + total + "; continue with --resume " + setup.folder());
        return Run.Outcome.STOPPED;
    }

    private void step(int[] rows) {
        emptyPasses = 0;
        supervision.step(rows);
        step++;
        status.stepped(step);
        checkpoints.look();
        watch.look(step, supervision.metrics());
        if (step % config.run().logEverySteps() == 0 || step == total) {
            log(true);
            reading = supervision.takeMetrics();
            watch.reset();
            taken = step;
        }
        log(false);
        requireFinite(false);
        int check = config.device().checkEverySteps();
        if (!tensors.ranks().isAlone() && check > 0 && step % check == 0) {
            RankCheck.require(backend, tensors.staging(), parameters, step);
        }
        if (config.checkpoints().everySteps() > 0 && step % config.checkpoints().everySteps() == 0 && step < total) {
            save();
        }
    }

    /** Optimizer steps done. */
    long step() {
        return step;
    }

    /** The last checkpoint is there. @throws FormatException if it, or the last rows, could not be written */
    private Run.Outcome ended(Run.Outcome outcome) {
        checkpoints.finish();
        return outcome;
    }

    /** Whether the pass that has ended is followed by an evaluation. */
    private boolean isDue() {
        long epochs = loader.passes() * config.schedule().passEpochs();
        return tensors.evaluator() != null
                && evaluated != step
                && (step >= total || epochs % config.schedule().epochsBetweenEvaluations() == 0);
    }

    /** Whether {@code eval_every_steps} asks for an evaluation here, in the midst of a pass or at its end; the last step's is another. */
    private boolean isDueBySteps() {
        int every = config.evaluation().everySteps();
        return every > 0 && step % every == 0 && step > config.run().beginStep() && step < total && evaluated != step;
    }

    /** Whether the run has waited for a better evaluation for as long as it should; the last one of a run ends it anyway. */
    private boolean isOutOfPatience() {
        if (step >= total || best == null || !best.exhausts(config.evaluation().patience())) {
            return false;
        }
        journal.say("stopped early at step " + step + " of " + total + ": " + best.since()
                + " evaluations in a row (patience) found none above " + best.describe());
        return true;
    }

    private void keepBest() {
        if (best != null && config.checkpoints().best() != null) {
            checkpoints.keepBest(best.step());
        }
    }

    /** What the first rank has found is what all compare. */
    private void compare(MetricsRow row) {
        BestBy by = config.bestBy();
        if (by == null) {
            return;
        }
        String found = Double.toString(row.get(Column.valueOf(by.name())));
        best = BestEvaluation.after(best, by, Double.parseDouble(RankExchange.first(backend, found)), step);
        keepBest();
    }

    /** Whether the evaluation at this step keeps the run from going on. */
    private boolean isBelowGate() {
        Optional<Gate> gate = step < total ? config.evaluation().gateAt(step) : Optional.empty();
        OptionalDouble found = gate.isPresent() ? journal.exactAccuracy(step) : OptionalDouble.empty();
        if (found.isEmpty() || found.getAsDouble() >= gate.get().exactAccuracy()) {
            return false;
        }
        journal.say(String.format(
                Locale.ROOT,
                "stopped by a gate at step %d of %d: exact accuracy %.4f, expected at least %s from step %d on;"
                        + " --resume %s gates=[] goes on all the same",
                step,
                total,
                found.getAsDouble(),
                gate.get().exactAccuracy(),
                gate.get().step(),
                setup.folder()));
        return true;
    }

    /** How many samples a pass has may depend on draws; one that never fills a batch is no run. */
    private void requireBatch() {
        if (++emptyPasses > MOST_EMPTY_PASSES) {
            throw new FormatException(setup.data().folders() + ": " + MOST_EMPTY_PASSES
                    + " passes filled no batch of global_batch_size: "
                    + config.schedule().globalBatchSize()
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

    private void diverged(long at, String what, Optional<String> tensor) {
        diverged = true;
        Optional<Path> finite = checkpoints.newestBefore(at);
        String text = "step " + at + ": " + what
                + tensor.map(name -> "; the first tensor that is not finite is " + name)
                        .orElse("")
                + finite.map(file -> "; the newest checkpoint before it is " + file)
                        .orElse("; there is no checkpoint before it");
        if (config.run().onNan() == OnNan.STOP) {
            throw new DivergedException(setup.folder() + ": " + text + " (on_nan: warn goes on)");
        }
        finite.ifPresent(checkpoints::pin);
        journal.warn(text + "; going on, as on_nan is warn");
    }

    /** A checkpoint comes after the rows of the steps before it, or a resumed run would lack them. */
    private void save() {
        if (saved == step) {
            return;
        }
        requireFinite(true);
        if (!diverged) {
            Divergence.weights(backend, parameters)
                    .ifPresent(
                            name -> diverged(step, "the update left weights that are not finite", Optional.of(name)));
        }
        log(true);
        checkpoints.begin(step);
        LaneCopy lanes = new LaneCopy(backend, tensors.ranks(), tensors.copy(), supervision);
        Checkpoint.HostState host = Checkpoint.host(step, evaluated, best, loader, legacy);
        checkpoints.write(
                journal::force,
                out -> Checkpoint.write(out, tensors.copy(), config, total, parameters, supervision, lanes, host));
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
        double samples = (double) (taken - lastLogged) * config.schedule().globalBatchSize();
        double halted = m.metric(Metric.COUNT);
        double lmLoss = m.metric(Metric.LM_LOSS) / samples;
        double qHaltLoss = m.metric(Metric.Q_HALT_LOSS) / samples;
        double qContinueLoss = config.arch().hasContinueLoss() ? m.metric(Metric.Q_CONTINUE_LOSS) / samples : 0;
        double haltWeight = config.arch().loss().haltWeight();
        MetricsRow row = new MetricsRow(taken)
                .set(Column.LR, m.learningRate())
                .set(Column.TOTAL_LOSS, lmLoss + haltWeight * (qHaltLoss + qContinueLoss))
                .set(Column.LM_LOSS, lmLoss)
                .set(Column.Q_HALT_LOSS, qHaltLoss)
                .set(Column.GRAD_NORM, m.metric(Metric.GRAD_NORM) / (taken - lastLogged))
                .set(Column.HALTED, (long) halted)
                .set(Column.ELAPSED_SECONDS, (now - began) * 1e-9)
                .set(Column.SAMPLES_PER_SECOND, samples / ((now - lastLogTime) * 1e-9));
        if (config.arch().hasContinueLoss()) {
            row.set(Column.Q_CONTINUE_LOSS, qContinueLoss);
        }
        if (halted > 0) {
            row.set(Column.ACCURACY, m.metric(Metric.ACCURACY) / halted)
                    .set(Column.EXACT_ACCURACY, m.metric(Metric.EXACT_ACCURACY) / halted)
                    .set(Column.Q_HALT_ACCURACY, m.metric(Metric.Q_HALT_ACCURACY) / halted)
                    .set(Column.STEPS, m.metric(Metric.STEPS) / halted);
        }
        status.row(row);
        journal.record(row);
        lastLogged = taken;
        lastLogTime = now;
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

    /** False if a request to stop came before the end. */
    private boolean evaluate() {
        log(true);
        parameters.refreshWorking();
        int all = (int) tensors.testExamples().ids().count();
        int[] rows = evaluationRows(all, step >= total ? 0 : config.evaluation().puzzles());
        journal.evaluating(step, rows.length, all);
        status.enter(RunStatus.Phase.EVALUATING);
        ArcVoting voting = ArcVoting.of(setup.data().folders(), setup.data().test());
        BooleanSupplier asked = () -> {
            status.progressed();
            return stop.getAsBoolean();
        };
        List<AnswerListener> listeners =
                Stream.of(voting, saves).filter(Objects::nonNull).toList();
        if (saves != null) {
            saves.begin();
        }
        Optional<Score> result = tensors.evaluator()
                .evaluate(
                        tensors.testExamples(),
                        rows,
                        asked,
                        listeners.isEmpty() ? null : AnswerListener.all(listeners));
        status.enter(RunStatus.Phase.TRAINING);
        if (result.isEmpty()) {
            return false;
        }
        Score r = result.get();
        if (voting != null) {
            voting.gather(backend);
        }
        saveOutputs();
        evaluated = step;
        saved = -1; // what a checkpoint of this step says has changed
        MetricsRow row = new MetricsRow(step)
                .set(Column.EVAL_PUZZLES, r.puzzles())
                .set(Column.EVAL_ACCURACY, r.accuracy())
                .set(Column.EVAL_EXACT_ACCURACY, r.exactAccuracy())
                .set(Column.EVAL_Q_HALT_ACCURACY, r.qHaltAccuracy())
                .set(Column.EVAL_LM_LOSS, r.lmLoss())
                .setExactByStep(tensors.evaluator().exactByStep())
                .set(Column.ELAPSED_SECONDS, (System.nanoTime() - began) * 1e-9);
        Map<Integer, Double> pass = voting == null ? Map.of() : voting.votes().pass(ArcVotes.PASS_K);
        if (voting != null) {
            row.set(Column.EVAL_PASS_2, pass.get(ArcVotes.ATTEMPTS));
        }
        status.row(row);
        journal.record(row);
        compare(row);
        if (voting != null) {
            journal.say(ArcVoting.describe(pass));
        }
        lastLogTime = System.nanoTime();
        return true;
    }

    /** A disk that is full does not end the run. */
    private void saveOutputs() {
        try {
            if (saves != null) {
                saves.write(setup.folder(), step);
            }
        } catch (FormatException e) {
            journal.warn(e.getMessage());
        }
    }

    @Override
    public void close() {
        watch.close();
    }
}
