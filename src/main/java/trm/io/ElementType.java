package trm.io;

import java.util.Set;

/** The element types of safetensors files, and those that only PyTorch's have. */
final class ElementType {
    /** What weights may be: the types that {@link SafeTensors#floats} reads. */
    static final Set<String> WEIGHTS = Set.of("F64", "F32", "BF16", "F16");

    private ElementType() {}

    /** Bytes per element, 0 for an unknown dtype and for those of less than a byte. */
    static int bytes(String dtype) {
        return switch (dtype) {
            case "C128" -> 16;
            case "F64", "I64", "U64", "C64" -> 8;
            case "F32", "I32", "U32", "QINT32" -> 4;
            case "BF16", "F16", "I16", "U16" -> 2;
            case "U8", "I8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "QINT8", "QUINT8" -> 1;
            default -> 0;
        };
    }

    /** A float16 as float, exactly. */
    static float fromHalf(short bits) {
        int sign = (bits & 0x8000) << 16;
        int exponent = bits >> 10 & 0x1f;
        int fraction = bits & 0x3ff;
        if (exponent == 0) {
            float magnitude = fraction * 0x1p-24f;
            return sign == 0 ? magnitude : -magnitude;
        }
        int wide = exponent == 31 ? 0xff : exponent + 112;
        return Float.intBitsToFloat(sign | wide << 23 | fraction << 13);
    }

    /** Nearest bfloat16, ties to even; a NaN stays a NaN. */
    static short toBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }
}
