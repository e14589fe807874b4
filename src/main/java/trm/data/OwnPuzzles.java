package trm.data;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Builds a dataset folder from a user's own puzzles: questions and answers of one length, over a small alphabet. Two forms
 * of files are read, plain or gzipped:
 *
 * <pre>
 *   CSV    a header with two columns for question and answer; a cell is one character
 *   JSON   [{"question": [[0, 2], [1, 0]], "answer": [[1, 2], [1, 1]]}, ...]; a cell is a whole number from 0
 * </pre>
 *
 * The token of a cell is its place in the alphabet + 1, or its number + 1. Every puzzle is a group of its own, of one
 * example, without an identifier.
 */
public final class OwnPuzzles {
    /** A dataset keeps a token in a byte. */
    private static final int MOST_CELL_VALUES = 255;

    /** Cells as characters, or for JSON as numbers, both as code points. */
    private record Puzzle(int[] question, int[] answer) {}

    private OwnPuzzles() {}

    /**
     * What was written.
     *
     * @param length cells of a question
     * @param alphabet characters in the order of their tokens 1, 2, ...; null for numbers
     * @param vocabulary tokens, padding included
     */
    public record Summary(Path out, int length, String alphabet, int vocabulary, int train, int test) {}

    /**
     * Writes the folder.
     *
     * @param train    puzzles to train on; JSON if the name ends in ".json" or ".json.gz", else CSV
     * @param test     puzzles to test on, in the same form and of the same length
     * @param question name of the column or key
     * @param answer   likewise
     * @param alphabet of CSV, in the order of the tokens; null for the characters of the training puzzles, by code point
     * @throws DataException naming the place, if a file is wrong
     */
    public static Summary build(Path train, Path test, Path out, String question, String answer, String alphabet) {
        boolean numbers = isJson(train);
        if (isJson(test) != numbers) {
            throw new DataException(test + ": expected " + (numbers ? "JSON" : "CSV") + " as " + train + " is");
        }
        if (numbers && alphabet != null) {
            throw new DataException("alphabet: " + train + " has numbers for cells, expected no alphabet");
        }
        List<Puzzle> training = read(train, question, answer, numbers, 0);
        int length = training.get(0).question.length;
        List<Puzzle> testing = read(test, question, answer, numbers, length);
        String letters = numbers ? null : alphabet != null ? alphabet : text(distinct(training));
        long values = numbers
                ? 1L + Math.max(distinct(training).last(), distinct(testing).last())
                : letters.codePoints().count();
        if (values > MOST_CELL_VALUES) {
            throw new DataException(
                    train + ": found " + values + " different cells, expected at most " + MOST_CELL_VALUES);
        }
        if (letters != null && letters.codePoints().distinct().count() != values) {
            throw new DataException("alphabet '" + letters + "': expected each character once");
        }
        toValues(train, training, letters);
        toValues(test, testing, letters);
        int vocabulary = (int) values + 1;
        try {
            SingleExampleWriter.writeIdentifiers(out);
            write(out.resolve("train"), training, length, vocabulary);
            write(out.resolve("test"), testing, length, vocabulary);
        } catch (IOException e) {
            throw new DataException(out + ": cannot be written: " + e.getMessage(), e);
        }
        return new Summary(out, length, letters, vocabulary, training.size(), testing.size());
    }

    private static boolean isJson(Path path) {
        return path.toString().endsWith(".json") || path.toString().endsWith(".json.gz");
    }

    private static void write(Path dir, List<Puzzle> puzzles, int length, int vocabulary) throws IOException {
        try (SingleExampleWriter writer =
                SingleExampleWriter.expanded(dir, "u1", puzzles.size(), 1, length, vocabulary)) {
            for (Puzzle puzzle : puzzles) {
                writer.task(Boards.tokens(puzzle.question), Boards.tokens(puzzle.answer));
            }
        }
    }

    /** @param length of question and answer, 0 for that of the first question */
    private static List<Puzzle> read(Path path, String question, String answer, boolean numbers, int length) {
        List<Puzzle> puzzles = new ArrayList<>();
        if (numbers) {
            JsonNode list = JsonFile.read(path);
            if (!list.isArray()) {
                throw new DataException(
                        path + ": expected a list of objects with '" + question + "' and '" + answer + "'");
            }
            for (int i = 0; i < list.size(); i++) {
                String where = path + ": puzzle " + (i + 1) + ": ";
                add(
                        puzzles,
                        where,
                        cells(where + question + ": ", list.get(i).path(question)),
                        cells(where + answer + ": ", list.get(i).path(answer)),
                        length);
            }
        } else {
            PuzzleCsv.read(
                    path,
                    question,
                    answer,
                    (where, fields) -> add(
                            puzzles,
                            where,
                            fields.get(0).codePoints().toArray(),
                            fields.get(1).codePoints().toArray(),
                            length));
        }
        if (puzzles.isEmpty()) {
            throw new DataException(path + ": found no puzzle, expected at least one");
        }
        return puzzles;
    }

    private static void add(List<Puzzle> puzzles, String where, int[] question, int[] answer, int length) {
        int first = puzzles.isEmpty() ? question.length : puzzles.get(0).question.length;
        checkLength(where + "question: ", question.length, length > 0 ? length : first);
        checkLength(where + "answer: ", answer.length, question.length);
        puzzles.add(new Puzzle(question, answer));
    }

    private static void checkLength(String where, int found, int wanted) {
        if (found != wanted || found == 0) {
            throw new DataException(where + "found " + found + " cells, expected "
                    + (wanted == 0 ? "at least one" : wanted + " as in the first question"));
        }
    }

    private static int[] cells(String where, JsonNode grid) {
        List<Integer> cells = new ArrayList<>();
        if (!grid.isArray()) {
            throw new DataException(where + "found " + (grid.isMissingNode() ? "nothing" : grid) + ", expected rows");
        }
        for (int i = 0; i < grid.size(); i++) {
            for (JsonNode cell : grid.get(i)) {
                if (!cell.isIntegralNumber() || !cell.canConvertToInt() || cell.intValue() < 0) {
                    throw new DataException(
                            where + "row " + (i + 1) + ": found " + cell + ", expected whole numbers of at least 0");
                }
                cells.add(cell.intValue());
            }
            if (grid.get(i).size() != grid.get(0).size() || grid.get(i).isEmpty()) {
                throw new DataException(
                        where + "row " + (i + 1) + ": found " + grid.get(i).size() + " cells, expected "
                                + (i == 0 ? "at least one" : grid.get(0).size() + " as in row 1"));
            }
        }
        return cells.stream().mapToInt(Integer::intValue).toArray();
    }

    private static String text(Set<Integer> letters) {
        return letters.stream().map(Character::toString).collect(Collectors.joining());
    }

    /** Every different cell, ascending. */
    private static TreeSet<Integer> distinct(List<Puzzle> puzzles) {
        TreeSet<Integer> cells = new TreeSet<>();
        for (Puzzle puzzle : puzzles) {
            IntStream.concat(IntStream.of(puzzle.question), IntStream.of(puzzle.answer))
                    .forEach(cells::add);
        }
        return cells;
    }

    /** Characters become their places in the alphabet; numbers stay. */
    private static void toValues(Path path, List<Puzzle> puzzles, String letters) {
        if (letters == null) {
            return;
        }
        List<Integer> order = letters.codePoints().boxed().toList();
        for (int p = 0; p < puzzles.size(); p++) {
            for (int[] cells : List.of(puzzles.get(p).question, puzzles.get(p).answer)) {
                for (int i = 0; i < cells.length; i++) {
                    int place = order.indexOf(cells[i]);
                    if (place < 0) {
                        throw new DataException(path + ": row " + (p + 1) + " behind the header, character " + (i + 1)
                                + ": found '" + Character.toString(cells[i]) + "', expected one of '" + letters + "'");
                    }
                    cells[i] = place;
                }
            }
        }
    }
}
