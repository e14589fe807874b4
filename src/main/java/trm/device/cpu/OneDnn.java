package trm.device.cpu;

import org.bytedeco.javacpp.Loader;
import trm.device.NativeBuild;

/** oneDNN from the jar of its bytedeco preset. */
final class OneDnn {
    private OneDnn() {}

    /**
     * Loads oneDNN and the OpenMP runtime it needs. The preset's own JNI library is left alone: it needs OpenCL's, and
     * our C++ calls oneDNN directly.
     */
    static void load() {
        for (String file : new String[] {"libgomp.so.1", "libdnnl.so.3"}) {
            String resource = "/org/bytedeco/dnnl/" + Loader.getPlatform() + "/" + file;
            System.load(NativeBuild.extract(org.bytedeco.dnnl.presets.dnnl.class.getResource(resource), file)
                    .getPath());
        }
    }
}
