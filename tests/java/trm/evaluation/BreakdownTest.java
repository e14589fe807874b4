package trm.evaluation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.Grouping;

/** Counts of exact answers apart for each sort of puzzles, against answers whose worth is known. */
class BreakdownTest {
    private static final Path GOLDEN = Path.of("tests/golden/datasets");

    /** Answers to some of four mazes; that to the second has one wrong cell. Lanes without a sample do not count. */
    @Test
    void countsExactAnswers() {
        Dataset data = Dataset.open(GOLDEN.resolve("maze_small/expected"), "test");
        Breakdown breakdown = new Breakdown(
                data,
                List.of(
                        new Grouping("a", List.of("x", "y", "z"), new int[] {1, 0, 1, 2}),
                        new Grouping("b", List.of("all"), new int[4])));
        int[] second = data.labelRow(1);
        second[63] = second[63] == 1 ? 2 : 1;
        breakdown.answered(new int[] {1, -1, 2}, concat(second, new int[64], data.labelRow(2)), new float[3]);
        breakdown.answered(new int[] {0}, data.labelRow(0), new float[1]);
        assertEquals(
                List.of(
                        new Breakdown.Table("a", List.of(new Breakdown.Row("x", 1, 0), new Breakdown.Row("y", 2, 2))),
                        new Breakdown.Table("b", List.of(new Breakdown.Row("all", 3, 2)))),
                breakdown.tables());
        Breakdown.Row all = breakdown.tables().get(1).rows().get(0);
        assertEquals(2.0 / 3, all.share());
        assertEquals(Score.wilson(2, 3), all.interval());
    }

    /** What carries no label does not count: padding of an ARC grid may be anything. */
    @Test
    void ignoredLabels() {
        Dataset data = Dataset.open(GOLDEN.resolve("arc_tiny/expected"), "test");
        int[] answer = Arrays.stream(data.labelRow(0))
                .map(t -> t == Dataset.IGNORED ? 7 : t)
                .toArray();
        Breakdown breakdown =
                new Breakdown(data, List.of(new Grouping("a", List.of("x"), new int[data.groupIndices().length - 1])));
        breakdown.answered(new int[] {0}, answer, new float[1]);
        assertEquals(
                List.of(new Breakdown.Row("x", 1, 1)), breakdown.tables().get(0).rows());
    }

    /** Of ARC the test inputs count, by their votes: a right one with most votes, one behind two others, none. */
    @Test
    void votes() {
        Path folder = GOLDEN.resolve("arc_tiny/expected");
        Dataset data = Dataset.open(folder, "test");
        ArcVotes votes = ArcVotes.of(DataFolders.of(folder), 0);
        List<ArcVotes.Ballot> ballots = votes.ballots();
        int groups = data.groupIndices().length - 1;
        Grouping each = new Grouping(
                "task",
                IntStream.range(0, groups).mapToObj(Integer::toString).toList(),
                IntStream.range(0, groups).toArray());
        for (int e = 0; e < data.examples(); e++) {
            int group = data.groupOf(e);
            if (e >= data.puzzleIndices()[data.groupIndices()[group] + 1]) {
                continue; // of a copy
            }
            int[] answer = data.labelRow(e);
            for (int i = 0; i < answer.length; i++) {
                answer[i] = Math.max(0, answer[i]);
            }
            int[] wrong = answer.clone();
            wrong[0] = wrong[0] == 2 ? 3 : 2;
            if (group == 0 || group == 1) {
                votes.add(data.identifierOf(e), data.inputRow(e), answer, group);
            }
            if (group == 1) {
                int[] other = wrong.clone();
                other[0] = wrong[0] == 3 ? 4 : 3;
                votes.add(data.identifierOf(e), data.inputRow(e), wrong, 2);
                votes.add(data.identifierOf(e), data.inputRow(e), other, 2);
            }
        }
        for (int k : new int[] {1, 1000}) {
            List<Breakdown.Row> rows =
                    Breakdown.of(data, List.of(each), votes, k).tables().get(0).rows();
            assertEquals(groups, rows.size());
            assertEquals(
                    ballots.size(),
                    rows.stream().mapToLong(Breakdown.Row::puzzles).sum());
            for (int g = 0; g < groups; g++) {
                Breakdown.Row row = rows.get(g);
                assertEquals(g == 0 || g == 1 && k == 1000 ? row.puzzles() : 0, row.exact(), k + ", group " + g);
            }
        }
    }

    private static int[] concat(int[]... parts) {
        return Arrays.stream(parts).flatMapToInt(Arrays::stream).toArray();
    }
}
