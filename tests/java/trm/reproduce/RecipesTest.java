package trm.reproduce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.config.ConfigException;
import trm.config.Difference;
import trm.config.TrainConfig;
import trm.device.Backend;
import trm.device.cpu.CpuBackend;
import trm.io.FormatException;
import trm.train.MetricsRow;
import trm.train.Run;

/** The study of levers: its settings, its runs and its report. */
class RecipesTest {
    private static final Recipes RECIPES = Recipes.named("recipes").orElseThrow();

    @TempDir
    Path temp;

    private RecipesStudy study() {
        return new RecipesStudy(RECIPES, Path.of("configs"), Path.of("data", "sudoku"), temp);
    }

    private static Recipes.Arm arm(String name) {
        return RECIPES.arms(List.of(name)).get(0);
    }

    /** What makes each arm what it is, and nothing else; the best is for whoever has seen the others. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "base | ",
                "muon | optimizer: muon, muon_rest: adam_atan2",
                "normed | arch.mlp_activation: normed_swiglu",
                "muon-normed | arch.mlp_activation: normed_swiglu, optimizer: muon, muon_rest: adam_atan2",
                "cosine | lr_min_ratio: 0.05",
                "no-carry | carry_from_step: 350",
                "depth | depth_schedule: [{until: 0.3, H_cycles: 1, L_cycles: 1}, {until: 0.6, H_cycles: 1, L_cycles: 2}]",
                "late-ema | ema_from_step: 700",
                "softmax | arch.loss.loss_type: softmax_cross_entropy",
                "smoothing | arch.loss.loss_type: softmax_cross_entropy, arch.loss.label_smoothing: 0.2",
                "halt-weight | arch.loss.halt_loss_weight: 0.05",
                "fresh | augment: fresh",
                "prefix | arch.learned_prefix: 1",
            })
    void armsDifferFromTheBaseInTheirLever(String name, String differences) {
        TrainConfig base = study().config(arm("base"), 1);
        String found = String.join(
                ", ",
                Difference.between(base, study().config(arm(name), 1)).stream()
                        .map(difference -> difference.key() + ": " + difference.second())
                        .toList());
        assertEquals(differences == null ? "" : differences, found);
    }

    /** Each file is an arm and each arm a file; those of the second study are arms of the first. */
    @Test
    void everySettingsFileIsAnArm() throws IOException {
        try (Stream<Path> files = Files.list(Path.of("configs", "recipes"))) {
            assertEquals(
                    RECIPES.arms().stream()
                            .map(arm -> arm.name() + ".yaml")
                            .sorted()
                            .toList(),
                    files.map(file -> file.getFileName().toString()).sorted().toList());
        }
        for (Recipes recipes : Recipes.ALL) {
            assertEquals(Recipes.BASE, recipes.arms().get(0).name());
            assertTrue(RECIPES.arms().containsAll(recipes.arms()), recipes.name());
        }
        String page = Files.readString(Path.of("docs", "recipes.md"));
        for (Recipes.Arm arm : RECIPES.arms()) {
            assertTrue(page.contains("\n| `" + arm.name() + "` |"), arm.name());
        }
    }

    @Test
    void runsAreRowsBySeed() {
        List<PlannedRun> runs = study().runs(List.of("cosine", "muon"), 2);
        assertEquals(
                List.of("muon, seed 0", "cosine, seed 0", "muon, seed 1", "cosine, seed 1"),
                runs.stream().map(PlannedRun::label).toList());
        assertEquals(temp.resolve("cosine/seed-1"), runs.get(3).folder());
        assertEquals(1, runs.get(3).config().run().seed());
        assertEquals(14, runs.get(3).config().schedule().epochs());
        assertEquals(
                List.of(temp.resolve("data").toString()),
                runs.get(3).config().data().paths());
        assertEquals(3 * 14, study().runs(List.of(), 3).size());
        assertThrows(ConfigException.class, () -> study().runs(List.of("muon", "adam"), 1));
    }

    private void make(String name, int seed, long step, String... rows) throws IOException {
        MadeRuns.make(study().folder(arm(name), seed), study().config(arm(name), seed), step, step, 1200, rows);
    }

    /** Three evaluations of 160 puzzles and, of the last, 480; 80 samples a step, 800 samples a second before, 400 after step 800. */
    private static String[] rows(double first, double second, double last) {
        return new String[] {
            "400,1e-3,,,,40,800",
            "400,,160," + first + ",,44,",
            "800,1e-3,,,,84,800",
            "800,,160," + second + ",,88,",
            "1200,1e-3,,,,168,400",
            "1200,,480," + last + ",,180,"
        };
    }

    private static String line(String text, String start) {
        return text.lines().filter(l -> l.startsWith(start)).findFirst().orElseThrow(() -> new AssertionError(text));
    }

    /**
     * base: 0, .25, .75 crosses .5 half way from 800 to 1,200, after 80 + 40 s; 0, .5, .95 at 800 and, for .9, at 1,200 - 400 / 9;
     * 0, .1, .4 never. normed: 0, .625, .95 crosses .5 at 720, after 72 s, and .9 at 800 + 400 * .275 / .325. Steps take .1 s, or
     * .2 s in the last third: 1,200 in 160 s.
     */
    @Test
    void medianAndSpreadOverTheSeeds() throws IOException {
        make("base", 0, 1200, rows(0, 0.25, 0.75));
        make("base", 1, 1200, rows(0, 0.5, 0.95));
        make("base", 2, 1200, rows(0, 0.1, 0.4));
        make("normed", 0, 1200, rows(0, 0.625, 0.95));
        make(
                "muon",
                0,
                800,
                "200,1e-3,,,,80,200",
                "400,1e-3,,,,100,800",
                "400,,160,0.9,,104,"); // at first with others at work
        make("cosine", 4, 10, "10,1e-3,,,,1,800");
        RecipesReport report = new RecipesReport(study(), Map.of("fresh, seed 0", "no room"));
        String text = report.markdown();
        assertEquals(
                "| base | \u2013 | 3 | 75.0 (40.0 to 95.0) | 1,000 (800 to never) | \u2013 | never (1,156 to never)"
                        + " | 120 (80 to never) | never (151 to never) | 7.50 |",
                line(text, "| base |"));
        assertEquals(
                "| normed | `mlp_activation: normed_swiglu` | 1 | 95.0 | 720 | 0.72 | 1,138 | 72 | 148 | 7.50 |",
                line(text, "| normed |"));
        assertTrue(line(text, "| muon |").contains("| 0 of 1 | \u2013 | \u2013 |"), text);
        // 456 of 480: Wilson's interval by hand, (.95 + .0040 +- .0199) / 1.0080
        assertEquals(
                "| base | 1 | 95.0 (92.7 to 96.6) | 800 | 1,156 | 80 | 151 | 160 | 7.50 |", line(text, "| base | 1 |"));
        assertTrue(text.contains("- muon, seed 0: stopped at step 800 of 1200\n"), text);
        assertTrue(text.contains("- cosine, seed 4: stopped at step 10 of 1200\n"), text);
        assertTrue(text.contains("- fresh: not run\n"), text);
        assertTrue(text.contains("## Failed\n\n- fresh, seed 0: no room\n"), text);
        assertTrue(text.contains("width 128, T = 2, n = 2, batch 80, bfloat16, 14 epochs"), text);
        List<String> csv = report.csv().lines().toList();
        assertEquals(1 + 4 * 3 + 1, csv.size());
        assertEquals("recipes,base,1,true,1200,160.0,480,0.950000", csv.get(6));
        assertEquals("recipes,muon,0,false,400,40.0,160,0.900000", csv.get(10));
    }

    /** The median in full, the seeds thin; the arms of one theme in one plot, with the base in each. */
    @Test
    void curvesAreDrawn() throws Exception {
        for (Recipes.Arm arm : RECIPES.arms()) {
            make(arm.name(), 0, 1200, rows(0, 0.25, 0.75));
            make(arm.name(), 1, 1200, rows(0, 0.5, 0.95));
        }
        Study.Written written = study().report(Map.of());
        assertEquals(List.of("report.md", "report.csv", "report.svg"), written.files());
        assertEquals(written.markdown(), Files.readString(temp.resolve("report.md")));
        String svg = Files.readString(temp.resolve("report.svg"));
        assertEquals(
                "svg",
                DocumentBuilderFactory.newInstance()
                        .newDocumentBuilder()
                        .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)))
                        .getDocumentElement()
                        .getTagName());
        assertEquals(4, svg.split(">base</text>", -1).length - 1);
        assertEquals(2 * (4 + 13), svg.split("opacity=\"0.45\"", -1).length - 1);
        for (Recipes.Arm arm : RECIPES.arms()) {
            assertTrue(svg.contains(">" + arm.name() + "</text>"), arm.name());
        }
    }

    @Test
    void nothingHasRun() {
        RecipesReport report = new RecipesReport(study(), Map.of());
        assertTrue(report.markdown().contains("- base: not run\n"));
        assertTrue(report.svg().contains("<svg"));
        assertEquals(1, report.csv().lines().count());
    }

    @Test
    void aRunOfOtherSettingsIsRefused() throws IOException {
        MadeRuns.make(study().folder(arm("muon"), 0), study().config(arm("base"), 0), 9, 9, 1200, "9,1,,,,5,80");
        FormatException e = assertThrows(FormatException.class, () -> study().report(Map.of()));
        assertTrue(
                e.getMessage().contains("found 'optimizer: adam_atan2', expected 'optimizer: muon'"), e.getMessage());
    }

    /** A study in small: its own settings, 24 puzzles in batches of eight, so three steps an epoch. */
    private RecipesStudy small() throws IOException {
        Path configs = Files.createDirectories(temp.resolve("configs/recipes"));
        Path puzzles = Files.createDirectories(temp.resolve("puzzles"));
        String base = Files.readString(Path.of("configs/recipes/base.yaml"))
                .replace("hidden_size: 128", "hidden_size: 32")
                .replace("forward_dtype: bfloat16", "forward_dtype: float32")
                .replace("global_batch_size: 80", "global_batch_size: 8")
                .replace("lr_warmup_steps: 100", "lr_warmup_steps: 0");
        Files.writeString(configs.resolve("base.yaml"), base);
        Files.copy(Path.of("configs/recipes/fresh.yaml"), configs.resolve("fresh.yaml"));
        for (String file : List.of("train.csv", "test.csv")) {
            try (Stream<String> lines = Files.lines(Path.of("data/sudoku").resolve(file))) {
                Files.write(puzzles.resolve(file), lines.limit(1 + 24).toList());
            }
        }
        Recipes recipes = new Recipes(
                "small", "In small", RECIPES.givens(), RECIPES.puzzles(), 2, List.of(arm("base"), arm("fresh")));
        return new RecipesStudy(recipes, configs.getParent(), puzzles, temp.resolve("out"));
    }

    private static final class Killed extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    /** Dies as an evaluation begins, if that is asked for. */
    private record Watcher(long killAt) implements Run.Listener {
        @Override
        public void row(MetricsRow row, long totalSteps) {}

        @Override
        public void evaluating(long step, long puzzles) {
            if (step == killAt) {
                throw new Killed();
            }
        }

        @Override
        public void message(String text) {}
    }

    /** Killed in the second of four runs, at the first of two evaluations; called again, that one goes on and the first is left alone. */
    @Test
    void killedAndStartedAgain() throws IOException {
        RecipesStudy study = small();
        List<String> calls = new ArrayList<>();
        try (Backend backend = new CpuBackend(2)) {
            Reproduction.Runner killed = (config, folder, resume) -> {
                calls.add(study.out().relativize(folder) + (resume ? " resumed" : ""));
                return new Run(backend, config, folder, new Watcher(calls.size() == 2 ? 3 : -1)).run(resume);
            };
            Reproduction first = new Reproduction(study, killed, line -> {});
            assertThrows(Killed.class, () -> first.run(List.of(), 2, Shard.ALL));
            assertEquals(List.of("base/seed-0", "fresh/seed-0"), calls);
            assertTrue(study.report(Map.of()).markdown().contains("- fresh, seed 0: stopped at step 3 of 6\n"));

            calls.clear();
            calls.add("-");
            calls.add("-");
            new Reproduction(study, killed, line -> {}).run(List.of(), 2, Shard.ALL);
            assertEquals(List.of("-", "-", "fresh/seed-0 resumed", "base/seed-1", "fresh/seed-1"), calls);
        }
        String text = study.report(Map.of()).markdown();
        assertFalse(text.contains("## Not finished"), text);
        assertTrue(line(text, "| fresh |").startsWith("| fresh | `augment: fresh` | 2 | "), text);
        for (PlannedRun run : study.runs(List.of(), 2)) {
            List<Curve.Point> points =
                    RunSummary.open(run.folder()).orElseThrow().curve().points();
            assertEquals(List.of(3L, 6L), points.stream().map(Curve.Point::step).toList());
            assertEquals(24, points.get(1).puzzles());
        }
    }
}
