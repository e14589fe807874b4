package trm.verify;

import java.util.LinkedHashSet;
import java.util.Set;

/**
 * The comparisons of one case: which values are still due, and the worst so far in units of its tolerance. A case passes
 * when every expected value was compared and none deviates by more than its tolerance; NaN never passes.
 */
final class Comparison {
    private final String name;
    private final Set<String> due = new LinkedHashSet<>();
    private String tensor;
    private double ratio = -1;
    private double error;
    private double tolerance;
    private String fault = "";

    /** @param expected names of all values that the case must compare */
    Comparison(String name, Iterable<String> expected) {
        this.name = name;
        expected.forEach(due::add);
    }

    /** Compares and ticks off one value. */
    void compare(String what, double[] got, double[] want, double atol) {
        due.remove(what);
        if (got.length != want.length) {
            record(what, Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY, atol);
            fault(what + ": " + got.length + " values, expected " + want.length);
            return;
        }
        double worst = 0;
        for (int i = 0; i < got.length; i++) {
            double dev = Math.abs(got[i] - want[i]);
            if (!(dev <= worst)) { // also NaN
                worst = dev;
                if (Double.isNaN(dev)) {
                    break;
                }
            }
        }
        double units = worst == 0 ? 0 : atol > 0 ? worst / atol : Double.POSITIVE_INFINITY;
        record(what, Double.isNaN(units) ? Double.POSITIVE_INFINITY : units, worst, atol);
    }

    /** Ticks off a value that must be equal, with a deviation of how many of its parts differ. */
    void equal(String what, long differences) {
        compare(what, new double[] {differences}, new double[] {0}, 0);
    }

    private void record(String what, double units, double dev, double atol) {
        if (units > ratio) {
            ratio = units;
            tensor = what;
            error = dev;
            tolerance = atol;
        }
    }

    /** The case fails for a reason other than a deviation; the first one is kept. */
    void fault(String reason) {
        if (fault.isEmpty()) {
            fault = reason;
        }
    }

    /** @param note what to know about how the case was compared */
    CaseResult result(String note) {
        if (!due.isEmpty()) {
            fault("not compared: " + String.join(", ", due.stream().limit(5).toList())
                    + (due.size() > 5 ? " and " + (due.size() - 5) + " more" : ""));
        }
        if (ratio < 0 && fault.isEmpty()) {
            return CaseResult.unsupported(name, "nothing to compare");
        }
        if (!(ratio <= 1) || !fault.isEmpty()) {
            return new CaseResult(name, CaseResult.FAILED, tensor, error, tolerance, fault);
        }
        return new CaseResult(name, CaseResult.PASSED, tensor, error, tolerance, note);
    }
}
