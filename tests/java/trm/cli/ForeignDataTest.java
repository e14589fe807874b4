package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.Dataset;
import trm.data.format.Npy;
import trm.data.sudoku.MiniSudokuBuilder;

/** Data of other programs, several folders, and puzzles that a model has not seen, as a user meets them. */
class ForeignDataTest {
    private static final Path ARC = Path.of("tests/golden/datasets/arc_tiny");

    @TempDir
    private Path temp;

    private Path mini(String name, int seed) {
        MiniSudokuBuilder.build(temp.resolve(name), 4, 48, 20, seed, 8);
        return temp.resolve(name);
    }

    /** The same data, whose labels are ignored in every third place, by another value and id. */
    private Path ignoring(String name, int value, String id) throws IOException {
        Path folder = mini(name, 1);
        for (String split : List.of("train", "test")) {
            Dataset data = Dataset.open(folder, split);
            int[] labels = new int[data.examples() * 16];
            for (int e = 0; e < data.examples(); e++) {
                System.arraycopy(data.labelRow(e), 0, labels, 16 * e, 16);
            }
            for (int i = 16; i < labels.length; i += 3) { // not in the first, which shows that these are Sudokus
                labels[i] = value;
            }
            Npy.write(folder.resolve(split + "/all__labels.npy"), new int[] {data.examples(), 16}, labels);
            Path info = folder.resolve(split + "/dataset.json");
            Files.writeString(
                    info, Files.readString(info).replace("\"ignore_label_id\": 0", "\"ignore_label_id\": " + id));
        }
        return folder;
    }

    /** Losses of a run and its evaluations: the figures that do not depend on time. */
    private List<String> figures(Path data) throws IOException {
        Path run = temp.resolve("run-" + data.getFileName());
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), data);
        Trm.execute("train", config, "epochs=2", "log_every_steps=1", "--run", run, "--device", "cpu")
                .assertDone();
        List<String> figures = new ArrayList<>();
        List<String> rows = Files.readAllLines(run.resolve("metrics.csv"));
        List<String> titles = Arrays.asList(rows.get(0).split(","));
        for (String row : rows) {
            String[] values = row.split(",", -1);
            for (String title : List.of("step", "lm_loss", "accuracy", "eval_accuracy")) {
                figures.add(values[titles.indexOf(title)]);
            }
        }
        for (String split : List.of("train", "test")) {
            for (int vote : new int[] {1, 3}) {
                JsonNode json = Trm.execute("eval", run, "--split", split, "--vote", vote, "--json", "--device", "cpu")
                        .assertDone()
                        .json();
                figures.add(json.get("accuracy") + " " + json.get("exact_accuracy"));
            }
        }
        return figures;
    }

    /** Labels that PyTorch ignores, or that are no token, train and count as those of token 0 do. */
    @Test
    void labelsThatAreIgnored() throws IOException {
        List<String> expected = figures(ignoring("zero", 0, "0"));
        assertTrue(expected.size() > 20, expected + "");
        assertEquals(expected, figures(ignoring("torch", -100, "-100")));
        assertEquals(expected, figures(ignoring("none", -100, "null")));
        assertEquals(expected, figures(ignoring("byte", 77, "77")));
    }

    @Test
    void severalFolders() throws IOException {
        Path a = mini("a", 1);
        Path b = mini("b", 2);
        String both = "data_paths=['" + a + "', '" + b + "']";
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), a);
        Path run = temp.resolve("run");
        Trm.execute("train", config, both, "max_steps=1", "--run", run, "--device", "cpu")
                .assertDone();
        assertEquals(40, puzzles("eval", run));
        assertEquals(96, puzzles("eval", run, "--split", "train"));
        assertEquals(20, puzzles("eval", run, "--data", b));
        assertEquals(40, puzzles("eval", run, "--data", b, "--data", a));

        long one = data(Trm.execute("plan", config, "--memory", "8GB", "--json"));
        long two = data(Trm.execute("plan", config, both, "--memory", "8GB", "--json"));
        assertTrue(two > one, one + " " + two);
        String shape = "data_shape={seq_len: 16, vocab_size: 6, num_puzzle_identifiers: 2}";
        Trm.Result info =
                Trm.execute("info", config, both, shape, "epochs=10", "--json").assertDone();
        assertEquals(10 * 96 / 16, info.json().get("steps").asInt());

        String none = "data_paths=['" + a + "', '" + temp.resolve("none") + "']";
        String message = temp.resolve("none/train") + ": dataset folder not found, expected one as in " + a;
        Trm.execute("plan", config, none, "--memory", "8GB").assertFails(1, message);
        Trm.execute("info", config, none, shape).assertFails(1, message);
        Trm.execute("eval", run, "--data", a, "--data", temp.resolve("none"))
                .assertFails(1, temp.resolve("none/test") + ": dataset folder not found");
        MiniSudokuBuilder.build(temp.resolve("six"), 6, 4, 4, 1, 18);
        Trm.execute("eval", run, "--data", a, "--data", temp.resolve("six"))
                .assertFails(
                        1,
                        temp.resolve("six/test/dataset.json") + ": field 'seq_len': found 36, expected 16 as in " + a);
    }

    private static int puzzles(Object... args) throws IOException {
        Object[] all = Arrays.copyOf(args, args.length + 3);
        all[args.length] = "--json";
        all[args.length + 1] = "--device";
        all[args.length + 2] = "cpu";
        return Trm.execute(all).assertDone().json().get("puzzles").asInt();
    }

    private static long data(Trm.Result plan) throws IOException {
        return plan.assertDone().json().get("parts").get("data").asLong();
    }

    private static final String[] ARC_MODEL = {
        "arch.puzzle_emb_ndim=32",
        "arch.puzzle_emb_len=1",
        "arch.expansion=1",
        "arch.halt_max_steps=2",
        "max_steps=1",
        "global_batch_size=4"
    };

    private Trm.Result trainArc(Path data, Path run, String... settings) throws IOException {
        Path config = Trm.tinyConfig(temp.resolve("arc.yaml"), data);
        List<Object> args = new ArrayList<>(List.of("train", config, "--run", run, "--device", "cpu"));
        args.addAll(List.of(ARC_MODEL));
        args.addAll(List.of(settings));
        return Trm.execute(args.toArray());
    }

    private Path arc(String name, String subset, int aug) {
        Path out = temp.resolve(name);
        Trm.execute(
                        "data",
                        "arc",
                        "--prefix",
                        ARC.resolve("input/arc"),
                        "--subsets",
                        subset,
                        "--test-set",
                        subset,
                        "--aug",
                        aug,
                        "--out",
                        out)
                .assertDone();
        return out;
    }

    /** Tasks that a model has not seen have no vectors: the evaluation says so, and how to adapt the model, which works. */
    @Test
    void tasksThatAModelHasNotSeen() throws IOException {
        Path seen = arc("seen", "evaluation", 2);
        Path unseen = arc("unseen", "concept", 2);
        Path run = temp.resolve("run");
        trainArc(seen, run).assertDone();
        Trm.execute("eval", run, "--data", unseen, "--device", "cpu")
                .assertFails(
                        1,
                        unseen + ": 3 of its puzzles are not those of " + seen
                                + ", which the model was trained on, the first '",
                        "trm train CONFIG.yaml data_paths=[" + unseen + "] load_checkpoint=",
                        "freeze_weights=true");
        Path adapted = temp.resolve("adapted");
        trainArc(unseen, adapted, "load_checkpoint=" + run, "freeze_weights=true", "epochs=4")
                .assertDone();
        Trm.Result result = Trm.execute("eval", adapted, "--device", "cpu").assertDone();
        assertTrue(result.text().contains("ARC, share of tasks"), result.out());

        // as many identifiers, and other names
        Path same = Trm.copy(seen, temp.resolve("same"));
        Path names = same.resolve("identifiers.json");
        Trm.execute("eval", run, "--data", same, "--device", "cpu").assertDone();
        String text = Files.readString(names);
        String first = text.split("\"")[3];
        Files.writeString(names, text.replace("\"" + first, "\"another"));
        Trm.execute("eval", run, "--data", same, "--device", "cpu")
                .assertFails(1, "3 of its puzzles are not those of " + seen, "the first 'another' (identifier 1)");
        Files.delete(names); // then only the number tells
        Trm.execute("eval", run, "--data", same, "--split", "train", "--device", "cpu")
                .assertDone();
        Files.delete(unseen.resolve("identifiers.json"));
        Trm.execute("eval", run, "--data", unseen, "--split", "train", "--device", "cpu")
                .assertFails(1, unseen + ": it has 4 puzzle identifiers, the model knows ", "freeze_weights=true");
    }

    /** Outputs that are not known count as wrong, and the evaluation says so. */
    @Test
    void tasksWithoutSolutions() throws IOException {
        for (String name : new String[] {"training", "test"}) {
            String task =
                    "{\"train\": [{\"input\": [[1]], \"output\": [[2]]}, {\"input\": [[3]], \"output\": [[4]]}], \"test\":"
                            + " [{\"input\": [[5]]" + (name.equals("test") ? "" : ", \"output\": [[6]]") + "}]}";
            Files.writeString(temp.resolve("x_" + name + "-challenges.json"), "{\"" + name + "\": " + task + "}");
        }
        Path data = temp.resolve("data");
        Trm.execute(
                        "data",
                        "arc",
                        "--prefix",
                        temp.resolve("x"),
                        "--subsets",
                        "training,test",
                        "--test-set",
                        "test",
                        "--aug",
                        "1",
                        "--out",
                        data)
                .assertDone();
        Path run = temp.resolve("run");
        trainArc(data, run, "epochs=4").assertDone();
        Path submission = temp.resolve("submission.json");
        String said = Trm.execute("eval", run, "--submission", submission, "--device", "cpu")
                .assertDone()
                .err();
        assertTrue(said.contains("1 tasks have test outputs that are not known"), said);
        assertTrue(Files.readString(submission).startsWith("{\"test\": [{\"attempt_1\": "));
    }
}
