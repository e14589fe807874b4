package trm.device;

import java.nio.ByteBuffer;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.MemberGetter;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Opaque;
import org.bytedeco.javacpp.annotation.Platform;

/**
 * The native code: backend libraries and their tables, captured graphs of calls, host memory. {@link Operations} has the
 * operations of a table, generated from {@code native/include/trm_ops.h}. Pointers are raw addresses: calls allocate
 * nothing. Use {@link Kernels}, which checks shapes and turns a status into an exception.
 */
@Platform(
        include = {"trm_ops.h", "trm_open.h"},
        library = "jnitrm",
        compiler = "cpp17",
        link = "dl")
@NoException
public final class NativeOps {
    static {
        NativeLibrary.loadJni();
    }

    private NativeOps() {}

    /** Opens a backend library, or returns null with the reason in {@link #trm_open_backend_error()}. */
    public static native Table trm_open_backend(String path);

    /** Why the last {@link #trm_open_backend} of this thread failed. */
    public static native String trm_open_backend_error();

    /** The first entry of a table that is NULL, or null; {@code products} 0 leaves the six products out. */
    public static native String trm_missing_operation(@Cast("const trm_backend*") Table table, int products);

    /** The first entry that a library which connects ranks lacks, or null. */
    public static native String trm_missing_collective(@Cast("const trm_backend*") Table table);

    /** A table over that of the CPU backend whose calls can be captured. */
    public static native Table trm_capturable(@Cast("const trm_backend*") Table table);

    /** The same of a library that connects ranks, whose calls go into the same graphs. */
    public static native Table trm_capturable_ranks(@Cast("const trm_backend*") Table ranks);

    /** From now on this thread's calls of the capturable table are added to a new graph instead of made. */
    public static native @Cast("long long") long trm_capture_begin();

    /** From now on they are made again. */
    public static native void trm_capture_end();

    /** Makes the calls of a graph; the number of the first that fails, or -1. */
    public static native int trm_graph_replay(@Cast("long long") long graph);

    public static native void trm_graph_free(@Cast("long long") long graph);

    /** Sets a variable of this process's environment, for native libraries that read it. */
    public static native void trm_set_variable(String name, String value);

    /** Zeroed host memory, 4096-byte aligned, or 0 when there is none. */
    public static native @Cast("long long") long trm_host_allocate(@Cast("long long") long bytes);

    public static native void trm_host_free(@Cast("long long") long address);

    /** One backend's table: the operations, and what else a library answers. */
    @Name("trm_backend")
    @Opaque
    @NoException
    public static final class Table extends OperationTable {
        public Table(Pointer p) {
            super(p);
        }

        /** "cpu" or "cuda". */
        public native @MemberGetter @Cast("const char*") BytePointer name();

        /** What the library chose: an instruction set, or the GPU's compute capability. */
        public native @MemberGetter @Cast("const char*") BytePointer target();

        /** What the last call of this thread that failed says. */
        public native @Cast("const char*") BytePointer last_error();

        /** Number of worker threads, the caller included; 0 for all processors. */
        public native int set_threads(int threads);

        /** Joins the ranks that the same launcher has started: the number of this one, and how many they are. */
        public native int join(int[] rank, int[] ranks, double timeout);

        /** Leaves them, after their last collective. */
        public native int leave();

        /** Ends all ranks at once, this one too. Does not return. */
        public native int end_ranks(int code);

        /** {@link #copy(long, long, long, long)} from the position of a direct buffer on. */
        public native int copy(
                @Cast("void*") long to,
                @Cast("const void*") ByteBuffer from,
                @Cast("int64_t") long bytes,
                @Cast("trm_stream") long stream);

        /** {@link #copy(long, long, long, long)} to a direct buffer from its position on. */
        public native int copy(
                @Cast("void*") ByteBuffer to,
                @Cast("const void*") long from,
                @Cast("int64_t") long bytes,
                @Cast("trm_stream") long stream);
    }
}
