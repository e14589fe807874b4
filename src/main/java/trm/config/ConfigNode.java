package trm.config;

import java.io.StringReader;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;
import org.yaml.snakeyaml.nodes.MappingNode;
import org.yaml.snakeyaml.nodes.Node;
import org.yaml.snakeyaml.nodes.NodeTuple;
import org.yaml.snakeyaml.nodes.ScalarNode;
import org.yaml.snakeyaml.nodes.SequenceNode;
import org.yaml.snakeyaml.nodes.Tag;
import org.yaml.snakeyaml.reader.ReaderException;
import trm.input.Budget;
import trm.input.InputException;
import trm.input.Shown;

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

    /** Whether it is nothing, or YAML's null. */
    static boolean isNull(ConfigNode node) {
        return node == null || node instanceof Text text && text.isNull();
    }

    /** What a message calls the node. Plain text that is harmless and short stands as it was written. */
    default String shown() {
        if (this instanceof Text text) {
            String shown = Shown.quoted(text.value());
            return text.isNull()
                    ? "null"
                    : text.quoted()
                            ? "the string " + shown
                            : shown.equals("'" + text.value() + "'") ? text.value() : shown;
        }
        return this instanceof Items ? "a list" : "a table";
    }

    /**
     * Reads a document.
     *
     * @param lines whether messages shall name lines: yes for files, no for overrides
     * @return null if the document is empty
     * @throws ConfigException if it is no YAML, or more than a configuration may be
     */
    static ConfigNode parse(String yaml, String source, boolean lines) {
        LoaderOptions options = new LoaderOptions();
        options.setCodePointLimit(ConfigFile.LONGEST);
        options.setNestingDepthLimit(Conversion.MAX_DEPTH);
        options.setMaxAliasesForCollections(Conversion.MAX_ALIASES);
        options.setAllowRecursiveKeys(false);
        options.setProcessComments(false);
        try {
            Node node = new Yaml(options).compose(new StringReader(yaml));
            return node == null
                    ? null
                    : new Conversion(source, lines, new Budget(source, yaml.length())).convert(node, 0, null);
        } catch (MarkedYAMLException e) {
            String at = lines && e.getProblemMark() != null
                    ? ":" + (e.getProblemMark().getLine() + 1)
                    : "";
            throw new ConfigException(source + at + ": not valid YAML: " + e.getProblem());
        } catch (ReaderException e) {
            String at = lines
                    ? ":"
                            + (1
                                    + yaml.chars()
                                            .limit(e.getPosition())
                                            .filter(c -> c == '\n')
                                            .count())
                    : "";
            throw new ConfigException(source + at + ": not valid YAML: the character "
                    + Shown.quoted(Character.toString(e.getCodePoint())) + " is not allowed"
                    + (e.getCodePoint() == 0 ? "; text in UTF-16 must be saved as UTF-8" : ""));
        } catch (YAMLException e) {
            throw new ConfigException(source + ": not valid YAML: " + e.getMessage());
        } catch (ConfigException e) {
            throw e;
        } catch (InputException e) {
            throw new ConfigException(e.getMessage()); // the budget's
        }
    }

    /** One walk over a composed document. Aliases are expanded, so the walk has a budget. */
    final class Conversion {
        /** Tables and lists within each other. */
        private static final int MAX_DEPTH = 32;

        /** Aliases that stand for a list or a table. */
        private static final int MAX_ALIASES = 50;

        private static final int LONGEST_KEY = 200;

        /** What YAML itself takes values for. */
        private static final Set<Tag> TAGS =
                Set.of(Tag.STR, Tag.INT, Tag.FLOAT, Tag.BOOL, Tag.NULL, Tag.TIMESTAMP, Tag.MERGE, Tag.SEQ, Tag.MAP);

        private final String source;
        private final boolean lines;
        private final Budget budget;

        Conversion(String source, boolean lines, Budget budget) {
            this.source = source;
            this.lines = lines;
            this.budget = budget;
        }

        private String at(Node node) {
            return lines && node.getStartMark() != null
                    ? source + ":" + (node.getStartMark().getLine() + 1)
                    : source;
        }

        ConfigNode convert(Node node, int depth, String keyAt) {
            String where = keyAt != null ? keyAt : at(node);
            budget.objects(1);
            if (depth > MAX_DEPTH) {
                throw new ConfigException(where + ": nested too deeply for a configuration");
            }
            if (!TAGS.contains(node.getTag())) {
                throw new ConfigException(where + ": the tag "
                        + Shown.quoted(node.getTag().getValue()) + " has no meaning here; leave it out");
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
            return table((MappingNode) node, depth, where);
        }

        private Table table(MappingNode node, int depth, String where) {
            Map<String, ConfigNode> fields = new LinkedHashMap<>();
            for (NodeTuple field : node.getValue()) {
                String at = at(field.getKeyNode());
                if (!(field.getKeyNode() instanceof ScalarNode key)) {
                    throw new ConfigException(at + ": a key must be a name");
                }
                String name = key.getValue();
                if (name.length() > LONGEST_KEY) {
                    throw new ConfigException(at + ": unknown key " + Shown.quoted(name));
                }
                if (name.equals("<<")) {
                    throw new ConfigException(at + ": merging tables (<<) is not supported; write the keys out");
                }
                ConfigNode value = convert(field.getValueNode(), depth + 1, at);
                if (!lines && key.isPlain() && name.indexOf(':') > 0 && isNull(value)) {
                    throw new ConfigException(at + ": in " + Shown.quoted(name) + " there must be a blank after ':'");
                }
                if (fields.put(name, value) != null) {
                    throw new ConfigException(at + ": key " + Shown.quoted(name) + " is given twice");
                }
            }
            return new Table(fields, where);
        }
    }
}
