package trm.data;

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
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A NumPy array file, version 1.0, little endian, C order, of dtype u1, i4 or i8, memory-mapped for reading.
 *
 * <pre>
 *   93 'NUMPY' 01 00 | uint16 header length | header | data
 *   header: {'descr': '&lt;i4', 'fortran_order': False, 'shape': (7,), } spaces \n
 * </pre>
 *
 * The data begin at a multiple of 64 bytes and may exceed 2 GB: they are mapped in segments. Safe for concurrent reads.
 */
public final class Npy {
    static final int SEGMENT_BYTES = 1 << 30;
    private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    private static final Pattern HEADER = Pattern.compile(
            "\\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \\(((?:\\d+, ?)*\\d*)\\), *\\} *\n");

    private final Path path;
    private final String dtype;
    private final long[] shape;
    private final int itemBytes;
    private final int segmentBytes;
    private final ByteBuffer[] segments;

    private Npy(Path path, String dtype, long[] shape, int segmentBytes, ByteBuffer[] segments) {
        this.path = path;
        this.dtype = dtype;
        this.shape = shape;
        this.itemBytes = itemBytes(dtype);
        this.segmentBytes = segmentBytes;
        this.segments = segments;
    }

    /**
     * Opens a file and checks its header and length.
     *
     * @throws DataException if it is missing, not NPY 1.0, in Fortran order, of another dtype, truncated or too long
     */
    public static Npy open(Path path) {
        return open(path, SEGMENT_BYTES);
    }

    static Npy open(Path path, int segmentBytes) {
        if (!Files.isRegularFile(path)) {
            throw new DataException(path + ": file not found");
        }
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            byte[] start = read(channel, path, 0, MAGIC.length + 2);
            if (!Arrays.equals(start, 0, MAGIC.length, MAGIC, 0, MAGIC.length)) {
                throw new DataException(path + ": found no NPY version 1.0 signature at the start of the file");
            }
            int headerBytes = (start[8] & 0xFF) | (start[9] & 0xFF) << 8;
            String header = new String(read(channel, path, start.length, headerBytes), StandardCharsets.ISO_8859_1);
            Matcher matcher = HEADER.matcher(header);
            if (!matcher.matches()) {
                throw new DataException(path + ": header: found " + header.strip()
                        + ", expected {'descr': ..., 'fortran_order': False, 'shape': (...), }");
            }
            if (matcher.group(2).equals("True")) {
                throw new DataException(path + ": fortran_order: found True, expected False");
            }
            String dtype =
                    switch (matcher.group(1)) {
                        case "|u1" -> "u1";
                        case "<i4" -> "i4";
                        case "<i8" -> "i8";
                        default ->
                            throw new DataException(path + ": descr: found dtype '" + matcher.group(1)
                                    + "', expected '|u1', '<i4' or '<i8'");
                    };
            long offset = start.length + (long) headerBytes;
            long[] shape;
            long bytes = itemBytes(dtype);
            try {
                shape = Arrays.stream(matcher.group(3).split(","))
                        .map(String::strip)
                        .filter(s -> !s.isEmpty())
                        .mapToLong(Long::parseLong)
                        .toArray();
                for (long extent : shape) {
                    bytes = Math.multiplyExact(bytes, extent);
                }
            } catch (NumberFormatException | ArithmeticException e) {
                throw new DataException(path + ": shape: found (" + matcher.group(3) + "), too large to address", e);
            }
            long found = channel.size() - offset;
            if (found != bytes) {
                throw new DataException(path + ": " + (found < bytes ? "truncated" : "bytes after the array")
                        + ": found " + found + " bytes of data, expected " + bytes + " for shape "
                        + Arrays.toString(shape)
                        + " of " + dtype);
            }
            ByteBuffer[] segments = new ByteBuffer[Math.toIntExact((bytes + segmentBytes - 1) / segmentBytes)];
            for (int i = 0; i < segments.length; i++) {
                long at = (long) i * segmentBytes;
                long count = Math.min(segmentBytes, bytes - at);
                segments[i] = channel.map(FileChannel.MapMode.READ_ONLY, offset + at, count)
                        .order(ByteOrder.LITTLE_ENDIAN);
            }
            return new Npy(path, dtype, shape, segmentBytes, segments);
        } catch (IOException e) {
            throw new DataException(path + ": cannot be read: " + e.getMessage(), e);
        }
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

    /** "u1", "i4" or "i8". */
    public String dtype() {
        return dtype;
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

    /**
     * This array, if it has the dtype "u1", "i4" or "i8".
     *
     * @throws DataException otherwise
     */
    public Npy requireDtype(String expected) {
        if (!dtype.equals(expected)) {
            throw new DataException(path + ": found dtype " + dtype + ", expected " + expected);
        }
        return this;
    }

    /** The data as they lie in the file, in parts of {@link #segmentBytes()}; shared, not to be written or positioned. */
    ByteBuffer[] segments() {
        return segments;
    }

    /** Bytes of each segment but the last. */
    int segmentBytes() {
        return segmentBytes;
    }

    /** The element at a flat C-order index; u1 is unsigned. */
    public long get(long flatIndex) {
        long at = flatIndex * itemBytes;
        ByteBuffer segment = segments[(int) (at / segmentBytes)];
        return get(segment, (int) (at % segmentBytes));
    }

    /**
     * Copies row {@code row} of a two-dimensional array [rows, dst.length].
     *
     * @throws DataException if an i8 value does not fit an int
     */
    public void copyRow(long row, int[] dst) {
        if (shape.length != 2 || dst.length != shape[1] || row < 0 || row >= shape[0]) {
            throw new IllegalArgumentException(
                    "row " + row + " into int[" + dst.length + "] from " + Arrays.toString(shape));
        }
        long at = row * dst.length * itemBytes;
        int offset = (int) (at % segmentBytes);
        boolean oneSegment = offset + (long) dst.length * itemBytes <= segmentBytes;
        ByteBuffer segment = dst.length == 0 ? null : segments[(int) (at / segmentBytes)];
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
        return switch (itemBytes) {
            case 1 -> segment.get(offset) & 0xFF;
            case 4 -> segment.getInt(offset);
            default -> segment.getLong(offset);
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
    static final class Writer implements Closeable {
        private final FileChannel out;
        private final int itemBytes;
        private final ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 16).order(ByteOrder.LITTLE_ENDIAN);

        Writer(Path path, String dtype, long... shape) throws IOException {
            itemBytes = Npy.itemBytes(dtype);
            out = FileChannel.open(
                    path, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
            buffer.put(header(dtype, shape));
        }

        void put(long value) throws IOException {
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
                .append(dtype.equals("u1") ? "|" : "<")
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
