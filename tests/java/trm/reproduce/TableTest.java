package trm.reproduce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import trm.config.ArchConfig;
import trm.config.Architecture;
import trm.config.ConfigException;
import trm.config.GradientSpan;
import trm.config.TrainConfig;

/** The tables against the published values and systems, written out. */
class TableTest {
    private static final Plan FULL =
            new Plan(Scale.FULL, false, Path.of("configs"), Path.of("data"), Path.of("runs", "none"));
    private static final Plan TINY =
            new Plan(Scale.TINY, false, Path.of("configs"), Path.of("data"), Path.of("runs", "none"));

    /** Rows and values of the TRM paper's tables 1 to 5, in order. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "sudoku-ablation | hrm 55.0, trm 87.4, act 86.1, separate 82.4, no-ema 79.9, 4-layers 79.5,"
                        + " attention 74.7, t2-n2 73.7, one-step 56.5",
                "latents | trm 87.4, multi-scale 77.6, single 71.9",
                "depth | hrm-k1-t1 46.4, trm-k1-t1 63.2, hrm-k2-t2 55.0, trm-k2-t2 81.9, hrm-k3-t3 61.6, trm-k3-t3 87.4,"
                        + " hrm-k4-t4 59.5, trm-k4-t4 84.2, hrm-k6-t3 62.3, trm-k6-t3 OOM, hrm-k3-t6 58.8, trm-k3-t6 85.8,"
                        + " hrm-k6-t6 57.5, trm-k6-t6 OOM",
                "sudoku-maze | sudoku-hrm 55.0, sudoku-attention 74.7, sudoku-mlp 87.4, maze-hrm 74.5,"
                        + " maze-attention 85.3, maze-mlp 0.0",
                "arc | direct-1 21.0, hrm-1 40.3, attention-1 44.6, mlp-1 29.6, direct-2 0.0, hrm-2 5.0,"
                        + " attention-2 7.8, mlp-2 2.4",
                "hrm | sudoku 55.0, maze 74.5, arc-1 40.3, arc-2 5.0",
            })
    void publishedValues(String name, String values) {
        List<String> found = Table.named(name).rows().stream()
                .map(row -> row.name() + " " + row.publishedText())
                .toList();
        assertEquals(values, String.join(", ", found));
    }

    private static ArchConfig arch(String table, String row) {
        return FULL.published(Table.named(table).rows(List.of(row)).get(0).setup())
                .arch();
    }

    /** What makes each row of table 1 what it is. */
    @Test
    void ablationsAreWhatTheySay() {
        TrainConfig trm = FULL.published(
                Table.named("sudoku-ablation").rows(List.of("trm")).get(0).setup());
        assertEquals(3, trm.arch().recursion().cycles());
        assertEquals(6, trm.arch().recursion().latentSteps());
        assertTrue(trm.arch().block().mlpT()
                && trm.average().kept()
                && trm.arch().halting().noActContinue());
        assertEquals(Architecture.HRM, arch("sudoku-ablation", "hrm").name());
        assertTrue(arch("sudoku-ablation", "act").hasContinueLoss());
        assertTrue(arch("sudoku-ablation", "separate").recursion().separateNets());
        assertTrue(!FULL.published(Table.named("sudoku-ablation")
                        .rows(List.of("no-ema"))
                        .get(0)
                        .setup())
                .average()
                .kept());
        assertEquals(4, arch("sudoku-ablation", "4-layers").recursion().layers());
        assertEquals(3, arch("sudoku-ablation", "4-layers").recursion().latentSteps());
        assertTrue(!arch("sudoku-ablation", "attention").block().mlpT());
        assertEquals(2, arch("sudoku-ablation", "t2-n2").recursion().cycles());
        assertEquals(2, arch("sudoku-ablation", "t2-n2").recursion().latentSteps());
        assertEquals(
                GradientSpan.ONE_STEP,
                arch("sudoku-ablation", "one-step").recursion().gradient());
        assertEquals(Architecture.MULTI_SCALE, arch("latents", "multi-scale").name());
        assertEquals(Architecture.SINGLE_Z, arch("latents", "single").name());
        assertTrue(arch("sudoku-maze", "maze-mlp").block().mlpT()
                && arch("arc", "mlp-2").block().mlpT());
        assertEquals(Architecture.TRANSFORMER, arch("arc", "direct-2").name());
    }

    /** Table 3: HRM with n = k and four layers, TRM with n = 2k and two. */
    @Test
    void depthsAreThoseOfTheCells() {
        for (Table.Row row : Table.named("depth").rows()) {
            int k = Integer.parseInt(row.name().replaceFirst(".*-k(\\d)-t\\d", "$1"));
            int cycles = Integer.parseInt(row.name().replaceFirst(".*-t(\\d)", "$1"));
            ArchConfig arch = FULL.published(row.setup()).arch();
            boolean hrm = row.name().startsWith("hrm");
            assertEquals(hrm ? Architecture.HRM : Architecture.TRM, arch.name(), row.name());
            assertEquals(cycles, arch.recursion().cycles(), row.name());
            assertEquals(hrm ? k : 2 * k, arch.recursion().latentSteps(), row.name());
            assertEquals(hrm ? 4 : 2, arch.recursion().layers(), row.name());
        }
    }

    static Stream<Table.Row> rows() {
        return Table.ALL.stream().flatMap(table -> table.rows().stream());
    }

    /** A tiny row is the same system with the same T and n, small enough for a CPU. */
    @ParameterizedTest
    @MethodSource("rows")
    void tinyRowsAreTheSameSystem(Table.Row row) {
        ArchConfig whole = FULL.published(row.setup()).arch();
        TrainConfig tiny = TINY.config(row.setup(), 1);
        assertEquals(whole.name(), tiny.arch().name());
        assertEquals(whole.recursion().cycles(), tiny.arch().recursion().cycles());
        assertEquals(whole.recursion().latentSteps(), tiny.arch().recursion().latentSteps());
        assertEquals(whole.block().mlpT(), tiny.arch().block().mlpT());
        assertEquals(whole.recursion().gradient(), tiny.arch().recursion().gradient());
        assertEquals(whole.recursion().separateNets(), tiny.arch().recursion().separateNets());
        assertEquals(whole.halting().noActContinue(), tiny.arch().halting().noActContinue());
        assertEquals(
                FULL.published(row.setup()).average().kept(), tiny.average().kept());
        assertTrue(tiny.arch().block().hiddenSize() <= 64, tiny.arch().toString());
        assertEquals(300, tiny.schedule().maxSteps());
        assertEquals(1, tiny.run().seed());
        assertEquals(
                List.of(Path.of("runs", "none", "mini-sudoku").toString()),
                tiny.data().paths());
    }

    /** Runs are shared by name: equal names mean equal settings, and equal settings equal names. */
    @Test
    void sharedRunsAreTheSame() {
        Map<String, Setup> byName = new HashMap<>();
        Map<TrainConfig, String> bySettings = new HashMap<>();
        rows().map(Table.Row::setup).forEach(setup -> {
            Setup other = byName.putIfAbsent(setup.name(), setup);
            assertTrue(other == null || other.equals(setup), setup.name());
            String name = bySettings.putIfAbsent(FULL.config(setup, 0), setup.name());
            assertTrue(name == null || name.equals(setup.name()), name + " and " + setup.name());
        });
    }

    @Test
    void rowsKeepTheTablesOrder() {
        assertEquals(
                List.of("trm", "one-step"),
                Table.named("sudoku-ablation").rows(List.of("one-step", "trm")).stream()
                        .map(Table.Row::name)
                        .toList());
        assertThrows(ConfigException.class, () -> Table.named("latents").rows(List.of("trm", "x")));
    }
}
