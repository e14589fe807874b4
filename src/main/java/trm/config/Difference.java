package trm.config;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A key to which two settings give different values.
 *
 * @param key   dotted name
 * @param first its value in the first settings, as configurations write it
 * @param second likewise
 */
public record Difference(String key, String first, String second) {
    /** All of them, in the order in which configurations are written. */
    public static List<Difference> between(TrainConfig first, TrainConfig second) {
        Map<String, String> before = flat(first);
        Map<String, String> after = flat(second);
        List<Difference> differences = new ArrayList<>();
        before.forEach((key, value) -> {
            if (!value.equals(after.get(key))) {
                differences.add(new Difference(key, value, after.getOrDefault(key, "null")));
            }
        });
        after.forEach((key, value) -> {
            if (!before.containsKey(key)) {
                differences.add(new Difference(key, "null", value));
            }
        });
        return differences;
    }

    private static Map<String, String> flat(TrainConfig config) {
        Map<String, String> values = new LinkedHashMap<>();
        put(values, "", ConfigNode.parse(ConfigLoader.toYaml(config), "settings", false));
        return values;
    }

    private static void put(Map<String, String> values, String key, ConfigNode node) {
        if (node instanceof ConfigNode.Table table) {
            table.fields().forEach((name, inner) -> put(values, key.isEmpty() ? name : key + "." + name, inner));
        } else if (node instanceof ConfigNode.Items items) {
            values.put(
                    key, items.items().stream().map(Difference::text).toList().toString());
        } else {
            values.put(key, text(node));
        }
    }

    private static String text(ConfigNode node) {
        return node instanceof ConfigNode.Text text ? text.value() : node.shown();
    }
}
