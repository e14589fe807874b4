package trm.train;

import trm.device.Backend;
import trm.device.DeviceException;
import trm.device.cpu.CpuBackend;

/** Opens the device that a user named. A named device never falls back to another. */
public final class Devices {
    private Devices() {}

    /**
     * @param device {@code auto}, {@code cpu} or {@code cuda:N}
     * @param threads worker threads of the CPU, 0 for all processors
     */
    public static Backend open(String device, int threads) {
        if (device.equals("cpu") || device.equals("auto")) {
            return new CpuBackend(threads);
        }
        if (device.matches("cuda(:\\d+)?")) {
            throw new DeviceException("device " + device
                    + ": this version trains and evaluates on the CPU; its CUDA library holds the post-norm kernels only."
                    + " Use --device cpu");
        }
        throw new DeviceException("device '" + device + "' is unknown, expected auto, cpu or cuda:N");
    }

    /** What {@code auto} chose and why, for the log. */
    public static String describe(String asked, Backend backend) {
        return asked.equals("auto")
                ? "device auto: " + backend.name() + " (" + backend.target() + "), the only device of this version"
                : "device " + backend.name() + " (" + backend.target() + ")";
    }
}
