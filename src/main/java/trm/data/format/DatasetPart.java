package trm.data.format;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import trm.data.puzzle.Augmentation;
import trm.input.DataException;

/**
 * One set of one split of a dataset folder, checked in full but for what the other sets must agree in. Indices count from its
 * own first puzzle and example. What the arrays mean: {@code trm.data.Dataset}.
 */
public final class DatasetPart {
    private final Path dir;
    private final DatasetInfo info;
    private final int examples;
    private final int storedRows;
    private final TokenRows inputs; // of the rows that are stored
    private final TokenRows labels;
    private final int[] origins; // null in the expanded form, as augmentations
    private final ByteBuffer augmentations;
    private final int[] puzzleIndices;
    private final int[] groupIndices;
    private final int[] puzzleIdentifiers;

    /**
     * @param dir of the split
     * @param info of the split
     */
    public DatasetPart(Path dir, DatasetInfo info, String set, TokenRows.Ignored ignored) {
        this.dir = dir;
        this.info = info;
        Path inputsPath = dir.resolve(set + "__inputs.npy");
        Path labelsPath = dir.resolve(set + "__labels.npy");
        Path tasksPath = dir.resolve(set + "__task_inputs.npy");
        boolean compact = Files.exists(tasksPath);
        if (compact) {
            if (Files.exists(inputsPath)) {
                throw new DataException(dir + ": found both " + inputsPath.getFileName() + " and "
                        + tasksPath.getFileName() + ", expected the expanded form or the compact one");
            }
            inputsPath = tasksPath;
            labelsPath = dir.resolve(set + "__task_labels.npy");
        }
        Path identifiersPath = dir.resolve(set + "__puzzle_identifiers.npy");
        Path groupsPath = dir.resolve(set + "__group_indices.npy");

        Npy inputRows = rows(inputsPath);
        Npy labelRows = rows(labelsPath);
        if (inputRows.shape()[0] != labelRows.shape()[0]) {
            throw new DataException(labelsPath + ": found " + labelRows.shape()[0] + " rows, expected "
                    + inputRows.shape()[0] + " as in " + inputsPath.getFileName());
        }
        storedRows = rowsThatFit(inputsPath, inputRows);
        Path originsPath = dir.resolve(set + "__origins.npy");
        Npy originRows = compact ? originRows(originsPath) : null;
        examples = compact ? rowsThatFit(originsPath, originRows) : storedRows;

        puzzleIdentifiers = vector(identifiersPath);
        for (int p = 0; p < puzzleIdentifiers.length; p++) {
            if (puzzleIdentifiers[p] < 0 || puzzleIdentifiers[p] >= info.numPuzzleIdentifiers()) {
                throw new DataException(identifiersPath + ": entry " + p + ": found identifier " + puzzleIdentifiers[p]
                        + ", expected 0 .. " + (info.numPuzzleIdentifiers() - 1));
            }
        }
        puzzleIndices = indices(
                dir.resolve(set + "__puzzle_indices.npy"), puzzleIdentifiers.length, "puzzle", examples, "examples", 0);
        groupIndices = indices(groupsPath, -1, "group", puzzleIdentifiers.length, "puzzles", 1);
        inputs = TokenRows.of(inputsPath, inputRows, info.vocabSize(), TokenRows.Ignored.NONE);
        labels = TokenRows.of(labelsPath, labelRows, info.vocabSize(), compact ? TokenRows.Ignored.NONE : ignored);
        if (compact && (side() * side() != info.seqLen() || side() > 256)) {
            throw new DataException(dir.resolve("dataset.json") + ": field 'seq_len': found " + info.seqLen()
                    + ", expected the square of a side of at most 256, as augmentations are of square boards");
        }
        Path augmentationsPath = dir.resolve(set + "__augmentations.npy");
        augmentations = compact ? augmentations(augmentationsPath, side(), info.vocabSize()) : null;
        origins = compact ? origins(originsPath, originRows, storedRows, augmentations()) : null;
    }

    /** Rows of a two-dimensional array, as far as an int can count them. */
    static int rowsThatFit(Path path, Npy array) {
        if (array.shape()[0] > Integer.MAX_VALUE) {
            throw new DataException(
                    path + ": found " + array.shape()[0] + " rows, expected at most " + Integer.MAX_VALUE);
        }
        return (int) array.shape()[0];
    }

    private Npy rows(Path path) {
        Npy array = Npy.open(path).requireNdim(2);
        if (array.shape()[1] != info.seqLen()) {
            throw new DataException(
                    path + ": found rows of " + array.shape()[1] + " tokens, expected seq_len " + info.seqLen());
        }
        return array;
    }

    private static int[] vector(Path path) {
        Npy array = Npy.open(path).requireNdim(1);
        int[] values = new int[rowsThatFit(path, array)];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.getInt(i);
        }
        return values;
    }

    /**
     * Reads offsets [owners + 1] that start at 0, do not fall and end at owned.
     *
     * @param owners -1 for any number
     * @param least  that every owner owns: a group without puzzles cannot be drawn from, a puzzle may have no example
     */
    private static int[] indices(Path path, int owners, String owner, int owned, String ownedName, int least) {
        int[] values = vector(path);
        if (values.length == 0 || owners >= 0 && values.length != owners + 1) {
            throw new DataException(path + ": found " + values.length + " entries, expected "
                    + (owners < 0 ? "1 or more" : owners + 1) + ", one more than the " + owner + "s");
        }
        if (values[0] != 0) {
            throw new DataException(path + ": entry 0: found " + values[0] + ", expected 0");
        }
        for (int i = 1; i < values.length; i++) {
            if (values[i] < values[i - 1]) {
                throw new DataException(path + ": entry " + i + ": found " + values[i] + " after " + values[i - 1]
                        + ", expected increasing values");
            }
            if (values[i] - values[i - 1] < least) {
                throw new DataException(path + ": entry " + i + ": found " + values[i] + " after " + values[i - 1]
                        + ": " + owner + " " + (i - 1) + " has no " + ownedName + ", expected increasing values");
            }
        }
        if (values[values.length - 1] != owned) {
            throw new DataException(path + ": last entry: found " + values[values.length - 1] + ", expected " + owned
                    + ", the number of " + ownedName);
        }
        return values;
    }

    /**
     * Reads {@link Augmentation} records [records, bytes].
     *
     * @return the same bytes, direct
     * @throws DataException if the array has another width or 2 GB or more, or a record is none
     */
    private static ByteBuffer augmentations(Path path, int side, int vocabulary) {
        Npy array = Npy.open(path).requireNdim(2);
        int width = Augmentation.bytes(side, vocabulary);
        if (array.shape()[1] != width) {
            throw new DataException(path + ": found records of " + array.shape()[1] + " bytes, expected " + width
                    + " for boards of side " + side + " and " + vocabulary + " tokens");
        }
        int count = rowsThatFit(path, array);
        if ((long) count * width > Integer.MAX_VALUE) {
            throw new DataException(path + ": found " + count + " records of " + width + " bytes, expected below 2 GB");
        }
        ByteBuffer out = ByteBuffer.allocateDirect(count * width);
        int[] record = new int[width];
        for (int a = 0; a < count; a++) {
            array.copyRow(a, record);
            String fault = Augmentation.fault(record, side, vocabulary);
            if (fault != null) {
                throw new DataException(path + ": record " + a + ": " + fault);
            }
            for (int value : record) {
                out.put((byte) value);
            }
        }
        return out.flip();
    }

    private static Npy originRows(Path path) {
        Npy array = Npy.open(path).requireNdim(2);
        if (array.shape()[1] != 2) {
            throw new DataException(path + ": found rows of " + array.shape()[1] + ", expected 2: task, augmentation");
        }
        return array;
    }

    private static int[] origins(Path path, Npy array, int tasks, int augmentations) {
        if (array.shape()[0] > Integer.MAX_VALUE / 2) {
            throw new DataException(
                    path + ": found " + array.shape()[0] + " rows, expected at most " + Integer.MAX_VALUE / 2);
        }
        int[] values = new int[(int) (2 * array.shape()[0])];
        for (int i = 0; i < values.length; i++) {
            long value = array.get(i);
            int count = i % 2 == 0 ? tasks : augmentations;
            if (value < 0 || value >= count) {
                throw new DataException(path + ": row " + i / 2 + ": found " + (i % 2 == 0 ? "task " : "augmentation ")
                        + value + ", expected 0 .. " + (count - 1));
            }
            values[i] = (int) value;
        }
        return values;
    }

    /** Of the boards, if they are square. */
    private int side() {
        return (int) Math.sqrt(info.seqLen());
    }

    /** Of the split. */
    public Path dir() {
        return dir;
    }

    public boolean compact() {
        return origins != null;
    }

    public int examples() {
        return examples;
    }

    public int storedRows() {
        return storedRows;
    }

    public int groups() {
        return groupIndices.length - 1;
    }

    public int puzzles() {
        return puzzleIdentifiers.length;
    }

    /** Records of {@link #augmentationBytes()}, 0 in the expanded form. */
    public int augmentations() {
        return augmentations == null ? 0 : augmentations.capacity() / Augmentation.bytes(side(), info.vocabSize());
    }

    public int[] origins() {
        return origins;
    }

    public ByteBuffer augmentationBytes() {
        return augmentations;
    }

    public List<ByteBuffer> inputChunks() {
        return inputs.chunks();
    }

    public List<ByteBuffer> labelChunks() {
        return labels.chunks();
    }

    /** Whether there are labels outside the vocabulary, which are ignored. */
    public boolean ignoresOthers() {
        return labels.ignores();
    }

    public int[] puzzleIndices() {
        return puzzleIndices;
    }

    public int[] groupIndices() {
        return groupIndices;
    }

    public int[] puzzleIdentifiers() {
        return puzzleIdentifiers;
    }

    /** A copy of one input row [seqLen]. */
    public int[] inputRow(int example) {
        return row(inputs, example);
    }

    /** A copy of one label row [seqLen], in the bytes that are kept. */
    public int[] labelRow(int example) {
        return row(labels, example);
    }

    private int[] row(TokenRows tokens, int example) {
        if (origins == null) {
            return tokens.row(example);
        }
        return Augmentation.read(augmentations, origins[2 * example + 1], side(), info.vocabSize())
                .apply(tokens.row(origins[2 * example]));
    }
}
