package trm.device;

import java.util.Arrays;

/** Sizes of a row-major tensor, outermost first. Immutable. */
public record Shape(long... dims) {
    public Shape {
        for (long d : dims) {
            if (d < 0) {
                throw new IllegalArgumentException("negative size in " + Arrays.toString(dims));
            }
        }
        dims = dims.clone();
    }

    @Override
    public long[] dims() {
        return dims.clone();
    }

    /** Size of one axis. */
    public long dim(int axis) {
        return dims[axis];
    }

    /** Number of elements. */
    public long count() {
        long n = 1;
        for (long d : dims) {
            n = Math.multiplyExact(n, d);
        }
        return n;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Shape s && Arrays.equals(dims, s.dims);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(dims);
    }

    @Override
    public String toString() {
        return Arrays.toString(dims).replace(" ", "");
    }
}
