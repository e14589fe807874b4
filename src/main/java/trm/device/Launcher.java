package trm.device;

import java.util.List;

/**
 * What all operations of a backend have in common. A call names itself and its operands, which are checked; says what work
 * it is and begins; and ends with the native status:
 *
 * <pre>
 *   launcher.operation("linear").operand("x", x, t, m, k).operand("y", y, t, m, n).beginProducts(1, m, n, k);
 *   launcher.end(operations.linear(at(x), at(w), at(y), m, n, k, t.code(), stream));
 * </pre>
 *
 * A failed check, a device that can no longer be used and a status that is not OK each become a {@link DeviceException}
 * with the operation's name; the last with the operands too. A profile counts the time from begin to end. Calls within a
 * captured step are noted, for messages. Allocates nothing on the Java heap unless something fails, is profiled or
 * captured. Used by one thread.
 */
final class Launcher {
    private static final int MOST_OPERANDS = 20;

    private final NativeOps.Table table;
    private final DeviceStream device;
    private final Tensor[] operands = new Tensor[MOST_OPERANDS]; // of the call at hand, for its error message
    private int operandCount;
    private String operation = ""; // name of the call at hand
    private long batch; // products of the call at hand, as Profile.Key has them
    private long m;
    private long n;
    private long k;
    private long bytes; // that its operands make up
    private Profile profile; // null unless asked for

    /** @param table whose last error a status stands for */
    Launcher(NativeOps.Table table, DeviceStream device) {
        this.table = table;
        this.device = device;
    }

    /** A tensor's address, 0 for null. */
    static long at(Tensor t) {
        return t == null ? 0 : t.address();
    }

    /** Handle of the stream, the last argument of every operation; never another. */
    long stream() {
        return device.handle();
    }

    /** The next call begins; its operands follow. @param name of the entry in trm_ops.h */
    Launcher operation(String name) {
        operation = name;
        operandCount = 0;
        return this;
    }

    /** An operand whose sizes say what the others must be, or that the native operation checks; null is its business. */
    Launcher operand(Tensor t) {
        if (t != null) {
            operands[operandCount++] = t;
        }
        return this;
    }

    /** An operand that must have {@code count} elements of a type. */
    Launcher operand(String name, Tensor t, Dtype dtype, long count) {
        if (t == null || t.dtype() != dtype || t.count() != count) {
            throw new DeviceException(
                    operation + ": " + name + " is " + t + ", expected " + dtype + " with " + count + " elements");
        }
        return operand(t);
    }

    /** An operand [rows, columns]. */
    Launcher operand(String name, Tensor t, Dtype dtype, long rows, long columns) {
        return operand(name, t, dtype, rows * columns);
    }

    /** An operand [lanes, rows, columns]. */
    Launcher operand(String name, Tensor t, Dtype dtype, long lanes, long rows, long columns) {
        return operand(name, t, dtype, lanes * rows * columns);
    }

    /** As {@link #operand(String, Tensor, Dtype, long)}, of an operand that may be null. */
    Launcher optional(String name, Tensor t, Dtype dtype, long count) {
        return t == null ? this : operand(name, t, dtype, count);
    }

    /** An operand [rows, columns] that may be null. */
    Launcher optional(String name, Tensor t, Dtype dtype, long rows, long columns) {
        return optional(name, t, dtype, rows * columns);
    }

    /** Scratch memory of at least so many bytes; may be null where that is 0. */
    Launcher scratch(String name, Tensor t, long atLeast) {
        long given = t == null ? 0 : t.bytes();
        if (given < atLeast) {
            throw new IllegalArgumentException(
                    operation + ": " + name + " has " + given + " bytes, needed are " + atLeast);
        }
        return operand(t);
    }

    /** All operands are named; the native call follows. */
    void begin() {
        begin(0, 0, 0, 0, 0);
    }

    /** As {@link #begin()}; the operands make up so many bytes, each read or write counted once. */
    void beginMoving(long operandBytes) {
        begin(0, 0, 0, 0, operandBytes);
    }

    /**
     * As {@link #begin()}, of {@code count} products [rows, inner] x [inner, columns]. Attention and fused operations count
     * as such too, their backward as twice their forward.
     */
    void beginProducts(long count, long rows, long columns, long inner) {
        begin(count, rows, columns, inner, 0);
    }

    private void begin(long count, long rows, long columns, long inner, long operandBytes) {
        batch = count;
        m = rows;
        n = columns;
        k = inner;
        bytes = operandBytes;
        if (device.stickyError() != null) {
            device.stickyError().check();
        }
        if (profile != null) {
            profile.begin();
        }
    }

    /** The native call has returned this status. @throws DeviceException if it is not OK */
    void end(int status) {
        String error = error(status);
        if (profile != null) {
            profile.end(operation, batch, m, n, k, 2 * batch * m * n * k, bytes);
        }
        Capture capture = device.capture();
        if (error == null) {
            if (capture.active()) {
                capture.add(operation + operands(), table);
            }
            return;
        }
        String text = operation + ": " + error + operands();
        // a call that cannot be captured leaves the device as it was
        boolean broken =
                device.stickyError() != null && !capture.active() && (status == 0 || status == Operations.EDEVICE);
        throw broken ? device.stickyError().raise(text) : new DeviceException(text);
    }

    /** What went wrong, or null. */
    private String error(int status) {
        if (status != 0) {
            return table.last_error().getString();
        }
        boolean waits = device.barrier() != null && (device.waiting() || profile != null);
        return waits ? device.barrier().await() : null;
    }

    private String operands() {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < operandCount; i++) {
            text.append(i == 0 ? " (operands " : ", ").append(operands[i]).append(i == operandCount - 1 ? ")" : "");
        }
        return text.toString();
    }

    /** Begins to count the calls in {@code into}; null stops it. */
    void profile(Profile into) {
        profile = into;
    }

    /** The profile that counts the calls, or null. */
    Profile profile() {
        return profile;
    }

    /** Whether a step is being captured, and what then is refused. */
    Capture capture() {
        return device.capture();
    }

    /** Runs a step whose calls its backend captures; what they were, in order. */
    List<Capture.Call> capture(Runnable step) {
        if (device.waiting() || profile != null) {
            throw new DeviceException("a step cannot be captured while "
                    + (device.waiting() ? "TRM_DEBUG=sync" : "a profile") + " waits for each operation");
        }
        return device.capture().of(step);
    }
}
