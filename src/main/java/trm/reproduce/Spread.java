package trm.reproduce;

import java.util.Locale;
import java.util.stream.DoubleStream;

/**
 * Some values of equal runs: the one in the middle and both ends. Of an even number the middle is the mean of two.
 */
record Spread(double median, double least, double most) {
    /** @param values one at least; {@link Curve#NEVER} is greater than any other */
    static Spread of(DoubleStream values) {
        double[] sorted = values.sorted().toArray();
        int middle = sorted.length / 2;
        double median = sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new Spread(median, sorted[0], sorted[sorted.length - 1]);
    }

    /** The median, and both ends in brackets where they differ. */
    String text(String pattern) {
        return text(pattern, median)
                + (least == most ? "" : " (" + text(pattern, least) + " to " + text(pattern, most) + ")");
    }

    /** A value of a curve as a report shows it. */
    static String text(String pattern, double value) {
        return value == Curve.NEVER ? "never" : String.format(Locale.ROOT, pattern, value);
    }
}
