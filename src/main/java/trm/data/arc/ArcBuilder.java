package trm.data.arc;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import trm.data.arc.ArcTask.Pair;
import trm.data.format.PythonJson;
import trm.data.puzzle.Grid;
import trm.data.random.LegacyRandom;
import trm.input.DataException;
import trm.input.Shown;

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

    static final String BLANK = "<blank>";

    private final LegacyRandom random;
    private final int aug;
    private final Consumer<String> notes;
    private final List<ArcSplit.Group> train = new ArrayList<>();
    private final List<ArcSplit.Group> test = new ArrayList<>();
    private int scarce; // tasks with fewer copies than asked for
    private List<ArcCopy> scarcest; // the copies of that with fewest
    private final ObjectNode testPuzzles = JsonNodeFactory.instance.objectNode();
    private final List<TestTask> testTasks = new ArrayList<>();
    private final Map<String, String> subsetOf = new HashMap<>(); // that a task came from first
    private final List<String> repeated = new ArrayList<>(); // tasks that came again

    private ArcBuilder(long seed, int aug, Consumer<String> notes) {
        this.random = new LegacyRandom(seed);
        this.aug = aug;
        this.notes = notes;
    }

    /**
     * What was written.
     *
     * @param identifiers rows of the puzzle table, the blank one included
     * @param testExamples 0 without a test set
     * @param testTasks one for each group of the test split
     */
    public record Summary(
            Path out, int tasks, int identifiers, int trainExamples, int testExamples, List<TestTask> testTasks) {}

    /** A task that is tested on. @param subset of its file */
    public record TestTask(String id, String subset) {}

    /**
     * Writes the folder.
     *
     * @param prefix   of the files' names ({@link ArcFiles})
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
        return build(prefix, subsets, testSets, out, aug, seed, null, false, notes);
    }

    /**
     * As {@link #build(String, List, List, Path, int, long, Consumer)}, with a smaller test split or in the compact form. The
     * draws are the same, and so are the examples.
     *
     * @param limitTest keeps only the first test tasks, as many as this; null keeps all
     * @param compact   writes both splits in their compact form (docs/data.md)
     */
    public static Summary build(
            String prefix,
            List<String> subsets,
            List<String> testSets,
            Path out,
            int aug,
            long seed,
            Integer limitTest,
            boolean compact,
            Consumer<String> notes) {
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
        ArcBuilder builder = new ArcBuilder(seed, aug, notes);
        for (String subset : subsets) {
            builder.addSubset(
                    ArcFiles.read(prefix, subset, subsets.size() == 1, notes), subset, testSets.contains(subset));
        }
        builder.tellRepeated();
        builder.tellScarce();
        return builder.write(out, limitTest, compact);
    }

    /**
     * Writes the folder of a single task: its train pairs are the training split, its test pairs the test split.
     *
     * @param aug   copies, 0 or more
     * @param seed  of the legacy generator, 0 .. 2^32 - 1
     * @param notes is told if there are fewer copies
     */
    public static Summary build(ArcTask task, Path out, int aug, long seed, Consumer<String> notes) {
        ArcBuilder builder = new ArcBuilder(seed, aug, notes);
        builder.addSubset(List.of(task), task.id(), true);
        builder.tellScarce();
        return builder.write(out, null, false);
    }

    private void tellScarce() {
        if (scarce > 0) {
            notes.accept(scarce + " of " + train.size() + " tasks have fewer than " + aug
                    + " different copies; the fewest, " + (scarcest.size() - 1) + ", has "
                    + scarcest.get(0).task());
        }
    }

    /** A task of the same name again is a group of its own, as in the published builder, and has the same identifier. */
    private void addSubset(List<ArcTask> tasks, String subset, boolean isTest) {
        int[] order = new int[tasks.size()];
        Arrays.setAll(order, i -> i);
        random.shuffle(order);
        for (int i : order) {
            ArcTask task = tasks.get(i);
            List<ArcCopy> copies = copies(task);
            if (subsetOf.putIfAbsent(task.id(), subset) != null) {
                repeated.add("'" + task.id() + "' (" + subsetOf.get(task.id()) + ", " + subset + ")");
            }
            if (isTest) {
                testTasks.add(new TestTask(task.id(), subset));
                testPuzzles.set(task.id(), task.json());
                train.add(new ArcSplit.Group(task.train(), copies));
                test.add(new ArcSplit.Group(task.test(), copies));
            } else {
                train.add(new ArcSplit.Group(task.inFileOrder(), copies));
            }
        }
    }

    private void tellRepeated() {
        if (!repeated.isEmpty()) {
            notes.accept(repeated.size() + " tasks are in two subsets, the first " + Shown.line(repeated.get(0))
                    + ": each is kept twice under one identifier; where one of the two is a test set and the other is not,"
                    + " its test pairs are trained on");
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

    private Summary write(Path out, Integer limitTest, boolean compact) {
        Map<String, Integer> identifiers = new LinkedHashMap<>();
        identifiers.put(BLANK, 0);
        for (List<ArcSplit.Group> split : List.of(train, test)) {
            for (ArcSplit.Group group : split) {
                group.copies().forEach(copy -> identifiers.putIfAbsent(copy.name(), identifiers.size()));
            }
        }
        if (limitTest != null && limitTest < test.size()) {
            test.subList(limitTest, test.size()).clear();
            testTasks.subList(limitTest, testTasks.size()).clear();
            testPuzzles.retain(
                    test.stream().map(group -> group.copies().get(0).task()).toList());
        }
        try {
            Files.createDirectories(out);
            ArcSplit trainSplit = new ArcSplit(train, true, random);
            ArcSplit testSplit = new ArcSplit(test, false, random);
            trainSplit.write(out.resolve("train"), identifiers, compact);
            if (testSplit.examples() > 0) {
                testSplit.write(out.resolve("test"), identifiers, compact);
            }
            String names =
                    identifiers.keySet().stream().map(PythonJson::quoted).collect(Collectors.joining(", ", "[", "]"));
            Files.writeString(out.resolve("identifiers.json"), names, StandardCharsets.US_ASCII);
            Files.writeString(
                    out.resolve("test_puzzles.json"), PythonJson.text(testPuzzles), StandardCharsets.US_ASCII);
            return new Summary(
                    out, train.size(), identifiers.size(), trainSplit.examples(), testSplit.examples(), testTasks);
        } catch (IOException e) {
            throw new DataException(out + ": cannot be written: " + e.getMessage(), e);
        }
    }
}
