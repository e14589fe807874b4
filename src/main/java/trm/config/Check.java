package trm.config;

import java.util.List;
import trm.input.Shown;

/** Rules for single values; a broken one is a {@link ConfigException} naming key, value and rule. */
final class Check {
    private Check() {}

    static void that(boolean holds, String key, Object value, String rule) {
        if (!holds) {
            Object shown = value instanceof String text ? Shown.quoted(text) : value;
            throw new ConfigException(key, key + " is " + shown + ": " + rule);
        }
    }

    static void atLeast(String key, long value, long least) {
        that(value >= least, key, value, "must be at least " + least);
    }

    static void atMost(String key, long value, long most) {
        that(value <= most, key, value, "must be at most " + most);
    }

    static void within(String key, long value, long least, long most) {
        atLeast(key, value, least);
        atMost(key, value, most);
    }

    static void notNegative(String key, double value) {
        that(value >= 0 && value < Double.POSITIVE_INFINITY, key, value, "must be a finite number, at least 0");
    }

    static void positive(String key, double value) {
        that(value > 0 && value < Double.POSITIVE_INFINITY, key, value, "must be a finite number above 0");
    }

    static void fraction(String key, double value) {
        that(value >= 0 && value <= 1, key, value, "must lie between 0 and 1");
    }

    static void belowOne(String key, double value) {
        that(value >= 0 && value < 1, key, value, "must be at least 0 and below 1");
    }

    static void oneOf(String key, String value, List<String> allowed) {
        that(value != null && allowed.contains(value), key, value, "must be one of " + String.join(", ", allowed));
    }
}
