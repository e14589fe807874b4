package trm.config;

/** What the backward pass recomputes instead of keeping it; each keeps less than the one before, for more work. */
public enum Recompute implements Word {
    /** The first of those below that fits into memory. */
    AUTO,
    /** Nothing. */
    NONE,
    /** The gate and up products of both halves of a block. */
    GATE_UP,
    /** Whole blocks: kept is the input of each. */
    LAYERS,
    /** Whole evaluations of the network: kept is the input of each. */
    EVALUATIONS
}
