package trm.data;

import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import trm.data.format.SingleExampleWriter;
import trm.data.table.ColumnNames;
import trm.data.table.ColumnNames.Role;
import trm.data.table.PuzzleTable;
import trm.input.DataException;
import trm.input.Shown;

/**
 * Builds a dataset folder from a user's own puzzles: questions and answers of one length, over a small alphabet, in tables
 * ({@link PuzzleTable}). A cell is a character, or, in JSON with rows of numbers, a whole number from 0. The token of a cell is
 * its place in the alphabet + 1, or its number + 1. Every puzzle is a group of its own, of one example, without an identifier.
 */
public final class OwnPuzzles {
    /** A dataset keeps a token in a byte. */
    private static final int MOST_CELL_VALUES = 255;

    private OwnPuzzles() {}

    /**
     * What was written.
     *
     * @param length cells of a question
     * @param alphabet characters in the order of their tokens 1, 2, ...; null for numbers
     * @param vocabulary tokens, padding included
     */
    public record Summary(Path out, int length, String alphabet, int vocabulary, int train, int test) {}

    /** As {@link #build(Path, Path, Path, ColumnNames, String, Consumer)}. */
    public static Summary build(Path train, Path test, Path out, String question, String answer, String alphabet) {
        return build(train, test, out, new ColumnNames(question, answer, null, null), alphabet, note -> {});
    }

    /**
     * Writes the folder.
     *
     * @param train    puzzles to train on
     * @param test     puzzles to test on, with cells of the same kind and of the same length
     * @param names    of the columns or keys
     * @param alphabet of characters, in the order of the tokens; null for those of the training puzzles, by code point
     * @param notes    sees questions that a file has with several answers
     * @throws DataException naming the place, if a file is wrong
     */
    public static Summary build(
            Path train, Path test, Path out, ColumnNames names, String alphabet, Consumer<String> notes) {
        CellValues values = new CellValues(MOST_CELL_VALUES);
        OwnPuzzleFile training = read(train, names, values, null);
        int[] trained = values.distinct();
        OwnPuzzleFile testing = read(test, names, values, training);
        boolean numbers = training.numbers();
        if (numbers && alphabet != null) {
            throw new DataException("alphabet: " + train + " has numbers for cells, expected no alphabet");
        }
        int[] letters = numbers
                ? null
                : alphabet == null ? trained : alphabet.codePoints().toArray();
        long count = numbers ? 1L + IntStream.of(values.distinct()).max().orElse(0) : letters.length;
        if (count > MOST_CELL_VALUES) {
            throw new DataException(
                    train + ": found " + count + " different cells, expected at most " + MOST_CELL_VALUES);
        }
        if (letters != null && IntStream.of(letters).distinct().count() != letters.length) {
            throw new DataException("alphabet " + Shown.quoted(alphabet) + ": expected each character once");
        }
        String text = letters == null
                ? null
                : IntStream.of(letters).mapToObj(Character::toString).collect(Collectors.joining());
        int[] tokens = values.tokens(letters);
        for (OwnPuzzleFile file : List.of(training, testing)) {
            file.conflicts().ifPresent(notes);
        }
        int vocabulary = (int) count + 1;
        try {
            SingleExampleWriter.writeIdentifiers(out);
            training.write(out.resolve("train"), tokens, vocabulary);
            testing.write(out.resolve("test"), tokens, vocabulary);
        } catch (IOException e) {
            throw new DataException(out + ": cannot be written: " + e.getMessage(), e);
        }
        return new Summary(out, training.length(), text, vocabulary, training.count(), testing.count());
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
