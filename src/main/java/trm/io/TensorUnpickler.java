package trm.io;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import net.razorvine.pickle.Opcodes;
import net.razorvine.pickle.PickleUtils;
import net.razorvine.pickle.Unpickler;

/**
 * Reads a pickle that describes tensors, and nothing else. A pickle is a program: it names functions and calls them.
 * Here the only names with a meaning are those of {@link #GLOBALS} and the storage types; every other name, call or
 * instruction ends the reading, before it has any effect, with a message that says what it was. Memory stays within a
 * small multiple of the pickle's size.
 */
final class TensorUnpickler extends Unpickler {
    /**
     * A storage as the pickle refers to it; its content is elsewhere in the file.
     *
     * @param key name of its record
     * @param dtype as in safetensors
     */
    record Storage(String key, String dtype, long elements) {}

    /** A tensor: a view of a storage. Offset and strides in elements. */
    record View(Storage storage, long offset, long[] sizes, long[] strides) {}

    /** A name in the pickle, module and all, that stands for something to call or for a type. */
    private record Global(String name) {}

    private static final String ORDERED_DICT = "collections.OrderedDict";
    private static final String TENSOR = "torch._utils._rebuild_tensor_v2";
    private static final String PARAMETER = "torch._utils._rebuild_parameter";

    /** Where a training state keeps its weights. */
    private static final String MODEL = "model";

    /** What may be called. */
    private static final Set<String> GLOBALS = Set.of(ORDERED_DICT, TENSOR, PARAMETER);

    private static final Map<String, String> STORAGES = Map.of(
            "torch.DoubleStorage", "F64",
            "torch.FloatStorage", "F32",
            "torch.HalfStorage", "F16",
            "torch.BFloat16Storage", "BF16",
            "torch.LongStorage", "I64",
            "torch.IntStorage", "I32",
            "torch.ByteStorage", "U8",
            "torch.BoolStorage", "BOOL");

    /** Instructions that only move values about; the others that are known have a case in {@link #dispatch}. */
    private static final Set<Short> PLAIN = Set.of(
            Opcodes.PROTO,
            Opcodes.FRAME,
            Opcodes.STOP,
            Opcodes.MARK,
            Opcodes.NONE,
            Opcodes.NEWTRUE,
            Opcodes.NEWFALSE,
            Opcodes.BININT,
            Opcodes.BININT1,
            Opcodes.BININT2,
            Opcodes.LONG1,
            Opcodes.BINFLOAT,
            Opcodes.SHORT_BINUNICODE,
            Opcodes.EMPTY_TUPLE,
            Opcodes.TUPLE,
            Opcodes.TUPLE1,
            Opcodes.TUPLE2,
            Opcodes.TUPLE3,
            Opcodes.EMPTY_LIST,
            Opcodes.APPEND,
            Opcodes.APPENDS,
            Opcodes.BINGET,
            Opcodes.LONG_BINGET,
            Opcodes.BINPUT,
            Opcodes.LONG_BINPUT,
            Opcodes.MEMOIZE,
            Opcodes.BINPERSID);

    private final String where;

    /** @param where what messages begin with */
    TensorUnpickler(String where) {
        this.where = where;
    }

    /**
     * The tensors of a table by name, in its order; of a table that has such a one under {@value #MODEL}, beside the state
     * of an optimizer for instance, those of that one.
     *
     * @throws FormatException if the pickle has anything but such a table in it, or is damaged
     */
    Map<String, View> read(InputStream pickle) {
        Object value;
        try {
            value = load(pickle);
        } catch (FormatException e) {
            throw e;
        } catch (IOException | RuntimeException e) {
            throw new FormatException(where + "damaged pickle: " + e, e);
        }
        if (!(value instanceof Map<?, ?> table)) {
            throw new FormatException(where + "holds " + shown(value) + "; expected a table of tensors, a state_dict");
        }
        Map<String, View> tensors = new LinkedHashMap<>();
        Map<?, ?> weights = table.get(MODEL) instanceof Map<?, ?> inner ? inner : table;
        weights.forEach((name, tensor) -> {
            if (!(tensor instanceof View view)) {
                throw new FormatException(where + "its entry '" + name + "' is " + shown(tensor)
                        + "; expected tensors only, a state_dict");
            }
            tensors.put(name.toString(), view);
        });
        return tensors;
    }

    @Override
    protected Object dispatch(short key) throws IOException {
        switch (key) {
            case Opcodes.GLOBAL -> stack.add(global(PickleUtils.readline(input) + "." + PickleUtils.readline(input)));
            case Opcodes.STACK_GLOBAL -> {
                Object name = stack.pop();
                stack.add(global(stack.pop() + "." + name));
            }
            case Opcodes.REDUCE -> {
                Object[] arguments = (Object[]) stack.pop();
                stack.add(call(stack.pop(), arguments));
            }
            case Opcodes.BUILD -> {
                stack.pop(); // attributes, such as a state_dict's _metadata
                if (!(stack.peek() instanceof Map)) {
                    throw refused("attributes of " + shown(stack.peek()));
                }
            }
            case Opcodes.EMPTY_DICT -> stack.add(new LinkedHashMap<Object, Object>());
            case Opcodes.SETITEM -> {
                Object value = stack.pop();
                List<Object> item = Arrays.asList(stack.pop(), value);
                put(item);
            }
            case Opcodes.SETITEMS -> put(stack.pop_all_since_marker());
            case Opcodes.BINUNICODE -> {
                long length = PickleUtils.bytes_to_uint(PickleUtils.readbytes(input, 4), 0);
                if (length > input.available()) {
                    throw new FormatException(where + "damaged pickle: a string of " + length + " bytes, where "
                            + input.available() + " are left");
                }
                stack.add(new String(input.readNBytes((int) length), StandardCharsets.UTF_8));
            }
            default -> {
                if (!PLAIN.contains(key)) {
                    throw refused(String.format(Locale.ROOT, "the instruction 0x%02x", key));
                }
                return super.dispatch(key);
            }
        }
        return NO_RETURN_VALUE;
    }

    private Global global(String name) {
        if (!GLOBALS.contains(name) && !STORAGES.containsKey(name)) {
            throw refused("'" + name + "'");
        }
        return new Global(name);
    }

    private FormatException refused(String what) {
        return new FormatException(where + "its pickle asks for " + what
                + ", which is not part of a table of tensors; refused before it was run");
    }

    private void put(List<Object> items) {
        @SuppressWarnings("unchecked")
        Map<Object, Object> table = (Map<Object, Object>) stack.peek();
        for (int i = 0; i < items.size(); i += 2) {
            if (!(items.get(i) instanceof String) && !(items.get(i) instanceof Integer)) {
                throw new FormatException(
                        where + "a table has the key " + shown(items.get(i)) + "; expected a string or a number");
            }
            table.put(items.get(i), items.get(i + 1));
        }
    }

    private Object call(Object callable, Object[] arguments) {
        if (!(callable instanceof Global global) || !GLOBALS.contains(global.name)) {
            throw refused("a call of " + shown(callable));
        }
        return switch (global.name) {
            case ORDERED_DICT -> {
                if (arguments.length > 0) {
                    throw refused("a call of " + ORDERED_DICT + " with " + arguments.length + " arguments");
                }
                yield new LinkedHashMap<Object, Object>();
            }
            case PARAMETER -> arguments[0];
            default ->
                new View((Storage) arguments[0], integer(arguments[1]), integers(arguments[2]), integers(arguments[3]));
        };
    }

    private static long[] integers(Object tuple) {
        return Arrays.stream((Object[]) tuple)
                .mapToLong(TensorUnpickler::integer)
                .toArray();
    }

    private static long integer(Object value) {
        return value instanceof Integer small ? small : (Long) value; // a larger one is no size of anything
    }

    /** A reference to something outside the pickle: ("storage", type, key, device, elements). */
    @Override
    protected Object persistentLoad(Object id) {
        if (id instanceof Object[] parts
                && parts.length == 5
                && "storage".equals(parts[0])
                && parts[1] instanceof Global type
                && STORAGES.containsKey(type.name)
                && parts[2] instanceof String key
                && (parts[4] instanceof Integer || parts[4] instanceof Long)) {
            return new Storage(key, STORAGES.get(type.name), integer(parts[4]));
        }
        throw refused("a reference to " + shown(id));
    }

    private static String shown(Object value) {
        if (value instanceof Global global) {
            return "'" + global.name + "'";
        }
        if (value instanceof Object[] tuple) {
            List<String> parts = new ArrayList<>();
            for (int i = 0; i < Math.min(tuple.length, 3); i++) {
                parts.add(tuple[i] instanceof Object[] ? "(...)" : shown(tuple[i]));
            }
            return "(" + String.join(", ", parts) + (tuple.length > 3 ? ", ...)" : ")");
        }
        if (value instanceof View) {
            return "a tensor";
        }
        if (value instanceof Map) {
            return "a table";
        }
        if (value instanceof List) {
            return "a list";
        }
        String text = String.valueOf(value);
        return text.length() <= 60 ? text : text.substring(0, 57) + "...";
    }
}
