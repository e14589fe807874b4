package trm.device.cuda;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import trm.device.CudaInstallation;
import trm.device.DeviceException;
import trm.device.NativeBuild;
import trm.device.NativeLibrary;

/** Loads the driver and the libraries, and finds a usable GPU or the reason why there is none. */
final class Cuda {
    /** CUDA version that the driver must support, as the driver tells it: 1000 x major + 10 x minor. */
    static final int DRIVER = 13000;

    /** Compute capability that the kernels need. */
    static final int MAJOR = 8;

    private static final int CUDA_NO_DEVICE = 100;

    private static String linkError; // of the first attempt: a class that failed once says nothing the second time
    private static boolean loaded;

    private Cuda() {}

    /**
     * A GPU that can be used.
     *
     * @param driver as {@link #DRIVER}
     * @param capability 10 x major + minor: 90
     * @param cublasLt version as the library tells it: 130002
     */
    record Gpu(int index, String name, int driver, int capability, long cublasLt) {}

    /**
     * Checks the driver, the libraries and GPU {@code index}, in this order.
     *
     * @throws DeviceException that says what is missing or too old, and where it looked
     */
    static Gpu probe(int index) {
        CudaInstallation found = CudaInstallation.ofThisMachine();
        load(index, found);
        int[] value = new int[1];
        int status = cudart.cuDriverGetVersion(value);
        if (status != 0 || value[0] < DRIVER) {
            throw refusal(
                    index,
                    List.of("the NVIDIA driver" + (found.driverVersion() == null ? "" : " " + found.driverVersion())
                            + " supports CUDA " + version(value[0]) + ", needed is " + version(DRIVER)
                            + ": install driver 580 or newer"));
        }
        int driver = value[0];
        status = cudart.cudaGetDeviceCount(value);
        if (status == CUDA_NO_DEVICE || status == 0 && value[0] == 0) {
            throw refusal(index, List.of("the driver finds no GPU"));
        }
        if (status != 0) {
            throw refusal(index, List.of("the driver does not start: " + text(status)));
        }
        if (index >= value[0]) {
            throw refusal(
                    index,
                    List.of("there is no GPU " + index + ", the driver finds " + value[0] + " (the first is 0)"));
        }
        int capability = 10 * attribute(index, cudart.cudaDevAttrComputeCapabilityMajor)
                + attribute(index, cudart.cudaDevAttrComputeCapabilityMinor);
        String name = name(index);
        if (capability < 10 * MAJOR) {
            throw refusal(
                    index,
                    List.of(name + " has compute capability " + capability / 10 + "." + capability % 10 + ", needed is "
                            + MAJOR + ".0 or higher"));
        }
        return new Gpu(index, name, driver, capability, cublas.cublasLtGetVersion());
    }

    /** Loads the presets' libraries once. */
    private static synchronized void load(int index, CudaInstallation found) {
        if (loaded) {
            return;
        }
        if (linkError == null) {
            String folder = "/org/bytedeco/cuda/" + NativeBuild.platform() + "/libjni";
            NativeLibrary.prepare(
                    org.bytedeco.cuda.presets.cudart.class,
                    List.of(folder + "cudart.so", folder + "cublas.so", folder + "cudnn.so"));
            found.libraries().stream()
                    .filter(library -> library.required() && library.usable())
                    .forEach(library -> preload(library.path()));
            try {
                cudart.cudaGetErrorString(0);
                cublas.cublasLtGetVersion();
                loaded = true;
                return;
            } catch (LinkageError e) {
                linkError = deepest(e);
            }
        }
        List<String> missing = new ArrayList<>(found.missingFiles());
        missing.add("loading them fails: " + linkError);
        missing.add("looked in " + found.searched().stream().map(Path::toString).collect(Collectors.joining(":")));
        throw refusal(index, missing);
    }

    /** Libraries lie in folders that the linker does not know, e.g. /usr/local/cuda: what is loaded is found by name. */
    static void preload(Path library) {
        try {
            System.load(library.toAbsolutePath().toString());
        } catch (UnsatisfiedLinkError e) {
            // what needs it says so
        }
    }

    static String deepest(Throwable e) {
        Throwable cause = e;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause.getMessage() == null
                ? cause.toString()
                : cause.getMessage().lines().findFirst().orElse("");
    }

    static DeviceException refusal(int index, List<String> reasons) {
        return new DeviceException("device cuda:" + index + " cannot be used: " + String.join("; ", reasons)
                + ". Use --device cpu; trm info tells how to get what is missing");
    }

    /** "13.0" of 13000. */
    static String version(int code) {
        return code / 1000 + "." + code % 1000 / 10;
    }

    private static int attribute(int index, int attribute) {
        int[] value = new int[1];
        check(cudart.cudaDeviceGetAttribute(value, attribute, index), "cudaDeviceGetAttribute");
        return value[0];
    }

    private static String name(int index) {
        int[] device = new int[1];
        byte[] name = new byte[256];
        int status = cudart.cuDeviceGet(device, index);
        if (status == 0) {
            status = cudart.cuDeviceGetName(name, name.length, device[0]);
        }
        if (status != 0) {
            return "GPU " + index;
        }
        int end = 0;
        while (end < name.length && name[end] != 0) {
            end++;
        }
        return new String(name, 0, end, StandardCharsets.UTF_8);
    }

    /** The runtime's words for a status. */
    static String text(int status) {
        return cudart.cudaGetErrorString(status).getString() + " (CUDA error " + status + ")";
    }

    static void check(int status, String call) {
        if (status != 0) {
            throw new DeviceException(call + ": " + text(status));
        }
    }
}
