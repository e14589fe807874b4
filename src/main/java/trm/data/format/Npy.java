package trm.data.format;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import trm.input.DataException;
import trm.input.FileKind;

/**
 * A NumPy array file of integers or booleans, memory-mapped for reading: versions 1.0, 2.0 and 3.0, little and big endian, C
 * and Fortran order. Written is version 1.0, little endian, C order, of dtype u1, i4 or i8.
 *
 * <pre>
 *   93 'NUMPY' 01 00 | uint16 header length | header ({@link NpyHeader}) spaces \n | data
 *   93 'NUMPY' 02 00 | uint32 header length | the same; version 3.0 too
 * </pre>
 *
 * The data may exceed 2 GB: they are mapped in segments. Safe for concurrent reads.
 */
public final class Npy {
    static final int SEGMENT_BYTES = 1 << 30;
    private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    private static final int NAME = MAGIC.length - 2; // bytes before the version

    private final Path path;
    private final NpyHeader header;
    private final long[] shape;
    private final int itemBytes;
    private final int segmentBytes;
    private final ByteBuffer[] segments;

    private Npy(Path path, NpyHeader header, int segmentBytes, ByteBuffer[] segments) {
        this.path = path;
        this.header = header;
        this.shape = header.shape();
        this.itemBytes = header.type().bytes;
        this.segmentBytes = segmentBytes;
        this.segments = segments;
    }

    /**
     * Opens a file and checks its header and length.
     *
     * @throws DataException if it is missing, no NumPy array or one of anything but integers, truncated or too long
     */
    public static Npy open(Path path) {
        return open(path, SEGMENT_BYTES);
    }

    /** @param segmentBytes a multiple of 8 */
    static Npy open(Path path, int segmentBytes) {
        if (!Files.isRegularFile(path)) {
            throw new DataException(path + ": file not found");
        }
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            int lengthBytes = lengthBytes(path, channel);
            int start = MAGIC.length + lengthBytes;
            ByteBuffer length = ByteBuffer.wrap(read(channel, path, MAGIC.length, lengthBytes))
                    .order(ByteOrder.LITTLE_ENDIAN);
            long headerBytes = lengthBytes == 2 ? length.getShort() & 0xFFFF : length.getInt() & 0xFFFFFFFFL;
            if (headerBytes > NpyHeader.MOST) {
                throw new DataException(
                        path + ": found a header of " + headerBytes + " bytes, expected at most " + NpyHeader.MOST);
            }
            NpyHeader header = NpyHeader.parse(path, read(channel, path, start, (int) headerBytes));
            long offset = start + headerBytes;
            long bytes = header.bytes();
            long found = channel.size() - offset;
            if (found != bytes) {
                throw new DataException(path + ": " + (found < bytes ? "truncated" : "bytes after the array")
                        + ": found " + found + " bytes of data, expected " + bytes + " for shape "
                        + header.shapeText() + " of " + header.type().text());
            }
            ByteBuffer[] segments = new ByteBuffer[Math.toIntExact((bytes + segmentBytes - 1) / segmentBytes)];
            for (int i = 0; i < segments.length; i++) {
                long at = (long) i * segmentBytes;
                long count = Math.min(segmentBytes, bytes - at);
                segments[i] = channel.map(FileChannel.MapMode.READ_ONLY, offset + at, count)
                        .order(header.order());
            }
            return new Npy(path, header, segmentBytes, segments);
        } catch (IOException e) {
            throw new DataException(path + ": cannot be read: " + e.getMessage(), e);
        }
    }

    /** Checks signature and version. @return bytes that hold the length of the header */
    private static int lengthBytes(Path path, FileChannel channel) throws IOException {
        byte[] start = read(channel, path, 0, (int) Math.min(channel.size(), FileKind.HEAD_BYTES));
        ForeignFile.refuse(path, FileKind.of(start));
        if (start.length < MAGIC.length) {
            read(channel, path, 0, MAGIC.length); // refuses
        }
        if (!Arrays.equals(start, 0, NAME, MAGIC, 0, NAME)) {
            throw new DataException(path + ": found no NumPy signature at the start of the file, expected an array as"
                    + " numpy.save writes it");
        }
        int major = start[NAME] & 0xFF;
        int minor = start[NAME + 1] & 0xFF;
        if (major < 1 || major > 3 || minor != 0) {
            throw new DataException(path + ": found NPY version " + major + "." + minor + ", expected 1.0, 2.0 or 3.0");
        }
        return major == 1 ? 2 : 4;
    }

    private static byte[] read(FileChannel channel, Path path, long at, int count) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(count);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, at + buffer.position()) < 0) {
                throw new DataException(path + ": truncated in the header: found " + channel.size()
                        + " bytes, expected at least " + (at + count));
            }
        }
        return buffer.array();
    }

    /** Of the elements, as NumPy writes it without the byte order: "u1", "i4", "i8" and so on. */
    public String dtype() {
        return header.type().text();
    }

    /** The extents, outermost first; empty for a scalar. */
    public long[] shape() {
        return shape.clone();
    }

    /**
     * This array, if it has the number of dimensions.
     *
     * @throws DataException otherwise
     */
    public Npy requireNdim(int ndim) {
        if (shape.length != ndim) {
            throw new DataException(path + ": found " + shape.length + " dimensions, shape " + Arrays.toString(shape)
                    + ", expected " + ndim);
        }
        return this;
    }

    /** Whether the file has the elements as one byte without a sign each, in C order, so that its bytes are the array's. */
    boolean isBytes() {
        return header.type() == NpyHeader.Type.U1 && !header.fortran();
    }

    /** The data as they lie in the file, in parts of {@link #segmentBytes()}; shared, not to be written or positioned. */
    ByteBuffer[] segments() {
        return segments;
    }

    /** Bytes of each segment but the last. */
    int segmentBytes() {
        return segmentBytes;
    }

    /**
     * The element at a flat C-order index.
     *
     * @throws DataException if it is 2^63 or more
     */
    public long get(long flatIndex) {
        long at = (header.fortran() ? fortranIndex(flatIndex) : flatIndex) * itemBytes;
        ByteBuffer segment = segments[(int) (at / segmentBytes)];
        return get(segment, (int) (at % segmentBytes));
    }

    /** Where the element of a flat C-order index lies in Fortran order. */
    private long fortranIndex(long flatIndex) {
        long index = 0;
        long rest = flatIndex;
        long stride = 1; // of the extents before
        for (long extent : shape) {
            stride *= extent;
        }
        for (int i = shape.length - 1; i >= 0; i--) {
            stride /= shape[i];
            index += rest % shape[i] * stride;
            rest /= shape[i];
        }
        return index;
    }

    /**
     * Element {@code index} of a one-dimensional array.
     *
     * @throws DataException if it does not fit an int
     */
    int getInt(long index) {
        long value = get(index);
        if (value != (int) value) {
            throw new DataException(path + ": entry " + index + ": found " + value + ", expected a value of 32 bits");
        }
        return (int) value;
    }

    /**
     * Copies row {@code row} of a two-dimensional array [rows, dst.length].
     *
     * @throws DataException if a value does not fit an int
     */
    public void copyRow(long row, int[] dst) {
        if (shape.length != 2 || dst.length != shape[1] || row < 0 || row >= shape[0]) {
            throw new IllegalArgumentException(
                    "row " + row + " into int[" + dst.length + "] from " + Arrays.toString(shape));
        }
        long at = row * dst.length * itemBytes;
        int offset = (int) (at % segmentBytes);
        boolean oneSegment = !header.fortran() && offset + (long) dst.length * itemBytes <= segmentBytes;
        ByteBuffer segment = dst.length == 0 || !oneSegment ? null : segments[(int) (at / segmentBytes)];
        for (int i = 0; i < dst.length; i++) {
            long value = oneSegment ? get(segment, offset + i * itemBytes) : get(row * dst.length + i);
            if (value != (int) value) {
                throw new DataException(
                        path + ": row " + row + ", column " + i + ": found " + value + ", expected a value of 32 bits");
            }
            dst[i] = (int) value;
        }
    }

    private long get(ByteBuffer segment, int offset) {
        return switch (header.type()) {
            case U1 -> segment.get(offset) & 0xFF;
            case B1 -> segment.get(offset) == 0 ? 0 : 1;
            case I1 -> segment.get(offset);
            case U2 -> segment.getShort(offset) & 0xFFFF;
            case I2 -> segment.getShort(offset);
            case U4 -> segment.getInt(offset) & 0xFFFFFFFFL;
            case I4 -> segment.getInt(offset);
            case I8 -> segment.getLong(offset);
            case U8 -> {
                long value = segment.getLong(offset);
                if (value < 0) {
                    throw new DataException(path + ": found " + Long.toUnsignedString(value)
                            + " in the array, expected values of 32 bits");
                }
                yield value;
            }
        };
    }

    /** Writes u1 data of the shape, byte for byte as {@code numpy.save} does. */
    public static void write(Path path, int[] shape, byte[] data) {
        write(path, "u1", shape, data.length, (writer, i) -> writer.put(data[i] & 0xFF));
    }

    /** Writes i4 data of the shape, byte for byte as {@code numpy.save} does. */
    public static void write(Path path, int[] shape, int[] data) {
        write(path, "i4", shape, data.length, (writer, i) -> writer.put(data[i]));
    }

    /** Writes i8 data of the shape, byte for byte as {@code numpy.save} does. */
    public static void write(Path path, int[] shape, long[] data) {
        write(path, "i8", shape, data.length, (writer, i) -> writer.put(data[i]));
    }

    private interface Item {
        void put(Writer writer, int index) throws IOException;
    }

    private static void write(Path path, String dtype, int[] shape, int count, Item item) {
        long[] extents = Arrays.stream(shape).asLongStream().toArray();
        if (Arrays.stream(extents).reduce(1, Math::multiplyExact) != count) {
            throw new IllegalArgumentException(count + " elements for shape " + Arrays.toString(shape));
        }
        try (Writer writer = new Writer(path, dtype, extents)) {
            for (int i = 0; i < count; i++) {
                item.put(writer, i);
            }
        } catch (IOException e) {
            throw new DataException(path + ": cannot be written: " + e.getMessage(), e);
        }
    }

    /** Writes an array element by element; the caller puts exactly as many as the shape says. */
    public static final class Writer implements Closeable {
        private final FileChannel out;
        private final int itemBytes;
        private final ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 16).order(ByteOrder.LITTLE_ENDIAN);

        public Writer(Path path, String dtype, long... shape) throws IOException {
            itemBytes = Npy.itemBytes(dtype);
            out = FileChannel.open(
                    path, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
            buffer.put(header(dtype, shape));
        }

        public void put(long value) throws IOException {
            if (buffer.remaining() < itemBytes) {
                flush();
            }
            switch (itemBytes) {
                case 1 -> buffer.put((byte) value);
                case 4 -> buffer.putInt((int) value);
                default -> buffer.putLong(value);
            }
        }

        private void flush() throws IOException {
            buffer.flip();
            while (buffer.hasRemaining()) {
                out.write(buffer);
            }
            buffer.clear();
        }

        @Override
        public void close() throws IOException {
            try (out) {
                flush();
            }
        }
    }

    /** numpy.save leaves room for the first extent to grow to 21 digits, then pads to the next multiple of 64. */
    static byte[] header(String dtype, long... shape) {
        StringBuilder text = new StringBuilder("{'descr': '")
                .append(dtype.equals("u1") || dtype.equals("i1") ? "|" : "<")
                .append(dtype)
                .append("', 'fortran_order': False, 'shape': (");
        for (int i = 0; i < shape.length; i++) {
            text.append(i == 0 ? "" : ", ").append(shape[i]);
        }
        text.append(shape.length == 1 ? ",), }" : "), }");
        if (shape.length > 0) {
            text.append(" ".repeat(21 - Long.toString(shape[0]).length()));
        }
        int prefix = MAGIC.length + 2;
        text.append(" ".repeat(64 - (prefix + text.length() + 1) % 64)).append('\n');
        ByteBuffer header = ByteBuffer.allocate(prefix + text.length()).order(ByteOrder.LITTLE_ENDIAN);
        header.put(MAGIC).putShort((short) text.length()).put(text.toString().getBytes(StandardCharsets.US_ASCII));
        return header.array();
    }

    private static int itemBytes(String dtype) {
        return switch (dtype) {
            case "u1" -> 1;
            case "i4" -> 4;
            case "i8" -> 8;
            default -> throw new IllegalArgumentException("dtype " + dtype);
        };
    }
}
