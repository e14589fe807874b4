package trm.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import trm.input.Shown;

/**
 * A memory-mapped, read-only safetensors file; {@link SafeTensorsWriter} writes them.
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
 * <p>Also what {@link WeightsFile} has read from files of others: of other formats, in several parts, under other names.
 *
 * <p>Instances are immutable and may be shared between threads. The mapping is released by the garbage collector.
 */
public final class SafeTensors {
    /** Files up to this many bytes are mapped as one segment, larger ones tensor by tensor. */
    private static final long MAX_SEGMENT_BYTES = Integer.MAX_VALUE;

    /** Bytes of the parts in which a larger tensor is mapped: a multiple of every element's. */
    private static final long PART_BYTES = 1L << 30;

    /**
     * One tensor of a file.
     *
     * @param dtype F64, F32, BF16, F16, I64, I32, U8 or BOOL; any other is known by name only
     * @param offset bytes from the start of the file
     * @param bytes length in bytes
     */
    public record Entry(String name, String dtype, long[] shape, long offset, long bytes) {
        /** Number of elements. */
        public long elements() {
            long count = 1;
            for (long extent : shape) {
                count *= extent; // was checked to fit
            }
            return count;
        }
    }

    private final Path file;
    private final Map<String, Entry> entries;
    private final Map<String, String> metadata;
    private final Map<String, ByteBuffer> views;
    private final Map<String, List<ByteBuffer>> parts; // of tensors beyond a single view
    private final WeightTables tables;

    private SafeTensors(
            Path file,
            Map<String, Entry> entries,
            Map<String, String> metadata,
            Map<String, ByteBuffer> views,
            Map<String, List<ByteBuffer>> parts,
            WeightTables tables) {
        this.file = file;
        this.entries = entries;
        this.metadata = metadata;
        this.views = views;
        this.parts = parts;
        this.tables = tables;
    }

    /**
     * Maps a file and checks its header.
     *
     * @throws FormatException if the file cannot be read or breaks a rule of the format
     */
    public static SafeTensors open(Path file) {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            SafeTensorsHeader header = SafeTensorsHeader.read(file, channel);
            Map<String, ByteBuffer> views = map(channel, channel.size(), header.entries());
            Map<String, List<ByteBuffer>> parts = mapParts(channel, header.entries());
            return new SafeTensors(
                    file, header.entries(), Collections.unmodifiableMap(header.metadata()), views, parts, null);
        } catch (NoSuchFileException e) {
            throw new FormatException(file + ": no such file", e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
    }

    /** Tensors of a file, each view as large as its entry says; without one a tensor cannot be read. */
    static SafeTensors of(
            Path file,
            Map<String, Entry> entries,
            Map<String, String> metadata,
            Map<String, ByteBuffer> views,
            WeightTables tables) {
        return new SafeTensors(file, entries, Collections.unmodifiableMap(metadata), views, Map.of(), tables);
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

    private static Map<String, List<ByteBuffer>> mapParts(FileChannel channel, Map<String, Entry> entries)
            throws IOException {
        Map<String, List<ByteBuffer>> parts = new LinkedHashMap<>();
        for (Entry entry : entries.values()) {
            if (entry.bytes() > MAX_SEGMENT_BYTES) {
                List<ByteBuffer> ofTensor = new ArrayList<>();
                for (long at = 0; at < entry.bytes(); at += PART_BYTES) {
                    long count = Math.min(PART_BYTES, entry.bytes() - at);
                    ofTensor.add(channel.map(FileChannel.MapMode.READ_ONLY, entry.offset() + at, count));
                }
                parts.put(entry.name(), ofTensor);
            }
        }
        return parts;
    }

    /** The file this was read from. */
    public Path file() {
        return file;
    }

    /** Which sets of weights a file of others has; nothing for one of this program. */
    public Optional<WeightTables> tables() {
        return Optional.ofNullable(tables);
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
            throw new FormatException(file + ": has no tensor " + Shown.quoted(name) + "; it has " + entries.size()
                    + " tensors"
                    + (entries.isEmpty()
                            ? ""
                            : ", the first is "
                                    + Shown.quoted(entries.keySet().iterator().next())));
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
            throw new FormatException(file + ": tensor " + Shown.quoted(name) + " has " + entry.bytes()
                    + " bytes; a single view holds at most " + MAX_SEGMENT_BYTES);
        }
        return view.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }

    /**
     * A tensor's raw bytes, however many: read-only, little-endian views of the mapped file, one after the other, each of
     * whole elements.
     *
     * @throws FormatException if there is no such tensor
     */
    public List<ByteBuffer> parts(String name) {
        entry(name);
        List<ByteBuffer> ofTensor = parts.get(name);
        return ofTensor == null
                ? List.of(bytes(name))
                : ofTensor.stream()
                        .map(part -> part.duplicate().order(ByteOrder.LITTLE_ENDIAN))
                        .toList();
    }

    /** The elements of an F32, BF16, F16 or F64 tensor, the last rounded to float. */
    public float[] floats(String name) {
        Entry entry = entry(name);
        if (!ElementType.WEIGHTS.contains(entry.dtype())) {
            throw wrongDtype(entry, "F32, BF16, F16 or F64");
        }
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
                    values[i] = ElementType.fromHalf(data.getShort());
                }
            }
            default -> {
                for (int i = 0; i < values.length; i++) {
                    values[i] = (float) data.getDouble();
                }
            }
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
                throw new FormatException(file + ": tensor " + Shown.quoted(name) + ": element " + i + " is " + wide[i]
                        + "; expected a value of 32 bits");
            }
        }
        return values;
    }

    /** The elements of an I64, I32, U8 or BOOL tensor. */
    public long[] longs(String name) {
        Entry entry = entry(name);
        if (!List.of("I64", "I32", "U8", "BOOL").contains(entry.dtype())) {
            throw wrongDtype(entry, "I32, I64, U8 or BOOL");
        }
        ByteBuffer data = bytes(name);
        long[] values = new long[arrayLength(entry)];
        for (int i = 0; i < values.length; i++) {
            values[i] = switch (entry.dtype()) {
                case "I64" -> data.getLong();
                case "I32" -> data.getInt();
                case "U8" -> data.get() & 0xff;
                default -> data.get() != 0 ? 1 : 0;
            };
        }
        return values;
    }

    /** Whether a tensor is of a type that weights have: a counter or a mask is not. */
    public boolean mayBeWeights(String name) {
        return ElementType.WEIGHTS.contains(entry(name).dtype());
    }

    /** A tensor's raw bytes, or null if no single view holds them. */
    ByteBuffer view(String name) {
        return views.get(name);
    }

    private int arrayLength(Entry entry) {
        if (entry.elements() > Integer.MAX_VALUE - 8) {
            throw new FormatException(file + ": tensor " + Shown.quoted(entry.name()) + " has " + entry.elements()
                    + " elements; expected at most " + (Integer.MAX_VALUE - 8));
        }
        return (int) entry.elements();
    }

    private FormatException wrongDtype(Entry entry, String expected) {
        return new FormatException(
                file + ": tensor " + Shown.quoted(entry.name()) + " is " + entry.dtype() + "; expected " + expected);
    }
}
