package trm.train;

import java.util.ArrayList;
import java.util.List;
import trm.config.MarkdownTable;
import trm.train.MetricsRow.Column;
import trm.train.MetricsRow.Group;

/** The documentation of all columns of {@code metrics.csv}, made from their table: what {@code trm info --metrics} prints. */
public final class MetricsPage {
    private static final String HEAD = """
            # Metrics

            Written by `./trm info --metrics > docs/metrics.md` from the table of columns in `trm.train.MetricsRow`; do not edit it.

            A run writes each figure twice: into `metrics.csv`, where a column has the name in the first column below, and into
            `events.out.tfevents.*`, where TensorBoard finds it by the second. Weights & Biases and MLflow: [trackers.md](trackers.md).

            - **Rows of training** come every `log_every_steps` steps and after the last one. They have the columns of `train/`.
            - **Rows of an evaluation** have those of `eval/`. Within the run they are of `eval_puzzles` test samples, after the last step of
              all; the weights are the moving average, where there is one.
            - An empty cell is a value that the row does not have. A share lies between 0 and 1; nats are natural logarithms.
            - Names never change their meaning. A later version may add columns, before the last two; a run that goes on takes them over.
            """;

    private static final String TAIL = """

            TensorBoard also has the settings of each run as text (`settings/config`, `settings/run`), and as hyperparameters, so that its
            table compares runs. A run that goes on writes a new file, which replaces what the earlier ones say of the same steps.

            ```
            tensorboard --logdir runs
            ```
            """;

    private static final List<String> COLUMNS = List.of("column", "TensorBoard", "unit", "over", "meaning");

    private MetricsPage() {}

    /**
     * One row of the documentation.
     *
     * @param name in {@code metrics.csv}
     * @param tag in TensorBoard, empty for none
     * @param unit empty for a plain number
     * @param over over which samples or steps, empty where that says nothing
     */
    public record Entry(String name, String tag, String unit, String over, String sentence) {
        private List<String> cells() {
            return List.of("`" + name + "`", tag.isEmpty() ? "" : "`" + tag + "`", unit, over, sentence);
        }
    }

    /** All columns, in their order. */
    public static List<Entry> entries() {
        List<Entry> entries = new ArrayList<>();
        for (Column c : Column.values()) {
            if (c == Column.ELAPSED_SECONDS) {
                entries.add(byStep());
            }
            String tag = c.group() == Group.STEP ? "" : c.tag();
            entries.add(new Entry(c.title(), tag, c.unit(), c.over(), c.sentence()));
        }
        return entries;
    }

    private static Entry byStep() {
        String title = MetricsRow.stepColumn("K");
        return new Entry(
                title,
                MetricsRow.tag(Group.EVAL, title),
                "share",
                "test samples of the evaluation, after supervision step K",
                "Samples without a wrong token. A column for each K up to 16, each power of two beyond, and the last step.");
    }

    /** The whole page. */
    public static String markdown() {
        return HEAD + "\n"
                + MarkdownTable.of(COLUMNS, entries().stream().map(Entry::cells).toList()) + TAIL;
    }
}
