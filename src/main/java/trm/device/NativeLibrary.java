package trm.device;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.bytedeco.javacpp.Loader;

/**
 * Finds native libraries in the jar (or on the class path) and extracts them to JavaCPP's cache. Our own lie in a folder
 * named after their content: builds of one version share the cache, and must not load each other's code.
 */
public final class NativeLibrary {
    private NativeLibrary() {}

    /** Our own library of that name, e.g. {@code libtrm_cpu.so}. */
    public static File own(String file) {
        URL url = NativeLibrary.class.getResource(Loader.getPlatform() + "/" + file);
        if (url == null) {
            throw absent(file);
        }
        try (InputStream in = url.openStream()) {
            byte[] content = in.readAllBytes();
            Path folder = Loader.getCacheDir().toPath().resolve("trm-cuda").resolve(digest(content));
            Path path = folder.resolve(file);
            if (!Files.isRegularFile(path) || Files.size(path) != content.length) {
                Files.createDirectories(folder);
                Path partial = Files.createTempFile(folder, file, ".partial");
                Files.write(partial, content);
                Files.move(partial, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            }
            return path.toFile();
        } catch (IOException e) {
            throw unwritable(file, e);
        }
    }

    /** A library that a dependency's jar carries, by its resource name. */
    public static File of(Class<?> owner, String resource) {
        URL url = owner.getResource(resource);
        if (url == null) {
            throw absent(resource);
        }
        try {
            return Loader.cacheResource(url);
        } catch (IOException e) {
            throw unwritable(resource, e);
        }
    }

    private static String digest(byte[] content) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(content);
            return HexFormat.of().formatHex(digest, 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java platform has it
        }
    }

    private static DeviceException absent(String file) {
        return new DeviceException("this build carries no " + file + " for " + Loader.getPlatform());
    }

    private static DeviceException unwritable(String file, IOException e) {
        return new DeviceException(
                "cannot extract " + file + " (-Dorg.bytedeco.javacpp.cachedir=DIR names another folder): " + e);
    }
}
