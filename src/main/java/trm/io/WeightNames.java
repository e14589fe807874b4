package trm.io;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BiPredicate;
import trm.input.Shown;

/**
 * From the names of other projects to those of the published code. A tensor is known by where it lies in the model
 * ({@code lm_head.weight}); what stands before that are wrappers, which are taken off wherever they stand, and words that tell
 * one set of weights from another.
 *
 * <pre>
 *   module._orig_mod.model.inner.lm_head.weight    ->  model.inner.lm_head.weight
 *   ema / shadow / model.inner.lm_head.weight      ->  ema.lm_head.weight           a moving average
 *   optimizer / lm_head.weight                     ->  nothing
 *   student.model.inner.lm_head.weight             ->  model.inner.lm_head.weight, where no other set is plainer
 * </pre>
 */
final class WeightNames {
    /** What the names of weights begin with. */
    static final String ROOT = "model.inner.";

    /** What the names of averaged weights begin with. */
    static final String AVERAGE = "ema.";

    private static final int LONGEST = 200;

    /** Tensors of one file that are weights; the largest published model has 300. */
    private static final int MOST = 50_000;

    /** Wrappers that stand anywhere in a name. */
    private static final Set<String> WRAPPERS = Set.of(
            "module",
            "_orig_mod",
            "_fsdp_wrapped_module",
            "_checkpoint_wrapped_module",
            "_forward_module",
            "_modules",
            "_parameters",
            "_buffers");

    /** What stands before a model's own names and tells nothing. */
    private static final Set<String> PLAIN = Set.of(
            "model",
            "inner",
            "net",
            "network",
            "state",
            "state_dict",
            "model_state",
            "model_state_dict",
            "model_dict",
            "model_weights",
            "weights",
            "params",
            "parameters",
            "checkpoint",
            "ckpt",
            "train_state");

    /** First words of the model's own names, beside the initial latents: H_init. */
    private static final Set<String> STEMS = Set.of(
            "embed_tokens",
            "lm_head",
            "q_head",
            "embed_pos",
            "embed_prefix",
            "puzzle_emb",
            "rotary_emb",
            "H_level",
            "L_level");

    private static final Set<String> CACHES = Set.of(
            "inv_freq",
            "freqs_cis",
            "num_batches_tracked",
            "local_weights",
            "local_ids",
            "position_ids",
            "causal_mask",
            "attn_mask",
            "_extra_state");

    /** Which set of weights a tensor belongs to. */
    private enum Kind {
        RAW,
        AVERAGE,
        OTHER
    }

    /**
     * Where a tensor belongs.
     *
     * @param words that tell its set of weights from others, empty for plain ones
     * @param under what the set is called in messages; empty for the top level
     * @param name within the model
     */
    record Place(String words, String under, String name) {
        private Kind kind() {
            return words.isEmpty() ? Kind.RAW : isAverage(words) ? Kind.AVERAGE : Kind.OTHER;
        }
    }

    /** A tensor, or what stands in its place, as a file has it. */
    record Found<T>(Place place, T tensor) {}

    /**
     * The weights of a file under their names here.
     *
     * @param tensors {@code model.inner.*} and, if there are two sets, {@code ema.*}
     */
    record Chosen<T>(Map<String, T> tensors, WeightTables tables) {}

    private WeightNames() {}

    /**
     * Where a tensor belongs, or null if it is not of a model's weights: another name, a cache, the state of an optimizer.
     *
     * @param path keys of the tables around it, outermost first
     */
    static Place of(List<String> path, String name) {
        if (name.length() > LONGEST) {
            return null;
        }
        List<String> parts = new ArrayList<>();
        path.forEach(key -> parts.add(cut(key)));
        int own = parts.size();
        parts.addAll(Arrays.asList(name.split("\\.", -1)));
        int begin = begin(parts);
        if (begin < 0) {
            return null;
        }
        List<String> words = new ArrayList<>();
        for (String part : parts.subList(0, begin)) {
            if (!isPlain(part)) {
                words.add(part);
            }
        }
        List<String> rest = new ArrayList<>(parts.subList(begin, parts.size()));
        rest.removeIf(part -> WRAPPERS.contains(part) || part.equals("model"));
        if (rest.isEmpty() || isCache(rest) || words.stream().anyMatch(WeightNames::isOptimizer)) {
            return null;
        }
        String told = cut(String.join(".", words));
        String under = own > 0 ? cut(String.join(".", parts.subList(0, own))) : told;
        return new Place(told, under, String.join(".", rest));
    }

    private static String cut(String text) {
        return text.substring(0, Math.min(text.length(), LONGEST));
    }

    /** Where the model's own name begins: behind "inner", or at a word that only it has; -1 if nowhere. */
    private static int begin(List<String> parts) {
        for (int i = 0; i < parts.size(); i++) {
            String part = parts.get(i);
            if (part.equals("inner") && parts.subList(0, i).contains("model")) {
                return i + 1;
            }
            if (STEMS.contains(part) || i == parts.size() - 1 && isLatent(part)) {
                return i;
            }
        }
        return -1;
    }

    /** H_init, L_init, L3_init. */
    private static boolean isLatent(String part) {
        return part.endsWith("_init")
                && (part.startsWith("H") || part.startsWith("L"))
                && part.substring(1, part.length() - 5).chars().allMatch(c -> c >= '0' && c <= '9');
    }

    /** Whether a key on the way to a table tells nothing about it. */
    static boolean isPlain(String key) {
        return WRAPPERS.contains(key) || PLAIN.contains(key.toLowerCase(Locale.ROOT));
    }

    private static boolean isCache(List<String> name) {
        String last = name.get(name.size() - 1);
        return CACHES.contains(last)
                || last.endsWith("_cached")
                || last.endsWith("_cache")
                || name.contains("rotary_emb");
    }

    /** Whether the optimizer of the published code changes a tensor: not a puzzle table, nor an initial latent. */
    static boolean isTrained(String name) {
        return !name.endsWith("puzzle_emb.weights") && !name.endsWith("_init");
    }

    /** The words of a key: of model_ema, emaModel, EMA.shadow. */
    private static List<String> tokens(String key) {
        List<String> tokens = new ArrayList<>();
        StringBuilder token = new StringBuilder();
        for (int i = 0; i <= key.length(); i++) {
            char c = i < key.length() ? key.charAt(i) : '.';
            boolean hump = Character.isUpperCase(c) && i > 0 && Character.isLowerCase(key.charAt(i - 1));
            if ((hump || !Character.isLetter(c)) && !token.isEmpty()) {
                tokens.add(token.toString().toLowerCase(Locale.ROOT));
                token.setLength(0);
            }
            if (Character.isLetter(c)) {
                token.append(c);
            }
        }
        return tokens;
    }

    /** Whether words on the way to a table call it a moving average. */
    static boolean isAverage(String words) {
        List<String> tokens = tokens(words);
        boolean average = tokens.stream()
                .anyMatch(Set.of("ema", "shadow", "average", "averaged", "avg", "swa", "polyak")::contains);
        return average && tokens.stream().noneMatch(Set.of("online", "backup", "collected", "raw")::contains);
    }

    private static boolean isOptimizer(String word) {
        List<String> tokens = tokens(word);
        return tokens.contains("exp") && tokens.contains("avg")
                || tokens.stream()
                        .anyMatch(token -> token.startsWith("optim")
                                || Set.of("opt", "adam", "momentum", "grad", "grads", "gradients", "scheduler")
                                        .contains(token));
    }

    /**
     * Chooses the weights of a file: the plain set if there is one, else the only one; and the moving average beside it.
     *
     * @param where what messages begin with
     * @param same whether two tensors are equal
     * @throws FormatException if a name is there twice with different content, or sets cannot be told apart
     */
    static <T> Chosen<T> choose(String where, List<Found<T>> all, BiPredicate<T, T> same) {
        checkCount(where, all.size());
        Map<String, Map<String, Found<T>>> sets = new TreeMap<>();
        for (Found<T> found : all) {
            Map<String, Found<T>> set = sets.computeIfAbsent(found.place.words, words -> new LinkedHashMap<>());
            Found<T> other = set.putIfAbsent(found.place.name, found);
            if (other != null && !same.test(other.tensor, found.tensor)) {
                throw new FormatException(where + "tensor " + Shown.quoted(ROOT + found.place.name)
                        + " is there twice, " + place(other) + " and " + place(found)
                        + ", and the two differ; keep one of them");
            }
        }
        List<Map<String, Found<T>>> averages = of(Kind.AVERAGE, sets);
        List<Map<String, Found<T>>> shadows = averages.stream()
                .filter(set -> tokens(first(set).place.words).contains("shadow"))
                .toList();
        if (averages.size() > 1 && shadows.size() == 1) {
            averages = shadows;
        }
        List<Map<String, Found<T>>> raws = of(Kind.RAW, sets);
        if (raws.isEmpty()) {
            raws = of(Kind.OTHER, sets);
        }
        boolean averageOnly = raws.isEmpty();
        if (averageOnly) {
            raws = averages;
        }
        if (raws.size() > 1) {
            throw new FormatException(where + "has several sets of weights, " + place(first(raws.get(0))) + " and "
                    + place(first(raws.get(1))) + "; keep one: torch.save(checkpoint[KEY], file)");
        }
        Map<String, T> tensors = new LinkedHashMap<>();
        raws.forEach(set -> set.forEach((name, found) -> tensors.put(ROOT + name, found.tensor)));
        String raw = raws.isEmpty() ? null : place(first(raws.get(0)));
        if (averageOnly || averages.isEmpty()) {
            return new Chosen<>(tensors, new WeightTables(raw, null, averageOnly && raw != null, 0));
        }
        if (averages.size() == 1) {
            averages.get(0).forEach((name, found) -> tensors.put(AVERAGE + name, found.tensor));
        }
        return new Chosen<>(tensors, new WeightTables(raw, place(first(averages.get(0))), false, averages.size()));
    }

    /** @throws FormatException if a file has more tensors than a model can have */
    static void checkCount(String where, int tensors) {
        if (tensors > MOST) {
            throw new FormatException(where + "has more than " + MOST + " tensors of weights");
        }
    }

    private static <T> List<Map<String, Found<T>>> of(Kind kind, Map<String, Map<String, Found<T>>> sets) {
        return sets.values().stream()
                .filter(set -> first(set).place.kind() == kind)
                .toList();
    }

    private static <T> Found<T> first(Map<String, Found<T>> set) {
        return set.values().iterator().next();
    }

    private static String place(Found<?> found) {
        return found.place.under.isEmpty() ? "at top level" : "under " + Shown.quoted(found.place.under);
    }
}
