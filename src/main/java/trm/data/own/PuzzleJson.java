package trm.data.own;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import trm.data.format.DatasetInfo;
import trm.data.format.JsonFile;
import trm.data.format.PythonJson;
import trm.data.format.SingleExampleWriter;
import trm.input.DataException;

/**
 * {@value #FILE} of a data set's folder, a file of our own beside the published ones: how its puzzles are written and drawn.
 *
 * <pre>
 *   {"rule": "own", "alphabet": ".ABCDE", "rows": 5, "columns": 5, "block_rows": 5, "block_columns": 5, "empty": ["."],
 *    "square": true, "permuted": ["A", "B", "C", "D", "E"]}
 * </pre>
 *
 * The alphabet is null where cells are numbers.
 */
public final class PuzzleJson {
    public static final String FILE = SingleExampleWriter.PUZZLE;

    private PuzzleJson() {}

    public static void write(Path folder, OwnPuzzle puzzle) throws IOException {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.put("rule", puzzle.rule());
        json.put("alphabet", puzzle.alphabet());
        json.put("rows", puzzle.rows());
        json.put("columns", puzzle.columns());
        json.put("block_rows", puzzle.blockRows());
        json.put("block_columns", puzzle.blockColumns());
        symbols(json.putArray("empty"), puzzle, new TreeSet<>(puzzle.empty()));
        json.put("square", puzzle.square());
        symbols(json.putArray("permuted"), puzzle, puzzle.permuted());
        Files.writeString(folder.resolve(FILE), PythonJson.text(json), StandardCharsets.US_ASCII);
    }

    private static void symbols(ArrayNode list, OwnPuzzle puzzle, Collection<Integer> tokens) {
        tokens.forEach(token -> list.add(puzzle.glyph(token)));
    }

    /**
     * What a folder says of its puzzles; empty if it has no such file.
     *
     * @param info of one of its splits
     * @throws DataException if the file is not as it should be, or contradicts dataset.json
     */
    public static Optional<OwnPuzzle> read(Path folder, DatasetInfo info) {
        Path file = folder.resolve(FILE);
        if (!Files.exists(file)) {
            return Optional.empty();
        }
        JsonNode json = JsonFile.read(file);
        if (!json.isObject()) {
            throw new DataException(file + ": found " + JsonFile.brief(json) + ", expected a JSON object");
        }
        String alphabet = alphabet(file, json, info);
        int rows = integer(file, json, "rows", info.seqLen());
        int columns = integer(file, json, "columns", info.seqLen());
        if ((long) rows * columns != info.seqLen()) {
            throw new DataException(file + ": found a board of " + rows + " x " + columns + " cells, expected "
                    + info.seqLen() + " cells, seq_len of dataset.json");
        }
        boolean square = field(file, json, "square").asBoolean();
        if (!field(file, json, "square").isBoolean() || square && rows != columns) {
            throw wrong(
                    file, json, "square", "true or false" + (square ? ", false for a board that is not square" : ""));
        }
        if (!field(file, json, "rule").isTextual()) {
            throw wrong(file, json, "rule", "a name");
        }
        OwnPuzzle puzzle = new OwnPuzzle(
                json.get("rule").textValue(),
                alphabet,
                info.vocabSize(),
                rows,
                columns,
                integer(file, json, "block_rows", rows),
                integer(file, json, "block_columns", columns),
                Set.of(),
                square,
                List.of());
        Set<Integer> empty = Set.copyOf(tokens(file, json, "empty", puzzle));
        return Optional.of(puzzle.with(empty, tokens(file, json, "permuted", puzzle)));
    }

    private static String alphabet(Path file, JsonNode json, DatasetInfo info) {
        JsonNode value = field(file, json, "alphabet");
        if (value.isNull()) {
            return null;
        }
        int[] symbols = value.isTextual() ? value.textValue().codePoints().toArray() : new int[0];
        if (symbols.length != info.vocabSize() - 1
                || java.util.Arrays.stream(symbols).distinct().count() != symbols.length) {
            throw wrong(
                    file,
                    json,
                    "alphabet",
                    (info.vocabSize() - 1) + " different characters, as many as tokens (vocab_size of dataset.json,"
                            + " padding apart), or null");
        }
        return value.textValue();
    }

    private static int integer(Path file, JsonNode json, String key, int most) {
        JsonNode value = field(file, json, key);
        if (!value.isInt() || value.intValue() < 1 || value.intValue() > most) {
            throw wrong(file, json, key, "a whole number, 1 to " + most);
        }
        return value.intValue();
    }

    private static List<Integer> tokens(Path file, JsonNode json, String key, OwnPuzzle puzzle) {
        TreeSet<Integer> tokens = new TreeSet<>();
        JsonNode list = field(file, json, key);
        for (JsonNode symbol : list) {
            int token = symbol.isTextual() ? puzzle.token(symbol.textValue()) : 0;
            if (token == 0 || !tokens.add(token)) {
                throw wrong(file, json, key, "symbols, each once, " + puzzle.symbols());
            }
        }
        if (!list.isArray()) {
            throw wrong(file, json, key, "a list of symbols");
        }
        return new ArrayList<>(tokens);
    }

    private static JsonNode field(Path file, JsonNode json, String key) {
        JsonNode value = json.get(key);
        if (value == null) {
            throw new DataException(file + ": field '" + key + "' is missing");
        }
        return value;
    }

    private static DataException wrong(Path file, JsonNode json, String key, String expected) {
        return new DataException(
                file + ": field '" + key + "': found " + JsonFile.brief(json.get(key)) + ", expected " + expected);
    }
}
