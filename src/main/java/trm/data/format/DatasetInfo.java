package trm.data.format;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Collectors;
import trm.input.DataException;

/**
 * The contents of dataset.json, one for each split.
 *
 * @param padId                token of a padded position
 * @param ignoreLabelId        label token left out of the loss, or null if every label counts
 * @param blankIdentifierId    puzzle identifier that stands for "no identifier"
 * @param vocabSize            tokens are 0 .. vocabSize - 1
 * @param seqLen               tokens of a row
 * @param numPuzzleIdentifiers rows of the puzzle embedding
 * @param totalGroups          groups of the split
 * @param meanPuzzleExamples   examples per puzzle
 * @param totalPuzzles         puzzles of the split; the Sudoku and maze builders write the number of groups here, HRM's nothing:
 *                             then -1 until {@code trm.data.Dataset} has counted
 * @param sets                 set names; a file is called {@code <set>__<field>.npy}
 */
public record DatasetInfo(
        int padId,
        Integer ignoreLabelId,
        int blankIdentifierId,
        int vocabSize,
        int seqLen,
        int numPuzzleIdentifiers,
        int totalGroups,
        double meanPuzzleExamples,
        int totalPuzzles,
        List<String> sets) {
    public DatasetInfo {
        sets = List.copyOf(sets);
    }

    /**
     * Reads dataset.json. Keys that are not of it are passed over; a whole number may be written 16.0.
     *
     * @throws DataException if the file is missing or not a JSON object, or a field is missing or has the wrong type
     */
    public static DatasetInfo read(Path path) {
        JsonNode root = JsonFile.read(path);
        if (!root.isObject()) {
            throw new DataException(path + ": found " + JsonFile.brief(root) + ", expected a JSON object");
        }
        JsonNode ignored = field(path, root, "ignore_label_id");
        JsonNode mean = field(path, root, "mean_puzzle_examples");
        if (!mean.isNumber() || !(mean.doubleValue() >= 0) || Double.isInfinite(mean.doubleValue())) {
            throw wrong(path, "mean_puzzle_examples", mean, "a number of at least 0");
        }
        JsonNode names = field(path, root, "sets");
        List<String> sets = new ArrayList<>();
        names.forEach(name -> sets.add(name.isTextual() ? name.textValue() : null));
        if (!names.isArray()
                || sets.isEmpty()
                || sets.contains(null)
                || !sets.stream().allMatch(DatasetInfo::isName)
                || new HashSet<>(sets).size() != sets.size()) {
            throw wrong(path, "sets", names, "a list of different names that files may have");
        }
        return new DatasetInfo(
                integer(path, root, "pad_id", 0),
                ignored.isNull() ? null : integer(path, root, "ignore_label_id", Integer.MIN_VALUE),
                integer(path, root, "blank_identifier_id", 0),
                integer(path, root, "vocab_size", 1),
                integer(path, root, "seq_len", 1),
                integer(path, root, "num_puzzle_identifiers", 1),
                integer(path, root, "total_groups", 0),
                mean.doubleValue(),
                root.has("total_puzzles") ? integer(path, root, "total_puzzles", 0) : -1,
                sets);
    }

    /** Whether {@code <set>__<field>.npy} stays in the folder, whatever the file system. */
    private static boolean isName(String set) {
        return !set.isBlank()
                && set.length() <= 100
                && set.chars().allMatch(c -> c >= ' ' && c != '/' && c != '\\' && c != ':' && c != 0x7f);
    }

    /** The same with other numbers. */
    public DatasetInfo with(int identifiers, int groups, double mean, int puzzles) {
        return new DatasetInfo(
                padId, ignoreLabelId, blankIdentifierId, vocabSize, seqLen, identifiers, groups, mean, puzzles, sets);
    }

    private static JsonNode field(Path path, JsonNode root, String key) {
        JsonNode value = root.get(key);
        if (value == null) {
            throw new DataException(path + ": field '" + key + "' is missing");
        }
        return value;
    }

    private static int integer(Path path, JsonNode root, String key, int least) {
        JsonNode value = field(path, root, key);
        double number = value.isNumber() ? value.doubleValue() : Double.NaN;
        if (number != (int) number || number < least) {
            throw wrong(
                    path, key, value, least == Integer.MIN_VALUE ? "an integer" : "an integer of at least " + least);
        }
        return (int) number;
    }

    private static DataException wrong(Path path, String key, JsonNode found, String expected) {
        return new DataException(
                path + ": field '" + key + "': found " + JsonFile.brief(found) + ", expected " + expected);
    }

    /** Writes the bytes of Python's {@code json.dump}: ", " and ": " as separators, no newline at the end. */
    public void write(Path path) {
        String json = "{\"pad_id\": " + padId + ", \"ignore_label_id\": " + ignoreLabelId
                + ", \"blank_identifier_id\": " + blankIdentifierId + ", \"vocab_size\": " + vocabSize
                + ", \"seq_len\": " + seqLen + ", \"num_puzzle_identifiers\": " + numPuzzleIdentifiers
                + ", \"total_groups\": " + totalGroups + ", \"mean_puzzle_examples\": "
                + PythonJson.number(meanPuzzleExamples)
                + ", \"total_puzzles\": " + totalPuzzles
                + ", \"sets\": " + sets.stream().map(PythonJson::quoted).collect(Collectors.joining(", ", "[", "]"))
                + "}";
        try {
            Files.write(path, json.getBytes(StandardCharsets.US_ASCII));
        } catch (IOException e) {
            throw new DataException(path + ": cannot be written: " + e.getMessage(), e);
        }
    }
}
