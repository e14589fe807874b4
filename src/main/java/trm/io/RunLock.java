package trm.io;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import trm.input.Shown;

/**
 * The file {@code run.lock}: it marks a folder as that of a run, and it is locked as long as a process writes there. Its text
 * is one JSON object:
 *
 * <pre>
 *   {"trm-cuda":"run","host":"node7","pid":4711,"started":"2026-11-29T10:15:30Z"}
 * </pre>
 *
 * The lock is the system's, so that it ends with its process however that ends; the text tells people, and decides where a file
 * system has no locks: there an owner on this host counts as alive while a process has its number and its start time, one on
 * another host always does. A process that ends in order adds {@code "ended":true}. The file stays; a lock that nobody holds
 * is taken over.
 */
public final class RunLock implements AutoCloseable {
    public static final String FILE = "run.lock";

    private static final String MARK = "trm-cuda";
    private static final String BEGIN = "{\"" + MARK + "\":\"run\"";
    private static final int MOST_BYTES = 4096;

    /** Locked by this process, by real path. Their files are not opened again here: closing one would give its lock up. */
    private static final Map<Path, ObjectNode> HELD = new HashMap<>();

    private final Path file;
    private final Path key;
    private final FileChannel channel;
    private final ObjectNode text;
    private final String previous; // null if the one before ended in order

    private RunLock(Path file, Path key, FileChannel channel, String previous) throws IOException {
        this.file = file;
        this.key = key;
        this.channel = channel;
        this.previous = previous;
        text = new ObjectMapper()
                .createObjectNode()
                .put(MARK, "run")
                .put("host", host())
                .put("pid", ProcessHandle.current().pid())
                .put("started", started(ProcessHandle.current()));
        write();
    }

    /** Whether a folder bears the mark of a run. */
    public static boolean marks(Path folder) {
        Path file = folder.resolve(FILE);
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            return false;
        }
        synchronized (HELD) {
            return HELD.containsKey(key(folder)) || begins(file);
        }
    }

    /** Whether the file begins as ours do: a crash may have torn the rest. */
    private static boolean begins(Path file) {
        try (InputStream in = Files.newInputStream(file)) {
            return new String(in.readNBytes(BEGIN.length()), StandardCharsets.UTF_8).equals(BEGIN);
        } catch (IOException e) {
            return false;
        }
    }

    private static Path key(Path folder) {
        try {
            return folder.toRealPath().resolve(FILE);
        } catch (IOException e) {
            return folder.toAbsolutePath().normalize().resolve(FILE);
        }
    }

    /**
     * Marks and locks a folder, which exists.
     *
     * @throws HeldException if another process, or this one, holds it
     * @throws IOException     if the file cannot be written
     */
    public static RunLock take(Path folder) throws IOException {
        Path file = folder.resolve(FILE);
        Path key = key(folder);
        synchronized (HELD) {
            if (HELD.containsKey(key)) {
                throw held(folder, Optional.of(HELD.get(key)));
            }
            FileChannel channel = FileChannel.open(
                    file,
                    Set.of(
                            StandardOpenOption.CREATE,
                            StandardOpenOption.READ,
                            StandardOpenOption.WRITE,
                            LinkOption.NOFOLLOW_LINKS));
            try {
                Optional<JsonNode> owner = owner(file, channel);
                if (!locked(channel, owner)) {
                    throw held(folder, owner);
                }
                RunLock lock = new RunLock(
                        file,
                        key,
                        channel,
                        owner.filter(o -> !o.path("ended").asBoolean())
                                .map(RunLock::describe)
                                .orElse(null));
                HELD.put(key, lock.text);
                return lock;
            } catch (IOException | RuntimeException e) {
                channel.close();
                throw e;
            }
        }
    }

    /** Whether somebody writes the folder now; false for one without a mark. Takes the lock for a moment to find out. */
    public static boolean isHeld(Path folder) {
        if (!marks(folder)) {
            return false;
        }
        Path file = folder.resolve(FILE);
        synchronized (HELD) {
            if (HELD.containsKey(key(folder))) {
                return true;
            }
            try (FileChannel channel = FileChannel.open(
                    file, Set.of(StandardOpenOption.READ, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS))) {
                return !locked(channel, owner(file, channel));
            } catch (IOException e) {
                return false; // whoever takes it will say why not
            }
        }
    }

    /** Locks, or decides by the text where there are no locks. */
    private static boolean locked(FileChannel channel, Optional<JsonNode> owner) {
        try {
            FileLock lock = channel.tryLock();
            return lock != null;
        } catch (IOException e) {
            return owner.map(o -> !isAlive(o)).orElse(true);
        }
    }

    private static boolean isAlive(JsonNode owner) {
        if (owner.path("ended").asBoolean()) {
            return false;
        }
        if (!owner.path("host").asText().equals(host())) {
            return true;
        }
        return ProcessHandle.of(owner.path("pid").asLong())
                .map(process -> started(process).equals(owner.path("started").asText()))
                .orElse(false);
    }

    private static HeldException held(Path folder, Optional<JsonNode> owner) {
        return new HeldException(folder + ": is being written by "
                + owner.map(RunLock::describe).orElse("another process")
                + "; a run folder has one writer at a time");
    }

    private static String describe(JsonNode owner) {
        return "process " + owner.path("pid").asLong() + " on host "
                + Shown.quoted(owner.path("host").asText()) + ", started "
                + Shown.quoted(owner.path("started").asText());
    }

    /** Through the channel that will hold the lock: to close another one would give the lock up. */
    private static Optional<JsonNode> owner(Path file, FileChannel channel) throws IOException {
        if (channel.size() > MOST_BYTES) {
            throw new FormatException(file + ": is not the mark of a run, expected at most " + MOST_BYTES + " bytes");
        }
        ByteBuffer bytes = ByteBuffer.allocate((int) channel.size());
        while (bytes.hasRemaining() && channel.read(bytes, bytes.position()) >= 0) {}
        return parse(bytes.array());
    }

    /** Empty for an empty or torn text: its writer was killed, or has only just begun. */
    private static Optional<JsonNode> parse(byte[] text) {
        try {
            return Optional.ofNullable(new ObjectMapper().readTree(text)).filter(JsonNode::isObject);
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** Name of this machine, "unknown" where it has none. */
    public static String host() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException e) {
            return "unknown";
        }
    }

    private static String started(ProcessHandle process) {
        return process.info()
                .startInstant()
                .map(instant -> instant.truncatedTo(ChronoUnit.SECONDS))
                .map(Instant::toString)
                .orElse("unknown");
    }

    /** Who held the lock before and did not end in order: killed, or its machine was. */
    public Optional<String> previous() {
        return Optional.ofNullable(previous);
    }

    private void write() throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap((text + "\n").getBytes(StandardCharsets.UTF_8));
        int length = bytes.remaining();
        while (bytes.hasRemaining()) {
            channel.write(bytes, bytes.position());
        }
        channel.truncate(length);
    }

    /** Gives the lock up; the mark stays. */
    @Override
    public void close() {
        synchronized (HELD) {
            try (channel) {
                text.put("ended", true);
                write();
            } catch (IOException e) {
                throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
            } finally {
                HELD.remove(key);
            }
        }
    }
}
