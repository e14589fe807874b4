package trm.device.cuda;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.cublas.cublasLtMatmulAlgo_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulHeuristicResult_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulPreferenceOpaque_t;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.PointerPointer;
import trm.device.DeviceException;
import trm.device.Dtype;
import trm.device.ForwardingOperations;
import trm.device.MatmulPrecision;
import trm.device.Operations;

/**
 * Operations whose products are cuBLASLt's: bfloat16 operands with float32 sums, or float32; {@link Gemm} has how each is asked for.
 *
 * <p>The first call of a shape makes a plan: descriptors, and the fastest of the algorithms that the library proposes,
 * timed here unless the cache has it. Algorithms that round partial sums are left out, and a split of the sum is fixed
 * by the algorithm: equal inputs give equal bits as long as the algorithm is the same. The gradient of a mixer's weights
 * sums over lanes: lanes are permuted inwards into a workspace, as many at a time as fit, and one product sums them.
 */
final class LtProducts extends ForwardingOperations implements AutoCloseable {
    private static final long WORKSPACE_BYTES = CudaMemory.WORKSPACE_BYTES;
    private static final long PERMUTED_BYTES = CudaMemory.PERMUTED_BYTES;
    private static final int CANDIDATES = 16;
    private static final int WARM_RUNS = 3;
    private static final int TIMED_RUNS = 10;
    private static final int POINTER_ALIGNMENT = 256; // the most that the library asks about

    private static final int LINEAR = 0;
    private static final int LINEAR_BWD_X = 1;
    private static final int LINEAR_BWD_W = 2;
    private static final int MIX = 3;
    private static final int MIX_BWD_X = 4;
    private static final int MIX_BWD_W = 5;

    private final GpuStream stream;
    private final MatmulPrecision precision;
    private final AlgorithmCache cache;
    private final cublasLtContext handle = new cublasLtContext();
    private final FloatPointer one = new FloatPointer(1f);
    private final FloatPointer zero = new FloatPointer(0f);
    private final Address workspace = new Address();
    private final Address a = new Address();
    private final Address b = new Address();
    private final Address c = new Address();
    private final List<LtPlan> plans = new ArrayList<>();
    private final Workspace permuted;

    /** @param own with all other operations */
    LtProducts(Operations own, GpuStream stream, MatmulPrecision precision, AlgorithmCache cache) {
        super(own);
        this.stream = stream;
        permuted = new Workspace("permuted lanes", stream.capture());
        this.precision = precision;
        this.cache = cache;
        int status = cublas.cublasLtCreate(handle);
        if (status != 0) {
            throw new DeviceException("cublasLtCreate: " + text(status));
        }
        workspace.at(allocate("cuBLASLt's workspace", WORKSPACE_BYTES));
    }

    private static long allocate(String what, long bytes) {
        long address = CudaBackend.allocate(bytes);
        if (address == 0) {
            throw new DeviceException("no memory on the device for " + what + ": " + bytes + " bytes");
        }
        return address;
    }

    @Override
    public int linear(long x, long w, long y, long m, int n, int k, int dtype, long s) {
        return run(plan(LINEAR, m, n, k, 0, false, dtype, w, x, y), w, x, y);
    }

    @Override
    public int linear_bwd_x(long dy, long w, long dx, long m, int n, int k, int accumulate, int dtype, long s) {
        return run(plan(LINEAR_BWD_X, m, n, k, 0, accumulate != 0, dtype, w, dy, dx), w, dy, dx);
    }

    @Override
    public int linear_bwd_w(long dy, long x, long dw, long m, int n, int k, int dtype, long s) {
        return run(plan(LINEAR_BWD_W, m, n, k, 0, true, dtype, x, dy, dw), x, dy, dw);
    }

    @Override
    public int mix(long x, long w, long y, long lanes, int n, int k, int d, int dtype, long s) {
        return run(plan(MIX, lanes, n, k, d, false, dtype, x, w, y), x, w, y);
    }

    @Override
    public int mix_bwd_x(long dy, long w, long dx, long lanes, int n, int k, int d, int accumulate, int dtype, long s) {
        return run(plan(MIX_BWD_X, lanes, n, k, d, accumulate != 0, dtype, dy, w, dx), dy, w, dx);
    }

    @Override
    public int mix_bwd_w(long dy, long x, long dw, long lanes, int n, int k, int d, int dtype, long s) {
        long row = (long) d * type(dtype).bytes();
        long chunk = lanesAtOnce(lanes, n, k, row);
        long xBytes = Workspace.align(chunk * k * row);
        long permutedX = permuted.reserve(xBytes + Workspace.align(chunk * n * row));
        long permutedDy = permutedX + xBytes;
        for (long first = 0; first < lanes; first += chunk) {
            long count = Math.min(chunk, lanes - first);
            int status = permute_lanes(x + first * k * row, permutedX, count, k, d, dtype, s);
            if (status == 0) {
                status = permute_lanes(dy + first * n * row, permutedDy, count, n, d, dtype, s);
            }
            if (status != 0) {
                return status;
            }
            run(plan(MIX_BWD_W, count, n, k, d, true, dtype, permutedX, permutedDy, dw), permutedX, permutedDy, dw);
        }
        return 0;
    }

    /** As many lanes as the workspace of permuted operands holds, at least one, from the shapes alone. */
    static long lanesAtOnce(long lanes, int n, int k, long rowBytes) {
        long room = PERMUTED_BYTES - 2 * POINTER_ALIGNMENT;
        return Math.max(1, Math.min(lanes, room / ((n + (long) k) * rowBytes)));
    }

    private int run(LtPlan plan, long addressA, long addressB, long addressC) {
        int status = call(plan, plan.algorithm, plan.gemm.accumulate(), addressA, addressB, addressC);
        if (status != 0) {
            throw stream.failure(plan.gemm + ": cublasLtMatmul: " + text(status));
        }
        return 0;
    }

    private int call(LtPlan plan, cublasLtMatmulAlgo_t algorithm, boolean add, long atA, long atB, long atC) {
        c.at(atC);
        return cublas.cublasLtMatmul(
                handle,
                plan.product,
                one,
                a.at(atA),
                plan.a,
                b.at(atB),
                plan.b,
                add ? one : zero,
                c,
                plan.c,
                c,
                plan.c,
                algorithm,
                workspace,
                WORKSPACE_BYTES,
                stream.handle());
    }

    private LtPlan plan(
            int operation, long rows, int n, int k, int d, boolean add, int dtype, long atA, long atB, long atC) {
        int alignment = (int) Long.lowestOneBit(atA | atB | atC | POINTER_ALIGNMENT);
        for (int i = 0; i < plans.size(); i++) {
            LtPlan plan = plans.get(i);
            if (plan.is(operation, rows, n, k, d, add, dtype, alignment)) {
                return plan;
            }
        }
        Dtype type = type(dtype);
        LtPlan plan = new LtPlan();
        plan.operation = operation;
        plan.rows = rows;
        plan.n = n;
        plan.k = k;
        plan.d = d;
        plan.accumulate = add;
        plan.dtype = dtype;
        plan.alignment = alignment;
        plan.gemm = switch (operation) {
            case LINEAR -> Gemm.linear(rows, n, k, type);
            case LINEAR_BWD_X -> Gemm.linearBwdX(rows, n, k, add, type);
            case LINEAR_BWD_W -> Gemm.linearBwdW(rows, n, k, type);
            case MIX -> Gemm.mix(rows, n, k, d, type);
            case MIX_BWD_X -> Gemm.mixBwdX(rows, n, k, d, add, type);
            default -> Gemm.mixBwdW(n, k, rows * d, type);
        };
        stream.capture().refuse("choice of an algorithm for ", plan.gemm);
        plan.describe(computeType(plan.gemm));
        choose(plan, atA, atB, atC);
        plans.add(plan);
        return plan;
    }

    private static Dtype type(int code) {
        return code == 1 ? Dtype.BF16 : Dtype.F32;
    }

    static int cudaType(Dtype type) {
        return type == Dtype.BF16 ? cudart.CUDA_R_16BF : cudart.CUDA_R_32F;
    }

    private int computeType(Gemm gemm) {
        return computeType(gemm, precision);
    }

    static int computeType(Gemm gemm, MatmulPrecision precision) {
        return gemm.input() == Dtype.BF16
                ? cublas.CUBLAS_COMPUTE_32F
                : precision == MatmulPrecision.TF32
                        ? cublas.CUBLAS_COMPUTE_32F_FAST_TF32
                        : cublas.CUBLAS_COMPUTE_32F_PEDANTIC;
    }

    /** The cached algorithm if the library still takes it, else the fastest of those it proposes. */
    private void choose(LtPlan plan, long atA, long atB, long atC) {
        String key = plan.gemm.key() + "_align" + plan.alignment + "_compute" + computeType(plan.gemm);
        plan.algorithm = new cublasLtMatmulAlgo_t();
        long[] cached = cache.get(key);
        if (cached != null) {
            for (int i = 0; i < cached.length; i++) {
                plan.algorithm.data(i, cached[i]);
            }
            if (accepted(plan)) {
                return;
            }
        }
        try (cublasLtMatmulHeuristicResult_t proposals = new cublasLtMatmulHeuristicResult_t(CANDIDATES)) {
            int count = propose(plan, proposals);
            int best = 0;
            boolean timed = false;
            if (count > 1) {
                int fastest = fastest(plan, proposals, count, atA, atB, atC);
                timed = fastest >= 0;
                best = Math.max(0, fastest);
            }
            cublasLtMatmulAlgo_t chosen = proposals.position(best).algo();
            long[] words = new long[AlgorithmCache.LONGS];
            for (int i = 0; i < words.length; i++) {
                words[i] = chosen.data(i);
                plan.algorithm.data(i, words[i]);
            }
            if (timed || count == 1) {
                cache.put(key, words);
            }
        }
    }

    private boolean accepted(LtPlan plan) {
        try (cublasLtMatmulHeuristicResult_t result = new cublasLtMatmulHeuristicResult_t()) {
            return cublas.cublasLtMatmulAlgoCheck(
                                    handle, plan.product, plan.a, plan.b, plan.c, plan.c, plan.algorithm, result)
                            == 0
                    && result.state() == 0
                    && result.workspaceSize() <= WORKSPACE_BYTES;
        }
    }

    private int propose(LtPlan plan, cublasLtMatmulHeuristicResult_t proposals) {
        Gemm g = plan.gemm;
        cublasLtMatmulPreferenceOpaque_t wanted = preference(g, plan.alignment);
        try (IntPointer found = new IntPointer(1)) {
            found.put(0);
            check(
                    g,
                    "MatmulAlgoGetHeuristic",
                    cublas.cublasLtMatmulAlgoGetHeuristic(
                            handle,
                            plan.product,
                            plan.a,
                            plan.b,
                            plan.c,
                            plan.c,
                            wanted,
                            CANDIDATES,
                            proposals,
                            found));
            if (found.get() < 1) {
                throw new DeviceException(g + ": cuBLASLt proposes no algorithm");
            }
            return found.get();
        } finally {
            cublas.cublasLtMatmulPreferenceDestroy(wanted);
        }
    }

    /** What an algorithm may use and rely on; the caller destroys it. */
    static cublasLtMatmulPreferenceOpaque_t preference(Gemm g, int alignment) {
        cublasLtMatmulPreferenceOpaque_t wanted;
        try (PointerPointer<cublasLtMatmulPreferenceOpaque_t> made = new PointerPointer<>(1);
                LongPointer bytes = new LongPointer(1)) {
            check(g, "MatmulPreferenceCreate", cublas.cublasLtMatmulPreferenceCreate(made));
            wanted = made.get(cublasLtMatmulPreferenceOpaque_t.class, 0);
            bytes.put(WORKSPACE_BYTES);
            check(
                    g,
                    "MatmulPreferenceSetAttribute",
                    cublas.cublasLtMatmulPreferenceSetAttribute(
                            wanted, cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes, Long.BYTES));
        }
        prefer(
                g,
                wanted,
                cublas.CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                cublas.CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
        prefer(g, wanted, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, g.alignmentA(alignment));
        prefer(g, wanted, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, g.alignmentB(alignment));
        prefer(g, wanted, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, g.alignmentC(alignment));
        prefer(g, wanted, cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, g.alignmentC(alignment));
        return wanted;
    }

    private static void prefer(Gemm g, cublasLtMatmulPreferenceOpaque_t wanted, int attribute, int value) {
        try (IntPointer pointer = new IntPointer(1)) {
            pointer.put(value);
            check(
                    g,
                    "MatmulPreferenceSetAttribute",
                    cublas.cublasLtMatmulPreferenceSetAttribute(wanted, attribute, pointer, Integer.BYTES));
        }
    }

    /**
     * The proposal that takes least time. What is overwritten anyway may take the results; what is added to may not:
     * then they go to memory of their own, and without such memory nothing is timed.
     *
     * @return its number, or -1 if none was timed
     */
    private int fastest(
            LtPlan plan, cublasLtMatmulHeuristicResult_t proposals, int count, long atA, long atB, long atC) {
        boolean add = plan.gemm.accumulate();
        long scratch = add ? CudaBackend.allocate(plan.gemm.outputBytes()) : 0;
        if (add && scratch == 0) {
            return -1;
        }
        try (DeviceTimer timer = new DeviceTimer(stream.handle())) {
            if (add) {
                int status =
                        cudart.cudaMemsetAsync(new Address().at(scratch), 0, plan.gemm.outputBytes(), stream.handle());
                stream.check(status, plan.gemm + ": timing its algorithms");
            }
            float least = Float.MAX_VALUE;
            int best = -1;
            for (int i = 0; i < count; i++) {
                cublasLtMatmulHeuristicResult_t proposal = proposals.position(i);
                if (proposal.state() != 0 || proposal.workspaceSize() > WORKSPACE_BYTES) {
                    continue;
                }
                cublasLtMatmulAlgo_t algorithm = proposal.algo();
                if (!repeat(plan, algorithm, WARM_RUNS, atA, atB, add ? scratch : atC)) {
                    continue;
                }
                timer.start();
                repeat(plan, algorithm, TIMED_RUNS, atA, atB, add ? scratch : atC);
                float took = timer.stop();
                if (timer.error() != null) {
                    throw stream.stickyError().raise(plan.gemm + ": timing its algorithms: " + timer.error());
                }
                if (took < least) {
                    least = took;
                    best = i;
                }
            }
            if (best < 0) {
                throw new DeviceException(
                        plan.gemm + ": cuBLASLt runs none of the " + count + " algorithms it proposes");
            }
            return best;
        } finally {
            proposals.position(0);
            if (scratch != 0) {
                CudaBackend.free(scratch);
            }
        }
    }

    private boolean repeat(LtPlan plan, cublasLtMatmulAlgo_t algorithm, int times, long atA, long atB, long atC) {
        for (int i = 0; i < times; i++) {
            if (call(plan, algorithm, plan.gemm.accumulate(), atA, atB, atC) != 0) {
                return false;
            }
        }
        return true;
    }

    static void check(Gemm gemm, String call, int status) {
        if (status != 0) {
            throw new DeviceException(gemm + ": cublasLt" + call + ": " + text(status));
        }
    }

    private static String text(int status) {
        return cublas.cublasLtGetStatusString(status).getString() + " (status " + status + ")";
    }

    @Override
    public void close() {
        for (LtPlan plan : plans) {
            plan.destroy();
        }
        plans.clear();
        permuted.close();
        CudaBackend.free(workspace.address());
        cublas.cublasLtDestroy(handle);
    }
}
