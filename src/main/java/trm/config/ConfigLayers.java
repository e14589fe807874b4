package trm.config;

import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.stream.Collectors;
import trm.input.Shown;

/**
 * One configuration, laid over another: a file over its {@code base}, if it names one, and overrides over the file. All keys
 * of the result have their first names.
 */
final class ConfigLayers {
    /** The key of a file that names the one it differs from, relative to its own folder. */
    static final String BASE = "base";

    private static final String DATA_PATHS = "data_paths";

    /** As HRM's code has it: one of them. */
    private static final String DATA_PATH = "data_path";

    /** Characters of a dotted key, with the signs in front. */
    private static final int LONGEST_KEY = 200;

    private final ConfigNode.Table root;

    private ConfigLayers(String source) {
        root = empty(source);
    }

    private static ConfigNode.Table empty(String where) {
        return new ConfigNode.Table(new LinkedHashMap<>(), where);
    }

    /** @throws ConfigException if a file or an override is none, or the files go in a circle */
    static ConfigNode.Table ofFile(Path yaml, List<String> overrides) {
        ConfigLayers layers = new ConfigLayers(yaml.toString());
        List<ConfigNode.Table> files = withBases(yaml);
        for (int i = files.size() - 1; i >= 0; i--) {
            layers.add(files.get(i));
        }
        layers.apply(overrides);
        return layers.root;
    }

    /** As {@link #ofFile}, for text that is no file and so has no base. */
    static ConfigNode.Table ofText(String yaml, String source, List<String> overrides) {
        ConfigLayers layers = new ConfigLayers(source);
        ConfigNode.Table given = table(yaml, source);
        ConfigNode base = given.fields().get(BASE);
        if (base != null) {
            throw new ConfigException(base.where() + ": " + BASE + " is " + base.shown() + "; only a file has one");
        }
        layers.add(given);
        layers.apply(overrides);
        return layers.root;
    }

    private static ConfigNode.Table table(String yaml, String source) {
        ConfigNode document = ConfigNode.parse(yaml, source, true);
        if (document == null) {
            return empty(source);
        }
        if (document instanceof ConfigNode.Table given) {
            return given;
        }
        throw new ConfigException(document.where() + ": is " + document.shown() + "; expected a table of keys");
    }

    /** A file, its base, the base of that, ... */
    private static List<ConfigNode.Table> withBases(Path yaml) {
        List<ConfigNode.Table> files = new ArrayList<>();
        List<Path> passed = new ArrayList<>();
        Path file = yaml;
        ConfigNode named = null; // what named the file
        while (file != null) {
            ConfigNode.Table given = table(read(file, named), file.toString());
            passed.add(real(file));
            files.add(given);
            named = given.fields().remove(BASE);
            file = named == null ? null : base(file, named);
            if (file != null && passed.contains(real(file))) {
                throw new ConfigException(named.where() + ": " + BASE + " is " + named.shown()
                        + "; this leads back to itself: "
                        + passed.subList(passed.indexOf(real(file)), passed.size()).stream()
                                .map(path -> path.getFileName() + " -> ")
                                .collect(Collectors.joining())
                        + real(file).getFileName());
            }
        }
        return files;
    }

    private static String read(Path file, ConfigNode named) {
        try {
            return ConfigFile.read(file);
        } catch (ConfigException e) {
            throw named == null
                    ? e
                    : new ConfigException(named.where() + ": " + BASE + " is " + named.shown() + ": " + e.getMessage());
        }
    }

    private static Path base(Path of, ConfigNode named) {
        if (named instanceof ConfigNode.Text text
                && !text.isNull()
                && !text.value().isBlank()) {
            try {
                return of.resolveSibling(text.value());
            } catch (InvalidPathException e) {
                // as what is no text
            }
        }
        throw new ConfigException(named.where() + ": " + BASE + " is " + named.shown()
                + "; expected the name of a file, relative to the folder of this one");
    }

    /** The file behind links and {@code ..}; itself if it is not there. */
    private static Path real(Path file) {
        try {
            return file.toRealPath();
        } catch (IOException e) {
            return file;
        }
    }

    private void add(ConfigNode.Table given) {
        checkSynonyms(given);
        merge("", given);
        setSystem(given);
    }

    /** The system that {@code defaults} names, where the same layer does not say {@code arch.name}. */
    private void setSystem(ConfigNode.Table given) {
        ConfigNode system = PublishedKeys.system(given.fields().get("defaults"));
        boolean said =
                given.fields().get("arch") instanceof ConfigNode.Text || ConfigReader.find(given, "arch.name") != null;
        if (system != null && !said) {
            set("arch.name", system);
        }
    }

    /** In one file a key may not have two of its names: which one counts would depend on their order. */
    private static void checkSynonyms(ConfigNode.Table given) {
        for (ConfigKey<?, ?> key : ConfigSchema.keys()) {
            List<String> names = new ArrayList<>(key.aliases());
            names.add(key.name());
            names.removeIf(name -> !stands(ConfigReader.find(given, name), name));
            if (names.size() > 1 && !key.name().equals(DATA_PATHS)) {
                String first = names.get(0);
                throw new ConfigException(
                        first,
                        ConfigReader.find(given, first).where() + ": " + first + " and " + names.get(1)
                                + " are two names of the same key; give one of them");
            }
        }
        checkDataPaths(given);
    }

    /** Whether a node of this name can be the value of a key: where the name is that of a table, too, only plain text. */
    private static boolean stands(ConfigNode node, String name) {
        return node != null && (node instanceof ConfigNode.Text || !ConfigSchema.isTable(name));
    }

    /** The first name of what stands under this one. */
    private static String firstName(String name, ConfigNode node) {
        return stands(node, name) ? ConfigSchema.firstName(name) : name;
    }

    /**
     * {@code data_path}, as HRM's code has it, is {@code data_paths} of one: where both are given they must name the same. Of
     * the two, the one that says nothing is taken away.
     */
    private static void checkDataPaths(ConfigNode.Table given) {
        ConfigNode one = given.fields().get(DATA_PATH);
        ConfigNode several = given.fields().get(DATA_PATHS);
        boolean none = several instanceof ConfigNode.Items list && list.items().isEmpty();
        if (one == null || several == null) {
            return;
        }
        if (ConfigNode.isNull(one)) {
            given.fields().remove(DATA_PATH);
        } else if (ConfigNode.isNull(several) || none) {
            given.fields().remove(DATA_PATHS);
        } else if (!(several instanceof ConfigNode.Items list
                && list.items().size() == 1
                && list.items().get(0) instanceof ConfigNode.Text only
                && one instanceof ConfigNode.Text text
                && only.value().equals(text.value()))) {
            throw new ConfigException(one.where() + ": data_path is " + one.shown() + ", and data_paths, in "
                    + several.where() + ", names other data; give one of them");
        }
    }

    /** Puts the keys of a table into the root, under their first names. */
    private void merge(String table, ConfigNode.Table given) {
        given.fields().forEach((name, node) -> put(table.isEmpty() ? name : table + "." + name, node));
    }

    private void put(String name, ConfigNode node) {
        if (node instanceof ConfigNode.Table inner && ConfigSchema.isTable(name)) {
            if (!(ConfigReader.find(root, name) instanceof ConfigNode.Table)) {
                set(name, empty(node.where()));
            }
            merge(name, inner);
        } else if (name.equals(DATA_PATH)) {
            set(DATA_PATHS, oneFolder(node));
        } else {
            set(firstName(name, node), node);
        }
    }

    private static ConfigNode oneFolder(ConfigNode node) {
        if (node instanceof ConfigNode.Text) {
            return ConfigNode.isNull(node)
                    ? new ConfigNode.Items(List.of(), node.where())
                    : new ConfigNode.Items(List.of(node), node.where());
        }
        throw new ConfigException(
                node.where() + ": data_path is " + node.shown() + "; expected a string; data_paths takes a list");
    }

    private void set(String path, ConfigNode node) {
        String[] names = path.split("\\.");
        ConfigNode.Table table = root;
        StringBuilder done = new StringBuilder();
        for (int i = 0; i < names.length - 1; i++) {
            done.append(i == 0 ? "" : ".").append(names[i]);
            ConfigNode inner = table.fields().get(names[i]);
            if (ConfigNode.isNull(inner)) {
                inner = empty(node.where());
                table.fields().put(names[i], inner);
            }
            if (!(inner instanceof ConfigNode.Table next)) {
                throw new ConfigException(
                        node.where() + ": cannot set " + path + ": " + done + " is " + inner.shown() + ", not a table");
            }
            table = next;
        }
        table.fields().put(names[names.length - 1], node);
    }

    /** What names the data waits until both its names have been seen. */
    private void apply(List<String> overrides) {
        ConfigNode.Table paths = empty(root.where());
        for (String override : overrides) {
            String where = "override " + Shown.quoted(override);
            String name = overridden(override);
            if (name == null) {
                throw new ConfigException(where + ": expected key=value, +key=value or ++key=value");
            }
            if (name.equals(BASE)) {
                throw new ConfigException(where + ": only a file has a " + BASE);
            }
            ConfigNode node =
                    value(override.substring(override.indexOf('=') + 1).strip(), where);
            if (name.equals(DATA_PATH) || name.equals(DATA_PATHS)) {
                paths.fields().put(name, node);
            } else {
                put(name, node);
            }
        }
        checkDataPaths(paths);
        merge("", paths);
        setSystem(root);
    }

    private static ConfigNode value(String text, String where) {
        return !text.isEmpty() && "[{'\"".indexOf(text.charAt(0)) >= 0
                ? ConfigNode.parse(text, where, false)
                : new ConfigNode.Text(text, false, where);
    }

    /** The dotted key of an override; null if it is none. */
    static String overridden(String override) {
        int end = override.indexOf('=');
        int start = override.startsWith("++") ? 2 : override.startsWith("+") ? 1 : 0;
        String path = end < start || end > LONGEST_KEY ? "" : override.substring(start, end);
        for (String name : path.split("\\.", -1)) {
            if (!name.matches("[\\w-]+")) {
                return null;
            }
        }
        return path;
    }
}
