package trm.config;

import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * How the values of a key are read and written.
 *
 * @param parser takes the configuration and the key's name; a value that it cannot read is a {@link ConfigException}
 * @param text the value as people would write it, for messages and tables
 * @param yaml the value in a file
 */
record ValueType<T>(
        BiFunction<ConfigReader, String, T> parser,
        Function<? super T, String> text,
        Function<? super T, String> yaml) {

    static final ValueType<Integer> INTEGER = plain(ConfigReader::integer);

    /** An integer, null for none. */
    static final ValueType<Integer> OPTIONAL_INTEGER =
            plain((in, key) -> ConfigNode.isNull(in.get(key)) ? null : Integer.valueOf(in.integer(key)));

    static final ValueType<Long> LONG = plain(ConfigReader::longInteger);

    /** As YAML an exponent has its sign: other readers take it for text else. */
    static final ValueType<Double> NUMBER = new ValueType<>(
            ConfigReader::number, Object::toString, value -> value.toString().replaceFirst("E(?!-)", "E+"));

    static final ValueType<Boolean> BOOL = plain(ConfigReader::bool);

    /** A string, null for none. */
    static final ValueType<String> OPTIONAL_STRING = new ValueType<>(
            ConfigReader::stringOrNull, Objects::toString, text -> text == null ? "null" : ConfigWriter.quoted(text));

    static final ValueType<List<String>> STRINGS = new ValueType<>(
            ConfigReader::strings,
            Object::toString,
            list -> list.stream().map(ConfigWriter::quoted).toList().toString());

    /** As {@link #STRINGS}, where null stands for none. */
    static final ValueType<List<String>> STRINGS_OR_NONE = new ValueType<>(
            (in, key) -> ConfigNode.isNull(in.get(key)) ? List.of() : in.strings(key), STRINGS.text(), STRINGS.yaml());

    /** A number of at least 1, 0 for {@code auto}. */
    static final ValueType<Integer> AUTO_COUNT =
            auto(0, (in, key) -> in.count(key, "auto, or a whole number of at least 1"), Object::toString);

    /** Bytes with a unit, 0 for {@code auto}. */
    static final ValueType<Long> AUTO_BYTES =
            auto(0L, (in, key) -> MemorySize.parse(key, in.string(key)), bytes -> bytes + "B");

    /**
     * A list of tables.
     *
     * @param fields which each must have, and no other
     * @param parser takes a table's fields
     * @param text a table, as a file writes it
     * @param example for messages
     */
    static <T> ValueType<List<T>> tables(
            List<String> fields, Function<ConfigReader, T> parser, Function<T, String> text, T example) {
        Function<List<T>, String> shown =
                list -> list.stream().map(text).toList().toString();
        return new ValueType<>(
                (in, key) -> {
                    ConfigNode node = in.get(key);
                    if (!(node instanceof ConfigNode.Items items)) {
                        throw in.wrong(key, node, "a list of " + shown.apply(List.of(example)));
                    }
                    return items.items().stream()
                            .map(item -> {
                                if (item instanceof ConfigNode.Table table
                                        && table.fields().keySet().equals(Set.copyOf(fields))) {
                                    return parser.apply(in.within(key, table));
                                }
                                throw in.wrong(
                                        key,
                                        node,
                                        "tables with " + String.join(", ", fields) + ", but it contains "
                                                + item.shown());
                            })
                            .toList();
                },
                shown,
                shown);
    }

    private static <T> ValueType<T> plain(BiFunction<ConfigReader, String, T> parser) {
        return new ValueType<>(parser, Objects::toString, Objects::toString);
    }

    private static <T> ValueType<T> auto(T auto, BiFunction<ConfigReader, String, T> parser, Function<T, String> text) {
        Function<T, String> shown = value -> value.equals(auto) ? "auto" : text.apply(value);
        return new ValueType<>((in, key) -> in.isAuto(key) ? auto : parser.apply(in, key), shown, shown);
    }

    /** The words of an enum, in any case of letters if {@code anyCase}. */
    private static <E extends Word> ValueType<E> words(E[] values, boolean anyCase) {
        List<String> keys = Stream.of(values).map(Word::key).toList();
        String all = String.join(", ", keys.subList(0, keys.size() - 1)) + " or " + keys.get(keys.size() - 1);
        return word(all, text -> find(values, anyCase ? text.toLowerCase(Locale.ROOT) : text), Word::key);
    }

    static <E extends Word> ValueType<E> words(E[] values) {
        return words(values, false);
    }

    /** A word of an enum, null for none. */
    static <E extends Word> ValueType<E> optionalWord(E[] values) {
        ValueType<E> word = words(values);
        Function<E, String> text = value -> value == null ? "null" : value.key();
        return new ValueType<>(
                (in, key) ->
                        ConfigNode.isNull(in.get(key)) ? null : word.parser().apply(in, key),
                text,
                text);
    }

    static <E extends Word> ValueType<E> wordsOfAnyCase(E[] values) {
        return words(values, true);
    }

    /** A word that is first of all a string; another one is refused as a value that breaks a rule. */
    static <E extends Word> ValueType<E> oneOf(E[] values) {
        List<String> keys = Stream.of(values).map(Word::key).toList();
        return new ValueType<>(
                (in, key) -> {
                    String text = in.string(key);
                    Check.oneOf(key, text, keys);
                    return find(values, text);
                },
                Word::key,
                Word::key);
    }

    /**
     * @param expected what messages say of the words
     * @param parser null for a word that is none of them
     */
    static <T> ValueType<T> word(String expected, Function<String, T> parser, Function<T, String> text) {
        return new ValueType<>((in, key) -> in.word(key, expected, parser), text, text);
    }

    private static <E extends Word> E find(E[] values, String text) {
        return Stream.of(values)
                .filter(value -> value.key().equals(text))
                .findFirst()
                .orElse(null);
    }
}
