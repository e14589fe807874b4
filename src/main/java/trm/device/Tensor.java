package trm.device;

/** A view of device memory, contiguous and row-major. Owns nothing: valid while the buffer it points into is open. */
public record Tensor(DeviceBuffer storage, long byteOffset, Dtype dtype, Shape shape) {
    public Tensor {
        if (byteOffset < 0 || byteOffset + shape.count() * dtype.bytes() > storage.bytes()) {
            throw new IllegalArgumentException("tensor " + dtype + shape + " at byte " + byteOffset + " exceeds '"
                    + storage.name() + "' of " + storage.bytes() + " bytes");
        }
    }

    /** Number of elements. */
    public long count() {
        return shape.count();
    }

    /** Size of one axis. @throws ArithmeticException if it is no int */
    public int size(int axis) {
        return Math.toIntExact(shape.dim(axis));
    }

    /** Bytes of all elements. */
    public long bytes() {
        return count() * dtype.bytes();
    }

    /** The elements from {@code from} on, seen with another shape. */
    public Tensor view(long from, long... dims) {
        return new Tensor(storage, byteOffset + from * dtype.bytes(), dtype, new Shape(dims));
    }

    /** Part {@code index} of {@code parts} equal ones along the first axis, which these must divide. */
    public Tensor part(int index, int parts) {
        long[] dims = shape.dims();
        if (index < 0 || index >= parts || dims[0] % parts != 0) {
            throw new IllegalArgumentException("no part " + index + " of " + parts + " equal ones of " + this);
        }
        dims[0] /= parts;
        return view(index * (count() / parts), dims);
    }

    /** Where the first element lies on the device. @throws IllegalStateException if the buffer is closed */
    public long address() {
        return storage.address() + byteOffset;
    }

    @Override
    public String toString() {
        return storage.name() + ":" + dtype + shape;
    }
}
