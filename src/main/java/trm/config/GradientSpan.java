package trm.config;

/** Which updates of a forward pass are differentiated. */
public enum GradientSpan implements Word {
    /** All of the last cycle. */
    LAST_CYCLE,
    /** The last two: one of z, one of y (HRM's one-step approximation). */
    ONE_STEP
}
