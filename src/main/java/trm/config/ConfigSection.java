package trm.config;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The rows of one record of settings, in the order of its components: for each a key, or a part with rows of its own. From
 * them a record is read, and its values are written.
 */
final class ConfigSection<R extends Record> {
    /** What one component of the record is in a configuration. */
    sealed interface Row<R extends Record> permits ConfigKey, Part {
        Object read(ConfigReader in);

        List<Entry> entries(R settings);

        List<ConfigKey<?, ?>> keys();
    }

    /** A record within the record. */
    private record Part<R extends Record, S extends Record>(
            ConfigSection<S> section, Function<R, S> accessor, String table) implements Row<R> {
        @Override
        public Object read(ConfigReader in) {
            if (table != null) {
                if (ConfigNode.isNull(in.get(table))) {
                    return null;
                }
                in.requireAll(table, keys().stream().map(ConfigKey::name).toList());
            }
            return section.read(in);
        }

        @Override
        public List<Entry> entries(R settings) {
            S part = accessor.apply(settings);
            return part == null ? List.of(new Entry(table, "null", "null")) : section.entries(part);
        }

        @Override
        public List<ConfigKey<?, ?>> keys() {
            return section.keys();
        }
    }

    /**
     * A key with its value.
     *
     * @param text for messages
     * @param yaml for files
     */
    record Entry(String name, String text, String yaml) {}

    private final String title;
    private final List<Row<R>> rows;
    private final Constructor<R> constructor;

    private ConfigSection(Class<R> type, String title, List<Row<R>> rows) {
        this.title = title;
        this.rows = rows;
        try {
            constructor = type.getDeclaredConstructor(Stream.of(type.getRecordComponents())
                    .map(RecordComponent::getType)
                    .toArray(Class<?>[]::new));
        } catch (NoSuchMethodException e) {
            throw new IllegalStateException(e); // every record has it
        }
    }

    /** @param title above its keys in the documentation */
    @SafeVarargs
    @SuppressWarnings("varargs") // they are only read
    static <R extends Record> ConfigSection<R> of(Class<R> type, String title, Row<R>... rows) {
        return new ConfigSection<>(type, title, List.of(rows));
    }

    /** A component that is a record. */
    static <R extends Record, S extends Record> Row<R> part(ConfigSection<S> section, Function<R, S> accessor) {
        return new Part<>(section, accessor, null);
    }

    /** A component that is a record or null: null where the configuration has no such table, else with all its keys. */
    static <R extends Record, S extends Record> Row<R> optional(
            String table, ConfigSection<S> section, Function<R, S> accessor) {
        return new Part<>(section, accessor, table);
    }

    /**
     * The record as a configuration has it.
     *
     * @throws ConfigException if a value cannot be read or breaks a rule
     */
    R read(ConfigReader in) {
        Object[] values = rows.stream().map(row -> row.read(in)).toArray();
        try {
            return constructor.newInstance(values);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof ConfigException broken) {
                throw broken;
            }
            throw new IllegalStateException(constructor + " failed", e.getCause());
        } catch (ReflectiveOperationException | IllegalArgumentException e) {
            throw new IllegalStateException("the rows of " + title + " are not those of " + constructor, e);
        }
    }

    /** All values, in the order of the rows. */
    List<Entry> entries(R settings) {
        return rows.stream().flatMap(row -> row.entries(settings).stream()).toList();
    }

    List<ConfigKey<?, ?>> keys() {
        return rows.stream()
                .<ConfigKey<?, ?>>flatMap(row -> row.keys().stream())
                .toList();
    }

    /** This section and those of its parts, each with the keys that are its own. */
    List<Titled> titled() {
        List<Titled> all = new ArrayList<>();
        List<ConfigKey<?, ?>> own = new ArrayList<>();
        for (Row<R> row : rows) {
            if (row instanceof Part<?, ?> part) {
                all.addAll(part.section.titled());
            } else {
                own.addAll(row.keys());
            }
        }
        if (!own.isEmpty()) {
            all.add(0, new Titled(title, own));
        }
        return all;
    }

    /** Keys under a title. */
    record Titled(String title, List<ConfigKey<?, ?>> keys) {}
}
