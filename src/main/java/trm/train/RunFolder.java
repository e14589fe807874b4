package trm.train;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.input.Shown;
import trm.io.AtomicFile;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.RunLock;
import trm.io.SafeTensors;

/**
 * The folder of a run, which one process writes at a time, of several ranks the first:
 *
 * <pre>
 *   run.lock      marks the folder as a run's; locked by its writer
 *   config.yaml   the settings            data.json     which data
 *   metrics.csv   a row a log interval    log.txt       what was said
 *   events.out.tfevents.*                 checkpoints/  step-00000123.safetensors
 *   heartbeat.json  whether it is alive   DONE          it is finished
 * </pre>
 *
 * {@code config.yaml}, {@code data.json} and the checkpoints are replaced as a whole. A checkpoint carries the settings too.
 */
public final class RunFolder implements AutoCloseable {
    static final String CONFIG = "config.yaml";
    static final String METRICS = "metrics.csv";
    static final String CHECKPOINTS = "checkpoints";

    /** There once a run has done all its steps. */
    static final String DONE = "DONE";

    private final Path path;
    private final RunLock lock; // null for a rank that does not write

    private RunFolder(Path path, RunLock lock) {
        this.path = path;
        this.lock = lock;
    }

    /** Whether a run has written a checkpoint there. */
    public static boolean hasCheckpoints(Path path) {
        return Files.isDirectory(path.resolve(CHECKPOINTS))
                && !store(path, 1).list().isEmpty();
    }

    /** Whether a run has begun there: it bears the mark, or has settings and checkpoints as runs of earlier versions do. */
    public static boolean isRun(Path path) {
        return RunLock.marks(path) && Files.isRegularFile(path.resolve(CONFIG)) || hasCheckpoints(path);
    }

    private static CheckpointStore store(Path path, int keep) {
        return new CheckpointStore(path.resolve(CHECKPOINTS), keep);
    }

    /**
     * Takes the folder for a run that begins: a new one, an empty one, or one whose run was ended before its first checkpoint.
     *
     * @throws FormatException if it holds anything else, another process writes it, or it cannot be written
     */
    static RunFolder begin(Path path) {
        return open(path, () -> {
            if (hasCheckpoints(path)) {
                throw new FormatException(
                        path + ": already holds a run; use --resume " + path + " or another --run folder");
            }
            if (!RunLock.marks(path)) {
                foreign(path).ifPresent(name -> {
                    throw new FormatException(path + ": holds " + Shown.quoted(name)
                            + " and no mark of a run, expected a new or empty folder; use another --run folder");
                });
            }
        });
    }

    /** Takes the folder of a run that goes on. @throws FormatException if another process writes it, or it cannot be written */
    static RunFolder resume(Path path) {
        return open(path, () -> {});
    }

    /** The folder as ranks see it that do not write it; the first one holds it. */
    static RunFolder follow(Path path) {
        return new RunFolder(path, null);
    }

    /** Whether it is written from here. */
    boolean isWritten() {
        return lock != null;
    }

    /** Marks a folder as a run's, so that one can begin there whatever else it holds. */
    public static void mark(Path path) {
        open(path, () -> {}).close();
    }

    private static RunFolder open(Path path, Runnable check) {
        try {
            check.run();
            Files.createDirectories(path);
            RunLock lock = RunLock.take(path);
            try {
                check.run(); // what another process did meanwhile
                Files.createDirectories(path.resolve(CHECKPOINTS));
                AtomicFile.removeTemporaries(path);
                return new RunFolder(path, lock);
            } catch (IOException | RuntimeException e) {
                lock.close();
                throw e;
            }
        } catch (IOException e) {
            throw new FormatException(path + ": the run folder cannot be written: " + FormatException.reason(e), e);
        }
    }

    /** The name of something in a folder that no run left there before its mark. */
    private static Optional<String> foreign(Path path) throws FormatException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(path)) {
            for (Path file : files) {
                String name = file.getFileName().toString();
                boolean lost = name.equals(RunLock.FILE) && Files.isRegularFile(file) && Files.size(file) == 0;
                if (!lost) {
                    return Optional.of(name);
                }
            }
            return Optional.empty();
        } catch (NoSuchFileException | NotDirectoryException e) {
            return Optional.empty(); // what is to be made, or what cannot be: the next call says so
        } catch (IOException e) {
            throw new FormatException(path + ": cannot be listed: " + FormatException.reason(e), e);
        }
    }

    Path path() {
        return path;
    }

    Path file(String name) {
        return path.resolve(name);
    }

    CheckpointStore store(int keep) {
        return store(path, keep);
    }

    /** Who wrote the folder before and did not end in order. */
    Optional<String> killed() {
        return isWritten() ? lock.previous() : Optional.empty();
    }

    void write(TrainConfig config, RunData data) {
        if (!isWritten()) {
            return;
        }
        try {
            data.record(path);
            AtomicFile.replace(path.resolve(CONFIG), ConfigLoader.toYaml(config));
        } catch (IOException e) {
            throw new FormatException(path + ": the run folder cannot be written: " + FormatException.reason(e), e);
        }
    }

    /**
     * The settings of the run in a folder. Its newest valid checkpoint carries them too: what is left of {@code config.yaml} after a
     * crash is completed from there; a file that was edited counts as it is.
     *
     * @throws ConfigException if the file is wrong and there is no checkpoint
     * @throws FormatException if there is neither file nor checkpoint
     */
    public static TrainConfig settings(Path path, Consumer<String> warn) {
        Path file = path.resolve(CONFIG);
        Optional<TrainConfig> carried = begun(path);
        String text;
        try {
            text = Files.isRegularFile(file) ? Files.readString(file, StandardCharsets.UTF_8) : "";
        } catch (IOException e) {
            text = "";
        }
        if (carried.isEmpty()) {
            if (text.isEmpty()) {
                throw new FormatException(path + ": no " + CONFIG + ", expected the folder of a run");
            }
            return ConfigLoader.load(file, List.of());
        }
        String whole = ConfigLoader.toYaml(carried.get());
        if (whole.startsWith(text) && !whole.equals(text)) {
            warn.accept(file + ": " + (text.isEmpty() ? "missing or unreadable" : "torn")
                    + "; the settings are taken from the newest checkpoint");
            return carried.get();
        }
        return ConfigLoader.load(file, List.of());
    }

    /** The settings that the run's newest valid checkpoint was computed with; empty before the first. */
    public static Optional<TrainConfig> begun(Path path) {
        return store(path, 1).latestValid(message -> {}).flatMap(file -> Checkpoint.config(SafeTensors.open(file)));
    }

    /** Marks the run as finished, or as one that goes on. */
    void markDone(boolean done, long step) {
        if (!isWritten()) {
            return;
        }
        try {
            if (!done) {
                Files.deleteIfExists(path.resolve(DONE));
            } else if (!Files.exists(path.resolve(DONE))) {
                AtomicFile.replace(path.resolve(DONE), "finished at step " + step + "\n");
            }
        } catch (IOException e) {
            throw new FormatException(path + ": the run folder cannot be written: " + FormatException.reason(e), e);
        }
    }

    /** Gives the lock up. */
    @Override
    public void close() {
        if (isWritten()) {
            lock.close();
        }
    }
}
