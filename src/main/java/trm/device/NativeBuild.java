package trm.device;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.bytedeco.javacpp.Loader;

/** What native code this build carries, and its versions. */
public final class NativeBuild {
    private NativeBuild() {}

    /** JavaCPP's name of this machine, e.g. {@code linux-x86_64}. */
    public static String platform() {
        return Loader.getPlatform();
    }

    /** Whether a library of ours, e.g. {@code libtrm_cuda.so}, is in the jar. */
    public static boolean carries(String library) {
        return NativeOps.class.getResource(Loader.getPlatform() + "/" + library) != null;
    }

    /** Targets of the machine code in libtrm_cuda.so, e.g. {@code sm_90a}, {@code compute_80} (PTX); none without it. */
    public static List<String> cudaTargets() {
        try (InputStream in = NativeOps.class.getResourceAsStream(Loader.getPlatform() + "/libtrm_cuda.targets")) {
            return in == null || !carries("libtrm_cuda.so")
                    ? List.of()
                    : new String(in.readAllBytes(), StandardCharsets.US_ASCII)
                            .lines()
                            .filter(line -> !line.isBlank())
                            .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Opens a backend library of ours.
     *
     * @param products whether the library must have the six products
     * @throws DeviceException if it is not in the jar, cannot be loaded, or lacks an operation
     */
    public static NativeOps.Table open(String library, boolean products) {
        NativeOps.Table table = open(library);
        return whole(library, table, NativeOps.trm_missing_operation(table, products ? 1 : 0));
    }

    /**
     * Opens a library of ours that connects ranks.
     *
     * @throws DeviceException if it is not in the jar, cannot be loaded, or lacks an operation
     */
    public static NativeOps.Table openRanks(String library) {
        NativeOps.Table table = open(library);
        return whole(library, table, NativeOps.trm_missing_collective(table));
    }

    private static NativeOps.Table open(String library) {
        NativeLibrary.loadJni();
        NativeOps.Table[] table = new NativeOps.Table[1];
        NativeLibrary.open(library, path -> {
            table[0] = NativeOps.trm_open_backend(path);
            return table[0] == null ? NativeOps.trm_open_backend_error() : null;
        });
        return table[0];
    }

    private static NativeOps.Table whole(String library, NativeOps.Table table, String missing) {
        if (missing != null) {
            throw new DeviceException(library + " lacks the operation " + missing);
        }
        return table;
    }

    /** Version of JavaCPP, e.g. {@code 1.5.13}. */
    public static String javaCpp() {
        return version("org.bytedeco", "javacpp");
    }

    /** Version of oneDNN and of its preset, e.g. {@code 3.11-1.5.13}. */
    public static String oneDnn() {
        return version("org.bytedeco", "dnnl");
    }

    private static String version(String group, String artifact) {
        try {
            return Loader.getVersion(group, artifact);
        } catch (IOException e) {
            return "unknown";
        }
    }
}
