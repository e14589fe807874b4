package trm.config;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

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
        Map<String, String> before = ConfigLoader.texts(first);
        Map<String, String> after = ConfigLoader.texts(second);
        Set<String> keys = new LinkedHashSet<>(before.keySet());
        keys.addAll(after.keySet());
        List<Difference> differences = new ArrayList<>();
        for (String key : keys) {
            String a = before.getOrDefault(key, "null");
            String b = after.getOrDefault(key, "null");
            if (!a.equals(b)) {
                differences.add(new Difference(key, a, b));
            }
        }
        return differences;
    }

    /** Whether a run that is resumed may differ in this. */
    public ConfigKey.OnResume onResume() {
        ConfigKey<?, ?> known = ConfigSchema.key(key);
        return known == null ? ConfigKey.OnResume.FIXED : known.onResume(); // a table has no rule of its own
    }
}
