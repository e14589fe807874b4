package trm.device.cpu;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import trm.device.Backend;
import trm.device.Capabilities;
import trm.device.Capture;
import trm.device.Collective;
import trm.device.DeviceBuffer;
import trm.device.DeviceException;
import trm.device.DeviceStream;
import trm.device.Dtype;
import trm.device.Event;
import trm.device.Host;
import trm.device.HostBuffer;
import trm.device.LibraryRanks;
import trm.device.Mpi;
import trm.device.NativeBuild;
import trm.device.NativeKernels;
import trm.device.NativeLibrary;
import trm.device.NativeOps;
import trm.device.OneRank;
import trm.device.Shape;
import trm.device.Staging;
import trm.device.StepGraph;
import trm.device.Tensor;

/** The processor: our C++ operations, products by oneDNN. Calls finish before they return. */
public final class CpuBackend implements Backend {
    private final NativeOps.Table table;
    private final NativeKernels kernels;
    private final Collective collective;
    private final int localRanks; // processes that share this machine

    /** @param threads worker threads, 0 for as many as there are processors, or time on them */
    public CpuBackend(int threads) {
        table = open();
        kernels = new NativeKernels(table, table, DeviceStream.synchronous());
        collective = new OneRank(this);
        localRanks = 1;
        setThreads(threads);
    }

    private CpuBackend(int threads, int localRanks, Mpi mpi) {
        table = open();
        kernels = new NativeKernels(table, table, mpi.table(), mpi.table(), DeviceStream.synchronous());
        collective = new LibraryRanks(this, mpi.rank(), mpi.ranks(), mpi::abort, mpi::leave);
        this.localRanks = localRanks;
        setThreads(threads);
    }

    /**
     * The processor of one of the ranks that mpirun or srun has started; waits for the others.
     *
     * @param threads worker threads, 0 for as many as there are processors, divided among the ranks here
     * @param localRanks ranks on this machine, 0 if that is not known
     * @param timeout seconds that a collective waits for the others
     * @throws DeviceException if this build or this machine has no MPI
     */
    public static CpuBackend ofRank(int threads, int localRanks, double timeout) {
        return new CpuBackend(threads, Math.max(1, localRanks), Mpi.join(timeout));
    }

    private static NativeOps.Table open() {
        loadOneDnn(); // libtrm_cpu.so finds it by its soname
        return NativeOps.trm_capturable(NativeBuild.open("libtrm_cpu.so", true));
    }

    private void setThreads(int threads) {
        int all = HostProcessors.choice().threads();
        kernels.setThreads(threads > 0 ? threads : Math.max(1, all / localRanks));
    }

    /** What this backend may take of the machine. */
    public static Host host() {
        HostProcessors.Choice choice = HostProcessors.choice();
        Path root = Path.of("/");
        long bytes = HostMemory.totalBytes(root);
        return new Host(choice.threads(), choice.why(), bytes, bytes == HostMemory.limitBytes(root));
    }

    /**
     * Loads oneDNN and the OpenMP runtime it needs from the jar of its bytedeco preset. The preset's own JNI library is
     * left alone: it needs OpenCL's, and our C++ calls oneDNN directly.
     */
    private static void loadOneDnn() {
        for (String file : new String[] {"libgomp.so.1", "libdnnl.so.3"}) {
            String resource = "/org/bytedeco/dnnl/" + NativeBuild.platform() + "/" + file;
            NativeLibrary.load(org.bytedeco.dnnl.presets.dnnl.class, resource);
        }
    }

    @Override
    public String name() {
        return "cpu";
    }

    @Override
    public String target() {
        return table.target().getString();
    }

    @Override
    public Capabilities capabilities() {
        return Capabilities.of(table, this::hasBfloat16Products);
    }

    /** Whether oneDNN has one for this processor, which it says when asked for it. */
    private boolean hasBfloat16Products() {
        int side = 8;
        long bytes = (long) side * side * Dtype.BF16.bytes();
        try (DeviceBuffer memory = allocate("a product", 3 * bytes)) {
            Shape square = new Shape(side, side);
            kernels.products()
                    .linear(
                            new Tensor(memory, 0, Dtype.BF16, square),
                            new Tensor(memory, bytes, Dtype.BF16, square),
                            new Tensor(memory, 2 * bytes, Dtype.BF16, square));
            return true;
        } catch (DeviceException e) {
            return false;
        }
    }

    @Override
    public NativeKernels kernels() {
        return kernels;
    }

    @Override
    public Collective collective() {
        return collective;
    }

    /** Nine tenths of this rank's share of what is available: the Java machine, oneDNN and each thread's buffers need some too. */
    @Override
    public long freeBytes() {
        return HostMemory.availableBytes() / localRanks / 10 * 9;
    }

    /** Host memory is the device's here, so what checkpoints go through counts. */
    @Override
    public Map<String, Long> overheadBytes() {
        return Map.of(Staging.PURPOSE, (long) Staging.BYTES);
    }

    @Override
    public DeviceBuffer allocate(String name, long bytes) {
        kernels.capture().refuse("allocation of ", name);
        long address = NativeOps.trm_host_allocate(bytes);
        if (address == 0) {
            throw new DeviceException("no memory for '" + name + "': " + bytes + " bytes");
        }
        return new DeviceBuffer(name, address, bytes, NativeOps::trm_host_free);
    }

    @Override
    public void upload(ByteBuffer from, Tensor to) {
        if (from.remaining() > to.bytes()) {
            throw new IllegalArgumentException(from.remaining() + " bytes do not fit " + to);
        }
        kernels.elementwise().copyFromHost(to, from);
    }

    @Override
    public void download(Tensor from, ByteBuffer to) {
        if (to.remaining() < from.bytes()) {
            throw new IllegalArgumentException(from + " does not fit " + to.remaining() + " bytes");
        }
        kernels.elementwise().copyToHost(from, to);
    }

    /** Calls have finished when they return. */
    @Override
    public void synchronize() {
        kernels.capture().refuse("synchronize");
    }

    @Override
    public HostBuffer hostBuffer(int bytes) {
        kernels.capture().refuse("allocation of host memory");
        return HostBuffer.allocate(bytes);
    }

    @Override
    public void enqueueUpload(HostBuffer from, int offset, Tensor to) {
        kernels.elementwise().copyFromHost(to, from.address(offset, to.bytes()));
    }

    @Override
    public void enqueueDownload(Tensor from, HostBuffer to) {
        kernels.elementwise().copyToHost(from, to.address(0, from.bytes()));
    }

    @Override
    public Event event() {
        return new CpuEvent(kernels.capture());
    }

    @Override
    public StepGraph capture(Runnable step) {
        kernels.capture().refuse("a capture");
        long graph = NativeOps.trm_capture_begin();
        List<Capture.Call> calls;
        try {
            calls = kernels.capture(step);
        } catch (RuntimeException | Error e) {
            NativeOps.trm_graph_free(graph);
            throw e;
        } finally {
            NativeOps.trm_capture_end();
        }
        return new CpuGraph(kernels.capture(), graph, calls);
    }

    @Override
    public void close() {
        collective.close(); // memory belongs to arenas; the library stays loaded
    }
}
