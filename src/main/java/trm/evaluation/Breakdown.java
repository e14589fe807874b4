package trm.evaluation;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.data.Dataset;
import trm.data.Grouping;

/** Exact answers of an evaluation, counted apart for each source, each rating or whatever puzzles are sorted by. */
public final class Breakdown implements AnswerListener {
    /** @param by what puzzles are sorted by */
    public record Table(String by, List<Row> rows) {}

    /** One sort of puzzles, of which some were answered exactly. */
    public record Row(String name, long puzzles, long exact) {
        public double share() {
            return exact / (double) puzzles;
        }

        /** The shares that so many puzzles leave likely, at 95 %. */
        public Score.Interval interval() {
            return Score.wilson(exact, puzzles);
        }
    }

    private final Dataset data;
    private final List<Grouping> groupings;
    private final List<long[][]> counts; // of each grouping: [names][puzzles, exact]

    public Breakdown(Dataset data, List<Grouping> groupings) {
        this.data = data;
        this.groupings = groupings;
        counts = groupings.stream()
                .map(grouping -> new long[grouping.names().size()][2])
                .toList();
    }

    /** Puzzles without labels are passed over, as in a {@link Score}. */
    @Override
    public void answered(int[] rows, int[] predictions, float[] qHalt) {
        int length = data.seqLen();
        for (int i = 0; i < rows.length && !groupings.isEmpty(); i++) {
            if (rows[i] < 0) {
                continue;
            }
            int[] label = data.labelRow(rows[i]);
            int labelled = 0;
            int hits = 0;
            for (int t = 0; t < length; t++) {
                if (label[t] != Dataset.IGNORED) {
                    labelled++;
                    hits += predictions[i * length + t] == label[t] ? 1 : 0;
                }
            }
            if (labelled > 0) {
                add(data.groupOf(rows[i]), hits == labelled);
            }
        }
    }

    private void add(int group, boolean exact) {
        for (int g = 0; g < groupings.size(); g++) {
            long[] count = counts.get(g)[groupings.get(g).of()[group]];
            count[0]++;
            count[1] += exact ? 1 : 0;
        }
    }

    /** A table for each way of sorting; without the sorts of which no puzzle was answered. */
    public List<Table> tables() {
        List<Table> tables = new ArrayList<>();
        for (int g = 0; g < groupings.size(); g++) {
            List<Row> rows = new ArrayList<>();
            for (int n = 0; n < counts.get(g).length; n++) {
                long[] count = counts.get(g)[n];
                if (count[0] > 0) {
                    rows.add(new Row(groupings.get(g).names().get(n), count[0], count[1]));
                }
            }
            tables.add(new Table(groupings.get(g).by(), rows));
        }
        return tables;
    }

    /** Of votes on ARC instead: each test input counts as a puzzle, exact if its output is among the first k answers. */
    public static Breakdown of(Dataset test, List<Grouping> groupings, ArcVotes votes, int k) {
        Breakdown breakdown = new Breakdown(test, groupings);
        Map<String, Integer> groups = new LinkedHashMap<>(); // tasks are in the order of the split's groups
        for (ArcVotes.Ballot ballot : votes.ballots()) {
            groups.putIfAbsent(ballot.task(), groups.size());
            breakdown.add(
                    groups.get(ballot.task()), ballot.ranked().stream().limit(k).anyMatch(answer -> answer.hash()
                            .equals(ballot.labelHash())));
        }
        return breakdown;
    }
}
