package trm.config;

/** Columns of an evaluation by which a run tells its best one; the greatest value is the best. */
public enum BestBy implements Word {
    EVAL_EXACT_ACCURACY,
    EVAL_ACCURACY,
    /** Of ARC data only. */
    EVAL_PASS_2
}
