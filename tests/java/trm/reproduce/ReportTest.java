package trm.reproduce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.config.ConfigLoader;
import trm.io.FormatException;

/** Reports on folders whose figures were chosen; every expected figure is worked out beside it. */
class ReportTest {
    @TempDir
    Path temp;

    private Plan plan(Scale scale, boolean paper) {
        return new Plan(scale, paper, Path.of("configs"), Path.of("data"), temp);
    }

    private Path make(
            Plan plan, String table, String row, int seed, long step, long evaluated, long total, String... rows)
            throws IOException {
        Setup setup = Table.named(table).rows(List.of(row)).get(0).setup();
        return MadeRuns.make(plan.folder(setup, seed), plan.config(setup, seed), step, evaluated, total, rows);
    }

    private static String line(String text, String start) {
        return text.lines().filter(l -> l.startsWith(start)).findFirst().orElseThrow(() -> new AssertionError(text));
    }

    /**
     * A tenth of the schedule, 650 of 6,500 steps, batch 768. Seeds solve 80, 83 and 86 %: mean 83, deviations -3, 0, 3,
     * so sqrt(18 / 2) = 3. They take 3600, 2600 and 3600 s, 2.722 h. Rates: 325 steps at 768 a second
     * take 325 s, 325 at 1536 half of that: 650 / 487.5 = 1.333 steps a second.
     */
    @Test
    void meanSpreadHoursAndShare() throws IOException {
        Plan plan = plan(new Scale(0.1, 0), false);
        String first = "325,1e-4,,,,1000,768";
        make(plan, "latents", "trm", 0, 650, 650, 650, first, "650,1e-4,,,,3500,1536", "650,,99,0.8,,3600,");
        make(plan, "latents", "trm", 1, 650, 650, 650, first, "650,1e-4,,,,2500,1536", "650,,99,0.83,,2600,");
        make(plan, "latents", "trm", 2, 650, 650, 650, first, "650,1e-4,,,,3500,1536", "650,,99,0.86,,3600,");
        // stopped: its evaluation is not part of a mean
        make(plan, "latents", "single", 0, 325, 325, 650, first, "325,,99,0.5,,1800,");
        Report report = new Report(Table.named("latents"), plan, Map.of());
        String text = report.markdown();
        assertEquals(
                "| trm | TRM: y and z | 87.4 | 83.0 \u00b1 3.0 | 3 | 10.0 % | 2.722 | 1.33 |"
                        + " sudoku-mlp: T = 3, n = 6, 5000 epochs, adam_atan2 |",
                line(text, "| trm |"));
        assertEquals(
                "| single | single z | 71.9 | \u2013 | 0 of 1 | 5.00 % | 0.500 | 1.00 |"
                        + " sudoku-singlez: T = 3, n = 6, 5000 epochs, adam_atan2 |",
                line(text, "| single |"));
        assertTrue(line(text, "| multi-scale |").contains("| 77.6 | \u2013 | 0 | \u2013 | \u2013 | \u2013 |"), text);
        assertTrue(text.contains("Scale 0.1: this fraction of the published epochs"), text);
        assertTrue(text.contains("- trm, seed 2: 650 of 6500 steps\n"), text);
        assertTrue(text.contains("- single, seed 0: stopped at step 325 of 650, 50.0 at step 325\n"), text);
        assertTrue(text.contains("- multi-scale: not run\n"), text);
        assertTrue(text.contains("all runs of a row, on cpu;"), text);
        assertFalse(text.contains("## Failed"), text);
        List<String> csv = report.csv().lines().toList();
        assertEquals(1 + 3 + 1 + 1, csv.size());
        assertEquals(
                "latents,trm,87.4,1,83.0,650,650,650,true," + 2600 / 3600.0 + "," + 650 / 487.5
                        + ",cpu,sudoku-mlp,3,6,5000,adam_atan2",
                csv.get(2));
        assertEquals("latents,multi-scale,77.6,,,,,,,,,,sudoku-hier6,3,6,5000,adam_atan2", csv.get(4));
    }

    /** A run that went on after 1000 s has a clock that begins anew: 1000 + 500 s. */
    @Test
    void resumedClocksAreAdded() throws IOException {
        Plan plan = plan(Scale.FULL, false);
        Path folder =
                make(plan, "latents", "trm", 0, 20, 20, 20, "10,1,,,,1000,768", "20,1,,,,400,768", "20,,9,0.5,,500,");
        RunSummary run = RunSummary.open(folder).orElseThrow();
        assertEquals(1500 / 3600.0, run.hours(), 1e-12);
        assertTrue(run.finished());
        String text = new Report(Table.named("latents"), plan, Map.of()).markdown();
        assertTrue(line(text, "| trm |").contains("| 50.0 | 1 | 100 % |"), text);
        assertFalse(text.contains("- trm"), text);
    }

    /** On ARC the value is that of two answers, not the share of examples. */
    @Test
    void arcCountsTasksWithTwoAnswers() throws IOException {
        Plan plan = plan(Scale.FULL, true);
        make(plan, "arc", "attention-1", 0, 9, 9, 9, "9,1,,,,5,768", "9,,400,0.1,0.446,7,");
        String text = new Report(Table.named("arc"), plan, Map.of("mlp-1, seed 0", "no room")).markdown();
        assertEquals(
                "| attention-1 | TRM attention, ARC-AGI-1 | 44.6 | 44.6 | 1 | 100 % | 0.002 | 1.00 |"
                        + " arc: T = 3, n = 6, 100000 epochs, adamw |",
                line(text, "| attention-1 |"));
        assertTrue(text.contains("what the paper's text says (60,000 epochs"), text);
        assertTrue(text.contains("## Failed\n\n- mlp-1, seed 0: no room\n"), text);
    }

    @Test
    void cellsWithoutMemoryAndTinyRuns() throws IOException {
        Plan plan = plan(Scale.TINY, false);
        make(plan, "depth", "trm-k6-t6", 0, 300, 300, 300, "300,1,,,,60,640", "300,,600,0.25,,72,");
        String text = new Report(Table.named("depth"), plan, Map.of()).markdown();
        assertEquals(
                "| trm-k6-t6 | TRM, k = 6, T = 6 | OOM | 25.0 | 1 | tiny | 0.020 | 10.00 |"
                        + " cpu/mini-mlp: T = 6, n = 12, 300 steps, adam_atan2 |",
                line(text, "| trm-k6-t6 |"));
        assertTrue(text.contains("cannot be compared with the published ones"), text);
        assertTrue(text.contains("- trm-k6-t6, seed 0: 300 steps of a small model\n"), text);
    }

    @Test
    void writesThreeFiles() throws IOException {
        Plan plan = plan(Scale.TINY, false);
        make(plan, "depth", "trm-k6-t6", 0, 300, 300, 300, "300,1,,,,60,640", "300,,600,0.25,,72,");
        Report report = new Report(Table.named("depth"), plan, Map.of());
        assertTrue(report.write().isEmpty());
        String text = Files.readString(temp.resolve("report.md"));
        assertTrue(text.startsWith(report.markdown()) && text.endsWith("(report.png)\n"), text);
        assertEquals(report.csv(), Files.readString(temp.resolve("report.csv")));
        BufferedImage chart = ImageIO.read(temp.resolve("report.png").toFile());
        assertTrue(chart.getWidth() > 1000 && chart.getHeight() > 300);
    }

    @Test
    void aRunOfOtherSettingsIsRefused() throws IOException {
        Path folder = make(plan(Scale.FULL, false), "latents", "trm", 0, 9, 9, 9, "9,1,,,,5,768");
        Table table = Table.named("latents");
        FormatException e =
                assertThrows(FormatException.class, () -> new Report(table, plan(Scale.FULL, true), Map.of()));
        assertEquals(
                folder.resolve("config.yaml")
                        + ": found 'epochs: 50000', expected 'epochs: 60000': a run of another scale"
                        + " or of other settings; use another --out folder",
                e.getMessage());
    }

    /** Micro-batches are settled when a run begins, and the data may lie elsewhere. */
    @Test
    void whatMayDiffer() throws IOException {
        Plan plan = plan(Scale.FULL, false);
        Path folder = make(plan, "latents", "trm", 0, 9, 9, 9, "9,1,,,,5,768");
        Path yaml = folder.resolve("config.yaml");
        Files.writeString(
                yaml,
                Files.readString(yaml)
                        .replace("micro_batches: auto", "micro_batches: 4")
                        .replace("data/sudoku", "elsewhere/sudoku"));
        Setup setup = Table.named("latents").rows(List.of("trm")).get(0).setup();
        RunSummary run = RunSummary.open(folder).orElseThrow();
        assertEquals(4, run.resumed(plan.config(setup, 0)).memory().microBatches());
        assertEquals(
                plan.config(setup, 0).data().paths(),
                run.resumed(plan.config(setup, 0)).data().paths());
        assertTrue(ConfigLoader.load(yaml, List.of()).data().paths().get(0).startsWith("elsewhere"));
    }

    @Test
    void damagedFilesAreNamed() throws IOException {
        Plan plan = plan(Scale.FULL, false);
        Path folder = make(plan, "latents", "trm", 0, 9, 9, 9, "9,1,,,,soon,768");
        FormatException cell = assertThrows(FormatException.class, () -> RunSummary.open(folder));
        assertEquals(
                folder.resolve("metrics.csv") + ":2: elapsed_seconds is 'soon'; expected a number", cell.getMessage());
        make(plan, "latents", "trm", 0, 9, 9, 9, "9,1,,,5,768");
        FormatException count = assertThrows(FormatException.class, () -> RunSummary.open(folder));
        assertEquals(folder.resolve("metrics.csv") + ":2: found 6 cells, expected 7", count.getMessage());
        make(plan, "latents", "trm", 0, 9, 9, 9, "9,1,,,,5,768");
        Path checkpoint = folder.resolve("checkpoints").resolve("step-00000009.safetensors");
        String bytes = new String(Files.readAllBytes(checkpoint), java.nio.charset.StandardCharsets.ISO_8859_1);
        Files.write(
                checkpoint,
                bytes.replace("total_steps", "TOTAL_STEPS").getBytes(java.nio.charset.StandardCharsets.ISO_8859_1));
        FormatException steps = assertThrows(FormatException.class, () -> RunSummary.open(folder));
        assertEquals(
                checkpoint + ": metadata 'total_steps' is missing, expected a number of steps", steps.getMessage());
    }
}
