import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.Attributes;
import java.util.jar.JarFile;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Copies a jar and the jars of its manifest's class path, for deploy/bundle/bundle.sh: entries uncompressed, sorted and of one
 * date, so that xz sees the bytes themselves and equal inputs give equal files. Left behind are native libraries of
 * other machines, JNI libraries that the trainer never loads (oneDNN's, and CUDA's but for the runtime, cuBLAS, cuDNN and
 * NCCL), and what only a C++ build needs.
 *
 * <p>Arguments: the jar, the folder to write to, JavaCPP's name of the machine (linux-x86_64), and possibly a folder whose files
 * take the place of the jar's entries of their names, or are added; an empty one leaves its entry out.
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
        Map<String, byte[]> others = arguments.length > 3 ? files(Path.of(arguments[3])) : Map.of();
        List<String> files = new ArrayList<>(List.of(jar.getFileName().toString()));
        try (JarFile own = new JarFile(jar.toFile())) {
            String path = own.getManifest().getMainAttributes().getValue(Attributes.Name.CLASS_PATH);
            files.addAll(List.of(path.split(" ")));
        }
        for (String file : files) {
            Path copy = out.resolve(file);
            Files.createDirectories(copy.getParent());
            copy(jar.resolveSibling(file), copy, platform, files.indexOf(file) == 0 ? others : Map.of());
        }
    }

    /** The content of files by their names below a folder, as a jar has them. */
    private static Map<String, byte[]> files(Path folder) throws IOException {
        Map<String, byte[]> files = new TreeMap<>();
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                files.put(folder.relativize(file).toString(), Files.readAllBytes(file));
            }
        }
        return files;
    }

    private static void copy(Path from, Path to, String platform, Map<String, byte[]> others) throws IOException {
        try (JarFile in = new JarFile(from.toFile());
                ZipOutputStream out = new ZipOutputStream(new BufferedOutputStream(Files.newOutputStream(to)))) {
            out.setMethod(ZipOutputStream.STORED);
            Set<String> names = new TreeSet<>(others.keySet());
            in.stream()
                    .filter(entry -> !entry.isDirectory() && isNeeded(entry.getName(), platform))
                    .forEach(entry -> names.add(entry.getName()));
            for (String name : names) {
                byte[] content = others.get(name);
                if (content == null) {
                    try (InputStream stream = in.getInputStream(in.getEntry(name))) {
                        content = stream.readAllBytes();
                    }
                } else if (content.length == 0) {
                    continue;
                }
                CRC32 crc = new CRC32();
                crc.update(content);
                ZipEntry stored = new ZipEntry(name);
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
