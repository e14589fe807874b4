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

    /** Compares and ticks off one value: no part of it deviates by more than {@code atol}. */
    void compare(String what, double[] got, double[] want, double atol) {
        if (!sameCount(what, got, want, atol)) {
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
        record(what, worst, atol);
    }

    /** Compares and ticks off one value: the Frobenius norm of its deviation is at most {@code limit}. */
    void norm(String what, double[] got, double[] want, double limit) {
        if (!sameCount(what, got, want, limit)) {
            return;
        }
        double squares = 0;
        for (int i = 0; i < got.length; i++) {
            squares += (got[i] - want[i]) * (got[i] - want[i]);
        }
        record(what, Math.sqrt(squares), limit);
    }

    private boolean sameCount(String what, double[] got, double[] want, double allowed) {
        due.remove(what);
        if (got.length != want.length) {
            record(what, Double.POSITIVE_INFINITY, allowed);
            fault(what + ": " + got.length + " values, expected " + want.length);
        }
        return got.length == want.length;
    }

    /** Ticks off a value that must be equal, with a deviation of how many of its parts differ. */
    void equal(String what, long differences) {
        compare(what, new double[] {differences}, new double[] {0}, 0);
    }

    private void record(String what, double dev, double atol) {
        double units = dev == 0 ? 0 : atol > 0 && !Double.isNaN(dev) ? dev / atol : Double.POSITIVE_INFINITY;
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
