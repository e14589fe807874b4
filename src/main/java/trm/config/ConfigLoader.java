package trm.config;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import trm.input.Shown;

/**
 * Reads a run's configuration from YAML with the names of the published code, then applies overrides in the manner of
 * Hydra: {@code key=value}, {@code +key=value} and {@code ++key=value} with dotted keys. A file may be based on another:
 * {@code base: other.yaml}. Keys left out take the values published with the system; {@code data_paths} must be given.
 */
public final class ConfigLoader {
    private ConfigLoader() {}

    /**
     * Reads a file.
     *
     * @throws ConfigException if it cannot be read or a value is wrong; the message names file and line
     */
    public static TrainConfig load(Path yaml, List<String> overrides) {
        return load(yaml, overrides, note -> {});
    }

    /** As {@link #load(Path, List)}; {@code notes} takes a line about keys that are set and have no effect here. */
    public static TrainConfig load(Path yaml, List<String> overrides, Consumer<String> notes) {
        String source = yaml.toString();
        return build(ConfigLayers.ofFile(yaml, overrides), source, note -> notes.accept(source + ": " + note));
    }

    /**
     * Reads text.
     *
     * @param sourceName what messages call the text
     * @throws ConfigException if a value is wrong
     */
    public static TrainConfig parse(String yamlText, String sourceName, List<String> overrides) {
        return build(ConfigLayers.ofText(yamlText, sourceName, overrides), sourceName, note -> {});
    }

    private static TrainConfig build(ConfigNode.Table root, String source, Consumer<String> notes) {
        try {
            ConfigReader in = new ConfigReader(root);
            ConfigSchema.check(in);
            PublishedKeys.check(in);
            TrainConfig config = TrainConfig.KEYS.read(in);
            PublishedKeys.note(in, notes);
            noteLayers(config.arch(), notes);
            return config;
        } catch (ConfigException e) {
            ConfigNode node = e.key() == null ? null : ConfigReader.find(root, e.key());
            String where = node == null ? source : node.where();
            if (e.key() == null || e.getMessage().startsWith(Shown.line(where + ": "))) {
                throw e;
            }
            throw new ConfigException(e.key(), where + ": " + e.getMessage());
        }
    }

    /** Published files always have {@code H_layers}: it is no reason to refuse one, but whoever set it should know. */
    private static void noteLayers(ArchConfig arch, Consumer<String> notes) {
        if (arch.recursion().hLayers() > 0
                && arch.networks().stream().noneMatch(n -> n.name().equals("H_level"))) {
            notes.accept("arch.H_layers has no effect: one network, of L_layers, updates z and y");
        }
    }

    /** The whole configuration, defaults included, as YAML that loads back to an equal record. */
    public static String toYaml(TrainConfig config) {
        return ConfigWriter.toYaml(config);
    }

    /** As {@link #toYaml}, with the classes that the published code has for the system and its loss: its programs read it. */
    public static String toPublishedYaml(TrainConfig config) {
        return ConfigWriter.toPublishedYaml(config);
    }

    /** The value of every key, as messages write it, in the order in which configurations are written. */
    public static Map<String, String> texts(TrainConfig config) {
        Map<String, String> texts = new LinkedHashMap<>();
        ConfigSchema.entries(config).forEach(entry -> texts.put(entry.name(), entry.text()));
        return texts;
    }

    /** The override that makes one folder the data set. */
    public static String dataPath(Path folder) {
        return dataPaths(List.of(folder));
    }

    /** The override that makes a run begin with weights. */
    public static String loadCheckpoint(Path weights) {
        return "load_checkpoint=" + ConfigWriter.quoted(weights.toString());
    }

    /** The override that makes folders the data set. */
    public static String dataPaths(List<Path> folders) {
        return "data_paths="
                + folders.stream()
                        .map(folder -> ConfigWriter.quoted(folder.toString()))
                        .toList();
    }
}
