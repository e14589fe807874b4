package trm.reproduce;

import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * How many unseen puzzles a run solved as it went on.
 *
 * @param points evaluations, by step
 */
public record Curve(List<Point> points) {
    /** What {@link #stepsTo} and {@link #secondsTo} say of a share that no evaluation reached; greater than any number of steps. */
    public static final double NEVER = Double.POSITIVE_INFINITY;

    /**
     * One evaluation.
     *
     * @param seconds of training until then, evaluations apart ({@link RunSummary#curve})
     * @param exact share of the puzzles that are solved
     */
    public record Point(long step, double seconds, long puzzles, double exact) {}

    public Curve {
        points = List.copyOf(points);
    }

    /** Steps until a share of the puzzles was solved for the first time; {@link #NEVER} if none of the evaluations found so many. */
    public double stepsTo(double share) {
        return first(share, Point::step);
    }

    /** Seconds of training until then. */
    public double secondsTo(double share) {
        return first(share, Point::seconds);
    }

    /** Steps a second up to the last evaluation; NaN without one. */
    public double stepsPerSecond() {
        if (points.isEmpty()) {
            return Double.NaN;
        }
        Point last = points.get(points.size() - 1);
        return last.step / last.seconds;
    }

    /**
     * Where the line between the first evaluation that found the share and the one before it has the share. The first evaluation
     * of all has none before it, and counts itself.
     */
    private double first(double share, ToDoubleFunction<Point> value) {
        for (int i = 0; i < points.size(); i++) {
            Point at = points.get(i);
            if (at.exact >= share) {
                Point before = i == 0 ? at : points.get(i - 1);
                double part = i == 0 ? 1 : (share - before.exact) / (at.exact - before.exact);
                return value.applyAsDouble(before) + part * (value.applyAsDouble(at) - value.applyAsDouble(before));
            }
        }
        return NEVER;
    }
}
