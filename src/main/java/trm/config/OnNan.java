package trm.config;

import java.util.Locale;

/** What a loss or gradient that is not finite does to a run. */
public enum OnNan {
    /** The run ends as failed; its newest checkpoint is of a step before. */
    STOP,
    /** The run says so once and goes on; the newest checkpoint of a step before is kept. */
    WARN;

    /** As configurations write it. */
    public String key() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** The value of a configuration's word, null if there is none. */
    public static OnNan of(String word) {
        for (OnNan value : values()) {
            if (value.key().equals(word)) {
                return value;
            }
        }
        return null;
    }
}
