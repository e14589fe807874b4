package trm.config;

import java.util.Locale;

/** What the backward pass forms again instead of keeping it; each keeps less than the one before, for more work. */
public enum Recompute {
    /** The first of those below that fits into memory. */
    AUTO,
    /** Nothing. */
    NONE,
    /** The gate and up products of both halves of a block. */
    GATE_UP,
    /** Whole blocks: kept is the input of each. */
    LAYERS,
    /** Whole evaluations of the network: kept is the input of each. */
    EVALUATIONS;

    /** As configurations write it. */
    public String key() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** The value of a configuration's word, null if there is none. */
    public static Recompute of(String word) {
        for (Recompute value : values()) {
            if (value.key().equals(word)) {
                return value;
            }
        }
        return null;
    }
}
