package trm.reproduce;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import trm.config.ConfigException;
import trm.input.Shown;

/**
 * A part of a study's runs: number {@code index} of {@code count}, from 0. Run i belongs to shard i mod count, so that each of the
 * jobs of an array, or each of several machines that share a folder, does its part; together they do all, and none twice.
 */
public record Shard(int index, int count) {
    /** All runs. */
    public static final Shard ALL = new Shard(0, 1);

    private static final int MOST = 100_000;
    private static final Pattern TEXT = Pattern.compile("(\\d{1,6})/(\\d{1,6})");

    /** @throws ConfigException unless the text is i/n with 0 &lt;= i &lt; n */
    public static Shard parse(String text) {
        Matcher m = TEXT.matcher(text);
        if (m.matches()) {
            int index = Integer.parseInt(m.group(1));
            int count = Integer.parseInt(m.group(2));
            if (index < count && count <= MOST) {
                return new Shard(index, count);
            }
        }
        throw new ConfigException(
                "--shard",
                "--shard is " + Shown.quoted(text) + ": expected i/n with 0 <= i < n <= " + MOST
                        + ", such as $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT of an array 0-7");
    }

    /** The runs of this shard. */
    public List<PlannedRun> of(List<PlannedRun> runs) {
        return IntStream.range(0, runs.size())
                .filter(i -> i % count == index)
                .mapToObj(runs::get)
                .toList();
    }
}
