package trm.device.cpu;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import trm.device.Backend;
import trm.device.Capabilities;
import trm.device.DeviceBuffer;
import trm.device.DeviceException;
import trm.device.DeviceStream;
import trm.device.Event;
import trm.device.Host;
import trm.device.HostBuffer;
import trm.device.NativeBuild;
import trm.device.NativeKernels;
import trm.device.NativeLibrary;
import trm.device.NativeOps;
import trm.device.Staging;
import trm.device.StepGraph;
import trm.device.Tensor;

/** The processor: our C++ operations, products by oneDNN. Calls finish before they return. */
public final class CpuBackend implements Backend {
    private final NativeOps.Table table;
    private final NativeKernels kernels;

    /** @param threads worker threads, 0 for as many as there are processors, or time on them */
    public CpuBackend(int threads) {
        loadOneDnn(); // libtrm_cpu.so finds it by its soname
        table = NativeOps.trm_capturable(NativeBuild.open("libtrm_cpu.so", true));
        kernels = new NativeKernels(table, table, DeviceStream.synchronous());
        kernels.setThreads(threads > 0 ? threads : HostProcessors.choice().threads());
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
        return Capabilities.of(table);
    }

    @Override
    public NativeKernels kernels() {
        return kernels;
    }

    /** Nine tenths of what is available: the Java machine, oneDNN and each thread's buffers need some too. */
    @Override
    public long freeBytes() {
        return HostMemory.availableBytes() / 10 * 9;
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
        List<String> calls;
        try {
            calls = kernels.capture(step);
        } catch (RuntimeException | Error e) {
            NativeOps.trm_graph_free(graph);
            throw e;
        } finally {
            NativeOps.trm_capture_end();
        }
        return new CpuGraph(table, kernels.capture(), graph, calls);
    }

    @Override
    public void close() {
        // memory belongs to arenas; the library stays loaded
    }
}
