package trm.device;

import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;

/**
 * Finds native libraries in the jar (or on the class path) and loads them by way of {@link NativeCache}. JavaCPP, which
 * unpacks its own, is given the folder that libjnitrm.so was loaded from.
 */
public final class NativeLibrary {
    private static NativeCache cache;
    private static Path folder; // that libjnitrm.so lies in, null before it is loaded

    private NativeLibrary() {}

    /** A library on the class path. */
    private record Resource(String name, URL url, String digest) implements NativeCache.Content {
        /** @throws DeviceException if this build does not carry it */
        static Resource of(Class<?> owner, String path) {
            String name = path.substring(path.lastIndexOf('/') + 1);
            URL url = owner.getResource(path);
            if (url == null) {
                throw new DeviceException("this build carries no " + name + " for " + Loader.getPlatform());
            }
            try {
                return new Resource(name, url, digest(name, url));
            } catch (IOException e) {
                throw new DeviceException("cannot read " + url + ": " + e.getMessage());
            }
        }

        /** As the build wrote it down for a library too large to be read from the jar at each start. */
        private static String digest(String name, URL url) throws IOException {
            try (InputStream written = NativeLibrary.class.getResourceAsStream(path(name + ".sha256"))) {
                if (written != null) {
                    return new String(written.readAllBytes(), StandardCharsets.US_ASCII).strip();
                }
            }
            try (InputStream in = url.openStream()) {
                return NativeCache.digest(in);
            }
        }

        @Override
        public InputStream open() throws IOException {
            return url.openStream();
        }
    }

    private static String path(String file) {
        return Loader.getPlatform() + "/" + file;
    }

    /**
     * Loads libjnitrm.so, and has JavaCPP load its own, once. Comes before any use of a {@link Pointer}.
     *
     * @throws DeviceException if they cannot be loaded from anywhere
     */
    static synchronized void loadJni() {
        if (folder == null) {
            Resource javaCpp = Resource.of(Loader.class, path("libjnijavacpp.so"));
            cache().load(Resource.of(NativeLibrary.class, path("libjnitrm.so")), (file, own) -> {
                String given = System.getProperty(NativeCache.GIVEN);
                System.setProperty(NativeCache.GIVEN, own.toString());
                try {
                    cache.removeDamaged(javaCpp, own);
                    System.load(file.toString());
                    Loader.load(Pointer.class); // from now on JavaCPP keeps to this folder
                    System.setProperty("jline.tmpdir", own.toString()); // the progress bar's library goes there too
                    folder = own;
                    return null;
                } catch (IOException | UnsatisfiedLinkError e) {
                    return e.getMessage();
                } finally {
                    if (given == null) {
                        System.clearProperty(NativeCache.GIVEN);
                    } else {
                        System.setProperty(NativeCache.GIVEN, given);
                    }
                }
            });
        }
    }

    /**
     * Prepares for libraries that JavaCPP loads for one of its presets: damaged ones are removed, and it unpacks them anew.
     * Comes before any use of the preset.
     *
     * @param resources their names in the preset's jar
     */
    public static synchronized void prepare(Class<?> preset, List<String> resources) {
        loadJni();
        for (String resource : resources) {
            try {
                cache.removeDamaged(Resource.of(preset, resource), folder);
            } catch (IOException e) {
                throw new DeviceException("cannot read " + folder + ": " + e.getMessage());
            }
        }
    }

    /** Loads a library that a dependency's jar carries, by its resource name. */
    public static synchronized void load(Class<?> owner, String resource) {
        cache().load(Resource.of(owner, resource), (file, own) -> {
            try {
                System.load(file.toString());
                return null;
            } catch (UnsatisfiedLinkError e) {
                return e.getMessage();
            }
        });
    }

    /**
     * Opens a library of our own, e.g. {@code libtrm_cpu.so}.
     *
     * @param opening takes its path; returns null, or why it cannot be opened
     */
    static synchronized void open(String library, Function<String, String> opening) {
        cache().load(Resource.of(NativeLibrary.class, path(library)), (file, own) -> opening.apply(file.toString()));
    }

    /** SHA-256 of a library of our own, by which builds are told apart. */
    public static String digest(String library) {
        return Resource.of(NativeLibrary.class, path(library)).digest();
    }

    /** SHA-256 of the jar that this program runs from, likewise; empty where its classes lie in a folder. */
    public static String digestOfJar() {
        try {
            Path from = Path.of(NativeLibrary.class
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toURI());
            return Files.isRegularFile(from) ? NativeCache.digest(from) : "";
        } catch (IOException | URISyntaxException e) {
            throw new DeviceException("cannot read the program: " + e.getMessage());
        }
    }

    private static NativeCache cache() {
        if (cache == null) {
            try {
                cache = NativeCache.ofThisProcess();
            } catch (IOException e) {
                throw new DeviceException("cannot load native code: " + e.getMessage());
            }
        }
        return cache;
    }
}
