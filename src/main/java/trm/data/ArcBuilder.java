package trm.data;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import trm.data.ArcTask.Pair;

/**
 * Builds an ARC dataset folder byte for byte as the published builder does. A task of a test set gives its train pairs to
 * the training split and its test pairs to the test split, under the same identifiers; any other task gives all of its
 * pairs to the training split. Each task and its copies are one group, each of them one puzzle. Copies are drawn first,
 * then places in the field, all from one generator; grids are made when they are written, so memory does not grow with
 * their number.
 */
public final class ArcBuilder {
    /** Draws for each copy that is wanted, before a task is left with fewer. */
    private static final int TRIES = 5;

    private static final String BLANK = "<blank>";

    /** A task's pairs in one split, and the copies that it has in both. */
    private record Group(List<Pair> pairs, List<ArcCopy> copies) {}

    private final LegacyRandom random;
    private final int aug;
    private final boolean compact;
    private final Consumer<String> notes;
    private final List<Group> train = new ArrayList<>();
    private final List<Group> test = new ArrayList<>();
    private int scarce; // tasks with fewer copies than asked for
    private List<ArcCopy> scarcest; // the copies of that with fewest
    private final ObjectNode testPuzzles = JsonNodeFactory.instance.objectNode();

    private ArcBuilder(long seed, int aug, boolean compact, Consumer<String> notes) {
        this.random = new LegacyRandom(seed);
        this.aug = aug;
        this.compact = compact;
        this.notes = notes;
    }

    /**
     * What was written.
     *
     * @param identifiers rows of the puzzle table, the blank one included
     * @param testExamples 0 without a test set
     */
    public record Summary(Path out, int tasks, int identifiers, int trainExamples, int testExamples) {}

    /**
     * Writes the folder.
     *
     * @param prefix   of the files' names ({@link ArcTask#readSubset})
     * @param subsets  names, in this order. Where the first is a test set the order of the identifiers is our own: the
     *                 published one then changes from run to run
     * @param testSets which of the subsets are kept for the test split
     * @param aug      copies of each task
     * @param seed     of the legacy generator, 0 .. 2^32 - 1
     * @param notes    is told of subsets without solutions, and how many tasks have fewer copies
     * @throws DataException if an argument or a file is wrong
     */
    public static Summary build(
            String prefix,
            List<String> subsets,
            List<String> testSets,
            Path out,
            int aug,
            long seed,
            Consumer<String> notes) {
        return build(prefix, subsets, testSets, out, aug, seed, null, notes, false);
    }

    /**
     * As {@link #build(String, List, List, Path, int, long, Consumer)}, with a smaller test split or in the compact form. The
     * draws are the same, and so are the training split's examples and the identifiers.
     *
     * @param limitTest keeps only the first test tasks, as many as this; null keeps all
     * @param compact writes the pairs once, and of each example where it lies ({@link ArcCompact})
     */
    public static Summary build(
            String prefix,
            List<String> subsets,
            List<String> testSets,
            Path out,
            int aug,
            long seed,
            Integer limitTest,
            Consumer<String> notes,
            boolean compact) {
        if (aug < 0) {
            throw new DataException("aug=" + aug + ": expected at least 0");
        }
        if (limitTest != null && limitTest < 1) {
            throw new DataException("limitTest=" + limitTest + ": expected at least 1");
        }
        if (subsets.isEmpty() || new HashSet<>(subsets).size() != subsets.size()) {
            throw new DataException("subsets=" + subsets + ": expected one or more different names");
        }
        for (String name : testSets) {
            if (!subsets.contains(name)) {
                throw new DataException("test set '" + name + "': expected one of the subsets " + subsets);
            }
        }
        ArcBuilder builder = new ArcBuilder(seed, aug, compact, notes);
        for (String subset : subsets) {
            builder.addSubset(ArcTask.readSubset(prefix, subset, notes), testSets.contains(subset));
        }
        if (builder.scarce > 0) {
            notes.accept(builder.scarce + " of " + builder.train.size() + " tasks have fewer than " + aug
                    + " different copies; the fewest, " + (builder.scarcest.size() - 1) + ", has "
                    + builder.scarcest.get(0).task());
        }
        return builder.write(out, limitTest);
    }

    private void addSubset(List<ArcTask> tasks, boolean isTest) {
        int[] order = new int[tasks.size()];
        Arrays.setAll(order, i -> i);
        random.shuffle(order);
        for (int i : order) {
            ArcTask task = tasks.get(i);
            List<ArcCopy> copies = copies(task);
            if (isTest) {
                testPuzzles.set(task.id(), task.json());
                train.add(new Group(task.train(), copies));
                test.add(new Group(task.test(), copies));
            } else {
                train.add(new Group(task.inFileOrder(), copies));
            }
        }
    }

    /** The task itself and up to {@code aug} copies, no two of them equal in all pairs. */
    private List<ArcCopy> copies(ArcTask task) {
        List<ArcCopy> copies = new ArrayList<>();
        copies.add(ArcCopy.original(task.id()));
        List<Pair> pairs = task.inFileOrder();
        Set<String> seen = new HashSet<>();
        seen.add(hash(pairs, copies.get(0)));
        for (int tries = TRIES * aug; tries > 0 && copies.size() <= aug; tries--) {
            ArcCopy copy = ArcCopy.draw(task.id(), random);
            if (seen.add(hash(pairs, copy))) {
                copies.add(copy);
            }
        }
        if (copies.size() <= aug) {
            scarce++;
            scarcest = scarcest == null || copies.size() < scarcest.size() ? copies : scarcest;
        }
        return copies;
    }

    /** Equal for copies that have the same pairs, in whatever order. */
    private static String hash(List<Pair> pairs, ArcCopy copy) {
        MessageDigest digest = Grid.sha256();
        byte[][] each = new byte[pairs.size()][];
        for (int i = 0; i < each.length; i++) {
            copy.apply(pairs.get(i).input()).digest(digest);
            copy.apply(pairs.get(i).output()).digest(digest);
            each[i] = digest.digest();
        }
        Arrays.sort(each, Arrays::compareUnsigned);
        for (byte[] pair : each) {
            digest.update(pair);
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private Summary write(Path out, Integer limitTest) {
        Map<String, Integer> identifiers = new LinkedHashMap<>();
        identifiers.put(BLANK, 0);
        for (List<Group> split : List.of(train, test)) {
            for (Group group : split) {
                group.copies.forEach(copy -> identifiers.putIfAbsent(copy.name(), identifiers.size()));
            }
        }
        if (limitTest != null && limitTest < test.size()) {
            test.subList(limitTest, test.size()).clear();
            testPuzzles.retain(
                    test.stream().map(group -> group.copies.get(0).task()).toList());
        }
        try {
            Files.createDirectories(out);
            int trainExamples = write(out.resolve("train"), train, identifiers, true);
            int testExamples = test.isEmpty() ? 0 : write(out.resolve("test"), test, identifiers, false);
            String names =
                    identifiers.keySet().stream().map(PythonJson::quoted).collect(Collectors.joining(", ", "[", "]"));
            Files.writeString(out.resolve("identifiers.json"), names, StandardCharsets.US_ASCII);
            Files.writeString(
                    out.resolve("test_puzzles.json"), PythonJson.text(testPuzzles), StandardCharsets.US_ASCII);
            return new Summary(out, train.size(), identifiers.size(), trainExamples, testExamples);
        } catch (IOException e) {
            throw new DataException(out + ": cannot be written: " + e.getMessage(), e);
        }
    }

    private int write(Path dir, List<Group> groups, Map<String, Integer> identifiers, boolean shift)
            throws IOException {
        long rows = 0;
        int puzzles = 0;
        for (Group group : groups) {
            rows += (long) group.pairs.size() * group.copies.size();
            puzzles += group.copies.size();
        }
        if (rows >= Integer.MAX_VALUE) {
            throw new DataException("aug=" + aug + ": found " + rows + " rows, expected below 2147483647");
        }
        int[] groupIndices = new int[groups.size() + 1];
        int[] puzzleIndices = new int[puzzles + 1];
        int[] puzzleIdentifiers = new int[puzzles];
        Files.createDirectories(dir);
        for (String other : compact ? List.of("inputs", "labels") : List.of("task_inputs", "task_labels", "places")) {
            Files.deleteIfExists(dir.resolve("all__" + other + ".npy")); // of an earlier build
        }
        long pairs = groups.stream().mapToLong(group -> group.pairs.size()).sum();
        String form = compact ? "all__task_" : "all__";
        try (Npy.Writer inputs = fields(dir.resolve(form + "inputs.npy"), compact ? pairs : rows);
                Npy.Writer labels = fields(dir.resolve(form + "labels.npy"), compact ? pairs : rows);
                Npy.Writer places = compact ? new Npy.Writer(dir.resolve(ArcCompact.PLACES), "u1", rows, 2) : null) {
            int puzzle = 0;
            for (int g = 0; g < groups.size(); g++) {
                Group group = groups.get(g);
                if (compact) {
                    for (Pair pair : group.pairs) {
                        put(inputs, pair.input(), 0, 0);
                        put(labels, pair.output(), 0, 0);
                    }
                }
                for (ArcCopy copy : group.copies) {
                    putPuzzle(inputs, labels, places, group.pairs, copy, shift);
                    puzzleIdentifiers[puzzle] = identifiers.get(copy.name());
                    puzzleIndices[puzzle + 1] = puzzleIndices[puzzle] + group.pairs.size();
                    puzzle++;
                }
                groupIndices[g + 1] = puzzle;
            }
        }
        Npy.write(dir.resolve("all__group_indices.npy"), new int[] {groupIndices.length}, groupIndices);
        Npy.write(dir.resolve("all__puzzle_indices.npy"), new int[] {puzzleIndices.length}, puzzleIndices);
        Npy.write(dir.resolve("all__puzzle_identifiers.npy"), new int[] {puzzles}, puzzleIdentifiers);
        new DatasetInfo(
                        0,
                        0,
                        0,
                        ArcTokens.VOCABULARY,
                        ArcTokens.TOKENS,
                        identifiers.size(),
                        groups.size(),
                        (double) rows / puzzles,
                        puzzles,
                        List.of("all"))
                .write(dir.resolve("dataset.json"));
        return (int) rows;
    }

    private static Npy.Writer fields(Path path, long rows) throws IOException {
        return new Npy.Writer(path, "u1", rows, ArcTokens.TOKENS);
    }

    /**
     * All pairs of a copy, each at a place of its own if {@code shift}, but one of them, drawn, at the corner.
     *
     * @param places in the compact form, takes the places alone; else null
     */
    private void putPuzzle(
            Npy.Writer inputs, Npy.Writer labels, Npy.Writer places, List<Pair> pairs, ArcCopy copy, boolean shift)
            throws IOException {
        int fixed = random.randint(0, pairs.size());
        for (int i = 0; i < pairs.size(); i++) {
            Grid input = copy.apply(pairs.get(i).input());
            Grid output = copy.apply(pairs.get(i).output());
            int top = 0;
            int left = 0;
            if (shift && i != fixed) {
                top = random.randint(0, ArcTokens.SIDE - Math.max(input.rows(), output.rows()) + 1);
                left = random.randint(0, ArcTokens.SIDE - Math.max(input.columns(), output.columns()) + 1);
            }
            if (places == null) {
                put(inputs, input, top, left);
                put(labels, output, top, left);
            } else {
                places.put(top);
                places.put(left);
            }
        }
    }

    private static void put(Npy.Writer to, Grid grid, int top, int left) throws IOException {
        int[] field = new int[ArcTokens.TOKENS];
        ArcTokens.put(grid, top, left, field);
        for (int token : field) {
            to.put(token);
        }
    }
}
