package trm.io;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;

/**
 * Writes scalars, texts and hyperparameters for TensorBoard. Each record of the file is
 *
 * <pre>
 *   | length n, u64 | masked CRC32C of the length, u32 | n bytes | masked CRC32C of the bytes, u32 |
 * </pre>
 *
 * and holds one {@code Event} message in protobuf encoding: wall_time = 1 (double), step = 2 (int64),
 * file_version = 3 (string), summary = 5, session_log = 7; a session log has status = 1 (int64, 1 for START); a summary has value = 1,
 * which has tag = 1 (string) and either simple_value = 2 (float) or tensor = 8 with metadata = 9, whose plugin_data = 1 has
 * plugin_name = 1 and content = 2. The first event gives the version, the second the session. Every value reaches the system when
 * it is written. For one thread.
 */
public final class EventFile implements AutoCloseable {
    private static final String VERSION = "brain.Event:2";

    private static final byte SESSION_START = 1;
    /** Types of a tensor's elements. */
    private static final byte FLOAT_TYPE = 1;

    private static final byte STRING_TYPE = 7;
    private static final Pattern NUMBER = Pattern.compile("[-+]?(\\d+\\.?\\d*|\\.\\d+)([eE][-+]?\\d+)?");
    /** Constant of the record format's checksum mask. */
    private static final int MASK_DELTA = 0xa282ead8;

    private final Path file;
    private final FileChannel out;

    /**
     * Begins a new event file in a directory, which is created if need be. Its second event says that a session starts at a
     * step: TensorBoard then forgets what earlier files of the directory say of that step and later ones, which a run that
     * was interrupted writes again.
     *
     * @param first step of the first scalar that may follow
     * @throws FormatException if the file cannot be written
     */
    public EventFile(Path dir, long first) {
        double now = System.currentTimeMillis() / 1000.0;
        Path path = dir;
        FileChannel stream = null;
        try {
            Files.createDirectories(dir);
            for (int i = 0; stream == null; i++) {
                path = dir.resolve(String.format(Locale.ROOT, "events.out.tfevents.%010d.trm.%d", (long) now, i));
                try {
                    stream = FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
                } catch (FileAlreadyExistsException e) {
                    continue;
                }
            }
        } catch (IOException e) {
            throw new FormatException(path + ": cannot be written: " + FormatException.reason(e), e);
        }
        file = path;
        out = stream;
        record(event(now, 0, 3, VERSION.getBytes(StandardCharsets.UTF_8)));
        record(event(now, first, 7, new byte[] {1 << 3, SESSION_START}));
    }

    /** The file being written. */
    public Path file() {
        return file;
    }

    /**
     * Writes the values of a step, together: all or none is there after a crash.
     *
     * @param values by tag
     * @param wallTimeSeconds since 1970
     * @throws FormatException if they cannot be written
     */
    public void scalars(Map<String, Double> values, long step, double wallTimeSeconds) {
        ByteArrayOutputStream summary = new ByteArrayOutputStream();
        values.forEach((tag, value) -> {
            ByteArrayOutputStream point = new ByteArrayOutputStream();
            bytesField(point, 1, tag.getBytes(StandardCharsets.UTF_8));
            point.write(2 << 3 | 5);
            point.writeBytes(little(4).putFloat(value.floatValue()).array());
            bytesField(summary, 1, point.toByteArray());
        });
        record(event(wallTimeSeconds, step, 5, summary.toByteArray()));
    }

    /**
     * Writes a text in Markdown.
     *
     * @param wallTimeSeconds since 1970
     * @throws FormatException if it cannot be written; nothing of it is then there
     */
    public void text(String tag, long step, String markdown, double wallTimeSeconds) {
        ByteArrayOutputStream tensor = new ByteArrayOutputStream();
        tensor.writeBytes(new byte[] {1 << 3, STRING_TYPE, 2 << 3 | 2, 0}); // dtype = 1; tensor_shape = 2, of a scalar
        bytesField(tensor, 8, markdown.getBytes(StandardCharsets.UTF_8)); // string_val = 8
        tensor("text", new byte[0], tag, step, tensor.toByteArray(), wallTimeSeconds);
    }

    /**
     * Writes what TensorBoard's table of hyperparameters shows of this run. It reads the first such record of a folder. The
     * content is a {@code HParamsPluginData}: session_start_info = 3, which has hparams = 1, a map of name = 1 to value = 2, and
     * start_time_secs = 5 (double); a value is number_value = 2 (double), string_value = 3 or bool_value = 4.
     *
     * @param values by name; what reads as a number or a truth value is written as one
     * @param wallTimeSeconds since 1970
     * @throws FormatException if it cannot be written; nothing of it is then there
     */
    public void hyperparameters(Map<String, String> values, long step, double wallTimeSeconds) {
        ByteArrayOutputStream session = new ByteArrayOutputStream();
        values.forEach((name, text) -> {
            ByteArrayOutputStream entry = new ByteArrayOutputStream();
            bytesField(entry, 1, name.getBytes(StandardCharsets.UTF_8));
            bytesField(entry, 2, hyperparameter(text));
            bytesField(session, 1, entry.toByteArray());
        });
        doubleField(session, 5, wallTimeSeconds);
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        bytesField(content, 3, session.toByteArray());
        byte[] nothing = {1 << 3, FLOAT_TYPE, 2 << 3 | 2, 0}; // a tensor has to be there
        tensor("hparams", content.toByteArray(), "_hparams_/session_start_info", step, nothing, wallTimeSeconds);
    }

    private static byte[] hyperparameter(String text) {
        ByteArrayOutputStream value = new ByteArrayOutputStream();
        if (NUMBER.matcher(text).matches()) {
            doubleField(value, 2, Double.parseDouble(text));
        } else if (text.equals("true") || text.equals("false")) {
            value.write(4 << 3);
            value.write(text.equals("true") ? 1 : 0);
        } else {
            bytesField(value, 3, text.getBytes(StandardCharsets.UTF_8));
        }
        return value.toByteArray();
    }

    private void tensor(String plugin, byte[] content, String tag, long step, byte[] tensor, double wallTimeSeconds) {
        ByteArrayOutputStream data = new ByteArrayOutputStream();
        bytesField(data, 1, plugin.getBytes(StandardCharsets.UTF_8));
        if (content.length > 0) {
            bytesField(data, 2, content);
        }
        ByteArrayOutputStream metadata = new ByteArrayOutputStream();
        bytesField(metadata, 1, data.toByteArray());
        ByteArrayOutputStream value = new ByteArrayOutputStream();
        bytesField(value, 1, tag.getBytes(StandardCharsets.UTF_8));
        bytesField(value, 8, tensor);
        bytesField(value, 9, metadata.toByteArray());
        ByteArrayOutputStream summary = new ByteArrayOutputStream();
        bytesField(summary, 1, value.toByteArray());
        record(event(wallTimeSeconds, step, 5, summary.toByteArray()));
    }

    private static byte[] event(double wallTime, long step, int field, byte[] payload) {
        ByteArrayOutputStream event = new ByteArrayOutputStream();
        doubleField(event, 1, wallTime);
        event.write(2 << 3);
        varint(event, step);
        bytesField(event, field, payload);
        return event.toByteArray();
    }

    private static void bytesField(ByteArrayOutputStream into, int field, byte[] payload) {
        into.write(field << 3 | 2);
        varint(into, payload.length);
        into.writeBytes(payload);
    }

    private static void doubleField(ByteArrayOutputStream into, int field, double value) {
        into.write(field << 3 | 1);
        into.writeBytes(little(8).putDouble(value).array());
    }

    private static void varint(ByteArrayOutputStream into, long value) {
        long rest = value;
        while ((rest & ~0x7fL) != 0) {
            into.write((int) (rest & 0x7f | 0x80));
            rest >>>= 7;
        }
        into.write((int) rest);
    }

    private void record(byte[] data) {
        byte[] length = little(8).putLong(data.length).array();
        byte[] framed = little(data.length + 16)
                .put(length)
                .putInt(maskedCrc(length))
                .put(data)
                .putInt(maskedCrc(data))
                .array();
        try {
            Appended.whole(out, ByteBuffer.wrap(framed));
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
        }
    }

    private static int maskedCrc(byte[] data) {
        CRC32C crc = new CRC32C();
        crc.update(data);
        return Integer.rotateRight((int) crc.getValue(), 15) + MASK_DELTA;
    }

    private static ByteBuffer little(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    @Override
    public void close() {
        try {
            out.close();
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be closed: " + FormatException.reason(e), e);
        }
    }
}
