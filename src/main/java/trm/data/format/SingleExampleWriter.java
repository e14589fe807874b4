package trm.data.format;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import trm.data.puzzle.Augmentation;

/**
 * Streams one split of a dataset whose puzzles have one example each and all carry identifier 0, as Sudoku and mazes do: a task,
 * then symmetries of it, for each group. Groups have equal sizes, so that every file's length is known before the first
 * row.
 */
public final class SingleExampleWriter implements Closeable {
    private static final String[] EXPANDED = {"all__inputs.npy", "all__labels.npy"};
    private static final String[] COMPACT = {
        "all__task_inputs.npy", "all__task_labels.npy", "all__origins.npy", "all__augmentations.npy"
    };

    /** Where the test puzzles of a folder come from, in its test split: a file of our own, by trm.data.Sources. */
    public static final String SOURCES = "all__sources.csv";

    /** How the puzzles of a folder are written and drawn: a file of our own, by trm.data.own. */
    public static final String PUZZLE = "puzzle.json";

    private final List<Npy.Writer> writers = new ArrayList<>();
    private final Npy.Writer inputs;
    private final Npy.Writer labels;
    private final Npy.Writer origins; // null in the expanded form, as augmentations
    private final Npy.Writer augmentations;
    private int[] input; // of the task last put
    private int[] label;
    private int tasks;
    private int records;

    private SingleExampleWriter(
            Path dir, String tokenType, int groups, int examplesPerGroup, int seqLen, int vocabSize, boolean compact)
            throws IOException {
        int examples = Math.multiplyExact(groups, examplesPerGroup);
        Files.createDirectories(dir);
        deleteOther(dir, compact);
        Npy.write(dir.resolve("all__group_indices.npy"), new int[] {groups + 1}, multiples(groups, examplesPerGroup));
        Npy.write(dir.resolve("all__puzzle_indices.npy"), new int[] {examples + 1}, multiples(examples, 1));
        Npy.write(dir.resolve("all__puzzle_identifiers.npy"), new int[] {examples}, new int[examples]);
        new DatasetInfo(0, 0, 0, vocabSize, seqLen, 1, groups, 1.0, groups, List.of("all"))
                .write(dir.resolve("dataset.json"));
        try {
            int rows = compact ? groups : examples;
            inputs = open(dir.resolve(compact ? COMPACT[0] : EXPANDED[0]), tokenType, rows, seqLen);
            labels = open(dir.resolve(compact ? COMPACT[1] : EXPANDED[1]), tokenType, rows, seqLen);
            int side = (int) Math.sqrt(seqLen);
            int width = Augmentation.bytes(side, vocabSize);
            origins = compact ? open(dir.resolve(COMPACT[2]), "i4", examples, 2) : null;
            augmentations = compact ? open(dir.resolve(COMPACT[3]), "u1", 1 + examples - groups, width) : null;
            if (compact) {
                write(Augmentation.dihedral(0, side, vocabSize)); // record 0: of the tasks themselves
            }
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    /** Deletes what an earlier build may have left behind: the files of the other form, and sources. */
    public static void deleteOther(Path dir, boolean compact) throws IOException {
        for (String file : compact ? EXPANDED : COMPACT) {
            Files.deleteIfExists(dir.resolve(file));
        }
        Files.deleteIfExists(dir.resolve(SOURCES));
    }

    private Npy.Writer open(Path path, String dtype, long... shape) throws IOException {
        Npy.Writer writer = new Npy.Writer(path, dtype, shape);
        writers.add(writer);
        return writer;
    }

    /**
     * Writes the index arrays and dataset.json, and opens the token arrays.
     *
     * @param tokenType dtype of inputs and labels, "u1" or "i8"
     */
    public static SingleExampleWriter expanded(
            Path dir, String tokenType, int groups, int examplesPerGroup, int seqLen, int vocabSize)
            throws IOException {
        return new SingleExampleWriter(dir, tokenType, groups, examplesPerGroup, seqLen, vocabSize, false);
    }

    /** The compact form of the same split, docs/data.md: tasks, u1, and how each example is made of one. */
    public static SingleExampleWriter compact(Path dir, int groups, int examplesPerGroup, int seqLen, int vocabSize)
            throws IOException {
        return new SingleExampleWriter(dir, "u1", groups, examplesPerGroup, seqLen, vocabSize, true);
    }

    /** Begins a group with its task, tokens [seqLen] each. */
    public void task(int[] inputTokens, int[] labelTokens) throws IOException {
        input = inputTokens;
        label = labelTokens;
        put(input, label);
        if (origins != null) {
            origin(tasks++, 0);
        }
    }

    /** The group's next example: its task, changed. */
    public void copy(Augmentation augmentation) throws IOException {
        if (origins == null) {
            put(augmentation.apply(input), augmentation.apply(label));
        } else {
            origin(tasks - 1, records);
            write(augmentation);
        }
    }

    private void put(int[] inputTokens, int[] labelTokens) throws IOException {
        for (int i = 0; i < inputTokens.length; i++) {
            inputs.put(inputTokens[i]);
            labels.put(labelTokens[i]);
        }
    }

    private void origin(int task, int record) throws IOException {
        origins.put(task);
        origins.put(record);
    }

    private void write(Augmentation augmentation) throws IOException {
        for (int value : augmentation.record()) {
            augmentations.put(value);
        }
        records++;
    }

    @Override
    public void close() throws IOException {
        IOException failed = null;
        for (Npy.Writer writer : writers) {
            try {
                writer.close();
            } catch (IOException e) {
                failed = e;
            }
        }
        if (failed != null) {
            throw failed;
        }
    }

    /** identifiers.json of a dataset without identifiers. What an earlier build said of its puzzles is deleted. */
    public static void writeIdentifiers(Path out) throws IOException {
        Files.createDirectories(out);
        Files.deleteIfExists(out.resolve(PUZZLE));
        Files.writeString(out.resolve("identifiers.json"), "[\"<blank>\"]");
    }

    private static int[] multiples(int count, int step) {
        int[] values = new int[count + 1];
        for (int i = 0; i <= count; i++) {
            values[i] = i * step;
        }
        return values;
    }
}
