package trm.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Files that are there as a whole or not at all. The new content goes to a file of another name beside the old one, is forced
 * to the disk and renamed; then the directory is forced too. A crash at any moment leaves the old file or the new one.
 *
 * <p>The other name, {@code .NAME.0123456789abcdef.tmp}, is drawn at random and must be new: neither a file nor a link that
 * somebody has put there is written to. A link in the place of the file itself is replaced, not followed.
 */
public final class AtomicFile {
    private static final Pattern TEMPORARY = Pattern.compile("\\.[^/]{1,240}\\.[0-9a-f]{16}\\.tmp");
    private static final SecureRandom RANDOM = new SecureRandom();

    private AtomicFile() {}

    /** Writes a file's content. */
    @FunctionalInterface
    public interface Content {
        void write(FileChannel channel) throws IOException;
    }

    /**
     * Replaces a file, or makes it.
     *
     * @throws IOException if that fails; what was there is as it was, and nothing else stays behind
     */
    public static void replace(Path file, Content content) throws IOException {
        Path temporary = temporary(file);
        try {
            try (FileChannel channel = FileChannel.open(
                    temporary,
                    Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS))) {
                content.write(channel);
                channel.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException | RuntimeException | Error e) {
            try {
                Files.deleteIfExists(temporary);
            } catch (IOException second) {
                e.addSuppressed(second);
            }
            throw e;
        }
        forceDirectory(file.toAbsolutePath().getParent());
    }

    /** As above, with text in UTF-8. */
    public static void replace(Path file, String text) throws IOException {
        replace(file, channel -> {
            ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        });
    }

    private static Path temporary(Path file) {
        byte[] random = new byte[8];
        RANDOM.nextBytes(random);
        return file.resolveSibling(
                "." + file.getFileName() + "." + HexFormat.of().formatHex(random) + ".tmp");
    }

    /** Whether a file is what a crash left of a replacement. */
    static boolean isTemporary(Path file) {
        return TEMPORARY.matcher(file.getFileName().toString()).matches();
    }

    /** Removes what crashes left of replacements in a directory; what cannot be removed stays. */
    public static void removeTemporaries(Path dir) {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(dir, AtomicFile::isTemporary)) {
            for (Path file : files) {
                Files.deleteIfExists(file);
            }
        } catch (IOException e) {
            return; // housekeeping, tried again next time
        }
    }

    private static void forceDirectory(Path dir) throws IOException {
        try (FileChannel channel = FileChannel.open(dir, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
