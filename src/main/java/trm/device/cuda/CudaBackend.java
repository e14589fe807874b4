package trm.device.cuda;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.cudart.CUgraph_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import trm.device.Backend;
import trm.device.Capabilities;
import trm.device.Capture;
import trm.device.Collective;
import trm.device.DeviceBuffer;
import trm.device.DeviceException;
import trm.device.DeviceStream;
import trm.device.Event;
import trm.device.HostBuffer;
import trm.device.LibraryRanks;
import trm.device.MatmulPrecision;
import trm.device.Mpi;
import trm.device.NativeBuild;
import trm.device.NativeKernels;
import trm.device.NativeLibrary;
import trm.device.NativeOps;
import trm.device.OneRank;
import trm.device.RankLaunch;
import trm.device.StepGraph;
import trm.device.StickyError;
import trm.device.Tensor;

/**
 * One GPU: our kernels, products by cuBLASLt, long attention by cuDNN where it is faster, one stream. Calls enqueue work
 * and return; {@link #download} and {@link #synchronize} wait. A captured graph is a CUDA graph of the stream. After a
 * sticky error every call fails with the first one's text.
 */
public final class CudaBackend implements Backend {
    private static final String LIBRARY = "libtrm_cuda.so";

    private final Cuda.Gpu gpu;
    private final GpuStream stream;
    private final NativeOps.Table table;
    private final LtProducts products;
    private final CudnnAttention attention;
    private final NativeKernels kernels;
    private final Collective collective;
    private final Address device;
    private final Address host;
    private ByteBuffer lastBuffer; // of the last copy, with the pointer to it: a trainer uses the same ones each step
    private BytePointer lastPointer;

    /**
     * Opens a GPU.
     *
     * @param index 0 for the first that the driver lists
     * @param log takes one line for what is worth telling
     * @throws DeviceException that says what is missing, if the GPU cannot be used
     */
    public CudaBackend(int index, MatmulPrecision precision, Consumer<String> log) {
        this(index, precision, log, RankLaunch.alone(), 0);
    }

    /**
     * As above, the GPU of a rank; waits for the others.
     *
     * @param timeout seconds that a collective waits for the others
     * @throws DeviceException also if there is no NCCL, or the ranks do not find each other
     */
    public CudaBackend(int index, MatmulPrecision precision, Consumer<String> log, RankLaunch launch, double timeout) {
        if (!NativeBuild.carries(LIBRARY)) {
            throw Cuda.refusal(index, List.of("this build carries no " + LIBRARY + " (made without nvcc)"));
        }
        boolean waiting = waiting(System.getenv("TRM_DEBUG"));
        checkFused(System.getenv("TRM_CUDA_FUSED"));
        CudnnAttention.Choice choice = CudnnAttention.Choice.of(System.getenv("TRM_ATTENTION"));
        gpu = Cuda.probe(index); // loads the libraries that the classes of pointers need
        stream = new GpuStream(new CUstream_st(), new StickyError(name()), new Capture());
        device = new Address();
        host = new Address();
        Cuda.check(cudart.cudaSetDevice(index), "cudaSetDevice");
        table = NativeBuild.open(LIBRARY, false);
        Cuda.check(
                cudart.cudaStreamCreateWithFlags(stream.handle(), cudart.cudaStreamNonBlocking),
                "cudaStreamCreateWithFlags");
        AlgorithmCache cache = new AlgorithmCache(
                AlgorithmCache.folder(System.getenv("XDG_CACHE_HOME"), System.getProperty("user.home"))
                        .resolve(AlgorithmCache.fileName(gpu.name(), gpu.cublasLt(), gpu.driver())),
                log);
        try {
            products = new LtProducts(table, stream, precision, cache);
        } catch (RuntimeException e) {
            cudart.cudaStreamDestroy(stream.handle());
            throw e;
        }
        String build = NativeLibrary.digest(LIBRARY).substring(0, 16); // told apart by content
        CudnnAttention.Settings settings = new CudnnAttention.Settings(choice, build, CudnnAttention.WORKSPACE_BYTES);
        attention = new CudnnAttention(products, table, stream, cache, settings, log);
        DeviceStream calls = new DeviceStream(
                stream.handle().address(), stream.stickyError(), this::await, waiting, stream.capture());
        if (launch.starter() == RankLaunch.Starter.NONE) {
            kernels = new NativeKernels(table, attention, calls);
            collective = new OneRank(this);
        } else {
            Mpi mpi = launch.starter() == RankLaunch.Starter.MPI ? Mpi.join(timeout) : null;
            NcclRanks ranks = new NcclRanks(attention, stream, launch, mpi, index, timeout);
            stream.watch(ranks);
            kernels = new NativeKernels(table, ranks, calls);
            collective = new LibraryRanks(this, launch.rank(), launch.ranks(), ranks::abort, ranks::close);
        }
    }

    /** TRM_CUDA_FUSED, which our library reads: 0 composes everything, mma has no kernels for Hopper, 1 is the default. */
    static void checkFused(String fused) {
        if (fused != null && !Set.of("", "0", "1", "mma").contains(fused)) {
            throw new DeviceException("TRM_CUDA_FUSED is " + fused + ", expected 0, 1 or mma");
        }
    }

    /** TRM_DEBUG=sync: wait after each operation. */
    static boolean waiting(String debug) {
        if (debug != null && !debug.isEmpty() && !debug.equals("sync")) {
            throw new DeviceException("TRM_DEBUG is " + debug + ", expected sync");
        }
        return "sync".equals(debug);
    }

    @Override
    public String name() {
        return "cuda:" + gpu.index();
    }

    @Override
    public String target() {
        return gpu.name() + ", sm_" + gpu.capability();
    }

    @Override
    public Capabilities capabilities() {
        return Capabilities.of(table);
    }

    @Override
    public NativeKernels kernels() {
        return kernels;
    }

    @Override
    public Collective collective() {
        return collective;
    }

    @Override
    public DeviceBuffer allocate(String name, long bytes) {
        stream.before("allocation of ", name);
        long address = allocate(bytes);
        if (address == 0) {
            throw new DeviceException("no memory on " + name() + " for '" + name + "': " + bytes + " bytes; "
                    + freeBytes() + " are free");
        }
        try {
            stream.check(
                    cudart.cudaMemsetAsync(new Address().at(address), 0, bytes, stream.handle()),
                    "zero '" + name + "'");
        } catch (DeviceException e) {
            free(address);
            throw e;
        }
        return new DeviceBuffer(name, address, bytes, CudaBackend::free);
    }

    /** Device memory, 0 when there is not enough. Anything else that is wrong shows at the next call. */
    static long allocate(long bytes) {
        Pointer p = new Pointer();
        int status = cudart.cudaMalloc(p, bytes);
        if (status != 0) {
            cudart.cudaGetLastError(); // or the next call would report this one's error
            return 0;
        }
        return p.address();
    }

    /** An error here is that of an earlier call, which has been told. */
    static void free(long address) {
        cudart.cudaFree(new Address().at(address));
    }

    /** Of the whole GPU, what other processes leave of it. */
    @Override
    public long freeBytes() {
        try (org.bytedeco.javacpp.SizeTPointer free = new org.bytedeco.javacpp.SizeTPointer(1);
                org.bytedeco.javacpp.SizeTPointer total = new org.bytedeco.javacpp.SizeTPointer(1)) {
            return cudart.cudaMemGetInfo(free, total) == 0 ? free.get() : 0;
        }
    }

    @Override
    public Map<String, Long> overheadBytes() {
        return CudaMemory.overheadBytes();
    }

    /** The buffer may be written again when this returns: the runtime has taken its bytes. */
    @Override
    public void upload(ByteBuffer from, Tensor to) {
        if (from.remaining() > to.bytes()) {
            throw new IllegalArgumentException(from.remaining() + " bytes do not fit " + to);
        }
        stream.before("upload to ", to);
        int status = cudart.cudaMemcpyAsync(
                device.at(to.address()),
                pointer(from),
                from.remaining(),
                cudart.cudaMemcpyHostToDevice,
                stream.handle());
        stream.check(status, "upload to ", to);
    }

    @Override
    public void download(Tensor from, ByteBuffer to) {
        if (to.remaining() < from.bytes()) {
            throw new IllegalArgumentException(from + " does not fit " + to.remaining() + " bytes");
        }
        stream.before("download of ", from);
        int status = cudart.cudaMemcpyAsync(
                pointer(to), device.at(from.address()), from.bytes(), cudart.cudaMemcpyDeviceToHost, stream.handle());
        if (status == 0) {
            status = stream.await();
        }
        stream.check(status, "download of ", from);
    }

    private Pointer pointer(ByteBuffer buffer) {
        if (buffer != lastBuffer) {
            if (!buffer.isDirect()) {
                throw new IllegalArgumentException("a buffer on the Java heap cannot be copied, expected a direct one");
            }
            lastPointer = new BytePointer(buffer);
            lastBuffer = buffer;
        }
        return lastPointer.position(buffer.position());
    }

    @Override
    public void synchronize() {
        stream.before("synchronize");
        stream.check(stream.await(), "synchronize");
    }

    @Override
    public HostBuffer hostBuffer(int bytes) {
        stream.before("allocation of host memory");
        Pointer p = new Pointer();
        int status = cudart.cudaMallocHost(p, bytes);
        if (status != 0) {
            cudart.cudaGetLastError(); // or the next call would report this one's error
            throw new DeviceException("no page-locked memory: " + bytes + " bytes: " + Cuda.text(status));
        }
        Pointer.memset(p, 0, bytes);
        return new HostBuffer(p.address(), bytes, address -> cudart.cudaFreeHost(new Address().at(address)));
    }

    @Override
    public void enqueueUpload(HostBuffer from, int offset, Tensor to) {
        stream.before("upload to ", to);
        host.at(from.address(offset, to.bytes()));
        int status = cudart.cudaMemcpyAsync(
                device.at(to.address()), host, to.bytes(), cudart.cudaMemcpyHostToDevice, stream.handle());
        stream.check(status, "upload to ", to);
    }

    @Override
    public void enqueueDownload(Tensor from, HostBuffer to) {
        stream.before("download of ", from);
        host.at(to.address(0, from.bytes()));
        int status = cudart.cudaMemcpyAsync(
                host, device.at(from.address()), from.bytes(), cudart.cudaMemcpyDeviceToHost, stream.handle());
        stream.check(status, "download of ", from);
    }

    @Override
    public Event event() {
        stream.capture().refuse("a new event");
        return new CudaEvent(stream);
    }

    @Override
    public StepGraph capture(Runnable step) {
        stream.before("a capture");
        // of this thread: another thread's calls, of a library for instance, are none of its business
        stream.check(
                cudart.cudaStreamBeginCapture(stream.handle(), cudart.cudaStreamCaptureModeThreadLocal),
                "begin of a capture");
        CUgraph_st graph = new CUgraph_st();
        int operations;
        try {
            operations = kernels.capture(step).size();
        } catch (RuntimeException | Error e) {
            cudart.cudaStreamEndCapture(stream.handle(), graph);
            discard(graph);
            throw e;
        }
        int status = cudart.cudaStreamEndCapture(stream.handle(), graph);
        CUgraphExec_st executable = new CUgraphExec_st();
        if (status == 0) {
            status = cudart.cudaGraphInstantiate(executable, graph, 0);
        }
        discard(graph); // the executable is complete without it
        if (status != 0) {
            throw new DeviceException("a graph of " + operations + " operations: " + Cuda.text(status));
        }
        return new CudaGraph(executable, stream, operations);
    }

    /** Destroys a graph if there is one, and forgets the error that a refused call left behind. */
    private static void discard(CUgraph_st graph) {
        if (!graph.isNull()) {
            cudart.cudaGraphDestroy(graph);
        }
        cudart.cudaGetLastError();
    }

    private String await() {
        int status = stream.await();
        return status == 0 ? null : Cuda.text(status);
    }

    @Override
    public void close() {
        cudart.cudaStreamSynchronize(stream.handle());
        collective.close();
        attention.close();
        products.close();
        cudart.cudaStreamDestroy(stream.handle());
    }
}
