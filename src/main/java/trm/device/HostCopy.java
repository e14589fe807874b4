package trm.device;

import java.nio.ByteBuffer;

/**
 * Copies between Java arrays and tensors, for set-up, evaluations and tests; not for the training loop. What is copied goes
 * through a buffer that is freed before a call returns.
 */
public final class HostCopy {
    private static final int PIECE = 1 << 18; // elements: of float64, 2 MB

    private HostCopy() {}

    /** Works on the elements {@code from} to {@code to}, whose bytes are between a buffer's position and limit. */
    @FunctionalInterface
    private interface Piece {
        void copy(ByteBuffer bytes, int from, int to);
    }

    private static void put(Backend backend, Tensor to, int count, Piece write) {
        if (to.count() != count) {
            throw new IllegalArgumentException(to + " has " + to.count() + " elements, the array " + count);
        }
        try (HostBuffer host = buffer(to, count)) {
            for (long from = 0; from < count; from += PIECE) {
                int end = (int) Math.min(count, from + PIECE);
                ByteBuffer bytes = host.bytes().clear();
                write.copy(bytes, (int) from, end);
                backend.upload(bytes.flip(), to.view(from, end - from));
            }
        }
    }

    private static void get(Backend backend, Tensor from, Piece read) {
        int count = Math.toIntExact(from.count());
        try (HostBuffer host = buffer(from, count)) {
            for (long at = 0; at < count; at += PIECE) {
                int end = (int) Math.min(count, at + PIECE);
                ByteBuffer bytes = host.bytes().clear();
                backend.download(from.view(at, end - at), bytes);
                read.copy(bytes.rewind(), (int) at, end);
            }
        }
    }

    private static HostBuffer buffer(Tensor t, int count) {
        return HostBuffer.allocate(
                Math.max(1, Math.min(count, PIECE)) * t.dtype().bytes());
    }

    /** Writes floats to a float32 tensor, or rounds them to a bfloat16 one. */
    public static void put(Backend backend, Tensor to, float[] values) {
        put(backend, to, values.length, (bytes, from, end) -> {
            for (int i = from; i < end; i++) {
                if (to.dtype() == Dtype.BF16) {
                    bytes.putShort(Dtype.toBf16(values[i]));
                } else {
                    bytes.putFloat(values[i]);
                }
            }
        });
    }

    /** Writes ints to an int32 tensor, or their low bytes to a uint8 one. */
    public static void put(Backend backend, Tensor to, int[] values) {
        put(backend, to, values.length, (bytes, from, end) -> {
            for (int i = from; i < end; i++) {
                if (to.dtype() == Dtype.U8) {
                    bytes.put((byte) values[i]);
                } else {
                    bytes.putInt(values[i]);
                }
            }
        });
    }

    public static void put(Backend backend, Tensor to, double[] values) {
        put(backend, to, values.length, (bytes, from, end) -> {
            for (int i = from; i < end; i++) {
                bytes.putDouble(values[i]);
            }
        });
    }

    /** A float32 or bfloat16 tensor's values. */
    public static float[] floats(Backend backend, Tensor from) {
        float[] values = new float[Math.toIntExact(from.count())];
        get(backend, from, (bytes, first, end) -> {
            for (int i = first; i < end; i++) {
                values[i] = from.dtype() == Dtype.BF16 ? Dtype.fromBf16(bytes.getShort()) : bytes.getFloat();
            }
        });
        return values;
    }

    public static int[] ints(Backend backend, Tensor from) {
        int[] values = new int[Math.toIntExact(from.count())];
        get(backend, from, (bytes, first, end) -> {
            for (int i = first; i < end; i++) {
                values[i] = from.dtype() == Dtype.U8 ? bytes.get() & 0xff : bytes.getInt();
            }
        });
        return values;
    }

    public static double[] doubles(Backend backend, Tensor from) {
        double[] values = new double[Math.toIntExact(from.count())];
        get(backend, from, (bytes, first, end) -> {
            for (int i = first; i < end; i++) {
                values[i] = bytes.getDouble();
            }
        });
        return values;
    }
}
