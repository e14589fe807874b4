package trm.ops;

/** What the tape keeps of an MLP for its backward pass, which recomputes the rest; each more than the one before. */
public enum MlpTape {
    /** Nothing: gate and up lie in scratch. */
    NOTHING,
    /** The gate and up products. */
    GATE_UP,
    /** Them, and the activation of the channel MLP, where it is the plain SwiGLU and composed. */
    ACTIVATION
}
