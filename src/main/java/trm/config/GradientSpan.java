package trm.config;

import java.util.Locale;

/** Which updates of a forward pass are differentiated. */
public enum GradientSpan {
    /** All of the last cycle. */
    LAST_CYCLE,
    /** The last two: one of z, one of y (HRM's one-step approximation). */
    ONE_STEP;

    /** As configurations write it. */
    public String key() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** The value of a configuration's word, null if there is none. */
    public static GradientSpan of(String word) {
        for (GradientSpan value : values()) {
            if (value.key().equals(word)) {
                return value;
            }
        }
        return null;
    }
}
