package trm.train;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import trm.io.MetricsCsv;

/** One row of {@code metrics.csv}: of training since the row before, or of an evaluation; the other columns are empty. */
public final class MetricsRow {
    /** The columns in order; only those whose title ends in _seconds or _per_second depend on the clock. */
    public enum Column {
        STEP,
        LR,
        LM_LOSS,
        Q_HALT_LOSS,
        Q_CONTINUE_LOSS,
        /** Mean over the steps since the row before. */
        GRAD_NORM,
        HALTED,
        ACCURACY,
        EXACT_ACCURACY,
        Q_HALT_ACCURACY,
        STEPS,
        EVAL_PUZZLES,
        EVAL_ACCURACY,
        EVAL_EXACT_ACCURACY,
        /** On ARC: share of tasks solved by one of the two answers with most votes. */
        EVAL_PASS_2,
        ELAPSED_SECONDS,
        SAMPLES_PER_SECOND;

        /** As in the file's first line. */
        public String title() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private final Number[] values = new Number[Column.values().length];

    MetricsRow(long step) {
        set(Column.STEP, step);
    }

    /** The row of training at a step of a file; empty if there is none. */
    static Optional<MetricsRow> read(Path file, long step) {
        return MetricsCsv.read(file).stream()
                .filter(cells ->
                        cells.get(Column.STEP.title()) == step && !cells.containsKey(Column.EVAL_PUZZLES.title()))
                .findFirst()
                .map(cells -> {
                    MetricsRow row = new MetricsRow(step);
                    for (Column column : Column.values()) {
                        if (column != Column.STEP && cells.containsKey(column.title())) {
                            row.set(column, cells.get(column.title()));
                        }
                    }
                    return row;
                });
    }

    MetricsRow set(Column column, Number value) {
        values[column.ordinal()] = value;
        return this;
    }

    public boolean has(Column column) {
        return values[column.ordinal()] != null;
    }

    /** @throws NullPointerException if the row has no such value */
    public double get(Column column) {
        return values[column.ordinal()].doubleValue();
    }

    public long step() {
        return values[Column.STEP.ordinal()].longValue();
    }

    /** In the order of the columns, null where empty. */
    Number[] values() {
        return values.clone();
    }

    static List<String> titles() {
        return Arrays.stream(Column.values()).map(Column::title).toList();
    }

    /** As a line for people. */
    public String describe(long totalSteps) {
        String at = "step " + step() + "/" + totalSteps;
        if (has(Column.EVAL_PUZZLES)) {
            return String.format(
                    Locale.ROOT,
                    "%s  evaluation: %.0f puzzles, accuracy %.4f, exact accuracy %.4f",
                    at,
                    get(Column.EVAL_PUZZLES),
                    get(Column.EVAL_ACCURACY),
                    get(Column.EVAL_EXACT_ACCURACY));
        }
        String exact = has(Column.EXACT_ACCURACY)
                ? String.format(Locale.ROOT, "  exact %.3f", get(Column.EXACT_ACCURACY))
                : "";
        return String.format(
                Locale.ROOT,
                "%s  loss %.4f%s  %.0f samples/s",
                at,
                get(Column.LM_LOSS),
                exact,
                get(Column.SAMPLES_PER_SECOND));
    }
}
