package trm.data;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import trm.data.format.SingleExampleWriter;
import trm.data.own.OwnPuzzle;
import trm.data.own.PuzzleJson;
import trm.data.puzzle.Augmentation;
import trm.data.puzzle.OtherPuzzle;
import trm.data.puzzle.Puzzle;
import trm.data.random.PhiloxRandom;
import trm.data.table.ColumnNames;
import trm.data.table.ColumnNames.Role;
import trm.data.table.PuzzleTable;
import trm.input.DataException;
import trm.input.Shown;

/**
 * Builds a dataset folder from a user's own puzzles: questions and answers of one length, over a small alphabet, in tables
 * ({@link PuzzleTable}). A cell is a character, or, in JSON with rows of numbers, a whole number from 0. The token of a cell is
 * its place in the alphabet + 1, or its number + 1. Every puzzle is a group, of itself and its copies, without an identifier. How
 * the puzzles are written and drawn is kept beside them ({@link PuzzleJson}).
 */
public final class OwnPuzzles {
    /** A dataset keeps a token in a byte. */
    private static final int MOST_CELL_VALUES = 255;

    private OwnPuzzles() {}

    /**
     * How the puzzles are written and drawn. Symbols are characters, or numbers with commas between them.
     *
     * @param alphabet of characters, in the order of the tokens; null for those of the training puzzles, by code point
     * @param board    rows and columns; null for those of the table, else a square where the length is one
     * @param blocks   rows and columns between lines that are drawn; null for no lines
     * @param empty    symbols of cells that are for the answer to fill; null for those that no training answer has
     * @param square   whether the symmetries of the square make a puzzle of a puzzle
     * @param permuted symbols that may be exchanged for each other; null for none
     */
    public record Look(String alphabet, int[] board, int[] blocks, String empty, boolean square, String permuted) {
        /** As the table has it. */
        public static Look of(String alphabet) {
            return new Look(alphabet, null, null, null, false, null);
        }
    }

    /**
     * What becomes of the puzzles.
     *
     * @param holdOut share of the training puzzles to test on, none of which is one that is trained on, changed by the square's
     *                symmetries or those of the look; 0 for none
     * @param copies  of each training puzzle, changed by drawn symmetries of the look
     * @param compact whether the folder keeps how copies are made instead of them
     * @param seed    of what is drawn
     */
    public record Split(double holdOut, int copies, boolean compact, long seed) {
        /** As the files have it. */
        public static final Split PLAIN = new Split(0, 0, false, 0);
    }

    /**
     * What was written.
     *
     * @param length cells of a question
     * @param alphabet characters in the order of their tokens 1, 2, ...; null for numbers
     * @param vocabulary tokens, padding included
     */
    public record Summary(Path out, int length, String alphabet, int vocabulary, int train, int test) {}

    /** As {@link #build(Path, Path, Path, ColumnNames, Look, Split, Consumer)}. */
    public static Summary build(Path train, Path test, Path out, String question, String answer, String alphabet) {
        ColumnNames names = new ColumnNames(question, answer, null, null);
        return build(train, test, out, names, Look.of(alphabet), Split.PLAIN, note -> {});
    }

    /**
     * Writes the folder.
     *
     * @param train puzzles to train on
     * @param test  puzzles to test on, with cells of the same kind and of the same length; null where a part is held out
     * @param names of the columns or keys
     * @param notes sees questions that a file has with several answers, and what the split came to
     * @throws DataException naming the place, if a file is wrong or contradicts the look
     */
    public static Summary build(
            Path train, Path test, Path out, ColumnNames names, Look look, Split split, Consumer<String> notes) {
        CellValues values = new CellValues(MOST_CELL_VALUES);
        OwnPuzzleFile training = read(train, names, values, null);
        int[] trained = values.distinct();
        OwnPuzzleFile testing = test == null ? training : read(test, names, values, training);
        int[] letters = letters(train, training, look.alphabet(), trained);
        int count = letters == null ? count(train, values) : letters.length;
        int[] tokens = values.tokens(letters);
        for (OwnPuzzleFile file : test == null ? List.of(training) : List.of(training, testing)) {
            file.conflicts().ifPresent(notes);
        }
        OwnPuzzle own = puzzle(train, training, letters, count + 1, look, tokens);
        Set<Integer> held = test == null ? held(train, training, own, tokens, split, notes) : Set.of();
        List<Integer> all = IntStream.range(0, testing.count()).boxed().toList();
        List<Integer> kept = IntStream.range(0, training.count())
                .filter(puzzle -> !held.contains(puzzle))
                .boxed()
                .toList();
        List<Integer> tested =
                test == null ? all.stream().filter(held::contains).toList() : all;
        own = own.with(rule(own, tokens, training, testing));
        if (split.copies() > 0) {
            symmetries(
                    train, own, split.copies(), new PhiloxRandom(split.seed())); // refused before anything is written
        }
        try {
            SingleExampleWriter.writeIdentifiers(out);
            PuzzleJson.write(out, own);
            write(out.resolve("train"), training, kept, own, tokens, split);
            write(out.resolve("test"), testing, tested, own, tokens, Split.PLAIN);
        } catch (IOException e) {
            throw new DataException(out + ": cannot be written: " + e.getMessage(), e);
        }
        return new Summary(out, training.length(), own.alphabet(), count + 1, kept.size(), tested.size());
    }

    /** The alphabet; null for numbers. */
    private static int[] letters(Path train, OwnPuzzleFile training, String alphabet, int[] trained) {
        if (training.numbers()) {
            if (alphabet != null) {
                throw new DataException("alphabet: " + train + " has numbers for cells, expected no alphabet");
            }
            return null;
        }
        int[] letters = alphabet == null ? trained : alphabet.codePoints().toArray();
        requireFew(train, letters.length);
        if (IntStream.of(letters).distinct().count() != letters.length) {
            throw new DataException("alphabet " + Shown.quoted(alphabet) + ": expected each character once");
        }
        return letters;
    }

    /** Numbers that cells may be. */
    private static int count(Path train, CellValues values) {
        long count = 1L + IntStream.of(values.distinct()).max().orElse(0);
        requireFew(train, count);
        return (int) count;
    }

    private static void requireFew(Path train, long count) {
        if (count > MOST_CELL_VALUES) {
            throw new DataException(
                    train + ": found " + count + " different cells, expected at most " + MOST_CELL_VALUES);
        }
    }

    private static OwnPuzzle puzzle(
            Path train, OwnPuzzleFile training, int[] letters, int vocabulary, Look look, int[] tokens) {
        int length = training.length();
        int columns = look.board() != null
                ? look.board()[1]
                : training.columns() > 0 ? training.columns() : OtherPuzzle.INSTANCE.columns(length);
        int rows = look.board() != null ? look.board()[0] : length / columns;
        if ((long) rows * columns != length) {
            throw new DataException(train + ": found questions of " + length + " cells, expected " + rows + " x "
                    + columns + " as --board says");
        }
        if (look.square() && rows != columns) {
            throw new DataException(train + ": found boards of " + rows + " x " + columns
                    + " cells, expected square ones, as --square says");
        }
        int[] blocks = look.blocks() != null ? look.blocks() : new int[] {rows, columns};
        if (rows % blocks[0] != 0 || columns % blocks[1] != 0) {
            throw new DataException(train + ": found boards of " + rows + " x " + columns
                    + " cells, expected whole blocks of " + blocks[0] + " x " + blocks[1] + " as --blocks says");
        }
        String alphabet = letters == null
                ? null
                : IntStream.of(letters).mapToObj(Character::toString).collect(Collectors.joining());
        OwnPuzzle plain = new OwnPuzzle(
                OwnPuzzle.KEY,
                alphabet,
                vocabulary,
                rows,
                columns,
                blocks[0],
                blocks[1],
                Set.of(),
                look.square(),
                List.of());
        Set<Integer> empty =
                look.empty() == null ? unanswered(training, tokens) : tokens(plain, "--empty", look.empty());
        String permuted = look.permuted() == null ? "" : look.permuted();
        return plain.with(empty, List.copyOf(tokens(plain, "--permute", permuted)));
    }

    private static Set<Integer> tokens(OwnPuzzle puzzle, String option, String symbols) {
        Set<Integer> tokens = new TreeSet<>();
        for (int token : symbols.isEmpty() ? new int[0] : puzzle.tokens(option + ": ", symbols)) {
            if (!tokens.add(token)) {
                throw new DataException(
                        option + ": found " + Shown.quoted(puzzle.glyph(token)) + " twice, expected each symbol once");
            }
        }
        return tokens;
    }

    /** Tokens of questions that no answer has. */
    private static Set<Integer> unanswered(OwnPuzzleFile file, int[] tokens) {
        Set<Integer> asked = new HashSet<>();
        Set<Integer> answered = new HashSet<>();
        for (int puzzle = 0; puzzle < file.count(); puzzle++) {
            IntStream.of(file.tokens(puzzle, 0, tokens)).forEach(asked::add);
            IntStream.of(file.tokens(puzzle, 1, tokens)).forEach(answered::add);
        }
        asked.removeAll(answered);
        return asked;
    }

    /** The known kind whose rules all puzzles keep and whose symbols they have; else their own. */
    private static String rule(OwnPuzzle own, int[] tokens, OwnPuzzleFile... files) {
        Puzzle kind = Puzzles.of(own.vocabulary(), files[0].tokens(0, 0, tokens), files[0].tokens(0, 1, tokens));
        if (!kind.hasRules() || own.alphabet() == null || !kind.glyphs().startsWith(own.alphabet())) {
            return OwnPuzzle.KEY;
        }
        for (OwnPuzzleFile file : files) {
            for (int puzzle = 0; puzzle < file.count(); puzzle++) {
                if (!kind.recognises(
                        own.vocabulary(), file.tokens(puzzle, 0, tokens), file.tokens(puzzle, 1, tokens))) {
                    return OwnPuzzle.KEY;
                }
            }
        }
        return kind.key();
    }

    /**
     * The puzzles to hold out: those of whole families, which have one answer but for symmetries, drawn until no further one fits.
     *
     * @throws DataException if no family is so small
     */
    private static Set<Integer> held(
            Path train, OwnPuzzleFile file, OwnPuzzle own, int[] tokens, Split split, Consumer<String> notes) {
        Map<String, List<Integer>> families = new LinkedHashMap<>();
        for (int puzzle = 0; puzzle < file.count(); puzzle++) {
            families.computeIfAbsent(own.form(file.tokens(puzzle, 1, tokens), true), form -> new ArrayList<>())
                    .add(puzzle);
        }
        List<List<Integer>> all = List.copyOf(families.values());
        long wanted = Math.max(1, Math.round(split.holdOut() * file.count()));
        Set<Integer> held = new HashSet<>();
        int chosen = 0;
        for (int family : new PhiloxRandom(split.seed()).permutation(all.size())) {
            if (held.size() + all.get(family).size() <= wanted) {
                held.addAll(all.get(family));
                chosen++;
            }
        }
        if (held.isEmpty() || held.size() == file.count()) {
            throw new DataException(train + ": found " + file.count() + " puzzles of " + all.size()
                    + (all.size() == 1 ? " answer" : " answers")
                    + ", symmetric ones counted once, expected some of which "
                    + wanted + (wanted == 1 ? " puzzle" : " puzzles") + " can be held out (--hold-out "
                    + split.holdOut() + ")");
        }
        notes.accept("held out " + held.size() + " of " + file.count() + " puzzles, those of " + chosen + " of "
                + all.size() + " answers, symmetric ones counted once");
        return held;
    }

    private static List<Augmentation> symmetries(Path train, OwnPuzzle own, int copies, PhiloxRandom random) {
        try {
            return own.drawn(1 + copies, random);
        } catch (DataException e) {
            throw new DataException(train + ": --aug " + copies + ": " + e.getMessage(), e);
        }
    }

    private static void write(
            Path dir, OwnPuzzleFile file, List<Integer> puzzles, OwnPuzzle own, int[] tokens, Split split)
            throws IOException {
        int size = 1 + split.copies();
        PhiloxRandom random = new PhiloxRandom(split.seed());
        try (SingleExampleWriter writer = split.compact()
                ? SingleExampleWriter.compact(dir, puzzles.size(), size, own.cells(), own.vocabulary())
                : SingleExampleWriter.expanded(dir, "u1", puzzles.size(), size, own.cells(), own.vocabulary())) {
            for (int puzzle : puzzles) {
                writer.task(file.tokens(puzzle, 0, tokens), file.tokens(puzzle, 1, tokens));
                if (size > 1) {
                    for (Augmentation symmetry : own.drawn(size, random).subList(1, size)) {
                        writer.copy(symmetry);
                    }
                }
            }
        }
    }

    /** @param like whose kind and length the puzzles must have, null for any */
    static OwnPuzzleFile read(Path path, ColumnNames names, CellValues values, OwnPuzzleFile like) {
        OwnPuzzleFile puzzles = new OwnPuzzleFile(path, values, like);
        new PuzzleTable(path, names, EnumSet.of(Role.QUESTION, Role.ANSWER), EnumSet.noneOf(Role.class), false)
                .read(puzzles::add);
        if (puzzles.count() == 0) {
            throw new DataException(path + ": found no puzzle, expected at least one");
        }
        return puzzles;
    }
}
