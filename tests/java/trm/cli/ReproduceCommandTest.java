package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.reproduce.MadeRuns;
import trm.reproduce.Plan;
import trm.reproduce.Scale;
import trm.reproduce.Setup;
import trm.reproduce.Table;

/** {@code trm reproduce} from its arguments to its files; the runs themselves are in {@code ReproductionTest}. */
class ReproduceCommandTest {
    @TempDir
    Path temp;

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "sudoku | 2 | unknown table 'sudoku', expected sudoku-ablation, latents, depth, sudoku-maze, arc, hrm,"
                        + " recipes, recipes-mixed",
                "latents.x | 2 | unknown row of latents 'x', expected trm, multi-scale, single",
                "latents --only trm,x | 2 | unknown row of latents 'x', expected trm, multi-scale, single",
                "latents.trm --only single | 2 | latents.trm names a row, --only single too; give one",
                "latents --scale big | 2 | --scale big: expected full, tiny or a fraction above 0 and at most 1",
                "latents --scale 1e-6 | 2 | --scale 1.0E-6: leaves no epoch between the evaluations of sudoku-mlp",
                "latents --scale tiny --data data | 2 | --data data: --scale tiny makes its own data",
                "latents --seeds 0 | 2 | --seeds 0: expected at least 1",
                "latents --settings both | 2 | --settings",
                "recipes | 2 | --scale full: recipes is a study of small models, expected --scale tiny",
                "recipes-mixed --scale 0.5 | 2 | --scale 0.5: recipes-mixed is a study of small models",
                "recipes --scale tiny --settings paper | 2 | --settings paper: recipes has settings of its own",
                "recipes --scale tiny --data data | 2 | --data data: --scale tiny makes its own data",
                "recipes.adam --scale tiny | 2 | unknown row of recipes 'adam', expected base, muon, normed,",
                "recipes-mixed --scale tiny --only prefix | 2 | unknown row of recipes-mixed 'prefix', expected base,",
                "recipes --scale tiny --seeds 1001 | 2 | --seeds 1001: expected at most 1000",
                "recipes --scale tiny --seeds 0..2 | 2 | --seeds",
                "latents --gpus 2 | 2 | --gpus, --rate, --card: expected --dry-run with them",
                "latents --rate 5ms | 2 | --gpus, --rate, --card: expected --dry-run with them",
                "latents --dry-run --report-only | 2 | --dry-run with --report-only: give one",
                "latents --dry-run --gpus 2 --shard 0/2 | 2 | --dry-run with --gpus and --shard: give one",
                "latents --dry-run --gpus 0 | 2 | --gpus 0: expected at least 1",
                "latents --dry-run --card L4 | 2 | --card L4: no measurements come with the program",
                "latents --dry-run --rate absent.json | 1 | absent.json: file not found",
                "latents.x --dry-run | 2 | unknown row of latents 'x', expected trm, multi-scale, single",
                "depth --data nowhere | 1 | no data set with splits train and test, expected Sudoku-Extreme",
            })
    void badInput(String line, int code, String message) throws IOException {
        List<Object> args = new ArrayList<>(List.of("reproduce"));
        args.addAll(List.of(line.split(" ")));
        Path out = temp.resolve("out");
        args.addAll(List.of("--out", out));
        Trm.execute(args.toArray()).assertFails(code, message);
        assertTrue(Files.notExists(out));
    }

    @Test
    void withoutATable() {
        Trm.execute("reproduce").assertFails(2, "TABLE[.ROW]", "reproduce --help");
    }

    /** Prints what it writes; a finished row is not run again. */
    @Test
    void reportsWhatIsThere() throws IOException {
        Plan plan = new Plan(Scale.TINY, false, Path.of("configs"), Path.of("data"), temp);
        Setup setup = Table.named("latents").rows(List.of("single")).get(0).setup();
        MadeRuns.make(
                plan.folder(setup, 0), plan.config(setup, 0), 300, 300, 300, "300,1,,,,60,640", "300,,600,0.25,,72,");
        Files.createDirectories(temp.resolve("mini-sudoku"));
        Trm.Result only = Trm.execute("reproduce", "latents", "--scale", "tiny", "--out", temp, "--report-only")
                .assertDone();
        assertTrue(Files.readString(temp.resolve("report.md")).startsWith(only.out()), only.out());
        assertTrue(only.out().contains("| single | single z | 71.9 | 25.0 | 1 | tiny |"), only.out());
        assertTrue(only.err().contains("wrote report.md, report.csv and report.png in " + temp), only.err());
        Trm.Result again = Trm.execute("reproduce", "latents.single", "--scale", "tiny", "--out", temp)
                .assertDone();
        assertEquals(only.out(), again.out());
        assertTrue(again.err().contains("row single, seed 0 (1 of 1), " + plan.folder(setup, 0) + ": finished"));
    }

    @Test
    void aRunOfAnotherScale() throws IOException {
        Plan plan = new Plan(Scale.TINY, false, Path.of("configs"), Path.of("data"), temp);
        Setup setup = Table.named("latents").rows(List.of("single")).get(0).setup();
        Path run = MadeRuns.make(plan.folder(setup, 0), plan.config(setup, 0), 300, 300, 300, "300,1,,,,60,640");
        Trm.execute("reproduce", "latents", "--out", temp, "--report-only")
                .assertFails(
                        1,
                        run.resolve("config.yaml")
                                + ": found 'arch.hidden_size: 64', expected 'arch.hidden_size: 512'");
    }

    // ---- --dry-run --------------------------------------------------------------------------------------------------

    /** Cells of a row of the plan. */
    private static String[] row(Trm.Result plan, String name) {
        return plan.out()
                .lines()
                .filter(line -> line.startsWith("| " + name + " "))
                .findFirst()
                .orElseThrow()
                .substring(2)
                .split(" *\\| *");
    }

    /** Steps times the step that docs/measurements has, where it has that row's, within 1 %. Nothing is written. */
    @Test
    void aDryRun() throws IOException {
        Path out = temp.resolve("out");
        Path data = temp.resolve("data");
        Trm.Result plan = Trm.execute(
                        "reproduce",
                        "sudoku-ablation",
                        "--dry-run",
                        "--seeds",
                        "3",
                        "--gpus",
                        "8",
                        "--data",
                        data,
                        "--out",
                        out)
                .assertDone();
        JsonNode measured = new ObjectMapper()
                .readTree(Path.of("docs/measurements/gpu-h100-80gb-hbm3.json").toFile())
                .get("bench");
        for (String[] of : List.of(new String[] {"trm", "sudoku-mlp"}, new String[] {"attention", "sudoku-att"})) {
            double ms = measured.get(of[1]).get("ms_per_step").asDouble();
            double hours = 50_000 * 1000.0 / 768 * ms / 3.6e6;
            String[] cells = row(plan, of[0]);
            assertEquals("65,104", cells[1]);
            assertEquals(hours, Double.parseDouble(cells[3]), hours * 0.01);
            assertEquals("measured, configs/" + of[1] + ".yaml", cells[6]);
        }
        for (Table.Row row : Table.named("sudoku-ablation").rows()) {
            String[] cells = row(plan, row.name());
            double steps = Double.parseDouble(cells[1].replace(",", ""));
            double hours = steps * Double.parseDouble(cells[2]) / 3.6e6;
            assertEquals(hours, Double.parseDouble(cells[3]), hours * 0.01, row.name());
            assertTrue(cells[6].startsWith("measured, ") || cells[6].startsWith("predicted from "), cells[6]);
        }
        String folder = data.resolve("sudoku-extreme-1k-aug-1000").toString();
        assertTrue(plan.out().contains("missing; make it: trm data sudoku --train train.csv"), plan.out());
        assertTrue(plan.out().contains(" --out " + folder + "; its sources: https://huggingface.co/"), plan.out());
        for (int gpu = 0; gpu < 8; gpu++) {
            String command = "trm reproduce sudoku-ablation --seeds 3 --data " + data + " --out " + out + " --shard "
                    + gpu + "/8 --device cuda:" + gpu + "   # ";
            assertTrue(plan.out().contains("\n" + command), plan.out());
        }
        assertEquals(27, plan.out().split("seed [012]").length - 1);
        assertTrue(Files.notExists(out) && Files.notExists(data));
    }

    /** The answer that docs/reproduce.md gives is what the command prints where neither data nor runs are there. */
    @Test
    void theDocumentedAnswer() throws IOException {
        Path data = temp.resolve("data");
        Path out = temp.resolve("out");
        String printed = Trm.execute(
                        "reproduce",
                        "sudoku-ablation",
                        "--seeds",
                        "3",
                        "--dry-run",
                        "--gpus",
                        "8",
                        "--data",
                        data,
                        "--out",
                        out)
                .assertDone()
                .out()
                .replace(" --data " + data + " --out " + out, "")
                .replace(data.toString(), "data");
        assertTrue(
                Files.readString(Path.of("docs/reproduce.md")).contains("```\n" + printed + "```\n"),
                "docs/reproduce.md is stale; expected in it:\n" + printed);
    }

    /** The longest of the parts is when all are done; each run is in one of them. */
    @Test
    void hoursOfTheParts() {
        Trm.Result plan = Trm.execute(
                        "reproduce",
                        "latents",
                        "--dry-run",
                        "--gpus",
                        "2",
                        "--rate",
                        "100ms",
                        "--out",
                        temp.resolve("out"))
                .assertDone();
        double each = Double.parseDouble(row(plan, "trm")[3]) + Double.parseDouble(row(plan, "trm")[4]);
        double other =
                Double.parseDouble(row(plan, "multi-scale")[3]) + Double.parseDouble(row(plan, "multi-scale")[4]);
        List<Double> parts = plan.out()
                .lines()
                .filter(line -> line.startsWith("trm reproduce latents "))
                .map(line -> Double.parseDouble(line.replaceAll(".*# ([0-9.]+) h: .*", "$1")))
                .toList();
        assertEquals(2, parts.size());
        assertEquals(other, parts.get(1), 0.01);
        assertTrue(parts.get(0) > each);
        assertTrue(plan.out().contains(String.format(Locale.ROOT, "Done after %.4g h.", parts.get(0))), plan.out());
        assertEquals("1.808", row(plan, "trm")[3]); // 65,104 steps of 0.1 s
    }

    /** What is finished takes nothing more; what has begun, its rest. */
    @Test
    void whatIsLeft() throws IOException {
        Plan plan = new Plan(Scale.TINY, false, Path.of("configs"), Path.of("data"), temp);
        Setup setup = Table.named("latents").rows(List.of("single")).get(0).setup();
        String[] command = {
            "reproduce", "latents.single", "--scale", "tiny", "--dry-run", "--rate", "3600ms", "--out", temp.toString()
        };
        Trm.Result all = Trm.execute((Object[]) command).assertDone();
        assertEquals("0.3000", row(all, "single")[3]);
        assertTrue(
                all.out().contains("4 x 4 Sudoku, " + temp.resolve("mini-sudoku") + ": the first run makes it"),
                all.out());
        double hours = Double.parseDouble(all.out().replaceAll("(?s).*Done after ([0-9.]+) h.*", "$1"));
        MadeRuns.make(plan.folder(setup, 0), plan.config(setup, 0), 100, 0, 300, "100,1,,,,60,640");
        Trm.Result begun = Trm.execute((Object[]) command).assertDone();
        double left = Double.parseDouble(begun.out().replaceAll("(?s).*Done after ([0-9.]+) h.*", "$1"));
        assertEquals(hours * 2 / 3, left, 1e-3);
        MadeRuns.make(
                plan.folder(setup, 0), plan.config(setup, 0), 300, 300, 300, "300,1,,,,60,640", "300,,600,0.25,,72,");
        Trm.Result done = Trm.execute((Object[]) command).assertDone();
        assertTrue(done.out().contains(", of which 0 are left."), done.out());
        assertTrue(done.out().endsWith("Done after 0 h.\n"), done.out());
    }

    @Test
    void aWrongShard() {
        Trm.execute("reproduce", "latents", "--scale", "tiny", "--out", temp, "--shard", "2/2")
                .assertFails(2, "--shard is '2/2': expected i/n with 0 <= i < n");
        Trm.execute("reproduce", "latents", "--scale", "tiny", "--out", temp, "--report-only", "--shard", "0/2")
                .assertFails(2, "--report-only with a row, --only, --seeds or --shard");
    }
}
