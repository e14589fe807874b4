package trm.train;

import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import trm.config.BestBy;
import trm.input.Shown;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.io.SafeTensorsWriter;

/**
 * The best evaluation of a run so far. A checkpoint carries it, so that a run that goes on takes the same decisions as one that
 * nothing has stopped: which checkpoint stays, and when patience is at an end.
 *
 * @param by what is compared
 * @param value that it found, a share; a later one must be greater
 * @param step of it
 * @param since evaluations after it, none of which was better
 */
public record BestEvaluation(BestBy by, double value, long step, int since) {
    private static final String BY = "best_by";
    private static final String VALUE = "best_value";
    private static final String STEP = "best_step";
    private static final String SINCE = "evaluations_since_best";

    /**
     * With one evaluation more.
     *
     * @param before null if it is the first, or what was compared before is something else
     */
    static BestEvaluation after(BestEvaluation before, BestBy by, double value, long step) {
        return before == null || before.by != by || value > before.value
                ? new BestEvaluation(by, value, step, 0)
                : new BestEvaluation(by, before.value, before.step, before.since + 1);
    }

    /** Whether so many evaluations in a row were no better; never for a patience of 0. */
    boolean exhausts(int patience) {
        return patience > 0 && since >= patience;
    }

    void write(SafeTensorsWriter out) {
        out.metadata(BY, by.key());
        out.metadata(VALUE, Double.toString(value));
        out.metadata(STEP, Long.toString(step));
        out.metadata(SINCE, Integer.toString(since));
    }

    /**
     * As a checkpoint says; empty if its run did not tell, or had not evaluated.
     *
     * @throws FormatException if no run can have written what it says
     */
    static Optional<BestEvaluation> read(SafeTensors file) {
        CheckedTensors metadata = new CheckedTensors(file);
        Map<String, String> said = file.metadata();
        if (!said.containsKey(BY)) {
            return Optional.empty();
        }
        return Optional.of(new BestEvaluation(
                by(metadata, said.get(BY)),
                share(metadata, said.get(VALUE)),
                metadata.count(STEP, 0, metadata.count("evaluated_step")),
                Math.toIntExact(metadata.count(SINCE, 0, Integer.MAX_VALUE))));
    }

    private static BestBy by(CheckedTensors metadata, String found) {
        for (BestBy by : BestBy.values()) {
            if (by.key().equals(found)) {
                return by;
            }
        }
        throw metadata.refused(
                "metadata '" + BY + "' is " + Shown.quoted(found) + ", expected a column of evaluations");
    }

    private static double share(CheckedTensors metadata, String found) {
        try {
            double value = Double.parseDouble(String.valueOf(found));
            if (value >= 0 && value <= 1) {
                return value;
            }
        } catch (NumberFormatException e) {
            // as one that is out of range
        }
        throw metadata.refused("metadata '" + VALUE + "' is " + Shown.quoted(found) + ", expected a number in 0 .. 1");
    }

    /** As a line for people. */
    String describe() {
        return String.format(Locale.ROOT, "%s %.4f of step %d", by.key(), value, step);
    }
}
