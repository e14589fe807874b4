package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Oracle: files written by NumPy. Bound: equal bytes. */
class NpyTest {
    @TempDir
    Path dir;

    @Test
    void rewritesEveryRecordedFile() throws IOException {
        Path folder = Golden.path("datasets");
        for (Path file : Golden.files(folder)) {
            if (!file.toString().endsWith(".npy")) {
                continue;
            }
            Npy array = Npy.open(folder.resolve(file));
            int[] shape =
                    Arrays.stream(array.shape()).mapToInt(Math::toIntExact).toArray();
            long[] values = new long[Arrays.stream(shape).reduce(1, Math::multiplyExact)];
            for (int i = 0; i < values.length; i++) {
                values[i] = array.get(i);
            }
            Path copy = dir.resolve("copy.npy");
            switch (array.dtype()) {
                case "i8" -> Npy.write(copy, shape, values);
                case "i4" ->
                    Npy.write(
                            copy,
                            shape,
                            Arrays.stream(values).mapToInt(v -> (int) v).toArray());
                default -> {
                    byte[] bytes = new byte[values.length];
                    for (int i = 0; i < bytes.length; i++) {
                        bytes[i] = (byte) values[i];
                    }
                    Npy.write(copy, shape, bytes);
                }
            }
            assertArrayEquals(Files.readAllBytes(folder.resolve(file)), Files.readAllBytes(copy), file.toString());
        }
    }

    @Test
    void rowsAcrossSegments() {
        Path path = dir.resolve("a.npy");
        long[] values = new long[7 * 5];
        for (int i = 0; i < values.length; i++) {
            values[i] = i * 1_000_003L - 9;
        }
        Npy.write(path, new int[] {7, 5}, values);
        Npy array = Npy.open(path, 64); // a row of 40 bytes straddles segments of 64
        int[] row = new int[5];
        for (int r = 0; r < 7; r++) {
            array.copyRow(r, row);
            for (int c = 0; c < 5; c++) {
                assertEquals(values[r * 5 + c], row[c]);
            }
        }
    }

    @Test
    void beyondTwoGigabytes() throws IOException {
        Path path = dir.resolve("big.npy");
        long rows = 30_000_000;
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            byte[] header = Npy.header("u1", rows, 81);
            file.write(header);
            file.setLength(header.length + rows * 81); // sparse: takes no space on disk
            file.seek(header.length + rows * 81 - 1);
            file.write(200);
        }
        int[] row = new int[81];
        Npy.open(path).copyRow(rows - 1, row);
        assertEquals(200, row[80]);
        assertEquals(200, Npy.open(path).get(rows * 81 - 1));
    }

    @Test
    void badFiles() throws IOException {
        Path path = dir.resolve("bad.npy");
        Golden.assertFails(() -> Npy.open(path), "bad.npy: file not found");
        Npy.write(path, new int[] {2, 3}, new int[6]);
        byte[] good = Files.readAllBytes(path);
        Golden.assertFails(() -> Npy.open(path).requireNdim(1), "bad.npy: found 2 dimensions", "[2, 3]", "expected 1");
        Golden.assertFails(() -> Npy.open(path).requireDtype("u1"), "found dtype i4, expected u1");

        Files.write(path, Arrays.copyOf(good, good.length - 1));
        Golden.assertFails(() -> Npy.open(path), "bad.npy: truncated: found 23 bytes", "expected 24");
        Files.write(path, Arrays.copyOf(good, good.length + 1));
        Golden.assertFails(() -> Npy.open(path), "bytes after the array: found 25", "expected 24");
        Files.write(path, Arrays.copyOf(good, 40));
        Golden.assertFails(() -> Npy.open(path), "truncated in the header: found 40 bytes", "expected at least 128");
        Files.write(path, Arrays.copyOf(good, 4));
        Golden.assertFails(() -> Npy.open(path), "truncated in the header");
        replace(path, good, "'shape'", "'form' ");
        Golden.assertFails(() -> Npy.open(path), "bad.npy: header: found {'descr'", "'form'", "expected {'descr'");
        replace(path, good, "False, 'shape': (2, 3), }", "True, 'shape': (2, 3), } ");
        Golden.assertFails(() -> Npy.open(path), "fortran_order: found True, expected False");
        replace(path, good, "<i4", "<f4");
        Golden.assertFails(() -> Npy.open(path), "found dtype '<f4', expected '|u1', '<i4' or '<i8'");
        replace(path, good, "<i4", ">i4");
        Golden.assertFails(() -> Npy.open(path), "found dtype '>i4'");
        byte[] version = good.clone();
        version[6] = 2;
        Files.write(path, version);
        Golden.assertFails(() -> Npy.open(path), "NPY version 1.0");
        Npy.write(path, new int[] {1, 1}, new long[] {1L << 40});
        Golden.assertFails(() -> Npy.open(path).copyRow(0, new int[1]), "row 0, column 0: found 1099511627776");
    }

    private static void replace(Path path, byte[] file, String from, String to) throws IOException {
        String text = new String(file, StandardCharsets.ISO_8859_1).replace(from, to);
        Files.write(path, text.getBytes(StandardCharsets.ISO_8859_1));
    }
}
