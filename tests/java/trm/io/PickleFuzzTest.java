package trm.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.Fuzz;
import trm.input.Budget;
import trm.input.InputException;
import trm.io.MadeTorch.Call;
import trm.io.MadeTorch.Instance;
import trm.io.MadeTorch.Tensor;
import trm.io.PickleValues.Storage;

/** Pickles and files of PyTorch, mutated, and some that were made to take all memory or time. */
@Tag("fuzz")
class PickleFuzzTest {
    private static final Path FILES = Path.of("tests/golden/torch");
    private static final List<String> WORDS = List.of(
            "(",
            ".",
            "}",
            "]",
            ")",
            "t",
            "u",
            "s",
            "e",
            "a",
            "R",
            "b",
            "Q",
            "2",
            "0",
            "1",
            "N",
            "l",
            "d",
            "o",
            "q\u0001",
            "h\u0001",
            "K\u0005",
            "I12\n",
            "ctorch\nFloatStorage\n",
            "ctorch._utils\n_rebuild_tensor_v2\n",
            "ctorch._utils\n_rebuild_parameter\n",
            "ctorch._tensor\n_rebuild_from_type_v2\n",
            "ccollections\nOrderedDict\n)R",
            "cos\nsystem\n",
            "Vmodel.inner.H_init\n",
            "Vmodel\n",
            "Vema\n",
            "Vshadow\n",
            "V_orig_mod.\n");

    @TempDir(factory = InMemory.class)
    private Path temp;

    private static byte[] latin(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static List<byte[]> files() throws IOException {
        List<byte[]> files = new ArrayList<>();
        for (String name :
                List.of("tensors.pt", "tensors_protocol4.pt", "code.pt", "state.pt", "optimizer.pt", "legacy.pt")) {
            files.add(Files.readAllBytes(FILES.resolve(name)));
        }
        Tensor tensor = Tensor.of(new long[] {2}, 1, 2);
        Map<String, Object> model = new LinkedHashMap<>(Map.of("model.inner.H_init", tensor));
        model.put("module.model.inner.L_init", tensor);
        Map<String, Object> state = new LinkedHashMap<>();
        state.put("ema", Map.of("shadow", model));
        state.put("args", new Instance("argparse", "Namespace", Map.of("lr", 1.5)));
        state.put("model", model);
        state.put("rng", new Object[] {"MT19937", new Call("numpy", "_reconstruct", 0)});
        files.add(MadeTorch.zipped(state));
        files.add(MadeTorch.legacy(state));
        return files;
    }

    /** The pickle within a file that is otherwise whole. */
    @Test
    void pickles() throws IOException {
        List<byte[]> pickles = new ArrayList<>();
        for (byte[] file : files()) {
            Path written = Files.write(temp.resolve("seed"), file);
            if (WeightsKind.of(written) == WeightsKind.TORCH_ZIP) {
                try (ZipFile zip = new ZipFile(written.toFile())) {
                    for (ZipEntry entry : java.util.Collections.list(zip.entries())) {
                        if (entry.getName().endsWith("data.pkl")) {
                            pickles.add(zip.getInputStream(entry).readAllBytes());
                        }
                    }
                }
            }
        }
        Path file = Path.of("fuzz.pt");
        Fuzz.run("pickle", pickles, WORDS, input -> {
            Object root = new TensorUnpickler("fuzz.pt: ", ByteBuffer.wrap(input), new Budget("fuzz.pt", input.length))
                    .read();
            readAll(TorchFile.tensors(file, root, new Zeros(), false));
        });
    }

    /** Storages as large as the pickle says, up to a megabyte. */
    private static final class Zeros implements TorchFile.Storages {
        @Override
        public void check(String what, Storage storage) {
            if (storage.bytes() > 1 << 20) {
                throw new FormatException(what + "too large");
            }
        }

        @Override
        public ByteBuffer read(String what, Storage storage) {
            check(what, storage);
            return ByteBuffer.allocate((int) storage.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        }

        @Override
        public void held(long bytes) {}
    }

    @Test
    void wholeFiles() throws IOException {
        Path file = temp.resolve("fuzz.pt");
        Fuzz.run("torch", files(), WORDS, input -> {
            Files.write(file, input);
            readAll(WeightsFile.open(file));
        });
    }

    private static void readAll(SafeTensors tensors) {
        for (String name : tensors.names()) {
            if (tensors.mayBeWeights(name)) {
                assertEquals(tensors.entry(name).elements(), tensors.floats(name).length);
            }
        }
    }

    private void assertRefused(String what, byte[] file) throws IOException {
        Path made = Files.write(temp.resolve("harm.pt"), file);
        InputException e = assertThrows(InputException.class, () -> TorchFile.read(made), what);
        assertTrue(e.getMessage().length() < 2100, what);
    }

    private static byte[] pickled(Consumer<ByteArrayOutputStream> body) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(latin("\u0080\u0002"));
        body.accept(out);
        out.writeBytes(latin("."));
        Map<String, byte[]> records = new LinkedHashMap<>();
        records.put("data.pkl", out.toByteArray());
        records.put("data/0", new byte[400]);
        return MadeTorch.zipped(records);
    }

    private static byte[] pickled(String latin1) {
        return pickled(out -> out.writeBytes(latin(latin1)));
    }

    private static String tensor(String sizes, String strides) {
        return "ctorch._utils\n_rebuild_tensor_v2\n((X\u0007\0\0\0storagectorch\nFloatStorage\nX\u0001\0\0\0" + "0"
                + "X\u0003\0\0\0cpuKdtQK\0" + sizes + strides + "tR";
    }

    /** The few hundred bytes of each make gigabytes, or hours, where a reader does what they say. */
    @Test
    void amplification() throws IOException {
        assertRefused("60 MB of empty tables", pickled("}".repeat(20_000_000)));
        assertRefused("marks", pickled("(".repeat(20_000_000)));
        assertRefused("lists", pickled("]".repeat(3_000_000)));
        assertRefused("memo", pickled(out -> {
            out.writeBytes(latin("N"));
            for (int i = 0; i < 2_000_000; i++) {
                out.write('r');
                out.writeBytes(ByteBuffer.allocate(4)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putInt(i)
                        .array());
            }
        }));
        String ones = "(" + "K\u0001".repeat(20_000) + "tq\0";
        assertRefused(
                "one large tuple as the sizes of many tensors",
                pickled(ones + "0}(" + ("N" + tensor("h\0", "h\0")).repeat(5_000) + "u"));
        assertRefused("20,000 axes", pickled("}X\u0001\0\0\0a" + tensor(ones, "h\0") + "s"));
        assertRefused("tables of tables", pickled("}q\0" + "}(K\u0001h\0K\u0002h\0uq\0".repeat(200) + ""));
        assertRefused("nested tuples", pickled("N" + "\u0085".repeat(5_000_000)));
        assertRefused("calls of calls", pickled("N" + ")R".repeat(1_000_000)));
        assertRefused("references to references", pickled("N" + "Q".repeat(3_000_000)));
        assertRefused("a list that holds itself", pickled("]q\0h\0a"));
        assertRefused("a table that holds itself", pickled("}q\0X\u0001\0\0\0ah\0s"));
        assertRefused(
                "a call of itself",
                pickled("ctorch._tensor\n_rebuild_from_type_v2\nq\0](h\0Nh\u0001eq\u0001h\0h\u0001R"));
        assertRefused(
                "attributes again and again",
                pickled("}(" + numbers(2_000) + "uq\0" + "cA\nB\n)\u0081h\0b".repeat(2_000)));
        assertRefused(
                "pairs again and again",
                pickled("](" + "\u0088".repeat(10) + "X\u0001\0\0\0x".repeat(2_000) + "eq\0"
                        + "ccollections\nOrderedDict\nh\0\u0085R".repeat(2_000)));
        assertRefused("a long name", pickled("c" + "m".repeat(10_000) + "\nx\n"));
        assertRefused("many weights", pickled(out -> {
            out.writeBytes(latin(tensor("K\u0001\u0085", "K\u0001\u0085") + "q\0}("));
            for (int i = 0; i < 60_000; i++) {
                String name = "lm_head." + i;
                out.writeBytes(latin("X" + (char) name.length() + "\0\0\0" + name + "h\0"));
            }
            out.writeBytes(latin("u"));
        }));
    }

    private static String numbers(int count) {
        StringBuilder pairs = new StringBuilder();
        for (int i = 0; i < count; i++) {
            pairs.append('I').append(i).append("\nN");
        }
        return pairs.toString();
    }

    /** Storages and archives that unpack to more than they are. */
    @Test
    void unpacking() throws IOException {
        Map<String, byte[]> records = new LinkedHashMap<>();
        byte[] big = new byte[64 << 20];
        Tensor tensor = new Tensor("FloatStorage", new long[] {16 << 20}, big);
        assertRefused("a storage of zeros", MadeTorch.zipped(Map.of("model.inner.H_init", tensor)));
        records.put("data.pkl", big);
        assertRefused("a pickle of zeros", MadeTorch.zipped(records));
        StringBuilder repeated = new StringBuilder("}(");
        for (int i = 0; i < 3_000; i++) {
            String name = "lm_head." + i;
            repeated.append('X').append((char) name.length()).append("\0\0\0").append(name);
            repeated.append(
                    tensor("M\0\u0001M\0\u0001\u0086", "K\0K\u0001\u0086").replace("M\0\u0001M", "J\0\0\u0001\0M"));
        }
        assertRefused("a row many times", pickled(repeated + "u"));
        assertRefused(
                "more elements than the storage has",
                pickled("}X\u0006\0\0\0H_init" + tensor("M\u00ff\u00ff\u0085", "K\u0001\u0085") + "s"));
    }

    /** What no budget should stop: much that is not needed, beside weights. */
    @Test
    void muchThatIsNotNeeded() throws IOException {
        List<Object> losses = new ArrayList<>();
        for (int i = 0; i < 300_000; i++) {
            losses.add(i * 0.5);
        }
        Tensor tensor = Tensor.of(new long[] {2}, 1, 2);
        Tensor moments = new Tensor("FloatStorage", new long[] {8 << 20}, new byte[32 << 20]);
        Map<String, Object> content = new LinkedHashMap<>();
        content.put("losses", losses);
        content.put("optimizer", Map.of("exp_avg", moments));
        content.put("model", Map.of("model.inner.H_init", tensor));
        Path file = Files.write(temp.resolve("much.pt"), MadeTorch.zipped(content));
        assertEquals(List.of("model.inner.H_init"), TorchFile.read(file).names());
    }
}
