package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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

    @Test
    void aWrongShard() {
        Trm.execute("reproduce", "latents", "--scale", "tiny", "--out", temp, "--shard", "2/2")
                .assertFails(2, "--shard is '2/2': expected i/n with 0 <= i < n");
        Trm.execute("reproduce", "latents", "--scale", "tiny", "--out", temp, "--report-only", "--shard", "0/2")
                .assertFails(2, "--report-only with a row, --only, --seeds or --shard");
    }
}
