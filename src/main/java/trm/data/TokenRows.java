package trm.data;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** Rows of tokens of one byte each: the file's own bytes where it has them so, mapped, else a copy. May exceed 2 GB. */
final class TokenRows {
    private final ByteBuffer[] chunks; // each but the last of the same size
    private final int chunkBytes;
    private final int width;

    private TokenRows(ByteBuffer[] chunks, int chunkBytes, int width) {
        this.chunks = chunks;
        this.chunkBytes = chunkBytes;
        this.width = width;
    }

    /** @throws DataException naming the place, if a token is not below {@code vocabulary}, which is at most 256 */
    static TokenRows of(Path path, Npy array, int vocabulary) {
        return of(path, array, vocabulary, Npy.SEGMENT_BYTES);
    }

    /** @param chunkBytes of a copy */
    static TokenRows of(Path path, Npy array, int vocabulary, int chunkBytes) {
        int width = (int) array.shape()[1];
        long rows = array.shape()[0];
        boolean copied = !array.dtype().equals("u1");
        ByteBuffer[] copy = copied ? allocate(rows * width, chunkBytes) : null;
        int[] row = new int[width];
        for (long r = 0; r < rows; r++) {
            array.copyRow(r, row);
            for (int i = 0; i < width; i++) {
                if (row[i] < 0 || row[i] >= vocabulary) {
                    throw new DataException(path + ": row " + r + ", column " + i + ": found token " + row[i]
                            + ", expected 0 .. " + (vocabulary - 1));
                }
                if (copied) {
                    long at = r * width + i;
                    copy[(int) (at / chunkBytes)].put((int) (at % chunkBytes), (byte) row[i]);
                }
            }
        }
        return copied
                ? new TokenRows(copy, chunkBytes, width)
                : new TokenRows(array.segments(), array.segmentBytes(), width);
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
