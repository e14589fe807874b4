package trm.reproduce;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;

class CurveTest {
    /** Evaluations each 100 steps, a step taking 0.2 s. */
    private static Curve curve(double... exact) {
        List<Curve.Point> points = new ArrayList<>();
        for (int i = 0; i < exact.length; i++) {
            points.add(new Curve.Point(100 * (i + 1), 20 * (i + 1), 160, exact[i]));
        }
        return new Curve(points);
    }

    /** From 0.4 at 200 to 0.8 at 300 a quarter of the way is 0.5: step 225, and 45 s. */
    @Test
    void aShareIsReachedBetweenTwoEvaluations() {
        Curve curve = curve(0.1, 0.4, 0.8, 0.9);
        assertEquals(225, curve.stepsTo(0.5), 1e-9);
        assertEquals(45, curve.secondsTo(0.5), 1e-9);
        assertEquals(400, curve.stepsTo(0.9), 1e-9); // as the evaluation found it
    }

    @Test
    void theFirstEvaluationCountsItself() {
        assertEquals(100, curve(0.7, 0.9).stepsTo(0.5), 0);
        assertEquals(20, curve(0.7, 0.9).secondsTo(0.5), 0);
    }

    @Test
    void neverReached() {
        assertEquals(Curve.NEVER, curve(0.1, 0.4, 0.49).stepsTo(0.5), 0);
        assertEquals(Curve.NEVER, curve().secondsTo(0.5), 0);
    }

    /** The first time counts, whatever comes after: from 0.3 at 100 to 0.6 at 200, two thirds of the way. */
    @Test
    void aCurveThatFallsAgain() {
        assertEquals(100 + 100 * 2 / 3.0, curve(0.3, 0.6, 0.2, 0.9).stepsTo(0.5), 1e-9);
    }

    @Test
    void spreads() {
        assertEquals(
                "300 (100 to 1,500)", Spread.of(DoubleStream.of(1500, 100, 300)).text("%,.0f"));
        assertEquals("200 (100 to 300)", Spread.of(DoubleStream.of(300, 100)).text("%,.0f"));
        assertEquals("7.0", Spread.of(DoubleStream.of(7)).text("%.1f"));
        assertEquals("7.0", Spread.of(DoubleStream.of(7, 7)).text("%.1f"));
        assertEquals(
                "300 (100 to never)",
                Spread.of(DoubleStream.of(Curve.NEVER, 100, 300)).text("%,.0f"));
        assertEquals(
                "never (100 to never)",
                Spread.of(DoubleStream.of(Curve.NEVER, 100)).text("%,.0f"));
        assertEquals("never", Spread.of(DoubleStream.of(Curve.NEVER)).text("%,.0f"));
    }
}
