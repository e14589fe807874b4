package trm.input;

/**
 * What reading one file may cost, in proportion to its size: objects made, bytes unpacked, seconds. A small file that asks for
 * more is refused before memory is gone. Counted are objects and bytes that the file makes the reader hold at once or in
 * sequence; bytes that lie in the file as they are need not be counted. For one thread and one file.
 *
 * <pre>
 *   objects  10,000 + 2 a byte        unpacked bytes  16 MiB + 200 a byte        seconds  20 + 1 for each 2 MB
 * </pre>
 */
public final class Budget {
    private static final long OBJECTS = 10_000;
    private static final long OBJECTS_A_BYTE = 2;
    private static final long UNPACKED = 16L << 20;
    private static final long UNPACKED_A_BYTE = 200;
    private static final long SECONDS = 20;
    private static final long BYTES_A_SECOND = 2_000_000;

    private final String source;
    private final long size;
    private final long mostObjects;
    private final long mostBytes;
    private final long deadline;
    private long objects;
    private long bytes;

    /**
     * @param source what messages call the file
     * @param size   its bytes
     */
    public Budget(String source, long size) {
        this.source = source;
        this.size = size;
        mostObjects = OBJECTS + OBJECTS_A_BYTE * size;
        mostBytes = UNPACKED + UNPACKED_A_BYTE * size;
        deadline = System.nanoTime() + 1_000_000_000L * (SECONDS + size / BYTES_A_SECOND);
    }

    /**
     * More objects are about to be made.
     *
     * @throws InputException if they are too many, or the time is over
     */
    public void objects(long count) {
        objects = plus(objects, count);
        if (objects > mostObjects) {
            throw refused("more than " + mostObjects + " objects");
        }
        if (System.nanoTime() - deadline > 0) {
            throw refused("more time than it is worth");
        }
    }

    /**
     * More bytes are about to be unpacked.
     *
     * @throws InputException if they are too many
     */
    public void bytes(long count) {
        bytes = plus(bytes, count);
        if (bytes > mostBytes) {
            throw refused("more than " + mostBytes + " bytes of memory");
        }
    }

    private static long plus(long sum, long count) {
        return count < 0 || sum + count < 0 ? Long.MAX_VALUE : sum + count;
    }

    private InputException refused(String what) {
        return new InputException(
                source + ": asks for " + what + ", and has " + size + " bytes; refused as damaged or made to harm");
    }
}
