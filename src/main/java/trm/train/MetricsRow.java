package trm.train;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import trm.io.MetricsCsv;

/** One row of {@code metrics.csv}: of training since the row before, or of an evaluation; the other columns are empty. */
public final class MetricsRow {
    private static final String LANES = "all lanes of all ranks, in the steps since the row before";
    private static final String HALTED_SAMPLES = "samples that halted since the row before and have labels";
    private static final String TEST_SAMPLES = "test samples of the evaluation, after the last supervision step";

    /** What a column is about: its group in TensorBoard. */
    public enum Group {
        /** Of rows of both kinds; TensorBoard has it beside every value. */
        STEP,
        TRAIN,
        EVAL,
        SYSTEM
    }

    /**
     * The columns in order; only those whose title ends in _seconds or _per_second depend on the clock. {@link MetricsPage}
     * documents them. The columns of {@link #stepColumn} come before those of {@link Group#SYSTEM}.
     */
    public enum Column {
        STEP(Group.STEP, "steps", "", "Optimizer steps done."),
        LR(Group.TRAIN, "", "the last step", "Learning rate."),
        TOTAL_LOSS(
                Group.TRAIN,
                "nats",
                LANES,
                "`lm_loss` + `halt_loss_weight` · (`q_halt_loss` + `q_continue_loss`): what is minimised; mean."),
        LM_LOSS(Group.TRAIN, "nats", LANES, "Token loss of a sample, the mean over its labelled tokens; mean."),
        Q_HALT_LOSS(
                Group.TRAIN,
                "nats",
                LANES,
                "Binary cross entropy of q_halt against `exact`, without its weight; mean."),
        Q_CONTINUE_LOSS(
                Group.TRAIN,
                "nats",
                LANES,
                "Binary cross entropy of q_continue, without its weight; mean. Empty for systems without a continue loss."),
        GRAD_NORM(
                Group.TRAIN,
                "",
                "the steps since the row before",
                "L2 norm of the gradient of the weights, puzzle vectors apart, before clipping; mean."),
        HALTED(Group.TRAIN, "samples", HALTED_SAMPLES, "How many they are. If none, the next four are empty."),
        ACCURACY(Group.TRAIN, "share", HALTED_SAMPLES, "Right tokens among a sample's labelled ones; mean."),
        EXACT_ACCURACY(Group.TRAIN, "share", HALTED_SAMPLES, "Samples without a wrong token."),
        Q_HALT_ACCURACY(
                Group.TRAIN,
                "share",
                HALTED_SAMPLES,
                "Samples where q_halt ≥ 0 says rightly whether the answer is exact."),
        STEPS(Group.TRAIN, "supervision steps", HALTED_SAMPLES, "Taken until the sample halted; mean."),
        EVAL_PUZZLES(Group.EVAL, "samples", TEST_SAMPLES, "How many they are: those that have labels."),
        EVAL_ACCURACY(Group.EVAL, "share", TEST_SAMPLES, "Right tokens among a sample's labelled ones; mean."),
        EVAL_EXACT_ACCURACY(Group.EVAL, "share", TEST_SAMPLES, "Samples without a wrong token."),
        EVAL_Q_HALT_ACCURACY(
                Group.EVAL,
                "share",
                TEST_SAMPLES,
                "Samples where q_halt ≥ 0 says rightly whether the answer is exact."),
        EVAL_LM_LOSS(
                Group.EVAL, "nats", TEST_SAMPLES, "Token loss of a sample, the mean over its labelled tokens; mean."),
        EVAL_PASS_2(
                Group.EVAL,
                "share",
                "test tasks of ARC",
                "Tasks solved by one of the two answers with most votes. Empty for other puzzles."),
        ELAPSED_SECONDS(Group.SYSTEM, "s", "", "Since this process began to train; a resumed run counts anew."),
        SAMPLES_PER_SECOND(
                Group.SYSTEM,
                "samples/s",
                "the steps since the row before",
                "One of each lane and step, of all ranks; evaluations are not in it.");

        private final Group group;
        private final String unit;
        private final String over;
        private final String sentence;

        Column(Group group, String unit, String over, String sentence) {
            this.group = group;
            this.unit = unit;
            this.over = over;
            this.sentence = sentence;
        }

        /** As in the file's first line. */
        public String title() {
            return name().toLowerCase(Locale.ROOT);
        }

        public Group group() {
            return group;
        }

        /** Empty for a plain number. */
        public String unit() {
            return unit;
        }

        /** Over which samples or steps; empty where that says nothing. */
        public String over() {
            return over;
        }

        public String sentence() {
            return sentence;
        }

        /** In TensorBoard. */
        public String tag() {
            return MetricsRow.tag(group, title());
        }
    }

    /** All supervision steps up to this one have a column of their own. */
    private static final int EACH_STEP = 16;

    private final Number[] values = new Number[Column.values().length];
    private List<Double> exactByStep = List.of(); // of every supervision step, empty unless of an evaluation

    MetricsRow(long step) {
        set(Column.STEP, step);
    }

    /**
     * The supervision steps after which an evaluation's exact accuracy is written down: each up to 16, then each power of two, and
     * the last one.
     *
     * @param maxSteps of a sample, {@code halt_max_steps}
     */
    static List<Integer> shownSteps(int maxSteps) {
        return IntStream.rangeClosed(1, maxSteps)
                .filter(k -> k <= EACH_STEP || k == maxSteps || Integer.bitCount(k) == 1)
                .boxed()
                .toList();
    }

    /** Title of the column of exact accuracy after supervision step {@code step}, a number or what stands for one. */
    static String stepColumn(Object step) {
        return Column.EVAL_EXACT_ACCURACY.title() + "_at_" + step;
    }

    /** A title in TensorBoard: its group, then what is left of it. */
    static String tag(Group group, String title) {
        String path = group.name().toLowerCase(Locale.ROOT);
        return path + "/" + (title.startsWith(path + "_") ? title.substring(path.length() + 1) : title);
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

    /** @param shares exact accuracy after 1, 2, ... supervision steps */
    MetricsRow setExactByStep(List<Double> shares) {
        exactByStep = List.copyOf(shares);
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

    /** In the order of {@link #titles}, null where empty. */
    Number[] values(int maxSteps) {
        List<Number> cells = new ArrayList<>(Arrays.asList(values));
        List<Double> shown = shownSteps(maxSteps).stream()
                .map(k -> exactByStep.isEmpty() ? null : exactByStep.get(k - 1))
                .toList();
        cells.addAll(Column.ELAPSED_SECONDS.ordinal(), shown);
        return cells.toArray(Number[]::new);
    }

    /** What is there, but for the step, under the names that it has in TensorBoard. */
    Map<String, Double> scalars() {
        Map<String, Double> scalars = new LinkedHashMap<>();
        for (Column column : Column.values()) {
            if (column != Column.STEP && has(column)) {
                scalars.put(column.tag(), get(column));
            }
        }
        for (int k : shownSteps(exactByStep.size())) {
            scalars.put(tag(Group.EVAL, stepColumn(k)), exactByStep.get(k - 1));
        }
        return scalars;
    }

    /** Of all columns of a run whose samples take so many supervision steps at most. */
    static List<String> titles(int maxSteps) {
        List<String> titles = new ArrayList<>();
        Arrays.stream(Column.values()).map(Column::title).forEach(titles::add);
        titles.addAll(
                Column.ELAPSED_SECONDS.ordinal(),
                shownSteps(maxSteps).stream().map(MetricsRow::stepColumn).toList());
        return titles;
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
