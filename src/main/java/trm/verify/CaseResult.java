package trm.verify;

/**
 * What became of one golden case.
 *
 * @param status {@code passed}, {@code failed} or {@code unsupported}
 * @param tensor the one with the largest error in units of its tolerance; null when nothing was compared
 * @param error its largest deviation from the golden values, NaN when a value is not a number
 * @param tolerance what the manifest allows, 0 for equality
 * @param note why it failed or is unsupported, or what to know about how it was compared; empty for nothing
 */
public record CaseResult(String name, String status, String tensor, double error, double tolerance, String note) {
    public static final String PASSED = "passed";
    public static final String FAILED = "failed";
    public static final String UNSUPPORTED = "unsupported";

    static CaseResult unsupported(String name, String reason) {
        return new CaseResult(name, UNSUPPORTED, null, 0, 0, reason);
    }

    static CaseResult failed(String name, String reason) {
        return new CaseResult(name, FAILED, null, 0, 0, reason);
    }

    public boolean passed() {
        return status.equals(PASSED);
    }

    public boolean failed() {
        return status.equals(FAILED);
    }
}
