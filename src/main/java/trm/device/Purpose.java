package trm.device;

/** What a tensor of an {@link Arena} is for. Memory is listed by it, under its text. */
public enum Purpose {
    /** Weights, the puzzle table, first latents and tables made once. */
    PARAMETERS("parameters"),
    /** Gradients and moments. */
    OPTIMIZER("optimizer"),
    /** The moving average of the weights. */
    EMA("ema"),
    /** Examples. */
    DATA("data"),
    /** What lanes keep from step to step, and the sums over them. */
    LANES("lanes"),
    /** What a checkpoint is written from, where device memory is the host's. */
    CHECKPOINT("checkpoint copy"),
    /** What an application of f saves for its backward pass; lives within a {@link Lifetime}. */
    TAPE("tape"),
    /** What else lives within a {@link Lifetime}. */
    SCRATCH("scratch"),
    /** Operands of a single operation, where that is checked alone. */
    CASE("case");

    private final String text;

    Purpose(String text) {
        this.text = text;
    }

    /** Whether such a tensor has memory of its own, rather than for one lifetime. */
    boolean lasts() {
        return this != TAPE && this != SCRATCH;
    }

    @Override
    public String toString() {
        return text;
    }
}
