package trm.train;

import java.nio.file.Path;
import java.util.Objects;
import java.util.OptionalDouble;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import trm.input.Shown;
import trm.io.EventFile;
import trm.io.MetricsCsv;
import trm.train.MetricsRow.Column;

/** What a run says of itself: {@code metrics.csv}, TensorBoard's events, the log, and whoever listens. For one thread. */
final class RunJournal implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Run.class);

    private final Path folder;
    private final Path metrics;
    private final MetricsCsv csv;
    private final Run.Listener listener;
    private final long totalSteps;
    private long firstStep; // of the events
    private boolean repeats; // an evaluation after firstStep is made again, whose row was already written
    private EventFile events; // null until begin

    /** @param totalSteps optimizer steps of the whole run */
    RunJournal(RunFolder held, Run.Listener listener, long totalSteps) {
        this.folder = held.path();
        this.metrics = held.file(RunFolder.METRICS);
        this.csv = new MetricsCsv(metrics, MetricsRow.titles());
        this.listener = listener;
        this.totalSteps = totalSteps;
        csv.torn().ifPresent(row -> warn(metrics + ": dropped a row that a crash has torn: " + Shown.quoted(row)));
    }

    /** Drops what was written after the step that a run goes on from, and that step's evaluation if it is due again. */
    void resumeAt(long step, boolean evaluated) {
        csv.truncateAfter(step);
        repeats = !evaluated && csv.dropRows(step, Column.EVAL_PUZZLES.ordinal());
        firstStep = repeats ? step : step + 1;
    }

    /** Begins a file of events; those of the same steps in earlier files are forgotten. */
    void begin() {
        events = new EventFile(folder, firstStep);
        if (repeats) {
            MetricsRow.read(metrics, firstStep).ifPresent(this::writeEvents);
        }
    }

    void say(String text) {
        LOG.info(text);
        listener.message(text);
    }

    void warn(String text) {
        LOG.warn(text);
        listener.message(text);
    }

    void evaluating(long step, int puzzles, int all) {
        LOG.info("evaluating {} of {} puzzles at step {}", puzzles, all, step);
        listener.evaluating(step, puzzles);
    }

    /** Share of puzzles solved in full by the evaluation at a step; empty if no row of it is left. */
    OptionalDouble exactAccuracy(long step) {
        return MetricsCsv.read(metrics).stream()
                .filter(cells -> cells.get(Column.STEP.title()) == step)
                .map(cells -> cells.get(Column.EVAL_EXACT_ACCURACY.title()))
                .filter(Objects::nonNull)
                .mapToDouble(Double::doubleValue)
                .findFirst();
    }

    void record(MetricsRow row) {
        csv.append(row.values());
        writeEvents(row);
        LOG.info(row.describe(totalSteps));
        listener.row(row, totalSteps);
    }

    private void writeEvents(MetricsRow row) {
        String family = row.has(Column.EVAL_PUZZLES) ? "" : "train/";
        double wall = System.currentTimeMillis() * 1e-3;
        for (Column column : Column.values()) {
            if (column != Column.STEP && row.has(column)) {
                events.scalar(family + column.title(), row.step(), row.get(column), wall);
            }
        }
    }

    /** Waits until all rows are on the disk. */
    void force() {
        csv.force();
    }

    @Override
    public void close() {
        try {
            if (events != null) {
                events.close();
            }
        } finally {
            csv.close();
        }
    }
}
