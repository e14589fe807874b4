package trm.config;

import java.io.StringReader;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;
import org.yaml.snakeyaml.nodes.MappingNode;
import org.yaml.snakeyaml.nodes.Node;
import org.yaml.snakeyaml.nodes.NodeTuple;
import org.yaml.snakeyaml.nodes.ScalarNode;
import org.yaml.snakeyaml.nodes.SequenceNode;

/**
 * A YAML document as text, lists and tables, each knowing where it was written. Scalars are not resolved to types:
 * the reader of a key knows the type it wants, and YAML's own rules would take {@code 1e-4} for a string.
 */
sealed interface ConfigNode {
    /** File and line, or the override. */
    String where();

    /** A scalar; {@code quoted} if it can only be a string. */
    record Text(String value, boolean quoted, String where) implements ConfigNode {
        boolean isNull() {
            return !quoted && List.of("", "~", "null", "Null", "NULL").contains(value);
        }
    }

    /** A list. */
    record Items(List<ConfigNode> items, String where) implements ConfigNode {}

    /** A table; the only node that changes, by overrides. */
    record Table(Map<String, ConfigNode> fields, String where) implements ConfigNode {}

    /** What a message calls the node. */
    default String shown() {
        if (this instanceof Text text) {
            return text.isNull() ? "null" : text.quoted() ? "the string \"" + text.value() + "\"" : text.value();
        }
        return this instanceof Items ? "a list" : "a table";
    }

    /**
     * Reads a document.
     *
     * @param lines whether messages shall name lines: yes for files, no for overrides
     * @return null if the document is empty
     */
    static ConfigNode parse(String yaml, String source, boolean lines) {
        try {
            Node node = new Yaml(new LoaderOptions()).compose(new StringReader(yaml));
            return node == null ? null : new Conversion(source, lines).convert(node, 0, null);
        } catch (MarkedYAMLException e) {
            String at = lines && e.getProblemMark() != null
                    ? ":" + (e.getProblemMark().getLine() + 1)
                    : "";
            throw new ConfigException(source + at + ": not valid YAML: " + e.getProblem());
        } catch (YAMLException e) {
            throw new ConfigException(source + ": not valid YAML: " + e.getMessage());
        }
    }

    /** One walk over a composed document. Aliases are expanded, so the walk is bounded. */
    final class Conversion {
        private static final int MAX_DEPTH = 32;
        private static final int MAX_NODES = 100_000;

        private final String source;
        private final boolean lines;
        private int nodes;

        Conversion(String source, boolean lines) {
            this.source = source;
            this.lines = lines;
        }

        private String at(Node node) {
            return lines && node.getStartMark() != null
                    ? source + ":" + (node.getStartMark().getLine() + 1)
                    : source;
        }

        ConfigNode convert(Node node, int depth, String keyAt) {
            String where = keyAt != null ? keyAt : at(node);
            if (depth > MAX_DEPTH || ++nodes > MAX_NODES) {
                throw new ConfigException(where + ": nested too deeply, or too large, for a configuration");
            }
            if (node instanceof ScalarNode scalar) {
                return new Text(scalar.getValue(), !scalar.isPlain(), where);
            }
            if (node instanceof SequenceNode sequence) {
                List<ConfigNode> items = new ArrayList<>();
                for (Node item : sequence.getValue()) {
                    items.add(convert(item, depth + 1, null));
                }
                return new Items(items, where);
            }
            Map<String, ConfigNode> fields = new LinkedHashMap<>();
            for (NodeTuple field : ((MappingNode) node).getValue()) {
                String at = at(field.getKeyNode());
                if (!(field.getKeyNode() instanceof ScalarNode key)) {
                    throw new ConfigException(at + ": a key must be a name");
                }
                if (fields.put(key.getValue(), convert(field.getValueNode(), depth + 1, at)) != null) {
                    throw new ConfigException(at + ": key '" + key.getValue() + "' is given twice");
                }
            }
            return new Table(fields, where);
        }
    }
}
