package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.function.Executable;
import trm.input.DataException;

/** Recorded values of the published pipeline, and the assertions that several tests share. */
public final class Golden {
    private Golden() {}

    public static Path path(String relative) {
        return Path.of(System.getProperty("user.dir"), "tests", "golden").resolve(relative);
    }

    public static JsonNode json(String relative) throws IOException {
        return new ObjectMapper().readTree(path(relative).toFile());
    }

    public static int[] ints(JsonNode list) {
        int[] values = new int[list.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = list.get(i).intValue();
        }
        return values;
    }

    public static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> walk = Files.walk(folder)) {
            return walk.filter(Files::isRegularFile)
                    .map(folder::relativize)
                    .sorted()
                    .toList();
        }
    }

    public static void assertSameFolder(Path expected, Path actual) throws IOException {
        assertEquals(files(expected), files(actual));
        for (Path file : files(expected)) {
            assertArrayEquals(
                    Files.readAllBytes(expected.resolve(file)),
                    Files.readAllBytes(actual.resolve(file)),
                    file.toString());
        }
    }

    public static void copy(Path from, Path to) throws IOException {
        for (Path file : files(from)) {
            Files.createDirectories(to.resolve(file).getParent());
            Files.write(to.resolve(file), Files.readAllBytes(from.resolve(file)));
        }
    }

    /** The action must fail with a DataException whose message holds every part. */
    public static void assertFails(Executable action, String... parts) {
        String message = assertThrows(DataException.class, action).getMessage();
        for (String part : parts) {
            assertTrue(message.contains(part), () -> "'" + message + "' lacks '" + part + "'");
        }
    }

    /** Identifiers of a batch; padding has the blank one. */
    public static int[] identifiers(Dataset data, int[] rows) {
        return Arrays.stream(rows)
                .map(r -> r < 0 ? data.info().blankIdentifierId() : data.identifierOf(r))
                .toArray();
    }

    /** SHA-256 of a batch as it was published: inputs, labels, identifiers, i4 each; negative rows are padding. */
    public static String digest(Dataset data, int[] rows) throws NoSuchAlgorithmException {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        int[] padded = new int[data.seqLen()];
        int[] ignored = new int[data.seqLen()];
        Arrays.fill(padded, data.info().padId());
        Arrays.fill(ignored, Dataset.IGNORED);
        Arrays.stream(rows).forEach(r -> update(digest, r < 0 ? padded : data.inputRow(r)));
        Arrays.stream(rows).forEach(r -> update(digest, r < 0 ? ignored : data.labelRow(r)));
        update(digest, identifiers(data, rows));
        return HexFormat.of().formatHex(digest.digest());
    }

    private static void update(MessageDigest digest, int[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(values);
        digest.update(bytes.array());
    }
}
