package trm.evaluation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Intervals of shares, and the choice among tries. */
class ScoreTest {
    /** Oracle: the equation that defines the ends, (hits/n - p)^2 = 1.96^2 p (1 - p) / n. */
    @ParameterizedTest
    @CsvSource({"0,1", "1,1", "0,20", "20,20", "3,20", "19,20", "567,600", "422786,422786", "12345,400000"})
    void wilson(long hits, long n) {
        Score.Interval ends = Score.wilson(hits, n);
        double share = (double) hits / n;
        for (double p : new double[] {ends.low(), ends.high()}) {
            assertTrue(p >= 0 && p <= 1, ends.toString());
            double z = 1.959963984540054;
            assertEquals(Math.abs(share - p), z * Math.sqrt(p * (1 - p) / n), 1e-12, ends.toString());
        }
        assertTrue(ends.low() < ends.high() && ends.holds(share), ends.toString());
        assertEquals(hits == 0, ends.low() == 0);
        assertEquals(hits == n, ends.high() == 1);
    }

    /** Newcombe 1998, table I: 81 of 263 and 15 of 148. */
    @Test
    void publishedIntervals() {
        assertEquals(0.2553, Score.wilson(81, 263).low(), 5e-5);
        assertEquals(0.3662, Score.wilson(81, 263).high(), 5e-5);
        assertEquals(0.0624, Score.wilson(15, 148).low(), 5e-5);
        assertEquals(0.1605, Score.wilson(15, 148).high(), 5e-5);
        assertEquals(new Score.Interval(0, 1), new Score(0, 0, 0, 0, 0, 0).exactInterval());
        assertFalse(new Score(600, 1, 0.945, 1, 0, 16).exactInterval().holds(0.98));
    }

    private static int choose(Choice choice, double[]... tries) {
        List<Choice.Try> all = new ArrayList<>();
        for (double[] t : tries) {
            all.add(new Choice.Try(
                    Arrays.stream(t).skip(2).mapToInt(d -> (int) d).toArray(), (float) t[0], t[1]));
        }
        return choice.of(all);
    }

    /** Each try: q_halt, change, tokens of the answer. */
    @Test
    void choices() {
        double[][] tries = {{0.5, 3, 7, 7}, {2, 2, 7, 8}, {-1, 1, 7, 7}, {2, 1, 8, 8}, {9, 4, 9, 9}};
        assertEquals(4, choose(Choice.HALT, tries));
        assertEquals(2, choose(Choice.CHANGE, tries));
        assertEquals(0, choose(Choice.MAJORITY, tries));
        assertEquals(0, choose(Choice.HALT, new double[][] {{1, 1, 5}, {1, 1, 6}}), "the earlier of equals");
        assertEquals(
                3,
                choose(Choice.MAJORITY, new double[][] {{1, 0, 5}, {1, 0, 5}, {9, 0, 7}, {-2, 0, 6}, {2, 0, 6}}),
                "of equally many, those of the surest try; of these the first");
    }

    /** The first to halt, of several the surest; the surest that keeps the rules; with none of either, the surest. */
    @Test
    void choicesByHaltingAndByRules() {
        int[] answer = {1};
        List<Choice.Try> tries = List.of(
                new Choice.Try(answer, 9, 0, Choice.NEVER, false),
                new Choice.Try(answer, 1, 0, 4, true),
                new Choice.Try(answer, 2, 0, 3, false),
                new Choice.Try(answer, 3, 0, 3, false),
                new Choice.Try(answer, 3, 0, 3, true));
        assertEquals(3, Choice.FIRST.of(tries));
        assertEquals(4, Choice.RULES.of(tries));
        List<Choice.Try> none = tries.stream()
                .map(t -> new Choice.Try(answer, -t.qHalt(), 0, Choice.NEVER, false))
                .toList();
        assertEquals(1, Choice.FIRST.of(none));
        assertEquals(1, Choice.RULES.of(none));
        assertEquals(
                1, Choice.HALT.of(List.of(new Choice.Try(answer, Float.NaN, 0), none.get(0))), "NaN is never surest");
    }

    /** In any order; a puzzle without labels counts for nothing but its loss. */
    @Test
    void sheet() {
        ScoreSheet sheet = new ScoreSheet(4);
        sheet.put(3, 4, 4, -1, 0.5, 2);
        sheet.put(0, 1, 4, -2, 2.5, 16);
        sheet.put(2, 0, 0, 1, 0, 16);
        sheet.put(1, 4, 4, 0, 1.5, 3);
        assertEquals(new Score(3, 2.25 / 3, 2.0 / 3, 2.0 / 3, 1.5, 7), sheet.score());
    }
}
