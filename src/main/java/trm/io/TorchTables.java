package trm.io;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiPredicate;
import trm.input.Shown;
import trm.io.PickleValues.Items;
import trm.io.PickleValues.Table;
import trm.io.PickleValues.View;
import trm.io.WeightNames.Chosen;
import trm.io.WeightNames.Found;
import trm.io.WeightNames.Place;

/**
 * Finds the weights in what a pickle describes: tables, lists and objects within each other. Whatever else lies there is left
 * unread. Each table below the top level is looked at once, however often it is referred to.
 */
final class TorchTables {
    /** Tables within tables; a module saved whole has two for each of its levels. */
    private static final int DEEPEST = 40;

    /** Tables at top level that are another one under a second name: the average of a model that was not trained, say. */
    private static final int MOST_ALIASES = 16;

    /** Wrappers that are taken off names that are not those of a model. */
    private static final List<String> WRAPPERS = List.of("_orig_mod.", "module.");

    /** A table, list or object, and the way to it. Equal to itself only. */
    private static final class Node {
        private final Node parent;
        private final String key;
        private final Object value;
        private final int depth;

        private Node(Node parent, String key, Object value) {
            this.parent = parent;
            this.key = key;
            this.value = value;
            depth = parent == null ? 0 : parent.depth + 1;
        }

        private List<String> path() {
            LinkedList<String> keys = new LinkedList<>();
            for (Node node = this; node.parent != null; node = node.parent) {
                keys.addFirst(node.key);
            }
            return keys;
        }
    }

    private final String where;
    private final List<Found<Object>> weights = new ArrayList<>();
    private final Set<Node> holders = new LinkedHashSet<>(); // tables with weights in them
    private final List<Node> averageLists = new ArrayList<>(); // lists of tensors that a key calls an average
    private int aliases;
    private Node first; // the first table that holds a tensor of whatever name

    private TorchTables(String where) {
        this.where = where;
    }

    /**
     * The tensors of the table that holds the weights.
     *
     * @param where what messages begin with
     * @param same whether two tensors have the same content
     * @throws FormatException if there is no such table, or something else stands in the place of a tensor
     */
    static Chosen<View> choose(String where, Object root, BiPredicate<View, View> same) {
        TorchTables tables = new TorchTables(where);
        tables.walk(root);
        if (tables.weights.isEmpty()) {
            return new Chosen<>(tables.unnamed(root, same), new WeightTables(null, null, false, 0));
        }
        Chosen<Object> chosen = WeightNames.choose(
                where, tables.weights, (a, b) -> a instanceof View v && b instanceof View w && same.test(v, w));
        Map<String, View> views = new LinkedHashMap<>();
        chosen.tensors().forEach((name, value) -> views.put(name, tables.view("tensor ", name, value)));
        Set<Object> used = Collections.newSetFromMap(new IdentityHashMap<>());
        used.addAll(views.values());
        tables.holders.stream()
                .filter(holder ->
                        ((Table) holder.value).entries().values().stream().anyMatch(used::contains))
                .forEach(tables::checkCalls);
        return chosen.tables().average() == null
                ? tables.withAverage(views, chosen.tables())
                : new Chosen<>(views, chosen.tables());
    }

    /**
     * A moving average that is a list in the order of the model's parameters, as the package torch_ema has it: used where it
     * fits, one tensor of the same sizes for each that is trained.
     */
    private Chosen<View> withAverage(Map<String, View> weights, WeightTables tables) {
        List<String> trained =
                weights.keySet().stream().filter(WeightNames::isTrained).toList();
        for (Node node : averageLists) {
            List<Object> list = ((Items) node.value).values();
            boolean fits = list.size() == trained.size();
            for (int i = 0; fits && i < list.size(); i++) {
                fits = Arrays.equals(
                        ((View) list.get(i)).sizes(),
                        weights.get(trained.get(i)).sizes());
            }
            if (fits) {
                Map<String, View> all = new LinkedHashMap<>(weights);
                for (int i = 0; i < list.size(); i++) {
                    String name = trained.get(i).substring(WeightNames.ROOT.length());
                    all.put(WeightNames.AVERAGE + name, (View) list.get(i));
                }
                String under = "under " + Shown.quoted(String.join(".", node.path()));
                return new Chosen<>(all, new WeightTables(tables.raw(), under, false, 1));
            }
        }
        return new Chosen<>(weights, tables);
    }

    /**
     * The tensors of a file that is one of several, under their own names.
     *
     * @throws FormatException if it is no table
     */
    static Chosen<View> all(String where, Object root) {
        if (!(root instanceof Table table)) {
            throw new FormatException(where + "is " + PickleValues.shown(root) + "; expected a table of tensors");
        }
        Map<String, View> views = new LinkedHashMap<>();
        table.entries().forEach((name, value) -> {
            if (value instanceof View view) {
                views.put(name, view);
            }
        });
        return new Chosen<>(views, new WeightTables(null, null, false, 0));
    }

    private void walk(Object root) {
        Set<Object> seen = Collections.newSetFromMap(new IdentityHashMap<>());
        ArrayDeque<Node> queue = new ArrayDeque<>();
        queue.add(new Node(null, "", root));
        seen.add(root);
        while (!queue.isEmpty()) {
            Node node = queue.remove();
            if (node.value instanceof Table table) {
                List<String> path = null;
                for (Map.Entry<String, Object> entry : table.entries().entrySet()) {
                    Object value = entry.getValue();
                    if (value instanceof View || isNamed(entry.getKey(), value)) {
                        path = path == null ? node.path() : path;
                        add(node, path, entry.getKey(), value);
                    }
                    enqueue(queue, seen, node, entry.getKey(), value);
                }
            } else if (node.value instanceof Items items) {
                if (!items.values().isEmpty()
                        && items.values().stream().allMatch(View.class::isInstance)
                        && WeightNames.isAverage(String.join(".", node.path()))) {
                    averageLists.add(node);
                }
                for (int i = 0; i < items.values().size(); i++) {
                    enqueue(
                            queue,
                            seen,
                            node,
                            Integer.toString(i),
                            items.values().get(i));
                }
            }
        }
    }

    private void enqueue(ArrayDeque<Node> queue, Set<Object> seen, Node parent, String key, Object value) {
        if (!(value instanceof Table) && !(value instanceof Items) || parent.depth == DEEPEST) {
            return;
        }
        if (seen.add(value) || parent.depth == 0 && aliases++ < MOST_ALIASES) {
            queue.add(new Node(parent, key, value));
        }
    }

    /** Whether a value that is no tensor has the name of one: inside a table of weights it would be missed. */
    private static boolean isNamed(String key, Object value) {
        return key.indexOf('.') > 0
                && !(value instanceof Items)
                && (!(value instanceof Table table)
                        || !table.isDict()
                        || table.entries().isEmpty());
    }

    private void add(Node node, List<String> path, String key, Object value) {
        Place place = WeightNames.of(path, key);
        if (place != null) {
            weights.add(new Found<>(place, value));
            WeightNames.checkCount(where, weights.size());
            holders.add(node);
        }
        if (first == null && value instanceof View) {
            first = node;
        }
    }

    private View view(String what, String name, Object value) {
        if (value instanceof View view) {
            return view;
        }
        throw new FormatException(where + what + Shown.quoted(name) + " is " + PickleValues.shown(value)
                + "; expected a tensor; nothing of the file was run");
    }

    /** Beside weights, within a table of them, the result of a call is not passed over: who put it there had a reason. */
    private void checkCalls(Node holder) {
        if (holder.depth == 0) {
            return; // at top level, weights lie among whatever else a program has saved
        }
        ((Table) holder.value).entries().forEach((key, value) -> {
            if (value instanceof Table other && !other.isDict() && !key.endsWith("_extra_state")) {
                view("entry ", String.join(".", holder.path()) + "." + key, value);
            }
        });
    }

    /** The tensors of a table whose names are not those of a model, at top level or below {@code model} and the like. */
    private Map<String, View> unnamed(Object root, BiPredicate<View, View> same) {
        if (first == null || !first.path().stream().allMatch(WeightNames::isPlain)) {
            throw new FormatException(
                    where + "holds no table of weights, at top level or under model, state_dict and the "
                            + "like; it is " + content(root));
        }
        Map<String, View> views = new LinkedHashMap<>();
        ((Table) first.value).entries().forEach((key, value) -> {
            if (value instanceof View || value instanceof Table other && !other.isDict()) {
                String name = key;
                for (boolean more = true; more; ) {
                    more = false;
                    for (String wrapper : WRAPPERS) {
                        more |= name.startsWith(wrapper);
                        name = name.startsWith(wrapper) ? name.substring(wrapper.length()) : name;
                    }
                }
                View view = view("entry ", name, value);
                View other = views.putIfAbsent(name, view);
                if (other != null && !same.test(other, view)) {
                    throw new FormatException(
                            where + "tensor " + Shown.quoted(name) + " is there twice, with and without "
                                    + Shown.quoted(WRAPPERS.get(0)) + ", and the two differ");
                }
            }
        });
        return views;
    }

    /** What a file without weights holds: the first few entries. */
    private static String content(Object root) {
        if (!(root instanceof Table table) || table.entries().isEmpty()) {
            return PickleValues.shown(root) + (root instanceof Table ? " without entries" : "");
        }
        List<String> parts = new ArrayList<>();
        for (Map.Entry<String, Object> entry : table.entries().entrySet()) {
            if (parts.size() == 5) {
                parts.add("...");
                break;
            }
            parts.add(Shown.quoted(entry.getKey()) + ": " + PickleValues.shown(entry.getValue()));
        }
        return table.origin() + " with " + String.join(", ", parts);
    }
}
