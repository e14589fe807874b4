package trm.io;

import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Collects tensors and writes them as a file that {@code torch.load} reads, with {@code weights_only} too:
 * {@link TorchZip} draws it. Buffers are not copied: they must stay as they are until the file is written. For one thread.
 */
public final class TorchWriter {
    private static final Map<String, String> STORAGES = Map.of(
            "F64", "DoubleStorage",
            "F32", "FloatStorage",
            "F16", "HalfStorage",
            "BF16", "BFloat16Storage",
            "I64", "LongStorage",
            "I32", "IntStorage",
            "U8", "ByteStorage",
            "BOOL", "BoolStorage");

    /** What a compiled model's tensor names begin with. */
    private static final String COMPILED = "_orig_mod.";

    private record Pending(String dtype, long[] shape, ByteBuffer data) {}

    private final String prefix;
    private final Map<String, Pending> tensors = new LinkedHashMap<>();

    /** Every name gets the prefix of a compiled model, which the published training loads its checkpoints into. */
    public TorchWriter() {
        this(COMPILED);
    }

    /** @param prefix that every name gets */
    public TorchWriter(String prefix) {
        this.prefix = prefix;
    }

    /** Adds raw little-endian bytes, from the buffer's position to its limit, of any dtype of safetensors. */
    public TorchWriter add(String name, String dtype, long[] shape, ByteBuffer data) {
        long bytes = ElementType.bytes(dtype);
        for (long extent : shape) {
            bytes = Math.multiplyExact(bytes, extent);
        }
        if (!STORAGES.containsKey(dtype) || bytes != data.remaining()) {
            throw new IllegalArgumentException(
                    "tensor '" + name + "': " + data.remaining() + " bytes, expected " + bytes + " of " + dtype);
        }
        if (tensors.putIfAbsent(name, new Pending(dtype, shape.clone(), data.duplicate())) != null) {
            throw new IllegalArgumentException("tensor '" + name + "' is already there");
        }
        return this;
    }

    /** Adds floats rounded to the nearest bfloat16. */
    public TorchWriter addBfloat16(String name, long[] shape, float[] data) {
        ByteBuffer bytes = ByteBuffer.allocate(2 * data.length).order(ByteOrder.LITTLE_ENDIAN);
        for (float value : data) {
            bytes.putShort(ElementType.toBfloat16(value));
        }
        return add(name, "BF16", shape, bytes.flip());
    }

    /**
     * Writes the file under a temporary name beside it, then renames: readers see the old file or the new one.
     *
     * @throws FormatException if writing fails; an older file is left as it was
     */
    public void writeTo(Path file) {
        Path temporary = file.resolveSibling("." + file.getFileName() + ".tmp");
        try {
            try (ZipOutputStream zip =
                    new ZipOutputStream(new BufferedOutputStream(Files.newOutputStream(temporary)))) {
                put(zip, "data.pkl", ByteBuffer.wrap(pickle()));
                put(zip, "byteorder", ByteBuffer.wrap("little".getBytes(StandardCharsets.US_ASCII)));
                int key = 0;
                for (Pending tensor : tensors.values()) {
                    put(zip, "data/" + key++, tensor.data);
                }
                put(zip, "version", ByteBuffer.wrap("3\n".getBytes(StandardCharsets.US_ASCII)));
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            try {
                Files.deleteIfExists(temporary);
            } catch (IOException ignored) {
                e.addSuppressed(ignored);
            }
            throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
        }
    }

    /** A record, stored as it is and dated alike in every file. */
    private static void put(ZipOutputStream zip, String name, ByteBuffer content) throws IOException {
        CRC32 sum = new CRC32();
        sum.update(content.duplicate());
        ZipEntry entry = new ZipEntry("archive/" + name);
        entry.setMethod(ZipEntry.STORED);
        entry.setSize(content.remaining());
        entry.setCrc(sum.getValue());
        entry.setTimeLocal(java.time.LocalDateTime.of(1980, 1, 1, 0, 0));
        zip.putNextEntry(entry);
        WritableByteChannel channel = Channels.newChannel(zip); // not closed: that would close the archive
        for (ByteBuffer rest = content.duplicate(); rest.hasRemaining(); ) {
            channel.write(rest);
        }
        zip.closeEntry();
    }

    /** OrderedDict((name, _rebuild_tensor_v2(storage, 0, sizes, strides, False, OrderedDict())), ...), protocol 2. */
    private byte[] pickle() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(0x80);
        out.write(2);
        orderedDict(out);
        out.write('(');
        int key = 0;
        for (Map.Entry<String, Pending> entry : tensors.entrySet()) {
            Pending tensor = entry.getValue();
            string(out, prefix + entry.getKey());
            global(out, "torch._utils", "_rebuild_tensor_v2");
            out.write('(');
            out.write('(');
            string(out, "storage");
            global(out, "torch", STORAGES.get(tensor.dtype));
            string(out, Integer.toString(key++));
            string(out, "cpu");
            integer(out, tensor.data.remaining() / ElementType.bytes(tensor.dtype));
            out.write('t');
            out.write('Q');
            integer(out, 0);
            tuple(out, tensor.shape);
            long[] strides = new long[tensor.shape.length];
            long stride = 1;
            for (int i = strides.length - 1; i >= 0; i--) {
                strides[i] = stride;
                stride *= Math.max(1, tensor.shape[i]);
            }
            tuple(out, strides);
            out.write(0x89);
            orderedDict(out);
            out.write('t');
            out.write('R');
        }
        out.write('u');
        out.write('.');
        return out.toByteArray();
    }

    private static void orderedDict(ByteArrayOutputStream out) throws IOException {
        global(out, "collections", "OrderedDict");
        out.write(')');
        out.write('R');
    }

    private static void global(ByteArrayOutputStream out, String module, String name) throws IOException {
        out.write('c');
        out.write((module + "\n" + name + "\n").getBytes(StandardCharsets.UTF_8));
    }

    private static void string(ByteArrayOutputStream out, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.write('X');
        out.write(int32(bytes.length));
        out.write(bytes);
    }

    private static void integer(ByteArrayOutputStream out, long value) throws IOException {
        out.write('J');
        out.write(int32(Math.toIntExact(value)));
    }

    private static void tuple(ByteArrayOutputStream out, long[] values) throws IOException {
        out.write('(');
        for (long value : values) {
            integer(out, value);
        }
        out.write('t');
    }

    private static byte[] int32(int value) {
        return ByteBuffer.allocate(4)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(value)
                .array();
    }
}
