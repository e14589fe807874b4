package trm.device;

/**
 * Positions among the sums that {@link HeadKernels#metrics} adds to; ordinals are the ABI's {@code TRM_METRIC_*}. The sums
 * are over the lanes that halt at a step and have labels, the losses' over all lanes.
 */
public enum Metric {
    /** Such lanes. */
    COUNT,
    /** Their share of right tokens. */
    ACCURACY,
    /** Those exactly solved. */
    EXACT_ACCURACY,
    /** Those whose q_halt says whether they are. */
    Q_HALT_ACCURACY,
    /** Supervision steps that they took. */
    STEPS,
    LM_LOSS,
    Q_HALT_LOSS,
    Q_CONTINUE_LOSS,
    /** Norms of the gradient, over the steps: added by {@link OptimizerKernels#gradNorm}. */
    GRAD_NORM
}
