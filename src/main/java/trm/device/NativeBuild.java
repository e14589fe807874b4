package trm.device;

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
        } catch (java.io.IOException e) {
            return "unknown";
        }
    }
}
