package trm.data;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.ToIntFunction;
import trm.data.format.DatasetInfo;
import trm.data.format.DatasetPart;
import trm.data.format.TokenRows;
import trm.data.own.OwnPuzzle;
import trm.data.puzzle.Augmentation;
import trm.input.DataException;

/**
 * One split of a dataset folder, or of several that are merged, checked in full. A group is one task with all of its augmented
 * copies, a puzzle one such copy, an example one row of tokens: puzzle p owns the examples
 * {@code puzzleIndices[p] .. puzzleIndices[p + 1] - 1}, which may be none, group g the puzzles
 * {@code groupIndices[g] .. groupIndices[g + 1] - 1}. Tokens have one byte each, outside the Java heap, and may
 * exceed 2 GB. Immutable; the returned arrays and buffers are shared and must not be written.
 *
 * <p>In the compact form (docs/data.md) the rows that are stored are tasks, boards of side x side tokens, and example e is
 * task {@code origins[2 e]} changed by the {@link Augmentation} record {@code origins[2 e + 1]}. Everything that is asked
 * by an example's number gives what the expanded form would.
 *
 * <p>Several folders, and several sets of a folder, are merged as in the published loader: they must agree in seq_len,
 * vocab_size, the three special ids, sets and num_puzzle_identifiers. The puzzle table then has the sum of their identifiers,
 * but identifiers stay as the files have them, so that equal ones share a row. Counts are sums, and mean_puzzle_examples is the
 * mean over all puzzles. Their order is: the first set of each folder, then the second of each, and so on. Training visits these
 * parts one after the other ({@link TrainLoader}).
 */
public final class Dataset {
    /** What a label that is left out of the loss becomes, PyTorch's ignore index. */
    public static final int IGNORED = -100;

    private static final int FREE_BYTE = 255; // for ignored labels that are no byte themselves

    private final DatasetInfo info;
    private final Optional<OwnPuzzle> own;
    private final List<DatasetPart> parts;
    private final int[] firstExample; // of each part, and the number of examples
    private final int[] firstGroup; // of each part, and the number of groups
    private final int storedRows;
    private final int ignoredLabel;
    private final int[] origins; // null in the expanded form, as augmentations
    private final ByteBuffer augmentations;
    private final int[] puzzleIndices;
    private final int[] groupIndices;
    private final int[] puzzleIdentifiers;

    private Dataset(DatasetInfo info, Optional<OwnPuzzle> own, List<DatasetPart> parts) {
        this.info = info;
        this.own = own;
        this.parts = parts;
        firstExample = starts(DatasetPart::examples, "examples");
        firstGroup = starts(DatasetPart::groups, "groups");
        int[] firstPuzzle = starts(DatasetPart::puzzles, "puzzles");
        int[] firstRow = starts(DatasetPart::storedRows, "stored rows");
        storedRows = firstRow[parts.size()];
        if (examples() == 0) {
            throw new DataException(parts.get(0).dir() + ": found no examples, expected at least one");
        }
        Integer id = info.ignoreLabelId();
        boolean isByte = id != null && id >= 0 && id <= 255;
        ignoredLabel = isByte ? id : parts.stream().anyMatch(DatasetPart::ignoresOthers) ? FREE_BYTE : -1;
        puzzleIndices = offsets(DatasetPart::puzzleIndices, firstExample);
        groupIndices = offsets(DatasetPart::groupIndices, firstPuzzle);
        puzzleIdentifiers = parts.size() == 1
                ? parts.get(0).puzzleIdentifiers()
                : parts.stream()
                        .flatMapToInt(part -> Arrays.stream(part.puzzleIdentifiers()))
                        .toArray();
        boolean compact = parts.get(0).compact();
        augmentations = compact ? mergedAugmentations() : null;
        origins = compact ? mergedOrigins(firstRow) : null;
    }

    /**
     * Opens {@code datasetDir/split} and reads every token.
     *
     * @throws DataException if a file is missing or malformed, the files disagree with each other or with dataset.json,
     *                       an index array is not a partition, an identifier or token is out of range, the
     *                       vocabulary exceeds 256, or there is no example
     */
    public static Dataset open(Path datasetDir, String split) {
        return open(List.of(datasetDir), split);
    }

    /**
     * Opens the same split of one or more folders, merged.
     *
     * @throws DataException as {@link #open(Path, String)}, or if folders differ in what they must agree in
     */
    public static Dataset open(List<Path> datasetDirs, String split) {
        List<Path> dirs = datasetDirs.stream().map(dir -> dir.resolve(split)).toList();
        List<DatasetInfo> infos = new ArrayList<>();
        for (Path dir : dirs) {
            if (!Files.isDirectory(dir)) {
                throw new DataException(dir + ": dataset folder not found");
            }
            infos.add(info(dir));
            requireAgreement(dirs.get(0), infos.get(0), dir, infos.get(infos.size() - 1));
        }
        DatasetInfo first = infos.get(0);
        List<DatasetPart> parts = new ArrayList<>();
        for (String set : first.sets()) {
            for (int i = 0; i < dirs.size(); i++) {
                parts.add(new DatasetPart(dirs.get(i), infos.get(i), set, ignored(first)));
                requireOneForm(parts.get(0), parts.get(parts.size() - 1));
            }
        }
        for (int i = 0; i < dirs.size(); i++) {
            infos.set(i, counted(dirs, i, infos.get(i), parts));
        }
        return new Dataset(merged(dirs, infos), Drawings.of(datasetDirs, first), parts);
    }

    private static DatasetInfo info(Path dir) {
        Path path = dir.resolve("dataset.json");
        DatasetInfo info = DatasetInfo.read(path);
        if (info.vocabSize() > 256) {
            throw new DataException(path + ": field 'vocab_size': found " + info.vocabSize()
                    + ", expected at most 256 (a token is kept in one byte)");
        }
        return info;
    }

    /** Labels without loss: those of the file's own id, and PyTorch's ignore index, which the loss passes over anyway. */
    private static TokenRows.Ignored ignored(DatasetInfo info) {
        Integer id = info.ignoreLabelId();
        int free = info.vocabSize() <= FREE_BYTE ? FREE_BYTE : -1;
        return id == null
                ? new TokenRows.Ignored(List.of(IGNORED), free)
                : new TokenRows.Ignored(List.of(IGNORED, id), id >= 0 && id <= 255 ? id : free);
    }

    /** What the published loader asserts of several folders. */
    private static void requireAgreement(Path firstDir, DatasetInfo first, Path dir, DatasetInfo info) {
        require("seq_len", firstDir, first.seqLen(), dir, info.seqLen());
        require("vocab_size", firstDir, first.vocabSize(), dir, info.vocabSize());
        require("pad_id", firstDir, first.padId(), dir, info.padId());
        require("ignore_label_id", firstDir, first.ignoreLabelId(), dir, info.ignoreLabelId());
        require("blank_identifier_id", firstDir, first.blankIdentifierId(), dir, info.blankIdentifierId());
        require("sets", firstDir, first.sets(), dir, info.sets());
        require("num_puzzle_identifiers", firstDir, first.numPuzzleIdentifiers(), dir, info.numPuzzleIdentifiers());
    }

    private static void require(String key, Path firstDir, Object expected, Path dir, Object found) {
        if (!Objects.equals(expected, found)) {
            throw new DataException(dir.resolve("dataset.json") + ": field '" + key + "': found " + found
                    + ", expected " + expected + " as in " + firstDir + ": only folders that agree are merged"
                    + (key.equals("num_puzzle_identifiers")
                            ? ", and their identifiers are not renumbered; build one folder of all tasks"
                            : ""));
        }
    }

    private static void requireOneForm(DatasetPart first, DatasetPart part) {
        if (first.compact() != part.compact()) {
            throw new DataException(part.dir() + ": found the " + (part.compact() ? "compact" : "expanded")
                    + " form, expected the other one as in " + first.dir()
                    + ": only folders of one form are merged (trm data compact)");
        }
    }

    /** Compares a folder's counts with its arrays, and counts what it does not say. */
    private static DatasetInfo counted(List<Path> dirs, int folder, DatasetInfo info, List<DatasetPart> parts) {
        long groups = 0;
        long puzzles = 0;
        for (int p = folder; p < parts.size(); p += dirs.size()) {
            groups += parts.get(p).groups();
            puzzles += parts.get(p).puzzles();
        }
        if (info.totalGroups() != groups) {
            throw new DataException(
                    dirs.get(folder).resolve("dataset.json") + ": field 'total_groups': found " + info.totalGroups()
                            + ", expected " + groups + " as in " + String.join("__group_indices.npy, ", info.sets())
                            + "__group_indices.npy");
        }
        return info.totalPuzzles() >= 0
                ? info
                : info.with(
                        info.numPuzzleIdentifiers(),
                        info.totalGroups(),
                        info.meanPuzzleExamples(),
                        fits(dirs.get(folder), "puzzles", puzzles));
    }

    private static DatasetInfo merged(List<Path> dirs, List<DatasetInfo> infos) {
        if (infos.size() == 1) {
            return infos.get(0);
        }
        double examples = 0;
        long puzzles = 0;
        long groups = 0;
        long identifiers = 0;
        for (DatasetInfo info : infos) {
            examples += info.meanPuzzleExamples() * info.totalPuzzles();
            puzzles += info.totalPuzzles();
            groups += info.totalGroups();
            identifiers += info.numPuzzleIdentifiers();
        }
        if (puzzles == 0) {
            throw new DataException(dirs.get(0).resolve("dataset.json")
                    + ": field 'total_puzzles': found 0 here and in the other folders, expected at least 1");
        }
        return infos.get(0)
                .with(
                        fits(dirs.get(0), "num_puzzle_identifiers", identifiers),
                        fits(dirs.get(0), "total_groups", groups),
                        examples / puzzles,
                        fits(dirs.get(0), "total_puzzles", puzzles));
    }

    private static int fits(Path dir, String what, long count) {
        if (count > Integer.MAX_VALUE) {
            throw new DataException(dir + ": found " + count + " " + what + " with what it is merged with, expected"
                    + " at most " + Integer.MAX_VALUE);
        }
        return (int) count;
    }

    /** Where each part begins, and where the last one ends. */
    private int[] starts(ToIntFunction<DatasetPart> count, String what) {
        int[] starts = new int[parts.size() + 1];
        for (int p = 0; p < parts.size(); p++) {
            starts[p + 1] = fits(parts.get(0).dir(), what, (long) starts[p] + count.applyAsInt(parts.get(p)));
        }
        return starts;
    }

    /** Offsets of all parts as one array: what each part counts from 0 begins where the part before it ends. */
    private int[] offsets(Function<DatasetPart, int[]> of, int[] first) {
        if (parts.size() == 1) {
            return of.apply(parts.get(0));
        }
        int[] all = new int
                [parts.stream().mapToInt(part -> of.apply(part).length - 1).sum() + 1];
        int at = 0;
        for (int p = 0; p < parts.size(); p++) {
            int[] own = of.apply(parts.get(p));
            for (int i = 1; i < own.length; i++) {
                all[++at] = first[p] + own[i];
            }
        }
        return all;
    }

    private ByteBuffer mergedAugmentations() {
        if (parts.size() == 1) {
            return parts.get(0).augmentationBytes();
        }
        int[] bytes = starts(part -> part.augmentationBytes().capacity(), "bytes of augmentations");
        ByteBuffer all = ByteBuffer.allocateDirect(bytes[parts.size()]);
        parts.forEach(part -> all.put(part.augmentationBytes().duplicate().rewind()));
        return all.flip();
    }

    private int[] mergedOrigins(int[] firstRow) {
        if (parts.size() == 1) {
            return parts.get(0).origins();
        }
        int[] firstAugmentation = starts(DatasetPart::augmentations, "augmentations");
        int[] all = new int[fits(parts.get(0).dir(), "entries of origins", 2L * examples())];
        int at = 0;
        for (int p = 0; p < parts.size(); p++) {
            for (int value : parts.get(p).origins()) {
                all[at] = value + (at % 2 == 0 ? firstRow[p] : firstAugmentation[p]);
                at++;
            }
        }
        return all;
    }

    /** Of the boards, if they are square. */
    int side() {
        return (int) Math.sqrt(info.seqLen());
    }

    public DatasetInfo info() {
        return info;
    }

    /** What the author of the puzzles says of them, empty where nothing is said. */
    public Optional<OwnPuzzle> own() {
        return own;
    }

    /** Examples of the split, augmented ones included. */
    public int examples() {
        return firstExample[parts.size()];
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
        return parts.stream().flatMap(part -> part.inputChunks().stream()).toList();
    }

    /** Label tokens, of which ignored ones are {@link #ignoredLabel()}, laid out as {@link #inputChunks()}. */
    public List<ByteBuffer> labelChunks() {
        return parts.stream().flatMap(part -> part.labelChunks().stream()).toList();
    }

    /**
     * Byte of {@link #labelChunks()} that stands for labels without loss, -1 if there are none: {@code ignoreLabelId} where
     * that is a byte, else 255.
     */
    public int ignoredLabel() {
        return ignoredLabel;
    }

    /** First example of each puzzle, and the number of examples: [puzzles + 1]. */
    public int[] puzzleIndices() {
        return puzzleIndices;
    }

    /** First puzzle of each group, and the number of puzzles: [groups + 1]. */
    public int[] groupIndices() {
        return groupIndices;
    }

    /** First group of each part, a set of a folder, and the number of groups: [parts + 1]. */
    public int[] firstGroups() {
        return firstGroup;
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

    /** Samples that an epoch of the largest part can give: of each group one puzzle's examples, of those that have most. */
    public long mostSamplesAnEpoch() {
        int[] firstGroups = firstGroups();
        long largest = 0;
        for (int part = 0; part + 1 < firstGroups.length; part++) {
            long samples = 0;
            for (int g = firstGroups[part]; g < firstGroups[part + 1]; g++) {
                int most = 0;
                for (int p = groupIndices[g]; p < groupIndices[g + 1]; p++) {
                    most = Math.max(most, puzzleIndices[p + 1] - puzzleIndices[p]);
                }
                samples += most;
            }
            largest = Math.max(largest, samples);
        }
        return largest;
    }

    private int puzzleOf(int example) {
        requireExample(example);
        return owner(puzzleIndices, example);
    }

    private void requireExample(int example) {
        if (example < 0 || example >= examples()) {
            throw new IndexOutOfBoundsException("example " + example + " of " + examples());
        }
    }

    /** The last one that begins at {@code owned} or before: those that own nothing begin where the next one does. */
    private static int owner(int[] indices, int owned) {
        int low = 0;
        int high = indices.length - 1; // begins after owned
        while (high - low > 1) {
            int middle = (low + high) >>> 1;
            if (indices[middle] <= owned) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return low;
    }

    /** A copy of one input row [seqLen]. */
    public int[] inputRow(int example) {
        requireExample(example);
        int part = owner(firstExample, example);
        return parts.get(part).inputRow(example - firstExample[part]);
    }

    /** A copy of one label row [seqLen]; labels without loss are {@link #IGNORED}. */
    public int[] labelRow(int example) {
        requireExample(example);
        int part = owner(firstExample, example);
        int[] row = parts.get(part).labelRow(example - firstExample[part]);
        for (int i = 0; i < row.length && ignoredLabel >= 0; i++) {
            row[i] = row[i] == ignoredLabel ? IGNORED : row[i];
        }
        return row;
    }
}
