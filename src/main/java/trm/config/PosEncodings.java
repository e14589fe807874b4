package trm.config;

/** How positions enter the model. */
public enum PosEncodings implements Word {
    ROPE,
    LEARNED,
    NONE
}
