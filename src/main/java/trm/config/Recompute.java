package trm.config;

/** What the backward pass recomputes instead of keeping it; each keeps less than the one before, for more work. */
public enum Recompute implements Word {
    /** The first of those below that fits into memory. */
    AUTO,
    /** Nothing. */
    NONE,
    /** The activation of a block's channel MLP, from its gate and up products. */
    ACTIVATION,
    /** That, and the gate and up products of both residual sublayers of a block. */
    GATE_UP,
    /** Whole blocks: kept is the input of each. */
    LAYERS,
    /** Whole applications of the network f: kept is the input of each. Configurations write {@code evaluations}. */
    APPLICATIONS;

    @Override
    public String key() {
        return this == APPLICATIONS ? "evaluations" : Word.super.key();
    }
}
