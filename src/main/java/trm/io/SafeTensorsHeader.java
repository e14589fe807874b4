package trm.io;

import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.input.Shown;
import trm.io.SafeTensors.Entry;

/**
 * The header of a safetensors file, checked against every rule of the format. It is read as a stream: a header of any content
 * makes no more than its tensors.
 *
 * @param entries the tensors in the order of the header
 * @param metadata the strings of {@code __metadata__} in file order
 */
record SafeTensorsHeader(Map<String, Entry> entries, Map<String, String> metadata) {
    /** Key of the table of strings. */
    static final String METADATA = "__metadata__";

    /** Largest header accepted, bytes: the limit of the format's own library. */
    static final long MAX_BYTES = 100_000_000L;

    private static final int MAX_TENSORS = 200_000;
    private static final int MAX_AXES = 64;

    /** Strings of the metadata together, characters. */
    private static final long MAX_METADATA = 16L << 20;

    /**
     * Reads and checks the header.
     *
     * @param file for messages
     * @throws FormatException if it breaks a rule
     */
    static SafeTensorsHeader read(Path file, FileChannel channel) throws IOException {
        long size = channel.size();
        long n = length(file, channel, size);
        ByteBuffer header = channel.map(FileChannel.MapMode.READ_ONLY, 8, n);
        return new Reader(file, 8 + n, size).read(header);
    }

    /** Whether a file begins as one of this format does: a length that it can have, then a brace. */
    static boolean isPlausible(ByteBuffer start, long size) {
        long n =
                start.remaining() < 9 ? 0 : start.order(ByteOrder.LITTLE_ENDIAN).getLong(0);
        return n > 0 && n <= size - 8 && n <= MAX_BYTES && start.get(8) == '{';
    }

    private static long length(Path file, FileChannel channel, long size) throws IOException {
        if (size < 8) {
            throw new FormatException(file + ": has " + size + " bytes, too short for a safetensors file; "
                    + "expected an 8-byte header length");
        }
        ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        while (length.hasRemaining() && channel.read(length, length.position()) >= 0) {
            continue;
        }
        long n = length.getLong(0);
        if (n < 0 || n > MAX_BYTES) {
            throw new FormatException(file + ": header length is " + Long.toUnsignedString(n)
                    + " bytes; expected at most " + MAX_BYTES + ": not a safetensors file?");
        }
        if (n > size - 8) {
            throw new FormatException(file + ": header length is " + n + " bytes, but only " + (size - 8)
                    + " follow: the file is cut short or not a safetensors file");
        }
        return n;
    }

    /** Reads one header. */
    private static final class Reader {
        private final Path file;
        private final long dataStart;
        private final long size;
        private final Map<String, Entry> entries = new LinkedHashMap<>();
        private final Map<String, String> metadata = new LinkedHashMap<>();
        private long metadataLength;

        private Reader(Path file, long dataStart, long size) {
            this.file = file;
            this.dataStart = dataStart;
            this.size = size;
        }

        private SafeTensorsHeader read(ByteBuffer header) throws IOException {
            if (header.remaining() == 0 || header.get(0) != '{') {
                throw new FormatException(file + ": header does not begin with '{': not a safetensors file?");
            }
            try (JsonStream json = new JsonStream(file + ": header", header)) {
                json.next();
                for (String key = json.nextKey(); key != null; key = json.nextKey()) {
                    json.next();
                    if (key.equals(METADATA)) {
                        readMetadata(json);
                    } else {
                        if (entries.size() == MAX_TENSORS) {
                            throw new FormatException(file + ": has more than " + MAX_TENSORS + " tensors");
                        }
                        entries.put(key, readEntry(key, json));
                    }
                }
                json.end();
            }
            checkCover();
            return new SafeTensorsHeader(entries, metadata);
        }

        private void readMetadata(JsonStream json) {
            if (json.token() != JsonToken.START_OBJECT) {
                throw new FormatException(file + ": __metadata__ is " + json.shown() + "; expected a table of strings");
            }
            for (String key = json.nextKey(); key != null; key = json.nextKey()) {
                if (json.next() != JsonToken.VALUE_STRING) {
                    throw new FormatException(file + ": __metadata__ key " + Shown.quoted(key) + " is " + json.shown()
                            + "; expected a string");
                }
                String value = json.text();
                metadataLength += 50 + key.length() + value.length();
                if (metadataLength > MAX_METADATA) {
                    throw new FormatException(file + ": __metadata__ has more than " + MAX_METADATA + " characters");
                }
                metadata.put(key, value);
            }
        }

        private Entry readEntry(String name, JsonStream json) {
            String where = file + ": tensor " + Shown.quoted(name) + ": ";
            if (json.token() != JsonToken.START_OBJECT) {
                throw new FormatException(where + "is " + json.shown() + "; expected an object");
            }
            String dtype = null;
            long[] shape = null;
            long[] offsets = null;
            for (String key = json.nextKey(); key != null; key = json.nextKey()) {
                json.next();
                switch (key) {
                    case "dtype" -> dtype = dtype(where, json);
                    case "shape" -> shape = integers(where, key, json, -1);
                    case "data_offsets" -> offsets = integers(where, key, json, 2);
                    default ->
                        throw new FormatException(
                                where + "unknown key " + Shown.quoted(key) + "; expected dtype, shape, data_offsets");
                }
            }
            if (dtype == null || shape == null || offsets == null) {
                throw new FormatException(
                        where + (dtype == null ? "dtype" : shape == null ? "shape" : "data_offsets") + " is missing");
            }
            long available = size - dataStart;
            if (offsets[0] > offsets[1]) {
                throw new FormatException(
                        where + "data_offsets " + Arrays.toString(offsets) + " end before they begin");
            }
            if (offsets[1] > available) {
                throw new FormatException(where + "data_offsets " + Arrays.toString(offsets)
                        + " reach outside the file, which has " + available + " bytes of data");
            }
            long bytes = byteCount(where, dtype, shape);
            if (ElementType.bytes(dtype) > 0 && offsets[1] - offsets[0] != bytes) {
                throw new FormatException(where + "data_offsets " + Arrays.toString(offsets) + " hold "
                        + (offsets[1] - offsets[0]) + " bytes; expected " + bytes + " for " + dtype + " "
                        + Arrays.toString(shape));
            }
            return new Entry(name, dtype, shape, dataStart + offsets[0], offsets[1] - offsets[0]);
        }

        private static String dtype(String where, JsonStream json) {
            String dtype = json.token() == JsonToken.VALUE_STRING ? json.text() : "";
            if (dtype.isEmpty() || dtype.length() > 16) {
                throw new FormatException(where + "dtype is " + json.shown() + "; expected a name such as F32 or BF16");
            }
            return dtype;
        }

        private static long[] integers(String where, String key, JsonStream json, int count) {
            String expected = "; expected a list of " + (count < 0 ? "" : count + " ") + "non-negative integers";
            if (json.token() != JsonToken.START_ARRAY) {
                throw new FormatException(where + key + " is " + json.shown() + expected);
            }
            List<Long> values = new ArrayList<>();
            while (json.next() != JsonToken.END_ARRAY) {
                long value = json.natural();
                if (value < 0) {
                    throw new FormatException(where + key + " has the element " + json.shown() + expected);
                }
                if (values.size() == MAX_AXES) {
                    throw new FormatException(where + key + " has more than " + MAX_AXES + " elements");
                }
                values.add(value);
            }
            if (count >= 0 && values.size() != count) {
                throw new FormatException(where + key + " is " + values + expected);
            }
            return values.stream().mapToLong(Long::longValue).toArray();
        }

        private static long byteCount(String where, String dtype, long[] shape) {
            long bytes = Math.max(1, ElementType.bytes(dtype));
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
        private void checkCover() {
            List<Entry> sorted = new ArrayList<>(entries.values());
            sorted.sort(Comparator.comparingLong(Entry::offset).thenComparingLong(Entry::bytes));
            long end = dataStart;
            String previous = null;
            for (Entry entry : sorted) {
                String what = file + ": tensor " + Shown.quoted(entry.name());
                if (entry.offset() < end) {
                    throw new FormatException(what + " overlaps tensor " + Shown.quoted(previous)
                            + ": begins at byte " + (entry.offset() - dataStart) + " of the data; expected "
                            + (end - dataStart));
                }
                if (entry.offset() > end) {
                    throw new FormatException(
                            what + " begins at byte " + (entry.offset() - dataStart) + " of the data; expected "
                                    + (end - dataStart) + ": the bytes between belong to no tensor");
                }
                end = entry.offset() + entry.bytes();
                previous = entry.name();
            }
            if (end != size) {
                throw new FormatException(
                        file + ": has " + (size - dataStart) + " bytes of data; its tensors hold " + (end - dataStart));
            }
        }
    }
}
