package trm.train;

import java.nio.file.Path;
import java.util.Optional;
import trm.config.OnNan;
import trm.config.TrainConfig;
import trm.data.TrainLoader;
import trm.data.random.LegacyRandom;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.SafeTensors;

/**
 * Where a run begins or goes on: what draws its samples, and how far it is. The tensors hold its state.
 *
 * @param checkpoint that it goes on from; null for a run that begins
 * @param step optimizer steps done
 * @param evaluatedStep step of the last evaluation, 0 before the first
 */
record RunStart(TrainLoader loader, LegacyRandom legacy, Path checkpoint, long step, long evaluatedStep) {

    /** A run that begins: fresh weights, or those of {@code load_checkpoint}. */
    static RunStart fresh(RunSetup setup, RunTensors tensors, RunJournal journal) {
        LegacyRandom legacy = new LegacyRandom(setup.config().run().seed());
        TrainLoader loader = loader(setup, legacy);
        tensors.parameters().initialize(setup.config().run().seed());
        loadInitial(setup, tensors, journal);
        loader.startPass();
        return new RunStart(loader, legacy, null, 0, 0);
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
        SafeTensors file = SafeTensors.open(store.latestValid(journal::warn).orElseThrow(() -> noCheckpoint(setup)));
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
                state.progress().evaluatedStep());
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

    private static void loadInitial(RunSetup setup, RunTensors tensors, RunJournal journal) {
        String name = setup.config().run().loadCheckpoint();
        if (name == null) {
            return;
        }
        boolean average = setup.config().average().kept();
        SafeTensors file = Checkpoint.open(Path.of(name), journal::warn);
        Checkpoint.used(file, Optional.of(average)).ifPresent(journal::say);
        boolean reset = Checkpoint.readInitial(file, setup.backend(), tensors.parameters(), average);
        journal.say("initial weights from " + file.file()
                + (reset
                        ? "; it has other puzzle identifiers: every puzzle vector begins as the mean of its own"
                        : ""));
    }

    /** Whether all steps are done, and the last evaluation. */
    boolean finished(long totalSteps, boolean evaluates) {
        return step >= totalSteps && (!evaluates || evaluatedStep == step);
    }
}
