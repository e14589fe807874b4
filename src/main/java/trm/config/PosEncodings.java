package trm.config;

/** How positions enter the model. The published names are the constants in lower case. */
public enum PosEncodings {
    ROPE,
    LEARNED,
    NONE
}
