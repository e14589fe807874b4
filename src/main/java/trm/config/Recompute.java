package trm.config;

import java.util.Locale;

/** What the backward pass recomputes instead of keeping it; each keeps less than the one before, for more work. */
public enum Recompute {
    /** The first of those below that fits into memory. */
    AUTO,
    /** Nothing. */
    NONE,
    /** The gate and up products of both residual sublayers of a block. */
    GATE_UP,
    /** Whole blocks: kept is the input of each. */
    LAYERS,
    /** Whole applications of the network f: kept is the input of each. Configurations write {@code evaluations}. */
    APPLICATIONS;

    /** As configurations write it. */
    public String key() {
        return this == APPLICATIONS ? "evaluations" : name().toLowerCase(Locale.ROOT);
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
