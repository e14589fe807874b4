package trm.reproduce;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import trm.config.Difference;
import trm.train.BestEvaluation;
import trm.train.MetricsRow.Column;

/**
 * Runs side by side.
 *
 * @param runs one at least
 */
public record Comparison(List<RunSummary> runs) {
    /** Columns of the last row of training. */
    private static final List<Column> TRAINING = List.of(
            Column.LR, Column.LM_LOSS, Column.Q_HALT_LOSS, Column.GRAD_NORM, Column.EXACT_ACCURACY, Column.STEPS);

    /** Columns of the last evaluation. */
    private static final List<Column> EVALUATION =
            List.of(Column.EVAL_PUZZLES, Column.EVAL_ACCURACY, Column.EVAL_EXACT_ACCURACY, Column.EVAL_PASS_2);

    /**
     * One thing, of all runs.
     *
     * @param values in the order of the runs; null where a run has none
     */
    public record Row<T>(String name, List<T> values) {
        public Row {
            values = Collections.unmodifiableList(new ArrayList<>(values));
        }
    }

    public Comparison {
        runs = List.copyOf(runs);
    }

    /** The keys that do not have the same value in all runs, in the order of configurations; values as these write them. */
    public List<Row<String>> settings() {
        Map<String, String[]> different = new LinkedHashMap<>();
        for (int i = 1; i < runs.size(); i++) {
            for (Difference difference :
                    Difference.between(runs.get(0).config(), runs.get(i).config())) {
                different
                                .computeIfAbsent(difference.key(), key -> {
                                    String[] values = new String[runs.size()];
                                    Arrays.fill(values, difference.first());
                                    return values;
                                })[i] =
                        difference.second();
            }
        }
        return different.entrySet().stream()
                .map(entry -> new Row<>(entry.getKey(), List.of(entry.getValue())))
                .toList();
    }

    /**
     * How far the runs are, and what their last rows of training and evaluation say, and the best evaluation; without what none of
     * them has.
     */
    public List<Row<Number>> metrics() {
        List<Row<Number>> rows = new ArrayList<>();
        add(rows, "step", run -> Optional.of(run.step()));
        add(rows, "total_steps", run -> Optional.of(run.totalSteps()));
        for (Column column : TRAINING) {
            add(rows, column.title(), run -> number(run.training(column)));
        }
        add(rows, "evaluated_step", run -> Optional.of(run.evaluatedStep()).filter(step -> step > 0));
        for (Column column : EVALUATION) {
            add(rows, column.title(), run -> number(run.evaluation(column)));
        }
        add(rows, "best_value", run -> run.best().map(BestEvaluation::value));
        add(rows, "best_step", run -> run.best().map(BestEvaluation::step));
        add(rows, "hours", run -> number(run.hours()));
        add(rows, "steps_per_second", run -> number(run.stepsPerSecond()));
        return rows;
    }

    private static Optional<Double> number(double value) {
        return Double.isNaN(value) ? Optional.empty() : Optional.of(value);
    }

    private void add(List<Row<Number>> rows, String name, Function<RunSummary, Optional<? extends Number>> value) {
        List<Number> values = new ArrayList<>();
        for (RunSummary run : runs) {
            values.add(value.apply(run).orElse(null));
        }
        if (values.stream().anyMatch(v -> v != null)) {
            rows.add(new Row<>(name, values));
        }
    }
}
