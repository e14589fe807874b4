package trm.reproduce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;

class PlanTest {
    private static Plan plan(Scale scale, boolean paper) {
        return new Plan(scale, paper, Path.of("configs"), Path.of("sets"), Path.of("out"));
    }

    private static Setup setup(String table, String row) {
        return Table.named(table).rows(List.of(row)).get(0).setup();
    }

    /** The published schedule by hand: 50,000 epochs, evaluations every 5,000, 2,000 steps of warm-up; HRM 20,000, 2,000. */
    @ParameterizedTest
    @CsvSource({
        "trm, 1, 50000, 5000, 2000",
        "trm, 0.01, 500, 50, 20",
        "trm, 0.5, 25000, 2500, 1000",
        "hrm, 0.01, 200, 20, 20",
        "hrm, 0.0005, 10, 1, 1"
    })
    void aFractionShortensTheWholeSchedule(String row, double fraction, int epochs, int interval, int warmup) {
        TrainConfig config = plan(new Scale(fraction, 0), false).config(setup("sudoku-ablation", row), 2);
        assertEquals(epochs, config.schedule().epochs());
        assertEquals(interval, config.schedule().evalInterval());
        assertEquals(warmup, config.learningRate().warmupSteps());
        assertEquals(0, config.schedule().maxSteps());
        assertEquals(2, config.run().seed());
        assertEquals(
                List.of(Path.of("sets", "sudoku-extreme-1k-aug-1000").toString()),
                config.data().paths());
    }

    @Test
    void theFullScaleIsThePublishedFile() {
        TrainConfig file =
                ConfigLoader.load(Path.of("configs", "maze-hrm.yaml"), List.of("data_paths=[sets/maze-30x30-hard-1k]"));
        assertEquals(file, plan(Scale.FULL, false).config(setup("hrm", "maze"), 0));
    }

    @Test
    void tooSmallAFraction() {
        Plan plan = plan(new Scale(1e-5, 0), false);
        ConfigException e = assertThrows(ConfigException.class, () -> plan.config(setup("sudoku-ablation", "trm"), 0));
        assertTrue(e.getMessage().contains("expected at least 2.0E-4"), e.getMessage());
    }

    /** Paper and code: 60,000 or 50,000 epochs, n = 6 or 4 on mazes and ARC, AdamW or AdamATan2. HRM has one form. */
    @ParameterizedTest
    @CsvSource({
        "sudoku-maze, sudoku-mlp, 50000, 6, adam_atan2, 60000, 6, adamw",
        "sudoku-maze, maze-attention, 50000, 4, adam_atan2, 60000, 6, adamw",
        "arc, attention-2, 100000, 4, adam_atan2, 100000, 6, adamw",
        "sudoku-ablation, t2-n2, 50000, 2, adam_atan2, 60000, 2, adamw",
        "hrm, sudoku, 20000, 2, adam_atan2, 20000, 2, adam_atan2",
        "arc, direct-1, 100000, 0, adam_atan2, 100000, 0, adam_atan2"
    })
    void paperAndCode(
            String table, String row, int epochs, int n, String optimizer, int epochs2, int n2, String optimizer2) {
        TrainConfig code = plan(Scale.FULL, false).config(setup(table, row), 0);
        TrainConfig paper = plan(Scale.FULL, true).config(setup(table, row), 0);
        assertEquals(
                List.of(epochs, n, optimizer),
                List.of(
                        code.schedule().epochs(),
                        code.arch().recursion().latentSteps(),
                        code.optimizer().kind().key()));
        assertEquals(
                List.of(epochs2, n2, optimizer2),
                List.of(
                        paper.schedule().epochs(),
                        paper.arch().recursion().latentSteps(),
                        paper.optimizer().kind().key()));
        TrainConfig tiny = plan(Scale.TINY, true).config(setup(table, row), 0);
        assertEquals(
                List.of(n2, optimizer2),
                List.of(
                        tiny.arch().recursion().latentSteps(),
                        tiny.optimizer().kind().key()));
    }

    @Test
    void scales() {
        assertEquals(Scale.FULL, Scale.parse("full"));
        assertEquals(Scale.FULL, Scale.parse("1"));
        assertEquals(Scale.TINY, Scale.parse("TINY"));
        assertEquals(new Scale(0.01, 0), Scale.parse("1e-2"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "1.5", "-1", "small", "NaN", ""})
    void scalesThatAreNone(String text) {
        ConfigException e = assertThrows(ConfigException.class, () -> Scale.parse(text));
        assertEquals("--scale " + text + ": expected full, tiny or a fraction above 0 and at most 1", e.getMessage());
    }
}
