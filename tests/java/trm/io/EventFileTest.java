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
            events.scalar("a/b", 300, 1.5, 2.0);
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
