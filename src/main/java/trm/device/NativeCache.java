package trm.device;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * Unpacks native libraries and has them loaded, from the first folder where that works: one may be read-only, full, of
 * another user, or on a file system that runs no code. In each of the folders the libraries lie in one of this user's own
 * ({@link PrivateFolder}), each below the digest of its content; what is there is compared with that digest right before
 * it is loaded, and unpacked anew where it differs.
 */
final class NativeCache {
    /** JavaCPP's name for the folder that a user gives; it comes first. */
    static final String GIVEN = "org.bytedeco.javacpp.cachedir";

    private static final int BUFFER = 1 << 18;

    private final String given;
    private final List<String> others;
    private final int user;

    /** A library to load. */
    interface Content {
        String name();

        /** SHA-256 in hexadecimal digits. */
        String digest();

        InputStream open() throws IOException;
    }

    /** Loads a file. */
    interface Loading {
        /**
         * @param folder of this user's own, in which the file lies
         * @return null, or why it cannot be loaded
         */
        String load(Path file, Path folder);
    }

    /**
     * @param given the folder that comes first whoever can write above it, null for none
     * @param others in order
     */
    NativeCache(String given, List<String> others, int user) {
        this.given = given;
        this.others = List.copyOf(others);
        this.user = user;
    }

    static NativeCache ofThisProcess() throws IOException {
        String given = System.getProperty(GIVEN, System.getProperty("org.bytedeco.javacpp.cacheDir"));
        return new NativeCache(given, folders(System::getProperty, System::getenv), PrivateFolder.userId());
    }

    /**
     * Folders to try, in this order: the user's cache; one beside the program; that for temporary files; one in memory; one
     * for temporary files that stay; the current one.
     */
    static List<String> folders(UnaryOperator<String> property, UnaryOperator<String> environment) {
        Set<String> folders = new LinkedHashSet<>();
        String cache = environment.apply("XDG_CACHE_HOME");
        if (isFolder(cache)) {
            folders.add(cache);
        }
        Stream.of(property.apply("user.home"), environment.apply("HOME"), property.apply("trm.home"))
                .filter(NativeCache::isFolder)
                .forEach(home -> folders.add(home + "/.cache"));
        Stream.of(environment.apply("TMPDIR"), property.apply("java.io.tmpdir"), "/dev/shm", "/var/tmp")
                .filter(NativeCache::isFolder)
                .forEach(folders::add);
        folders.add(property.apply("user.dir") + "/.cache");
        return List.copyOf(folders);
    }

    /** Users without an entry in passwd have the home {@code ?}, or the root. */
    private static boolean isFolder(String text) {
        return text != null && text.startsWith("/") && !text.equals("/");
    }

    /**
     * Loads a library.
     *
     * @return the file that was loaded
     * @throws DeviceException that names each folder and what is wrong with it, if the library loads from none
     */
    Path load(Content library, Loading loading) {
        Set<String> refused = new LinkedHashSet<>();
        for (String text : inOrder()) {
            try {
                Path folder = PrivateFolder.in(Path.of(text), user);
                Path file = unpacked(library, folder);
                String reason = loading.load(file, folder);
                if (reason == null) {
                    return file;
                }
                refused.add(folder + ": " + inWords(reason, file));
                remove(file);
            } catch (IOException e) {
                refused.add(text + ": " + inWords(e));
            } catch (InvalidPathException e) {
                refused.add(text + ": no path in this locale");
            }
        }
        throw new DeviceException(
                "cannot load " + library.name() + ", a folder that runs code and can be written is needed: "
                        + String.join("; ", refused) + ". -D" + GIVEN + "=DIR names another one");
    }

    /** The given folder; those in which no other user can put one of theirs in the place of ours; the others. */
    private List<String> inOrder() {
        List<String> order = new ArrayList<>();
        List<String> last = new ArrayList<>();
        if (given != null) {
            order.add(given);
        }
        for (String text : others) {
            boolean replaceable;
            try {
                replaceable = PrivateFolder.isReplaceable(Path.of(text), user);
            } catch (IOException | InvalidPathException e) {
                replaceable = false; // what is wrong shows when it is tried
            }
            (replaceable ? last : order).add(text);
        }
        order.addAll(last);
        return order;
    }

    /** The library in a folder of this user's own, its content that of the jar. */
    private Path unpacked(Content library, Path folder) throws IOException {
        Path below = PrivateFolder.make(folder.resolve(library.digest().substring(0, 16)), user);
        Path file = below.resolve(library.name());
        if (!PrivateFolder.ownsFile(file, user) || !digest(file).equals(library.digest())) {
            Path partial = Files.createTempFile(below, library.name(), ".partial"); // new, and for this user only
            try {
                String written = copy(library, partial);
                if (!written.equals(library.digest())) {
                    throw new IOException(
                            "the jar's " + library.name() + " is not the one that this build was made with");
                }
                Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } finally {
                Files.deleteIfExists(partial);
            }
        }
        return file;
    }

    /**
     * Deletes files of a library's name that have another content, wherever they lie in a folder of this user's own.
     *
     * @throws IOException also if something below the folder is another user's
     */
    void removeDamaged(Content library, Path folder) throws IOException {
        List<Path> all;
        try (Stream<Path> walk = Files.walk(folder)) {
            all = walk.toList();
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        for (Path path : all) {
            PrivateFolder.checkOwner(path, user);
        }
        for (Path file : all) {
            if (file.endsWith(library.name())
                    && (!PrivateFolder.ownsFile(file, user) || !digest(file).equals(library.digest()))) {
                Files.delete(file);
            }
        }
    }

    private static String copy(Content library, Path to) throws IOException {
        MessageDigest digest = sha256();
        try (InputStream in = library.open();
                OutputStream out = new DigestOutputStream(Files.newOutputStream(to), digest)) {
            in.transferTo(out);
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /** SHA-256 of a file, in hexadecimal digits. */
    static String digest(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            return digest(in);
        }
    }

    static String digest(InputStream in) throws IOException {
        MessageDigest digest = sha256();
        byte[] buffer = new byte[BUFFER];
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
            digest.update(buffer, 0, n);
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java platform has it
        }
    }

    /** Leaves nothing where nothing can be loaded from; what else lies there stays. */
    private static void remove(Path file) {
        try {
            Files.deleteIfExists(file);
            Files.deleteIfExists(file.getParent());
            Files.deleteIfExists(file.getParent().getParent());
        } catch (IOException e) {
            // not empty
        }
    }

    /** The dynamic linker's message without the names of the file. */
    private static String inWords(String reason, Path file) {
        return reason.contains("failed to map segment")
                ? "code from there is not run (mounted noexec?)"
                : reason.replace(file + ": ", "");
    }

    private static String inWords(IOException e) {
        if (e instanceof AccessDeniedException) {
            return "permission denied";
        }
        if (e instanceof FileAlreadyExistsException) {
            return "is no folder";
        }
        String reason = e instanceof FileSystemException system ? system.getReason() : e.getMessage();
        return reason == null ? e.getClass().getSimpleName() : reason;
    }
}
