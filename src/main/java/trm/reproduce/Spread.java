package trm.reproduce;

import java.util.List;
import java.util.Locale;
import java.util.stream.DoubleStream;

/**
 * Some values of equal runs: the one in the middle and both ends. Of an even number the middle is the mean of two.
 *
 * @param count of values, at least 1
 */
record Spread(int count, double median, double least, double most) {
    /** @param values one at least; {@link Curve#NEVER} is greater than any other */
    static Spread of(DoubleStream values) {
        double[] sorted = values.sorted().toArray();
        int middle = sorted.length / 2;
        double median = sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new Spread(sorted.length, median, sorted[0], sorted[sorted.length - 1]);
    }

    static Spread of(List<Double> values) {
        return of(values.stream().mapToDouble(Double::doubleValue));
    }

    /** The median, and both ends in brackets where there are several values. */
    String text(String pattern) {
        return text(pattern, median)
                + (count < 2 ? "" : " (" + text(pattern, least) + " to " + text(pattern, most) + ")");
    }

    /** A value of a curve as a report shows it. */
    static String text(String pattern, double value) {
        return value == Curve.NEVER ? "never" : String.format(Locale.ROOT, pattern, value);
    }
}
