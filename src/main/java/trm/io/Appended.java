package trm.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** Appends to files in whole pieces. */
final class Appended {
    private Appended() {}

    /** @throws IOException if that fails, as where the disk is full: what was written in part is taken back */
    static void whole(FileChannel to, ByteBuffer bytes) throws IOException {
        long size = to.size();
        try {
            while (bytes.hasRemaining()) {
                to.write(bytes);
            }
        } catch (IOException e) {
            try {
                to.truncate(size);
                to.position(size);
            } catch (IOException second) {
                e.addSuppressed(second);
            }
            throw e;
        }
    }
}
