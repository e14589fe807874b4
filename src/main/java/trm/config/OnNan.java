package trm.config;

/** What a loss or gradient that is not finite does to a run. */
public enum OnNan implements Word {
    /** The run ends as failed; its newest checkpoint is of a step before. */
    STOP,
    /** The run says so once and goes on; the newest checkpoint of a step before is kept. */
    WARN
}
