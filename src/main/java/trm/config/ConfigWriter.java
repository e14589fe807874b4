package trm.config;

import java.util.Locale;

/** Writes configurations as YAML. */
final class ConfigWriter {
    private ConfigWriter() {}

    /** The whole configuration, defaults included, as YAML that loads back to an equal record. */
    static String toYaml(TrainConfig config) {
        StringBuilder yaml = new StringBuilder();
        String table = "";
        for (ConfigSection.Entry entry : ConfigSchema.entries(config)) {
            String inner = ConfigReader.parent(entry.name());
            if (!inner.isEmpty() && !inner.equals(table) && !table.startsWith(inner + ".")) {
                yaml.append(indent(inner)).append(ConfigReader.leaf(inner)).append(":\n");
            }
            table = inner;
            yaml.append(indent(entry.name())).append(ConfigReader.leaf(entry.name()));
            yaml.append(": ").append(entry.yaml()).append('\n');
        }
        return yaml.toString();
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
