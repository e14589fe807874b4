package trm.data;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Streams one split of a dataset whose puzzles have one example each and all carry identifier 0, as those of Sudoku and
 * mazes do. Groups have equal sizes, so that every file's length is known before the first row.
 */
final class SingleExampleWriter implements Closeable {
    private final Npy.Writer inputs;
    private final Npy.Writer labels;

    /**
     * Writes the index arrays and dataset.json, and opens the token arrays.
     *
     * @param tokenType dtype of inputs and labels, "u1" or "i8"
     */
    SingleExampleWriter(Path dir, String tokenType, int groups, int examplesPerGroup, int seqLen, int vocabSize)
            throws IOException {
        int examples = Math.multiplyExact(groups, examplesPerGroup);
        Files.createDirectories(dir);
        Npy.write(dir.resolve("all__group_indices.npy"), new int[] {groups + 1}, multiples(groups, examplesPerGroup));
        Npy.write(dir.resolve("all__puzzle_indices.npy"), new int[] {examples + 1}, multiples(examples, 1));
        Npy.write(dir.resolve("all__puzzle_identifiers.npy"), new int[] {examples}, new int[examples]);
        new DatasetInfo(0, 0, 0, vocabSize, seqLen, 1, groups, 1.0, groups, List.of("all"))
                .write(dir.resolve("dataset.json"));
        inputs = new Npy.Writer(dir.resolve("all__inputs.npy"), tokenType, examples, seqLen);
        try {
            labels = new Npy.Writer(dir.resolve("all__labels.npy"), tokenType, examples, seqLen);
        } catch (IOException e) {
            inputs.close();
            throw e;
        }
    }

    /** Appends one example; a board value v becomes token v + 1. */
    void put(int[] question, int[] answer) throws IOException {
        for (int i = 0; i < question.length; i++) {
            inputs.put(question[i] + 1);
            labels.put(answer[i] + 1);
        }
    }

    /** As {@link #put(int[], int[])}, row by row. */
    void put(Grid question, Grid answer) throws IOException {
        put(question.values(), answer.values());
    }

    @Override
    public void close() throws IOException {
        try (inputs) {
            labels.close();
        }
    }

    /** identifiers.json of a dataset without identifiers. */
    static void writeIdentifiers(Path out) throws IOException {
        Files.createDirectories(out);
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
