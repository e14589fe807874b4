package trm.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.input.InputException;

/**
 * Oracle: the same tensors, made contiguous by PyTorch and written as safetensors (tests/golden/torch/make.py). Equal
 * bytes.
 */
class TorchFileTest {
    private static final Path FILES = Path.of("tests/golden/torch");

    /** A pickle of one tensor 'w' of 6 float32 elements; what is in <> is replaced by tests. Latin-1. */
    private static final String ONE = "\u0080\u0002}(X\u0001\u0000\u0000\u0000wctorch._utils\n_rebuild_tensor_v2\n("
            + "(X\u0007\u0000\u0000\u0000storagectorch\nFloatStorage\nX\u0001\u0000\u0000\u00000X\u0003\u0000\u0000\u0000cpu"
            + "K\u0006tQ<K\u0000><K\u0002K\u0003\u0086><K\u0003K\u0001\u0086>\u0089}tR<u>.";

    @TempDir
    private Path temp;

    private static void assertSame(SafeTensors expected, SafeTensors found) {
        assertEquals(expected.names(), found.names());
        for (String name : expected.names()) {
            assertEquals(expected.entry(name).dtype(), found.entry(name).dtype(), name);
            assertArrayEquals(expected.entry(name).shape(), found.entry(name).shape(), name);
            assertEquals(expected.bytes(name), found.bytes(name), name);
            assertEquals(expected.entry(name).elements(), found.entry(name).elements(), name);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"tensors.pt", "tensors_protocol4.pt", "state.pt"})
    void everyLayoutAndType(String name) {
        SafeTensors expected = SafeTensors.open(FILES.resolve("tensors.safetensors"));
        assertTrue(expected.names().size() >= 17);
        SafeTensors found = TorchFile.read(FILES.resolve(name));
        assertSame(expected, found);
        assertArrayEquals(expected.floats("f16"), found.floats("f16"));
        assertArrayEquals(expected.floats("bf16"), found.floats("bf16"));
        assertArrayEquals(expected.longs("i64"), found.longs("i64"));
        assertEquals(Map.of(), found.metadata());
    }

    @Test
    void whatIsWrittenReadsBack() {
        SafeTensors expected = SafeTensors.open(FILES.resolve("tensors.safetensors"));
        TorchWriter writer = new TorchWriter();
        for (String name : expected.names()) {
            SafeTensors.Entry e = expected.entry(name);
            writer.add(name, e.dtype(), e.shape(), expected.bytes(name));
        }
        writer.writeTo(temp.resolve("out.pt"));
        assertSame(expected, TorchFile.read(temp.resolve("out.pt")));
        new TorchWriter()
                .addBfloat16("x", new long[] {2}, new float[] {1.00390625f, -3})
                .writeTo(temp.resolve("bf16.pt"));
        SafeTensors read = TorchFile.read(temp.resolve("bf16.pt"));
        assertEquals("BF16", read.entry("x").dtype());
        assertArrayEquals(new float[] {1, -3}, read.floats("x")); // a tie goes to the even neighbour
        Path nowhere = temp.resolve("none/out.pt");
        assertFails(
                assertThrows(FormatException.class, () -> writer.writeTo(nowhere)), nowhere + ": cannot be written");
        assertThrows(
                IllegalArgumentException.class, () -> writer.add("f", "F32", new long[] {2}, ByteBuffer.allocate(7)));
        assertThrows(
                IllegalArgumentException.class, () -> writer.add("i64", "U8", new long[] {1}, ByteBuffer.allocate(1)));
    }

    private static void assertFails(InputException e, String... parts) {
        for (String part : parts) {
            assertTrue(e.getMessage().contains(part), () -> "no '" + part + "' in: " + e.getMessage());
        }
    }

    private static void assertReadFails(Path file, String... parts) {
        InputException e = assertThrows(InputException.class, () -> TorchFile.read(file));
        assertFails(e, file + ": ");
        assertFails(e, parts);
    }

    @Test
    void codeIsRefusedByNameAndNotRun() {
        assertReadFails(
                FILES.resolve("code.pt"), "entry 'code' is a call of 'posix.system'", "nothing of the file was run");
        assertFalse(Files.exists(Path.of("code-was-run")));
    }

    @Test
    void otherFiles() throws IOException {
        assertReadFails(FILES.resolve("optimizer.pt"), "holds no table of weights", "'state': a table");
        assertArrayEquals(
                new long[] {3, 4, 5},
                TorchFile.read(FILES.resolve("legacy.pt")).entry("w").shape());
        assertEquals(
                SafeTensors.open(FILES.resolve("tensors.safetensors")).bytes("whole"),
                TorchFile.read(FILES.resolve("legacy.pt")).bytes("w"));
        assertReadFails(FILES.resolve("tensors.safetensors"), "is not a file of torch.save");
        assertReadFails(temp.resolve("none.pt"), "no such file");
        assertReadFails(Files.write(temp.resolve("empty.pt"), new byte[0]), "is empty");
        assertReadFails(archive(Map.of("a/b", new byte[1])), "without a record data.pkl; it has 'a/b'");
    }

    private Path archive(Map<String, byte[]> records) throws IOException {
        Path file = temp.resolve("made.pt");
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            for (Map.Entry<String, byte[]> record : records.entrySet()) {
                zip.putNextEntry(new ZipEntry(record.getKey()));
                zip.write(record.getValue());
            }
        }
        return file;
    }

    private Path pickled(String pickle) throws IOException {
        Map<String, byte[]> records = new LinkedHashMap<>();
        records.put("x/data.pkl", pickle.replaceAll("[<>]", "").getBytes(StandardCharsets.ISO_8859_1));
        records.put("x/data/0", new byte[24]);
        return archive(records);
    }

    /** Every name, call and object of a pickle is a text. In the place of a tensor, or beside one, it is refused by name. */
    @Test
    void everythingButTensorsIsInert() throws IOException {
        assertEquals(List.of("w"), TorchFile.read(pickled(ONE)).names());
        String made = "a table with 'w': ";
        String w = "}X\u0001\u0000\u0000\u0000w";
        assertReadFails(
                pickled(w + "cbuiltins\neval\n(X\u0001\u0000\u0000\u00001tRs."), made + "a call of 'builtins.eval'");
        assertReadFails(
                pickled(w + "\u008c\u0002os\u008c\u0006system\u0093s."), made + "'os.system'", "no table of weights");
        assertReadFails(pickled(w + "ctorch\nFloatStorage\n)Rs."), made + "a call of 'torch.FloatStorage'");
        assertReadFails(pickled(w + "X\u0001\u0000\u0000\u0000f)Rs."), made + "a call of 'f'");
        assertReadFails(pickled(w + "(ios\nsystem\ns."), made + "an object of 'os.system'");
        assertReadFails(pickled(w + "cos\nX\n)\u0081s."), made + "an object of 'os.X'");
        assertReadFails(pickled(w + "(cos\nX\nos."), made + "an object of 'os.X'");
        assertReadFails(pickled(w + "\u0082\u0001s."), made + "bytes");
        assertReadFails(pickled(w + "Px\ns."), made + "a reference");
        assertReadFails(pickled(w + "X\u0001\u0000\u0000\u0000xQs."), made + "a reference to 'x'");
        assertReadFails(pickled("]."), "holds no table of weights", "it is a list");
        assertReadFails(pickled("}(K\u0001K\u0002u."), "it is a table with '1': 2");
        assertReadFails(pickled("}."), "it is a table without entries");
        String huge = "\u008a\u0009" + "\u0000".repeat(8) + "\u0001"; // 2^64
        assertReadFails(
                pickled(ONE.replace("<K\u0000>", huge)),
                "'w': a call of 'torch._utils._rebuild_tensor_v2' that makes no");
        assertReadFails(
                pickled(ONE.replace("K\u0006tQ", huge + "tQ")), "'w': a call of 'torch._utils._rebuild_tensor_v2'");
        assertEquals(
                List.of("w"),
                TorchFile.read(pickled(ONE.replace("<u>.", "}bu."))).names()); // attributes of a tensor
        assertEquals(
                "I8",
                TorchFile.read(pickled(
                                ONE.replace("FloatStorage", "CharStorage").replace("K\u0006tQ", "K\u0018tQ")))
                        .entry("w")
                        .dtype());
    }

    @Test
    void damagedPickles() throws IOException {
        assertReadFails(pickled("\u00ff."), "damaged pickle: 0xff at byte 0 is no instruction");
        assertReadFails(pickled("X\u0000\u0000\u0000\u007fx."), "a value of 2130706432 bytes, where 2 are left");
        assertReadFails(pickled("tR."), "damaged pickle: an instruction at byte 0 lacks its mark");
        assertReadFails(pickled("(R."), "damaged pickle: an instruction at byte 1 lacks its values");
        assertReadFails(pickled("h\u0005."), "damaged pickle: refers to value 5, which is not there");
        assertReadFails(pickled("\u0080\u0009."), "damaged pickle: protocol 9, expected 0 to 5");
        assertReadFails(pickled("}(Nu."), "damaged pickle: a table has a key without a value");
        assertReadFails(pickled("I1x\n."), "damaged pickle: '1x' is no number");
        assertReadFails(pickled(ONE.substring(0, 60)), "damaged pickle: ends in the middle");
    }

    private void assertOneFails(String from, String to, String... parts) throws IOException {
        assertTrue(ONE.contains(from), from);
        assertReadFails(pickled(ONE.replace(from, to)), parts);
    }

    @Test
    void placesOutsideTheStorage() throws IOException {
        assertOneFails(
                "<K\u0000>", "K\u0001", "sizes [2, 3], strides [3, 1], offset 1: reach element 6 of a storage of 6");
        assertOneFails("<K\u0003K\u0001\u0086>", "K\u0004K\u0001\u0086", "strides [4, 1], offset 0: reach element 6");
        String minusOne = "J\u00ff\u00ff\u00ff\u00ff";
        assertOneFails("<K\u0000>", minusOne, "offset -1: not those of a tensor");
        assertOneFails(
                "<K\u0003K\u0001\u0086>", minusOne + "K\u0001\u0086", "strides [-1, 1]", "not those of a tensor");
        assertOneFails("<K\u0003K\u0001\u0086>", "K\u0001\u0085", "sizes [2, 3], strides [1]", "not those of a tensor");
        String big = "J\u0000\u0000\u0000\u007f";
        assertOneFails("<K\u0002K\u0003\u0086>", big + big + "\u0086", "sizes [21307", "too large to address");
        assertOneFails("<K\u0002K\u0003\u0086>", big.repeat(3) + "\u0087", "sizes [21307", "not those of a tensor");
        assertReadFails(
                pickled(ONE.replace("<K\u0002K\u0003\u0086>", big.repeat(3) + "\u0087")
                        .replace("<K\u0003K\u0001\u0086>", "K\u0000K\u0000K\u0000\u0087")),
                "too large to address");
        assertReadFails(
                pickled(ONE.replace("<K\u0002K\u0003\u0086>", "M\u00e8\u0003M\u00e8\u0003\u0086")
                        .replace("<K\u0003K\u0001\u0086>", "K\u0000K\u0000\u0086")),
                "1000000 elements of a storage of 6");
    }

    private static Map<String, byte[]> records(Path file) throws IOException {
        Map<String, byte[]> records = new LinkedHashMap<>();
        try (ZipFile zip = new ZipFile(file.toFile())) {
            for (ZipEntry entry : Collections.list(zip.entries())) {
                try (InputStream in = zip.getInputStream(entry)) {
                    records.put(entry.getName(), in.readAllBytes());
                }
            }
        }
        return records;
    }

    @ParameterizedTest
    @CsvSource({
        "tensors/data/0, 239, has 239 bytes; expected 240 for 60 elements of F32",
        "tensors/data/0, 241, has 241 bytes; expected 240 for 60 elements of F32",
        "tensors/data/0, -1, data/0' is missing",
        "tensors/byteorder, 3, byteorder is",
        "tensors/data.pkl, 0, damaged pickle"
    })
    void recordsOfWrongSize(String record, int bytes, String message) throws IOException {
        Map<String, byte[]> records = records(FILES.resolve("tensors.pt"));
        byte[] content = records.remove(record);
        if (bytes >= 0) {
            records.put(record, Arrays.copyOf(content, bytes));
        }
        assertReadFails(archive(records), message);
    }

    @Test
    void namesThatBecomeEqual() throws IOException {
        String name = "X\u0001\u0000\u0000\u0000w";
        String one = ONE.substring(ONE.indexOf(name), ONE.indexOf("<u>"));
        String other = one.replace(name, "X\u000b\u0000\u0000\u0000_orig_mod.w");
        assertEquals(
                List.of("w"), TorchFile.read(pickled("}(" + one + other + "u.")).names());
        String changed = other.replace("<K\u0002K\u0003\u0086>", "<K\u0003K\u0002\u0086>");
        assertReadFails(
                pickled("}(" + one + changed + "u."),
                "tensor 'w' is there twice, with and without '_orig_mod.'",
                "differ");
    }

    /** Cut anywhere, or with any byte of its storages changed, the file is refused. */
    @Test
    void damage() throws IOException {
        byte[] whole = Files.readAllBytes(FILES.resolve("tensors.pt"));
        Path file = temp.resolve("damaged.pt");
        for (int length = 0; length < whole.length; length += 7) {
            assertReadFails(Files.write(file, Arrays.copyOf(whole, length)));
        }
        String text = new String(whole, StandardCharsets.ISO_8859_1);
        byte[] flipped = whole.clone();
        int at = text.indexOf("PK", text.indexOf("tensors/data/0")) - 30; // within what comes before the next record
        flipped[at] ^= 1;
        assertReadFails(Files.write(file, flipped), "record 'tensors/data/0' is damaged", "checksum");
    }

    /** A changed pickle gives tensors or a message, nothing else, and is done soon. */
    @Test
    void changedPickles() throws IOException {
        Map<String, byte[]> records = records(FILES.resolve("tensors.pt"));
        byte[] pickle = records.get("tensors/data.pkl");
        Random random = new Random(5);
        int refused = 0;
        for (int i = 0; i < 500; i++) {
            byte[] changed = pickle.clone();
            for (int n = 1 + random.nextInt(3); n > 0; n--) {
                changed[random.nextInt(changed.length)] = (byte) random.nextInt(256);
            }
            records.put("tensors/data.pkl", changed);
            Path file = archive(records);
            try {
                TorchFile.read(file);
            } catch (InputException e) {
                assertFails(e, file + ": ");
                refused++;
            }
        }
        assertTrue(refused > 100, "refused " + refused);
    }

    /** The pickle that this class writes by hand is the one of PyTorch's own file, instruction for instruction. */
    @Test
    void writtenPickleNamesWhatTorchNames() throws IOException {
        new TorchWriter()
                .add("w", "F32", new long[] {2, 3}, ByteBuffer.allocate(24))
                .writeTo(temp.resolve("w.pt"));
        ByteArrayOutputStream expected = new ByteArrayOutputStream();
        String dict = "ccollections\nOrderedDict\n)R";
        String six = "J\u0006\u0000\u0000\u0000";
        expected.write(("\u0080\u0002" + dict
                        + "(X\u000b\u0000\u0000\u0000_orig_mod.wctorch._utils\n_rebuild_tensor_v2\n("
                        + "(X\u0007\u0000\u0000\u0000storagectorch\nFloatStorage\nX\u0001\u0000\u0000\u00000X\u0003\u0000"
                        + "\u0000\u0000cpu" + six + "tQJ\u0000\u0000\u0000\u0000(" + six.replace('\u0006', '\u0002')
                        + six.replace('\u0006', '\u0003') + "t(" + six.replace('\u0006', '\u0003')
                        + six.replace('\u0006', '\u0001') + "t\u0089" + dict + "tRu.")
                .getBytes(StandardCharsets.ISO_8859_1));
        Map<String, byte[]> records = records(temp.resolve("w.pt"));
        assertArrayEquals(expected.toByteArray(), records.get("archive/data.pkl"));
        assertEquals("3\n", new String(records.get("archive/version"), StandardCharsets.US_ASCII));
    }
}
