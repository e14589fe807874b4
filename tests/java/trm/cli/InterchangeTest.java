package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.io.CheckpointStore;
import trm.io.SafeTensors;
import trm.io.SafeTensorsWriter;
import trm.io.TorchFile;

/** Weights that come from PyTorch's files and go to them, as a user moves them. */
class InterchangeTest {
    private static final String TABLE = "model.inner.puzzle_emb.weights";
    private static final List<String> PUZZLES = List.of("arch.puzzle_emb_ndim=32", "arch.puzzle_emb_len=2");

    @TempDir
    private static Path shared;

    private static Path config;
    private static Path run;
    private static Path plain; // the run's weights as safetensors
    private static Path torch; // and as PyTorch's file

    @TempDir
    private Path temp;

    @BeforeAll
    static void train() throws IOException {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 64, 20, 1, 8);
        config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        run = shared.resolve("run");
        plain = shared.resolve("plain.safetensors");
        torch = shared.resolve("torch.pt");
        train(run, List.of("puzzle_emb_lr=0.01")).assertDone();
        Trm.execute("export", run, "--out", plain).assertDone();
        Trm.execute("export", run, "--out", torch).assertDone();
    }

    private static Trm.Result train(Path folder, List<String> settings) {
        List<Object> args = new ArrayList<>(List.of("train", config, "--run", folder, "--device", "cpu"));
        args.addAll(PUZZLES);
        args.addAll(settings);
        return Trm.execute(args.toArray());
    }

    private static Path settings() {
        return run.resolve("config.yaml");
    }

    private static void assertSame(SafeTensors expected, SafeTensors found) {
        assertEquals(expected.names(), found.names());
        for (String name : expected.names()) {
            assertArrayEquals(expected.entry(name).shape(), found.entry(name).shape(), name);
            assertEquals(expected.entry(name).dtype(), found.entry(name).dtype(), name);
            assertEquals(expected.bytes(name), found.bytes(name), name);
        }
    }

    /** To PyTorch's format and back the file is the same, settings included. */
    @Test
    void thereAndBack() throws IOException {
        assertSame(SafeTensors.open(plain), TorchFile.read(torch));
        Path back = temp.resolve("back.safetensors");
        Trm.execute("export", torch, "--config", settings(), "--out", back).assertDone();
        assertArrayEquals(Files.readAllBytes(plain), Files.readAllBytes(back));
        Path again = temp.resolve("again.pt");
        Trm.execute("export", torch, "--out", again).assertDone();
        assertArrayEquals(Files.readAllBytes(torch), Files.readAllBytes(again));
    }

    /** The published files keep their types, and the latents of a bfloat16 model are rounded to it for PyTorch. */
    @Test
    void types() {
        Path published = Path.of("tests/golden/checkpoint_official_tiny.pt");
        Path out = temp.resolve("out.safetensors");
        Trm.execute("export", published, "--out", out).assertDone();
        assertSame(TorchFile.read(published), SafeTensors.open(out));
        assertEquals("BF16", SafeTensors.open(out).entry("model.inner.H_init").dtype());
        Path half = temp.resolve("half.pt");
        Path bf16 = temp.resolve("bf16.yaml");
        try {
            Files.writeString(
                    bf16, Files.readString(settings()).replace("forward_dtype: float32", "forward_dtype: bfloat16"));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        Trm.execute("export", plain, "--config", bf16, "--out", half).assertDone();
        float[] exact = SafeTensors.open(plain).floats("model.inner.L_init");
        SafeTensors rounded = TorchFile.read(half);
        assertEquals("BF16", rounded.entry("model.inner.L_init").dtype());
        assertEquals("F32", rounded.entry(TABLE).dtype());
        for (int i = 0; i < exact.length; i++) {
            assertEquals(exact[i], rounded.floats("model.inner.L_init")[i], Math.abs(exact[i]) / 256);
        }
    }

    private static JsonNode accuracy(Object... args) throws IOException {
        List<Object> all = new ArrayList<>(List.of("eval"));
        all.addAll(List.of(args));
        all.addAll(List.of("--json", "--device", "cpu"));
        return Trm.execute(all.toArray()).assertDone().json().get("accuracy");
    }

    @Test
    void everyFormAnswersTheSame() throws IOException {
        JsonNode expected = accuracy(run);
        assertEquals(expected, accuracy(plain));
        assertEquals(expected, accuracy(torch, "--config", settings()));
        Path step = Files.copy(torch, temp.resolve("step_4")); // as the published training names it
        Files.copy(settings(), temp.resolve("all_config.yaml"));
        assertEquals(expected, accuracy(step));
        String[] solve = {"solve", "", "--puzzle", "1..4.2....3.3..2", "--json", "--device", "cpu"};
        List<String> answers = new ArrayList<>();
        for (Path file : List.of(run, plain, step)) {
            solve[1] = file.toString();
            answers.add(Trm.execute((Object[]) solve)
                    .assertDone()
                    .json()
                    .get("answer")
                    .asText());
        }
        assertEquals(1, answers.stream().distinct().count(), answers.toString());
    }

    @Test
    void settingsThatAreMissing() throws IOException {
        Path alone = Files.copy(torch, temp.resolve("alone.pt"));
        for (String command : List.of("eval", "solve")) {
            List<Object> args = new ArrayList<>(List.of(command, alone));
            args.addAll(command.equals("solve") ? List.of("--puzzle", ".".repeat(16)) : List.of());
            Trm.execute(args.toArray())
                    .assertFails(
                            1,
                            alone + ": carries no settings, and there is no all_config.yaml beside it; give --config");
            args.addAll(List.of("--config", temp.resolve("none.yaml")));
            Trm.execute(args.toArray()).assertFails(2, temp.resolve("none.yaml") + ": no such file");
        }
    }

    @Test
    void codeIsRefused() {
        Path code = Path.of("tests/golden/torch/code.pt");
        String message = code + ": entry 'code' is a call of 'posix.system'; expected a tensor";
        Trm.execute("eval", code, "--config", settings()).assertFails(1, message);
        Trm.execute("export", code, "--out", temp.resolve("x.safetensors")).assertFails(1, message);
        train(temp.resolve("run"), List.of("load_checkpoint='" + code + "'")).assertFails(1, message);
        assertFalse(Files.exists(Path.of("code-was-run")));
    }

    /** A safetensors file like {@link #plain} with one tensor more or another. */
    private Path altered(String name, long[] shape, UnaryOperator<float[]> change) {
        SafeTensors from = SafeTensors.open(plain);
        SafeTensorsWriter writer = new SafeTensorsWriter();
        from.metadata().forEach(writer::metadata);
        for (String each : from.names()) {
            if (!each.equals(name)) {
                writer.add(each, "F32", from.entry(each).shape(), from.floats(each));
            }
        }
        writer.add(name, "F32", shape, change.apply(from.contains(name) ? from.floats(name) : null));
        Path file = temp.resolve("altered.safetensors");
        writer.writeTo(file);
        return file;
    }

    @Test
    void anotherModel() {
        String more = "model.inner.H_level.layers.0.mlp.down_proj.weight";
        Path file = altered(more, new long[] {2, 2}, none -> new float[4]);
        String message =
                file + ": tensor " + more + " [2, 2] is not part of the model; is this a checkpoint of another";
        Trm.execute("eval", file).assertFails(1, message);
        train(temp.resolve("run"), List.of("load_checkpoint='" + file + "'")).assertFails(1, message);
        train(temp.resolve("run"), List.of("load_checkpoint='" + torch + "'", "arch.hidden_size=64"))
                .assertFails(
                        1, torch + ": tensor model.inner.embed_tokens.embedding_weight has shape [6, 32],", "[6, 64]");
        train(temp.resolve("run"), List.of("load_checkpoint='" + torch + "'", "arch.mlp_t=false"))
                .assertFails(
                        1, torch + ": no tensor model.inner.L_level.layers.0.self_attn.qkv_proj.weight, expected F32");
        train(temp.resolve("run"), List.of("load_checkpoint='" + torch + "'", "arch.L_layers=2"))
                .assertFails(1, torch + ": no tensor model.inner.L_level.layers.1.");
        train(temp.resolve("run"), List.of("load_checkpoint=none.pt")).assertFails(1, "none.pt: neither a checkpoint");
        train(temp.resolve("run"), List.of("load_checkpoint=''"))
                .assertFails(2, "load_checkpoint", "must not be empty");
    }

    private SafeTensors checkpoint(Path folder) {
        return SafeTensors.open(new CheckpointStore(folder.resolve("checkpoints"), 1).path(1));
    }

    /** Of every system: what it writes it reads, in each form, and begins another run with. */
    @ParameterizedTest
    @ValueSource(strings = {"hrm", "hier6", "singlez", "separate", "transformer"})
    void everySystem(String name) throws IOException {
        Path yaml = Path.of("configs/cpu/mini-" + name + ".yaml");
        List<Object> args = new ArrayList<>(List.of("train", yaml, "--device", "cpu"));
        args.addAll(List.of("data_paths=['" + shared.resolve("data") + "']", "max_steps=1", "global_batch_size=8"));
        List<Object> first = new ArrayList<>(args);
        first.addAll(List.of("--run", temp.resolve("first")));
        Trm.execute(first.toArray()).assertDone();
        Path out = temp.resolve("weights.pt");
        Trm.execute("export", temp.resolve("first"), "--out", out).assertDone();
        Path yamlOfRun = temp.resolve("first/config.yaml");
        assertEquals(accuracy(temp.resolve("first")), accuracy(out, "--config", yamlOfRun));
        args.addAll(
                List.of("--run", temp.resolve("second"), "load_checkpoint='" + out + "'", "lr=0", "puzzle_emb_lr=0"));
        Trm.execute(args.toArray()).assertDone();
        SafeTensors loaded = TorchFile.read(out);
        SafeTensors found = checkpoint(temp.resolve("second"));
        for (String tensor : loaded.names()) {
            assertEquals(loaded.bytes(tensor), found.bytes(tensor), tensor);
        }
    }

    /** A learned prefix goes out and comes in by its name, which PyTorch's wrappers may stand before. */
    @Test
    void learnedPrefix() throws IOException {
        Path folder = temp.resolve("run");
        String[] settings = {"arch.learned_prefix=2", "arch.puzzle_emb_ndim=0", "arch.puzzle_emb_len=0", "max_steps=2"};
        List<Object> args = new ArrayList<>(List.of("train", config, "--run", folder, "--device", "cpu"));
        args.addAll(List.of(settings));
        Trm.execute(args.toArray()).assertDone();
        Path exported = temp.resolve("prefix.pt");
        Trm.execute("export", folder, "--out", exported).assertDone();
        SafeTensors found = TorchFile.read(exported);
        assertEquals(2, found.entry("model.inner.embed_prefix.embedding_weight").shape()[0]);
        assertFalse(found.contains(TABLE));
        Path back = temp.resolve("back.safetensors");
        Trm.execute("export", exported, "--config", folder.resolve("config.yaml"), "--out", back)
                .assertDone();
        assertSame(found, SafeTensors.open(back));
    }

    /** A run without a learning rate keeps what it has loaded: weights, average, puzzle table and latents. */
    @Test
    void trainingBeginsWithLoadedWeights() {
        for (Path source : List.of(torch, plain, run)) {
            Path folder = temp.resolve("from-" + source.getFileName());
            Trm.Result result = train(
                    folder,
                    List.of("load_checkpoint='" + source + "'", "lr=0", "puzzle_emb_lr=0", "max_steps=1", "seed=9"));
            assertTrue(result.assertDone().err().contains("initial weights from " + source), result.err());
            SafeTensors expected = SafeTensors.open(plain);
            SafeTensors found = checkpoint(folder);
            for (String name : expected.names()) {
                assertEquals(expected.bytes(name), found.bytes(name), name);
                String average = "ema." + name.substring("model.inner.".length());
                if (found.contains(average)) { // 0.999 s + 0.001 s rounds
                    float[] want = expected.floats(name);
                    float[] got = found.floats(average);
                    for (int i = 0; i < want.length; i++) {
                        assertEquals(want[i], got[i], 2e-7 * Math.abs(want[i]), average);
                    }
                }
            }
        }
    }

    /** Other identifiers: every row becomes the mean of the old ones. To evaluate with, such a file is refused. */
    @Test
    void otherPuzzleIdentifiers() {
        float[] table = new float[3 * 32];
        for (int i = 0; i < table.length; i++) {
            table[i] = (float) Math.sin(i) / 8;
        }
        Path file = altered(TABLE, new long[] {3, 32}, one -> table);
        Path folder = temp.resolve("run");
        Trm.Result result =
                train(folder, List.of("load_checkpoint='" + file + "'", "lr=0", "puzzle_emb_lr=0", "max_steps=1"));
        assertTrue(
                result.assertDone().err().contains("every puzzle vector begins as the mean of its own"), result.err());
        float[] found = checkpoint(folder).floats(TABLE);
        assertEquals(32, found.length);
        for (int i = 0; i < found.length; i++) {
            double mean = ((double) table[i] + table[32 + i] + table[64 + i]) / 3;
            assertEquals(mean, found[i], 1e-8);
        }
        assertTrue(Arrays.stream(new int[] {0, 5}).allMatch(i -> found[i] != 0));
        Trm.execute("eval", file).assertFails(1, "it has 1 puzzle identifiers, the model knows 3");
        Path wide = altered(TABLE, new long[] {3, 16}, one -> new float[48]);
        train(temp.resolve("wide"), List.of("load_checkpoint='" + wide + "'"))
                .assertFails(1, wide + ": tensor " + TABLE + " has shape [3, 16], expected [3, 32]");
    }
}
