package trm.data.format;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import trm.input.DataException;

/** Rows of tokens of one byte each: the file's own bytes where it has them so, mapped, else a copy. May exceed 2 GB. */
public final class TokenRows {
    private final ByteBuffer[] chunks; // each but the last of the same size
    private final int chunkBytes;
    private final int width;
    private final boolean ignores;

    private TokenRows(ByteBuffer[] chunks, int chunkBytes, int width, boolean ignores) {
        this.chunks = chunks;
        this.chunkBytes = chunkBytes;
        this.width = width;
        this.ignores = ignores;
    }

    /**
     * Of labels that carry no loss: what a file has for them, and what is kept.
     *
     * @param ids  values of the file
     * @param kept byte in their place, which no other label has; -1 where no byte is free, so that they are refused
     */
    public record Ignored(List<Integer> ids, int kept) {
        /** For inputs, of which none is ignored. */
        static final Ignored NONE = new Ignored(List.of(), -1);
    }

    /** @throws DataException naming the place, if a token is neither below {@code vocabulary}, at most 256, nor ignored */
    static TokenRows of(Path path, Npy array, int vocabulary, Ignored ignored) {
        return of(path, array, vocabulary, ignored, Npy.SEGMENT_BYTES);
    }

    /** @param chunkBytes of a copy */
    static TokenRows of(Path path, Npy array, int vocabulary, Ignored ignored, int chunkBytes) {
        int width = (int) array.shape()[1];
        long rows = array.shape()[0];
        boolean copied = !array.isBytes();
        ByteBuffer[] copy = copied ? allocate(rows * width, chunkBytes) : null;
        int[] row = new int[rows == 0 ? 0 : width];
        boolean ignores = false;
        for (long r = 0; r < rows; r++) {
            array.copyRow(r, row);
            for (int i = 0; i < width; i++) {
                int token = row[i];
                if (token < 0 || token >= vocabulary) {
                    token = ignored(path, r, i, token, vocabulary, ignored);
                    ignores = true;
                }
                if (copied) {
                    long at = r * width + i;
                    copy[(int) (at / chunkBytes)].put((int) (at % chunkBytes), (byte) token);
                }
            }
        }
        return copied
                ? new TokenRows(copy, chunkBytes, width, ignores)
                : new TokenRows(array.segments(), array.segmentBytes(), width, ignores);
    }

    /** What is kept of a label that is no token. */
    private static int ignored(Path path, long row, int column, int token, int vocabulary, Ignored ignored) {
        if (!ignored.ids.contains(token)) {
            throw new DataException(path + ": row " + row + ", column " + column + ": found token " + token
                    + ", expected 0 .. " + (vocabulary - 1));
        }
        if (ignored.kept < 0) {
            throw new DataException(path + ": row " + row + ", column " + column + ": found the ignored label " + token
                    + ", expected a vocabulary of at most 255 (a label is kept in one byte, and none is free)");
        }
        return ignored.kept;
    }

    /** Whether there are labels outside the vocabulary, which are ignored. */
    boolean ignores() {
        return ignores;
    }

    private static ByteBuffer[] allocate(long bytes, int chunkBytes) {
        ByteBuffer[] chunks = new ByteBuffer[(int) ((bytes + chunkBytes - 1) / chunkBytes)];
        for (int i = 0; i < chunks.length; i++) {
            chunks[i] = ByteBuffer.allocateDirect((int) Math.min(chunkBytes, bytes - (long) i * chunkBytes));
        }
        return chunks;
    }

    /** All bytes in order, in fresh views. */
    List<ByteBuffer> chunks() {
        return Arrays.stream(chunks).map(chunk -> chunk.duplicate().rewind()).toList();
    }

    /** A copy of one row. */
    int[] row(int index) {
        int[] row = new int[width];
        for (int i = 0; i < width; i++) {
            long at = (long) index * width + i;
            row[i] = chunks[(int) (at / chunkBytes)].get((int) (at % chunkBytes)) & 0xFF;
        }
        return row;
    }
}
