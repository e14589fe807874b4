package trm.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.data.format.Npy;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.io.CheckpointStore;

/**
 * Bad input as a user meets it: one message that names the place, what was found and what was expected, and the exit
 * code. The rules themselves have tests beside their classes.
 */
class BadInputTest {
    private static final String QUESTION =
            "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79";
    private static final String ANSWER =
            "534678912672195348198342567859761423426853791713924856961537284287419635345286179";

    @TempDir
    private static Path shared;

    private static Path config;
    private static Path run;

    @TempDir
    private Path temp;

    @BeforeAll
    static void train() throws IOException {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 64, 20, 1, 8);
        config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        run = shared.resolve("run");
        Trm.execute("train", config, "--run", run, "--device", "cpu").assertDone();
    }

    // ---- data sets ----

    /** Training on a copy of the data in which one file is other. */
    private void assertTrainFails(String file, byte[] content, String... parts) throws IOException {
        Path data = temp.resolve("data");
        if (Files.notExists(data)) {
            Trm.copy(shared.resolve("data"), data);
        }
        Path path = data.resolve("train").resolve(file);
        byte[] good = Files.readAllBytes(path);
        Files.write(path, content);
        List<String> all = new ArrayList<>(List.of(parts));
        all.add(path + ": ");
        Trm.execute("train", config, "data_paths=['" + data + "']", "--run", temp.resolve("run"), "--device", "cpu")
                .assertFails(1, all.toArray(String[]::new));
        Files.write(path, good);
    }

    private static byte[] good(String file) throws IOException {
        return Files.readAllBytes(shared.resolve("data/train").resolve(file));
    }

    private static byte[] edited(String file, String from, String to) throws IOException {
        String text = new String(good(file), StandardCharsets.ISO_8859_1);
        if (!text.contains(from)) {
            throw new AssertionError(
                    file + " has no '" + from + "': " + text.substring(0, Math.min(300, text.length())));
        }
        return text.replace(from, to).getBytes(StandardCharsets.ISO_8859_1);
    }

    private byte[] npy(int[] shape, int[] values) throws IOException {
        Path file = temp.resolve("made.npy");
        Npy.write(file, shape, values);
        return Files.readAllBytes(file);
    }

    private byte[] npy(int[] shape, byte[] values) throws IOException {
        Path file = temp.resolve("made.npy");
        Npy.write(file, shape, values);
        return Files.readAllBytes(file);
    }

    @Test
    void truncatedArray() throws IOException {
        byte[] inputs = good("all__inputs.npy");
        assertTrainFails(
                "all__inputs.npy", Arrays.copyOf(inputs, inputs.length - 1), "truncated: found 1023 bytes", "1024");
        assertTrainFails("all__inputs.npy", Arrays.copyOf(inputs, 40), "truncated in the header: found 40 bytes");
    }

    @Test
    void arrayOfWrongType() throws IOException {
        assertTrainFails(
                "all__inputs.npy",
                edited("all__inputs.npy", "|u1", "<f4"),
                "descr: found dtype '<f4', floating-point numbers");
    }

    @Test
    void arrayOfWrongShape() throws IOException {
        assertTrainFails(
                "all__inputs.npy",
                npy(new int[] {128, 8}, new byte[1024]),
                "found rows of 8 tokens, expected seq_len 16");
        assertTrainFails(
                "all__labels.npy", npy(new int[] {3, 16}, new byte[48]), "found 3 rows, expected 64 as in all__inputs");
        assertTrainFails("all__labels.npy", npy(new int[] {1024}, new byte[1024]), "found 1 dimensions", "expected 2");
    }

    @Test
    void infoWithoutAField() throws IOException {
        assertTrainFails(
                "dataset.json", edited("dataset.json", "\"seq_len\"", "\"other\""), "field 'seq_len' is missing");
    }

    @Test
    void infoThatDisagreesWithTheArrays() throws IOException {
        assertTrainFails(
                "dataset.json",
                edited("dataset.json", "\"total_groups\": 64", "\"total_groups\": 65"),
                "field 'total_groups': found 65, expected 64");
    }

    @ParameterizedTest
    @CsvSource({"all__inputs.npy", "all__labels.npy"})
    void tokenOutsideTheVocabulary(String file) throws IOException {
        byte[] array = good(file);
        array[array.length - 1] = 6;
        assertTrainFails(file, array, "row 63, column 15: found token 6", "expected 0 .. 5");
    }

    @ParameterizedTest
    @CsvSource({"all__group_indices.npy", "all__puzzle_indices.npy"})
    void indicesThatFall(String file) throws IOException {
        int[] indices = new int[65];
        Arrays.setAll(indices, i -> i);
        indices[7] = 3;
        assertTrainFails(file, npy(new int[] {65}, indices), "entry 7: found 3 after 6", "expected increasing");
    }

    // ---- CSV ----

    private void assertRowFails(String question, String answer, String... parts) throws IOException {
        Path bad = temp.resolve("bad.csv");
        Path fine = temp.resolve("fine.csv");
        String header = "source,question,answer,rating\n";
        Files.writeString(fine, header + "a," + QUESTION + "," + ANSWER + ",1\n");
        Files.writeString(bad, header + "a," + QUESTION + "," + ANSWER + ",1\na," + question + "," + answer + ",1\n");
        Path out = temp.resolve("out");
        List<String> all = new ArrayList<>(List.of(parts));
        all.add(bad + ":3: ");
        for (Path[] files : new Path[][] {{bad, fine}, {fine, bad}}) {
            Trm.execute("data", "sudoku", "--train", files[0], "--test", files[1], "--out", out)
                    .assertFails(1, all.toArray(String[]::new));
        }
        if (Files.exists(out)) {
            throw new AssertionError(out + " was written");
        }
    }

    @Test
    void rowOf80Characters() throws IOException {
        assertRowFails(QUESTION.substring(1), ANSWER, "question: found 80 cells, expected 81");
        assertRowFails(QUESTION, ANSWER.substring(1), "answer: found 80 cells, expected 81");
    }

    @Test
    void rowWithALetter() throws IOException {
        assertRowFails("x" + QUESTION.substring(1), ANSWER, "question: character 1: found 'x'");
    }

    @Test
    void solutionThatContradictsItsPuzzle() throws IOException {
        assertRowFails(
                "4" + QUESTION.substring(1), ANSWER, "answer: found 5 in row 1, column 1, expected the question's 4");
        assertRowFails("." + QUESTION.substring(1), "4" + ANSWER.substring(1), "answer: not a legal sudoku: found 4");
    }

    // ---- configurations ----

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "arch.mlp_t=false arch.pos_encodings=rope arch.hidden_size=36 arch.num_heads=4"
                        + " | arch.num_heads is 4: | the head width is 9; rotary positions need an even one",
                "arch.puzzle_emb_ndim=33 arch.puzzle_emb_len=1 arch.hidden_size=32"
                        + " | arch.puzzle_emb_ndim is 33: | at most puzzle_emb_len x hidden_size, 1 x 32 = 32",
                "arch.puzzle_emb_ndim=0 arch.puzzle_emb_len=2"
                        + " | arch.puzzle_emb_len is 2: | must be 0 when puzzle_emb_ndim is 0",
                "arch.name=urm | arch.name is urm | expected one of trm, trm_singlez, trm_hier6, hrm, transformers_baseline",
                "arch=trm_hier6 arch.L_cycles=7 | override 'arch.L_cycles=7' | must be at most num_scales, which is 6",
                "arch=hrm arch.no_ACT_continue=true | arch.no_ACT_continue is true | hrm always learns when to continue",
                "arch=transformers_baseline | arch.L_layers is 1 | one network (H_layers) applied once; leave it out, or 0",
                "arch.H_cycels=3 | arch.H_cycels | arch.H_cycles",
                "augment=fresh | augment is fresh: | found the expanded form, which does not say which examples are copies",
                "augment=new | augment | expected stored or fresh",
                "eval_puzzles=-1 | eval_puzzles is -1: | must be at least 0",
                "global_batch_size=many | global_batch_size | many",
                "lr | override 'lr' | expected key=value",
                "threads=100000 | override 'threads=100000': threads is 100000: | must be at most 1024",
                "seed=-1 | seed is -1: | must be at least 0",
                "arch.hidden_size=1073741824 | arch.hidden_size is 1073741824: | must be at most 65536",
                "arch.H_cycles=1000000000 | arch.H_cycles is 1000000000: | must be at most 1024",
                "data_path=a data_paths=[b] | override 'data_path=a': data_path is a, | names other data; give one of them",
                "epochs=4 | override 'eval_interval=5' | must be at most epochs, which is 4",
            })
    void configurationThatCannotBe(String settings, String where, String rule) {
        List<Object> args = new ArrayList<>(List.of("train", config, "--run", temp.resolve("run")));
        args.addAll(List.of(settings.split(" ")));
        if (settings.startsWith("epochs")) {
            args.add("eval_interval=5");
        }
        Trm.execute(args.toArray()).assertFails(2, where, rule);
        if (Files.exists(temp.resolve("run"))) {
            throw new AssertionError("the run folder was made");
        }
    }

    // ---- checkpoints ----

    private static Path checkpoint() {
        return new CheckpointStore(run.resolve("checkpoints"), 1).path(4);
    }

    /** The message names the tensor, what was found and what was expected. */
    @Test
    void checkpointOfAnotherArchitecture() throws IOException {
        Path yaml = temp.resolve("other.yaml");
        String settings = Files.readString(run.resolve("config.yaml"));
        Files.writeString(yaml, settings.replace("hidden_size: 32", "hidden_size: 64"));
        Trm.execute("train", yaml, "load_checkpoint=" + run, "--run", temp.resolve("run"), "--device", "cpu")
                .assertFails(
                        1,
                        "step-00000004.safetensors: tensor ema.embed_tokens.embedding_weight has shape"
                                + " [6, 32], expected [6, 64]");
        Files.writeString(yaml, settings.replace("mlp_t: true", "mlp_t: false"));
        Trm.execute("train", yaml, "load_checkpoint=" + run, "--run", temp.resolve("run"), "--device", "cpu")
                .assertFails(
                        1,
                        "step-00000004.safetensors: no tensor model.inner.L_level.layers.0.self_attn.qkv_proj.weight,"
                                + " expected F32[96, 32]; is this a checkpoint of another architecture?");
        MiniSudokuBuilder.build(temp.resolve("six"), 6, 4, 4, 1, 18);
        Trm.execute("eval", run, "--data", temp.resolve("six"))
                .assertFails(1, "embed_tokens.embedding_weight has shape [6, 32], expected [8, 32]");
    }

    private void assertCheckpointFails(byte[] content, String... parts) throws IOException {
        Path file = Files.write(temp.resolve("bad.safetensors"), content);
        List<String> all = new ArrayList<>(List.of(parts));
        all.add(file + ": ");
        Trm.execute("eval", file).assertFails(1, all.toArray(String[]::new));
        Trm.execute("solve", file, "--puzzle", ".".repeat(16)).assertFails(1, all.toArray(String[]::new));
        Trm.execute("export", file, "--out", temp.resolve("out.safetensors"))
                .assertFails(1, all.toArray(String[]::new));
    }

    @Test
    void headerThatLies() throws IOException {
        byte[] good = Files.readAllBytes(checkpoint());
        byte[] huge = good.clone();
        ByteBuffer.wrap(huge).order(ByteOrder.LITTLE_ENDIAN).putLong(0, 1L << 31);
        assertCheckpointFails(huge, "header length is 2147483648 bytes; expected at most 100000000");
        assertCheckpointFails(
                Arrays.copyOf(good, good.length - 1), "reach outside the file, which has ", "bytes of data");
        String text = new String(good, StandardCharsets.ISO_8859_1);
        int at = text.indexOf("\"data_offsets\":[0,") + "\"data_offsets\":[0,".length();
        byte[] shifted = good.clone();
        shifted[at] = (byte) (shifted[at] == '9' ? '8' : shifted[at] + 1);
        assertCheckpointFails(shifted, "data_offsets [0, ", "bytes; expected 768 for F32 [6, 32]");
        assertCheckpointFails(new byte[3], "has 3 bytes, too short for a safetensors file");
        assertCheckpointFails("{\"a\": 1}, and so on".getBytes(StandardCharsets.UTF_8), "not a safetensors file?");
    }

    /** Reported, and the one before is used; exit code 1 when there is none. */
    @Test
    void damagedCheckpoint() throws IOException {
        Path copy = Trm.copy(run, temp.resolve("run"));
        Path newest = copy.resolve("checkpoints/step-00000004.safetensors");
        byte[] bytes = Files.readAllBytes(newest);
        bytes[bytes.length - 5] ^= 1;
        Files.write(newest, bytes);
        Trm.execute("eval", copy).assertFails(1, copy.resolve("checkpoints") + ": no valid checkpoint");
        Trm.execute("train", "--resume", copy).assertFails(1, "no valid checkpoint to resume from");
    }

    /** A safetensors file that trm train did not write. */
    @Test
    void foreignCheckpoint() throws IOException {
        Path file = temp.resolve("other.safetensors");
        new trm.io.SafeTensorsWriter()
                .add("w", "F32", new long[] {2}, new float[2])
                .writeTo(file);
        Trm.execute("eval", file)
                .assertFails(1, file + ": carries no settings, and there is no all_config.yaml beside it", "--config");
        Trm.execute("export", file, "--out", temp.resolve("out.safetensors"))
                .assertFails(1, file + ": none of its 1 tensors has a name that begins with 'model.inner.'");
    }

    @Test
    void exportToAFolderThatIsNotThere() {
        Path out = temp.resolve("none/out.safetensors");
        Trm.execute("export", run, "--out", out).assertFails(1, out + ": cannot be written: no such file or folder");
    }
}
