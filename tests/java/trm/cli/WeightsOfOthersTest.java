package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.io.CheckpointStore;
import trm.io.MadeTorch;
import trm.io.MadeTorch.Call;
import trm.io.MadeTorch.Instance;
import trm.io.MadeTorch.Tensor;
import trm.io.SafeTensors;
import trm.io.SafeTensorsWriter;

/**
 * Checkpoints as other projects write them. Oracle: the accuracy of the run whose weights they hold; wherever a file has
 * others beside them, those are zero and give another accuracy.
 */
class WeightsOfOthersTest {
    private static final String HEAD = "model.inner.lm_head.weight";

    @TempDir
    private static Path shared;

    private static Path run;
    private static Path config;
    private static Path plain;
    private static double expected;
    private static final Map<String, Object> WEIGHTS = new LinkedHashMap<>();
    private static final Map<String, Object> ZEROS = new LinkedHashMap<>();

    @TempDir
    private Path temp;

    @BeforeAll
    static void train() throws IOException {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 64, 20, 1, 8);
        Path tiny = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        run = shared.resolve("run");
        plain = shared.resolve("plain.safetensors");
        Trm.execute(
                        "train",
                        tiny,
                        "--run",
                        run,
                        "--device",
                        "cpu",
                        "epochs=20",
                        "lr=5e-3",
                        "lr_warmup_steps=5",
                        "arch.puzzle_emb_ndim=32",
                        "arch.puzzle_emb_len=2")
                .assertDone();
        config = run.resolve("config.yaml");
        Trm.execute("export", run, "--out", plain).assertDone();
        SafeTensors file = SafeTensors.open(plain);
        for (String name : file.names()) {
            float[] values = file.floats(name);
            WEIGHTS.put(name, Tensor.of(file.entry(name).shape(), values));
            ZEROS.put(name, Tensor.of(file.entry(name).shape(), new float[values.length]));
        }
        expected = accuracy(run);
        assertNotEquals(expected, accuracy(MadeTorch.zip(shared.resolve("zeros.pt"), ZEROS)));
    }

    private static Trm.Result eval(Path file, Object... more) {
        List<Object> args = new ArrayList<>(List.of("eval", file, "--json", "--device", "cpu"));
        args.addAll(more.length == 0 ? List.of("--config", config) : List.of(more));
        return Trm.execute(args.toArray());
    }

    private static double accuracy(Path file, Object... more) throws IOException {
        return eval(file, more).assertDone().json().get("accuracy").asDouble();
    }

    private static Map<String, Object> renamed(Map<String, Object> from, UnaryOperator<String> change) {
        Map<String, Object> to = new LinkedHashMap<>();
        from.forEach((name, tensor) -> to.put(change.apply(name), tensor));
        return to;
    }

    private static Map<String, Object> table(Object... keysAndValues) {
        Map<String, Object> table = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            table.put((String) keysAndValues[i], keysAndValues[i + 1]);
        }
        return table;
    }

    private static Map<String, Object> with(Map<String, Object> weights, Object... keysAndValues) {
        Map<String, Object> more = new LinkedHashMap<>(weights);
        more.putAll(table(keysAndValues));
        return more;
    }

    /** What a training loop has beside its weights. */
    private static Map<String, Object> trainingState(String key) {
        Tensor step = Tensor.of(new long[] {1}, 3);
        Call dtype = new Call("numpy", "dtype", "u4", false, true);
        Call state = new Call("numpy._core.multiarray", "_reconstruct", dtype, new Object[] {0}, "b");
        return table(
                "step",
                5,
                "optimizers",
                List.of(table("state", table("0", table("step", step, "exp_avg", step)), "param_groups", List.of())),
                "numpy",
                new Object[] {"MT19937", state, 624, 0, 0.0},
                "args",
                new Instance("argparse", "Namespace", table("lr", 1e-4, "out", null)),
                key,
                WEIGHTS,
                "rng",
                new Tensor("ByteStorage", new long[] {4}, new byte[4]));
    }

    private record Form(String name, Object content) {
        @Override
        public String toString() {
            return name;
        }
    }

    static List<Form> forms() {
        Map<String, Object> caches = with(
                WEIGHTS,
                "model.inner.puzzle_emb.local_weights",
                Tensor.of(new long[] {2, 2}, 1, 2, 3, 4),
                "model.inner.puzzle_emb.local_ids",
                new Tensor("IntStorage", new long[] {1}, new byte[4]),
                "model.inner.rotary_emb.cos_cached",
                new Tensor("ComplexFloatStorage", new long[] {1}, new byte[8]),
                "model.inner.steps_seen",
                new Tensor("LongStorage", new long[] {}, new byte[8]),
                "quant.scale",
                new Tensor("CharStorage", new long[] {3}, new byte[3]));
        List<Form> forms = new ArrayList<>(List.of(
                new Form("module", renamed(WEIGHTS, name -> "module." + name)),
                new Form("_orig_mod.module", renamed(WEIGHTS, name -> "_orig_mod.module." + name)),
                new Form("model._orig_mod.inner", renamed(WEIGHTS, name -> name.replace("l.i", "l._orig_mod.i"))),
                new Form("inner", renamed(WEIGHTS, name -> name.substring("model.".length()))),
                new Form("without", renamed(WEIGHTS, name -> name.substring("model.inner.".length()))),
                new Form("lightning", table("state_dict", renamed(WEIGHTS, name -> "net." + name), "epoch", 3)),
                new Form("deep", table("a", table("b", List.of(1, table("weights", WEIGHTS))))),
                new Form("in a tuple", new Object[] {WEIGHTS, 5}),
                new Form("caches", caches),
                new Form("best", table("model", WEIGHTS, "best_model", ZEROS)),
                new Form("twice the same", table("model", WEIGHTS, "state_dict", WEIGHTS)),
                new Form("flat among others", with(WEIGHTS, "epoch", 4, "args", new Call("argparse", "Namespace"))),
                new Form(
                        "code outside",
                        table("hook", new Call("os", "system", "touch code-was-run"), "model", WEIGHTS)),
                new Form("cut batch norm", with(WEIGHTS, "num_batches_tracked", 4))));
        for (String key : List.of("model", "state_dict", "model_state_dict", "net", "ema")) {
            forms.add(new Form("training state " + key, trainingState(key)));
        }
        return forms;
    }

    /** In both formats of PyTorch. */
    @ParameterizedTest
    @MethodSource("forms")
    void formsOfTorch(Form form) throws IOException {
        Path zip = MadeTorch.zip(temp.resolve("step_5"), form.content);
        Trm.Result result = eval(zip).assertDone();
        assertEquals(expected, result.json().get("accuracy").asDouble());
        assertTrue(result.err().contains("weights of " + zip + ": "), result.err());
        assertFalse(Files.exists(Path.of("code-was-run")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"model", "module.model"})
    void legacyFormat(String key) throws IOException {
        assertEquals(expected, accuracy(MadeTorch.legacy(temp.resolve("old.pt"), table("step", 1, key, WEIGHTS))));
        Map<String, Object> flat = renamed(WEIGHTS, name -> "module." + name);
        assertEquals(expected, accuracy(MadeTorch.legacy(temp.resolve("step_5"), flat)));
    }

    private Path safetensors(String name, Map<String, Object> tensors) {
        SafeTensorsWriter writer = new SafeTensorsWriter();
        tensors.forEach((each, value) -> {
            Tensor tensor = (Tensor) value;
            writer.add(
                    each,
                    tensor.storage().equals("FloatStorage") ? "F32" : "U8",
                    tensor.shape(),
                    ByteBuffer.wrap(tensor.content()));
        });
        writer.writeTo(temp.resolve(name));
        return temp.resolve(name);
    }

    @Test
    void formsOfSafetensors() throws IOException {
        assertEquals(expected, accuracy(safetensors("a.safetensors", renamed(WEIGHTS, name -> "module." + name))));
        Map<String, Object> odd = with(
                renamed(WEIGHTS, name -> name.replace("l.i", "l._orig_mod.i")),
                "quant.scale",
                new Tensor("CharStorage", new long[] {3}, new byte[3]),
                "model.inner.rotary_emb.sin_cached",
                Tensor.of(new long[] {1}, 1));
        Path file = safetensors("b.safetensors", odd);
        byte[] bytes = Files.readAllBytes(file);
        String text = new String(bytes, StandardCharsets.ISO_8859_1).replace("\"U8\"", "\"F8\""); // a type nobody knows
        Files.write(file, text.getBytes(StandardCharsets.ISO_8859_1));
        assertEquals(expected, accuracy(file));
        Map<String, Object> both = renamed(ZEROS, name -> "online_model." + name);
        both.putAll(renamed(WEIGHTS, name -> "ema_model.module." + name));
        assertEquals(expected, accuracy(safetensors("c.safetensors", both)));
    }

    /** The index, any part with the index beside it; a part that is missing is named. */
    @Test
    void shards() throws IOException {
        Map<String, Object> first = new LinkedHashMap<>();
        Map<String, Object> second = new LinkedHashMap<>();
        StringBuilder map = new StringBuilder();
        StringBuilder bins = new StringBuilder();
        for (Map.Entry<String, Object> each : WEIGHTS.entrySet()) {
            int part = first.size() < 6 ? 1 : 2;
            (part == 1 ? first : second).put("module." + each.getKey(), each.getValue());
            String item = ",\"module." + each.getKey() + "\":\"%s-0000" + part + "-of-00002.%s\"";
            map.append(String.format(Locale.ROOT, item, "model", "safetensors"));
            bins.append(String.format(Locale.ROOT, item, "pytorch_model", "bin"));
        }
        List<Path> parts = List.of(
                safetensors("model-00001-of-00002.safetensors", first),
                safetensors("model-00002-of-00002.safetensors", second),
                MadeTorch.zip(temp.resolve("pytorch_model-00001-of-00002.bin"), first),
                MadeTorch.zip(temp.resolve("pytorch_model-00002-of-00002.bin"), second));
        eval(parts.get(1)).assertFails(1, parts.get(1) + ": is one part of several", ".index.json");
        Path index = Files.writeString(
                temp.resolve("model.safetensors.index.json"),
                "{\"metadata\":{\"total_size\":1},\"weight_map\":{" + map.substring(1) + "}}");
        Path binIndex = Files.writeString(
                temp.resolve("pytorch_model.bin.index.json"), "{\"weight_map\":{" + bins.substring(1) + "}}");
        for (Path file : List.of(index, binIndex, parts.get(0), parts.get(1), parts.get(2), parts.get(3))) {
            assertEquals(expected, accuracy(file), file.toString());
        }
        eval(temp).assertFails(1, temp + ": neither", "it holds model.safetensors.index.json: give that");
        Files.delete(parts.get(1));
        eval(index).assertFails(1, index + ": its part 'model-00002-of-00002.safetensors'", "is missing");
        safetensors("model-00002-of-00002.safetensors", WEIGHTS);
        eval(index)
                .assertFails(
                        1, index + ": tensor 'module.", "should be in 'model-00002-of-00002.safetensors', and is not");
    }

    private Path settings(boolean average) throws IOException {
        String yaml = Files.readString(config);
        assertTrue(yaml.contains("ema: true"), yaml);
        return Files.writeString(
                temp.resolve("ema-" + average + ".yaml"), yaml.replace("ema: true", "ema: " + average));
    }

    /** A moving average kept apart is used where the settings ask for it; which weights were used is said. */
    @Test
    void movingAverage() throws IOException {
        Map<String, Object> trained = new LinkedHashMap<>(WEIGHTS);
        trained.keySet().removeIf(name -> name.endsWith("_init") || name.endsWith("puzzle_emb.weights"));
        Map<String, Object> zeros = new LinkedHashMap<>(ZEROS);
        WEIGHTS.forEach((name, tensor) -> {
            if (!trained.containsKey(name)) {
                zeros.put(name, tensor);
            }
        });
        List<Object> files = List.of(
                table("model", ZEROS, "ema", table("mu", 0.999, "shadow", WEIGHTS)),
                table("model", zeros, "ema_helper", new Instance("models.ema", "EMAHelper", table("shadow", trained))),
                table("state_dict", ZEROS, "ema_state_dict", renamed(WEIGHTS, name -> "module." + name)),
                table(
                        "model_state_dict",
                        ZEROS,
                        "averaged_model",
                        with(WEIGHTS, "n_averaged", Tensor.of(new long[0], 4))),
                table("model", zeros, "ema", table("decay", 0.99, "shadow_params", List.copyOf(trained.values()))),
                with(renamed(ZEROS, name -> "online_model." + name), "ema_model", WEIGHTS));
        for (Object content : files) {
            Path file = MadeTorch.zip(temp.resolve("ck.pt"), content);
            Trm.Result averaged = eval(file, "--config", settings(true)).assertDone();
            assertEquals(expected, averaged.json().get("accuracy").asDouble());
            assertEquals(
                    1,
                    averaged.err()
                            .lines()
                            .filter(line -> line.startsWith("weights of "))
                            .count());
            assertTrue(averaged.err().contains("the moving average under '"), averaged.err());
            Trm.Result raw = eval(file, "--config", settings(false)).assertDone();
            assertNotEquals(expected, raw.json().get("accuracy").asDouble());
            assertTrue(raw.err().contains("the plain ones, under '"), raw.err());
        }
    }

    /** export, solve and load_checkpoint choose as eval does, and say so. */
    @Test
    void movingAverageEverywhere() throws IOException {
        Path file = MadeTorch.zip(temp.resolve("ck.pt"), table("model", ZEROS, "ema", table("shadow", WEIGHTS)));
        String said = "the moving average under 'ema.shadow'";
        Path out = temp.resolve("out.safetensors");
        Trm.Result exported = Trm.execute("export", file, "--config", settings(true), "--out", out)
                .assertDone();
        assertTrue(exported.err().contains(said), exported.err());
        assertEquals(SafeTensors.open(plain).bytes(HEAD), SafeTensors.open(out).bytes(HEAD));
        Trm.Result bare = Trm.execute("export", file, "--out", out, "--force").assertDone();
        assertTrue(bare.err().contains("not the moving average under 'ema.shadow': there are no settings"), bare.err());
        assertEquals(0, SafeTensors.open(out).floats(HEAD)[0]);
        Trm.Result solved = Trm.execute(
                        "solve", file, "--config", settings(true), "--puzzle", "1..4.2....3.3..2", "--device", "cpu")
                .assertDone();
        assertTrue(solved.err().contains(said), solved.err());
        for (boolean average : new boolean[] {true, false}) {
            Path folder = temp.resolve("run-" + average);
            Trm.Result begun = Trm.execute(
                            "train",
                            settings(average),
                            "--run",
                            folder,
                            "--device",
                            "cpu",
                            "load_checkpoint='" + file + "'",
                            "lr=0",
                            "puzzle_emb_lr=0",
                            "max_steps=1")
                    .assertDone();
            assertTrue(begun.err().contains(average ? said : "the plain ones, under 'model'"), begun.err());
            SafeTensors first = SafeTensors.open(new CheckpointStore(folder.resolve("checkpoints"), 1).path(1));
            for (String name : List.of(HEAD, "model.inner.H_init", "model.inner.puzzle_emb.weights")) {
                assertEquals(
                        average
                                ? SafeTensors.open(plain).bytes(name)
                                : ByteBuffer.allocate((int)
                                        SafeTensors.open(plain).entry(name).bytes()),
                        first.bytes(name),
                        name);
            }
        }
    }

    private void assertRefused(Object content, String... parts) {
        Path file = MadeTorch.zip(temp.resolve("bad.pt"), content);
        List<String> all = new ArrayList<>(List.of(parts));
        all.add(file + ": ");
        eval(file).assertFails(1, all.toArray(String[]::new));
    }

    @Test
    void whatCannotBeToldApart() {
        assertRefused(
                table("model", WEIGHTS, "state_dict", ZEROS),
                "tensor 'model.inner.",
                "is there twice, under 'model' and under 'state_dict', and the two differ");
        Map<String, Object> both = renamed(WEIGHTS, name -> "module." + name);
        both.put(HEAD, ZEROS.get(HEAD));
        assertRefused(both, "tensor '" + HEAD + "' is there twice");
        assertRefused(table("teacher", WEIGHTS, "student", ZEROS), "several sets of weights, under 'student' and");
        assertRefused(
                table("model", ZEROS, "ema_0.9", ZEROS, "ema_0.99", WEIGHTS), "has 2 moving averages", "ema: false");
    }

    @Test
    void whatIsNoTensor() {
        Call code = new Call("os", "system", "touch code-was-run");
        assertRefused(table("model", with(WEIGHTS, HEAD, code)), "tensor '" + HEAD + "' is a call of 'os.system'");
        assertRefused(table("model", with(WEIGHTS, "hook", code)), "entry 'model.hook' is a call of 'os.system'");
        assertRefused(with(WEIGHTS, HEAD, "text"), "tensor '" + HEAD + "' is 'text'; expected a tensor");
        assertRefused(
                with(WEIGHTS, HEAD, new Tensor("CharStorage", new long[] {6, 32}, new byte[192])),
                "tensor '" + HEAD + "' is I8; expected F32, BF16, F16 or F64");
        assertRefused(
                with(WEIGHTS, HEAD, new Call("torch._utils", "_rebuild_tensor_v2", null, 0, new Object[] {1}, 5)),
                "tensor '" + HEAD + "' is a call of 'torch._utils._rebuild_tensor_v2' that makes no tensor");
        assertRefused(
                with(WEIGHTS, "model.inner.gate.weight", Tensor.of(new long[] {1}, 1)),
                "tensor model.inner.gate.weight [1] is not part of the model");
        assertRefused(table("\u001b]0;owned\u0007\u001b[2J", 5), "a table with '\\u001b]0;owned\\u0007\\u001b[2J': 5");
        assertFalse(Files.exists(Path.of("code-was-run")));
    }

    /** Exported from a file of others, weights are those of the published names and nothing else. */
    @Test
    void exportOfOthers() {
        Map<String, Object> odd = with(
                renamed(WEIGHTS, name -> "_orig_mod." + name),
                "model.inner.puzzle_emb.local_ids",
                new Tensor("IntStorage", new long[] {1}, new byte[4]),
                "model.inner.seen",
                new Tensor("LongStorage", new long[] {}, new byte[8]));
        Path file = MadeTorch.zip(temp.resolve("odd.pt"), table("model", odd));
        Path out = temp.resolve("out.safetensors");
        Trm.Result result = Trm.execute("export", file, "--out", out).assertDone();
        assertTrue(result.err().contains("left out: tensor 'model.inner.seen' is I64"), result.err());
        SafeTensors found = SafeTensors.open(out);
        assertEquals(SafeTensors.open(plain).names(), found.names());
        found.names().forEach(name -> assertEquals(SafeTensors.open(plain).bytes(name), found.bytes(name), name));
        Object narrow = with(WEIGHTS, HEAD, new Tensor("CharStorage", new long[] {6, 32}, new byte[192]));
        Trm.execute("export", MadeTorch.zip(temp.resolve("narrow.pt"), narrow), "--out", out, "--force")
                .assertFails(1, "tensor '" + HEAD + "' is I8; expected F32");
    }
}
