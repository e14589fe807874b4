package trm.config;

import java.util.Locale;
import java.util.Map;

/** Writes configurations as YAML. */
final class ConfigWriter {
    private ConfigWriter() {}

    /** The whole configuration, defaults included, as YAML that loads back to an equal record. */
    static String toYaml(TrainConfig config) {
        return toYaml(config, Map.of());
    }

    /** As above, with the published code's classes. */
    static String toPublishedYaml(TrainConfig config) {
        return toYaml(
                config,
                Map.of(
                        "arch.name", quoted(config.arch().name().publishedClass()),
                        "arch.loss.name", quoted(PublishedKeys.LOSS_HEAD)));
    }

    /** @param others values to write in place of the configuration's own, and those of keys that it lacks, first in their table */
    private static String toYaml(TrainConfig config, Map<String, String> others) {
        StringBuilder yaml = new StringBuilder();
        String table = "";
        for (ConfigSection.Entry entry : ConfigSchema.entries(config)) {
            String inner = ConfigReader.parent(entry.name());
            if (!inner.isEmpty() && !inner.equals(table) && !table.startsWith(inner + ".")) {
                yaml.append(indent(inner)).append(ConfigReader.leaf(inner)).append(":\n");
                String name = inner + ".name";
                if (others.containsKey(name) && !name.equals(entry.name())) {
                    append(yaml, name, others.get(name));
                }
            }
            table = inner;
            append(yaml, entry.name(), others.getOrDefault(entry.name(), entry.yaml()));
        }
        return yaml.toString();
    }

    private static void append(StringBuilder yaml, String key, String value) {
        yaml.append(indent(key))
                .append(ConfigReader.leaf(key))
                .append(": ")
                .append(value)
                .append('\n');
    }

    /** Two blanks for each table that the key is in. */
    private static String indent(String key) {
        return "  ".repeat((int) key.chars().filter(c -> c == '.').count());
    }

    /** A double-quoted YAML scalar in ASCII. */
    static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        text.codePoints().forEach(c -> {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append((char) c);
            } else if (c >= 0x20 && c < 0x7f) {
                quoted.append((char) c);
            } else {
                quoted.append(String.format(Locale.ROOT, "\\U%08x", c));
            }
        });
        return quoted.append('"').toString();
    }
}
