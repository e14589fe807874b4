package trm.config;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A key of a configuration: one row of the table that parsing, {@code config.yaml}, messages and documentation follow.
 *
 * @param <R> the record that holds its value
 * @param <T> type of the value
 */
public final class ConfigKey<R extends Record, T> implements ConfigSection.Row<R> {
    /** Whether a run that is resumed may have another value than before. */
    public enum OnResume {
        /** It may not: the value changes what the run computes. */
        FIXED("no"),
        /** It may: the value changes no result. */
        FREE("yes"),
        /** It may where nothing of a step, rate or depth, follows from the number of all steps. */
        LENGTH("if lr_min_ratio is 1 and depth_schedule is empty");

        private final String text;

        OnResume(String text) {
            this.text = text;
        }

        /** For people. */
        public String text() {
            return text;
        }
    }

    private final String name;
    private final ValueType<T> type;
    private final Function<ConfigReader, T> absent;
    private final Function<R, T> accessor;
    private final String unit;
    private final String sentence;
    private final List<String> aliases;
    private final OnResume onResume;

    private ConfigKey(
            String name,
            ValueType<T> type,
            Function<ConfigReader, T> absent,
            Function<R, T> accessor,
            String unit,
            String sentence,
            List<String> aliases,
            OnResume onResume) {
        this.name = name;
        this.type = type;
        this.absent = absent;
        this.accessor = accessor;
        this.unit = unit;
        this.sentence = sentence;
        this.aliases = aliases;
        this.onResume = onResume;
    }

    /**
     * A row of the table.
     *
     * @param name dotted
     * @param absent the value where a configuration does not have the key
     * @param unit of the value; empty for none
     */
    static <R extends Record, T> ConfigKey<R, T> key(
            String name, ValueType<T> type, T absent, Function<R, T> accessor, String unit, String sentence) {
        return dependent(name, type, in -> absent, accessor, unit, sentence);
    }

    /** As {@link #key}, where the value of an absent key follows from other keys. */
    static <R extends Record, T> ConfigKey<R, T> dependent(
            String name,
            ValueType<T> type,
            Function<ConfigReader, T> absent,
            Function<R, T> accessor,
            String unit,
            String sentence) {
        return new ConfigKey<>(name, type, absent, accessor, unit, sentence, List.of(), OnResume.FIXED);
    }

    /** Its other names, in the published code or in ours. One that is the name of a table stands for a plain value only. */
    ConfigKey<R, T> alias(String... names) {
        return new ConfigKey<>(name, type, absent, accessor, unit, sentence, List.of(names), onResume);
    }

    /** With another rule than that it is fixed. */
    ConfigKey<R, T> onResume(OnResume rule) {
        return new ConfigKey<>(name, type, absent, accessor, unit, sentence, aliases, rule);
    }

    /** The value in a configuration, or what it is where that does not have the key. */
    @Override
    public T read(ConfigReader in) {
        return in.has(name) ? type.parser().apply(in, name) : absent.apply(in);
    }

    @Override
    public List<ConfigSection.Entry> entries(R settings) {
        T value = accessor.apply(settings);
        return List.of(new ConfigSection.Entry(
                name, type.text().apply(value), type.yaml().apply(value)));
    }

    @Override
    public List<ConfigKey<?, ?>> keys() {
        return List.of(this);
    }

    /** Dotted name, as in files and overrides. */
    public String name() {
        return name;
    }

    public List<String> aliases() {
        return aliases;
    }

    /** Empty if it has none. */
    public String unit() {
        return unit;
    }

    /** What the key says. */
    public String sentence() {
        return sentence;
    }

    public OnResume onResume() {
        return onResume;
    }

    /** The default as files write it; where systems differ, that of TRM first, then those of the others. */
    public String defaultText() {
        Map<String, List<String>> systems = Stream.of(Architecture.values())
                .collect(Collectors.groupingBy(
                        this::defaultOf,
                        LinkedHashMap::new,
                        Collectors.mapping(Architecture::key, Collectors.toList())));
        String published = defaultOf(Architecture.TRM);
        systems.remove(published);
        return published
                + systems.entrySet().stream()
                        .map(other -> "; " + String.join(", ", other.getValue()) + ": " + other.getKey())
                        .collect(Collectors.joining());
    }

    private String defaultOf(Architecture system) {
        return type.text().apply(absent.apply(ConfigReader.of(system)));
    }
}
