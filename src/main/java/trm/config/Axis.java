package trm.config;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.LongStream;
import trm.input.Shown;

/**
 * A key of a sweep and the values that it takes in turn: {@code lr=1e-4,3e-4}, {@code seed=0..2}. Commas within brackets, braces
 * or quotes belong to a value.
 *
 * @param key dotted, by its first name
 * @param values as overrides write them, one at least, no two alike
 */
public record Axis(String key, List<String> values) {
    /** Values of one key, and so arms of a sweep: far more than anybody trains. */
    private static final int MOST = 10_000;

    private static final Pattern RANGE = Pattern.compile("(\\d{1,10})\\.\\.(\\d{1,10})");

    /**
     * @param argument {@code key=value,...}, with or without Hydra's {@code +}
     * @throws ConfigException if it is none
     */
    public static Axis parse(String argument) {
        String where = "override " + Shown.quoted(argument) + ": ";
        String key = ConfigLayers.overridden(argument);
        if (key == null) {
            throw new ConfigException(where + "expected key=value, or key=value,value,... to go through");
        }
        String text = argument.substring(argument.indexOf('=') + 1).strip();
        List<String> values = values(text, where);
        if (new HashSet<>(values).size() < values.size()) {
            throw new ConfigException(where + "names a value twice: two arms would have one name");
        }
        return new Axis(ConfigSchema.firstName(key), values);
    }

    private static List<String> values(String text, String where) {
        Matcher range = RANGE.matcher(text);
        if (range.matches()) {
            long first = Long.parseLong(range.group(1));
            long last = Long.parseLong(range.group(2));
            if (last < first || last - first >= MOST) {
                throw new ConfigException(where + "expected first..last, rising, of at most " + MOST + " numbers");
            }
            return LongStream.rangeClosed(first, last).mapToObj(Long::toString).toList();
        }
        List<String> values = split(text);
        if (values.size() > 1 && values.contains("")) {
            throw new ConfigException(where + "there is a comma with no value beside it");
        }
        if (values.size() > MOST) {
            throw new ConfigException(where + values.size() + " values, expected at most " + MOST);
        }
        return values;
    }

    /** At the commas that are in no brackets and no quotes. */
    private static List<String> split(String text) {
        List<String> values = new ArrayList<>();
        int depth = 0;
        char quote = 0;
        int begin = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (quote != 0) {
                quote = c == quote ? 0 : quote;
            } else if (c == '\'' || c == '"') {
                quote = c;
            } else if ("[{(".indexOf(c) >= 0) {
                depth++;
            } else if ("]})".indexOf(c) >= 0) {
                depth--;
            } else if (c == ',' && depth == 0) {
                values.add(text.substring(begin, i).strip());
                begin = i + 1;
            }
        }
        values.add(text.substring(begin).strip());
        return values;
    }

    /** A value as an override. */
    public String override(String value) {
        return key + "=" + value;
    }
}
