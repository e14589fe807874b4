package trm.config;

/** The type that a model computes in, {@code arch.forward_dtype}. */
public enum ComputeType implements Word {
    FLOAT32,
    BFLOAT16
}
