package trm.device;

/** When a lane halts before its last step; ordinals are the ABI's {@code TRM_HALT_*}. */
public enum HaltRule {
    /** Never: evaluation. */
    LAST,
    /** q_halt &gt; 0. */
    SIGN,
    /** q_halt &gt; q_continue. */
    COMPARE
}
