package trm.train;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.SafeTensorsWriter;

/**
 * Writes the checkpoints of a run by a thread of its own, from a copy on the host, while the training goes on. A step waits for
 * the copy, and for the checkpoint before if that is still being written. One that cannot be written is told of, and the
 * training goes on: the next is tried as if nothing had been; only where the last one fails, the run does.
 *
 * <p>Used by the thread that trains.
 */
final class RunCheckpoints implements AutoCloseable {
    private final CheckpointStore store;
    private final boolean writes;
    private final CheckpointCopy copy;
    private final RunJournal journal;
    private final RunStatus status;
    private CompletableFuture<Path> underWay; // null for none
    private long step = -1; // of the one under way, or that was written last
    private long began; // to copy, in nanoseconds
    private FormatException failure; // of the last one, null if it was written

    /** @param writes whether this rank writes them */
    RunCheckpoints(CheckpointStore store, boolean writes, CheckpointCopy copy, RunJournal journal, RunStatus status) {
        this.store = store;
        this.writes = writes;
        this.copy = copy;
        this.journal = journal;
        this.status = status;
    }

    /** Waits for the checkpoint before; what is copied from here on belongs to that of this step. */
    void begin(long ofStep) {
        await();
        step = ofStep;
        began = System.nanoTime();
        copy.begin();
    }

    /**
     * Begins to write the checkpoint; of several ranks the first does. What it says must be on the disk first: where that
     * fails, it is not written.
     *
     * @param before brings to the disk what a run that goes on from the checkpoint needs besides
     * @param content adds everything, copied by then
     */
    void write(Runnable before, Consumer<SafeTensorsWriter> content) {
        if (!writes) {
            return;
        }
        try {
            before.run();
        } catch (FormatException e) {
            failed(e);
            return;
        }
        SafeTensorsWriter writer = CheckpointStore.writer();
        content.accept(writer);
        status.copied((System.nanoTime() - began) * 1e-9);
        long ofStep = step;
        underWay = new CompletableFuture<>();
        CompletableFuture<Path> result = underWay;
        Thread thread = new Thread(
                () -> {
                    try {
                        result.complete(store.save(ofStep, writer));
                    } catch (RuntimeException | Error e) {
                        result.completeExceptionally(e);
                    }
                },
                "checkpoint of step " + ofStep);
        thread.start();
    }

    /** Says what has become of a checkpoint, if that is known; waits for nothing. */
    void look() {
        if (underWay != null && underWay.isDone()) {
            await();
        }
    }

    /** Waits for the checkpoint under way. */
    private void await() {
        if (underWay == null) {
            return;
        }
        try {
            underWay.join();
            failure = null;
            status.saved(step);
        } catch (CompletionException e) {
            if (!(e.getCause() instanceof FormatException unwritten)) {
                throw e.getCause() instanceof RuntimeException cause ? cause : e;
            }
            failed(unwritten);
        } finally {
            underWay = null;
        }
    }

    private void failed(FormatException reason) {
        failure = reason;
        status.checkpointFailed();
        journal.warn(reason.getMessage() + "; training goes on, and the next checkpoint is tried");
    }

    /** The run has come to its end. @throws FormatException if the last checkpoint could not be written */
    void finish() {
        await();
        if (failure != null) {
            throw failure;
        }
    }

    /** The newest checkpoint of a step before {@code at}. */
    Optional<Path> newestBefore(long at) {
        await();
        return store.newestBefore(at);
    }

    /** Keeps a checkpoint beside the newest ones. */
    void pin(Path file) {
        await();
        store.pin(file);
    }

    /** Keeps the checkpoint of the best evaluation's step beside the newest ones, whether it is there yet or not. */
    void keepBest(long ofStep) {
        await();
        store.keepBest(ofStep);
    }

    /** Waits for the checkpoint under way, also after a failure of the training. */
    @Override
    public void close() {
        await();
    }
}
