package trm.config;

import java.util.List;
import java.util.Locale;

/**
 * What the evaluations of a run must reach for it to go on ({@code gates}): a run that learns nothing ends early.
 *
 * @param step first step whose evaluation is held to it, {@code step}; the next gate takes its place
 * @param exactAccuracy least share of puzzles solved in full, {@code exact_accuracy}
 */
public record Gate(long step, double exactAccuracy) {
    private static final String KEY = "gates";

    /** A list of them, each a table of its two fields. */
    static final ValueType<List<Gate>> LIST = ValueType.tables(
            List.of("step", "exact_accuracy"),
            in -> new Gate(in.longInteger("step"), in.number("exact_accuracy")),
            Gate::text,
            new Gate(2000, 0.15));

    /** As a file writes it. */
    private static String text(Gate gate) {
        return String.format(Locale.ROOT, "{step: %d, exact_accuracy: %s}", gate.step, gate.exactAccuracy);
    }

    /**
     * Checks gates against each other.
     *
     * @throws ConfigException if one is out of range, or does not follow the one before it
     */
    static void check(List<Gate> gates) {
        String shown = LIST.text().apply(gates);
        long before = 0;
        for (Gate gate : gates) {
            Check.that(gate.step > before, KEY, shown, "step " + gate.step + " must be above " + before + ", in order");
            Check.that(
                    gate.exactAccuracy > 0 && gate.exactAccuracy <= 1,
                    KEY,
                    shown,
                    "exact_accuracy " + gate.exactAccuracy
                            + " must be above 0 and at most 1, as a share of the puzzles");
            before = gate.step;
        }
    }
}
