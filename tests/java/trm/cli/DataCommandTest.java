package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.config.Augment;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.config.TrainConfig;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.FreshSymmetries;
import trm.data.puzzle.Symmetries;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.evaluation.ArcVotes;

/** The commands that make data sets and look into them; what they write has tests beside the builders. */
class DataCommandTest {
    private static final Path GOLDEN = Path.of("tests/golden/datasets");

    @TempDir
    private Path temp;

    @Test
    void maze() throws IOException {
        Path input = GOLDEN.resolve("maze_small/input");
        Path out = temp.resolve("out");
        List<Object> args = new ArrayList<>(List.of(
                "data",
                "maze",
                "--train",
                input.resolve("train.csv"),
                "--test",
                input.resolve("test.csv"),
                "--out",
                out));
        String said = Trm.execute(args.toArray()).assertDone().err();
        assertTrue(said.contains("8 x 8 cells, 6 training examples (6 mazes), 4 test mazes"), said);
        assertTrue(Files.exists(out.resolve("test/all__sources.csv")));
        args.add("--aug");
        Trm.execute(args.toArray()).assertDone();
        assertEquals(48, Dataset.open(out, "train").examples());
        args.addAll(List.of("--subsample", 0));
        Trm.execute(args.toArray()).assertFails(2, "--subsample 0: expected at least 1");
        Path bad = Files.writeString(temp.resolve("bad.csv"), "source,question,answer,rating\na,S.G#,SoG#,1\n");
        Trm.execute("data", "maze", "--train", bad, "--test", bad, "--out", temp.resolve("none"))
                .assertFails(1, bad + ":2: question: character 2: found '.', expected one of '# SGo'");
        assertFalse(Files.exists(temp.resolve("none")));
    }

    @Test
    void generatedMazes() {
        Path out = temp.resolve("out");
        String said = maze("--generate 4 --test-size 3 --size 10 --min-path 20 --seed 3 --aug", out)
                .assertDone()
                .err();
        assertTrue(said.contains("10 x 10 cells, 32 training examples (4 mazes), 3 test mazes"), said);
        assertEquals(32, Dataset.open(out, "train").examples());
        Path none = temp.resolve("none");
        maze("--generate 1 --size 5 --min-path 30", none)
                .assertFails(
                        1,
                        "mazes of 5 x 5 cells whose shortest path has 30 moves or more: found 0",
                        "; expected 1: ask for shorter paths");
        maze("--generate 0", none).assertFails(2, "--generate 0: expected at least 1");
        maze("--generate 1 --test-size 0", none).assertFails(2, "--test-size 0: expected at least 1");
        maze("--generate 1 --min-path 0", none).assertFails(2, "--min-path 0: expected at least 1");
        maze("--generate 1 --size 63", none).assertFails(2, "--size 63: expected 3 .. 62");
        maze("--generate 1 --question q", none)
                .assertFails(2, "--generate with --question or --answer: expected files of mazes, or none");
        maze("--generate 1 --train a.csv", none)
                .assertFails(2, "--generate with --train, --test or --subsample: expected files of mazes, or none");
        maze("--train a.csv", none).assertFails(2, "expected --train FILE and --test FILE, or --generate N");
        maze("--train a.csv --test b.csv --size 30", none)
                .assertFails(2, "--test-size, --size or --min-path without --generate: expected mazes to draw");
        assertFalse(Files.exists(none));
    }

    private static Trm.Result maze(String options, Path out) {
        List<Object> args = new ArrayList<>(List.of("data", "maze", "--out", out));
        args.addAll(List.of(options.split(" ")));
        return Trm.execute(args.toArray());
    }

    @Test
    void arc() throws IOException {
        Path out = temp.resolve("out");
        Object[] args = {
            "data",
            "arc",
            "--prefix",
            GOLDEN.resolve("arc_edge/input/arc"),
            "--subsets",
            "made,evaluation2",
            "--test-set",
            "evaluation2",
            "--aug",
            "3",
            "--seed",
            "5",
            "--out",
            out
        };
        String said = Trm.execute(args).assertDone().err();
        assertTrue(said.contains("the fewest, 1, has zero0001"), said);
        assertTrue(said.contains("3 tasks, 11 puzzle identifiers, 32 training examples, 4 test examples"), said);
        args[9] = "-1";
        Trm.execute(args).assertFails(2, "--aug -1: expected at least 0");
        args[9] = "3";
        args[7] = "evaluation";
        Trm.execute(args).assertFails(2, "--test-set [evaluation]: expected names among --subsets [made, evaluation2]");
        args[5] = "training,training";
        Trm.execute(args).assertFails(2, "--subsets [training, training]: found a name twice");
        args[5] = "training";
        args[7] = "training";
        Trm.execute(args)
                .assertFails(
                        1,
                        "subset 'training': found none of the files ",
                        "arc_training_challenges.json",
                        "arc-training-challenges.json, nor with .gz");
    }

    /** A smaller test split, and nothing else: its examples are the first of those of the whole. */
    @Test
    void someTasksOfArc() throws IOException {
        Path whole = temp.resolve("whole");
        Path some = temp.resolve("some");
        arc(whole, "").assertDone();
        arc(some, " --limit-test 1").assertDone();
        for (String file : List.of("identifiers.json", "train/all__inputs.npy", "train/all__puzzle_identifiers.npy")) {
            assertArrayEquals(Files.readAllBytes(whole.resolve(file)), Files.readAllBytes(some.resolve(file)), file);
        }
        Dataset all = Dataset.open(whole, "test");
        Dataset first = Dataset.open(some, "test");
        assertEquals(3, all.groupIndices().length);
        assertEquals(2, first.groupIndices().length);
        assertEquals(all.puzzleIndices()[all.groupIndices()[1]], first.examples());
        for (int e = 0; e < first.examples(); e++) {
            assertArrayEquals(all.inputRow(e), first.inputRow(e));
            assertEquals(all.identifierOf(e), first.identifierOf(e));
        }
        assertTrue(ArcVotes.of(DataFolders.of(some), 0).ballots().stream().allMatch(b -> b.task()
                .equals(ArcVotes.of(DataFolders.of(whole), 0).ballots().get(0).task())));
        assertEquals(
                2, Files.readAllLines(some.resolve("test/all__sources.csv")).size());
        assertEquals(
                3, Files.readAllLines(whole.resolve("test/all__sources.csv")).size());
        arc(some, " --compact").assertDone();
        assertTrue(Files.exists(some.resolve("train/all__task_inputs.npy")));
        assertFalse(Files.exists(some.resolve("train/all__inputs.npy")));
        assertArrayEquals(all.inputRow(1), Dataset.open(some, "test").inputRow(1));
        Trm.execute("data", "arc", "--prefix", "x", "--subsets", "a", "--aug", 0, "--compact", "--out", some)
                .assertFails(2, "--compact with --aug 0: expected copies to be compact about, --aug 1 or more");
        arc(some, " --limit-test 0").assertFails(2, "--limit-test 0: expected at least 1");
        Trm.execute("data", "arc", "--prefix", "x", "--subsets", "a", "--limit-test", 1, "--out", some)
                .assertFails(2, "--limit-test without --test-set: expected test tasks to keep some of");
    }

    private static Trm.Result arc(Path out, String options) {
        List<Object> args = new ArrayList<>(List.of("data", "arc", "--out", out));
        args.addAll(List.of(("--prefix " + GOLDEN.resolve("arc_tiny/input/arc")
                        + " --subsets training,evaluation,concept --test-set evaluation --aug 2" + options)
                .split(" ")));
        return Trm.execute(args.toArray());
    }

    @Test
    void csv() throws IOException {
        Path file = Files.writeString(temp.resolve("own.csv"), "start,end\n..X,OXX\n");
        Object[] args = {
            "data",
            "csv",
            "--train",
            file,
            "--test",
            file,
            "--question",
            "start",
            "--answer",
            "end",
            "--out",
            temp.resolve("out")
        };
        String said = Trm.execute(args).assertDone().err();
        assertTrue(said.contains("1 training and 1 test puzzles of 3 cells, 4 tokens"), said);
        assertTrue(said.contains("those of '.OX' in this order"), said);
        Path conflict = Files.writeString(
                temp.resolve("two.jsonl"),
                "{\"start\":\"ab\",\"end\":\"aa\"}\n"
                        + "{\"start\":\"ba\",\"end\":\"aa\"}\n{\"start\":\"ab\",\"end\":\"bb\"}\n");
        args[3] = conflict;
        args[5] = conflict;
        said = Trm.execute(args).assertDone().err();
        assertTrue(said.contains(conflict + ":3: the question of line 1 with another answer"), said);
        args[3] = file;
        args[5] = file;
        args[7] = "begin";
        Trm.execute(args).assertFails(1, file + ":1: header: found 'start,end', expected columns 'begin' and 'end'");
    }

    /** A list of questions, a table of Kaggle's, and columns by name, each for both splits; no rating, no table of ratings. */
    @Test
    void sudoku() throws IOException {
        String question = ".1....2....47....53....1...2...6..3...94....8....7.6...9.8.........54..9..5..7.8.";
        String answer = "716985243984723165352641897271568934639412578548379621197836452863254719425197386";
        Path list = Files.writeString(temp.resolve("list.txt"), "# one\n" + question + "\n");
        Path kaggle = Files.writeString(
                temp.resolve("kaggle.csv"),
                "\ufeffid;puzzle;solution;clues;difficulty\r\n1;" + question + ";" + answer + ";23;0.5\r\n\r\n");
        Path out = temp.resolve("out");
        String said = sudoku(list, kaggle, out, "").assertDone().err();
        assertTrue(said.contains(list + ": has no answers to 1 of 1 puzzles; solved them"), said);
        assertTrue(said.contains("1 training examples (1 puzzles, 0 shuffled copies each), 1 test puzzles"), said);
        assertArrayEquals(
                Dataset.open(out, "test").labelRow(0),
                Dataset.open(out, "train").labelRow(0));
        assertEquals("source,rating\n,0.5\n", Files.readString(out.resolve("test/all__sources.csv")));
        sudoku(kaggle, list, out, "").assertDone();
        assertFalse(Files.exists(out.resolve("test/all__sources.csv")));
        sudoku(kaggle, kaggle, out, " --rating clues --source id --min-difficulty 22.5")
                .assertDone();
        assertEquals("source,rating\n1,23\n", Files.readString(out.resolve("test/all__sources.csv")));
        Path none = temp.resolve("none");
        sudoku(kaggle, kaggle, none, " --min-difficulty 0.6")
                .assertFails(1, kaggle + ": found no row of rating 0.6 or more");
        sudoku(kaggle, list, none, " --min-difficulty 0")
                .assertFails(1, list + ":2: rating: found none, expected a number");
        sudoku(kaggle, kaggle, none, " --min-difficulty NaN").assertFails(2, "--min-difficulty NaN: expected a number");
        sudoku(kaggle, list, none, " --answer solution").assertFails(1, list + ":2: header: found ", "and 'solution'");
        assertFalse(Files.exists(none));
    }

    private static Trm.Result sudoku(Path train, Path test, Path out, String options) {
        List<Object> args = new ArrayList<>(List.of("data", "sudoku", "--train", train, "--test", test, "--out", out));
        if (!options.isEmpty()) {
            args.addAll(List.of(options.strip().split(" ")));
        }
        return Trm.execute(args.toArray());
    }

    /** Puzzles of 30 to 38 givens of the ones that are shipped; the same for equal seeds, compact or not. */
    @Test
    void easySudoku() throws IOException {
        Path out = temp.resolve("easy");
        Path compact = temp.resolve("compact");
        List<Object> args =
                List.of("data", "sudoku-easy", "--subsample", "20", "--limit-test", "10", "--aug", "3", "--out");
        String said = Trm.execute(with(args, out)).assertDone().err();
        assertTrue(
                said.contains(
                        "80 training examples (20 puzzles, 3 shuffled copies each), 10 test puzzles, 30 to 38 givens"),
                said);
        Trm.execute(with(args, compact, "--compact", "--givens", "30..38")).assertDone();
        Dataset made = Dataset.open(out, "train");
        Dataset again = Dataset.open(compact, "train");
        for (int i = 0; i < made.examples(); i++) {
            long givens =
                    Arrays.stream(made.inputRow(i)).filter(token -> token > 1).count();
            assertTrue(givens >= 30 && givens <= 38, givens + " givens");
            assertArrayEquals(made.inputRow(i), again.inputRow(i));
            assertArrayEquals(made.labelRow(i), again.labelRow(i));
        }
        List<String> sources = Files.readAllLines(out.resolve("test/all__sources.csv"));
        assertEquals(11, sources.size());
        assertTrue(sources.get(1).matches("3[0-8] givens,"), sources.get(1));
        Path mixed = temp.resolve("mixed");
        Trm.execute(with(args, mixed, "--minimal-plus", "0..12", "--each", "3")).assertDone();
        assertArrayEquals(
                Dataset.open(out, "test").labelRow(3),
                Dataset.open(mixed, "test").labelRow(3));
        Path none = temp.resolve("none");
        Trm.execute(with(args, none, "--givens", "38..30"))
                .assertFails(2, "--givens 38..30: expected A..B, two whole numbers from 0 to 81, the lesser");
        Trm.execute(with(args, none, "--givens", "many"))
                .assertFails(2, "--givens many: expected A..B, two whole numbers");
        Trm.execute(with(args, none, "--givens", "30", "--minimal-plus", "3"))
                .assertFails(2, "--givens with --minimal-plus: ");
        Trm.execute(with(args, none, "--givens", "5..9"))
                .assertFails(1, "train.csv: each of its 8000 puzzles has more than 9 givens");
        Trm.execute(with(args, none, "--train", temp.resolve("no.csv"))).assertFails(1, "no.csv: file not found");
        Trm.execute("data", "sudoku-easy", "--compact", "--out", none).assertFails(2, "--compact with --aug 0");
        assertFalse(Files.exists(none));
    }

    /** What the demo of 9 x 9 trains on: each puzzle once, for fresh augmentation, and 600 others; its settings fit them. */
    @Test
    void puzzlesOfTheDemo() {
        Path folder = temp.resolve("demo");
        DemoPuzzles puzzles = DemoPuzzles.of(9).orElseThrow();
        Trm.printed(() -> {
            puzzles.buildOnce(folder);
            puzzles.buildOnce(folder); // is there
            return 0;
        });
        Dataset train = Dataset.open(folder, "train");
        assertEquals(8000, train.info().totalGroups());
        assertEquals(8000, train.storedRows());
        assertEquals(600, Dataset.open(folder, "test").examples());
        assertEquals(new Symmetries(true, 3, 3, 2), FreshSymmetries.of(train));
        TrainConfig settings = ConfigLoader.load(Path.of("configs", puzzles.settings()), List.of());
        assertEquals(new DataShape(81, 11, 1), settings.data().shape());
        assertEquals(Augment.FRESH, settings.data().augment());
        assertFalse(Files.exists(temp.resolve("demo.partial")));
        Trm.execute("demo", "--side", 5).assertFails(2, "--side 5: expected 4 or 9");
    }

    private static Object[] with(List<Object> args, Object... more) {
        return Stream.concat(args.stream(), Stream.of(more)).toArray();
    }

    /** A board in any form is no wrong usage: what is wrong here is the checkpoint. */
    @Test
    void formsOfAPuzzle() {
        for (String puzzle : List.of("1__4__2____33__2", "1..4 ..2. ...3 3..2", "1..4\n..2.\n...3\n3..2")) {
            Trm.execute("solve", temp.resolve("nothing"), "--puzzle", puzzle).assertFails(1, "nothing: ");
        }
        Trm.execute("solve", temp.resolve("nothing"), "--puzzle", "1..4 ..2. ...3 3..")
                .assertFails(2, "--puzzle: found 15 cells, expected 16, 36 or 81");
    }

    @Test
    void inspect() throws IOException {
        Trm.Result result = Trm.execute("data", "inspect", GOLDEN.resolve("maze_small/expected"), "--json");
        assertTrue(result.assertDone().text().contains("train: 48 examples, 48 puzzles"), result.out());
        assertTrue(
                result.text().contains("also trained on up to rotation and reflection of the question: 0 of 4"),
                result.out());
        JsonNode json = result.json();
        assertEquals("maze", json.get("kind").asText());
        assertEquals(48, json.get("train").get("examples").asInt());
        assertEquals(4, json.get("test").get("info").get("totalGroups").asInt());
        assertEquals(0, json.get("leaked_originals").asInt());
        List<String> lines = result.text().lines().toList();
        int at = lines.indexOf(lines.stream()
                .filter(line -> line.matches("train example \\d+, question and answer:"))
                .findFirst()
                .orElseThrow());
        assertTrue(String.join("", lines.subList(at + 1, at + 9)).contains("S"), result.out());
        String again = Trm.execute("data", "inspect", GOLDEN.resolve("maze_small/expected"), "--seed", "2")
                .assertDone()
                .out();
        assertFalse(again.isEmpty());
        Trm.execute("data", "inspect", temp).assertFails(1, temp + ": found neither train nor test");
        Trm.execute("data", "inspect").assertFails(2, "DIR");
    }

    /** A model's answers to ARC's test copies are put to the vote, and the first two of each are written for Kaggle. */
    @Test
    void arcEvaluation() throws IOException {
        Path data = Trm.copy(GOLDEN.resolve("arc_tiny/expected"), temp.resolve("arc"));
        Path sources =
                Files.writeString(data.resolve("test/all__sources.csv"), "source,rating\nevaluation,\nevaluation,\n");
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), data);
        Path run = temp.resolve("run");
        Trm.Result trained = Trm.execute(
                        "train",
                        config,
                        "arch.puzzle_emb_ndim=32",
                        "arch.puzzle_emb_len=1",
                        "arch.expansion=1",
                        "arch.halt_max_steps=2",
                        "max_steps=1",
                        "global_batch_size=4",
                        "--run",
                        run,
                        "--device",
                        "cpu")
                .assertDone();
        Path submission = temp.resolve("submission.json");
        Trm.Result result = Trm.execute("eval", run, "--json", "--submission", submission, "--device", "cpu");
        JsonNode json = result.assertDone().json();
        assertEquals(15, json.get("puzzles").asInt());
        for (int k : new int[] {1, 2, 5, 10, 100, 1000}) {
            double score = json.get("ARC/pass@" + k).asDouble();
            assertTrue(score >= 0 && score <= 1, result.out());
        }
        JsonNode evaluation = json.get("by_source").get(0);
        assertEquals("evaluation", evaluation.get("name").asText());
        assertEquals(3, evaluation.get("test_inputs").asInt());
        assertTrue(result.text()
                .contains("by source   test inputs  solved by 2 answers (95 %)\nevaluation            3  "));
        String line = result.text()
                .lines()
                .filter(text -> text.startsWith("ARC, share of tasks"))
                .findFirst()
                .orElseThrow();
        assertTrue(trained.err().contains(line), trained.err()); // the run's own evaluation has voted, too
        JsonNode tasks = new ObjectMapper().readTree(submission.toFile());
        JsonNode expected =
                new ObjectMapper().readTree(data.resolve("test_puzzles.json").toFile());
        assertEquals(expected.size(), tasks.size());
        expected.fieldNames().forEachRemaining(task -> {
            assertEquals(expected.get(task).get("test").size(), tasks.get(task).size());
            tasks.get(task).forEach(pair -> assertTrue(pair.has("attempt_1") && pair.has("attempt_2")));
        });
        Trm.execute("eval", run, "--split", "train", "--submission", submission)
                .assertFails(2, "--submission is for the test split of ARC data; " + data + " (train) is none");
        Path nowhere = temp.resolve("none/submission.json");
        Trm.execute("eval", run, "--limit", "1", "--submission", nowhere, "--device", "cpu")
                .assertFails(1, nowhere + ": cannot be written: no such file or folder");
        Files.writeString(sources, "source,rating\nevaluation,\n");
        Trm.execute("eval", run, "--device", "cpu").assertFails(1, sources + ": found 1 rows, expected 2, one a group");
        MiniSudokuBuilder.build(temp.resolve("mini"), 4, 4, 4, 1, 8);
        Trm.execute("eval", run, "--data", temp.resolve("mini"), "--submission", submission)
                .assertFails(2, "--submission is for the test split of ARC data");
    }
}
