package trm.data.arc;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import trm.data.format.JsonFile;
import trm.data.puzzle.Grid;
import trm.input.DataException;
import trm.input.Shown;

/**
 * One ARC task: pairs of grids of up to 30 x 30 cells of ten colours.
 *
 * @param train pairs that show the rule
 * @param test pairs whose output is asked for
 * @param testFirst whether the file has the test pairs before the others; some do
 * @param json train and test as the file has them, outputs of the test pairs filled in
 */
public record ArcTask(String id, List<Pair> train, List<Pair> test, boolean testFirst, JsonNode json) {
    /** Most rows and columns of a grid. */
    public static final int SIDE = 30;

    static final int COLOURS = 10;

    private static final Grid UNKNOWN = new Grid(1, 1, new byte[1]);

    /** A question and its answer. */
    public record Pair(Grid input, Grid output) {
        /** Whether the output is known: in the place of one that is not, readers put the grid [[0]]. */
        public boolean known() {
            return !output.equals(UNKNOWN);
        }
    }

    /** All pairs in the order of the file. */
    List<Pair> inFileOrder() {
        List<Pair> pairs = new ArrayList<>(testFirst ? test : train);
        pairs.addAll(testFirst ? train : test);
        return pairs;
    }

    /** The tasks of a test_puzzles.json, in its order. */
    public static List<ArcTask> readTestPuzzles(Path file) {
        List<ArcTask> read = new ArrayList<>();
        object(file, JsonFile.read(file))
                .properties()
                .forEach(field -> read.add(
                        of(file + ": task " + Shown.quoted(field.getKey()) + ": ", field.getKey(), field.getValue())));
        return read;
    }

    /** @throws DataException if a file has no object of tasks by name */
    static JsonNode object(Path file, JsonNode json) {
        if (!json.isObject()) {
            throw new DataException(file + ": found " + JsonFile.brief(json) + ", expected an object of tasks by name");
        }
        if (json.path("train").isArray() && json.path("test").isArray()) {
            throw new DataException(
                    file + ": found one task, expected an object of tasks by name; tasks of one file each"
                            + " are read as a folder");
        }
        return json;
    }

    /** Puts the outputs of a solutions file into a task. */
    static void fill(String where, JsonNode task, JsonNode outputs) {
        JsonNode tests = task.path("test");
        if (outputs == null || !outputs.isArray() || outputs.size() != tests.size()) {
            throw new DataException(where + "found " + (outputs == null ? "no outputs" : JsonFile.brief(outputs))
                    + ", expected " + tests.size() + " grids, one for each test input");
        }
        for (int i = 0; i < tests.size(); i++) {
            if (tests.get(i) instanceof ObjectNode pair) {
                pair.set("output", outputs.get(i));
            }
        }
    }

    /** Gives test pairs whose output is not there, or null, the grid [[0]]. @return how many */
    static int fillUnknown(JsonNode task) {
        int filled = 0;
        for (JsonNode pair : task.path("test")) {
            if (pair.isObject() && pair.path("output").isMissingNode()
                    || pair.path("output").isNull()) {
                ((ObjectNode) pair).putArray("output").addArray().add(0);
                filled++;
            }
        }
        return filled;
    }

    /**
     * A task of its JSON. Keys other than train and test are left out.
     *
     * @param where begins messages
     * @throws DataException naming the place, if it is none
     */
    static ArcTask of(String where, String id, JsonNode json) {
        if (id.contains(ArcCopy.SEPARATOR) || id.equals(ArcBuilder.BLANK)) {
            throw new DataException(where + "found a task of this name, expected none with '" + ArcCopy.SEPARATOR
                    + "', which names of copies have, and none called '" + ArcBuilder.BLANK + "'");
        }
        if (json.isArray() && json.path(0).has("input")) {
            throw new DataException(where + "found a list of " + json.size() + " pairs, as RE-ARC has them, expected"
                    + " {\"train\": [pairs], \"test\": [pairs]}: make tasks of each list, some pairs to train on and"
                    + " one to test");
        }
        List<String> keys = new ArrayList<>();
        json.fieldNames().forEachRemaining(keys::add);
        if (!keys.contains("train") || !keys.contains("test")) {
            throw new DataException(where + "found " + (json.isObject() ? keys(keys) : JsonFile.brief(json))
                    + ", expected 'train' and 'test'");
        }
        return new ArcTask(
                id,
                pairs(where + "train", json.get("train")),
                pairs(where + "test", json.get("test")),
                keys.indexOf("test") < keys.indexOf("train"),
                keys.size() == 2 ? json : ((ObjectNode) json).retain("train", "test"));
    }

    private static String keys(List<String> keys) {
        int most = 5;
        return "the keys [" + keys.stream().limit(most).map(Shown::quoted).collect(Collectors.joining(", "))
                + (keys.size() > most ? ", ..." : "") + "]";
    }

    private static List<Pair> pairs(String where, JsonNode list) {
        if (!list.isArray() || list.isEmpty()) {
            throw new DataException(where + ": found " + JsonFile.brief(list) + ", expected a list of pairs");
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
            throw new DataException(
                    where + "found " + JsonFile.brief(json) + ", expected 1 .. 30 rows of 1 .. 30 colours");
        }
        byte[] cells = new byte[rows * columns];
        for (int i = 0; i < rows; i++) {
            if (!json.get(i).isArray() || json.get(i).size() != columns) {
                throw new DataException(where + "row " + (i + 1) + ": found " + JsonFile.brief(json.get(i))
                        + ", expected " + columns + " colours as in row 1");
            }
            for (int j = 0; j < columns; j++) {
                JsonNode cell = json.get(i).get(j);
                double colour = cell.isNumber() ? cell.doubleValue() : -1; // some files have 3.0
                if (colour != (int) colour || colour < 0 || colour >= COLOURS) {
                    throw new DataException(where + "row " + (i + 1) + ", column " + (j + 1) + ": found "
                            + JsonFile.brief(cell) + ", expected a colour 0 .. 9");
                }
                cells[i * columns + j] = (byte) colour;
            }
        }
        return new Grid(rows, columns, cells);
    }
}
