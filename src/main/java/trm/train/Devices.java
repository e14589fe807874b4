package trm.train;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import trm.device.Backend;
import trm.device.CudaInstallation;
import trm.device.DeviceException;
import trm.device.Host;
import trm.device.MatmulPrecision;
import trm.device.NativeBuild;
import trm.device.PlanningBackend;
import trm.device.UnknownDeviceException;
import trm.device.cpu.CpuBackend;
import trm.device.cuda.CudaBackend;
import trm.device.cuda.CudaMemory;

/** Opens the device that a user named. A named device never falls back to another. */
public final class Devices {
    private static final Pattern CUDA = Pattern.compile("cuda(?::(\\d{1,4}))?");

    private Devices() {}

    /**
     * Opens a device and tells which.
     *
     * @param device {@code auto} (GPU 0 if it can be used, else the CPU), {@code cpu} or {@code cuda:N}
     * @param threads worker threads of the CPU, 0 for all processors
     * @param precision of float32 products
     * @param log takes one line: what was chosen, and for {@code auto} why
     * @throws UnknownDeviceException if the name is none of these
     * @throws DeviceException if the device cannot be used; the message says what is missing
     */
    public static Backend open(String device, int threads, MatmulPrecision precision, Consumer<String> log) {
        Matcher cuda = CUDA.matcher(device);
        if (!device.equals("cpu") && !device.equals("auto") && !cuda.matches()) {
            throw new UnknownDeviceException(device);
        }
        if (cuda.matches()) {
            int index = cuda.group(1) == null ? 0 : Integer.parseInt(cuda.group(1));
            Backend backend = new CudaBackend(index, precision, log);
            log.accept("device " + describe(backend));
            noteThreads(threads, log);
            return backend;
        }
        if (device.equals("auto")) {
            List<String> missing = missing(CudaInstallation.ofThisMachine());
            if (missing.isEmpty()) {
                try {
                    Backend backend = new CudaBackend(0, precision, log);
                    log.accept("device auto: " + describe(backend));
                    noteThreads(threads, log);
                    return backend;
                } catch (DeviceException e) {
                    missing.add(e.getMessage());
                }
            }
            Backend backend = cpu(threads, precision, log);
            log.accept("device auto: " + describe(backend) + ", because cuda:0 cannot be used: "
                    + String.join("; ", missing));
            return backend;
        }
        Backend backend = cpu(threads, precision, log);
        log.accept("device " + describe(backend));
        return backend;
    }

    private static void noteThreads(int threads, Consumer<String> log) {
        if (threads > 0) {
            log.accept("threads " + threads + " has no effect: they are the CPU's, and the run is on a GPU");
        }
    }

    private static Backend cpu(int threads, MatmulPrecision precision, Consumer<String> log) {
        if (precision == MatmulPrecision.TF32) {
            log.accept("matmul_precision tf32 has no effect: the CPU computes float32 products in float32");
        }
        return new CpuBackend(threads);
    }

    private static String describe(Backend backend) {
        return backend.name() + " (" + backend.target() + ")";
    }

    /** What the CPU may take of this machine. */
    public static Host host() {
        return CpuBackend.host();
    }

    /** A GPU that is not here, to plan for. */
    public static PlanningBackend absentGpu() {
        return PlanningBackend.ofAbsent(CudaMemory.overheadBytes());
    }

    /** What the machine's files and this build lack for any GPU; nothing is loaded to find out. */
    private static List<String> missing(CudaInstallation cuda) {
        List<String> missing = new ArrayList<>(cuda.missingFiles());
        if (!NativeBuild.carries("libtrm_cuda.so")) {
            missing.add("this build carries no libtrm_cuda.so (made without nvcc)");
        }
        return missing;
    }

    /** Why GPU {@code index} cannot be used; empty if it can. Where nothing is known to be missing, it is opened. */
    public static List<String> cudaObstacles(int index, CudaInstallation cuda) {
        List<String> obstacles = missing(cuda);
        if (obstacles.isEmpty()) {
            try (Backend backend = new CudaBackend(index, MatmulPrecision.FLOAT32, line -> {})) {
                backend.synchronize();
            } catch (DeviceException e) {
                obstacles.add(e.getMessage());
            }
        }
        return obstacles;
    }
}
