package trm.device.cuda;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudnn.cudnnBackendDescriptor_t;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.javacpp.BoolPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import trm.device.Dtype;

/**
 * An operation graph of cuDNN's backend interface: operands, operations on them, then {@link #propose engine
 * configurations} and a {@link #plan} of one. Everything is computed in float32 but for what an operand's type says. Owns
 * its descriptors.
 */
final class CudnnGraph implements AutoCloseable {
    private static final int ALIGNMENT = 16; // of every operand's address, in bytes

    /** A tensor, by its number in the graph and its descriptor. */
    record Operand(long id, cudnnBackendDescriptor_t descriptor) {}

    /** An engine configuration that can run a graph. @param engine its number, for messages */
    record Config(cudnnBackendDescriptor_t descriptor, long engine) {}

    /** What runs a graph. @param workspaceBytes device memory that it needs while it runs */
    record Plan(cudnnBackendDescriptor_t descriptor, long workspaceBytes) {}

    private final cudnnContext handle;
    private final cudnnBackendDescriptor_t properties;
    private final List<cudnnBackendDescriptor_t> made = new ArrayList<>();
    private final List<cudnnBackendDescriptor_t> operations = new ArrayList<>();
    private cudnnBackendDescriptor_t graph; // null until proposals are asked for
    private long betweens;

    /**
     * @param handle cuDNN on its device, or null to plan without a device, which then {@code properties} describes
     * @param properties descriptor of a device's properties, or null
     */
    CudnnGraph(cudnnContext handle, cudnnBackendDescriptor_t properties) {
        this.handle = handle;
        this.properties = properties;
    }

    // ---- operands ---------------------------------------------------------------------------------------------------

    /** A tensor in memory. Sizes and strides, in elements, have four dimensions. */
    Operand tensor(long id, Dtype type, long[] sizes, long[] strides) throws CudnnException {
        return operand(id, type, sizes, strides, false, false);
    }

    /** A float32 that the host hands over at each call. */
    Operand scalar(long id) throws CudnnException {
        long[] one = {1, 1, 1, 1};
        return operand(id, Dtype.F32, one, one, false, true);
    }

    /** What one operation hands to another; it has no address. */
    Operand between(Dtype type, long[] sizes, long[] strides) throws CudnnException {
        return operand(1000 + betweens++, type, sizes, strides, true, false);
    }

    private Operand operand(long id, Dtype type, long[] sizes, long[] strides, boolean isVirtual, boolean byValue)
            throws CudnnException {
        cudnnBackendDescriptor_t d = create(cudnn.CUDNN_BACKEND_TENSOR_DESCRIPTOR);
        set(d, cudnn.CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
        set(d, cudnn.CUDNN_ATTR_TENSOR_DATA_TYPE, cudnn.CUDNN_TYPE_DATA_TYPE, cudnnType(type));
        set(d, cudnn.CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, ALIGNMENT);
        set(d, cudnn.CUDNN_ATTR_TENSOR_DIMENSIONS, sizes);
        set(d, cudnn.CUDNN_ATTR_TENSOR_STRIDES, strides);
        set(d, cudnn.CUDNN_ATTR_TENSOR_IS_VIRTUAL, isVirtual);
        set(d, cudnn.CUDNN_ATTR_TENSOR_IS_BY_VALUE, byValue);
        finish(d, "tensor " + id);
        return new Operand(id, d);
    }

    private static int cudnnType(Dtype type) {
        return type == Dtype.BF16 ? cudnn.CUDNN_DATA_BFLOAT16 : cudnn.CUDNN_DATA_FLOAT;
    }

    // ---- operations -------------------------------------------------------------------------------------------------

    /** to = x (mode) b, element by element; b may be a scalar, or null for a mode of one operand. */
    Operand pointwise(int mode, Operand x, Operand b, Operand to) throws CudnnException {
        cudnnBackendDescriptor_t kind = create(cudnn.CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
        set(kind, cudnn.CUDNN_ATTR_POINTWISE_MODE, cudnn.CUDNN_TYPE_POINTWISE_MODE, mode);
        set(kind, cudnn.CUDNN_ATTR_POINTWISE_MATH_PREC, cudnn.CUDNN_TYPE_DATA_TYPE, cudnn.CUDNN_DATA_FLOAT);
        finish(kind, "pointwise");
        cudnnBackendDescriptor_t d = create(cudnn.CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
        set(d, cudnn.CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kind);
        set(d, cudnn.CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x.descriptor);
        if (b != null) {
            set(d, cudnn.CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b.descriptor);
        }
        set(d, cudnn.CUDNN_ATTR_OPERATION_POINTWISE_YDESC, to.descriptor);
        return operation(d, "pointwise operation", to);
    }

    /** to = x summed over the dimensions that are 1 in to. */
    Operand sum(Operand x, Operand to) throws CudnnException {
        cudnnBackendDescriptor_t kind = create(cudnn.CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
        set(
                kind,
                cudnn.CUDNN_ATTR_REDUCTION_OPERATOR,
                cudnn.CUDNN_TYPE_REDUCTION_OPERATOR_TYPE,
                cudnn.CUDNN_REDUCE_TENSOR_ADD);
        set(kind, cudnn.CUDNN_ATTR_REDUCTION_COMP_TYPE, cudnn.CUDNN_TYPE_DATA_TYPE, cudnn.CUDNN_DATA_FLOAT);
        finish(kind, "reduction");
        cudnnBackendDescriptor_t d = create(cudnn.CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
        set(d, cudnn.CUDNN_ATTR_OPERATION_REDUCTION_DESC, kind);
        set(d, cudnn.CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x.descriptor);
        set(d, cudnn.CUDNN_ATTR_OPERATION_REDUCTION_YDESC, to.descriptor);
        return operation(d, "reduction operation", to);
    }

    /** to = a b, matrices of the last two dimensions. */
    Operand product(Operand a, Operand b, Operand to) throws CudnnException {
        cudnnBackendDescriptor_t kind = create(cudnn.CUDNN_BACKEND_MATMUL_DESCRIPTOR);
        set(kind, cudnn.CUDNN_ATTR_MATMUL_COMP_TYPE, cudnn.CUDNN_TYPE_DATA_TYPE, cudnn.CUDNN_DATA_FLOAT);
        finish(kind, "product");
        cudnnBackendDescriptor_t d = create(cudnn.CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
        set(d, cudnn.CUDNN_ATTR_OPERATION_MATMUL_DESC, kind);
        set(d, cudnn.CUDNN_ATTR_OPERATION_MATMUL_ADESC, a.descriptor);
        set(d, cudnn.CUDNN_ATTR_OPERATION_MATMUL_BDESC, b.descriptor);
        set(d, cudnn.CUDNN_ATTR_OPERATION_MATMUL_CDESC, to.descriptor);
        return operation(d, "product operation", to);
    }

    /** to = the elements of x as the sizes and strides of to have them: a transposition. */
    Operand reshape(Operand x, Operand to) throws CudnnException {
        cudnnBackendDescriptor_t d = create(cudnn.CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
        set(d, cudnn.CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x.descriptor);
        set(d, cudnn.CUDNN_ATTR_OPERATION_RESHAPE_YDESC, to.descriptor);
        return operation(d, "reshape operation", to);
    }

    /** o = softmax(scale q k^T) v; stats, unless null, the logarithms of the sums of exponentials. */
    Operand attention(Operand q, Operand k, Operand v, Operand scale, Operand stats, Operand o) throws CudnnException {
        cudnnBackendDescriptor_t d = create(cudnn.CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
        set(d, cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, q.descriptor);
        set(d, cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, k.descriptor);
        set(d, cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, v.descriptor);
        set(d, cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale.descriptor);
        if (stats != null) {
            set(d, cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC, stats.descriptor);
        }
        set(d, cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, o.descriptor);
        return operation(d, "attention operation", o);
    }

    private Operand operation(cudnnBackendDescriptor_t d, String what, Operand result) throws CudnnException {
        finish(d, what);
        operations.add(d);
        return result;
    }

    // ---- plans ------------------------------------------------------------------------------------------------------

    /**
     * The configurations that the library proposes, the one it thinks fastest first; only those whose calls may be captured
     * in a CUDA graph.
     *
     * @throws CudnnException if there are none
     */
    List<Config> propose() throws CudnnException {
        if (graph == null) {
            graph = create(cudnn.CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
            if (handle != null) {
                set(graph, cudnn.CUDNN_ATTR_OPERATIONGRAPH_HANDLE, cudnn.CUDNN_TYPE_HANDLE, handle);
            }
            set(graph, cudnn.CUDNN_ATTR_OPERATIONGRAPH_OPS, operations);
            finish(graph, "operation graph");
        }
        List<Config> configs = new ArrayList<>();
        int unfit = 0;
        for (int mode : new int[] {cudnn.CUDNN_HEUR_MODE_A, cudnn.CUDNN_HEUR_MODE_FALLBACK}) {
            for (cudnnBackendDescriptor_t descriptor : proposals(mode)) {
                cudnnBackendDescriptor_t engine = create(cudnn.CUDNN_BACKEND_ENGINE_DESCRIPTOR);
                get(descriptor, cudnn.CUDNN_ATTR_ENGINECFG_ENGINE, List.of(engine));
                if (capturable(engine)) {
                    configs.add(new Config(descriptor, number(engine, cudnn.CUDNN_ATTR_ENGINE_GLOBAL_INDEX)));
                } else {
                    unfit++;
                }
            }
            if (!configs.isEmpty()) {
                return configs;
            }
        }
        throw new CudnnException("the library proposes no engine"
                + (unfit == 0 ? "" : " that can be captured in a CUDA graph, " + unfit + " others"));
    }

    private List<cudnnBackendDescriptor_t> proposals(int mode) throws CudnnException {
        cudnnBackendDescriptor_t heuristics = create(cudnn.CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
        set(heuristics, cudnn.CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
        set(heuristics, cudnn.CUDNN_ATTR_ENGINEHEUR_MODE, cudnn.CUDNN_TYPE_HEUR_MODE, mode);
        if (properties != null) {
            set(heuristics, cudnn.CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, properties);
        }
        finish(heuristics, "heuristics");
        int results = cudnn.CUDNN_ATTR_ENGINEHEUR_RESULTS;
        int count = get(heuristics, results, List.of());
        List<cudnnBackendDescriptor_t> configs = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            configs.add(create(cudnn.CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
        }
        return count == 0 ? configs : configs.subList(0, get(heuristics, results, configs));
    }

    private static boolean capturable(cudnnBackendDescriptor_t engine) throws CudnnException {
        try (IntPointer notes = new IntPointer(cudnn.CUDNN_BEHAVIOR_NOTE_TYPE_COUNT + 8L);
                LongPointer count = new LongPointer(1)) {
            Cudnn.check(
                    cudnn.cudnnBackendGetAttribute(
                            engine,
                            cudnn.CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                            cudnn.CUDNN_TYPE_BEHAVIOR_NOTE,
                            notes.capacity(),
                            count,
                            notes),
                    "behavior notes");
            for (long i = 0; i < count.get(); i++) {
                if (notes.get(i) == cudnn.CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API) {
                    return true;
                }
            }
            return false;
        }
    }

    /** Compiles a configuration. @throws CudnnException with the library's reason, if it cannot */
    Plan plan(Config config) throws CudnnException {
        cudnnBackendDescriptor_t d = create(cudnn.CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        if (handle != null) {
            set(d, cudnn.CUDNN_ATTR_EXECUTION_PLAN_HANDLE, cudnn.CUDNN_TYPE_HANDLE, handle);
        }
        if (properties != null) {
            set(d, cudnn.CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, properties);
        }
        set(d, cudnn.CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config.descriptor);
        finish(d, "plan of engine " + config.engine);
        return new Plan(d, number(d, cudnn.CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
    }

    /** The addresses of one call: of the operands {@code ids}, in their order, and of the plan's workspace. */
    cudnnBackendDescriptor_t addresses(long[] ids, long[] addresses, long workspace) throws CudnnException {
        cudnnBackendDescriptor_t d = create(cudnn.CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
        set(d, cudnn.CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids);
        try (LongPointer pointers = new LongPointer(addresses);
                LongPointer room = new LongPointer(new long[] {workspace})) {
            set(d, cudnn.CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, cudnn.CUDNN_TYPE_VOID_PTR, addresses.length, pointers);
            set(d, cudnn.CUDNN_ATTR_VARIANT_PACK_WORKSPACE, cudnn.CUDNN_TYPE_VOID_PTR, 1, room);
        }
        finish(d, "variant pack");
        return d;
    }

    // ---- descriptors ------------------------------------------------------------------------------------------------

    private cudnnBackendDescriptor_t create(int type) throws CudnnException {
        cudnnBackendDescriptor_t d = new cudnnBackendDescriptor_t();
        Cudnn.check(cudnn.cudnnBackendCreateDescriptor(type, d), "descriptor of type " + type);
        made.add(d);
        return d;
    }

    private static void finish(cudnnBackendDescriptor_t d, String what) throws CudnnException {
        Cudnn.check(cudnn.cudnnBackendFinalize(d), what);
    }

    private static void set(cudnnBackendDescriptor_t d, int attribute, int type, long count, Pointer values)
            throws CudnnException {
        Cudnn.check(cudnn.cudnnBackendSetAttribute(d, attribute, type, count, values), "attribute " + attribute);
    }

    private static void set(cudnnBackendDescriptor_t d, int attribute, long... values) throws CudnnException {
        try (LongPointer p = new LongPointer(values)) {
            set(d, attribute, cudnn.CUDNN_TYPE_INT64, values.length, p);
        }
    }

    private static void set(cudnnBackendDescriptor_t d, int attribute, int type, int value) throws CudnnException {
        try (IntPointer p = new IntPointer(new int[] {value})) {
            set(d, attribute, type, 1, p);
        }
    }

    private static void set(cudnnBackendDescriptor_t d, int attribute, boolean value) throws CudnnException {
        try (BoolPointer p = new BoolPointer(1)) {
            p.put(value);
            set(d, attribute, cudnn.CUDNN_TYPE_BOOLEAN, 1, p);
        }
    }

    private static void set(cudnnBackendDescriptor_t d, int attribute, int type, Pointer value) throws CudnnException {
        try (PointerPointer<Pointer> p = new PointerPointer<>(1)) {
            p.put(0, value);
            set(d, attribute, type, 1, p);
        }
    }

    private static void set(cudnnBackendDescriptor_t d, int attribute, cudnnBackendDescriptor_t value)
            throws CudnnException {
        set(d, attribute, cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR, value);
    }

    private static void set(cudnnBackendDescriptor_t d, int attribute, List<cudnnBackendDescriptor_t> values)
            throws CudnnException {
        try (PointerPointer<Pointer> p = new PointerPointer<>(values.size())) {
            for (int i = 0; i < values.size(); i++) {
                p.put(i, values.get(i));
            }
            set(d, attribute, cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR, values.size(), p);
        }
    }

    /** Fills the descriptors given, and returns how many there are: with none given, how many there may be. */
    private static int get(cudnnBackendDescriptor_t d, int attribute, List<cudnnBackendDescriptor_t> to)
            throws CudnnException {
        try (PointerPointer<Pointer> p = new PointerPointer<>(Math.max(1, to.size()));
                LongPointer count = new LongPointer(1)) {
            for (int i = 0; i < to.size(); i++) {
                p.put(i, to.get(i));
            }
            count.put(0);
            int status = cudnn.cudnnBackendGetAttribute(
                    d,
                    attribute,
                    cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR,
                    to.size(),
                    count,
                    to.isEmpty() ? new Pointer() : p);
            Cudnn.check(status, "attribute " + attribute);
            return (int) count.get();
        }
    }

    private static long number(cudnnBackendDescriptor_t d, int attribute) throws CudnnException {
        try (LongPointer value = new LongPointer(1);
                LongPointer count = new LongPointer(1)) {
            int status = cudnn.cudnnBackendGetAttribute(d, attribute, cudnn.CUDNN_TYPE_INT64, 1, count, value);
            Cudnn.check(status, "attribute " + attribute);
            return value.get();
        }
    }

    @Override
    public void close() {
        for (int i = made.size() - 1; i >= 0; i--) {
            cudnn.cudnnBackendDestroyDescriptor(made.get(i));
        }
        made.clear();
    }
}
