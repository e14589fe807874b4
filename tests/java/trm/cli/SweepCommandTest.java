package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.data.sudoku.MiniSudokuBuilder;

/** {@code trm sweep}, and the commands that look at what it leaves: two rates, a few steps each. */
class SweepCommandTest {
    @TempDir
    private static Path shared;

    private static Path config;
    private static Path swept; // by a sweep of two rates
    private static Trm.Result said;

    @BeforeAll
    static void sweep() throws IOException {
        MiniSudokuBuilder.build(shared.resolve("data"), 4, 64, 8, 1, 8);
        config = Trm.tinyConfig(shared.resolve("tiny.yaml"), shared.resolve("data"));
        Files.writeString(
                config,
                "eval_every_steps: 2\ncheckpoint_best: eval_accuracy\ncheckpoint_keep: 1\n",
                java.nio.file.StandardOpenOption.APPEND);
        swept = shared.resolve("swept");
        said = sweep("lr=1e-4,3e-2", "--out", swept, "--device", "cpu").assertDone();
    }

    private static Trm.Result sweep(Object... args) {
        return Trm.execute(
                Stream.concat(Stream.of("sweep", config), Stream.of(args)).toArray());
    }

    /** When each checkpoint was written. */
    private static Map<Path, FileTime> written(Path out) throws IOException {
        Map<Path, FileTime> times = new TreeMap<>();
        try (Stream<Path> files = Files.walk(out)) {
            for (Path file :
                    files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
                times.put(file, Files.getLastModifiedTime(file));
            }
        }
        return times;
    }

    /** Four runs of equal length, shared by two jobs; nothing is written. */
    @Test
    void dryRun() {
        Path out = shared.resolve("none");
        String text = sweep("lr=1e-4,3e-2", "seed=0..1", "--out", out, "--dry-run", "--jobs", 2, "--rate", "3600ms")
                .assertDone()
                .out();
        assertTrue(text.startsWith("4 runs of 2 rows on "), text);
        assertTrue(text.contains("| lr=1e-4 | 4 "), text);
        assertTrue(text.contains("--shard 1/2 --device cuda:1   # "), text);
        assertTrue(text.contains("lr=3e-2, seed 0; lr=3e-2, seed 1"), text);
        assertFalse(Files.exists(out));
        sweep("lr=1e-4,3e-2", "--rate", "3600ms").assertFails(2, "--rate, --card: expected --dry-run with them");
        sweep("lr=1e-4,3e-2", "--dry-run", "--report-only").assertFails(2, "--dry-run with --report-only: give one");
    }

    @Test
    void trainsEachArmAndReports() throws IOException {
        assertTrue(said.out().contains("**Best: `lr="), said.out());
        assertTrue(said.out().contains("2 of 2 runs are finished."), said.out());
        assertEquals(said.out(), Files.readString(swept.resolve("report.md")));
        for (String rate : List.of("1e-4", "3e-2")) {
            Path run = swept.resolve("lr=" + rate).resolve("seed-0");
            assertTrue(Files.exists(run.resolve("DONE")));
            assertTrue(Files.readString(run.resolve("config.yaml")).contains("lr: " + Double.parseDouble(rate) + "\n"));
        }
    }

    @Test
    void aSecondCallRepeatsNothing() throws IOException {
        Map<Path, FileTime> before = written(swept);
        Trm.Result again =
                sweep("lr=1e-4,3e-2", "--out", swept, "--device", "cpu").assertDone();
        assertEquals(said.out(), again.out());
        assertTrue(again.err().contains("(2 of 2), " + swept.resolve("lr=3e-2/seed-0") + ": finished"), again.err());
        assertEquals(before, written(swept));
        assertEquals(
                said.out(),
                sweep("lr=1e-4,3e-2", "--out", swept, "--report-only")
                        .assertDone()
                        .out());
    }

    /** Hydra's words for the same. */
    @Test
    void multirun() throws IOException {
        Map<Path, FileTime> before = written(swept);
        Trm.Result result = Trm.execute("train", "-m", config, "lr=1e-4,3e-2", "--out", swept, "--device", "cpu")
                .assertDone();
        assertEquals(said.out(), result.out());
        assertEquals(before, written(swept));
    }

    /** Every command that takes a run takes its best checkpoint, and that of a step. */
    @Test
    void checkpointsByName() throws IOException {
        Path run = swept.resolve("lr=3e-2").resolve("seed-0");
        Path best = Path.of(run + "@best");
        double found = Trm.execute("eval", best, "--json", "--device", "cpu")
                .assertDone()
                .json()
                .get("accuracy")
                .asDouble();
        List<String> rows = Files.readAllLines(run.resolve("metrics.csv"));
        int column = List.of(rows.get(0).split(",")).indexOf("eval_accuracy");
        double greatest = rows.stream()
                .skip(1)
                .map(line -> line.split(",", -1)[column])
                .filter(cell -> !cell.isEmpty())
                .mapToDouble(Double::parseDouble)
                .max()
                .orElseThrow();
        assertEquals(greatest, found, 1e-12);
        Path out = shared.resolve("best.safetensors");
        Trm.execute("export", best, "--out", out).assertDone();
        assertTrue(Files.size(out) > 0);
        Trm.execute("solve", run + "@4", "--puzzle", "1..4.2....3.3..2", "--device", "cpu")
                .assertDone();
        Trm.execute("eval", run + "@3", "--device", "cpu").assertFails(1, run + "@3: no checkpoint of step 3");
        Path other = shared.resolve("plain");
        Trm.execute("train", config, "checkpoint_best=null", "--run", other, "--device", "cpu")
                .assertDone();
        for (String command : List.of("eval", "solve", "export")) {
            Object[] more = command.equals("export")
                    ? new Object[] {command, other + "@best", "--out", out}
                    : command.equals("solve")
                            ? new Object[] {command, other + "@best", "--puzzle", "1..4.2....3.3..2"}
                            : new Object[] {command, other + "@best"};
            Trm.execute(more)
                    .assertFails(1, other + "@best: no best checkpoint was kept: the run has no checkpoint_best;");
        }
    }

    /** Three processes for two arms; nothing is left to do for the third. An arm that fails does not keep the other from running. */
    @Test
    void jobsInProcessesOfTheirOwn() throws Exception {
        Path out = shared.resolve("jobs");
        Process process = new ProcessBuilder(Trm.command(
                        "256m", "sweep", config, "lr=1e-4,3e-2", "--jobs", 3, "--out", out, "--device", "cpu"))
                .redirectErrorStream(true)
                .redirectOutput(shared.resolve("jobs.out").toFile())
                .start();
        assertEquals(0, process.waitFor(), Files.readString(shared.resolve("jobs.out")));
        for (String rate : List.of("1e-4", "3e-2")) {
            Path run = Path.of("lr=" + rate).resolve("seed-0");
            Trm.assertSameEnd(swept.resolve(run), out.resolve(run), 4);
        }
        assertTrue(Files.readString(out.resolve("report.md")).contains("2 of 2 runs are finished."));
        assertTrue(Files.readString(shared.resolve("jobs.out")).contains("[1] "));
    }

    @Test
    void anArmThatFails() throws IOException {
        Path out = shared.resolve("fails");
        Files.createDirectories(out.resolve("lr=1e-4/seed-0"));
        Files.writeString(out.resolve("lr=1e-4/seed-0/notes"), "mine");
        sweep("lr=1e-4,3e-2", "--out", out, "--device", "cpu").assertFails(1, "holds 'notes' and no mark of a run");
        String report = Files.readString(out.resolve("report.md"));
        assertTrue(report.contains("1 of 2 runs are finished."), report);
        assertTrue(report.contains("## Failed\n\n- lr=1e-4, seed 0: "), report);
        assertFalse(Files.exists(out.resolve("lr=1e-4/seed-0/checkpoints")));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "lr=1e-3 | no key has several values; expected such as lr=1e-4,3e-4 or seed=0..2",
                "lr=1,2 lr=3 | lr is named twice",
                "lr=1e-3,1e-3 | names a value twice: two arms would have one name",
                "seed=0..1 --jobs 0 | --jobs 0: expected at least 1",
                "seed=0..1 --jobs 2 --device cuda:0 | --jobs 2 with --device cuda:0: each job takes a GPU of its own",
                "seed=0..1 --shard 2/2 | --shard is '2/2': expected i/n with 0 <= i < n",
                "seed=0..1 --report-only --shard 0/2 | --report-only with --jobs or --shard: it runs nothing",
                "seed=0..1 --run x | unknown option '--run'",
            })
    void wrongUsage(String arguments, String expected) {
        sweep((Object[]) arguments.split(" ")).assertFails(2, expected);
    }

    /** Lists of values are for sweeps, and elsewhere somebody says so. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "lr=1e-4,3e-4 | lr is 1e-4,3e-4; expected a number; several values are for trm sweep",
                "seed=0..2 | seed is 0..2; expected an integer; several values are for trm sweep",
                "augment=stored,fresh | augment is stored,fresh; expected stored or fresh; several values are for trm sweep",
            })
    void listsElsewhere(String argument, String expected) {
        Trm.execute("train", config, argument, "--run", shared.resolve("no-run"))
                .assertFails(2, expected);
    }
}
