package trm.data;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.AbstractList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The compact form of an ARC split (docs/data.md). The pairs of each task are there once, as fields with the grid in the
 * corner; an example has only its place in the field. Example i of a puzzle is pair i of its group, changed as the name of
 * the puzzle's identifier says ({@link ArcCopy}).
 */
final class ArcCompact {
    static final String PLACES = "all__places.npy";

    private static final int CHUNK_ROWS = 8192;
    private static final int COPY_BYTES = 1 + ArcTask.COLOURS; // transform, new colours

    private final Grid[] inputs; // of the pairs
    private final Grid[] labels;
    private final int[] firstPair; // of each group
    private final int[] groupIndices;
    private final int[] puzzleIndices;
    private final byte[] copies; // of the puzzles
    private final byte[] places; // top and left of each example

    /**
     * Reads the places and the copies' names.
     *
     * @param dir of the split; identifiers.json is beside it
     * @param inputs fields of the pairs, as {@code labels}
     * @throws DataException naming the file and the row if something is missing, out of range or contradicts another file
     */
    ArcCompact(
            Path dir,
            TokenRows inputs,
            TokenRows labels,
            int pairs,
            int[] puzzleIdentifiers,
            int[] puzzleIndices,
            int[] groupIndices) {
        this.inputs = grids(inputs, pairs);
        this.labels = grids(labels, pairs);
        this.puzzleIndices = puzzleIndices;
        this.groupIndices = groupIndices;
        firstPair = firstPairs(dir, pairs);
        copies = copies(dir.resolveSibling("identifiers.json"), puzzleIdentifiers);
        places = places(dir.resolve(PLACES));
    }

    private static Grid[] grids(TokenRows fields, int pairs) {
        Grid[] grids = new Grid[pairs];
        Arrays.setAll(grids, i -> ArcTokens.crop(fields.row(i)));
        return grids;
    }

    private int[] firstPairs(Path dir, int pairs) {
        int[] first = new int[groupIndices.length];
        for (int g = 0; g + 1 < groupIndices.length; g++) {
            int examples = examplesOf(groupIndices[g]);
            for (int p = groupIndices[g]; p < groupIndices[g + 1]; p++) {
                if (examplesOf(p) != examples) {
                    throw new DataException(dir.resolve("all__puzzle_indices.npy") + ": puzzle " + p + ": found "
                            + examplesOf(p) + " examples, expected " + examples + " as in the others of its group");
                }
            }
            first[g + 1] = first[g] + examples;
        }
        if (first[first.length - 1] != pairs) {
            throw new DataException(dir.resolve("all__task_inputs.npy") + ": found " + pairs + " pairs, expected "
                    + first[first.length - 1] + ", those of one puzzle of each group");
        }
        return first;
    }

    private int examplesOf(int puzzle) {
        return puzzleIndices[puzzle + 1] - puzzleIndices[puzzle];
    }

    private static byte[] copies(Path file, int[] puzzleIdentifiers) {
        int most = Arrays.stream(puzzleIdentifiers).max().orElse(0);
        byte[] byIdentifier = new byte[COPY_BYTES * (most + 1)];
        int count = 0;
        try (JsonParser json = new JsonFactory().createParser(Files.newInputStream(file))) {
            for (json.nextToken(); json.nextToken() == JsonToken.VALUE_STRING && count <= most; count++) {
                ArcCopy copy = copy(file, json.getText());
                byIdentifier[COPY_BYTES * count] = (byte) copy.transform();
                System.arraycopy(copy.colours(), 0, byIdentifier, COPY_BYTES * count + 1, ArcTask.COLOURS);
            }
        } catch (IOException e) {
            throw new DataException(file + ": cannot be read: " + e.getMessage(), e);
        }
        if (count <= most) {
            throw new DataException(file + ": found " + count + " names, expected a list of at least " + (most + 1));
        }
        byte[] copies = new byte[COPY_BYTES * puzzleIdentifiers.length];
        for (int p = 0; p < puzzleIdentifiers.length; p++) {
            System.arraycopy(byIdentifier, COPY_BYTES * puzzleIdentifiers[p], copies, COPY_BYTES * p, COPY_BYTES);
        }
        return copies;
    }

    private static ArcCopy copy(Path file, String name) {
        try {
            return ArcCopy.parse(name);
        } catch (DataException e) {
            throw new DataException(file + ": " + e.getMessage(), e);
        }
    }

    private byte[] places(Path path) {
        Npy array = Npy.open(path).requireNdim(2).requireDtype("u1");
        int examples = puzzleIndices[puzzleIndices.length - 1];
        if (array.shape()[1] != 2 || array.shape()[0] != examples) {
            throw new DataException(path + ": found shape " + Arrays.toString(array.shape()) + ", expected [" + examples
                    + ", 2]: top and left of each example");
        }
        byte[] values = new byte[2 * examples];
        int[] place = new int[2];
        for (int p = 0; p + 1 < puzzleIndices.length; p++) {
            boolean turned = isTurned(copies[COPY_BYTES * p]);
            for (int e = puzzleIndices[p]; e < puzzleIndices[p + 1]; e++) {
                array.copyRow(e, place);
                int pair = pairOf(p, e);
                int rows = Math.max(inputs[pair].rows(), labels[pair].rows());
                int columns = Math.max(inputs[pair].columns(), labels[pair].columns());
                if (place[0] + (turned ? columns : rows) > ArcTokens.SIDE
                        || place[1] + (turned ? rows : columns) > ArcTokens.SIDE) {
                    throw new DataException(path + ": row " + e + ": found " + place[0] + ", " + place[1]
                            + ", expected a place where a pair of " + rows + " x " + columns + " lies in the field of "
                            + ArcTokens.SIDE + " x " + ArcTokens.SIDE);
                }
                values[2 * e] = (byte) place[0];
                values[2 * e + 1] = (byte) place[1];
            }
        }
        return values;
    }

    private static boolean isTurned(int transform) {
        Grid wide = new Grid(1, 2, new byte[2]);
        return wide.transform(transform).rows() == 2;
    }

    private int pairOf(int puzzle, int example) {
        return firstPair[Dataset.owner(groupIndices, puzzle)] + example - puzzleIndices[puzzle];
    }

    /** Rows of inputs, as the expanded form has them. */
    TokenSource inputs() {
        return new Rows(inputs);
    }

    TokenSource labels() {
        return new Rows(labels);
    }

    private final class Rows implements TokenSource {
        private final Grid[] grids;

        Rows(Grid[] grids) {
            this.grids = grids;
        }

        @Override
        public int[] row(int example) {
            int puzzle = Dataset.owner(puzzleIndices, example);
            int at = COPY_BYTES * puzzle;
            Grid grid = grids[pairOf(puzzle, example)]
                    .mapped(Arrays.copyOfRange(copies, at + 1, at + COPY_BYTES))
                    .transform(copies[at]);
            int[] field = new int[ArcTokens.TOKENS];
            ArcTokens.put(grid, places[2 * example], places[2 * example + 1], field);
            return field;
        }

        @Override
        public List<ByteBuffer> chunks() {
            int examples = places.length / 2;
            ByteBuffer chunk =
                    ByteBuffer.allocateDirect(Math.min(CHUNK_ROWS, Math.max(examples, 1)) * ArcTokens.TOKENS);
            return new AbstractList<>() {
                @Override
                public int size() {
                    return (examples + CHUNK_ROWS - 1) / CHUNK_ROWS;
                }

                @Override
                public ByteBuffer get(int index) {
                    int first = index * CHUNK_ROWS;
                    int rows = Math.min(CHUNK_ROWS, examples - first);
                    IntStream.range(0, rows).parallel().forEach(r -> {
                        int[] row = row(first + r);
                        for (int i = 0; i < row.length; i++) {
                            chunk.put(r * ArcTokens.TOKENS + i, (byte) row[i]);
                        }
                    });
                    return chunk.duplicate().rewind().limit(rows * ArcTokens.TOKENS);
                }
            };
        }
    }
}
