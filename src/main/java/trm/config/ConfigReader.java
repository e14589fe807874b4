package trm.config;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Typed access to one table of a configuration. A value of another type is a {@link ConfigException}. */
final class ConfigReader {
    private static final Pattern INTEGER = Pattern.compile("[-+]?\\d+(_\\d+)*");
    private static final Pattern NUMBER = Pattern.compile("[-+]?(\\d+(_\\d+)*(\\.\\d*)?|\\.\\d+)([eE][-+]?\\d+)?");
    private static final Pattern REFERENCE = Pattern.compile("\\$\\{(\\.?)(\\w+(?:\\.\\w+)*)}");
    private static final int MAX_REFERENCES = 8;

    private final ConfigNode.Table root;
    private final ConfigNode.Table table;
    private final String prefix;

    ConfigReader(ConfigNode.Table root, ConfigNode.Table table, String prefix) {
        this.root = root;
        this.table = table;
        this.prefix = prefix;
    }

    /** The value of a key with references such as {@code ${.hidden_size}} followed; null if absent. */
    ConfigNode get(String key) {
        ConfigNode node = table.fields().get(key);
        ConfigNode first = node;
        for (int i = 0; node instanceof ConfigNode.Text text && text.value().startsWith("${"); i++) {
            Matcher matcher = REFERENCE.matcher(text.value());
            ConfigNode target = null;
            if (matcher.matches() && i < MAX_REFERENCES) {
                target = find(matcher.group(1).isEmpty() ? root : table, matcher.group(2));
            }
            if (target == null) {
                throw new ConfigException(first.where() + ": " + prefix + key + " is " + first.shown()
                        + "; this refers to no value of the configuration");
            }
            node = target instanceof ConfigNode.Text found
                    ? new ConfigNode.Text(found.value(), found.quoted(), first.where())
                    : target;
        }
        return node;
    }

    static ConfigNode find(ConfigNode.Table from, String path) {
        ConfigNode node = from;
        for (String name : path.split("\\.")) {
            node = node instanceof ConfigNode.Table inner ? inner.fields().get(name) : null;
        }
        return node;
    }

    boolean has(String key) {
        return table.fields().containsKey(key);
    }

    ConfigException wrong(String key, ConfigNode node, String expected) {
        return new ConfigException(
                prefix + key, node.where() + ": " + prefix + key + " is " + node.shown() + "; expected " + expected);
    }

    /** The text of a scalar if it could be a number or a word, null otherwise. */
    private static String plain(ConfigNode node) {
        return node instanceof ConfigNode.Text text && !text.quoted() && !text.isNull() ? text.value() : null;
    }

    private static boolean isNull(ConfigNode node) {
        return node == null || node instanceof ConfigNode.Text text && text.isNull();
    }

    int integer(String key, int absent) {
        return has(key) ? Math.toIntExact(whole(key, Integer.MIN_VALUE, Integer.MAX_VALUE)) : absent;
    }

    Integer integerOrNull(String key) {
        return isNull(get(key)) ? null : Integer.valueOf(integer(key, 0));
    }

    long longInteger(String key, long absent) {
        return has(key) ? whole(key, Long.MIN_VALUE, Long.MAX_VALUE) : absent;
    }

    private long whole(String key, long least, long most) {
        ConfigNode node = get(key);
        String text = plain(node);
        String expected = "an integer between " + least + " and " + most;
        if (text == null || !INTEGER.matcher(text).matches()) {
            throw wrong(key, node, "an integer");
        }
        try {
            long value = Long.parseLong(text.replace("_", ""));
            if (value < least || value > most) {
                throw wrong(key, node, expected);
            }
            return value;
        } catch (NumberFormatException e) {
            throw wrong(key, node, expected);
        }
    }

    double number(String key, double absent) {
        if (!has(key)) {
            return absent;
        }
        ConfigNode node = get(key);
        String text = plain(node);
        if (text == null || !NUMBER.matcher(text).matches()) {
            throw wrong(key, node, "a number");
        }
        return Double.parseDouble(text.replace("_", ""));
    }

    boolean bool(String key, boolean absent) {
        if (!has(key)) {
            return absent;
        }
        ConfigNode node = get(key);
        String text = plain(node);
        return switch (text == null ? "" : text.toLowerCase(java.util.Locale.ROOT)) {
            case "true", "yes", "on" -> true;
            case "false", "no", "off" -> false;
            default -> throw wrong(key, node, "true or false");
        };
    }

    String string(String key, String absent) {
        if (!has(key)) {
            return absent;
        }
        ConfigNode node = get(key);
        if (node instanceof ConfigNode.Text text && !text.isNull()) {
            return text.value();
        }
        throw wrong(key, node, "a string");
    }

    String stringOrNull(String key) {
        return isNull(get(key)) ? null : string(key, null);
    }

    /** A word from a fixed list; {@code parse} gives null for a word that is not in it. */
    <T> T word(String key, T absent, String expected, Function<String, T> parse) {
        if (!has(key)) {
            return absent;
        }
        ConfigNode node = get(key);
        T value = node instanceof ConfigNode.Text text ? parse.apply(text.value()) : null;
        if (value == null) {
            throw wrong(key, node, expected);
        }
        return value;
    }

    List<String> strings(String key) {
        ConfigNode node = get(key);
        if (node == null) {
            return List.of();
        }
        ConfigNode list = node;
        if (node instanceof ConfigNode.Text text
                && text.quoted()
                && text.value().startsWith("[")) {
            list = ConfigNode.parse(text.value(), node.where(), false); // a list that a shell left quoted
        }
        if (!(list instanceof ConfigNode.Items items)) {
            throw wrong(key, node, "a list of strings");
        }
        List<String> values = new ArrayList<>();
        for (ConfigNode item : items.items()) {
            if (!(item instanceof ConfigNode.Text text) || text.isNull()) {
                throw wrong(key, node, "a list of strings, but it contains " + item.shown());
            }
            values.add(text.value());
        }
        return values;
    }

    /** For keys of the published configuration that this program accepts only at rest. */
    void requireEmptyList(String key) {
        ConfigNode node = get(key);
        boolean empty = isNull(node)
                || node instanceof ConfigNode.Items items && items.items().isEmpty();
        if (!empty) {
            throw wrong(key, node, "[]: not supported by this version");
        }
    }
}
