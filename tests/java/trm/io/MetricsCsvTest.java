package trm.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MetricsCsvTest {
    private static final List<String> COLUMNS = List.of("step", "loss", "count");

    @TempDir
    Path dir;

    @Test
    void rowsAreThereAtOnce() throws IOException {
        Path file = dir.resolve("sub/m.csv");
        try (MetricsCsv csv = new MetricsCsv(file, COLUMNS)) {
            csv.append(1, 0.1, 768L);
            csv.append(2L, 0.5f, null);
            assertEquals("step,loss,count\n1,0.1,768\n2,0.5,\n", Files.readString(file));
        }
    }

    @Test
    void aResumedRunGivesTheSameFile() throws IOException {
        Path whole = dir.resolve("whole.csv");
        Path parts = dir.resolve("parts.csv");
        try (MetricsCsv csv = new MetricsCsv(whole, COLUMNS)) {
            for (int step = 1; step <= 6; step++) {
                csv.append(step, step / 3.0, step);
            }
        }
        try (MetricsCsv csv = new MetricsCsv(parts, COLUMNS)) {
            for (int step = 1; step <= 5; step++) {
                csv.append(step, step / 3.0, step);
            }
        }
        Files.writeString(parts, Files.readString(parts) + "6,1.2");
        try (MetricsCsv csv = new MetricsCsv(parts, COLUMNS)) {
            csv.truncateAfter(3);
            for (int step = 4; step <= 6; step++) {
                csv.append(step, step / 3.0, step);
            }
        }
        assertEquals(-1, Files.mismatch(whole, parts));
        try (MetricsCsv csv = new MetricsCsv(parts, COLUMNS)) {
            csv.truncateAfter(-1);
        }
        assertEquals("step,loss,count\n", Files.readString(parts));
    }

    /** Rows of an evaluation that will be repeated; a row that a crash has torn and another one followed. */
    @Test
    void rowsAreDropped() throws IOException {
        Path file = Files.writeString(dir.resolve("m.csv"), "step,loss,count\n1,0.5,\n1,,4\n2,0.2\n3,0.5,7\n");
        try (MetricsCsv csv = new MetricsCsv(file, COLUMNS)) {
            assertEquals("step,loss,count\n1,0.5,\n1,,4\n3,0.5,7\n", Files.readString(file));
            assertEquals(Optional.of("2,0.2"), csv.torn());
            assertTrue(csv.dropRows(1, 2));
            assertFalse(csv.dropRows(1, 2));
            csv.append(4, 0.1, null);
            csv.force();
        }
        assertEquals("step,loss,count\n1,0.5,\n3,0.5,7\n4,0.1,\n", Files.readString(file));
        try (MetricsCsv csv = new MetricsCsv(file, COLUMNS)) {
            assertEquals(Optional.empty(), csv.torn());
        }
        Files.writeString(file, "5,0.", StandardOpenOption.APPEND);
        try (MetricsCsv csv = new MetricsCsv(file, COLUMNS)) {
            assertEquals(Optional.of("5,0."), csv.torn());
        }
        assertEquals(List.of("m.csv"), List.of(dir.toFile().list()));
    }

    @Test
    void noLinkIsFollowed() throws IOException {
        Path victim = Files.writeString(dir.resolve("victim"), "step,loss,count\n1,0.5,7\n");
        Path file = Files.createSymbolicLink(dir.resolve("m.csv"), victim);
        try (MetricsCsv csv = new MetricsCsv(file, COLUMNS)) {
            csv.truncateAfter(0);
            csv.append(1, 2, 3);
        }
        assertEquals("step,loss,count\n1,0.5,7\n", Files.readString(victim));
    }

    @Test
    void anUnfinishedHeaderIsBegunAgain() throws IOException {
        Path file = Files.writeString(dir.resolve("m.csv"), "step,lo");
        new MetricsCsv(file, COLUMNS).close();
        assertEquals("step,loss,count\n", Files.readString(file));
    }

    @Test
    void columnsOfALaterVersionAreAddedEmpty() throws IOException {
        Path file = Files.writeString(dir.resolve("m.csv"), "step,count\n1,4\n2,\n");
        try (MetricsCsv csv = new MetricsCsv(file, COLUMNS)) {
            csv.append(3, 0.5, 7);
        }
        assertEquals("step,loss,count\n1,,4\n2,,\n3,0.5,7\n", Files.readString(file));
        Files.writeString(file, "step,count,loss\n"); // another order
        assertThrows(FormatException.class, () -> new MetricsCsv(file, COLUMNS));
    }

    @Test
    void foreignFilesAreRefused() throws IOException {
        Path file = Files.writeString(dir.resolve("m.csv"), "step,other\n1,2\n");
        assertEquals(
                file + ": columns are 'step,other'; expected 'step,loss,count'",
                assertThrows(FormatException.class, () -> new MetricsCsv(file, COLUMNS))
                        .getMessage());
        Files.writeString(file, "step,loss,count\n1,2,3\nx,2,3\n");
        assertEquals(
                file + ":3: step is 'x'; expected an integer",
                assertThrows(FormatException.class, () -> new MetricsCsv(file, COLUMNS))
                        .getMessage());
        Files.writeString(file, "hello");
        assertThrows(FormatException.class, () -> new MetricsCsv(file, COLUMNS));
        String message = assertThrows(FormatException.class, () -> new MetricsCsv(dir, COLUMNS))
                .getMessage();
        assertTrue(message.startsWith(dir + ": cannot be opened for writing"), message);
    }

    @Test
    void rowsAreReadByColumn() throws IOException {
        Path file = Files.writeString(dir.resolve("m.csv"), "step,loss,count\n1,0.5,\n2,,7\n3,0.2");
        assertEquals(
                List.of(Map.of("step", 1.0, "loss", 0.5), Map.of("step", 2.0, "count", 7.0)), MetricsCsv.read(file));
        Path none = dir.resolve("none.csv");
        FormatException e = assertThrows(FormatException.class, () -> MetricsCsv.read(none));
        assertEquals(none + ": cannot be read: no such file or folder", e.getMessage());
    }

    @Test
    void argumentsAreChecked() {
        assertThrows(IllegalArgumentException.class, () -> new MetricsCsv(dir.resolve("a"), List.of("loss")));
        assertThrows(IllegalArgumentException.class, () -> new MetricsCsv(dir.resolve("a"), List.of("step", "a,b")));
        try (MetricsCsv csv = new MetricsCsv(dir.resolve("a"), COLUMNS)) {
            assertThrows(IllegalArgumentException.class, () -> csv.append(1, 2));
            assertThrows(IllegalArgumentException.class, () -> csv.append(1.0, 2, 3));
        }
    }
}
