package trm.data;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * One ARC task: pairs of grids of up to 30 x 30 cells of ten colours.
 *
 * @param train pairs that show the rule
 * @param test pairs whose output is asked for
 * @param testFirst whether the file has the test pairs before the others; some do
 * @param json the task as the file has it, outputs of the test pairs filled in
 */
record ArcTask(String id, List<Pair> train, List<Pair> test, boolean testFirst, JsonNode json) {
    /** Most rows and columns of a grid. */
    static final int SIDE = 30;

    static final int COLOURS = 10;

    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    /** A question and its answer. */
    record Pair(Grid input, Grid output) {}

    /** All pairs in the order of the file. */
    List<Pair> inFileOrder() {
        List<Pair> pairs = new ArrayList<>(testFirst ? test : train);
        pairs.addAll(testFirst ? train : test);
        return pairs;
    }

    /**
     * The tasks of {@code PREFIX_SUBSET_challenges.json} in file order, with the outputs of
     * {@code PREFIX_SUBSET_solutions.json}; either may be gzipped and end in ".gz". Without solutions, test pairs that
     * have no output get the grid [[0]].
     *
     * @param notes is told of the latter
     * @throws DataException naming file, task and place, if one is missing or not as it should be
     */
    static List<ArcTask> readSubset(String prefix, String subset, Consumer<String> notes) {
        Path challenges = find(prefix + "_" + subset + "_challenges.json");
        if (challenges == null) {
            throw new DataException(prefix + "_" + subset + "_challenges.json: file not found, nor with .gz");
        }
        Path solutions = find(prefix + "_" + subset + "_solutions.json");
        JsonNode tasks = object(challenges, json(challenges));
        JsonNode outputs = solutions == null ? null : object(solutions, json(solutions));
        List<ArcTask> read = new ArrayList<>();
        int[] unknown = {0};
        tasks.fields().forEachRemaining(field -> {
            String id = field.getKey();
            if (outputs != null) {
                fill(solutions + ": task '" + id + "': ", field.getValue(), outputs.get(id));
            } else {
                unknown[0] += fillUnknown(field.getValue());
            }
            read.add(task(challenges + ": task '" + id + "': ", id, field.getValue()));
        });
        if (read.isEmpty()) {
            throw new DataException(challenges + ": found no task, expected at least one");
        }
        if (unknown[0] > 0) {
            notes.accept("subset " + subset + " has no solutions: " + unknown[0] + " outputs are taken to be [[0]]");
        }
        return read;
    }

    /** The tasks of a test_puzzles.json, in its order. */
    static List<ArcTask> readTestPuzzles(Path file) {
        List<ArcTask> read = new ArrayList<>();
        object(file, json(file))
                .fields()
                .forEachRemaining(field ->
                        read.add(task(file + ": task '" + field.getKey() + "': ", field.getKey(), field.getValue())));
        return read;
    }

    private static Path find(String name) {
        for (Path path : new Path[] {Path.of(name), Path.of(name + ".gz")}) {
            if (Files.isRegularFile(path)) {
                return path;
            }
        }
        return null;
    }

    /** @throws DataException if the file is missing or is not JSON */
    static JsonNode json(Path file) {
        if (!Files.isRegularFile(file)) {
            throw new DataException(file + ": file not found");
        }
        try (InputStream in = TextFile.bytes(file)) {
            return JSON.readTree(in);
        } catch (JsonProcessingException e) {
            throw new DataException(file + ": not valid JSON: " + e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new DataException(file + ": cannot be read: " + e.getMessage(), e);
        }
    }

    private static JsonNode object(Path file, JsonNode json) {
        if (!json.isObject()) {
            throw new DataException(file + ": found " + brief(json) + ", expected an object of tasks by name");
        }
        return json;
    }

    private static void fill(String where, JsonNode task, JsonNode outputs) {
        JsonNode tests = task.path("test");
        if (outputs == null || !outputs.isArray() || outputs.size() != tests.size()) {
            throw new DataException(where + "found " + (outputs == null ? "no outputs" : brief(outputs)) + ", expected "
                    + tests.size() + " grids, one for each test input");
        }
        for (int i = 0; i < tests.size(); i++) {
            if (tests.get(i) instanceof ObjectNode pair) {
                pair.set("output", outputs.get(i));
            }
        }
    }

    /** How many test pairs had no output. */
    private static int fillUnknown(JsonNode task) {
        int filled = 0;
        for (JsonNode pair : task.path("test")) {
            if (pair.isObject() && !pair.has("output")) {
                ((ObjectNode) pair).putArray("output").addArray().add(0);
                filled++;
            }
        }
        return filled;
    }

    private static ArcTask task(String where, String id, JsonNode json) {
        List<String> keys = new ArrayList<>();
        json.fieldNames().forEachRemaining(keys::add);
        if (keys.size() != 2 || !keys.contains("train") || !keys.contains("test")) {
            throw new DataException(where + "found " + (json.isObject() ? "the keys " + keys : brief(json))
                    + ", expected 'train' and 'test'");
        }
        return new ArcTask(
                id,
                pairs(where + "train", json.get("train")),
                pairs(where + "test", json.get("test")),
                keys.get(0).equals("test"),
                json);
    }

    private static List<Pair> pairs(String where, JsonNode list) {
        if (!list.isArray() || list.isEmpty()) {
            throw new DataException(where + ": found " + brief(list) + ", expected a list of pairs");
        }
        List<Pair> pairs = new ArrayList<>();
        for (int i = 0; i < list.size(); i++) {
            String at = where + " pair " + (i + 1) + ": ";
            pairs.add(new Pair(
                    grid(at + "input: ", list.get(i).path("input")),
                    grid(at + "output: ", list.get(i).path("output"))));
        }
        return pairs;
    }

    private static Grid grid(String where, JsonNode json) {
        int rows = json.size();
        int columns = json.path(0).size();
        if (!json.isArray() || rows < 1 || rows > SIDE || columns < 1 || columns > SIDE) {
            throw new DataException(where + "found " + brief(json) + ", expected 1 .. 30 rows of 1 .. 30 colours");
        }
        byte[] cells = new byte[rows * columns];
        for (int i = 0; i < rows; i++) {
            if (!json.get(i).isArray() || json.get(i).size() != columns) {
                throw new DataException(where + "row " + (i + 1) + ": found " + brief(json.get(i)) + ", expected "
                        + columns + " colours as in row 1");
            }
            for (int j = 0; j < columns; j++) {
                JsonNode cell = json.get(i).get(j);
                if (!cell.isIntegralNumber()
                        || !cell.canConvertToInt()
                        || cell.intValue() < 0
                        || cell.intValue() >= COLOURS) {
                    throw new DataException(where + "row " + (i + 1) + ", column " + (j + 1) + ": found " + brief(cell)
                            + ", expected a colour 0 .. 9");
                }
                cells[i * columns + j] = (byte) cell.intValue();
            }
        }
        return new Grid(rows, columns, cells);
    }

    private static String brief(JsonNode json) {
        String text = json.isMissingNode() ? "nothing" : json.toString();
        return text.length() <= 60 ? text : text.substring(0, 57) + "...";
    }
}
