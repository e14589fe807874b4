package trm.train;

import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import trm.config.ConfigLoader;
import trm.config.MarkdownTable;
import trm.config.TrainConfig;
import trm.input.Shown;
import trm.io.EventFile;
import trm.io.FormatException;
import trm.io.MetricsCsv;
import trm.train.MetricsRow.Column;

/**
 * What a run says of itself: {@code metrics.csv}, TensorBoard's events, the log, and whoever listens. Of several ranks the first
 * says it, and the others are silent. Rows that cannot be written, because a disk is full, wait here until they can. For one
 * thread.
 */
final class RunJournal implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Run.class);

    private final Path folder;
    private final Path metrics;
    private final MetricsCsv csv; // null where it is silent
    private final Run.Listener listener;
    private final long totalSteps;
    private final int maxSteps;
    private long firstStep; // of the events
    private boolean repeats; // an evaluation after firstStep is made again, whose row was already written
    private EventFile events; // null until begin
    private final Deque<MetricsRow> forTable = new ArrayDeque<>(); // not yet written
    private final Deque<MetricsRow> forEvents = new ArrayDeque<>();
    private FormatException trouble; // why not, null where all are written
    private MetricsRow evaluation; // the last one of this process, null before

    /**
     * @param totalSteps optimizer steps of the whole run
     * @param maxSteps supervision steps of a sample at most
     */
    RunJournal(RunFolder held, Run.Listener listener, long totalSteps, int maxSteps) {
        this.folder = held.path();
        this.metrics = held.file(RunFolder.METRICS);
        this.maxSteps = maxSteps;
        this.csv = held.isWritten() ? new MetricsCsv(metrics, MetricsRow.titles(maxSteps)) : null;
        this.listener = listener;
        this.totalSteps = totalSteps;
        if (isSilent()) {
            return;
        }
        csv.torn().ifPresent(row -> warn(metrics + ": dropped a row that a crash has torn: " + Shown.quoted(row)));
    }

    private boolean isSilent() {
        return csv == null;
    }

    /** Drops what was written after the step that a run goes on from, and that step's evaluation if it is due again. */
    void resumeAt(long step, boolean evaluated) {
        if (isSilent()) {
            return;
        }
        csv.truncateAfter(step);
        repeats = !evaluated && csv.dropRows(step, Column.EVAL_PUZZLES.ordinal());
        firstStep = repeats ? step : step + 1;
    }

    /**
     * Begins a file of events; those of the same steps in earlier files are forgotten.
     *
     * @param facts what else is known of the run, by name
     */
    void begin(TrainConfig config, Map<String, String> facts) {
        if (isSilent()) {
            return;
        }
        events = new EventFile(folder, firstStep);
        double wall = now();
        events.hyperparameters(ConfigLoader.texts(config), firstStep, wall);
        events.text("settings/config", firstStep, "```yaml\n" + ConfigLoader.toYaml(config) + "```\n", wall);
        List<List<String>> rows = facts.entrySet().stream()
                .map(fact -> List.of(fact.getKey(), fact.getValue()))
                .toList();
        events.text("settings/run", firstStep, MarkdownTable.of(List.of("run", ""), rows), wall);
        if (repeats) {
            MetricsRow.read(metrics, firstStep).ifPresent(this::writeEvents);
        }
    }

    void say(String text) {
        if (isSilent()) {
            return;
        }
        LOG.info(text);
        listener.message(text);
    }

    void warn(String text) {
        if (isSilent()) {
            return;
        }
        LOG.warn(text);
        listener.message(text);
    }

    void evaluating(long step, int puzzles, int all) {
        if (isSilent()) {
            return;
        }
        LOG.info("evaluating {} of {} puzzles at step {}", puzzles, all, step);
        listener.evaluating(step, puzzles);
    }

    /** Share of puzzles solved in full by the evaluation at a step; empty if no row of it is left. */
    OptionalDouble exactAccuracy(long step) {
        if (isSilent()) {
            return OptionalDouble.empty();
        }
        if (evaluation != null && evaluation.step() == step) {
            return OptionalDouble.of(evaluation.get(Column.EVAL_EXACT_ACCURACY));
        }
        return MetricsCsv.read(metrics).stream()
                .filter(cells -> cells.get(Column.STEP.title()) == step)
                .map(cells -> cells.get(Column.EVAL_EXACT_ACCURACY.title()))
                .filter(Objects::nonNull)
                .mapToDouble(Double::doubleValue)
                .findFirst();
    }

    void record(MetricsRow row) {
        if (isSilent()) {
            return;
        }
        if (row.has(Column.EVAL_PUZZLES)) {
            evaluation = row;
        }
        LOG.info(row.describe(totalSteps));
        listener.row(row, totalSteps);
        forTable.add(row);
        forEvents.add(row);
        write();
    }

    /** Writes the rows that wait. */
    private void write() {
        FormatException before = trouble;
        trouble = null;
        drain(forTable, row -> csv.append(row.values(maxSteps)));
        drain(forEvents, this::writeEvents);
        if (trouble != null && before == null) {
            warn(trouble.getMessage() + "; training goes on, and the rows are kept until they can be written");
        } else if (trouble == null && before != null) {
            say(metrics + ": the rows that were kept are written");
        }
    }

    private void drain(Deque<MetricsRow> rows, Consumer<MetricsRow> to) {
        try {
            while (!rows.isEmpty()) {
                to.accept(rows.peek());
                rows.remove();
            }
        } catch (FormatException e) {
            trouble = e;
        }
    }

    private void writeEvents(MetricsRow row) {
        events.scalars(row.scalars(), row.step(), now());
    }

    /** Seconds since 1970. */
    private static double now() {
        return System.currentTimeMillis() * 1e-3;
    }

    /** Waits until all rows are on the disk. @throws FormatException if they cannot be written */
    void force() {
        if (isSilent()) {
            return;
        }
        write();
        if (!forTable.isEmpty()) {
            throw trouble;
        }
        csv.force();
    }

    @Override
    public void close() {
        if (isSilent()) {
            return;
        }
        try {
            if (events != null) {
                events.close();
            }
        } finally {
            csv.close();
        }
    }
}
