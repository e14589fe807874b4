package trm.io;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.input.Budget;
import trm.io.PickleValues.Global;
import trm.io.PickleValues.Inert;
import trm.io.PickleValues.Items;
import trm.io.PickleValues.Storage;
import trm.io.PickleValues.Table;
import trm.io.PickleValues.View;

/**
 * Follows a pickle and builds what it describes out of tables, lists and views of storages, never anything else. A pickle is
 * a program that names functions and classes and calls them. Here three kinds of name have a meaning: tables, the functions
 * that make a tensor, and the storage types; every other name is a text, and what a call of it gives is a {@link Table} that
 * only says so. Nothing is imported, looked up or run.
 *
 * <p>Bounded where a library's unpickler is not: no value is copied when it is referred to again, objects are counted against
 * the file's {@link Budget}, and what no weight can be (floats, bytes, long texts) is passed over. Knows protocols 0 to 5.
 */
final class TensorUnpickler {
    /** Where a pickle ends that asks for more; some 70 bytes each. */
    private static final long MOST_OBJECTS = 1_500_000;

    private static final int MOST_STACK = 1_000_000;
    private static final int LONGEST_TEXT = 4096;

    private final String where;
    private final PickleInput in;
    private final Budget budget;
    private final ArrayList<Object> stack = new ArrayList<>();
    private final ArrayList<Integer> marks = new ArrayList<>();
    private final Map<Integer, Object> memo = new HashMap<>();
    private final Map<String, Storage> storages = new LinkedHashMap<>();
    private long objects;

    /**
     * @param where what messages begin with
     * @param pickle read from its position; afterwards it stands behind the pickle
     */
    TensorUnpickler(String where, ByteBuffer pickle, Budget budget) {
        this.where = where;
        in = new PickleInput(where, pickle);
        this.budget = budget;
    }

    /** Storages that the pickle referred to, by key. */
    Map<String, Storage> storages() {
        return storages;
    }

    /**
     * What the pickle describes: a {@link Table}, {@link Items}, {@link View}, {@link Inert}, {@link Global}, String, Long or
     * Boolean.
     *
     * @throws FormatException if it is damaged; other InputExceptions if it asks for more than its size is worth
     */
    Object read() {
        stack.clear();
        marks.clear();
        memo.clear();
        while (true) {
            int instruction = in.u8();
            if (instruction == '.') {
                return pop();
            }
            step(instruction);
            if (stack.size() + marks.size() > MOST_STACK) {
                throw in.damaged("more than " + MOST_STACK + " values at once");
            }
        }
    }

    /** Marks, numbers, texts and bytes; the others by {@link #compound}. */
    private void step(int instruction) {
        switch (instruction) {
            case 0x80 -> {
                int protocol = in.u8();
                if (protocol > 5) {
                    throw in.damaged("protocol " + protocol + ", expected 0 to 5");
                }
            }
            case 0x95 -> in.skip(8); // FRAME
            case '(' -> marks.add(stack.size());
            case '0' -> drop();
            case '1' -> popMark();
            case '2' -> stack.add(peek());
            case 'N' -> stack.add(PickleValues.NONE);
            case 0x88 -> stack.add(Boolean.TRUE);
            case 0x89 -> stack.add(Boolean.FALSE);
            case 'I', 'L' -> stack.add(in.number(in.line()));
            case 'J' -> stack.add((long) in.need(4).getInt());
            case 'K' -> stack.add((long) in.u8());
            case 'M' -> stack.add((long) (in.need(2).getShort() & 0xffff));
            case 0x8a -> stack.add(in.integer(in.u8()));
            case 0x8b -> stack.add(in.integer(in.length(4)));
            case 'F' -> {
                in.line();
                stack.add(PickleValues.NUMBER);
            }
            case 'G' -> {
                in.skip(8);
                stack.add(PickleValues.NUMBER);
            }
            case 'X' -> stack.add(text(in.length(4), true));
            case 0x8c -> stack.add(text(in.u8(), true));
            case 0x8d -> stack.add(text(in.length(8), true));
            case 'T' -> stack.add(text(in.length(4), false));
            case 'U' -> stack.add(text(in.u8(), false));
            case 'V' -> stack.add(made(in.line()));
            case 'S' -> {
                String quoted = in.line();
                stack.add(made(quoted.length() < 2 ? quoted : quoted.substring(1, quoted.length() - 1)));
            }
            case 'B' -> bytes(in.length(4));
            case 'C' -> bytes(in.u8());
            case 0x8e, 0x96 -> bytes(in.length(8));
            case 0x82 -> bytes(1); // EXT1, 2, 4: names by number
            case 0x83 -> bytes(2);
            case 0x84 -> bytes(4);
            case 0x97 -> stack.add(PickleValues.BYTES); // NEXT_BUFFER
            case 0x98 -> peek(); // READONLY_BUFFER
            default -> compound(instruction);
        }
    }

    /** Lists, tables, references to earlier values, names and calls. */
    private void compound(int instruction) {
        switch (instruction) {
            case ')' -> stack.add(items(List.of()));
            case 't' -> stack.add(items(popMark()));
            case 0x85 -> stack.add(items(pop(1)));
            case 0x86 -> stack.add(items(pop(2)));
            case 0x87 -> stack.add(items(pop(3)));
            case ']', 0x8f -> stack.add(items(new ArrayList<>(0)));
            case 'l', 0x91 -> {
                List<Object> values = popMark();
                Items list = items(new ArrayList<>(0));
                stack.add(list);
                append(values);
            }
            case 'a' -> append(pop(1));
            case 'e', 0x90 -> append(popMark());
            case '}' -> stack.add(dict());
            case 'd' -> {
                List<Object> pairs = popMark();
                stack.add(dict());
                put(pairs);
            }
            case 's' -> put(pop(2));
            case 'u' -> put(popMark());
            case 'p' -> remember(in.number(in.line()));
            case 'q' -> remember((long) in.u8());
            case 'r' -> remember((long) in.need(4).getInt());
            case 0x94 -> remember((long) memo.size());
            case 'g' -> recall(in.number(in.line()));
            case 'h' -> recall((long) in.u8());
            case 'j' -> recall((long) in.need(4).getInt());
            case 'c' -> stack.add(global(in.line(), in.line()));
            case 0x93 -> {
                List<Object> names = pop(2);
                stack.add(global(names.get(0), names.get(1)));
            }
            case 'R' -> {
                List<Object> call = pop(2);
                stack.add(call(call.get(0), list(call.get(1)), true));
            }
            case 0x81 -> stack.add(object(pop(2).get(0)));
            case 0x92 -> stack.add(object(pop(3).get(0)));
            case 'o' -> {
                List<Object> call = popMark();
                stack.add(object(call.isEmpty() ? PickleValues.NONE : call.get(0)));
            }
            case 'i' -> {
                Object type = global(in.line(), in.line());
                popMark();
                stack.add(object(type));
            }
            case 'b' -> build(pop());
            case 'P' -> {
                in.line();
                stack.add(new Inert("a reference"));
            }
            case 'Q' -> stack.add(reference(pop()));
            default ->
                throw in.damaged(String.format(
                        java.util.Locale.ROOT, "0x%02x at byte %d is no instruction", instruction, in.at()));
        }
    }

    private <T> T made(T value) {
        count(1);
        return value;
    }

    private void count(long more) {
        objects += more;
        if (objects > MOST_OBJECTS) {
            throw new FormatException(where + "its pickle makes more than " + MOST_OBJECTS
                    + " objects; save the weights alone: torch.save(model.state_dict(), file)");
        }
        budget.objects(more);
    }

    private void bytes(long length) {
        in.skip(length);
        stack.add(PickleValues.BYTES);
    }

    private Object text(long length, boolean unicode) {
        in.need(length);
        if (length > LONGEST_TEXT) {
            in.skip(length);
            return made(new Inert("a text of " + length + " bytes"));
        }
        byte[] bytes = new byte[(int) length];
        in.need(length).get(bytes);
        return made(new String(bytes, unicode ? StandardCharsets.UTF_8 : StandardCharsets.ISO_8859_1));
    }

    private Object peek() {
        if (stack.size() <= floor()) {
            throw in.damaged("an instruction at byte " + in.at() + " lacks its values");
        }
        return stack.get(stack.size() - 1);
    }

    /** Values below this place are behind a mark. */
    private int floor() {
        return marks.isEmpty() ? 0 : marks.get(marks.size() - 1);
    }

    private Object pop() {
        Object value = peek();
        stack.remove(stack.size() - 1);
        return value;
    }

    private void drop() {
        if (!marks.isEmpty() && stack.size() == floor()) {
            marks.remove(marks.size() - 1);
        } else {
            pop();
        }
    }

    private List<Object> pop(int count) {
        Object[] values = new Object[count];
        for (int i = count - 1; i >= 0; i--) {
            values[i] = pop();
        }
        return Arrays.asList(values);
    }

    private List<Object> popMark() {
        if (marks.isEmpty()) {
            throw in.damaged("an instruction at byte " + in.at() + " lacks its mark");
        }
        int from = marks.remove(marks.size() - 1);
        List<Object> top = stack.subList(from, stack.size());
        List<Object> values = Arrays.asList(top.toArray());
        top.clear();
        return values;
    }

    private Items items(List<Object> values) {
        count(1 + values.size());
        return new Items(values);
    }

    private static List<Object> list(Object value) {
        return value instanceof Items items ? items.values() : List.of();
    }

    /** Onto the list that lies on top; numbers with a fraction, bytes and the like are left out. */
    private void append(List<Object> values) {
        if (peek() instanceof Items items && items.values() instanceof ArrayList<Object> growing) {
            for (Object value : values) {
                if (!(value instanceof Inert) && !(value instanceof Boolean)) {
                    count(1);
                    growing.add(value);
                }
            }
        }
    }

    private Table table(String kind, Object of) {
        count(2);
        return new Table(kind, of);
    }

    private Table dict() {
        return table(null, null);
    }

    /** Pairs of key and value into the table that lies on top. */
    private void put(List<Object> pairs) {
        if (pairs.size() % 2 != 0) {
            throw in.damaged("a table has a key without a value");
        }
        if (peek() instanceof Table table) {
            for (int i = 0; i < pairs.size(); i += 2) {
                put(table, pairs.get(i), pairs.get(i + 1));
            }
        }
    }

    /** Keys that are neither texts nor whole numbers name no weights. */
    private void put(Table table, Object key, Object value) {
        if (key instanceof String || key instanceof Long) {
            count(1);
            if (table.put(key.toString(), value)) {
                count(2);
            }
        }
    }

    private void remember(Object index) {
        int key = index(index);
        if (memo.put(key, peek()) == null) {
            count(1);
        }
    }

    private void recall(Object index) {
        Object value = memo.get(index(index));
        if (value == null) {
            throw in.damaged("refers to value " + index + ", which is not there");
        }
        stack.add(value);
    }

    private int index(Object index) {
        if (!(index instanceof Long number) || number < 0 || number > Integer.MAX_VALUE) {
            throw in.damaged("a reference to value " + PickleValues.brief(index));
        }
        return number.intValue();
    }

    private Object global(Object module, Object name) {
        return made(
                module instanceof String m && name instanceof String n
                        ? new Global(m, n)
                        : new Inert(
                                "a name made of " + PickleValues.brief(module) + " and " + PickleValues.brief(name)));
    }

    /** The attributes of an object; those of a dict (a state_dict's _metadata) and of a tensor are passed over. */
    private void build(Object state) {
        if (peek() instanceof Table table && !table.isDict()) {
            List<Object> parts = state instanceof Items pair ? pair.values() : List.of(state);
            for (Object part : parts.subList(0, Math.min(2, parts.size()))) { // (attributes, those of __slots__)
                if (part instanceof Table attributes && attributes != table) {
                    attributes.entries().forEach((key, value) -> put(table, key, value));
                }
            }
        }
    }

    private Object object(Object type) {
        return type instanceof Global global && TorchNames.isDict(global.name()) ? dict() : table("an object", type);
    }

    /** @param outer whether the function may be one that calls another, as that for subclasses of tensors */
    private Object call(Object callable, List<Object> arguments, boolean outer) {
        String name = callable instanceof Global global ? global.name() : "";
        if (TorchNames.isDict(name)) {
            Table table = dict();
            List<Object> pairs = arguments.isEmpty() ? List.of() : list(arguments.get(0));
            count(pairs.size());
            for (Object pair : pairs) {
                if (list(pair).size() == 2) {
                    put(table, list(pair).get(0), list(pair).get(1));
                }
            }
            return table;
        }
        switch (name) {
            case "torch._utils._rebuild_tensor",
                    "torch._utils._rebuild_tensor_v2",
                    "torch._utils._rebuild_tensor_v3" -> {
                Object made = TorchNames.tensor(name, arguments);
                if (made instanceof View view) {
                    count((view.sizes().length + view.strides().length) / 4);
                }
                return made(made);
            }
            case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state" -> {
                return arguments.isEmpty() ? PickleValues.NONE : arguments.get(0);
            }
            case "torch._tensor._rebuild_from_type_v2" -> {
                if (outer && arguments.size() >= 3) {
                    return call(arguments.get(0), list(arguments.get(2)), false);
                }
            }
            case "torch.Size" -> {
                if (!arguments.isEmpty() && arguments.get(0) instanceof Items sizes) {
                    return sizes;
                }
            }
            default -> {}
        }
        return table("a call", callable);
    }

    /** A reference to something outside the pickle: ("storage", type, key, device, elements), and None before 1.6. */
    private Object reference(Object id) {
        List<Object> parts = list(id);
        if (parts.size() >= 5
                && "storage".equals(parts.get(0))
                && parts.get(1) instanceof Global type
                && TorchNames.STORAGES.containsKey(type.name())
                && parts.get(2) instanceof String key
                && parts.get(4) instanceof Long elements
                && elements >= 0
                && elements <= Long.MAX_VALUE / 16
                && (parts.size() == 5 || parts.get(5) == PickleValues.NONE)) {
            count(3);
            Storage storage = new Storage(key, TorchNames.STORAGES.get(type.name()), elements);
            storages.putIfAbsent(key, storage);
            return storage;
        }
        return made(new Inert("a reference to " + PickleValues.brief(id)));
    }
}
