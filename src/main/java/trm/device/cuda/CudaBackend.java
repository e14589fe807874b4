package trm.device.cuda;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.cudart.CUgraph_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import trm.device.Backend;
import trm.device.DeviceBuffer;
import trm.device.DeviceException;
import trm.device.Fault;
import trm.device.HostBuffer;
import trm.device.Kernels;
import trm.device.Mark;
import trm.device.MatmulPrecision;
import trm.device.NativeBuild;
import trm.device.NativeLibrary;
import trm.device.NativeOps;
import trm.device.Recording;
import trm.device.StepGraph;
import trm.device.Tensor;

/**
 * One GPU: our kernels, products by cuBLASLt, long attention by cuDNN where it is faster, one stream. Calls enqueue work
 * and return; {@link #download} and {@link #synchronize} wait. A record is a CUDA graph, captured from the stream. After a
 * fault of the device every call fails with the first fault's text.
 */
public final class CudaBackend implements Backend {
    private static final String LIBRARY = "libtrm_cuda.so";

    private final Cuda.Gpu gpu;
    private final Fault fault;
    private final Recording recording = new Recording();
    private final CUstream_st stream;
    private final LtProducts products;
    private final CudnnAttention attention;
    private final Kernels kernels;
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
        if (!NativeBuild.carries(LIBRARY)) {
            throw Cuda.refusal(index, List.of("this build carries no " + LIBRARY + " (made without nvcc)"));
        }
        boolean waiting = waiting(System.getenv("TRM_DEBUG"));
        CudnnAttention.Choice choice = CudnnAttention.Choice.of(System.getenv("TRM_ATTENTION"));
        gpu = Cuda.probe(index); // loads the libraries that the classes of pointers need
        stream = new CUstream_st();
        device = new Address();
        host = new Address();
        fault = new Fault(name());
        Cuda.check(cudart.cudaSetDevice(index), "cudaSetDevice");
        NativeOps.Table table = NativeBuild.open(LIBRARY, false);
        Cuda.check(cudart.cudaStreamCreateWithFlags(stream, cudart.cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
        AlgorithmCache cache = new AlgorithmCache(
                AlgorithmCache.folder(System.getenv("XDG_CACHE_HOME"), System.getProperty("user.home"))
                        .resolve(AlgorithmCache.fileName(gpu.name(), gpu.cublasLt(), gpu.driver())),
                log);
        try {
            products = new LtProducts(table, stream, fault, recording, precision, cache);
        } catch (RuntimeException e) {
            cudart.cudaStreamDestroy(stream);
            throw e;
        }
        String build = NativeLibrary.digest(LIBRARY).substring(0, 16); // told apart by content
        attention = new CudnnAttention(
                table, build, stream, fault, recording, cache, choice, CudnnAttention.WORKSPACE_BYTES, log);
        kernels = new Kernels(table, products, attention, stream.address(), fault, this::await, waiting, recording);
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
    public Kernels kernels() {
        return kernels;
    }

    @Override
    public DeviceBuffer allocate(String name, long bytes) {
        fault.check();
        recording.refuse("allocation of ", name);
        long address = allocate(bytes);
        if (address == 0) {
            throw new DeviceException("no memory on " + name() + " for '" + name + "': " + bytes + " bytes; "
                    + freeBytes() + " are free");
        }
        try {
            check(cudart.cudaMemsetAsync(new Address().at(address), 0, bytes, stream), "zero '" + name + "'");
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
        fault.check();
        recording.refuse("upload to ", to);
        int status = cudart.cudaMemcpyAsync(
                device.at(to.address()), pointer(from), from.remaining(), cudart.cudaMemcpyHostToDevice, stream);
        if (status != 0) {
            throw fault.raise("upload to " + to + ": " + Cuda.text(status));
        }
    }

    @Override
    public void download(Tensor from, ByteBuffer to) {
        if (to.remaining() < from.bytes()) {
            throw new IllegalArgumentException(from + " does not fit " + to.remaining() + " bytes");
        }
        fault.check();
        recording.refuse("download of ", from);
        int status = cudart.cudaMemcpyAsync(
                pointer(to), device.at(from.address()), from.bytes(), cudart.cudaMemcpyDeviceToHost, stream);
        if (status == 0) {
            status = cudart.cudaStreamSynchronize(stream);
        }
        if (status != 0) {
            throw fault.raise("download of " + from + ": " + Cuda.text(status));
        }
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
        fault.check();
        recording.refuse("synchronize");
        check(cudart.cudaStreamSynchronize(stream), "synchronize");
    }

    @Override
    public HostBuffer hostBuffer(int bytes) {
        fault.check();
        recording.refuse("allocation of host memory");
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
        fault.check();
        recording.refuse("upload to ", to);
        host.at(from.address(offset, to.bytes()));
        int status = cudart.cudaMemcpyAsync(
                device.at(to.address()), host, to.bytes(), cudart.cudaMemcpyHostToDevice, stream);
        if (status != 0) {
            throw fault.raise("upload to " + to + ": " + Cuda.text(status));
        }
    }

    @Override
    public void enqueueDownload(Tensor from, HostBuffer to) {
        fault.check();
        recording.refuse("download of ", from);
        host.at(to.address(0, from.bytes()));
        int status = cudart.cudaMemcpyAsync(
                host, device.at(from.address()), from.bytes(), cudart.cudaMemcpyDeviceToHost, stream);
        if (status != 0) {
            throw fault.raise("download of " + from + ": " + Cuda.text(status));
        }
    }

    @Override
    public Mark mark() {
        recording.refuse("a new mark");
        return new CudaMark(stream, fault, recording);
    }

    @Override
    public StepGraph capture(Runnable step) {
        fault.check();
        recording.refuse("a record");
        // of this thread: another thread's calls, of a library for instance, are none of its business
        check(cudart.cudaStreamBeginCapture(stream, cudart.cudaStreamCaptureModeThreadLocal), "begin of a record");
        CUgraph_st graph = new CUgraph_st();
        int operations;
        try {
            operations = kernels.record(step).size();
        } catch (RuntimeException | Error e) {
            cudart.cudaStreamEndCapture(stream, graph);
            discard(graph);
            throw e;
        }
        int status = cudart.cudaStreamEndCapture(stream, graph);
        CUgraphExec_st executable = new CUgraphExec_st();
        if (status == 0) {
            status = cudart.cudaGraphInstantiate(executable, graph, 0);
        }
        discard(graph); // the executable is complete without it
        if (status != 0) {
            throw new DeviceException("a record of " + operations + " operations: " + Cuda.text(status));
        }
        return new CudaGraph(executable, stream, fault, recording, operations);
    }

    /** Destroys a graph if there is one, and forgets the error that a refused call left behind. */
    private static void discard(CUgraph_st graph) {
        if (!graph.isNull()) {
            cudart.cudaGraphDestroy(graph);
        }
        cudart.cudaGetLastError();
    }

    private String await() {
        int status = cudart.cudaStreamSynchronize(stream);
        return status == 0 ? null : Cuda.text(status);
    }

    private void check(int status, String what) {
        if (status != 0) {
            throw fault.raise(what + ": " + Cuda.text(status));
        }
    }

    @Override
    public void close() {
        cudart.cudaStreamSynchronize(stream);
        attention.close();
        products.close();
        cudart.cudaStreamDestroy(stream);
    }
}
