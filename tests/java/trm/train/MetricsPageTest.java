package trm.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import trm.train.MetricsRow.Column;

class MetricsPageTest {
    @Test
    void documentationIsUpToDate() throws IOException {
        assertEquals(
                MetricsPage.markdown(),
                Files.readString(Path.of("docs/metrics.md")),
                "docs/metrics.md is stale; write it anew: ./trm info --metrics > docs/metrics.md");
    }

    @Test
    void everyColumnIsDocumented() {
        List<String> documented =
                MetricsPage.entries().stream().map(MetricsPage.Entry::name).toList();
        for (String title : MetricsRow.titles(40)) {
            assertTrue(documented.contains(title.replaceFirst("_at_\\d+$", "_at_K")), title);
        }
        for (MetricsPage.Entry entry : MetricsPage.entries()) {
            assertTrue(entry.sentence().matches("[A-Z`].*\\."), entry.toString());
            assertTrue(entry.tag().isEmpty() || entry.tag().matches("(train|eval|system)/\\w+"), entry.toString());
        }
    }

    /** Those of a run that takes three supervision steps; what earlier versions wrote is among them, in its order. */
    @Test
    void columnsInTheirOrder() {
        String before =
                "step,lr,lm_loss,q_halt_loss,q_continue_loss,grad_norm,halted,accuracy,exact_accuracy,q_halt_accuracy,steps,"
                        + "eval_puzzles,eval_accuracy,eval_exact_accuracy,eval_pass_2,elapsed_seconds,samples_per_second";
        List<String> old = List.of(before.split(","));
        List<String> titles = MetricsRow.titles(3);
        assertEquals(old, titles.stream().filter(old::contains).toList());
        assertEquals(
                List.of(
                        "total_loss",
                        "eval_q_halt_accuracy",
                        "eval_lm_loss",
                        "eval_exact_accuracy_at_1",
                        "eval_exact_accuracy_at_2",
                        "eval_exact_accuracy_at_3"),
                titles.stream().filter(title -> !old.contains(title)).toList());
    }

    @Test
    void oneColumnForEachStepUntilThereAreTooMany() {
        assertEquals(List.of(1), MetricsRow.shownSteps(1));
        assertEquals(IntStream.rangeClosed(1, 16).boxed().toList(), MetricsRow.shownSteps(16));
        List<Integer> many = MetricsRow.shownSteps(100);
        assertEquals(List.of(16, 32, 64, 100), many.subList(15, many.size()));
        assertEquals(28, MetricsRow.shownSteps(1 << 16).size());
    }

    /** A value of a row and its scalar stand under names that belong together. */
    @Test
    void aRowIsTheSameForTensorBoard() {
        MetricsRow row = new MetricsRow(7)
                .set(Column.EVAL_PUZZLES, 3L)
                .set(Column.EVAL_EXACT_ACCURACY, 0.5)
                .set(Column.ELAPSED_SECONDS, 2.0)
                .setExactByStep(List.of(0.25, 0.5));
        assertEquals(
                "{eval/puzzles=3.0, eval/exact_accuracy=0.5, system/elapsed_seconds=2.0,"
                        + " eval/exact_accuracy_at_1=0.25, eval/exact_accuracy_at_2=0.5}",
                row.scalars().toString());
        Number[] cells = row.values(2);
        List<String> titles = MetricsRow.titles(2);
        assertEquals(titles.size(), cells.length);
        assertEquals(0.25, cells[titles.indexOf("eval_exact_accuracy_at_1")]);
        assertEquals(0.5, cells[titles.indexOf("eval_exact_accuracy_at_2")]);
        assertEquals(2.0, cells[titles.indexOf("elapsed_seconds")]);
        assertEquals(null, cells[titles.indexOf("lm_loss")]);
    }
}
