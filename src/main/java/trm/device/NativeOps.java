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
 * The table of operations that a backend library exports ({@code native/include/trm_ops.h}, where each entry's
 * equation, shapes and aliasing stand). Pointers are raw addresses: calls allocate nothing. Use {@link Kernels}, which
 * checks shapes and turns a status into an exception.
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

    /** A table over that of the CPU backend whose calls can be recorded. */
    public static native Table trm_recordable(@Cast("const trm_backend*") Table table);

    /** From now on this thread's calls of the recordable table are added to a new record instead of made. */
    public static native @Cast("long long") long trm_record_begin();

    /** From now on they are made again. */
    public static native void trm_record_end();

    /** Makes the calls of a record; the number of the first that fails, or -1. */
    public static native int trm_record_replay(@Cast("long long") long record);

    public static native void trm_record_free(@Cast("long long") long record);

    /** Zeroed host memory, 4096-byte aligned, or 0 when there is none. */
    public static native @Cast("long long") long trm_host_allocate(@Cast("long long") long bytes);

    public static native void trm_host_free(@Cast("long long") long address);

    /** One backend's table; each method calls the entry of that name. */
    @Name("trm_backend")
    @Opaque
    @NoException
    public static final class Table extends Pointer implements Operations {
        public Table(Pointer p) {
            super(p);
        }

        public native @MemberGetter @Cast("const char*") BytePointer name();

        public native @MemberGetter @Cast("const char*") BytePointer target();

        public native @Cast("const char*") BytePointer last_error();

        public native int set_threads(int threads);

        @Override
        public native int zero(@Cast("void*") long p, @Cast("int64_t") long bytes, @Cast("trm_stream") long stream);

        @Override
        public native int copy(
                @Cast("void*") long to,
                @Cast("const void*") long from,
                @Cast("int64_t") long bytes,
                @Cast("trm_stream") long stream);

        /** From the position of a direct buffer on. */
        public native int copy(
                @Cast("void*") long to,
                @Cast("const void*") ByteBuffer from,
                @Cast("int64_t") long bytes,
                @Cast("trm_stream") long stream);

        /** To a direct buffer from its position on. */
        public native int copy(
                @Cast("void*") ByteBuffer to,
                @Cast("const void*") long from,
                @Cast("int64_t") long bytes,
                @Cast("trm_stream") long stream);

        @Override
        public native int cast_bf16(
                @Cast("const float*") long from,
                @Cast("void*") long to,
                @Cast("int64_t") long count,
                @Cast("trm_stream") long stream);

        @Override
        public native int permute_lanes(
                @Cast("const void*") long x,
                @Cast("void*") long out,
                @Cast("int64_t") long B,
                int N,
                int D,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int linear(
                @Cast("const void*") long x,
                @Cast("const void*") long w,
                @Cast("void*") long y,
                @Cast("int64_t") long M,
                int N,
                int K,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int linear_bwd_x(
                @Cast("const void*") long dy,
                @Cast("const void*") long w,
                @Cast("void*") long dx,
                @Cast("int64_t") long M,
                int N,
                int K,
                int accumulate,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int linear_bwd_w(
                @Cast("const void*") long dy,
                @Cast("const void*") long x,
                @Cast("float*") long dw,
                @Cast("int64_t") long M,
                int N,
                int K,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int mix(
                @Cast("const void*") long x,
                @Cast("const void*") long w,
                @Cast("void*") long y,
                @Cast("int64_t") long B,
                int N,
                int K,
                int D,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int mix_bwd_x(
                @Cast("const void*") long dy,
                @Cast("const void*") long w,
                @Cast("void*") long dx,
                @Cast("int64_t") long B,
                int N,
                int K,
                int D,
                int accumulate,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int mix_bwd_w(
                @Cast("const void*") long dy,
                @Cast("const void*") long x,
                @Cast("float*") long dw,
                @Cast("int64_t") long B,
                int N,
                int K,
                int D,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int add(
                @Cast("const void*") long a,
                @Cast("const void*") long b,
                @Cast("void*") long out,
                @Cast("int64_t") long count,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int add_into(
                @Cast("const void*") long a,
                @Cast("float*") long sum,
                @Cast("int64_t") long count,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int add_rms_norm(
                @Cast("const void*") long h,
                @Cast("const void*") long f,
                @Cast("const void*") long c,
                @Cast("void*") long y,
                @Cast("void*") long u,
                @Cast("float*") long s,
                @Cast("int64_t") long rows,
                int D,
                float eps,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int add_rms_norm_bwd(
                @Cast("const void*") long dy,
                @Cast("const void*") long y,
                @Cast("const float*") long s,
                @Cast("void*") long dr,
                @Cast("int64_t") long rows,
                int D,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int add_rms_norm_positions(
                @Cast("const void*") long h,
                @Cast("const void*") long f,
                @Cast("void*") long y,
                @Cast("float*") long s,
                @Cast("int64_t") long B,
                int S,
                int D,
                float eps,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int add_rms_norm_positions_bwd(
                @Cast("const void*") long dy,
                @Cast("const void*") long y,
                @Cast("const float*") long s,
                @Cast("void*") long dr,
                @Cast("int64_t") long B,
                int S,
                int D,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int swiglu(
                @Cast("const void*") long gu,
                @Cast("void*") long p,
                @Cast("int64_t") long outer,
                @Cast("int64_t") long inner,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int swiglu_bwd(
                @Cast("const void*") long gu,
                @Cast("const void*") long dp,
                @Cast("void*") long dgu,
                @Cast("void*") long p,
                @Cast("int64_t") long outer,
                @Cast("int64_t") long inner,
                int dtype,
                @Cast("trm_stream") long stream);

        public native int fuses_position_mlp(int S, int I, int D, int dtype);

        public native @Cast("int64_t") long position_mlp_work(
                @Cast("int64_t") long B, int S, int I, int D, int dtype, int backward);

        @Override
        public native int position_mlp(
                @Cast("const void*") long h,
                @Cast("const void*") long w_gate_up,
                @Cast("const void*") long w_down,
                @Cast("void*") long y,
                @Cast("float*") long s,
                @Cast("void*") long work,
                @Cast("int64_t") long B,
                int S,
                int I,
                int D,
                float eps,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int position_mlp_bwd(
                @Cast("const void*") long h,
                @Cast("const void*") long y,
                @Cast("const float*") long s,
                @Cast("const void*") long w_gate_up,
                @Cast("const void*") long w_down,
                @Cast("void*") long d,
                @Cast("float*") long dw_gate_up,
                @Cast("float*") long dw_down,
                @Cast("void*") long work,
                @Cast("int64_t") long B,
                int S,
                int I,
                int D,
                int dtype,
                @Cast("trm_stream") long stream);

        public native int fuses_channel_mlp(int I, int D, int dtype);

        @Override
        public native int channel_mlp(
                @Cast("const void*") long h,
                @Cast("const void*") long w_gate_up,
                @Cast("const void*") long w_down,
                @Cast("const void*") long c,
                @Cast("void*") long kept,
                @Cast("void*") long y,
                @Cast("void*") long u,
                @Cast("float*") long s,
                @Cast("int64_t") long rows,
                int I,
                int D,
                float eps,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int channel_mlp_bwd(
                @Cast("const void*") long h,
                @Cast("const void*") long kept,
                @Cast("const void*") long y,
                @Cast("const float*") long s,
                @Cast("const void*") long w_gate_up,
                @Cast("const void*") long w_down,
                @Cast("void*") long d,
                @Cast("float*") long dw_gate_up,
                @Cast("float*") long dw_down,
                @Cast("int64_t") long rows,
                int I,
                int D,
                int dtype,
                @Cast("trm_stream") long stream);

        public native int fuses_linear_swiglu(int I, int K, int dtype);

        @Override
        public native int linear_swiglu(
                @Cast("const void*") long x,
                @Cast("const void*") long w_gate_up,
                @Cast("void*") long gu,
                @Cast("void*") long p,
                @Cast("int64_t") long M,
                int I,
                int K,
                int dtype,
                @Cast("trm_stream") long stream);

        public native int fuses_linear_add_rms_norm(int N, int K, int dtype);

        @Override
        public native int linear_add_rms_norm(
                @Cast("const void*") long x,
                @Cast("const void*") long w,
                @Cast("const void*") long h,
                @Cast("const void*") long c,
                @Cast("void*") long y,
                @Cast("void*") long u,
                @Cast("float*") long s,
                @Cast("int64_t") long M,
                int N,
                int K,
                float eps,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int attention(
                @Cast("const void*") long qkv,
                @Cast("const float*") long cos,
                @Cast("const float*") long sin,
                @Cast("void*") long o,
                @Cast("float*") long lse,
                @Cast("int64_t") long B,
                int S,
                int A,
                int d,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int attention_bwd(
                @Cast("const void*") long qkv,
                @Cast("const float*") long cos,
                @Cast("const float*") long sin,
                @Cast("const void*") long o,
                @Cast("const float*") long lse,
                @Cast("const void*") long dO,
                @Cast("void*") long dqkv,
                @Cast("int64_t") long B,
                int S,
                int A,
                int d,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int rotary(
                @Cast("const void*") long qkv,
                @Cast("const float*") long cos,
                @Cast("const float*") long sin,
                @Cast("void*") long qk,
                @Cast("int64_t") long B,
                int S,
                int A,
                int d,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int rotary_bwd(
                @Cast("void*") long dqkv,
                @Cast("const float*") long cos,
                @Cast("const float*") long sin,
                @Cast("int64_t") long B,
                int S,
                int A,
                int d,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int embed(
                @Cast("const int32_t*") long tokens,
                @Cast("const int32_t*") long ids,
                @Cast("const void*") long embed,
                @Cast("const void*") long pos,
                @Cast("const float*") long table,
                @Cast("void*") long x,
                @Cast("int64_t") long B,
                int L,
                int P,
                int D,
                int E,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int embed_bwd(
                @Cast("const float*") long dx,
                @Cast("const int32_t*") long tokens,
                @Cast("float*") long dEmbed,
                @Cast("float*") long dPos,
                @Cast("float*") long dRows,
                @Cast("int64_t") long B,
                int L,
                int P,
                int D,
                int E,
                int V,
                @Cast("trm_stream") long stream);

        @Override
        public native int admit(
                @Cast("const int32_t*") long rows,
                @Cast("const double*") long controls,
                int ring,
                @Cast("const uint8_t*") long dataInputs,
                @Cast("const uint8_t*") long dataLabels,
                @Cast("const int32_t*") long dataIds,
                @Cast("const int32_t*") long origins,
                @Cast("const uint8_t*") long augmentations,
                int ignoreId,
                @Cast("const float*") long yInit,
                @Cast("const float*") long zInit,
                @Cast("const int32_t*") long halted,
                @Cast("int32_t*") long steps,
                @Cast("int32_t*") long inputs,
                @Cast("int32_t*") long labels,
                @Cast("int32_t*") long ids,
                @Cast("void*") long y,
                @Cast("void*") long z,
                @Cast("int64_t") long B,
                int L,
                int S,
                int D,
                int side,
                int V,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int explore(
                @Cast("const double*") long controls,
                @Cast("int32_t*") long minSteps,
                @Cast("int64_t") long B,
                @Cast("int64_t") long firstLane,
                @Cast("int64_t") long seed,
                double p,
                int maxSteps,
                @Cast("trm_stream") long stream);

        @Override
        public native int relax(
                @Cast("const void*") long f,
                @Cast("void*") long state,
                @Cast("const double*") long controls,
                @Cast("int64_t") long B,
                @Cast("int64_t") long count,
                @Cast("int64_t") long firstLane,
                @Cast("int64_t") long seed,
                int draw,
                double lambda,
                double sigma,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int relax_bwd(
                @Cast("void*") long d,
                @Cast("void*") long dF,
                @Cast("int64_t") long count,
                double lambda,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int random_start(
                @Cast("const int32_t*") long halted,
                @Cast("const int32_t*") long keys,
                @Cast("const double*") long controls,
                @Cast("void*") long z,
                @Cast("int64_t") long B,
                @Cast("int64_t") long count,
                @Cast("int64_t") long seed,
                int draw,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int halt_head(
                @Cast("const void*") long y,
                @Cast("const void*") long w,
                @Cast("const void*") long bias,
                @Cast("float*") long q,
                @Cast("int64_t") long B,
                int S,
                int D,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int halt_head_bwd(
                @Cast("const float*") long dq,
                @Cast("const void*") long y,
                @Cast("const void*") long w,
                @Cast("void*") long dy,
                @Cast("float*") long dw,
                @Cast("float*") long dBias,
                @Cast("int64_t") long B,
                int S,
                int D,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int token_loss(
                @Cast("const void*") long logits,
                @Cast("const int32_t*") long labels,
                @Cast("int32_t*") long preds,
                @Cast("double*") long laneLoss,
                @Cast("int32_t*") long hits,
                @Cast("int32_t*") long labelled,
                @Cast("void*") long dLogits,
                @Cast("int64_t") long B,
                int L,
                int P,
                int V,
                int kind,
                double scale,
                int dtype,
                @Cast("trm_stream") long stream);

        @Override
        public native int halt(
                @Cast("const float*") long q,
                @Cast("const int32_t*") long hits,
                @Cast("const int32_t*") long labelled,
                @Cast("const int32_t*") long minSteps,
                @Cast("int32_t*") long steps,
                @Cast("int32_t*") long halted,
                @Cast("int32_t*") long exact,
                @Cast("double*") long haltLoss,
                @Cast("float*") long dq,
                @Cast("int64_t") long B,
                int maxSteps,
                int rule,
                double scale,
                @Cast("trm_stream") long stream);

        @Override
        public native int continue_loss(
                @Cast("const float*") long q,
                @Cast("const float*") long nextQ,
                @Cast("const int32_t*") long steps,
                @Cast("double*") long target,
                @Cast("double*") long loss,
                @Cast("float*") long dq,
                @Cast("int64_t") long B,
                int maxSteps,
                double scale,
                @Cast("trm_stream") long stream);

        @Override
        public native int metrics(
                @Cast("const float*") long q,
                @Cast("const int32_t*") long hits,
                @Cast("const int32_t*") long labelled,
                @Cast("const int32_t*") long exact,
                @Cast("const int32_t*") long steps,
                @Cast("const int32_t*") long halted,
                @Cast("const double*") long laneLoss,
                @Cast("const double*") long haltLoss,
                @Cast("const double*") long continueLoss,
                @Cast("double*") long metrics,
                @Cast("int64_t") long B,
                @Cast("trm_stream") long stream);

        @Override
        public native int advance(
                @Cast("double*") long controls,
                double lr,
                double puzzleLr,
                @Cast("int64_t") long warmup,
                @Cast("int64_t") long total,
                double minRatio,
                double beta1,
                double beta2,
                @Cast("trm_stream") long stream);

        @Override
        public native int grad_norm(
                @Cast("const float*") long g,
                @Cast("double*") long partials,
                @Cast("double*") long norm,
                @Cast("double*") long total,
                @Cast("int64_t") long count,
                @Cast("trm_stream") long stream);

        @Override
        public native int clip_gradient(
                @Cast("float*") long g,
                @Cast("const double*") long norm,
                double max,
                @Cast("int64_t") long count,
                @Cast("trm_stream") long stream);

        @Override
        public native int adam(
                @Cast("float*") long p,
                @Cast("float*") long g,
                @Cast("float*") long m,
                @Cast("float*") long v,
                @Cast("float*") long ema,
                @Cast("void*") long bf16Copy,
                @Cast("const double*") long controls,
                @Cast("int64_t") long count,
                double beta1,
                double beta2,
                double weightDecay,
                double eps,
                double emaRate,
                int kind,
                @Cast("trm_stream") long stream);

        @Override
        public native int sign_sgd(
                @Cast("float*") long table,
                @Cast("const int32_t*") long ids,
                @Cast("const float*") long dRows,
                @Cast("const double*") long controls,
                @Cast("int64_t") long B,
                int E,
                double weightDecay,
                @Cast("trm_stream") long stream);
    }
}
