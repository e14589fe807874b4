package trm.config;

/** Loss of the tokens: {@code stablemax_cross_entropy} or {@code softmax_cross_entropy} in the published code. */
public enum LossType {
    STABLEMAX,
    SOFTMAX
}
