package trm.device;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Copies between Java arrays and tensors, for set-up, checkpoints and tests; not for the training loop. */
public final class HostCopy {
    private HostCopy() {}

    private static ByteBuffer buffer(long bytes) {
        return ByteBuffer.allocateDirect(Math.toIntExact(bytes)).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static void sameCount(Tensor t, long count) {
        if (t.count() != count) {
            throw new IllegalArgumentException(t + " has " + t.count() + " elements, the array " + count);
        }
    }

    /** Writes floats to a float32 tensor, or rounds them to a bfloat16 one. */
    public static void put(Backend backend, Tensor to, float[] values) {
        sameCount(to, values.length);
        ByteBuffer b = buffer(to.bytes());
        for (float v : values) {
            if (to.dtype() == Dtype.BF16) {
                b.putShort(Dtype.toBf16(v));
            } else {
                b.putFloat(v);
            }
        }
        backend.upload(b.flip(), to);
    }

    public static void put(Backend backend, Tensor to, int[] values) {
        sameCount(to, values.length);
        ByteBuffer b = buffer(to.bytes());
        for (int v : values) {
            if (to.dtype() == Dtype.U8) {
                b.put((byte) v);
            } else {
                b.putInt(v);
            }
        }
        backend.upload(b.flip(), to);
    }

    public static void put(Backend backend, Tensor to, double[] values) {
        sameCount(to, values.length);
        ByteBuffer b = buffer(to.bytes());
        for (double v : values) {
            b.putDouble(v);
        }
        backend.upload(b.flip(), to);
    }

    /** A float32 or bfloat16 tensor's values. */
    public static float[] floats(Backend backend, Tensor from) {
        ByteBuffer b = buffer(from.bytes());
        backend.download(from, b);
        b.rewind();
        float[] values = new float[Math.toIntExact(from.count())];
        for (int i = 0; i < values.length; i++) {
            values[i] = from.dtype() == Dtype.BF16 ? Dtype.fromBf16(b.getShort()) : b.getFloat();
        }
        return values;
    }

    public static int[] ints(Backend backend, Tensor from) {
        ByteBuffer b = buffer(from.bytes());
        backend.download(from, b);
        b.rewind();
        int[] values = new int[Math.toIntExact(from.count())];
        for (int i = 0; i < values.length; i++) {
            values[i] = from.dtype() == Dtype.U8 ? b.get() & 0xff : b.getInt();
        }
        return values;
    }

    public static double[] doubles(Backend backend, Tensor from) {
        ByteBuffer b = buffer(from.bytes());
        backend.download(from, b);
        b.rewind();
        double[] values = new double[Math.toIntExact(from.count())];
        b.asDoubleBuffer().get(values);
        return values;
    }
}
