package trm.data;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * One split of a dataset folder, checked in full. A group is one task with all of its augmented
 * copies, a puzzle one such copy, an example one row of tokens: puzzle p owns the examples
 * {@code puzzleIndices[p] .. puzzleIndices[p + 1] - 1}, group g the puzzles
 * {@code groupIndices[g] .. groupIndices[g + 1] - 1}. Tokens have one byte each, outside the Java heap, and may
 * exceed 2 GB. Immutable; the returned arrays and buffers are shared and must not be written.
 *
 * <p>In the compact form (docs/data.md) the rows that are stored are tasks, boards of side x side tokens, and example e is
 * task {@code origins[2 e]} changed by the {@link Augmentation} record {@code origins[2 e + 1]}. Everything that is asked
 * by an example's number gives what the expanded form would.
 */
public final class Dataset {
    /** What a label that is left out of the loss becomes, PyTorch's ignore index. */
    public static final int IGNORED = -100;

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

    private Dataset(Path dir) {
        Path infoPath = dir.resolve("dataset.json");
        info = DatasetInfo.read(infoPath);
        if (info.sets().size() != 1) {
            throw new DataException(infoPath + ": field 'sets': found " + info.sets() + ", expected one set");
        }
        if (info.vocabSize() > 256) {
            throw new DataException(infoPath + ": field 'vocab_size': found " + info.vocabSize()
                    + ", expected at most 256 (a token is kept in one byte)");
        }
        String set = info.sets().get(0);
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
        Path puzzlesPath = dir.resolve(set + "__puzzle_indices.npy");
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
        puzzleIndices = indices(puzzlesPath, puzzleIdentifiers.length, "puzzles", examples, "examples");
        groupIndices = vector(groupsPath);
        indices(groupsPath, groupIndices.length - 1, "groups", puzzleIdentifiers.length, "puzzles");
        if (info.totalGroups() != groupIndices.length - 1) {
            throw new DataException(infoPath + ": field 'total_groups': found " + info.totalGroups() + ", expected "
                    + (groupIndices.length - 1) + " as in " + groupsPath.getFileName());
        }
        inputs = TokenRows.of(inputsPath, inputRows, info.vocabSize());
        labels = TokenRows.of(labelsPath, labelRows, info.vocabSize());
        if (compact && side() * side() != info.seqLen()) {
            throw new DataException(infoPath + ": field 'seq_len': found " + info.seqLen()
                    + ", expected the square of a side, as augmentations are of square boards");
        }
        Path augmentationsPath = dir.resolve(set + "__augmentations.npy");
        augmentations = compact ? Augmentation.readAll(augmentationsPath, side(), info.vocabSize()) : null;
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

    /**
     * Opens {@code datasetDir/split} and reads every token.
     *
     * @throws DataException if a file is missing or malformed, the files disagree with each other or with dataset.json,
     *                       an index array is not a partition, an identifier or token is out of range, or the
     *                       vocabulary exceeds 256
     */
    public static Dataset open(Path datasetDir, String split) {
        Path dir = datasetDir.resolve(split);
        if (!Files.isDirectory(dir)) {
            throw new DataException(dir + ": dataset folder not found");
        }
        return new Dataset(dir);
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
        Npy array = Npy.open(path).requireNdim(1).requireDtype("i4");
        int[] values = new int[Math.toIntExact(array.shape()[0])];
        for (int i = 0; i < values.length; i++) {
            values[i] = (int) array.get(i);
        }
        return values;
    }

    /** Reads offsets [owners + 1] that start at 0, rise and end at owned; every owner owns at least one. */
    private static int[] indices(Path path, int owners, String ownerName, int owned, String ownedName) {
        int[] values = vector(path);
        if (values.length == 0 || values.length != owners + 1) {
            throw new DataException(path + ": found " + values.length + " entries, expected "
                    + (Math.max(owners, 0) + 1) + ", one more than the " + ownerName);
        }
        if (values[0] != 0) {
            throw new DataException(path + ": entry 0: found " + values[0] + ", expected 0");
        }
        for (int i = 1; i < values.length; i++) {
            if (values[i] <= values[i - 1]) {
                throw new DataException(path + ": entry " + i + ": found " + values[i] + " after " + values[i - 1]
                        + ", expected increasing values");
            }
        }
        if (values[values.length - 1] != owned) {
            throw new DataException(path + ": last entry: found " + values[values.length - 1] + ", expected " + owned
                    + ", the number of " + ownedName);
        }
        return values;
    }

    private static Npy originRows(Path path) {
        Npy array = Npy.open(path).requireNdim(2).requireDtype("i4");
        if (array.shape()[1] != 2) {
            throw new DataException(path + ": found rows of " + array.shape()[1] + ", expected 2: task, augmentation");
        }
        return array;
    }

    private static int[] origins(Path path, Npy array, int tasks, int augmentations) {
        int[] values = new int[Math.toIntExact(2 * array.shape()[0])];
        for (int i = 0; i < values.length; i++) {
            values[i] = (int) array.get(i);
            int count = i % 2 == 0 ? tasks : augmentations;
            if (values[i] < 0 || values[i] >= count) {
                throw new DataException(path + ": row " + i / 2 + ": found " + (i % 2 == 0 ? "task " : "augmentation ")
                        + values[i] + ", expected 0 .. " + (count - 1));
            }
        }
        return values;
    }

    /** Of the boards, if they are square. */
    int side() {
        return (int) Math.sqrt(info.seqLen());
    }

    public DatasetInfo info() {
        return info;
    }

    /** Examples of the split, augmented ones included. */
    public int examples() {
        return examples;
    }

    /** Tokens of a row. */
    public int seqLen() {
        return info.seqLen();
    }

    /** Rows that are stored: examples, or tasks in the compact form. */
    public int storedRows() {
        return storedRows;
    }

    /** Records of {@link #augmentationBytes()}, 0 in the expanded form. */
    public int augmentations() {
        return augmentations == null ? 0 : augmentations.capacity() / Augmentation.bytes(side(), info.vocabSize());
    }

    /** Task and augmentation of each example [examples, 2]; null in the expanded form. */
    public int[] origins() {
        return origins;
    }

    /** {@link Augmentation} records [augmentations, 1 + 2 side + vocabulary], u1, direct; null in the expanded form. */
    public ByteBuffer augmentationBytes() {
        return augmentations == null ? null : augmentations.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Input tokens [storedRows, seqLen], u1, one after the other: direct buffers, cut anywhere; fresh views. */
    public List<ByteBuffer> inputChunks() {
        return inputs.chunks();
    }

    /** Label tokens as in the file (ignored ones keep {@code ignoreLabelId}), laid out as {@link #inputChunks()}. */
    public List<ByteBuffer> labelChunks() {
        return labels.chunks();
    }

    /** First example of each puzzle, and the number of examples: [puzzles + 1]. */
    public int[] puzzleIndices() {
        return puzzleIndices;
    }

    /** First puzzle of each group, and the number of puzzles: [groups + 1]. */
    public int[] groupIndices() {
        return groupIndices;
    }

    /** Row of the puzzle embedding for each puzzle: [puzzles]. */
    public int[] puzzleIdentifiers() {
        return puzzleIdentifiers;
    }

    /** The identifier of the puzzle that owns an example. */
    public int identifierOf(int example) {
        return puzzleIdentifiers[puzzleOf(example)];
    }

    /** The group of the puzzle that owns an example. */
    public int groupOf(int example) {
        return owner(groupIndices, puzzleOf(example));
    }

    /** Samples that an epoch can give: of each group one puzzle's examples, of those that have most. */
    public long mostSamplesAnEpoch() {
        long samples = 0;
        for (int g = 0; g + 1 < groupIndices.length; g++) {
            int most = 0;
            for (int p = groupIndices[g]; p < groupIndices[g + 1]; p++) {
                most = Math.max(most, puzzleIndices[p + 1] - puzzleIndices[p]);
            }
            samples += most;
        }
        return samples;
    }

    private int puzzleOf(int example) {
        if (example < 0 || example >= examples) {
            throw new IndexOutOfBoundsException("example " + example + " of " + examples);
        }
        return owner(puzzleIndices, example);
    }

    private static int owner(int[] indices, int owned) {
        int found = Arrays.binarySearch(indices, owned);
        return found >= 0 ? found : -found - 2;
    }

    /** A copy of one input row [seqLen]. */
    public int[] inputRow(int example) {
        return row(inputs, example);
    }

    /** A copy of one label row [seqLen]; labels equal to {@code ignoreLabelId} become {@link #IGNORED}. */
    public int[] labelRow(int example) {
        int[] row = row(labels, example);
        if (info.ignoreLabelId() != null) {
            for (int i = 0; i < row.length; i++) {
                row[i] = row[i] == info.ignoreLabelId() ? IGNORED : row[i];
            }
        }
        return row;
    }

    private int[] row(TokenRows tokens, int example) {
        if (example < 0 || example >= examples) {
            throw new IndexOutOfBoundsException("example " + example + " of " + examples);
        }
        if (origins == null) {
            return tokens.row(example);
        }
        return Augmentation.read(augmentations, origins[2 * example + 1], side(), info.vocabSize())
                .apply(tokens.row(origins[2 * example]));
    }
}
