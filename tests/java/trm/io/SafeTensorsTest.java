package trm.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafeTensorsTest {
    @TempDir
    Path dir;

    private Path raw(String header, int dataBytes) throws IOException {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        ByteBuffer file = ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
        file.putLong(json.length).put(json);
        return Files.write(dir.resolve("raw.safetensors"), file.array());
    }

    private static void assertRefused(Path file, String... parts) {
        String message = assertThrows(FormatException.class, () -> SafeTensors.open(file))
                .getMessage();
        assertTrue(message.startsWith(file.toString()), message);
        for (String part : parts) {
            assertTrue(message.contains(part), () -> "'" + message + "' lacks '" + part + "'");
        }
    }

    @Test
    void everyDtypeComesBack() {
        float[] floats = {0f, -1.5f, Float.MIN_VALUE, Float.MAX_VALUE, Float.NEGATIVE_INFINITY, Float.NaN};
        ByteBuffer halves = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN);
        for (int bits : new int[] {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00}) {
            halves.putShort((short) bits);
        }
        Path file = dir.resolve("all.safetensors");
        new SafeTensorsWriter()
                .metadata("origin", "a \"quoted\"\nvalue, ü")
                .metadata("b", "")
                .add("z.first", "F32", new long[] {2, 3}, floats)
                .add("d", "F64", new long[] {2}, new double[] {Math.PI, 1e300})
                .add("scalar", "F32", new long[0], new double[] {0.1})
                .add("bf", "BF16", new long[] {6}, floats)
                .add("half", "F16", new long[] {5}, halves.flip())
                .add("l", "I64", new long[] {2}, new long[] {Long.MIN_VALUE, 7})
                .add("i", "I32", new long[] {2}, new int[] {-3, Integer.MAX_VALUE})
                .add("wide", "I64", new long[] {1}, new int[] {-3})
                .add("u", "U8", new long[] {3}, new int[] {0, 200, 255})
                .add("b", "BOOL", new long[] {2}, new int[] {0, 9})
                .add("empty \u00fc", "F32", new long[] {0, 4}, new float[0])
                .writeTo(file);
        SafeTensors read = SafeTensors.open(file);
        assertEquals(
                List.of("z.first", "d", "scalar", "bf", "half", "l", "i", "wide", "u", "b", "empty \u00fc"),
                read.names());
        assertEquals(Map.of("origin", "a \"quoted\"\nvalue, ü", "b", ""), read.metadata());
        assertArrayEquals(floats, read.floats("z.first"));
        assertArrayEquals(new long[] {2, 3}, read.entry("z.first").shape());
        assertEquals(6, read.entry("z.first").elements());
        assertArrayEquals(new double[] {Math.PI, 1e300}, read.doubles("d"));
        assertArrayEquals(new float[] {(float) Math.PI, Float.POSITIVE_INFINITY}, read.floats("d"));
        assertArrayEquals(new double[] {0.1f}, read.doubles("scalar"));
        assertArrayEquals(
                new float[] {0f, -1.5f, 0f, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN},
                read.floats("bf"));
        assertArrayEquals(new float[] {1f, -2f, 0x1p-24f, 65504f, Float.POSITIVE_INFINITY}, read.floats("half"));
        assertArrayEquals(new long[] {Long.MIN_VALUE, 7}, read.longs("l"));
        assertArrayEquals(new int[] {-3, Integer.MAX_VALUE}, read.ints("i"));
        assertArrayEquals(new int[] {-3}, read.ints("wide"));
        assertArrayEquals(new int[] {0, 200, 255}, read.ints("u"));
        assertArrayEquals(new int[] {0, 1}, read.ints("b"));
        assertEquals(0, read.floats("empty \u00fc").length);
        ByteBuffer bytes = read.bytes("i");
        assertEquals(-3, bytes.getInt());
        assertTrue(bytes.isReadOnly());
    }

    @ParameterizedTest
    @CsvSource({
        "3f808000,3f800000",
        "3f818000,3f820000",
        "3f808001,3f810000",
        "bf80ffff,bf810000",
        "7f7fffff,7f800000",
        "7f800001,7fc00000",
        "80000000,80000000"
    })
    void bfloat16RoundsToNearestEven(String bits, String expected) {
        Path file = dir.resolve("bf.safetensors");
        float value = Float.intBitsToFloat(Integer.parseUnsignedInt(bits, 16));
        new SafeTensorsWriter()
                .add("x", "BF16", new long[] {1}, new float[] {value})
                .writeTo(file);
        assertEquals(
                Integer.parseUnsignedInt(expected, 16),
                Float.floatToRawIntBits(SafeTensors.open(file).floats("x")[0]));
    }

    @Test
    void sameCallsGiveSameBytesAndAnAlignedHeader() throws IOException {
        for (String name : new String[] {"a", "b"}) {
            new SafeTensorsWriter()
                    .metadata("k", "v")
                    .add("t", "F32", new long[] {3}, new float[] {1, 2, 3})
                    .writeTo(dir.resolve(name));
        }
        assertEquals(-1, Files.mismatch(dir.resolve("a"), dir.resolve("b")));
        assertEquals(0, SafeTensors.open(dir.resolve("a")).entry("t").offset() % 8);
        assertFalse(Files.exists(dir.resolve(".a.tmp")));
    }

    @Test
    void tensorsLargerThanTheWriteBufferComeBack() {
        float[] values = new float[700_001];
        for (int i = 0; i < values.length; i++) {
            values[i] = i;
        }
        ByteBuffer raw = ByteBuffer.allocate(3_000_003);
        raw.put(2_999_999, (byte) 5).position(3);
        Path file = dir.resolve("large.safetensors");
        new SafeTensorsWriter()
                .add("x", "F32", new long[] {700_001}, values)
                .add("raw", "U8", new long[] {3_000_000}, raw)
                .writeTo(file);
        assertArrayEquals(values, SafeTensors.open(file).floats("x"));
        assertEquals(5, SafeTensors.open(file).bytes("raw").get(2_999_996));
    }

    @Test
    void readsTensorsBeyondTwoGigabytes() throws IOException {
        long first = 1L << 31;
        String header = "{\"big\":{\"dtype\":\"U8\",\"shape\":[" + first + "],\"data_offsets\":[0," + first + "]},"
                + "\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" + first + "," + (first + 4) + "]}}";
        Path file = raw(header, 0);
        try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
            sparse.setLength(8 + header.length() + first + 4);
            sparse.seek(sparse.length() - 4);
            sparse.write(new byte[] {0, 0, (byte) 0x80, 0x3f});
        }
        SafeTensors read = SafeTensors.open(file);
        assertArrayEquals(new float[] {1f}, read.floats("x"));
        assertTrue(assertThrows(FormatException.class, () -> read.bytes("big"))
                .getMessage()
                .contains("'big'"));
    }

    @Test
    void damagedHeadersAreRefused() throws IOException {
        Path file = dir.resolve("short");
        Files.write(file, new byte[5]);
        assertRefused(file, "has 5 bytes");
        ByteBuffer length = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
        Files.write(file, length.putLong(0, 9).array());
        assertRefused(file, "header length is 9 bytes, but only 8 follow");
        Files.write(file, length.putLong(0, 100_000_001).array());
        assertRefused(file, "header length is 100000001", "at most 100000000");
        Files.write(file, length.putLong(0, -1).array());
        assertRefused(file, "header length is 18446744073709551615");
        assertRefused(dir.resolve("absent"), "no such file");
        assertRefused(raw("[]", 0), "does not begin with '{'");
        assertRefused(raw("{\"a\":", 0), "not valid JSON");
        assertRefused(raw("{} {}", 0), "not valid JSON");
        assertRefused(
                raw("{\"__metadata__\":{},\"__metadata__\":{}}", 0),
                "not valid JSON: a key is there twice at character 3");
        assertRefused(raw("{\"__metadata__\":[]}", 0), "__metadata__ is a list");
        assertRefused(raw("{\"__metadata__\":{\"k\":1}}", 0), "'k' is 1; expected a string");
        assertEquals(List.of(), SafeTensors.open(raw("{}   ", 0)).names());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "7 | is 7; expected an object",
                "{'dtype':8,'shape':[1],'data_offsets':[0,4]} | dtype is 8; expected a name such as F32",
                "{'dtype':'F1234567890123456','shape':[1],'data_offsets':[0,4]} | dtype is 'F1234567890123456'",
                "{'shape':[1],'data_offsets':[0,4]} | dtype is missing",
                "{'dtype':'F32','shape':[1],'data_offsets':[0,4],'x':1} | unknown key 'x'",
                "{'dtype':'F32','data_offsets':[0,4]} | shape is missing",
                "{'dtype':'F32','shape':[-1],'data_offsets':[0,4]} | shape has the element -1; expected a list of non-negative",
                "{'dtype':'F32','shape':[1.5],'data_offsets':[0,4]} | shape has the element 1.5;",
                "{'dtype':'F32','shape':[1],'data_offsets':[0]} | data_offsets is [0]; expected a list of 2",
                "{'dtype':'F32','shape':[1],'data_offsets':[4,0]} | end before they begin",
                "{'dtype':'F32','shape':[2],'data_offsets':[0,8]} | reach outside the file, which has 4 bytes",
                "{'dtype':'F32','shape':[2],'data_offsets':[0,4]} | hold 4 bytes; expected 8 for F32 [2]",
                "{'dtype':'F32','shape':[4611686018427387904,4],'data_offsets':[0,4]} | is too large",
                "{'dtype':'U8','shape':[3],'data_offsets':[1,4]} | begins at byte 1 of the data; expected 0",
            })
    void badTensorsAreRefused(String tensor, String expected) throws IOException {
        assertRefused(raw("{\"w.x\":" + tensor.replace('\'', '"') + "}", 4), "tensor 'w.x'", expected);
    }

    @Test
    void overlapsAndLeftoversAreRefused() throws IOException {
        String a = "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}";
        String b = "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}";
        assertRefused(raw("{" + b + "," + a + "}", 4), "tensor 'b' overlaps tensor 'a'");
        assertRefused(raw("{" + a + "}", 4), "has 4 bytes of data; its tensors hold 3");
        assertRefused(raw("{" + a + "}", 2), "tensor 'a'", "reach outside");
    }

    @Test
    void accessErrorsNameFileAndTensor() {
        Path file = dir.resolve("t.safetensors");
        new SafeTensorsWriter()
                .add("f", "F32", new long[] {1}, new float[1])
                .add("l", "I64", new long[] {2}, new long[] {0, 1L << 40})
                .writeTo(file);
        SafeTensors read = SafeTensors.open(file);
        assertEquals(
                file + ": tensor 'f' is F32; expected I32, I64, U8 or BOOL",
                assertThrows(FormatException.class, () -> read.ints("f")).getMessage());
        assertEquals(
                file + ": tensor 'l' is I64; expected F32, BF16, F16 or F64",
                assertThrows(FormatException.class, () -> read.doubles("l")).getMessage());
        assertEquals(
                file + ": tensor 'l': element 1 is 1099511627776; expected a value of 32 bits",
                assertThrows(FormatException.class, () -> read.ints("l")).getMessage());
        assertEquals(
                file + ": has no tensor 'g'; it has 2 tensors, the first is 'f'",
                assertThrows(FormatException.class, () -> read.entry("g")).getMessage());
        assertFalse(read.contains("g"));
    }

    @Test
    void theWriterRefusesContradictions() {
        SafeTensorsWriter writer = new SafeTensorsWriter().add("a", "F32", new long[] {1}, new float[1]);
        for (Runnable bad : List.<Runnable>of(
                () -> writer.add("a", "F32", new long[] {1}, new float[1]),
                () -> writer.add("__metadata__", "F32", new long[] {1}, new float[1]),
                () -> writer.add("b", "F32", new long[] {2}, new float[1]),
                () -> writer.add("b", "I32", new long[] {1}, new float[1]),
                () -> writer.add("b", "F32", new long[] {1}, ByteBuffer.allocate(5)),
                () -> writer.add("b", "F8", new long[] {1}, ByteBuffer.allocate(1)))) {
            assertThrows(IllegalArgumentException.class, bad::run);
        }
    }

    @Test
    void aFailedWriteLeavesNothingBehind() throws IOException {
        Path taken = Files.createDirectories(dir.resolve("taken/inside")).getParent();
        FormatException e = assertThrows(FormatException.class, () -> new SafeTensorsWriter().writeTo(taken));
        assertTrue(e.getMessage().contains(taken + ": cannot be written"), e.getMessage());
        assertFalse(Files.exists(dir.resolve(".taken.tmp")));
    }

    /** A tensor that no single view holds is read in parts. The file has a hole: its zeros take no room. */
    @Test
    void tensorsBeyondTwoGigabytesAreReadInParts() throws IOException {
        long count = (1L << 31) + 24;
        String header = "{\"t\":{\"dtype\":\"F64\",\"shape\":[" + count / 8 + "],\"data_offsets\":[0," + count + "]}}";
        Path file = raw(header, 0);
        try (RandomAccessFile data = new RandomAccessFile(file.toFile(), "rw")) {
            long start = data.length();
            data.setLength(start + count);
            data.seek(start + (1L << 30));
            data.write(7);
            data.seek(start + count - 1);
            data.write(9);
        }
        SafeTensors read = SafeTensors.open(file);
        List<ByteBuffer> parts = read.parts("t");
        assertEquals(
                List.of(1 << 30, 1 << 30, 24),
                parts.stream().map(ByteBuffer::remaining).toList());
        assertEquals(7, parts.get(1).getLong(0));
        assertEquals(9L << 56, parts.get(2).getLong(16));
        assertTrue(assertThrows(FormatException.class, () -> read.bytes("t"))
                .getMessage()
                .contains("tensor 't' has " + count + " bytes"));
    }

    /** Nor does its size matter when it is written, piece by piece; here nothing keeps what comes. */
    @Test
    void tensorsBeyondTwoGigabytesAreWrittenInPieces() throws IOException {
        long count = (1L << 31) + 8;
        ByteBuffer piece = ByteBuffer.allocateDirect(1 << 24);
        SafeTensorsWriter writer = new SafeTensorsWriter().add("t", "F32", new long[] {count / 4}, count, out -> {
            for (long left = count; left > 0; left -= piece.capacity()) {
                out.take(piece.clear().limit((int) Math.min(left, piece.capacity())));
            }
        });
        try (FileChannel nowhere = FileChannel.open(Path.of("/dev/null"), StandardOpenOption.WRITE)) {
            writer.write(nowhere, null);
        }
        SafeTensorsWriter less =
                new SafeTensorsWriter().add("t", "F32", new long[] {2}, 8L, out -> out.take(ByteBuffer.allocate(4)));
        assertTrue(assertThrows(IllegalStateException.class, () -> less.writeTo(dir.resolve("less")))
                .getMessage()
                .contains("tensor 't' has 8 bytes, and was given 4"));
        assertTrue(
                assertThrows(IllegalArgumentException.class, () -> less.add("u", "I64", new long[] {2}, 8L, out -> {}))
                        .getMessage()
                        .contains("shape [2] has 16 bytes of I64, the data 8"));
    }
}
