package trm.config;

import trm.input.InputException;

/** A configuration is wrong. The message is meant for the user: it names the key, what was found and the rule. */
public class ConfigException extends InputException {
    private static final long serialVersionUID = 1L;

    private final String key;

    public ConfigException(String message) {
        this(null, message);
    }

    /**
     * @param key dotted name of the key at fault, as written in files; null if there is none
     */
    public ConfigException(String key, String message) {
        super(message);
        this.key = key;
    }

    /** Dotted name of the key at fault, or null. */
    public String key() {
        return key;
    }
}
