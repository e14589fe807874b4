package trm.train;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import trm.config.TrainConfig;
import trm.input.Shown;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.io.WeightsFile;

/**
 * What a command is given where it takes a run or a checkpoint: a file, {@code RUN} for the newest valid checkpoint of a run's
 * folder, {@code RUN@best} for that of its best evaluation ({@code checkpoint_best}), {@code RUN@2000} for that of a step.
 *
 * @param path a file, or the folder of a run
 * @param which of the folder's; null for the newest
 */
public record CheckpointName(Path path, String which) {
    private static final String BEST = "best";

    /** A name with {@code @} in it that is there as it stands is that of a file or folder. */
    public static CheckpointName of(Path given) {
        String name = given.getFileName() == null ? "" : given.getFileName().toString();
        int at = name.lastIndexOf('@');
        if (at < 1 || Files.exists(given)) {
            return new CheckpointName(given, null);
        }
        return new CheckpointName(given.resolveSibling(name.substring(0, at)), name.substring(at + 1));
    }

    /** The folder of the run that is named; empty for a file. */
    public Optional<Path> run() {
        return Files.isDirectory(path) ? Optional.of(path) : Optional.empty();
    }

    /**
     * The file that is named.
     *
     * @param warn told of newer checkpoints that are damaged
     * @throws FormatException if it is not there, or damaged; the message lists those that are there
     */
    public Path find(Consumer<String> warn) {
        if (which == null && Files.isRegularFile(path)) {
            return path;
        }
        Path folder = path.resolve(RunFolder.CHECKPOINTS);
        if (!Files.isDirectory(folder)) {
            throw new FormatException(this + ": neither a checkpoint file nor a run folder with checkpoints/"
                    + WeightsFile.inFolder(path));
        }
        CheckpointStore store = new CheckpointStore(folder, 1);
        if (which == null) {
            return newest(store, folder, warn);
        }
        long step = step(store, folder, warn);
        Path file = store.path(step);
        if (!Files.isRegularFile(file)) {
            throw new FormatException(this + ": no checkpoint of step " + step + there(store));
        }
        CheckpointStore.verify(file);
        return file;
    }

    private static Path newest(CheckpointStore store, Path folder, Consumer<String> warn) {
        return store.latestValid(warn).orElseThrow(() -> new FormatException(folder + ": no valid checkpoint"));
    }

    private long step(CheckpointStore store, Path folder, Consumer<String> warn) {
        if (which.matches("[0-9]{1,18}")) {
            return Long.parseLong(which);
        }
        if (!which.equals(BEST)) {
            throw new FormatException(this + ": found " + Shown.quoted(which)
                    + " after '@', expected best or the step of a checkpoint" + there(store));
        }
        SafeTensors newest = SafeTensors.open(newest(store, folder, warn));
        boolean kept = Checkpoint.config(newest)
                .map(TrainConfig::checkpoints)
                .filter(checkpoints -> checkpoints.best() != null)
                .isPresent();
        if (!kept) {
            throw new FormatException(
                    this + ": no best checkpoint was kept: the run has no checkpoint_best" + there(store));
        }
        return BestEvaluation.read(newest)
                .orElseThrow(() -> new FormatException(
                        this + ": there is no best checkpoint yet: the run has not been evaluated" + there(store)))
                .step();
    }

    private static String there(CheckpointStore store) {
        List<Path> files = store.list();
        return files.isEmpty()
                ? "; there is none"
                : "; there are those of steps "
                        + files.stream()
                                .map(file -> CheckpointStore.stepOf(file)
                                        .orElseThrow()
                                        .toString())
                                .collect(Collectors.joining(", "));
    }

    /** As it was given. */
    @Override
    public String toString() {
        return which == null ? path.toString() : path + "@" + which;
    }
}
