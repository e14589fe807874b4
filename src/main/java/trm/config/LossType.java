package trm.config;

/** Loss of the tokens. */
public enum LossType implements Word {
    STABLEMAX,
    SOFTMAX;

    /** As the published code calls the function: {@code stablemax_cross_entropy}. */
    @Override
    public String key() {
        return Word.super.key() + "_cross_entropy";
    }
}
