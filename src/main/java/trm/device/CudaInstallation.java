package trm.device;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What a machine has of CUDA, found by looking at files: nothing is loaded, no device is opened.
 *
 * @param driver libcuda.so.1, which comes with NVIDIA's driver
 * @param driverVersion of the kernel's driver, null when it is not loaded
 * @param gpus models of the GPUs that the driver knows, in its order
 * @param libraries the libraries that training on a GPU needs
 * @param searched folders looked into, in order
 */
public record CudaInstallation(
        Library driver, String driverVersion, List<String> gpus, List<Library> libraries, List<Path> searched) {

    /**
     * A shared library.
     *
     * @param needed the version that its users need, as the end of its file name: {@code 13}
     * @param required whether {@code cuda:N} cannot be used without it
     * @param path where it was found first, null if nowhere
     * @param version as far as the file's name tells it, else null
     * @param howToGet one line for those who lack it
     */
    public record Library(String name, String needed, boolean required, Path path, String version, String howToGet) {
        public boolean found() {
            return path != null;
        }

        /** Found, and not known to be of another version. */
        public boolean usable() {
            return found() && (version == null || version.equals(needed) || version.startsWith(needed + "."));
        }
    }

    private static final String CUDA = "13";
    private static final Pattern DRIVER_VERSION = Pattern.compile("\\s(\\d+\\.\\d+(?:\\.\\d+)?)\\s");
    private static final String REPOSITORY = " from NVIDIA's repository, developer.nvidia.com/cuda-downloads";

    /** Looks where the dynamic linker would, and in /usr/local/cuda. */
    public static CudaInstallation ofThisMachine() {
        return look(folders(System.getenv("LD_LIBRARY_PATH"), Path.of("/etc")), Path.of("/proc/driver/nvidia"));
    }

    /**
     * Looks into the folders given; those that do not exist count as empty.
     *
     * @param proc the driver's folder under /proc
     */
    public static CudaInstallation look(List<Path> folders, Path proc) {
        return new CudaInstallation(
                find(
                        folders,
                        "libcuda.so.1",
                        null,
                        true,
                        "install NVIDIA's driver (Debian: apt-get install nvidia-driver);"
                                + " in a container: docker run --gpus all"),
                driverVersion(proc.resolve("version")),
                gpus(proc.resolve("gpus")),
                List.of(
                        find(folders, "libcudart.so", CUDA, true, "apt-get install cuda-cudart-13-0" + REPOSITORY),
                        find(folders, "libcublasLt.so", CUDA, true, "apt-get install libcublas-13-0" + REPOSITORY),
                        find(folders, "libcublas.so", CUDA, true, "apt-get install libcublas-13-0" + REPOSITORY),
                        find(
                                folders,
                                "libcudnn.so",
                                "9",
                                false,
                                "apt-get install libcudnn9-cuda-13" + REPOSITORY
                                        + "; optional: long attention runs on kernels of our own without it"),
                        find(
                                folders,
                                "libnccl.so",
                                "2",
                                false,
                                "apt-get install libnccl2" + REPOSITORY + "; only for more than one GPU")),
                List.copyOf(folders));
    }

    /** One sentence part for each file that using a GPU needs and that is not there; empty if all are. */
    public List<String> missingFiles() {
        List<String> missing = new ArrayList<>();
        if (!driver.found()) {
            missing.add("no NVIDIA driver (" + driver.name() + ")");
        }
        for (Library library : libraries) {
            if (library.required() && !library.found()) {
                missing.add("no " + library.name() + "." + library.needed());
            } else if (library.required() && !library.usable()) {
                missing.add(library.name() + "." + library.needed() + " is needed, found " + library.version() + " ("
                        + library.path() + ")");
            }
        }
        return missing;
    }

    /** As {@link #missingFiles}, and what the driver's files under /proc tell of GPU {@code index}. */
    public List<String> missing(int index) {
        List<String> missing = missingFiles();
        if (driver.found() && !driver.path().startsWith("/usr/lib/wsl")) { // Windows keeps the kernel's part
            if (driverVersion == null) {
                missing.add(0, "the NVIDIA driver is not loaded (no /proc/driver/nvidia/version)");
            } else if (index >= gpus.size()) {
                missing.add(0, "no GPU " + index + ", the driver knows " + gpus.size());
            }
        }
        return missing;
    }

    /**
     * Folders of the dynamic linker: LD_LIBRARY_PATH, /usr/local/cuda, those of ld.so.conf.d, the system's own.
     *
     * @param libraryPath value of LD_LIBRARY_PATH, or null
     * @param etc the folder with ld.so.conf.d
     */
    static List<Path> folders(String libraryPath, Path etc) {
        Set<Path> folders = new LinkedHashSet<>();
        Stream.of(libraryPath == null ? new String[0] : libraryPath.split(":"))
                .filter(text -> !text.isBlank())
                .map(Path::of)
                .forEach(folders::add);
        folders.add(Path.of("/usr/local/cuda/lib64"));
        for (Path file : list(etc.resolve("ld.so.conf.d"))) {
            lines(file).stream()
                    .map(String::strip)
                    .filter(line -> line.startsWith("/"))
                    .map(Path::of)
                    .forEach(folders::add);
        }
        String triplet = System.getProperty("os.arch").equals("aarch64") ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
        for (String folder : List.of("/usr/lib/" + triplet, "/usr/lib64", "/usr/lib", "/usr/lib/wsl/lib")) {
            folders.add(Path.of(folder));
        }
        return List.copyOf(folders);
    }

    /** The first folder with the needed version decides, else the first with any; within it, the longest name. */
    private static Library find(List<Path> folders, String name, String needed, boolean required, String howToGet) {
        Pattern file = Pattern.compile(Pattern.quote(name) + "((?:\\.\\d+)*)");
        Library other = new Library(name, needed, required, null, null, howToGet);
        for (Path folder : folders) {
            List<Library> here = list(folder).stream()
                    .filter(p -> file.matcher(p.getFileName().toString()).matches() && Files.isRegularFile(p))
                    .sorted(Comparator.comparing(
                                    (Path p) -> p.getFileName().toString().length())
                            .thenComparing(Path::compareTo)
                            .reversed())
                    .map(p -> new Library(name, needed, required, p, versionOf(p), howToGet))
                    .toList();
            for (Library library : here) {
                if (needed == null || library.usable()) {
                    return library;
                }
            }
            if (!other.found() && !here.isEmpty()) {
                other = here.get(0);
            }
        }
        return other;
    }

    /** What follows ".so." in the name of the file that the links lead to. */
    private static String versionOf(Path path) {
        String name;
        try {
            name = path.toRealPath().getFileName().toString();
        } catch (IOException e) {
            name = path.getFileName().toString();
        }
        int at = name.indexOf(".so.");
        return at < 0 ? null : name.substring(at + 4);
    }

    private static String driverVersion(Path file) {
        return lines(file).stream()
                .map(DRIVER_VERSION::matcher)
                .filter(Matcher::find)
                .map(matcher -> matcher.group(1))
                .findFirst()
                .orElse(null);
    }

    private static List<String> gpus(Path folder) {
        return list(folder).stream()
                .flatMap(gpu -> lines(gpu.resolve("information")).stream())
                .filter(line -> line.startsWith("Model:"))
                .map(line -> line.substring("Model:".length()).strip())
                .toList();
    }

    /** Entries by name; none if the folder cannot be read. */
    private static List<Path> list(Path folder) {
        List<Path> entries = new ArrayList<>();
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder)) {
            stream.forEach(entries::add);
        } catch (IOException | java.nio.file.DirectoryIteratorException e) {
            return List.of();
        }
        entries.sort(Comparator.naturalOrder());
        return entries;
    }

    /** Lines of a small text file; none if it cannot be read. */
    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException e) {
            return List.of();
        }
    }
}
