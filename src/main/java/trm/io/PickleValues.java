package trm.io;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.input.Shown;

/** What {@link TensorUnpickler} makes of a pickle, beside String, Long and Boolean. */
final class PickleValues {
    static final Inert NONE = new Inert("None");
    static final Inert NUMBER = new Inert("a number");
    static final Inert BYTES = new Inert("bytes");

    private PickleValues() {}

    /**
     * A storage as the pickle refers to it; its content is elsewhere in the file.
     *
     * @param key name of its record
     * @param dtype as in safetensors; U8 for one without a type
     */
    record Storage(String key, String dtype, long elements) {
        long bytes() {
            return elements * ElementType.bytes(dtype); // both were checked to fit
        }
    }

    /** A tensor: a view of a storage. Offset and strides in elements of {@code dtype}. */
    record View(Storage storage, String dtype, long offset, long[] sizes, long[] strides) {}

    /** A name in the pickle that stands for something to call or for a type. */
    record Global(String module, String member) {
        String name() {
            return module + "." + member;
        }
    }

    /** A value that is of no use here: what it is, for messages. */
    record Inert(String what) {}

    /** A list, tuple or set. */
    record Items(List<Object> values) {}

    /** A dict; or the result of a call, or an object with its attributes. */
    static final class Table {
        private final String kind;
        private final Object of;
        private Map<String, Object> entries = Map.of();

        Table(String kind, Object of) {
            this.kind = kind;
            this.of = of;
        }

        boolean isDict() {
            return kind == null;
        }

        /** What made it, for messages: {@code a call of 'os.system'}. */
        String origin() {
            return kind == null ? "a table" : kind + " of " + brief(of);
        }

        Map<String, Object> entries() {
            return entries;
        }

        /** Sets an entry; true if it is the first. */
        boolean put(String key, Object value) {
            boolean first = entries.isEmpty();
            if (first) {
                entries = new LinkedHashMap<>(2);
            }
            entries.put(key, value);
            return first;
        }
    }

    /** A value for messages. */
    static String shown(Object value) {
        if (value instanceof Table table) {
            return table.origin();
        }
        if (value instanceof Items) {
            return "a list";
        }
        if (value instanceof View) {
            return "a tensor";
        }
        return value instanceof Inert inert ? inert.what : brief(value);
    }

    /** A value within the description of another: as long as it may be, the text stays short. */
    static String brief(Object value) {
        if (value instanceof Global global) {
            return Shown.quoted(global.name());
        }
        if (value instanceof String text) {
            return Shown.quoted(text);
        }
        return value instanceof Long || value instanceof Boolean ? value.toString() : "a value";
    }
}
