package trm.io;

import java.util.List;
import java.util.Map;
import trm.io.PickleValues.Global;
import trm.io.PickleValues.Inert;
import trm.io.PickleValues.Items;
import trm.io.PickleValues.Storage;
import trm.io.PickleValues.View;

/** The names in a pickle of PyTorch that have a meaning to {@link TensorUnpickler}. */
final class TorchNames {
    private static final int MOST_AXES = 64;

    /** Types of storages. */
    static final Map<String, String> STORAGES = Map.ofEntries(
            Map.entry("torch.DoubleStorage", "F64"),
            Map.entry("torch.FloatStorage", "F32"),
            Map.entry("torch.HalfStorage", "F16"),
            Map.entry("torch.BFloat16Storage", "BF16"),
            Map.entry("torch.LongStorage", "I64"),
            Map.entry("torch.IntStorage", "I32"),
            Map.entry("torch.ShortStorage", "I16"),
            Map.entry("torch.CharStorage", "I8"),
            Map.entry("torch.ByteStorage", "U8"),
            Map.entry("torch.BoolStorage", "BOOL"),
            Map.entry("torch.ComplexFloatStorage", "C64"),
            Map.entry("torch.ComplexDoubleStorage", "C128"),
            Map.entry("torch.QInt8Storage", "QINT8"),
            Map.entry("torch.QUInt8Storage", "QUINT8"),
            Map.entry("torch.QInt32Storage", "QINT32"),
            Map.entry("torch.storage.UntypedStorage", "U8"));

    /** Types of tensors without a storage type of their own. */
    private static final Map<String, String> DTYPES = Map.of(
            "torch.float64", "F64",
            "torch.float32", "F32",
            "torch.float16", "F16",
            "torch.bfloat16", "BF16",
            "torch.float8_e4m3fn", "F8_E4M3",
            "torch.float8_e5m2", "F8_E5M2",
            "torch.uint16", "U16",
            "torch.uint32", "U32",
            "torch.uint64", "U64");

    private TorchNames() {}

    static boolean isDict(String name) {
        return switch (name) {
            case "collections.OrderedDict", "collections.defaultdict", "builtins.dict", "__builtin__.dict" -> true;
            default -> false;
        };
    }

    /**
     * The tensor that a call makes of (storage, offset, sizes, strides, ...), in version 3 with the type as the last.
     *
     * @return a {@link View}, or {@link Inert} saying why it is none
     */
    static Object tensor(String function, List<Object> arguments) {
        String dtype = null;
        if (arguments.size() >= 4 && arguments.get(0) instanceof Storage storage) {
            dtype = !function.endsWith("3")
                    ? storage.dtype()
                    : arguments.size() >= 7 && arguments.get(6) instanceof Global type
                            ? DTYPES.getOrDefault(type.name(), type.name())
                            : null;
        }
        if (dtype == null || !(arguments.get(1) instanceof Long offset)) {
            return new Inert("a call of '" + function + "' that makes no tensor");
        }
        List<Object> sizes = values(arguments.get(2));
        List<Object> strides = values(arguments.get(3));
        if (sizes.size() > MOST_AXES || strides.size() > MOST_AXES) {
            return new Inert("a tensor of " + Math.max(sizes.size(), strides.size()) + " axes, more than " + MOST_AXES);
        }
        if (!sizes.stream().allMatch(Long.class::isInstance)
                || !strides.stream().allMatch(Long.class::isInstance)) {
            return new Inert("a call of '" + function + "' that makes no tensor");
        }
        return new View((Storage) arguments.get(0), dtype, offset, longs(sizes), longs(strides));
    }

    private static long[] longs(List<Object> values) {
        return values.stream().mapToLong(value -> (Long) value).toArray();
    }

    private static List<Object> values(Object value) {
        return value instanceof Items items ? items.values() : List.of();
    }
}
