package trm.io;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Files of {@code torch.save} with any content, instruction by instruction as Python's pickle writes them: maps are dicts, lists
 * are lists, arrays are tuples, {@link Call}s are calls, and {@link Tensor}s are tensors.
 */
public final class MadeTorch {
    /** A tensor of float32, or of another type: its storage class, such as {@code CharStorage}. */
    public record Tensor(String storage, long[] shape, byte[] content) {
        /** Float32. */
        public static Tensor of(long[] shape, float... values) {
            ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asFloatBuffer().put(values);
            return new Tensor("FloatStorage", shape, bytes.array());
        }

        int elements() {
            return content.length
                    / switch (storage) {
                        case "FloatStorage", "IntStorage" -> 4;
                        case "LongStorage", "DoubleStorage" -> 8;
                        case "HalfStorage", "BFloat16Storage" -> 2;
                        default -> 1;
                    };
        }
    }

    /** A function or class of Python, called with arguments. */
    public record Call(String module, String name, Object... arguments) {}

    /** An object: its class and attributes. */
    public record Instance(String module, String name, Map<String, Object> attributes) {}

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final Map<String, byte[]> storages = new LinkedHashMap<>();
    private final boolean legacy;

    private MadeTorch(boolean legacy) {
        this.legacy = legacy;
    }

    /** A zip archive as PyTorch writes it since 1.6. */
    public static Path zip(Path file, Object content) {
        return write(file, zipped(content));
    }

    /** The format before. */
    public static Path legacy(Path file, Object content) {
        return write(file, legacy(content));
    }

    private static Path write(Path file, byte[] bytes) {
        try {
            return Files.write(file, bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static byte[] zipped(Object content) {
        MadeTorch made = new MadeTorch(false);
        made.pickle(content);
        Map<String, byte[]> records = new LinkedHashMap<>();
        records.put("data.pkl", made.out.toByteArray());
        made.storages.forEach((key, bytes) -> records.put("data/" + key, bytes));
        return zipped(records);
    }

    /** An archive of these records. */
    static byte[] zipped(Map<String, byte[]> records) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            for (Map.Entry<String, byte[]> record : records.entrySet()) {
                zip.putNextEntry(new ZipEntry("x/" + record.getKey()));
                zip.write(record.getValue());
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    static byte[] legacy(Object content) {
        MadeTorch made = new MadeTorch(true);
        made.text("\u0080\u0002\u008a\nl\u00fc\u009cF\u00f9 j\u00a8P\u0019.\u0080\u0002M\u00e9\u0003.");
        made.pickle(Map.of("little_endian", true, "protocol_version", 1001));
        made.pickle(content);
        made.pickle(List.copyOf(made.storages.keySet()));
        made.storages.forEach((key, bytes) -> {
            ByteBuffer count =
                    ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(bytes.length / 4);
            made.out.writeBytes(count.array());
            made.out.writeBytes(bytes);
        });
        return made.out.toByteArray();
    }

    /** What torch.save would write for content that holds no tensor. */
    static byte[] pickled(Object content) {
        MadeTorch made = new MadeTorch(false);
        made.pickle(content);
        return made.out.toByteArray();
    }

    private void text(String latin1) {
        out.writeBytes(latin1.getBytes(StandardCharsets.ISO_8859_1));
    }

    private void pickle(Object content) {
        text("\u0080\u0002");
        put(content);
        text(".");
    }

    private void put(Object value) {
        if (value instanceof Map<?, ?> map) {
            text("}(");
            map.forEach((key, each) -> {
                put(key);
                put(each);
            });
            text("u");
        } else if (value instanceof List<?> list) {
            text("](");
            list.forEach(this::put);
            text("e");
        } else if (value instanceof Object[] tuple) {
            text("(");
            for (Object each : tuple) {
                put(each);
            }
            text("t");
        } else if (value instanceof Call call) {
            text("c" + call.module + "\n" + call.name + "\n");
            put(call.arguments);
            text("R");
        } else if (value instanceof Instance object) {
            text("c" + object.module + "\n" + object.name + "\n)\u0081");
            put(object.attributes);
            text("b");
        } else if (value instanceof Tensor tensor) {
            put(tensor);
        } else {
            simple(value);
        }
    }

    private void simple(Object value) {
        if (value instanceof String string) {
            byte[] bytes = string.getBytes(StandardCharsets.UTF_8);
            text("X");
            out.writeBytes(ByteBuffer.allocate(4)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putInt(bytes.length)
                    .array());
            out.writeBytes(bytes);
        } else if (value instanceof Number number && !(value instanceof Double)) {
            text("J");
            out.writeBytes(ByteBuffer.allocate(4)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putInt(number.intValue())
                    .array());
        } else if (value instanceof Double number) {
            text("G");
            out.writeBytes(ByteBuffer.allocate(8).putDouble(number).array());
        } else {
            text(value == null ? "N" : Boolean.TRUE.equals(value) ? "\u0088" : "\u0089");
        }
    }

    private void put(Tensor tensor) {
        String key = Integer.toString(storages.size());
        storages.put(key, tensor.content);
        text("ctorch._utils\n_rebuild_tensor_v2\n((");
        put("storage");
        text("ctorch\n" + tensor.storage + "\n");
        put(key);
        put("cpu");
        put(tensor.elements());
        if (legacy) {
            simple(null);
        }
        text("tQ");
        put(0);
        Object[] sizes = new Object[tensor.shape.length];
        Object[] strides = new Object[tensor.shape.length];
        long stride = 1;
        for (int i = sizes.length - 1; i >= 0; i--) {
            sizes[i] = tensor.shape[i];
            strides[i] = stride;
            stride *= tensor.shape[i];
        }
        put(sizes);
        put(strides);
        put(false);
        put(new Call("collections", "OrderedDict"));
        text("tR");
    }
}
