package trm.device;

/** Element type of a {@link Tensor}. */
public enum Dtype {
    F32(4),
    BF16(2),
    F64(8),
    I32(4),
    U8(1);

    private final int bytes;

    Dtype(int bytes) {
        this.bytes = bytes;
    }

    /** Bytes of one element. */
    public int bytes() {
        return bytes;
    }

    /** The ABI's code of a compute type ({@code TRM_F32}, {@code TRM_BF16}). */
    int code() {
        return switch (this) {
            case F32 -> 0;
            case BF16 -> 1;
            default -> throw new IllegalArgumentException(this + " is not a compute type");
        };
    }

    /** The compute type of a configuration's name. */
    public static Dtype compute(String name) {
        return switch (name) {
            case "float32" -> F32;
            case "bfloat16" -> BF16;
            default -> throw new IllegalArgumentException("dtype is " + name + ", expected float32 or bfloat16");
        };
    }

    /** A float as the nearest bfloat16, ties to even; the value's upper 16 bits. */
    public static short toBf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    /** The float that a bfloat16's 16 bits stand for. */
    public static float fromBf16(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }
}
