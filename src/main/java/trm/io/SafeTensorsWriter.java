package trm.io;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Collects tensors and writes them as a safetensors file ({@link SafeTensors} draws it), in the order added. The same calls
 * give the same bytes. Nothing is copied: arrays, buffers and what gives the bytes of others must stay as they are until the
 * file is written, which takes a buffer of {@value #CHUNK_BYTES} bytes whatever the size of a tensor. For one thread.
 */
public final class SafeTensorsWriter {
    private static final int CHUNK_BYTES = 1 << 16;

    /** Takes the bytes of a tensor, piece by piece. */
    @FunctionalInterface
    public interface Sink {
        /** @param piece the bytes between its position and limit are taken before this returns */
        void take(ByteBuffer piece) throws IOException;
    }

    /** Gives a tensor's little-endian bytes when they are written: all of them, in order, in any number of pieces. */
    @FunctionalInterface
    public interface Source {
        void writeTo(Sink out) throws IOException;
    }

    /** Puts elements {@code from} to {@code to} of a tensor into a little-endian buffer. */
    private interface Elements {
        void put(ByteBuffer into, int from, int to);
    }

    private record Pending(String name, String dtype, long[] shape, long bytes, Source source) {}

    private final Map<String, Pending> tensors = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();

    /** Adds a string to {@code __metadata__}; a key given twice keeps its place and takes the new value. */
    public SafeTensorsWriter metadata(String key, String value) {
        metadata.put(key, value);
        return this;
    }

    /** Adds raw little-endian bytes, from the buffer's position to its limit, of any dtype. */
    public SafeTensorsWriter add(String name, String dtype, long[] shape, ByteBuffer data) {
        ByteBuffer raw = data.duplicate();
        int width = Math.max(1, ElementType.bytes(dtype));
        if (raw.remaining() % width != 0) {
            throw new IllegalArgumentException("tensor '" + name + "': " + raw.remaining()
                    + " bytes are no whole number of " + dtype + " elements");
        }
        int base = raw.position();
        return add(
                name,
                dtype,
                shape,
                raw.remaining() / width,
                "F64 F32 BF16 F16 I64 I32 U8 BOOL",
                (into, from, to) ->
                        into.put(raw.duplicate().limit(base + to * width).position(base + from * width)));
    }

    /** Adds floats as F32 or F64, or rounded to the nearest BF16. */
    public SafeTensorsWriter add(String name, String dtype, long[] shape, float[] data) {
        return add(name, dtype, shape, data.length, "F32 BF16 F64", (into, from, to) -> {
            for (int i = from; i < to; i++) {
                switch (dtype) {
                    case "F32" -> into.putFloat(data[i]);
                    case "BF16" -> into.putShort(ElementType.toBfloat16(data[i]));
                    default -> into.putDouble(data[i]);
                }
            }
        });
    }

    /** Adds doubles as F64, or rounded to F32. */
    public SafeTensorsWriter add(String name, String dtype, long[] shape, double[] data) {
        return add(name, dtype, shape, data.length, "F64 F32", (into, from, to) -> {
            for (int i = from; i < to; i++) {
                if (dtype.equals("F64")) {
                    into.putDouble(data[i]);
                } else {
                    into.putFloat((float) data[i]);
                }
            }
        });
    }

    /** Adds ints as I32 or I64, as the low byte (U8), or as zero and nonzero (BOOL). */
    public SafeTensorsWriter add(String name, String dtype, long[] shape, int[] data) {
        return add(name, dtype, shape, data.length, "I32 I64 U8 BOOL", (into, from, to) -> {
            for (int i = from; i < to; i++) {
                switch (dtype) {
                    case "I32" -> into.putInt(data[i]);
                    case "I64" -> into.putLong(data[i]);
                    case "U8" -> into.put((byte) data[i]);
                    default -> into.put((byte) (data[i] != 0 ? 1 : 0));
                }
            }
        });
    }

    /** Adds longs as I64. */
    public SafeTensorsWriter add(String name, String dtype, long[] shape, long[] data) {
        return add(name, dtype, shape, data.length, "I64", (into, from, to) -> {
            for (int i = from; i < to; i++) {
                into.putLong(data[i]);
            }
        });
    }

    /**
     * Adds a tensor of any size and dtype whose bytes are asked for when the file is written.
     *
     * @param bytes of all its elements; {@code data} gives as many
     */
    public SafeTensorsWriter add(String name, String dtype, long[] shape, long bytes, Source data) {
        long expected = ElementType.bytes(dtype);
        for (long extent : shape) {
            expected = Math.multiplyExact(expected, extent);
        }
        if (expected != bytes) {
            throw new IllegalArgumentException("tensor '" + name + "': shape " + Arrays.toString(shape) + " has "
                    + expected + " bytes of " + dtype + ", the data " + bytes);
        }
        if (name.equals(SafeTensorsHeader.METADATA)
                || tensors.putIfAbsent(name, new Pending(name, dtype, shape.clone(), bytes, data)) != null) {
            throw new IllegalArgumentException("tensor '" + name + "' is already there");
        }
        return this;
    }

    private SafeTensorsWriter add(
            String name, String dtype, long[] shape, int elements, String allowed, Elements data) {
        if (!List.of(allowed.split(" ")).contains(dtype)) {
            throw new IllegalArgumentException(
                    "tensor '" + name + "': dtype is " + dtype + "; expected one of " + allowed);
        }
        int width = ElementType.bytes(dtype);
        return add(name, dtype, shape, (long) elements * width, out -> {
            int step = CHUNK_BYTES / width;
            ByteBuffer chunk =
                    ByteBuffer.allocate(Math.min(elements, step) * width).order(ByteOrder.LITTLE_ENDIAN);
            for (long from = 0; from < elements; from += step) {
                data.put(chunk.clear(), (int) from, (int) Math.min(elements, from + step));
                out.take(chunk.flip());
            }
        });
    }

    /**
     * Writes the file as a whole ({@link AtomicFile}): readers see the old one or the new one.
     *
     * @throws FormatException if writing fails; the temporary file is removed and an older file is left as it was
     */
    public void writeTo(Path file) {
        try {
            AtomicFile.replace(file, channel -> write(channel, null));
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
        }
    }

    /** The header as written, length field included, padded with spaces to a multiple of 8 bytes. */
    private byte[] header() {
        StringBuilder json = new StringBuilder("{");
        if (!metadata.isEmpty()) {
            json.append('"').append(SafeTensorsHeader.METADATA).append("\":{");
            String separator = "";
            for (Map.Entry<String, String> item : metadata.entrySet()) {
                json.append(separator).append(quoted(item.getKey())).append(':').append(quoted(item.getValue()));
                separator = ",";
            }
            json.append('}');
        }
        long offset = 0;
        for (Pending tensor : tensors.values()) {
            long end = offset + tensor.bytes();
            json.append(json.length() > 1 ? "," : "")
                    .append(quoted(tensor.name()))
                    .append(":{\"dtype\":\"")
                    .append(tensor.dtype())
                    .append("\",\"shape\":")
                    .append(Arrays.toString(tensor.shape()).replace(" ", ""))
                    .append(",\"data_offsets\":[")
                    .append(offset)
                    .append(',')
                    .append(end)
                    .append("]}");
            offset = end;
        }
        byte[] text = json.append('}').toString().getBytes(StandardCharsets.UTF_8);
        int padded = (text.length + 7) / 8 * 8;
        ByteBuffer header = ByteBuffer.allocate(8 + padded).order(ByteOrder.LITTLE_ENDIAN);
        header.putLong(padded).put(text);
        while (header.hasRemaining()) {
            header.put((byte) ' ');
        }
        return header.array();
    }

    private static String quoted(String text) {
        return '"' + new String(JsonStringEncoder.getInstance().quoteAsString(text)) + '"';
    }

    /** Writes everything at the channel's position; {@code digest}, if not null, sees every byte. */
    void write(FileChannel channel, MessageDigest digest) throws IOException {
        emit(channel, ByteBuffer.wrap(header()), digest);
        for (Pending tensor : tensors.values()) {
            long[] given = {0};
            tensor.source().writeTo(piece -> {
                given[0] += piece.remaining();
                emit(channel, piece, digest);
            });
            if (given[0] != tensor.bytes()) {
                throw new IllegalStateException(
                        "tensor '" + tensor.name() + "' has " + tensor.bytes() + " bytes, and was given " + given[0]);
            }
        }
    }

    private static void emit(FileChannel channel, ByteBuffer data, MessageDigest digest) throws IOException {
        if (digest != null) {
            digest.update(data.duplicate());
        }
        while (data.hasRemaining()) {
            channel.write(data);
        }
    }
}
