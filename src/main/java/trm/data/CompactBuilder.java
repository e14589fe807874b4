package trm.data;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntFunction;
import trm.data.format.Npy;
import trm.data.puzzle.Augmentation;
import trm.input.DataException;

/**
 * Rewrites an expanded dataset folder in the compact form (docs/data.md) where examples are symmetries of the square of
 * the first one of their group, as in augmented mazes. Any other example becomes a task of its own, so that every example
 * is what it was; a split without such symmetries is copied.
 */
public final class CompactBuilder {
    private static final List<String> SPLITS = List.of("train", "test");

    private CompactBuilder() {}

    /**
     * A split as it was written.
     *
     * @param storedRows fewer than examples where it is compact
     * @param bytesFrom  of the folder that was read
     * @param bytes      of the one that was written
     */
    public record Split(String name, int examples, int storedRows, long bytesFrom, long bytes) {}

    /**
     * Writes {@code out} from {@code in}, both with the splits train and test, or one of them.
     *
     * @throws DataException if the folder cannot be read, is compact already or holds no symmetries, or {@code out} exists
     */
    public static List<Split> build(Path in, Path out) {
        if (Files.exists(out)) {
            throw new DataException(out + ": exists, expected a folder that is yet to be made");
        }
        List<Path> dirs =
                SPLITS.stream().map(in::resolve).filter(Files::isDirectory).toList();
        if (dirs.isEmpty()) {
            throw new DataException(in + ": found none of the folders " + SPLITS + ", expected a dataset");
        }
        try {
            List<Plan> plans = new ArrayList<>();
            for (Path dir : dirs) {
                plans.add(Plan.of(dir, Dataset.open(in, dir.getFileName().toString())));
            }
            if (plans.stream().noneMatch(Plan::saves)) {
                throw new DataException(in + ": found no example that is one of the " + Augmentation.DIHEDRAL
                        + " symmetries of the first one of its group, expected augmented mazes or the like"
                        + " (ARC and Sudoku: trm data arc --compact, trm data sudoku --compact)");
            }
            Files.createDirectories(out);
            copyFiles(in, out, List.of());
            List<Split> splits = new ArrayList<>();
            for (Plan plan : plans) {
                splits.add(plan.write(out.resolve(plan.dir().getFileName())));
            }
            return splits;
        } catch (IOException e) {
            throw new DataException(in + " to " + out + ": " + e, e);
        }
    }

    /** How each example of a split is made: task and symmetry [examples, 2]; and the examples that are tasks. */
    private record Plan(Path dir, Dataset data, int[] origins, List<Integer> tasks) {
        static Plan of(Path dir, Dataset data) {
            if (data.origins() != null) {
                throw new DataException(dir + ": found the compact form, expected the expanded one");
            }
            if (data.firstGroups().length > 2) {
                throw new DataException(dir + ": found the sets " + data.info().sets() + ", expected one");
            }
            if (data.ignoredLabel() >= data.info().vocabSize()) {
                throw new DataException(dir + ": found labels that are ignored and no tokens (ignore_label_id "
                        + data.info().ignoreLabelId()
                        + "), expected tokens only: augmentations rename tokens, and the compact form is made of them");
            }
            int side = data.side();
            Augmentation[] symmetries = new Augmentation[side * side == data.seqLen() ? Augmentation.DIHEDRAL : 0];
            Arrays.setAll(
                    symmetries, k -> Augmentation.dihedral(k, side, data.info().vocabSize()));
            int[] origins = new int[2 * data.examples()];
            List<Integer> tasks = new ArrayList<>();
            int[] groups = data.groupIndices();
            for (int g = 0; g + 1 < groups.length; g++) {
                int first = data.puzzleIndices()[groups[g]];
                int firstTask = tasks.size();
                int end = data.puzzleIndices()[groups[g + 1]];
                for (int example = first; example < end; example++) {
                    int symmetry = example == first ? -1 : symmetryOf(data, symmetries, first, example);
                    origins[2 * example] = symmetry < 0 ? tasks.size() : firstTask;
                    origins[2 * example + 1] = Math.max(symmetry, 0);
                    if (symmetry < 0) {
                        tasks.add(example);
                    }
                }
            }
            return new Plan(dir, data, origins, tasks);
        }

        /** The first symmetry that makes inputs and labels of an example of those of another, or -1. */
        private static int symmetryOf(Dataset data, Augmentation[] symmetries, int from, int example) {
            for (int k = 0; k < symmetries.length; k++) {
                if (Arrays.equals(symmetries[k].apply(data.inputRow(from)), data.inputRow(example))
                        && Arrays.equals(symmetries[k].apply(keptLabelRow(data, from)), keptLabelRow(data, example))) {
                    return k;
                }
            }
            return -1;
        }

        boolean saves() {
            return tasks.size() < data.examples();
        }

        Split write(Path to) throws IOException {
            Files.createDirectories(to);
            String set = data.info().sets().get(0);
            copyFiles(dir, to, saves() ? List.of(set + "__inputs.npy", set + "__labels.npy") : List.of());
            if (saves()) {
                rows(to.resolve(set + "__task_inputs.npy"), data::inputRow);
                rows(to.resolve(set + "__task_labels.npy"), example -> keptLabelRow(data, example));
                Npy.write(to.resolve(set + "__origins.npy"), new int[] {data.examples(), 2}, origins);
                records(to.resolve(set + "__augmentations.npy"));
            }
            return new Split(dir.getFileName().toString(), data.examples(), tasks.size(), bytes(dir), bytes(to));
        }

        /** A label row with the token that ignored labels have. */
        private static int[] keptLabelRow(Dataset data, int example) {
            return Arrays.stream(data.labelRow(example))
                    .map(label -> label == Dataset.IGNORED ? data.ignoredLabel() : label)
                    .toArray();
        }

        private void rows(Path path, IntFunction<int[]> rows) throws IOException {
            try (Npy.Writer writer = new Npy.Writer(path, "u1", tasks.size(), data.seqLen())) {
                for (int task : tasks) {
                    for (int token : rows.apply(task)) {
                        writer.put(token);
                    }
                }
            }
        }

        private void records(Path path) throws IOException {
            int vocabulary = data.info().vocabSize();
            int width = Augmentation.bytes(data.side(), vocabulary);
            try (Npy.Writer writer = new Npy.Writer(path, "u1", Augmentation.DIHEDRAL, width)) {
                for (int k = 0; k < Augmentation.DIHEDRAL; k++) {
                    for (int value :
                            Augmentation.dihedral(k, data.side(), vocabulary).record()) {
                        writer.put(value);
                    }
                }
            }
        }
    }

    private static void copyFiles(Path from, Path to, List<String> without) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(from, Files::isRegularFile)) {
            for (Path file : files) {
                if (!without.contains(file.getFileName().toString())) {
                    Files.copy(file, to.resolve(file.getFileName()));
                }
            }
        }
    }

    private static long bytes(Path dir) throws IOException {
        long bytes = 0;
        try (DirectoryStream<Path> files = Files.newDirectoryStream(dir, Files::isRegularFile)) {
            for (Path file : files) {
                bytes += Files.size(file);
            }
        }
        return bytes;
    }
}
