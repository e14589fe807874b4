package trm.device.cpu;

import java.io.File;
import java.io.IOException;
import java.net.URL;
import org.bytedeco.javacpp.Loader;
import trm.device.DeviceException;
import trm.device.NativeOps;

/** Finds a backend library in the jar (or on the class path) and extracts it to JavaCPP's cache. */
final class Library {
    private Library() {}

    /** Our own library of that name. */
    static File path(String file) {
        return extract(NativeOps.class.getResource(Loader.getPlatform() + "/" + file), file);
    }

    /**
     * Loads oneDNN and the OpenMP runtime it needs from the jar of its bytedeco preset. The preset's own JNI library is
     * left alone: it needs OpenCL's, and our C++ calls oneDNN directly.
     */
    static void loadOneDnn() {
        for (String file : new String[] {"libgomp.so.1", "libdnnl.so.3"}) {
            String resource = "/org/bytedeco/dnnl/" + Loader.getPlatform() + "/" + file;
            System.load(extract(org.bytedeco.dnnl.presets.dnnl.class.getResource(resource), file)
                    .getPath());
        }
    }

    private static File extract(URL url, String file) {
        if (url == null) {
            throw new DeviceException("this build carries no " + file + " for " + Loader.getPlatform());
        }
        try {
            return Loader.cacheResource(url);
        } catch (IOException e) {
            throw new DeviceException("cannot extract " + file + ": " + e.getMessage());
        }
    }
}
