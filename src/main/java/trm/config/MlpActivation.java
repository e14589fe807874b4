package trm.config;

/** What stands between the two products of an MLP (docs/specification.md#32-swiglu). */
public enum MlpActivation implements Word {
    /** silu(g) u. */
    SWIGLU,

    /** sigma(g) rms_norm(g u), the norm over the inner units: what Muon at a high rate needs (SiC, arXiv 2601.19085). */
    NORMED_SWIGLU
}
