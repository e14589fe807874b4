package trm.train;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import trm.device.Backend;
import trm.device.CudaInstallation;
import trm.device.DeviceException;
import trm.device.NativeBuild;
import trm.device.UnknownDeviceException;
import trm.device.cpu.CpuBackend;

/** Opens the device that a user named. A named device never falls back to another. */
public final class Devices {
    private static final Pattern CUDA = Pattern.compile("cuda(?::(\\d{1,4}))?");

    private Devices() {}

    /**
     * Opens a device.
     *
     * @param device {@code auto}, {@code cpu} or {@code cuda:N}
     * @param threads worker threads of the CPU, 0 for all processors
     * @throws UnknownDeviceException if the name is none of these
     * @throws DeviceException if the device cannot be used; the message says what is missing
     */
    public static Backend open(String device, int threads) {
        if (device.equals("cpu") || device.equals("auto")) {
            return new CpuBackend(threads);
        }
        Matcher cuda = CUDA.matcher(device);
        if (!cuda.matches()) {
            throw new UnknownDeviceException(device);
        }
        int index = cuda.group(1) == null ? 0 : Integer.parseInt(cuda.group(1));
        throw new DeviceException("device " + device + " cannot be used: "
                + String.join("; ", cudaObstacles(index, CudaInstallation.ofThisMachine()))
                + ". Use --device cpu; trm info tells where it looked and how to get what is missing");
    }

    /** Why GPU {@code index} cannot be used: what the machine lacks, then what this build lacks. */
    public static List<String> cudaObstacles(int index, CudaInstallation cuda) {
        List<String> obstacles = new ArrayList<>(cuda.missing(index));
        obstacles.add(
                NativeBuild.carries("libtrm_cuda.so")
                        ? "this build's libtrm_cuda.so has no training operations yet"
                        : "this build carries no libtrm_cuda.so (made without nvcc)");
        return obstacles;
    }

    /** What {@code auto} chose and why, for the log. */
    public static String describe(String asked, Backend backend) {
        String chosen = backend.name() + " (" + backend.target() + ")";
        return asked.equals("auto")
                ? "device auto: " + chosen + ", because cuda:0 cannot be used: "
                        + cudaObstacles(0, CudaInstallation.ofThisMachine()).get(0)
                : "device " + chosen;
    }
}
