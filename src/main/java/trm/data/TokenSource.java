package trm.data;

import java.nio.ByteBuffer;
import java.util.List;

/** Rows of tokens below 256, wherever they come from. */
interface TokenSource {
    /** A copy of one row. */
    int[] row(int index);

    /** All rows in order, a byte a token, in direct buffers cut anywhere; each is good until the next is asked for. */
    List<ByteBuffer> chunks();
}
