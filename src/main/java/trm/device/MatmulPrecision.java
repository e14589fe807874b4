package trm.device;

/** How products of float32 operands are computed; products of bfloat16 operands are not affected. */
public enum MatmulPrecision {
    /** In float32 throughout. */
    FLOAT32,
    /** On tensor cores, operands rounded to 11 significant bits (CUDA only); sums in float32. */
    TF32;

    /** By the name in a configuration: {@code float32} or {@code tf32}. */
    public static MatmulPrecision of(String name) {
        return switch (name) {
            case "float32" -> FLOAT32;
            case "tf32" -> TF32;
            default -> throw new IllegalArgumentException("matmul_precision is " + name + ", expected float32 or tf32");
        };
    }
}
