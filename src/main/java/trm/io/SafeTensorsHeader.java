package trm.io;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.io.SafeTensors.Entry;

/**
 * The header of a safetensors file, checked against every rule of the format.
 *
 * @param entries the tensors in the order of the header
 * @param metadata the strings of {@code __metadata__} in file order
 */
record SafeTensorsHeader(Map<String, Entry> entries, Map<String, String> metadata) {
    /** Key of the table of strings. */
    static final String METADATA = "__metadata__";

    /** Largest header accepted, bytes: the limit of the format's own library. */
    static final long MAX_BYTES = 100_000_000L;

    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    /**
     * Reads and checks the header.
     *
     * @param file for messages
     * @throws FormatException if it breaks a rule
     */
    static SafeTensorsHeader read(Path file, FileChannel channel) throws IOException {
        long size = channel.size();
        return parse(file, bytes(file, channel, size), size);
    }

    private static byte[] bytes(Path file, FileChannel channel, long size) throws IOException {
        if (size < 8) {
            throw new FormatException(file + ": has " + size + " bytes, too short for a safetensors file; "
                    + "expected an 8-byte header length");
        }
        ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        readFully(file, channel, length, 0);
        long n = length.getLong(0);
        if (n < 0 || n > MAX_BYTES) {
            throw new FormatException(file + ": header length is " + Long.toUnsignedString(n)
                    + " bytes; expected at most " + MAX_BYTES + ": not a safetensors file?");
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

    private static SafeTensorsHeader parse(Path file, byte[] header, long size) throws IOException {
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
        Map<String, String> metadata = new LinkedHashMap<>();
        for (Iterator<Map.Entry<String, JsonNode>> it = root.properties().iterator(); it.hasNext(); ) {
            Map.Entry<String, JsonNode> field = it.next();
            if (field.getKey().equals(METADATA)) {
                readMetadata(file, field.getValue(), metadata);
            } else {
                entries.put(field.getKey(), readEntry(file, field.getKey(), field.getValue(), dataStart, size));
            }
        }
        checkCover(file, entries, dataStart, size);
        return new SafeTensorsHeader(entries, metadata);
    }

    private static void readMetadata(Path file, JsonNode node, Map<String, String> into) {
        if (!node.isObject()) {
            throw new FormatException(file + ": __metadata__ is " + brief(node) + "; expected a table of strings");
        }
        node.properties().forEach(field -> {
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
        if (!dtypeNode.isTextual() || ElementType.bytes(dtypeNode.textValue()) == 0) {
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
        long bytes = ElementType.bytes(dtype);
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

    private static String brief(JsonNode node) {
        String text = node.isMissingNode() ? "missing" : node.toString();
        return text.length() <= 80 ? text : text.substring(0, 77) + "...";
    }
}
