package trm.model;

/**
 * The law of initial weights (docs/specification.md#75-initialisation): N(0, 1) cut to ±2, rescaled to the wanted
 * deviation, sampled by inverting the distribution function of a SplitMix64 sequence. Equal seeds give equal numbers on
 * every machine.
 */
public final class TruncatedNormal {
    private static final double MASS = 0.9544997361036416; // P(|N(0, 1)| < 2)
    private static final double DEVIATION = 0.87962566103423978; // of N(0, 1) cut to ±2

    private static final long GAMMA = 0x9E3779B97F4A7C15L; // SplitMix64's, 2^64 over the golden ratio, odd

    private long state;

    public TruncatedNormal(long seed) {
        state = seed;
    }

    /** A sequence of its own for each tuple of coordinates, so that draws need not be in any order. */
    public static TruncatedNormal at(long... coordinates) {
        long key = 0;
        for (long coordinate : coordinates) {
            key = mixed(key + coordinate + GAMMA);
        }
        return new TruncatedNormal(key);
    }

    private long next() {
        state += GAMMA;
        return mixed(state);
    }

    private static long mixed(long bits) {
        long v = bits;
        v = (v ^ (v >>> 30)) * 0xBF58476D1CE4E5B9L;
        v = (v ^ (v >>> 27)) * 0x94D049BB133111EBL;
        return v ^ (v >>> 31);
    }

    /** {@code count} independent values of deviation {@code std}. */
    public float[] sample(int count, double std) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (std * quantile(uniform()));
        }
        return values;
    }

    /** {@code count} independent values of N(0, std^2), not cut. */
    public float[] sampleWhole(int count, double std) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (std * normalQuantile(uniform() - 0.5));
        }
        return values;
    }

    /** Of (0, 1), neither end included. */
    private double uniform() {
        return ((next() >>> 11) + 0.5) * 0x1.0p-53;
    }

    /** The value of deviation 1 below which a draw falls with probability {@code p}, 0 < p < 1. */
    public static double quantile(double p) {
        double z = normalQuantile((p - 0.5) * MASS);
        return Math.max(-2, Math.min(2, z)) / DEVIATION;
    }

    /** Quantile of N(0, 1) at 0.5 + q; Wichura's algorithm AS 241 (PPND16), relative error about 1e-16. */
    private static double normalQuantile(double q) {
        if (Math.abs(q) <= 0.425) {
            double r = 0.180625 - q * q;
            return q
                    * (((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r
                                                                                            + 45921.953931549871457)
                                                                                    * r
                                                                            + 13731.693765509461125)
                                                                    * r
                                                            + 1971.5909503065514427)
                                                    * r
                                            + 133.14166789178437745)
                                    * r
                            + 3.387132872796366608)
                    / (((((((5226.495278852545925 * r + 28729.085735721942674) * r + 39307.89580009271061) * r
                                                                                            + 21213.794301586595867)
                                                                                    * r
                                                                            + 5394.1960214247511077)
                                                                    * r
                                                            + 687.1870074920579083)
                                                    * r
                                            + 42.313330701600911252)
                                    * r
                            + 1.);
        }
        double r = Math.sqrt(-Math.log(0.5 - Math.abs(q))) - 1.6;
        double value = (((((((7.7454501427834140764e-4 * r + .0227238449892691845833) * r + .24178072517745061177) * r
                                                                                        + 1.27045825245236838258)
                                                                                * r
                                                                        + 3.64784832476320460504)
                                                                * r
                                                        + 5.7694972214606914055)
                                                * r
                                        + 4.6303378461565452959)
                                * r
                        + 1.42343711074968357734)
                / (((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + .0151986665636164571966) * r
                                                                                        + .14810397642748007459)
                                                                                * r
                                                                        + .68976733498510000455)
                                                                * r
                                                        + 1.6763848301838038494)
                                                * r
                                        + 2.05319162663775882187)
                                * r
                        + 1.);
        return q < 0 ? -value : value;
    }
}
