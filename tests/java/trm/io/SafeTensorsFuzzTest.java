package trm.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.Fuzz;

/** Safetensors files and indexes of them, mutated, and headers that were made to take all memory or time. */
@Tag("fuzz")
class SafeTensorsFuzzTest {
    private static final List<String> WORDS = List.of(
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "{}",
            "[]",
            "null",
            "true",
            "\"dtype\":",
            "\"shape\":",
            "\"data_offsets\":",
            "\"F32\"",
            "\"BF16\"",
            "\"F8_E4M3\"",
            "\"F4\"",
            "\"__metadata__\":{\"config\":\"a: 1\"},",
            "\\u0000",
            "\\u001b",
            "model.inner.lm_head.weight",
            "module.",
            "_orig_mod.",
            "ema.",
            "\"weight_map\":",
            "a.safetensors");

    @TempDir(factory = InMemory.class)
    private Path temp;

    private byte[] file(String prefix) throws IOException {
        Path file = temp.resolve("seed.safetensors");
        new SafeTensorsWriter()
                .metadata("format", "pt")
                .add(prefix + "lm_head.weight", "F32", new long[] {2, 3}, new float[6])
                .add(prefix + "H_init", "BF16", new long[] {2}, new float[2])
                .add("ema." + prefix + "lm_head.weight", "F32", new long[] {2, 3}, new float[6])
                .add("steps", "I64", new long[] {}, new long[] {1})
                .writeTo(file);
        return Files.readAllBytes(file);
    }

    private static void readAll(SafeTensors tensors) {
        for (String name : tensors.names()) {
            if (tensors.mayBeWeights(name)) {
                assertEquals(tensors.entry(name).elements(), tensors.floats(name).length);
            }
        }
    }

    @Test
    void files() throws IOException {
        Path file = temp.resolve("fuzz.safetensors");
        Fuzz.run("safetensors", List.of(file("model.inner."), file("module.model.inner."), file("")), WORDS, input -> {
            Files.write(file, input);
            readAll(WeightsFile.open(file));
        });
    }

    /** The length of the header kept right, so that mutations reach what is behind it. */
    @Test
    void headers() throws IOException {
        List<byte[]> headers = new ArrayList<>();
        for (byte[] file : List.of(file("model.inner."), file("module."))) {
            int n = (int) ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong(0);
            headers.add(Arrays.copyOfRange(file, 8, 8 + n));
        }
        Path file = temp.resolve("fuzz.safetensors");
        Fuzz.run("safetensors-header", headers, WORDS, input -> {
            Files.write(file, file(input, 60));
            readAll(WeightsFile.open(file));
        });
    }

    @Test
    void indexes() throws IOException {
        Files.write(temp.resolve("a.safetensors"), file("model.inner."));
        String index =
                "{\"metadata\":{\"total_size\":64},\"weight_map\":{\"model.inner.lm_head.weight\":\"a.safetensors\","
                        + "\"model.inner.H_init\":\"a.safetensors\"}}";
        Path file = temp.resolve("model.safetensors.index.json");
        List<byte[]> seeds =
                List.of(index.getBytes(StandardCharsets.UTF_8), "{\"weight_map\":{}}".getBytes(StandardCharsets.UTF_8));
        Fuzz.run("safetensors-index", seeds, WORDS, input -> {
            Files.write(file, input);
            readAll(WeightsFile.open(file));
        });
    }

    private static byte[] file(byte[] header, int data) {
        return ByteBuffer.allocate(8 + header.length + data)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(header.length)
                .put(header)
                .array();
    }

    private void assertRefused(String header, String... parts) throws IOException {
        Path file = Files.write(temp.resolve("harm.safetensors"), file(header.getBytes(StandardCharsets.UTF_8), 4));
        String message = assertThrows(FormatException.class, () -> SafeTensors.open(file))
                .getMessage();
        assertTrue(message.length() < 2100, "length " + message.length());
        for (String part : parts) {
            assertTrue(message.contains(part), () -> "no '" + part + "' in: " + message);
        }
    }

    /** Headers that grow in memory to many times their size. */
    @Test
    void amplification() throws IOException {
        String dots = "\"data_offsets\":[0,4]}}";
        assertRefused(
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[" + "1,".repeat(20_000) + "1]," + dots, "more than 64 elements");
        assertRefused("{\"a\":" + "[".repeat(5_000_000), "is a list; expected an object");
        assertRefused("{\"a\":{\"dtype\":" + "[".repeat(5_000_000), "dtype is a list");
        assertRefused("{\"a\":{\"x\":" + "{\"x\":".repeat(1_000_000), "unknown key 'x'");
        assertRefused("{\"__metadata__\":{\"" + "k".repeat(60_000) + "\":\"\"}}", "not valid JSON");
        assertRefused("{\"a\":{\"shape\":[" + "9".repeat(100_000) + "]," + dots, "not valid JSON");
        assertRefused("{\"a\":{\"shape\":[99999999999999999999]," + dots, "has the element 99999999999999999999");
        StringBuilder many = new StringBuilder("{\"__metadata__\":{");
        for (int i = 0; i < 1_200_000; i++) {
            many.append(i == 0 ? "" : ",").append('"').append(i).append("\":\"\"");
        }
        assertRefused(many + "}}", "more than 16777216 characters");
        many = new StringBuilder("{");
        for (int i = 0; i < 200_001; i++) {
            many.append(i == 0 ? "" : ",").append('"').append(i);
            many.append("\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}");
        }
        assertRefused(many + "}", "more than 200000 tensors");
    }

    /** 100 MB of blanks before the header's end, in a file that has none of them on disk. */
    @Test
    void longHeader() throws IOException {
        Path file = Files.write(temp.resolve("long.safetensors"), file("{}".getBytes(StandardCharsets.UTF_8), 0));
        try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
            sparse.write(ByteBuffer.allocate(8)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(100_000_000L)
                    .array());
            sparse.setLength(8 + 100_000_000L);
        }
        String message = assertThrows(FormatException.class, () -> WeightsFile.open(file))
                .getMessage();
        assertTrue(message.contains("header is not valid JSON: breaks off at character "), message);
        assertArrayEquals(
                new String[0],
                SafeTensors.open(Files.write(file, file("{}  ".getBytes(StandardCharsets.UTF_8), 0)))
                        .names()
                        .toArray());
    }
}
