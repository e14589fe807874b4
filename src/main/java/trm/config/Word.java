package trm.config;

import java.util.Locale;

/** A choice that configurations write as a word: the constants of an enum in lower case, unless it says otherwise. */
public interface Word {
    /** Of the constant. */
    String name();

    /** As configurations write it. */
    default String key() {
        return name().toLowerCase(Locale.ROOT);
    }
}
