import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.regex.Pattern;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Copies a jar and the jars of its manifest's class path, for deploy/bundle/bundle.sh: entries uncompressed, sorted and of one
 * date, so that xz sees the bytes themselves and equal inputs give equal files. Left behind are native libraries of
 * other machines, JNI libraries that the trainer never loads (oneDNN's, and CUDA's but for the runtime, cuBLAS, cuDNN and
 * NCCL), and what only a C++ build needs.
 *
 * <p>Arguments: the jar, the folder to write to, JavaCPP's name of the machine (linux-x86_64).
 */
public final class StoredJars {
    private static final LocalDateTime DATE = LocalDateTime.of(2026, 1, 1, 0, 0);
    private static final Pattern NATIVE = Pattern.compile(".*\\.(so(\\.\\d+)*|a|dll|dylib|jnilib)");
    private static final Pattern UNUSED = Pattern.compile("org/bytedeco/[^/]+/[^/]+/(include|lib)/.*"
            + "|.*/libjni(dnnl|npp.*|nv.*|cu(fft.*|file|pti|rand|solver|sparse))\\.so"
            + "|META-INF/native-image/.*");

    public static void main(String[] arguments) throws IOException {
        Path jar = Path.of(arguments[0]);
        Path out = Path.of(arguments[1]);
        String platform = arguments[2];
        List<String> files = new ArrayList<>(List.of(jar.getFileName().toString()));
        try (JarFile own = new JarFile(jar.toFile())) {
            String path = own.getManifest().getMainAttributes().getValue(Attributes.Name.CLASS_PATH);
            files.addAll(List.of(path.split(" ")));
        }
        for (String file : files) {
            Path copy = out.resolve(file);
            Files.createDirectories(copy.getParent());
            copy(jar.resolveSibling(file), copy, platform);
        }
    }

    private static void copy(Path from, Path to, String platform) throws IOException {
        try (JarFile in = new JarFile(from.toFile());
                ZipOutputStream out = new ZipOutputStream(new BufferedOutputStream(Files.newOutputStream(to)))) {
            out.setMethod(ZipOutputStream.STORED);
            List<JarEntry> entries = in.stream()
                    .filter(entry -> !entry.isDirectory() && isNeeded(entry.getName(), platform))
                    .sorted(Comparator.comparing(JarEntry::getName))
                    .toList();
            for (JarEntry entry : entries) {
                byte[] content;
                try (InputStream stream = in.getInputStream(entry)) {
                    content = stream.readAllBytes();
                }
                CRC32 crc = new CRC32();
                crc.update(content);
                ZipEntry stored = new ZipEntry(entry.getName());
                stored.setSize(content.length);
                stored.setCrc(crc.getValue());
                stored.setTimeLocal(DATE);
                out.putNextEntry(stored);
                out.write(content);
            }
        }
    }

    /** JavaCPP and JLine keep each machine's libraries in a folder of its name: linux-x86_64, Linux/x86_64. */
    private static boolean isNeeded(String name, String platform) {
        if (UNUSED.matcher(name).matches()) {
            return false;
        }
        boolean ofThisMachine = name.toLowerCase(Locale.ROOT).replace("linux/", "linux-").contains("/" + platform + "/");
        return !NATIVE.matcher(name).matches() || ofThisMachine;
    }
}
