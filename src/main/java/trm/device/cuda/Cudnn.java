package trm.device.cuda;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.global.cudnn;
import trm.device.CudaInstallation;

/** cuDNN on a stream, loaded when it is first asked for. */
final class Cudnn implements AutoCloseable {
    /** The oldest version with the operation of a forward pass, as the library tells it: major, minor, patch. */
    static final long NEEDED = 91301;

    private static final List<String> PARTS = List.of("graph", "ops", "cnn", "adv"); // that the preset is linked to

    private final cudnnContext handle = new cudnnContext();
    private final long version;

    /** @throws CudnnException that says what is missing or too old, and where it looked */
    Cudnn(CUstream_st stream) throws CudnnException {
        CudaInstallation found = CudaInstallation.ofThisMachine();
        CudaInstallation.Library library = found.libraries().stream()
                .filter(l -> l.name().equals("libcudnn.so"))
                .findFirst()
                .orElseThrow();
        if (!library.usable()) {
            throw new CudnnException((library.found()
                            ? "libcudnn.so.9 is needed, found " + library.version() + " (" + library.path() + ")"
                            : "no libcudnn.so.9")
                    + " (looked in "
                    + found.searched().stream().map(Path::toString).collect(Collectors.joining(":")) + ")");
        }
        version = load(library.path());
        if (version < NEEDED) {
            throw new CudnnException("cuDNN " + text(version) + " is too old, needed is " + text(NEEDED) + " or newer ("
                    + library.path() + ")");
        }
        check(cudnn.cudnnCreate(handle), "cudnnCreate");
        int status = cudnn.cudnnSetStream(handle, stream);
        if (status != 0) {
            cudnn.cudnnDestroy(handle);
            check(status, "cudnnSetStream");
        }
    }

    /** The version; a class of the preset that failed to load once fails ever after, so this is called once a process. */
    private static long load(Path path) throws CudnnException {
        for (String part : PARTS) {
            Cuda.preload(path.resolveSibling("libcudnn_" + part + ".so.9"));
        }
        try {
            return cudnn.cudnnGetVersion();
        } catch (LinkageError e) {
            throw new CudnnException("loading " + path + " fails: " + Cuda.deepest(e));
        }
    }

    cudnnContext handle() {
        return handle;
    }

    /** As the library tells it: 92400. */
    long version() {
        return version;
    }

    @Override
    public String toString() {
        return "cuDNN " + text(version);
    }

    /** "9.24.0" of 92400. */
    static String text(long version) {
        return version / 10000 + "." + version % 10000 / 100 + "." + version % 100;
    }

    /** @throws CudnnException with the call, the status and the library's reason, unless the status is 0 */
    static void check(int status, String call) throws CudnnException {
        if (status != 0) {
            throw new CudnnException(call + ": " + reason(status));
        }
    }

    /** The library's words for a status, with what it says of the last error of this thread. */
    static String reason(int status) {
        byte[] text = new byte[512];
        cudnn.cudnnGetLastErrorString(text, text.length);
        int end = 0;
        while (end < text.length && text[end] != 0) {
            end++;
        }
        String more = new String(text, 0, end, StandardCharsets.UTF_8).strip();
        return cudnn.cudnnGetErrorString(status).getString() + " (status " + status + ")"
                + (more.isEmpty() ? "" : ": " + more);
    }

    @Override
    public void close() {
        cudnn.cudnnDestroy(handle);
    }
}
