package trm.io;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The checkpoints of one run: {@code step-00000123.safetensors} in a directory, the newest few kept, and the best.
 *
 * <p>Each file carries its own SHA-256 as the first metadata entry, so that file and checksum appear together, by one
 * rename. The checksum is that of the file with the 64 digits replaced by zeros:
 *
 * <pre>
 *   0   8                             35              99
 *   | n | {"__metadata__":{"sha256":" | 64 hex digits | " ... rest of the safetensors file |
 * </pre>
 *
 * <p>A file is written as a whole or not at all ({@link AtomicFile}): a crash at any moment leaves the earlier checkpoints as
 * they were. For one thread and one writing process.
 */
public final class CheckpointStore {
    /** Metadata key of the checksum. */
    public static final String CHECKSUM = "sha256";

    private static final Pattern NAME = Pattern.compile("step-(\\d{8,18})\\.safetensors");
    private static final byte[] PREFIX =
            ("{\"__metadata__\":{\"" + CHECKSUM + "\":\"").getBytes(StandardCharsets.US_ASCII);
    private static final int DIGITS = 64;
    private static final int DIGITS_AT = 8 + PREFIX.length;

    private final Path dir;
    private final int keep;
    private final Set<Path> damaged = new HashSet<>(); // found by latestValid
    private Path pinned; // null for none
    private Path best; // likewise

    /**
     * A store in {@code dir}, which is created by the first save in a folder that is there.
     *
     * @param keep number of checkpoints kept, at least 1
     */
    public CheckpointStore(Path dir, int keep) {
        if (keep < 1) {
            throw new IllegalArgumentException("keep is " + keep + "; must be at least 1");
        }
        this.dir = dir;
        this.keep = keep;
    }

    /** Where the checkpoint of a step lies, whether or not it exists. */
    public Path path(long step) {
        if (step < 0) {
            throw new IllegalArgumentException("step is " + step + "; must not be negative");
        }
        return dir.resolve(String.format(Locale.ROOT, "step-%08d.safetensors", step));
    }

    /** The step in a checkpoint's file name, empty if the name is not of this form. */
    public static Optional<Long> stepOf(Path file) {
        Matcher matcher = NAME.matcher(file.getFileName().toString());
        return matcher.matches() ? Optional.of(Long.parseLong(matcher.group(1))) : Optional.empty();
    }

    /**
     * Writes the checkpoint of a step, then removes the oldest beyond the number kept. Files of later steps, which
     * exist after resuming from an earlier one, and files that {@link #latestValid} has found damaged, are neither counted nor
     * removed.
     *
     * @return the file written
     * @throws FormatException if writing fails (disk full, directory not writable); earlier checkpoints are untouched
     */
    public Path save(long step, Consumer<SafeTensorsWriter> content) {
        SafeTensorsWriter writer = writer();
        content.accept(writer);
        return save(step, writer);
    }

    /** A file to add a checkpoint's content to, for {@link #save(long, SafeTensorsWriter)}. */
    public static SafeTensorsWriter writer() {
        return new SafeTensorsWriter().metadata(CHECKSUM, "0".repeat(DIGITS));
    }

    /** As {@link #save(long, Consumer)}. @param writer made by {@link #writer()}, filled */
    public Path save(long step, SafeTensorsWriter writer) {
        Path file = path(step);
        writer.metadata(CHECKSUM, "0".repeat(DIGITS));
        try {
            requireParent();
            Files.createDirectories(dir);
            AtomicFile.replace(file, channel -> {
                MessageDigest digest = sha256();
                writer.write(channel, digest);
                String hex = HexFormat.of().formatHex(digest.digest());
                ByteBuffer digits = ByteBuffer.wrap(hex.getBytes(StandardCharsets.US_ASCII));
                while (digits.hasRemaining()) {
                    channel.write(digits, DIGITS_AT + digits.position());
                }
            });
        } catch (IOException e) {
            throw new FormatException(
                    file + ": checkpoint of step " + step + " cannot be written: " + FormatException.reason(e)
                            + "; earlier checkpoints in " + dir + " are untouched",
                    e);
        }
        damaged.remove(file);
        prune(step);
        return file;
    }

    /** A folder that has vanished, as a disk that is no longer mounted, is not made anew elsewhere. */
    private void requireParent() throws IOException {
        Path parent = dir.toAbsolutePath().getParent();
        if (parent != null && !Files.isDirectory(parent)) {
            throw new FileSystemException(parent.toString(), null, "the folder " + parent + " is gone");
        }
    }

    /** Removing old files is housekeeping: a file that cannot be removed is tried again after the next save. */
    private void prune(long saved) {
        List<Path> older = new ArrayList<>(list());
        older.removeIf(file -> stepOf(file).orElseThrow() > saved
                || file.equals(pinned)
                || file.equals(best)
                || damaged.contains(file));
        List<Path> surplus = new ArrayList<>(older.subList(0, Math.max(0, older.size() - keep)));
        AtomicFile.removeTemporaries(dir);
        for (Path file : surplus) {
            try {
                Files.deleteIfExists(file);
            } catch (IOException e) {
                continue;
            }
        }
    }

    /** The newest checkpoint of a step before {@code step}. */
    public Optional<Path> newestBefore(long step) {
        return list().stream().filter(file -> stepOf(file).orElseThrow() < step).reduce((first, second) -> second);
    }

    /** Keeps a checkpoint beside the newest ones, as long as this store is used. */
    public void pin(Path file) {
        pinned = file;
    }

    /** Keeps the checkpoint of one step besides, in place of the one that was kept so before. */
    public void keepBest(long step) {
        best = path(step);
    }

    /** The checkpoint files by rising step, damaged ones included. Empty if there is no directory. */
    public List<Path> list() {
        try (Stream<Path> files = Files.list(dir)) {
            return files.filter(file -> stepOf(file).isPresent() && Files.isRegularFile(file))
                    .sorted(Comparator.comparingLong(file -> stepOf(file).orElseThrow()))
                    .toList();
        } catch (NoSuchFileException e) {
            return List.of();
        } catch (IOException e) {
            throw new FormatException(dir + ": cannot be listed: " + FormatException.reason(e), e);
        }
    }

    /**
     * The newest checkpoint whose checksum holds. Newer ones that are damaged are skipped, and {@code warn} is told of
     * each.
     */
    public Optional<Path> latestValid(Consumer<String> warn) {
        List<Path> files = list();
        for (int i = files.size() - 1; i >= 0; i--) {
            try {
                verify(files.get(i));
                return Optional.of(files.get(i));
            } catch (FormatException e) {
                damaged.add(files.get(i));
                warn.accept(e.getMessage() + "; skipped, and left where it is");
            }
        }
        return Optional.empty();
    }

    /**
     * Reads a checkpoint from end to end and compares its checksum.
     *
     * @throws FormatException if it is damaged, carries no checksum, or cannot be read
     */
    public static void verify(Path file) {
        try (InputStream in = Files.newInputStream(file)) {
            byte[] head = in.readNBytes(DIGITS_AT + DIGITS);
            if (head.length < DIGITS_AT + DIGITS || !Arrays.equals(head, 8, DIGITS_AT, PREFIX, 0, PREFIX.length)) {
                throw new FormatException(
                        file + ": checkpoint is damaged: no " + CHECKSUM + " found at the beginning of the header");
            }
            String stored = new String(head, DIGITS_AT, DIGITS, StandardCharsets.US_ASCII);
            Arrays.fill(head, DIGITS_AT, head.length, (byte) '0');
            MessageDigest digest = sha256();
            digest.update(head);
            byte[] chunk = new byte[1 << 20];
            for (int got = in.read(chunk); got >= 0; got = in.read(chunk)) {
                digest.update(chunk, 0, got);
            }
            String computed = HexFormat.of().formatHex(digest.digest());
            if (!computed.equals(stored)) {
                throw new FormatException(file + ": checkpoint is damaged: " + CHECKSUM + " of the content is "
                        + computed + "; expected " + stored);
            }
        } catch (NoSuchFileException e) {
            throw new FormatException(file + ": no such file", e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
