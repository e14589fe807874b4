package trm.train;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.io.CheckpointStore;
import trm.io.SafeTensors;

/** A checkpoint whose content is changed and whose checksum holds: what a faulty tool or a stranger may hand over. */
final class ForgedCheckpoint {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String NO_DIGEST = "0".repeat(64);

    private record Item(String dtype, long[] shape, byte[] bytes) {}

    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final Map<String, Item> tensors = new LinkedHashMap<>();

    private ForgedCheckpoint() {}

    static ForgedCheckpoint of(SafeTensors file) {
        ForgedCheckpoint forged = new ForgedCheckpoint();
        forged.metadata.putAll(file.metadata());
        for (String name : file.names()) {
            SafeTensors.Entry e = file.entry(name);
            byte[] bytes = new byte[(int) e.bytes()];
            file.bytes(name).get(bytes);
            forged.tensors.put(name, new Item(e.dtype(), e.shape(), bytes));
        }
        return forged;
    }

    ForgedCheckpoint copy() {
        ForgedCheckpoint copy = new ForgedCheckpoint();
        copy.metadata.putAll(metadata);
        copy.tensors.putAll(tensors);
        return copy;
    }

    List<String> names() {
        return List.copyOf(tensors.keySet());
    }

    List<String> keys() {
        return metadata.keySet().stream()
                .filter(key -> !key.equals(CheckpointStore.CHECKSUM))
                .toList();
    }

    String dtype(String name) {
        return tensors.get(name).dtype;
    }

    long[] shape(String name) {
        return tensors.get(name).shape;
    }

    byte[] bytes(String name) {
        return tensors.get(name).bytes;
    }

    String metadata(String key) {
        return metadata.get(key);
    }

    /** @param value null removes the entry */
    ForgedCheckpoint metadata(String key, String value) {
        metadata.remove(key);
        if (value != null) {
            metadata.put(key, value);
        }
        return this;
    }

    ForgedCheckpoint remove(String name) {
        tensors.remove(name);
        return this;
    }

    ForgedCheckpoint put(String name, String dtype, long[] shape, byte[] bytes) {
        tensors.put(name, new Item(dtype, shape, bytes));
        return this;
    }

    /** Sets one element, the last if {@code index} is -1. */
    ForgedCheckpoint set(String name, int index, Number value) {
        Item item = tensors.get(name);
        ByteBuffer bytes = ByteBuffer.wrap(item.bytes.clone()).order(ByteOrder.LITTLE_ENDIAN);
        int width = item.dtype.endsWith("64") ? 8 : 4;
        int at = width * (index < 0 ? bytes.capacity() / width - 1 : index);
        switch (item.dtype) {
            case "I32" -> bytes.putInt(at, value.intValue());
            case "I64" -> bytes.putLong(at, value.longValue());
            case "F32" -> bytes.putFloat(at, value.floatValue());
            case "F64" -> bytes.putDouble(at, value.doubleValue());
            default -> throw new AssertionError(item.dtype);
        }
        return put(name, item.dtype, item.shape, bytes.array());
    }

    /** Sets every element of an int tensor. */
    ForgedCheckpoint fill(String name, int value) {
        Item item = tensors.get(name);
        ByteBuffer bytes = ByteBuffer.allocate(item.bytes.length).order(ByteOrder.LITTLE_ENDIAN);
        while (bytes.hasRemaining()) {
            bytes.putInt(value);
        }
        return put(name, item.dtype, item.shape, bytes.array());
    }

    void writeTo(Path file) throws IOException {
        ObjectNode header = JSON.createObjectNode();
        ObjectNode strings = header.putObject("__metadata__");
        strings.put(CheckpointStore.CHECKSUM, NO_DIGEST);
        metadata.forEach((key, value) -> {
            if (!key.equals(CheckpointStore.CHECKSUM)) {
                strings.put(key, value);
            }
        });
        ByteArrayOutputStream data = new ByteArrayOutputStream();
        tensors.forEach((name, item) -> {
            ObjectNode entry = header.putObject(name);
            entry.put("dtype", item.dtype);
            Arrays.stream(item.shape).forEach(entry.putArray("shape")::add);
            entry.putArray("data_offsets").add(data.size()).add(data.size() + item.bytes.length);
            data.writeBytes(item.bytes);
        });
        byte[] text = JSON.writeValueAsBytes(header);
        byte[] whole = ByteBuffer.allocate(8 + text.length + data.size())
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(text.length)
                .put(text)
                .put(data.toByteArray())
                .array();
        int at = 8 + new String(text, StandardCharsets.ISO_8859_1).indexOf(NO_DIGEST);
        byte[] digest = HexFormat.of().formatHex(sha256(whole)).getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(digest, 0, whole, at, digest.length);
        Files.write(file, whole);
    }

    private static byte[] sha256(byte[] bytes) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(bytes);
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }
}
