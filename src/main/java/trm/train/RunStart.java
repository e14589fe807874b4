package trm.train;

import java.nio.file.Path;
import java.util.Optional;
import trm.config.OnNan;
import trm.config.TrainConfig;
import trm.data.TrainLoader;
import trm.data.random.LegacyRandom;
import trm.device.HostCopy;
import trm.device.RankExchange;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.SafeTensors;

/**
 * Where a run begins or goes on: what draws its samples, and how far it is. The tensors hold its state.
 *
 * @param checkpoint that it goes on from; null for a run that begins
 * @param step optimizer steps done
 * @param evaluatedStep step of the last evaluation, 0 before the first
 * @param best evaluation so far, null if none was told
 */
record RunStart(
        TrainLoader loader, LegacyRandom legacy, Path checkpoint, long step, long evaluatedStep, BestEvaluation best) {

    /** A run that begins: fresh weights, or those of {@code load_checkpoint}, which may be those of a later step. */
    static RunStart fresh(RunSetup setup, RunTensors tensors, RunJournal journal) {
        TrainConfig config = setup.config();
        LegacyRandom legacy = new LegacyRandom(config.run().seed());
        TrainLoader loader = loader(setup, legacy);
        tensors.parameters().initialize(config.run().seed());
        long step = config.run().beginStep();
        if (config.run().loadCheckpoint() != null) {
            SafeTensors file = Checkpoint.open(Path.of(config.run().loadCheckpoint()), journal::warn);
            if (step == 0) {
                loadInitial(file, setup, tensors, journal);
            } else {
                loadAt(step, file, setup, tensors, journal);
            }
        }
        loader.startPass();
        for (long passed = 0; passed < step; passed++) {
            batch(loader); // so that the run goes on with the data of its step
        }
        return new RunStart(loader, legacy, null, step, 0, null);
    }

    /** The next batch, of the next pass where this one has none left. */
    static int[] batch(TrainLoader loader) {
        int[] rows = loader.nextBatch();
        for (int pass = 0; rows == null && pass < TrainingLoop.MOST_EMPTY_PASSES; pass++) {
            loader.startPass();
            rows = loader.nextBatch();
        }
        return rows;
    }

    /**
     * A run that goes on from its newest valid checkpoint.
     *
     * @throws FormatException if there is none, or it cannot be one of this run
     */
    static RunStart resumed(RunSetup setup, RunTensors tensors, CheckpointStore store, RunJournal journal) {
        TrainConfig config = setup.config();
        LegacyRandom legacy = new LegacyRandom(config.run().seed());
        TrainLoader loader = loader(setup, legacy);
        SafeTensors file = SafeTensors.open(newest(setup, store, journal));
        long meant = Checkpoint.config(file)
                .map(settings -> Run.totalSteps(settings, setup.data().train()))
                .orElse(setup.totalSteps());
        CheckpointState state =
                CheckpointState.read(file, tensors, loader, meant, config.run().onNan() == OnNan.STOP);
        state.load(setup.backend(), tensors, loader, config, setup.totalSteps());
        return new RunStart(
                loader,
                legacy,
                file.file(),
                state.progress().step(),
                state.progress().evaluatedStep(),
                best(state.progress(), config));
    }

    /** What is compared may have changed: then the evaluations begin to count anew. */
    private static BestEvaluation best(Checkpoint.Progress progress, TrainConfig config) {
        return progress.best().filter(best -> best.by() == config.bestBy()).orElse(null);
    }

    /** The newest valid checkpoint, of several ranks that which the first one finds. */
    private static Path newest(RunSetup setup, CheckpointStore store, RunJournal journal) {
        Optional<Path> found =
                setup.backend().collective().rank() == 0 ? store.latestValid(journal::warn) : Optional.empty();
        String name = RankExchange.first(
                setup.backend(),
                found.map(file -> file.getFileName().toString()).orElse(""));
        if (name.isEmpty()) {
            throw noCheckpoint(setup);
        }
        return setup.folder().resolve(RunFolder.CHECKPOINTS).resolve(name);
    }

    static FormatException noCheckpoint(RunSetup setup) {
        return new FormatException(
                setup.folder().resolve(RunFolder.CHECKPOINTS) + ": no valid checkpoint to resume from");
    }

    /** What draws the samples of a run from its beginning on. */
    static TrainLoader loader(RunSetup setup) {
        return loader(setup, new LegacyRandom(setup.config().run().seed()));
    }

    private static TrainLoader loader(RunSetup setup, LegacyRandom legacy) {
        TrainConfig config = setup.config();
        return new TrainLoader(
                setup.data().train(),
                config.run().seed(),
                legacy,
                config.schedule().globalBatchSize(),
                config.schedule().passEpochs());
    }

    /** Weights and average as they were after a step; what goes with them in a checkpoint is begun anew. */
    private static void loadAt(long step, SafeTensors file, RunSetup setup, RunTensors tensors, RunJournal journal) {
        TrainConfig config = setup.config();
        boolean both = Checkpoint.readForTraining(
                file, setup.backend(), tensors.parameters(), config.average().kept());
        HostCopy.put(
                setup.backend(), tensors.supervision().controls(), Controls.after(step, config, setup.totalSteps()));
        journal.say(
                "begins after step " + step + " of " + setup.totalSteps() + ", with weights "
                        + (both ? "and moving average of " : "of ") + file.file()
                        + (config.average().kept() && !both
                                ? ", which has no moving average beside them: the average begins with them"
                                : "")
                        + "; dropped, so begun anew: the optimizer's moments, the lanes with their latents, the sums of metrics");
    }

    private static void loadInitial(SafeTensors file, RunSetup setup, RunTensors tensors, RunJournal journal) {
        boolean average = setup.config().average().kept();
        Checkpoint.used(file, Optional.of(average)).ifPresent(journal::say);
        boolean reset = Checkpoint.readInitial(file, setup.backend(), tensors.parameters(), average);
        journal.say("initial weights from " + file.file()
                + (reset
                        ? "; it has other puzzle identifiers: every puzzle vector begins as the mean of its own"
                        : ""));
    }

    /** Whether all steps are done, and the last evaluation, or the patience of the run is at its end. */
    boolean finished(long totalSteps, boolean evaluates, int patience) {
        boolean early = evaluatedStep == step && best != null && best.exhausts(patience);
        return early || step >= totalSteps && (!evaluates || evaluatedStep == step);
    }
}
