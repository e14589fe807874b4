package trm.config;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Typed access to the keys of a configuration, by their dotted names. A value of another type is a {@link ConfigException}. */
final class ConfigReader {
    /** Characters of a number or a reference. What is longer is refused before a pattern sees it. */
    private static final int LONGEST = 100;

    /** Characters of a string. No path is longer on Linux. */
    private static final int LONGEST_STRING = 4096;

    /** Without zeros in front, which YAML 1.1 takes for base 8. */
    private static final Pattern INTEGER = Pattern.compile("[-+]?(0|[1-9]\\d*+(_\\d++)*+)");

    private static final Pattern NUMBER =
            Pattern.compile("[-+]?((0|[1-9]\\d*+(_\\d++)*+)(\\.\\d*+)?|0\\d*+\\.\\d*+|\\.\\d++)([eE][-+]?\\d++)?");
    private static final Pattern REFERENCE = Pattern.compile("\\$\\{(\\.*+)(\\w++(\\.\\w++)*+)}");

    /** What means values to go through: {@code 4,6}, {@code 0..2}. */
    private static final Pattern SEVERAL = Pattern.compile("[^\\s,]++(,[^\\s,]++)++|\\d++\\.\\.\\d++");

    private final ConfigNode.Table root;

    ConfigReader(ConfigNode.Table root) {
        this.root = root;
    }

    /** A configuration that says nothing but its system. */
    static ConfigReader of(Architecture system) {
        ConfigReader in = new ConfigReader(new ConfigNode.Table(new LinkedHashMap<>(), "defaults"));
        ConfigNode name = new ConfigNode.Text(system.key(), false, "defaults");
        in.root.fields().put("arch", new ConfigNode.Table(Map.of("name", name), "defaults"));
        return in;
    }

    /** The value of a key with references such as {@code ${.hidden_size}} followed; null if absent. */
    ConfigNode get(String key) {
        return followed(table(parent(key)).fields().get(leaf(key)), key);
    }

    /**
     * The table of a name, empty if it is absent; the root has the empty name.
     *
     * @throws ConfigException if there is something else in its place
     */
    ConfigNode.Table table(String name) {
        if (name.isEmpty()) {
            return root;
        }
        ConfigNode node = get(name);
        if (ConfigNode.isNull(node)) {
            return new ConfigNode.Table(Map.of(), root.where());
        }
        if (node instanceof ConfigNode.Table table) {
            return table;
        }
        throw wrong(name, node, "a table");
    }

    /** The name of the table that a key is in, empty for the root. */
    static String parent(String key) {
        return key.substring(0, Math.max(0, key.lastIndexOf('.')));
    }

    /** A key's name in its table. */
    static String leaf(String key) {
        return key.substring(key.lastIndexOf('.') + 1);
    }

    /** The value of another key, read or by default. */
    <T> T value(ConfigKey<?, T> key) {
        return key.read(this);
    }

    /** @throws ConfigException if a table that is there lacks one of its keys */
    void requireAll(String table, List<String> keys) {
        for (String key : keys) {
            if (!has(key)) {
                throw new ConfigException(get(table).where() + ": " + table + " has no " + leaf(key) + "; expected "
                        + String.join(
                                ", ", keys.stream().map(ConfigReader::leaf).toList()));
            }
        }
    }

    /** What a value that refers to another ends at, as if it had been written in the first one's place. */
    private ConfigNode followed(ConfigNode first, String path) {
        return followed(first, first, List.of(path));
    }

    /** @param passed keys that refer to each other, up to the one that has the value */
    private ConfigNode followed(ConfigNode node, ConfigNode first, List<String> passed) {
        if (!(node instanceof ConfigNode.Text text) || !text.value().contains("${")) {
            return node;
        }
        Matcher matcher = REFERENCE.matcher(text.value());
        if (text.value().length() <= LONGEST && matcher.matches()) {
            ConfigNode found = referred(matcher, first, passed);
            return found instanceof ConfigNode.Text end
                    ? new ConfigNode.Text(end.value(), end.quoted(), first.where())
                    : found;
        }
        return new ConfigNode.Text(filled(text.value(), first, passed), text.quoted(), first.where());
    }

    /** A text with what its references name in their places. */
    private String filled(String text, ConfigNode first, List<String> passed) {
        StringBuilder filled = new StringBuilder();
        int done = 0;
        for (int at = text.indexOf("${"); at >= 0; at = text.indexOf("${", done)) {
            int end = text.indexOf('}', at) + 1;
            Matcher matcher = REFERENCE.matcher(text.substring(at, Math.max(at, Math.min(end, at + LONGEST))));
            if (!matcher.matches()) {
                throw unknown(first, passed.get(0));
            }
            if (!(referred(matcher, first, passed) instanceof ConfigNode.Text part) || part.isNull()) {
                throw new ConfigException(first.where() + ": " + passed.get(0) + " is " + first.shown() + "; "
                        + matcher.group() + " is no plain value, which alone can stand within a text");
            }
            filled.append(text, done, at).append(part.value());
            done = end;
            if (filled.length() > LONGEST_STRING) {
                throw new ConfigException(first.where() + ": " + passed.get(0) + " is " + first.shown()
                        + "; expected at most " + LONGEST_STRING + " characters");
            }
        }
        return filled.append(text, done, text.length()).toString();
    }

    /** What a reference ends at. */
    private ConfigNode referred(Matcher reference, ConfigNode first, List<String> passed) {
        String target = target(reference, passed.get(passed.size() - 1));
        ConfigNode found = target == null ? null : find(root, target);
        if (found == null) {
            throw unknown(first, passed.get(0));
        }
        List<String> longer = new ArrayList<>(passed);
        longer.add(target);
        if (passed.contains(target)) {
            throw new ConfigException(first.where() + ": " + passed.get(0) + " is " + first.shown()
                    + "; this refers in a circle: " + String.join(" -> ", longer));
        }
        return followed(found, first, longer);
    }

    private static ConfigException unknown(ConfigNode first, String path) {
        return new ConfigException(first.where() + ": " + path + " is " + first.shown()
                + "; this refers to no value of the configuration (${key} of the root, ${.key} of the same table)");
    }

    /** The key that a match of {@code ${...}} names; null for too many dots: from the root or, after one dot, in the table of {@code path}, after two above it. */
    private static String target(Matcher matcher, String path) {
        if (matcher.group(1).isEmpty()) {
            return matcher.group(2);
        }
        String table = path;
        for (int i = 0; i < matcher.group(1).length(); i++) {
            if (table.isEmpty()) {
                return null;
            }
            table = table.substring(0, Math.max(0, table.lastIndexOf('.')));
        }
        return table.isEmpty() ? matcher.group(2) : table + "." + matcher.group(2);
    }

    static ConfigNode find(ConfigNode.Table from, String path) {
        ConfigNode node = from;
        for (String name : path.split("\\.")) {
            node = node instanceof ConfigNode.Table inner ? inner.fields().get(name) : null;
        }
        return node;
    }

    boolean has(String key) {
        return table(parent(key)).fields().containsKey(leaf(key));
    }

    ConfigException wrong(String key, ConfigNode node, String expected) {
        boolean several = node instanceof ConfigNode.Text text
                && !text.quoted()
                && SEVERAL.matcher(text.value()).matches();
        return new ConfigException(
                key,
                node.where() + ": " + key + " is " + node.shown() + "; expected " + expected
                        + (several ? "; several values are for trm sweep" : ""));
    }

    /** The text of a scalar if it could be a number or a word, null otherwise. */
    private static String plain(ConfigNode node) {
        return node instanceof ConfigNode.Text text
                        && !text.quoted()
                        && !text.isNull()
                        && text.value().length() <= LONGEST
                ? text.value()
                : null;
    }

    int integer(String key) {
        return Math.toIntExact(whole(key, Integer.MIN_VALUE, Integer.MAX_VALUE));
    }

    long longInteger(String key) {
        return whole(key, Long.MIN_VALUE, Long.MAX_VALUE);
    }

    /** An integer of at least 1. */
    int count(String key, String expected) {
        ConfigNode node = get(key);
        if (!(node instanceof ConfigNode.Text text) || !text.value().matches("[1-9][0-9]{0,8}")) {
            throw wrong(key, node, expected);
        }
        return Integer.parseInt(text.value());
    }

    /** Whether a key says {@code auto}. */
    boolean isAuto(String key) {
        return get(key) instanceof ConfigNode.Text text && text.value().equals("auto");
    }

    private long whole(String key, long least, long most) {
        ConfigNode node = get(key);
        String text = plain(node);
        String expected = "an integer between " + least + " and " + most;
        if (text == null || !INTEGER.matcher(text).matches()) {
            throw wrong(key, node, text != null && text.matches("[-+]?0\\d+") ? "no 0 in front" : "an integer");
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

    double number(String key) {
        ConfigNode node = get(key);
        String text = plain(node);
        if (text == null || !NUMBER.matcher(text).matches()) {
            throw wrong(key, node, text != null && text.matches("[-+]?0\\d+") ? "no 0 in front" : "a number");
        }
        double value = Double.parseDouble(text.replace("_", ""));
        boolean vanished = value == 0 && text.split("[eE]")[0].matches(".*[1-9].*");
        if (Double.isInfinite(value) || vanished) {
            throw wrong(key, node, "a number that is 0 or between " + Double.MIN_VALUE + " and " + Double.MAX_VALUE);
        }
        return value;
    }

    boolean bool(String key) {
        ConfigNode node = get(key);
        String text = plain(node);
        return switch (text == null ? "" : text.toLowerCase(Locale.ROOT)) {
            case "true", "yes", "on" -> true;
            case "false", "no", "off" -> false;
            default -> throw wrong(key, node, "true or false");
        };
    }

    String string(String key) {
        ConfigNode node = get(key);
        if (node instanceof ConfigNode.Text text && !text.isNull()) {
            return usable(key, text);
        }
        throw wrong(key, node, "a string");
    }

    /** Strings are names, of files for the most part: those have no NUL, and so many characters at most. */
    private String usable(String key, ConfigNode.Text text) {
        if (text.value().indexOf('\0') >= 0) {
            throw wrong(key, text, "a string without the character NUL");
        }
        if (text.value().length() > LONGEST_STRING) {
            throw wrong(key, text, "at most " + LONGEST_STRING + " characters");
        }
        return text.value();
    }

    String stringOrNull(String key) {
        return ConfigNode.isNull(get(key)) ? null : string(key);
    }

    /** A word from a fixed list; {@code parse} gives null for a word that is not in it. */
    <T> T word(String key, String expected, Function<String, T> parse) {
        ConfigNode node = get(key);
        T value = node instanceof ConfigNode.Text text ? parse.apply(text.value()) : null;
        if (value == null) {
            throw wrong(key, node, expected);
        }
        return value;
    }

    List<String> strings(String key) {
        ConfigNode node = get(key);
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
            if (!(followed(item, key) instanceof ConfigNode.Text text) || text.isNull()) {
                throw wrong(key, node, "a list of strings, but it contains " + item.shown());
            }
            values.add(usable(key, text));
        }
        return values;
    }

    /** A table within a list, what its values refer to in their places. */
    ConfigReader within(String key, ConfigNode.Table table) {
        Map<String, ConfigNode> fields = new LinkedHashMap<>();
        table.fields().forEach((name, node) -> fields.put(name, followed(node, key)));
        return new ConfigReader(new ConfigNode.Table(fields, table.where()));
    }

    /** For keys of the published configuration that this program accepts only at rest. */
    void requireEmptyList(String key) {
        ConfigNode node = get(key);
        boolean empty = ConfigNode.isNull(node)
                || node instanceof ConfigNode.Items items && items.items().isEmpty();
        if (!empty) {
            throw wrong(key, node, "[]: not supported by this version");
        }
    }
}
