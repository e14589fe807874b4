package trm.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EventFileTest {
    @TempDir
    Path dir;

    private static int masked(byte[] data) {
        CRC32C crc = new CRC32C();
        crc.update(data);
        long value = crc.getValue();
        return (int) ((value >> 15 | value << 17) + 0xa282ead8L);
    }

    private static List<byte[]> records(Path file) throws IOException {
        ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        List<byte[]> records = new ArrayList<>();
        while (in.hasRemaining()) {
            byte[] length = new byte[8];
            in.get(length);
            assertEquals(masked(length), in.getInt());
            byte[] data = new byte
                    [(int) ByteBuffer.wrap(length)
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .getLong()];
            in.get(data);
            assertEquals(masked(data), in.getInt());
            records.add(data);
        }
        return records;
    }

    @Test
    void checksumAgreesWithThePublishedVector() {
        CRC32C crc = new CRC32C();
        crc.update("123456789".getBytes(StandardCharsets.US_ASCII));
        assertEquals(0xe3069283L, crc.getValue());
    }

    @Test
    void scalarsAreEncodedAsEvents() throws IOException {
        try (EventFile events = new EventFile(dir.resolve("tb"), 300)) {
            events.scalars(Map.of("a/b", 1.5), 300, 2.0);
            List<byte[]> records = records(events.file());
            assertEquals(3, records.size());
            String version = new String(records.get(0), 13, records.get(0).length - 13, StandardCharsets.US_ASCII);
            assertEquals("brain.Event:2", version);
            assertEquals(0x1a, records.get(0)[11]);
            assertArrayEquals(
                    HexFormat.of()
                            .parseHex("09" + "0000000000000040" + "10ac02" + "2a0c" + "0a0a" + "0a03" + "612f62" + "15"
                                    + "0000c03f"),
                    records.get(2));
        }
    }

    /** One event for a row of metrics: no crash leaves a part of it. */
    @Test
    void theScalarsOfAStepAreOneEvent() throws IOException {
        try (EventFile events = new EventFile(dir, 300)) {
            events.scalars(new TreeMap<>(Map.of("a/b", 1.5, "a/c", -2.0)), 300, 2.0);
            List<byte[]> records = records(events.file());
            assertEquals(3, records.size());
            assertEquals(
                    "090000000000000040" + "10ac02" + "2a18" + "0a0a0a03612f62150000c03f" + "0a0a0a03612f6315000000c0",
                    HexFormat.of().formatHex(records.get(2)));
        }
    }

    /** The bytes that TensorBoard's own messages (2.21) serialize to. */
    @Test
    void textsAndHyperparametersAreEncodedAsEvents() throws IOException {
        try (EventFile events = new EventFile(dir, 300)) {
            events.text("a/b", 300, "x", 2.0);
            Map<String, String> settings = new TreeMap<>(Map.of("lr", "1e-4", "ema", "true", "n", "x"));
            events.hyperparameters(settings, 300, 2.0);
            List<byte[]> records = records(events.file());
            HexFormat hex = HexFormat.of();
            assertEquals(
                    "09000000000000004010ac022a1a0a180a03612f624207080712004201784a080a060a0474657874",
                    hex.formatHex(records.get(2)));
            assertEquals(
                    "09000000000000004010ac022a660a640a1c5f68706172616d735f2f73657373696f6e5f73746172745f696e666f"
                            + "4204080112004a3e0a3c0a0768706172616d7312311a2f0a090a03656d61120220010a0f0a026c721209112d"
                            + "431cebe2361a3f0a080a016e12031a0178290000000000000040",
                    hex.formatHex(records.get(3)));
        }
    }

    /** Event.step = 2, Event.session_log = 7, SessionLog.status = 1, START = 1. */
    @Test
    void aSessionStartsAtItsFirstStep() throws IOException {
        try (EventFile events = new EventFile(dir, 300)) {
            byte[] session = records(events.file()).get(1);
            assertEquals("10ac02" + "3a02" + "0801", HexFormat.of().formatHex(session, 9, session.length));
        }
    }

    @Test
    void aSecondWriterTakesAnotherFile() {
        try (EventFile one = new EventFile(dir, 0);
                EventFile two = new EventFile(dir, 0)) {
            assertNotEquals(one.file(), two.file());
            assertTrue(one.file().getFileName().toString().startsWith("events.out.tfevents."));
        }
    }

    @Test
    void anUnusableDirectoryIsAClearError() throws IOException {
        Path file = Files.writeString(dir.resolve("file"), "");
        assertTrue(assertThrows(FormatException.class, () -> new EventFile(file, 0))
                .getMessage()
                .startsWith(file + ": cannot be written"));
    }
}
