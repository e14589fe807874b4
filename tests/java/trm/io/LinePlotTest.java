package trm.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import trm.io.LinePlot.Line;
import trm.io.LinePlot.Style;

class LinePlotTest {
    /** The frame's plot lies from (62, 12) to (544, 272): half of the greatest step is at 303, share 0.5 at 142. */
    @Test
    void pointsLieWhereTheyShould() {
        Line line = new Line("#123456", Style.PLAIN, List.of(new double[] {600, 0.5}, new double[] {1200, 1}));
        String svg = new LinePlot("exact <accuracy>", true, List.of(line)).elements();
        assertTrue(svg.contains("<path d=\"M303.0 142.0L544.0 12.0\" " + line.stroke() + "/>"), svg);
        assertTrue(svg.contains(">exact &lt;accuracy&gt;</text>") && svg.contains(">training step</text>"), svg);
        assertTrue(svg.contains(">100 %</text>") && svg.contains(">1200</text>"), svg);
        assertFalse(svg.contains("<circle"), svg);
    }

    @Test
    void markersAndValuesAboveTheShare() {
        Line line = new Line("red", Style.MARKED, List.of(new double[] {10, 1.2}));
        String svg = new LinePlot("y", true, List.of(line)).elements();
        assertTrue(svg.contains("<circle cx=\"544.0\" cy=\"12.0\" r=\"3.5\" fill=\"red\"/>"), svg);
    }

    @Test
    void nothingToDrawHasAxes() {
        for (List<Line> lines : List.of(List.<Line>of(), List.of(new Line("red", Style.THIN, List.of())))) {
            String svg = new LinePlot("y", false, lines).elements();
            assertTrue(svg.contains("training step"), svg);
            assertFalse(svg.contains("NaN") || svg.contains("Infinity") || svg.contains("d=\"M\""), svg);
        }
    }

    @Test
    void ticksAreRound() {
        assertEquals(100, LinePlot.tick(600), 1e-9);
        assertEquals(0.5, LinePlot.tick(1.75), 1e-9);
        assertEquals(0.05, LinePlot.tick(0.21), 1e-9);
        assertEquals(1, LinePlot.tick(0), 1e-9);
    }
}
