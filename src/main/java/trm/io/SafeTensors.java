package trm.io;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.io.JsonStringEncoder;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A memory-mapped, read-only safetensors file, and the {@link Writer} of such files.
 *
 * <pre>
 *   0        8                 8 + n                                  end of file
 *   | n, u64 | JSON header, n bytes | tensor data, without gaps, little endian |
 * </pre>
 *
 * The header maps each tensor name to {@code dtype}, {@code shape} and {@code data_offsets} (bytes from the start of
 * the data), and {@code __metadata__} to a table of strings. Reading is strict: every byte of the data belongs to
 * exactly one tensor, and each tensor has as many bytes as its shape and dtype say.
 *
 * <p>Instances are immutable and may be shared between threads. The mapping is released by the garbage collector.
 */
public final class SafeTensors {
    /** Largest header accepted, bytes: the limit of the format's own library. */
    static final long MAX_HEADER_BYTES = 100_000_000L;
    /** Files up to this many bytes are mapped as one segment, larger ones tensor by tensor. */
    private static final long MAX_SEGMENT_BYTES = Integer.MAX_VALUE;

    private static final String METADATA = "__metadata__";

    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    /**
     * One tensor of a file.
     *
     * @param dtype F64, F32, BF16, F16, I64, I32, U8 or BOOL
     * @param offset bytes from the start of the file
     * @param bytes length in bytes
     */
    public record Entry(String name, String dtype, long[] shape, long offset, long bytes) {
        /** Number of elements. */
        public long elements() {
            return bytes / dtypeBytes(dtype);
        }
    }

    private final Path file;
    private final Map<String, Entry> entries;
    private final Map<String, String> metadata;
    private final Map<String, ByteBuffer> views;

    private SafeTensors(
            Path file, Map<String, Entry> entries, Map<String, String> metadata, Map<String, ByteBuffer> views) {
        this.file = file;
        this.entries = entries;
        this.metadata = metadata;
        this.views = views;
    }

    /**
     * Maps a file and checks its header.
     *
     * @throws FormatException if the file cannot be read or breaks a rule of the format
     */
    public static SafeTensors open(Path file) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            long size = channel.size();
            byte[] header = readHeader(file, channel, size);
            Map<String, String> metadata = new LinkedHashMap<>();
            Map<String, Entry> entries = parse(file, header, size, metadata);
            Map<String, ByteBuffer> views = map(channel, size, entries);
            return new SafeTensors(file, entries, Collections.unmodifiableMap(metadata), views);
        } catch (NoSuchFileException e) {
            throw new FormatException(file + ": no such file", e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + reason(e), e);
        }
    }

    private static byte[] readHeader(Path file, FileChannel channel, long size) throws IOException {
        if (size < 8) {
            throw new FormatException(file + ": has " + size + " bytes, too short for a safetensors file; "
                    + "expected an 8-byte header length");
        }
        ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        readFully(file, channel, length, 0);
        long n = length.getLong(0);
        if (n < 0 || n > MAX_HEADER_BYTES) {
            throw new FormatException(file + ": header length is " + Long.toUnsignedString(n)
                    + " bytes; expected at most " + MAX_HEADER_BYTES + ": not a safetensors file?");
        }
        if (n > size - 8) {
            throw new FormatException(file + ": header length is " + n + " bytes, but only " + (size - 8)
                    + " follow: the file is cut short or not a safetensors file");
        }
        ByteBuffer header = ByteBuffer.allocate((int) n);
        readFully(file, channel, header, 8);
        return header.array();
    }

    private static void readFully(Path file, FileChannel channel, ByteBuffer into, long at) throws IOException {
        long position = at;
        while (into.hasRemaining()) {
            int got = channel.read(into, position);
            if (got < 0) {
                throw new FormatException(file + ": ended at byte " + position + " while being read");
            }
            position += got;
        }
    }

    private static Map<String, Entry> parse(Path file, byte[] header, long size, Map<String, String> metadata)
            throws IOException {
        if (header.length == 0 || header[0] != '{') {
            throw new FormatException(file + ": header does not begin with '{': not a safetensors file?");
        }
        JsonNode root;
        try {
            root = JSON.readTree(header);
        } catch (JsonProcessingException e) {
            throw new FormatException(file + ": header is not valid JSON: " + e.getOriginalMessage(), e);
        }
        long dataStart = 8L + header.length;
        Map<String, Entry> entries = new LinkedHashMap<>();
        for (Iterator<Map.Entry<String, JsonNode>> it = root.fields(); it.hasNext(); ) {
            Map.Entry<String, JsonNode> field = it.next();
            if (field.getKey().equals(METADATA)) {
                readMetadata(file, field.getValue(), metadata);
            } else {
                entries.put(field.getKey(), readEntry(file, field.getKey(), field.getValue(), dataStart, size));
            }
        }
        checkCover(file, entries, dataStart, size);
        return entries;
    }

    private static void readMetadata(Path file, JsonNode node, Map<String, String> into) {
        if (!node.isObject()) {
            throw new FormatException(file + ": __metadata__ is " + brief(node) + "; expected a table of strings");
        }
        node.fields().forEachRemaining(field -> {
            if (!field.getValue().isTextual()) {
                throw new FormatException(file + ": __metadata__ key '" + field.getKey() + "' is "
                        + brief(field.getValue()) + "; expected a string");
            }
            into.put(field.getKey(), field.getValue().textValue());
        });
    }

    private static Entry readEntry(Path file, String name, JsonNode node, long dataStart, long size) {
        String where = file + ": tensor '" + name + "': ";
        if (!node.isObject()) {
            throw new FormatException(where + "is " + brief(node) + "; expected an object");
        }
        node.fieldNames().forEachRemaining(key -> {
            if (!List.of("dtype", "shape", "data_offsets").contains(key)) {
                throw new FormatException(where + "unknown key '" + key + "'; expected dtype, shape, data_offsets");
            }
        });
        JsonNode dtypeNode = node.path("dtype");
        if (!dtypeNode.isTextual() || dtypeBytes(dtypeNode.textValue()) == 0) {
            throw new FormatException(where + "dtype is " + brief(dtypeNode)
                    + "; expected one of F64, F32, BF16, F16, I64, I32, U8, BOOL");
        }
        String dtype = dtypeNode.textValue();
        long[] shape = integers(where, "shape", node.path("shape"), -1);
        long[] offsets = integers(where, "data_offsets", node.path("data_offsets"), 2);
        long available = size - dataStart;
        if (offsets[0] > offsets[1]) {
            throw new FormatException(where + "data_offsets " + Arrays.toString(offsets) + " end before they begin");
        }
        if (offsets[1] > available) {
            throw new FormatException(where + "data_offsets " + Arrays.toString(offsets)
                    + " reach outside the file, which has " + available + " bytes of data");
        }
        long bytes = byteCount(where, dtype, shape);
        if (offsets[1] - offsets[0] != bytes) {
            throw new FormatException(where + "data_offsets " + Arrays.toString(offsets) + " hold "
                    + (offsets[1] - offsets[0]) + " bytes; expected " + bytes + " for " + dtype + " "
                    + Arrays.toString(shape));
        }
        return new Entry(name, dtype, shape, dataStart + offsets[0], bytes);
    }

    private static long[] integers(String where, String key, JsonNode node, int count) {
        boolean good = node.isArray() && (count < 0 || node.size() == count);
        for (int i = 0; good && i < node.size(); i++) {
            JsonNode value = node.get(i);
            good = value.isIntegralNumber() && value.canConvertToLong() && value.longValue() >= 0;
        }
        if (!good) {
            throw new FormatException(where + key + " is " + brief(node) + "; expected a list of "
                    + (count < 0 ? "" : count + " ") + "non-negative integers");
        }
        long[] values = new long[node.size()];
        Arrays.setAll(values, i -> node.get(i).longValue());
        return values;
    }

    private static long byteCount(String where, String dtype, long[] shape) {
        long bytes = dtypeBytes(dtype);
        boolean empty = Arrays.stream(shape).anyMatch(extent -> extent == 0);
        try {
            for (long extent : shape) {
                bytes = Math.multiplyExact(bytes, empty ? Math.min(extent, 1) : extent);
            }
        } catch (ArithmeticException e) {
            throw new FormatException(where + "shape " + Arrays.toString(shape) + " is too large", e);
        }
        return bytes;
    }

    /** The tensors must cover the data from first to last byte, each byte once. */
    private static void checkCover(Path file, Map<String, Entry> entries, long dataStart, long size) {
        List<Entry> sorted = new ArrayList<>(entries.values());
        sorted.sort(Comparator.comparingLong(Entry::offset).thenComparingLong(Entry::bytes));
        long end = dataStart;
        String previous = null;
        for (Entry entry : sorted) {
            if (entry.offset() < end) {
                throw new FormatException(file + ": tensor '" + entry.name() + "' overlaps tensor '" + previous
                        + "': begins at byte " + (entry.offset() - dataStart) + " of the data; expected "
                        + (end - dataStart));
            }
            if (entry.offset() > end) {
                throw new FormatException(file + ": tensor '" + entry.name() + "' begins at byte "
                        + (entry.offset() - dataStart) + " of the data; expected " + (end - dataStart)
                        + ": the bytes between belong to no tensor");
            }
            end = entry.offset() + entry.bytes();
            previous = entry.name();
        }
        if (end != size) {
            throw new FormatException(
                    file + ": has " + (size - dataStart) + " bytes of data; its tensors hold " + (end - dataStart));
        }
    }

    private static Map<String, ByteBuffer> map(FileChannel channel, long size, Map<String, Entry> entries)
            throws IOException {
        Map<String, ByteBuffer> views = new LinkedHashMap<>();
        ByteBuffer whole = size <= MAX_SEGMENT_BYTES ? channel.map(FileChannel.MapMode.READ_ONLY, 0, size) : null;
        for (Entry entry : entries.values()) {
            if (whole != null) {
                views.put(entry.name(), whole.slice((int) entry.offset(), (int) entry.bytes()));
            } else if (entry.bytes() <= MAX_SEGMENT_BYTES) {
                views.put(entry.name(), channel.map(FileChannel.MapMode.READ_ONLY, entry.offset(), entry.bytes()));
            }
        }
        return views;
    }

    /** The file this was read from. */
    public Path file() {
        return file;
    }

    /** Tensor names in the order of the header. */
    public List<String> names() {
        return List.copyOf(entries.keySet());
    }

    public boolean contains(String name) {
        return entries.containsKey(name);
    }

    /**
     * Where and what a tensor is.
     *
     * @throws FormatException if the file has no tensor of this name
     */
    public Entry entry(String name) {
        Entry entry = entries.get(name);
        if (entry == null) {
            throw new FormatException(file + ": has no tensor '" + name + "'; it has " + entries.size() + " tensors"
                    + (entries.isEmpty()
                            ? ""
                            : ", the first is '" + entries.keySet().iterator().next() + "'"));
        }
        return entry;
    }

    /** The strings of {@code __metadata__}, in file order; empty if there are none. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /**
     * A tensor's raw bytes: a read-only, little-endian view of the mapped file, position 0.
     *
     * @throws FormatException if there is no such tensor, or it is larger than 2 GB
     */
    public ByteBuffer bytes(String name) {
        Entry entry = entry(name);
        ByteBuffer view = views.get(name);
        if (view == null) {
            throw new FormatException(file + ": tensor '" + name + "' has " + entry.bytes()
                    + " bytes; a single view holds at most " + MAX_SEGMENT_BYTES);
        }
        return view.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }

    /** The elements of an F32, BF16, F16 or F64 tensor, the last rounded to float. */
    public float[] floats(String name) {
        Entry entry = entry(name);
        ByteBuffer data = bytes(name);
        float[] values = new float[arrayLength(entry)];
        switch (entry.dtype()) {
            case "F32" -> data.asFloatBuffer().get(values);
            case "BF16" -> {
                for (int i = 0; i < values.length; i++) {
                    values[i] = Float.intBitsToFloat(data.getShort() << 16);
                }
            }
            case "F16" -> {
                for (int i = 0; i < values.length; i++) {
                    values[i] = halfToFloat(data.getShort());
                }
            }
            case "F64" -> {
                for (int i = 0; i < values.length; i++) {
                    values[i] = (float) data.getDouble();
                }
            }
            default -> throw wrongDtype(entry, "F32, BF16, F16 or F64");
        }
        return values;
    }

    /** The elements of an F64, F32, BF16 or F16 tensor, exactly. */
    public double[] doubles(String name) {
        Entry entry = entry(name);
        double[] values = new double[arrayLength(entry)];
        if (entry.dtype().equals("F64")) {
            bytes(name).asDoubleBuffer().get(values);
            return values;
        }
        float[] narrow = floats(name);
        Arrays.setAll(values, i -> narrow[i]);
        return values;
    }

    /**
     * The elements of an I32, I64, U8 or BOOL tensor.
     *
     * @throws FormatException also if an I64 element does not fit into an int
     */
    public int[] ints(String name) {
        long[] wide = longs(name);
        int[] values = new int[wide.length];
        for (int i = 0; i < wide.length; i++) {
            values[i] = (int) wide[i];
            if (values[i] != wide[i]) {
                throw new FormatException(file + ": tensor '" + name + "': element " + i + " is " + wide[i]
                        + "; expected a value of 32 bits");
            }
        }
        return values;
    }

    /** The elements of an I64, I32, U8 or BOOL tensor. */
    public long[] longs(String name) {
        Entry entry = entry(name);
        ByteBuffer data = bytes(name);
        long[] values = new long[arrayLength(entry)];
        for (int i = 0; i < values.length; i++) {
            values[i] = switch (entry.dtype()) {
                case "I64" -> data.getLong();
                case "I32" -> data.getInt();
                case "U8" -> data.get() & 0xff;
                case "BOOL" -> data.get() != 0 ? 1 : 0;
                default -> throw wrongDtype(entry, "I32, I64, U8 or BOOL");
            };
        }
        if (values.length == 0 && !List.of("I64", "I32", "U8", "BOOL").contains(entry.dtype())) {
            throw wrongDtype(entry, "I32, I64, U8 or BOOL");
        }
        return values;
    }

    private int arrayLength(Entry entry) {
        if (entry.elements() > Integer.MAX_VALUE - 8) {
            throw new FormatException(file + ": tensor '" + entry.name() + "' has " + entry.elements()
                    + " elements; expected at most " + (Integer.MAX_VALUE - 8));
        }
        return (int) entry.elements();
    }

    private FormatException wrongDtype(Entry entry, String expected) {
        return new FormatException(
                file + ": tensor '" + entry.name() + "' is " + entry.dtype() + "; expected " + expected);
    }

    /** Bytes per element, 0 for an unknown dtype. */
    static int dtypeBytes(String dtype) {
        return switch (dtype) {
            case "F64", "I64" -> 8;
            case "F32", "I32" -> 4;
            case "BF16", "F16" -> 2;
            case "U8", "BOOL" -> 1;
            default -> 0;
        };
    }

    private static float halfToFloat(short bits) {
        int sign = (bits & 0x8000) << 16;
        int exponent = bits >> 10 & 0x1f;
        int fraction = bits & 0x3ff;
        if (exponent == 0) {
            float magnitude = fraction * 0x1p-24f;
            return sign == 0 ? magnitude : -magnitude;
        }
        int wide = exponent == 31 ? 0xff : exponent + 112;
        return Float.intBitsToFloat(sign | wide << 23 | fraction << 13);
    }

    /** Nearest bfloat16, ties to even; a NaN stays a NaN. */
    private static short floatToBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    private static String brief(JsonNode node) {
        String text = node.isMissingNode() ? "missing" : node.toString();
        return text.length() <= 80 ? text : text.substring(0, 77) + "...";
    }

    /** What went wrong, in words: the system's reason without the file name the caller already gives. */
    static String reason(IOException e) {
        if (e instanceof java.nio.file.AccessDeniedException) {
            return "permission denied";
        }
        if (e instanceof java.nio.file.FileSystemException f && f.getReason() != null) {
            return f.getReason();
        }
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }

    /**
     * Collects tensors and writes them in the order added. The same calls give the same bytes. Arrays and buffers are
     * not copied: they must stay as they are until the file is written. For one thread.
     */
    public static final class Writer {
        private static final int CHUNK_BYTES = 1 << 20;

        /** Puts elements {@code from} to {@code to} of a tensor into a little-endian buffer. */
        private interface Source {
            void put(ByteBuffer into, int from, int to);
        }

        private record Pending(String name, String dtype, long[] shape, int elements, Source source) {}

        private final Map<String, Pending> tensors = new LinkedHashMap<>();
        private final Map<String, String> metadata = new LinkedHashMap<>();

        /** Adds a string to {@code __metadata__}; a key given twice keeps its place and takes the new value. */
        public Writer metadata(String key, String value) {
            metadata.put(key, value);
            return this;
        }

        /** Adds raw little-endian bytes, from the buffer's position to its limit, of any dtype. */
        public Writer add(String name, String dtype, long[] shape, ByteBuffer data) {
            ByteBuffer raw = data.duplicate();
            int width = Math.max(1, dtypeBytes(dtype));
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
        public Writer add(String name, String dtype, long[] shape, float[] data) {
            return add(name, dtype, shape, data.length, "F32 BF16 F64", (into, from, to) -> {
                for (int i = from; i < to; i++) {
                    switch (dtype) {
                        case "F32" -> into.putFloat(data[i]);
                        case "BF16" -> into.putShort(floatToBfloat16(data[i]));
                        default -> into.putDouble(data[i]);
                    }
                }
            });
        }

        /** Adds doubles as F64, or rounded to F32. */
        public Writer add(String name, String dtype, long[] shape, double[] data) {
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
        public Writer add(String name, String dtype, long[] shape, int[] data) {
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
        public Writer add(String name, String dtype, long[] shape, long[] data) {
            return add(name, dtype, shape, data.length, "I64", (into, from, to) -> {
                for (int i = from; i < to; i++) {
                    into.putLong(data[i]);
                }
            });
        }

        private Writer add(String name, String dtype, long[] shape, int elements, String allowed, Source source) {
            if (!List.of(allowed.split(" ")).contains(dtype)) {
                throw new IllegalArgumentException(
                        "tensor '" + name + "': dtype is " + dtype + "; expected one of " + allowed);
            }
            long expected = 1;
            for (long extent : shape) {
                expected = Math.multiplyExact(expected, extent);
            }
            if (expected != elements) {
                throw new IllegalArgumentException("tensor '" + name + "': shape " + Arrays.toString(shape) + " has "
                        + expected + " elements, the data " + elements);
            }
            if (name.equals(METADATA)
                    || tensors.putIfAbsent(name, new Pending(name, dtype, shape.clone(), elements, source)) != null) {
                throw new IllegalArgumentException("tensor '" + name + "' is already there");
            }
            return this;
        }

        /**
         * Writes the file under a temporary name beside it, then renames: readers see the old file or the new one.
         *
         * @throws FormatException if writing fails; the temporary file is removed and an older file is left as it was
         */
        public void writeTo(Path file) {
            Path temporary = file.resolveSibling("." + file.getFileName() + ".tmp");
            try {
                try (FileChannel channel = FileChannel.open(
                        temporary,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.WRITE)) {
                    write(channel, null);
                    channel.force(true);
                }
                Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } catch (IOException e) {
                try {
                    Files.deleteIfExists(temporary);
                } catch (IOException ignored) {
                    e.addSuppressed(ignored);
                }
                throw new FormatException(file + ": cannot be written: " + reason(e), e);
            }
        }

        /** The header as written, length field included, padded with spaces to a multiple of 8 bytes. */
        private byte[] header() {
            StringBuilder json = new StringBuilder("{");
            if (!metadata.isEmpty()) {
                json.append('"').append(METADATA).append("\":{");
                String separator = "";
                for (Map.Entry<String, String> item : metadata.entrySet()) {
                    json.append(separator)
                            .append(quoted(item.getKey()))
                            .append(':')
                            .append(quoted(item.getValue()));
                    separator = ",";
                }
                json.append('}');
            }
            long offset = 0;
            for (Pending tensor : tensors.values()) {
                long end = offset + (long) tensor.elements() * dtypeBytes(tensor.dtype());
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
            ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES).order(ByteOrder.LITTLE_ENDIAN);
            for (Pending tensor : tensors.values()) {
                int step = CHUNK_BYTES / dtypeBytes(tensor.dtype());
                for (long from = 0; from < tensor.elements(); from += step) {
                    chunk.clear();
                    tensor.source().put(chunk, (int) from, (int) Math.min(tensor.elements(), from + step));
                    emit(channel, chunk.flip(), digest);
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
}
