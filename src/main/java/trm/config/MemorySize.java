package trm.config;

import java.math.BigDecimal;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Bytes of memory as people write them: {@code 80GB}, {@code 1.5 GB}, {@code 512MB}. GB = 10^9 bytes. */
public final class MemorySize {
    private static final Pattern SIZE =
            Pattern.compile("(\\d{1,18}(?:\\.\\d{1,18})?)\\s*(|k|M|G|T)B", Pattern.CASE_INSENSITIVE);
    private static final List<String> PREFIXES = List.of("", "k", "m", "g", "t");

    /** Bytes. The smallest model of the tests takes some ten times as much. */
    private static final BigDecimal LEAST = BigDecimal.valueOf(10_000);

    private MemorySize() {}

    /**
     * Reads a size.
     *
     * @param key what messages call the value
     * @throws ConfigException if the text is no size, or one below 10 kB, which hold no model, or above 10^18 bytes
     */
    public static long parse(String key, String text) {
        Matcher matcher = SIZE.matcher(text.strip());
        Check.that(matcher.matches(), key, text, "must be a size such as 80GB, 1.5GB or 512MB (GB = 10^9 bytes)");
        int thousands = PREFIXES.indexOf(matcher.group(2).toLowerCase(Locale.ROOT));
        BigDecimal bytes = new BigDecimal(matcher.group(1)).scaleByPowerOfTen(3 * thousands);
        Check.that(
                bytes.compareTo(LEAST) >= 0 && bytes.compareTo(BigDecimal.TEN.pow(18)) <= 0,
                key,
                text,
                "must be at least 10kB and at most 1000000TB");
        return bytes.longValue();
    }

    /** A size for people: "31.4 GB". */
    public static String text(long bytes) {
        double value = bytes;
        String[] units = {"B", "kB", "MB", "GB", "TB"};
        int unit = 0;
        while (unit < units.length - 1 && value >= 999.5) {
            value /= 1000;
            unit++;
        }
        return String.format(
                Locale.ROOT, unit == 0 ? "%.0f %s" : value < 9.995 ? "%.2f %s" : "%.1f %s", value, units[unit]);
    }
}
