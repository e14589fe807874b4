package trm.device;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.Set;

/**
 * A folder of this user's own, for code that is going to be run: mode 0700, no link, owned by the effective user id. That
 * of another user is left as it is. Names are those of user ids, not of users: ids without an entry in passwd share the
 * name {@code ?}.
 */
final class PrivateFolder {
    private static final Set<PosixFilePermission> OWNER_ONLY = PosixFilePermissions.fromString("rwx------");
    private static final FileAttribute<?> PRIVATE = PosixFilePermissions.asFileAttribute(OWNER_ONLY);
    private static final int WRITABLE_BY_OTHERS = 022;
    private static final int STICKY = 01000;
    private static final int ROOT = 0;

    private PrivateFolder() {}

    /** The effective user id of this process. */
    static int userId() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("Uid:")) {
                return Integer.parseUnsignedInt(line.split("\\s+")[2]); // real, effective, saved, of the file system
            }
        }
        throw new IOException("/proc/self/status does not tell the user id");
    }

    /**
     * Makes the folder {@code trm-cuda-UID}, and {@code base} above it, or takes the one that is there.
     *
     * @throws IOException if it cannot be, or is not this user's alone
     */
    static Path in(Path base, int user) throws IOException {
        Files.createDirectories(base, PRIVATE);
        return make(base.toRealPath().resolve("trm-cuda-" + Integer.toUnsignedString(user)), user);
    }

    /** Makes a folder, or takes the one that is there if it is this user's alone. */
    static Path make(Path folder, int user) throws IOException {
        try {
            Files.createDirectory(folder, PRIVATE);
        } catch (FileAlreadyExistsException e) {
            check(folder, user, true);
            Files.setPosixFilePermissions(folder, OWNER_ONLY); // it may have been readable
        }
        return folder;
    }

    /** Whether this is an ordinary file, this user's, that nobody else can write. */
    static boolean ownsFile(Path file, int user) throws IOException {
        try {
            check(file, user, false);
            return true;
        } catch (NoSuchFileException | Refusal e) {
            return false;
        }
    }

    /** What is there is not this user's alone. */
    static final class Refusal extends IOException {
        private static final long serialVersionUID = 1;

        Refusal(String reason) {
            super(reason);
        }
    }

    private static void check(Path path, int user, boolean folder) throws IOException {
        if (Files.isSymbolicLink(path)) {
            throw new Refusal(path + " is a link");
        }
        checkOwner(path, user);
        boolean kept = folder
                ? Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)
                : Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS);
        if (!kept) {
            throw new Refusal(path + " is no " + (folder ? "folder" : "file"));
        }
        int mode = (Integer) Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS);
        if ((mode & WRITABLE_BY_OTHERS) != 0) {
            throw new Refusal("others can write to " + path);
        }
    }

    /** @throws Refusal if a file, folder or link is another user's */
    static void checkOwner(Path path, int user) throws IOException {
        int owner = (Integer) Files.getAttribute(path, "unix:uid", LinkOption.NOFOLLOW_LINKS);
        if (owner != user) {
            throw new Refusal(path + " belongs to user " + Integer.toUnsignedString(owner));
        }
    }

    /**
     * Whether another user, root apart, could put a folder of theirs in the place of one below {@code base}: one of the
     * folders down to it is theirs, or can be written by others and has no sticky bit.
     */
    static boolean isReplaceable(Path base, int user) throws IOException {
        Path there = base.toAbsolutePath();
        while (!Files.exists(there)) {
            there = there.getParent();
        }
        there = there.toRealPath();
        int machine = (Integer) Files.getAttribute(there.getRoot(), "unix:uid"); // in a user namespace not root's id
        for (Path folder = there; folder != null; folder = folder.getParent()) {
            Map<String, Object> unix = Files.readAttributes(folder, "unix:uid,mode");
            int owner = (Integer) unix.get("uid");
            int mode = (Integer) unix.get("mode");
            if (owner != user && owner != ROOT && owner != machine
                    || (mode & WRITABLE_BY_OTHERS) != 0 && (mode & STICKY) == 0) {
                return true;
            }
        }
        return false;
    }
}
