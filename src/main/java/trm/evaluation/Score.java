package trm.evaluation;

/**
 * What an evaluation found over {@code puzzles} samples with labels.
 *
 * @param accuracy share of right tokens, mean over the samples
 * @param exactAccuracy share of samples without a wrong token
 * @param qHaltAccuracy share of samples where q_halt &gt;= 0 says rightly whether the answer is exact
 * @param lmLoss mean token loss of a sample
 * @param steps mean supervision steps of a sample
 */
public record Score(
        long puzzles, double accuracy, double exactAccuracy, double qHaltAccuracy, double lmLoss, double steps) {
    /** Standard deviations to either side that hold 95 % of a normal distribution. */
    private static final double Z = 1.959963984540054;

    /** Two ends of an interval of shares. */
    public record Interval(double low, double high) {
        /** Whether a share lies in it. */
        public boolean holds(double share) {
            return low <= share && share <= high;
        }
    }

    /** The exact accuracies that these samples leave likely, at 95 %. */
    public Interval exactInterval() {
        return wilson(Math.round(exactAccuracy * puzzles), puzzles);
    }

    /**
     * The shares p with |hits/n - p| &lt;= Z sqrt(p (1 - p) / n): Wilson's score interval of a binomial share (E. B. Wilson,
     * JASA 22, 1927). Unlike hits/n +- Z sqrt(...) it stays within 0 and 1, and says something when all or none hit.
     */
    public static Interval wilson(long hits, long n) {
        if (n == 0) {
            return new Interval(0, 1);
        }
        double p = (double) hits / n;
        double spread = Z * Z / n;
        double centre = p + spread / 2;
        double reach = Math.sqrt(spread * (p * (1 - p) + spread / 4));
        double low = hits == 0 ? 0 : (centre - reach) / (1 + spread);
        double high = hits == n ? 1 : (centre + reach) / (1 + spread);
        return new Interval(low, high);
    }
}
