package trm.data;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/**
 * A way to sort the puzzles of a split, for tables of results.
 *
 * @param by    what it goes by: {@code source}, {@code rating} or {@code path_length}
 * @param names of the sorts, in the order of a table
 * @param of    place in {@code names} for each group of the split
 */
public record Grouping(String by, List<String> names, int[] of) {
    /**
     * What is known of a split: the source and rating of each group, where each folder has them ({@link Sources}), and the moves
     * of a maze's path. Ratings are sorted into bands that double, 0, 1, 2 to 3, 4 to 7 and so on, or, of fractions, 0 to below 1,
     * 1 to below 2, 2 to below 4; moves into bands of ten.
     */
    public static List<Grouping> of(DataFolders folders, String split, Dataset data) {
        int groups = data.groupIndices().length - 1;
        List<Grouping> all = new ArrayList<>();
        List<Sources.Row> rows = sources(folders, split, data);
        if (!rows.isEmpty()) {
            List<String> names = List.copyOf(
                    new TreeSet<>(rows.stream().map(Sources.Row::source).toList()));
            if (!names.equals(List.of(""))) {
                all.add(new Grouping(
                        "source",
                        names,
                        rows.stream()
                                .mapToInt(row -> names.indexOf(row.source()))
                                .toArray()));
            }
            if (rows.stream().map(Sources.Row::rating).allMatch(Objects::nonNull)) {
                all.add(ratings(rows.stream().map(Sources.Row::rating).toList()));
            }
        }
        Puzzles.of(data).measure().ifPresent(measure -> {
            int[] values = IntStream.range(0, groups)
                    .map(g -> measure.of().applyAsInt(data.labelRow(firstExample(data, g))))
                    .toArray();
            int band = measure.band();
            all.add(bands(measure.name(), values, m -> m - m % band, least -> least + band - 1, " to "));
        });
        return all;
    }

    /** A row a group; none if a folder has none, or its groups are in several sets. */
    private static List<Sources.Row> sources(DataFolders folders, String split, Dataset data) {
        List<Sources.Row> rows = new ArrayList<>();
        for (int i = 0; i < folders.paths().size() && data.info().sets().size() == 1; i++) {
            int groups = data.firstGroups()[i + 1] - data.firstGroups()[i];
            List<Sources.Row> own = Sources.read(folders.paths().get(i).resolve(split), groups);
            if (own.size() != groups) {
                return List.of();
            }
            rows.addAll(own);
        }
        return rows;
    }

    /** Of a group; of the one after or before it, where it has no example and is never asked for. */
    private static int firstExample(Dataset data, int group) {
        return Math.min(data.puzzleIndices()[data.groupIndices()[group]], data.examples() - 1);
    }

    /** Whole ratings by the last of a band, fractional ones by the first of the next. */
    private static Grouping ratings(List<Double> ratings) {
        boolean whole = ratings.stream().allMatch(rating -> rating == Math.rint(rating));
        return bands(
                "rating",
                ratings.stream().mapToInt(Double::intValue).toArray(),
                rating -> rating <= 0 ? 0 : Integer.highestOneBit(rating),
                least -> Math.max(whole ? 0 : 1, whole ? 2 * least - 1 : 2 * least),
                whole ? " to " : " to below ");
    }

    private static Grouping bands(String by, int[] values, IntUnaryOperator least, IntUnaryOperator most, String to) {
        TreeMap<Integer, Integer> places = new TreeMap<>(); // of the least value of each band
        IntStream.of(values).map(least).forEach(from -> places.put(from, 0));
        List<String> names = new ArrayList<>();
        places.replaceAll((from, place) -> {
            int end = most.applyAsInt(from);
            names.add(from == end ? "" + from : from + to + end);
            return names.size() - 1;
        });
        return new Grouping(
                by, names, IntStream.of(values).map(least).map(places::get).toArray());
    }
}
