package trm.config;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import trm.input.Nearest;
import trm.input.Shown;

/** All keys of a configuration. Their rows stand in the records that hold their values: {@link TrainConfig} and its parts. */
final class ConfigSchema {
    /** Characters of a name that is compared with the known ones; the longest of these has 25. */
    private static final int COMPARED = 64;

    /** Keys that {@code config.yaml} has after another key rather than in the place of their row, as it always had. */
    private static final List<Map.Entry<String, String>> WRITTEN_AFTER = List.of(
            Map.entry("max_steps", "checkpoint_keep"),
            Map.entry("log_every_steps", "max_steps"),
            Map.entry("puzzle_emb_lr", "weight_decay"),
            Map.entry("optimizer", "run_name"),
            Map.entry("max_grad_norm", "optimizer"),
            Map.entry("on_nan", "memory"),
            Map.entry("eval_every_steps", "gates"),
            Map.entry("checkpoint_best", "patience"),
            Map.entry("muon_lr", "on_nan"),
            Map.entry("muon_momentum", "muon_lr"),
            Map.entry("muon_steps", "muon_momentum"),
            Map.entry("muon_weight_decay", "muon_steps"),
            Map.entry("muon_rest", "muon_weight_decay"));

    private static final Map<String, ConfigKey<?, ?>> KEYS = TrainConfig.KEYS.keys().stream()
            .collect(Collectors.toMap(ConfigKey::name, Function.identity(), (a, b) -> a, LinkedHashMap::new));

    private static final Map<String, String> FIRST_NAMES = firstNames();

    /** Names of keys and tables, by the table that they are in; the root's name is empty. */
    private static final Map<String, Set<String>> TABLES = tables();

    private ConfigSchema() {}

    private static Map<String, String> firstNames() {
        Map<String, String> names = new HashMap<>();
        KEYS.values().forEach(key -> key.aliases().forEach(alias -> names.put(alias, key.name())));
        return names;
    }

    private static Map<String, Set<String>> tables() {
        List<String> names = new ArrayList<>(List.of(ConfigLayers.BASE));
        for (ConfigKey<?, ?> key : KEYS.values()) {
            names.add(key.name());
            names.addAll(key.aliases());
        }
        names.addAll(PublishedKeys.names());
        Map<String, Set<String>> tables = new LinkedHashMap<>();
        for (String name : names) {
            for (String inner = name; !inner.isEmpty(); inner = ConfigReader.parent(inner)) {
                tables.computeIfAbsent(ConfigReader.parent(inner), table -> new LinkedHashSet<>())
                        .add(ConfigReader.leaf(inner));
            }
        }
        return tables;
    }

    /** The key of this name; null if there is none, or it is one without effect. */
    static ConfigKey<?, ?> key(String name) {
        return KEYS.get(name);
    }

    /** The first name of a key that has several; any other name is its own. */
    static String firstName(String name) {
        return FIRST_NAMES.getOrDefault(name, name);
    }

    /** All of them. */
    static List<ConfigKey<?, ?>> keys() {
        return List.copyOf(KEYS.values());
    }

    /** Whether there is a table of this name. */
    static boolean isTable(String name) {
        return TABLES.containsKey(name);
    }

    /** The values of all keys, in the order in which configurations are written. */
    static List<ConfigSection.Entry> entries(TrainConfig config) {
        List<ConfigSection.Entry> entries = new ArrayList<>(TrainConfig.KEYS.entries(config));
        for (Map.Entry<String, String> moved : WRITTEN_AFTER) {
            ConfigSection.Entry entry = entries.remove(indexOf(entries, moved.getKey()));
            entries.add(indexOf(entries, moved.getValue()) + 1, entry);
        }
        return entries;
    }

    private static int indexOf(List<ConfigSection.Entry> entries, String name) {
        return entries.stream().map(ConfigSection.Entry::name).toList().indexOf(name);
    }

    /**
     * Looks for unknown keys.
     *
     * @throws ConfigException at the first, with what it may be meant to be
     */
    static void check(ConfigReader in) {
        TABLES.forEach((table, known) -> in.table(table).fields().forEach((name, node) -> {
            if (!known.contains(name)) {
                throw new ConfigException(
                        node.where() + ": unknown key " + Shown.quoted(dotted(table, name)) + hint(table, name));
            }
        }));
    }

    private static String dotted(String table, String name) {
        return table.isEmpty() ? name : table + "." + name;
    }

    /** What others call so, or a known key that is at most two letters away; else where all of them are. */
    private static String hint(String table, String name) {
        String ours = OtherNames.ours(name);
        if (ours != null) {
            return KEYS.containsKey(ours)
                    ? "; here that is called '" + ours + "'"
                    : "; here that is the option " + ours;
        }
        String nearest = name.length() > COMPARED ? null : nearest(table, name);
        return nearest == null ? "; trm info --keys lists all of them" : "; did you mean '" + nearest + "'?";
    }

    /**
     * The known key at the least edit distance, which is two at most and less than half of the name; null if there is none.
     * Letter case and being in another table count for less.
     */
    private static String nearest(String of, String name) {
        String best = null;
        int most = Math.min(2, (name.length() - 1) / 2);
        int least = 8 * (most + 1);
        for (Map.Entry<String, Set<String>> table : TABLES.entrySet()) {
            int elsewhere = table.getKey().equals(of) ? 0 : 4;
            for (String candidate : table.getValue()) {
                int letters = Nearest.distance(name.toLowerCase(Locale.ROOT), candidate.toLowerCase(Locale.ROOT));
                int distance = 8 * letters + Math.min(3, Nearest.distance(name, candidate)) + elsewhere;
                if (letters <= most && distance < least) {
                    least = distance;
                    best = dotted(table.getKey(), candidate);
                }
            }
        }
        for (String other : OtherNames.theirs()) { // a misspelt name of theirs
            int distance = 8 * Nearest.distance(name.toLowerCase(Locale.ROOT), other) + 6;
            if (distance < least) {
                least = distance;
                best = OtherNames.ours(other);
            }
        }
        return best;
    }
}
