package trm.data;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import trm.data.format.DatasetInfo;
import trm.data.puzzle.Grid;
import trm.data.puzzle.Puzzle;
import trm.input.DataException;

/**
 * What there is in a dataset folder, and what should not be there: examples that occur twice, test examples that were
 * trained on.
 *
 * @param kind of the puzzles
 * @param splits those that are there, of train and test
 * @param leakedInputs test examples whose input is, token for token, that of a training example
 * @param originals test examples of the first puzzle of each group
 * @param leakedOriginals those of them that are, but for the kind's symmetries, among the same of the training split
 */
public record Inspection(Puzzle kind, List<Split> splits, long leakedInputs, long originals, long leakedOriginals) {
    /**
     * One split. Counts of tokens are [vocabulary].
     *
     * @param usedIdentifiers different puzzle identifiers
     * @param examplesPerPuzzle fewest and most
     * @param cells tokens of an input that are not padding
     * @param changed tokens of an answer that differ from the input, ignored ones apart
     */
    public record Split(
            String name,
            DatasetInfo info,
            int examples,
            int puzzles,
            int groups,
            int usedIdentifiers,
            Range examplesPerPuzzle,
            Range cells,
            Range changed,
            long[] inputTokens,
            long[] labelTokens,
            @JsonUnwrapped Repeats repeats) {}

    /**
     * Questions that occur again.
     *
     * @param repeated examples whose input is that of an earlier one
     * @param contradictions those of them whose label is another one
     */
    public record Repeats(long repeated, long contradictions) {}

    /** Least, mean and greatest of some counts. */
    public record Range(int least, double mean, int most) {
        static Range of(int[] values) {
            return new Range(
                    Arrays.stream(values).min().orElse(0),
                    Arrays.stream(values).average().orElse(0),
                    Arrays.stream(values).max().orElse(0));
        }
    }

    /** A row of tokens by the first half of its SHA-256. */
    private record Key(long high, long low) {}

    /**
     * Reads a folder.
     *
     * @throws DataException if it has neither split, or {@link Dataset#open} refuses one
     */
    public static Inspection of(Path folder) {
        Dataset train = openIfThere(folder, "train");
        Dataset test = openIfThere(folder, "test");
        if (train == null && test == null) {
            throw new DataException(folder + ": found neither train nor test, expected a dataset folder");
        }
        Puzzle kind = Puzzles.of(train != null ? train : test);
        List<Split> splits = new ArrayList<>();
        Map<Key, Key> trainRows = new HashMap<>();
        if (train != null) {
            splits.add(split("train", train, trainRows));
        }
        long leaked = 0;
        if (test != null) {
            splits.add(split("test", test, new HashMap<>()));
            for (int r = 0; r < test.examples() && train != null; r++) {
                leaked += trainRows.containsKey(key(test.inputRow(r))) ? 1 : 0;
            }
        }
        if (train == null || test == null) {
            return new Inspection(kind, splits, 0, 0, 0);
        }
        long originals = originals(test).size();
        return new Inspection(kind, splits, leaked, originals, leakedOriginals(kind, train, test));
    }

    private static Dataset openIfThere(Path folder, String split) {
        return Files.isDirectory(folder.resolve(split)) ? Dataset.open(folder, split) : null;
    }

    /** @param rows gets the split's inputs, each with the label that it came with first */
    private static Split split(String name, Dataset data, Map<Key, Key> rows) {
        int[] cells = new int[data.examples()];
        int[] changed = new int[data.examples()];
        long[] inputTokens = new long[data.info().vocabSize()];
        long[] labelTokens = new long[data.info().vocabSize()];
        long repeated = 0;
        long contradictions = 0;
        int pad = data.info().padId();
        for (int r = 0; r < data.examples(); r++) {
            int[] input = data.inputRow(r);
            int[] label = data.labelRow(r);
            for (int i = 0; i < input.length; i++) {
                inputTokens[input[i]]++;
                cells[r] += input[i] == pad ? 0 : 1;
                if (label[i] != Dataset.IGNORED) {
                    labelTokens[label[i]]++;
                    changed[r] += label[i] == input[i] ? 0 : 1;
                }
            }
            Key answer = key(label);
            Key before = rows.putIfAbsent(key(input), answer);
            repeated += before == null ? 0 : 1;
            contradictions += before == null || before.equals(answer) ? 0 : 1;
        }
        int[] starts = data.puzzleIndices();
        int[] sizes = new int[starts.length - 1];
        Arrays.setAll(sizes, p -> starts[p + 1] - starts[p]);
        return new Split(
                name,
                data.info(),
                data.examples(),
                sizes.length,
                data.groupIndices().length - 1,
                (int) Arrays.stream(data.puzzleIdentifiers()).distinct().count(),
                Range.of(sizes),
                Range.of(cells),
                Range.of(changed),
                inputTokens,
                labelTokens,
                new Repeats(repeated, contradictions));
    }

    private static Key key(int[] row) {
        ByteBuffer bytes = ByteBuffer.allocate(row.length * Integer.BYTES);
        bytes.asIntBuffer().put(row);
        MessageDigest digest = Grid.sha256();
        ByteBuffer half = ByteBuffer.wrap(digest.digest(bytes.array()));
        return new Key(half.getLong(), half.getLong());
    }

    /** The examples of the first puzzle of each group: the builders put the task itself there, before its copies. */
    private static List<Integer> originals(Dataset data) {
        List<Integer> rows = new ArrayList<>();
        int[] groups = data.groupIndices();
        for (int g = 0; g + 1 < groups.length; g++) {
            for (int r = data.puzzleIndices()[groups[g]]; r < data.puzzleIndices()[groups[g] + 1]; r++) {
                rows.add(r);
            }
        }
        return rows;
    }

    /** Only test examples whose sketch is that of a training example are compared in full, and only with those. */
    private static long leakedOriginals(Puzzle kind, Dataset train, Dataset test) {
        Map<String, List<Integer>> tested = new HashMap<>();
        for (int r : originals(test)) {
            tested.computeIfAbsent(kind.sketch(test.inputRow(r), test.labelRow(r)), s -> new ArrayList<>())
                    .add(r);
        }
        Map<String, Set<String>> trained = new HashMap<>();
        for (int r : originals(train)) {
            int[] input = train.inputRow(r);
            int[] label = train.labelRow(r);
            String sketch = kind.sketch(input, label);
            if (tested.containsKey(sketch)) {
                trained.computeIfAbsent(sketch, s -> new HashSet<>()).add(kind.canonical(input, label));
            }
        }
        long leaked = 0;
        for (Map.Entry<String, Set<String>> same : trained.entrySet()) {
            for (int r : tested.get(same.getKey())) {
                leaked += same.getValue().contains(kind.canonical(test.inputRow(r), test.labelRow(r))) ? 1 : 0;
            }
        }
        return leaked;
    }
}
