package trm.data.arc;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import trm.data.arc.ArcTask.Pair;
import trm.data.format.DatasetInfo;
import trm.data.format.Npy;
import trm.data.format.SingleExampleWriter;
import trm.data.puzzle.Augmentation;
import trm.data.puzzle.Grid;
import trm.data.random.LegacyRandom;
import trm.input.DataException;

/**
 * One split of an ARC folder: groups of copies, and where in its field each pair of each copy lies. Writes it in either form
 * (docs/data.md). Grids are made as they are written, so memory grows with the number of examples by a few bytes each.
 *
 * <p>In the compact form an example is a stored field, turned cyclically to its place and its colours renamed. What is stored is a
 * pair of the original, transformed, at the corner. Where a field ends with a grid, the line of end markers below it or right of
 * it lies outside and must not come in again on the other side: then another field is stored, without that line.
 */
final class ArcSplit {
    /** A task's pairs in a split, and its copies, the original first. */
    record Group(List<Pair> pairs, List<ArcCopy> copies) {}

    /** A field that is stored. @param lines which lines of end markers it lacks: 1 the one below, 2 the one to the right */
    private record Stored(int pair, int transform, int lines) {}

    private final List<Group> groups;
    private final int examples;
    private final short[] places; // side * top + left of each example

    /**
     * Draws where pairs lie, as the published builder does: all pairs of a copy each at a place of its own if {@code shift}, but
     * one of them, drawn, at the corner.
     *
     * @throws DataException if there are 2^31 - 1 examples or more
     */
    ArcSplit(List<Group> groups, boolean shift, LegacyRandom random) {
        this.groups = groups;
        long rows = groups.stream()
                .mapToLong(group -> (long) group.pairs.size() * group.copies.size())
                .sum();
        if (rows >= Integer.MAX_VALUE) {
            throw new DataException("found " + rows + " rows, expected below 2147483647: ask for fewer copies");
        }
        examples = (int) rows;
        places = new short[examples];
        int example = 0;
        for (Group group : groups) {
            for (ArcCopy copy : group.copies) {
                int fixed = random.randint(0, group.pairs.size());
                for (int i = 0; i < group.pairs.size(); i++) {
                    if (shift && i != fixed) {
                        int top = random.randint(0, ArcTokens.SIDE - height(group.pairs.get(i), copy.transform()) + 1);
                        int left = random.randint(0, ArcTokens.SIDE - width(group.pairs.get(i), copy.transform()) + 1);
                        places[example] = (short) (ArcTokens.SIDE * top + left);
                    }
                    example++;
                }
            }
        }
    }

    /** Rows of the larger grid of a transformed pair. */
    private static int height(Pair pair, int transform) {
        return Grid.turns(transform)
                ? Math.max(pair.input().columns(), pair.output().columns())
                : Math.max(pair.input().rows(), pair.output().rows());
    }

    private static int width(Pair pair, int transform) {
        return Grid.turns(transform)
                ? Math.max(pair.input().rows(), pair.output().rows())
                : Math.max(pair.input().columns(), pair.output().columns());
    }

    int examples() {
        return examples;
    }

    /**
     * Writes the folder of the split.
     *
     * @param identifiers of the copies, by their names
     */
    void write(Path dir, Map<String, Integer> identifiers, boolean compact) throws IOException {
        Files.createDirectories(dir);
        SingleExampleWriter.deleteOther(dir, compact);
        if (compact) {
            writeCompact(dir);
        } else {
            writeExpanded(dir);
        }
        int puzzles = groups.stream().mapToInt(group -> group.copies.size()).sum();
        int[] groupIndices = new int[groups.size() + 1];
        int[] puzzleIndices = new int[puzzles + 1];
        int[] puzzleIdentifiers = new int[puzzles];
        int puzzle = 0;
        for (int g = 0; g < groups.size(); g++) {
            for (ArcCopy copy : groups.get(g).copies) {
                puzzleIdentifiers[puzzle] = identifiers.get(copy.name());
                puzzleIndices[puzzle + 1] =
                        puzzleIndices[puzzle] + groups.get(g).pairs.size();
                puzzle++;
            }
            groupIndices[g + 1] = puzzle;
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
                        (double) examples / puzzles,
                        puzzles,
                        List.of("all"))
                .write(dir.resolve("dataset.json"));
    }

    private void writeExpanded(Path dir) throws IOException {
        int[] field = new int[ArcTokens.TOKENS];
        try (Npy.Writer inputs = new Npy.Writer(dir.resolve("all__inputs.npy"), "u1", examples, ArcTokens.TOKENS);
                Npy.Writer labels = new Npy.Writer(dir.resolve("all__labels.npy"), "u1", examples, ArcTokens.TOKENS)) {
            int example = 0;
            for (Group group : groups) {
                for (ArcCopy copy : group.copies) {
                    for (Pair pair : group.pairs) {
                        int top = places[example] / ArcTokens.SIDE;
                        int left = places[example++] % ArcTokens.SIDE;
                        ArcTokens.put(copy.apply(pair.input()), top, left, field);
                        put(inputs, field);
                        ArcTokens.put(copy.apply(pair.output()), top, left, field);
                        put(labels, field);
                    }
                }
            }
        }
    }

    private void writeCompact(Path dir) throws IOException {
        int[] storedOf = new int[examples];
        int stored = numberStored(storedOf);
        int width = Augmentation.bytes(ArcTokens.SIDE, ArcTokens.VOCABULARY);
        try (Npy.Writer inputs = new Npy.Writer(dir.resolve("all__task_inputs.npy"), "u1", stored, ArcTokens.TOKENS);
                Npy.Writer labels =
                        new Npy.Writer(dir.resolve("all__task_labels.npy"), "u1", stored, ArcTokens.TOKENS);
                Npy.Writer origins = new Npy.Writer(dir.resolve("all__origins.npy"), "i4", examples, 2);
                Npy.Writer augmentations =
                        new Npy.Writer(dir.resolve("all__augmentations.npy"), "u1", examples, width)) {
            int next = 0;
            int example = 0;
            for (Group group : groups) {
                for (ArcCopy copy : group.copies) {
                    for (Pair pair : group.pairs) {
                        int place = places[example];
                        if (storedOf[example] == next) {
                            putStored(inputs, pair.input().transform(copy.transform()), place);
                            putStored(labels, pair.output().transform(copy.transform()), place);
                            next++;
                        }
                        origins.put(storedOf[example]);
                        origins.put(example++);
                        put(augmentations, augmentation(place, copy).record());
                    }
                }
            }
        }
    }

    /** Numbers the fields to store as examples first need them. @return their count */
    private int numberStored(int[] storedOf) {
        int stored = 0;
        int example = 0;
        for (Group group : groups) {
            Map<Stored, Integer> numbers = new HashMap<>();
            for (ArcCopy copy : group.copies) {
                for (int i = 0; i < group.pairs.size(); i++) {
                    int top = places[example] / ArcTokens.SIDE;
                    int left = places[example] % ArcTokens.SIDE;
                    boolean below = top > 0 && top + height(group.pairs.get(i), copy.transform()) == ArcTokens.SIDE;
                    boolean right = left > 0 && left + width(group.pairs.get(i), copy.transform()) == ArcTokens.SIDE;
                    Stored key = new Stored(i, copy.transform(), (below ? 1 : 0) + (right ? 2 : 0));
                    Integer number = numbers.putIfAbsent(key, stored);
                    storedOf[example++] = number == null ? stored++ : number;
                }
            }
        }
        return stored;
    }

    /** What {@link #augmentation} turns to a place: the field with a grid there, turned back. */
    private static void putStored(Npy.Writer to, Grid grid, int place) throws IOException {
        int[] field = new int[ArcTokens.TOKENS];
        ArcTokens.put(grid, place / ArcTokens.SIDE, place % ArcTokens.SIDE, field);
        int[] back = new int[ArcTokens.TOKENS];
        for (int r = 0; r < ArcTokens.SIDE; r++) {
            for (int c = 0; c < ArcTokens.SIDE; c++) {
                int from = (r + place / ArcTokens.SIDE) % ArcTokens.SIDE * ArcTokens.SIDE;
                back[r * ArcTokens.SIDE + c] = field[from + (c + place) % ArcTokens.SIDE];
            }
        }
        put(to, back);
    }

    /** A cyclic shift down and to the right, and the copy's colours. */
    private static Augmentation augmentation(int place, ArcCopy copy) {
        int[] rows = new int[ArcTokens.SIDE];
        int[] columns = new int[ArcTokens.SIDE];
        Arrays.setAll(rows, r -> (r - place / ArcTokens.SIDE + ArcTokens.SIDE) % ArcTokens.SIDE);
        Arrays.setAll(columns, c -> (c - place % ArcTokens.SIDE + ArcTokens.SIDE) % ArcTokens.SIDE);
        int[] tokens = new int[ArcTokens.VOCABULARY];
        Arrays.setAll(
                tokens,
                t -> t < ArcTokens.FIRST_COLOUR
                        ? t
                        : copy.colours()[t - ArcTokens.FIRST_COLOUR] + ArcTokens.FIRST_COLOUR);
        return new Augmentation(false, rows, columns, tokens);
    }

    private static void put(Npy.Writer to, int[] values) throws IOException {
        for (int value : values) {
            to.put(value);
        }
    }
}
