package trm.data.format;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.Golden;

/** Oracle: files written by NumPy, some by tests/resources/npy/forms.py. Bound: equal bytes, equal values. */
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

    /** Versions 1 to 3, both byte orders, both orders of elements, every integer type; of the rest each its own refusal. */
    @Test
    void readsWhatNumPyWrites() throws IOException {
        Path path = dir.resolve("a.npy");
        int read = 0;
        Map<String, String> refused = Map.of(
                "<f4", "descr: found dtype '<f4', floating-point numbers; save whole ones by array.astype(numpy.uint8)",
                "|O", "descr: found dtype '|O', Python objects, which may run code",
                "<U1", "descr: found dtype '<U1', text; expected integers",
                "<c16", "descr: found dtype '<c16', complex numbers; expected integers",
                "fields", "descr: found a structured array, expected integers");
        for (String line : Files.readAllLines(Path.of("tests/resources/npy/forms.txt"))) {
            String[] fields = line.split(" ");
            Files.write(path, Base64.getDecoder().decode(fields[3]));
            if (refused.containsKey(fields[0])) {
                Golden.assertFails(() -> Npy.open(path), "a.npy: " + refused.get(fields[0]));
                continue;
            }
            boolean bool = fields[0].equals("|b1");
            int[][] expected = {{0, 1, bool ? 1 : 2}, {bool ? 1 : 3, bool ? 1 : 100, bool ? 1 : 5}};
            expected[1][2] = fields[0].charAt(1) == 'i' ? -5 : expected[1][2];
            Npy array = Npy.open(path, 8); // segments of one element to eight
            assertEquals(fields[0].substring(1), array.dtype());
            assertArrayEquals(new long[] {2, 3}, array.shape());
            for (int r = 0; r < 2; r++) {
                int[] row = new int[3];
                array.copyRow(r, row);
                assertArrayEquals(expected[r], row, line);
                for (int c = 0; c < 3; c++) {
                    assertEquals(expected[r][c], array.get(3 * r + c), line);
                }
            }
            TokenRows tokens = TokenRows.of(path, array, 256, new TokenRows.Ignored(List.of(-5), 255));
            int last = expected[1][2];
            assertArrayEquals(new int[] {expected[1][0], expected[1][1], last < 0 ? 255 : last}, tokens.row(1), line);
            read++;
        }
        assertEquals(38, read);
    }

    /** Python's dictionary in any order, by either quote, without blanks; extents as Python 2 wrote them. */
    @Test
    void headers() {
        Path path = Path.of("a.npy");
        NpyHeader header = header("{\"shape\":(2L,3),'fortran_order':True,'descr':\"<i2\"}");
        assertArrayEquals(new long[] {2, 3}, header.shape());
        assertEquals(12, header.bytes());
        assertTrue(header.fortran());
        assertEquals(
                0,
                header("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 7)}")
                        .bytes());
        assertEquals(
                1,
                header("{'descr': '|u1', 'fortran_order': False, 'shape': (), }  \n")
                        .bytes());
        String good = "{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }";
        for (int end = 0; end < good.length(); end++) {
            String cut = good.substring(0, end);
            Golden.assertFails(() -> header(cut), path + ": header: found", "expected {'descr': '<i4'");
        }
        for (String bad : List.of(
                good + "x",
                good.replace("(7,)", "(-7,)"),
                good.replace("(7,)", "(7 8)"),
                good.replace("(7,)", "(,)"),
                good.replace("(7,)", "[7]"),
                good.replace("False", "0"),
                good.replace("'shape'", "'form'"),
                good.replace("'shape'", "'descr'"),
                good.replace("}", "'shape': (7,)}"),
                good.replace("(7,)", "(" + "1,".repeat(33) + ")"))) {
            Golden.assertFails(() -> header(bad), path + ": header: found");
        }
        for (String shape : List.of("(9223372036854775807, 2)", "(99999999999999999999,)")) {
            Golden.assertFails(
                    () -> header(good.replace("(7,)", shape)), "a.npy: shape: found", "too large to address");
        }
        for (String type : List.of("", "<", "x", "<i3", "<u16", "V8", "|S3", "<M8[D]", "<f8")) {
            Golden.assertFails(
                    () -> header(good.replace("|u1", type)), "descr: found dtype '" + type + "'", "expected integers");
        }
    }

    private static NpyHeader header(String text) {
        return NpyHeader.parse(Path.of("a.npy"), text.getBytes(StandardCharsets.ISO_8859_1));
    }

    /** As many extents as a header of 64 kB holds: read from left to right, without a stack. */
    @Test
    void longHeader() throws IOException {
        Path path = dir.resolve("long.npy");
        String text = "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "1,".repeat(30_000) + ")}";
        byte[] file = new byte[10 + text.length()];
        System.arraycopy(Npy.header("u1", 1), 0, file, 0, 8);
        file[8] = (byte) text.length();
        file[9] = (byte) (text.length() >> 8);
        System.arraycopy(text.getBytes(StandardCharsets.ISO_8859_1), 0, file, 10, text.length());
        Files.write(path, file);
        Golden.assertFails(() -> Npy.open(path), "long.npy: header: found", "(60053 characters)");
        file[6] = 2; // a header length of four bytes
        Files.write(path, file);
        Golden.assertFails(() -> Npy.open(path), "long.npy: found a header of ", "expected at most 65536");
    }

    /** Files that are no arrays, whatever they are called. */
    @Test
    void otherFiles() throws IOException {
        Map<String, String> kinds = Map.of(
                "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer",
                "<!DOCTYPE html><html>", "an HTML page",
                "\u001f\u008b\u0008\u0000", "gzip data",
                "PK\u0003\u0004all__inputs.npy", "a zip archive (.npz or .zip)",
                "\u0080\u0004\u0095x", "a Python pickle",
                "", "an empty file",
                "1,2,3,4,5,6,7,8,9", "no NumPy signature",
                "\u0093NUMPY\u0004\u0000xxxxxxxx", "NPY version 4.0, expected 1.0, 2.0 or 3.0");
        Path path = dir.resolve("a.npy");
        for (Map.Entry<String, String> kind : kinds.entrySet()) {
            Files.write(path, kind.getKey().getBytes(StandardCharsets.ISO_8859_1));
            Golden.assertFails(() -> Npy.open(path), "a.npy: found " + kind.getValue());
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

        Files.write(path, Arrays.copyOf(good, good.length - 1));
        Golden.assertFails(() -> Npy.open(path), "bad.npy: truncated: found 23 bytes", "expected 24");
        Files.write(path, Arrays.copyOf(good, good.length + 1));
        Golden.assertFails(() -> Npy.open(path), "bytes after the array: found 25", "expected 24");
        Files.write(path, Arrays.copyOf(good, 40));
        Golden.assertFails(() -> Npy.open(path), "truncated in the header: found 40 bytes", "expected at least 128");
        Files.write(path, Arrays.copyOf(good, 4));
        Golden.assertFails(() -> Npy.open(path), "truncated in the header");
        replace(path, good, "'shape'", "'form' ");
        Golden.assertFails(() -> Npy.open(path), "bad.npy: header: found '{\\'descr", "form", "expected {'descr'");
        Npy.write(path, new int[] {1, 1}, new long[] {1L << 40});
        Golden.assertFails(() -> Npy.open(path).copyRow(0, new int[1]), "row 0, column 0: found 1099511627776");
        Npy.write(path, new int[] {1, 1}, new long[] {-1});
        replace(path, Files.readAllBytes(path), "<i8", "<u8");
        Golden.assertFails(() -> Npy.open(path).copyRow(0, new int[1]), "bad.npy: found 18446744073709551615");
    }

    private static void replace(Path path, byte[] file, String from, String to) throws IOException {
        String text = new String(file, StandardCharsets.ISO_8859_1).replace(from, to);
        Files.write(path, text.getBytes(StandardCharsets.ISO_8859_1));
    }
}
