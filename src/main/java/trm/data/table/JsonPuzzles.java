package trm.data.table;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.core.io.JsonEOFException;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import trm.data.table.ColumnNames.Role;
import trm.input.DataException;
import trm.input.Shown;

/**
 * Puzzles as JSON objects: a list of them, or one after the other (JSON Lines). The cells of a puzzle are text, or rows of whole
 * numbers from 0, or rows of text; other keys are skipped. One puzzle is held at a time.
 *
 * <pre>
 *   [{"question": [[0, 2], [1, 0]], "answer": [[1, 2], [1, 1]]}, ...]
 *   {"question": "..X", "answer": "OXX", "rating": 3.5}
 * </pre>
 */
final class JsonPuzzles {
    private static final int DEEPEST = 20;
    private static final int LONGEST_NUMBER = 100;
    private static final int KEYS_SHOWN = 8;

    private static final JsonFactory FACTORY = JsonFactory.builder()
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(DEEPEST)
                    .maxStringLength(PuzzleTable.LONGEST_ROW)
                    .maxNameLength(PuzzleTable.LONGEST_ROW)
                    .maxNumberLength(LONGEST_NUMBER)
                    .build())
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES) // names of a stranger's choice stay nowhere
            .build();

    private final Path file;
    private final ColumnNames names;
    private final Set<Role> required;
    private final Set<Role> wanted;
    private JsonParser json;
    private long number;

    JsonPuzzles(Path file, ColumnNames names, Set<Role> required, Set<Role> wanted) {
        this.file = file;
        this.names = names;
        this.required = required;
        this.wanted = wanted;
    }

    /**
     * Hands each puzzle to the sink, in order.
     *
     * @throws DataException naming file:line, if the text is not JSON or not of this form
     */
    void read(Reader text, PuzzleTable.Sink sink) throws IOException {
        try (JsonParser parser = FACTORY.createParser(text)) {
            json = parser;
            boolean list = json.nextToken() == JsonToken.START_ARRAY;
            JsonToken token = list ? json.nextToken() : json.currentToken();
            while (token != null && !(list && token == JsonToken.END_ARRAY)) {
                if (token != JsonToken.START_OBJECT) {
                    throw new DataException(here() + "found " + shown() + ", expected "
                            + (list ? "a list of objects" : "an object") + " with " + keys());
                }
                sink.row(puzzle());
                token = json.nextToken();
            }
            if (list && json.nextToken() != null) {
                throw new DataException(here() + "found " + shown() + " after the list, expected the end of the file");
            }
        } catch (StreamConstraintsException e) {
            throw new DataException(
                    at(e) + "found JSON deeper than " + DEEPEST + " levels, a number longer than " + LONGEST_NUMBER
                            + " digits or a text longer than " + PuzzleTable.LONGEST_ROW + " characters",
                    e);
        } catch (JsonEOFException e) {
            throw new DataException(at(e) + "not valid JSON: ends within a value: is the file cut off?", e);
        } catch (JsonProcessingException e) {
            throw new DataException(at(e) + "not valid JSON", e);
        }
    }

    private String keys() {
        return required.stream().sorted().map(names::expected).collect(Collectors.joining(" and "));
    }

    private PuzzleRow puzzle() throws IOException {
        PuzzleRow row = new PuzzleRow(file, json.currentTokenLocation().getLineNr(), ++number);
        Set<String> keys = new LinkedHashSet<>();
        Set<Role> seen = new LinkedHashSet<>();
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String key = json.currentName();
            if (keys.size() < KEYS_SHOWN) {
                keys.add(key);
            }
            Role role = role(key);
            json.nextToken();
            if (role == null) {
                json.skipChildren();
            } else if (!seen.add(role)) {
                throw new DataException(row.where() + "found " + Shown.quoted(key) + " and another key for the "
                        + role.name().toLowerCase(Locale.ROOT) + ", expected one");
            } else {
                value(row, role);
            }
        }
        for (Role role : required) {
            if (!row.has(role)) {
                String shown = keys.stream().map(Shown::quoted).collect(Collectors.joining(", "));
                throw new DataException(row.where(role) + "found nothing, expected rows or text by the key "
                        + names.expected(role) + "; the keys are " + (keys.isEmpty() ? "none" : shown));
            }
        }
        return row;
    }

    private Role role(String key) {
        for (Role role : wanted) {
            if (names.of(role).stream().anyMatch(key::equalsIgnoreCase)) {
                return role;
            }
        }
        return null;
    }

    private void value(PuzzleRow row, Role role) throws IOException {
        JsonToken token = json.currentToken();
        if (token == JsonToken.VALUE_STRING || token.isNumeric() && !role.isBoard()) {
            row.texts()[role.ordinal()] = text(row.where(role));
        } else if (token == JsonToken.START_ARRAY && role.isBoard()) {
            grid(row, role);
        } else if (token != JsonToken.VALUE_NULL) {
            throw new DataException(row.where(role) + "found " + shown() + ", expected "
                    + (role.isBoard() ? "rows or text" : "text or a number"));
        }
    }

    private String text(String where) throws IOException {
        String text = json.getText();
        for (int i = 0; i < text.length(); i++) {
            if (Character.isSurrogate(text.charAt(i))
                    && !Character.isSupplementaryCodePoint(text.codePointAt(i))
                    && !(i > 0 && Character.isSupplementaryCodePoint(text.codePointAt(i - 1)))) {
                throw new DataException(where + "found half a character " + Shown.quoted(text) + ", expected text");
            }
        }
        return text;
    }

    /** Rows of numbers, rows of text (a list of texts is one, too), or one row of numbers. */
    private void grid(PuzzleRow row, Role role) throws IOException {
        Cells cells = new Cells();
        boolean single = false;
        while (json.nextToken() != JsonToken.END_ARRAY) {
            String where = row.where(role) + "row " + (cells.rows + 1) + ": ";
            boolean number = json.currentToken().isNumeric();
            if (number ? cells.rows > 0 : single) {
                throw new DataException(where + "found " + shown() + ", expected what comes before it");
            }
            if (json.currentToken() == JsonToken.START_ARRAY) {
                while (json.nextToken() != JsonToken.END_ARRAY) {
                    cell(where, cells);
                }
                cells.endRow(where);
            } else {
                cell(where, cells);
                single = number;
                if (!single) {
                    cells.endRow(where);
                }
            }
        }
        row.widths()[role.ordinal()] = cells.rows > 1 ? cells.width : 0;
        if (cells.letters.length() > 0) {
            row.texts()[role.ordinal()] = cells.letters.toString();
        } else {
            row.grids()[role.ordinal()] = Arrays.copyOf(cells.numbers, cells.count);
        }
    }

    private void cell(String where, Cells cells) throws IOException {
        JsonToken token = json.currentToken();
        if (token == JsonToken.VALUE_STRING && cells.count == 0) {
            cells.letters.append(text(where));
        } else if (token == JsonToken.VALUE_NUMBER_INT
                && cells.letters.length() == 0
                && json.getNumberType() == JsonParser.NumberType.INT
                && json.getIntValue() >= 0) {
            cells.add(json.getIntValue());
        } else {
            throw new DataException(where + "found " + shown() + ", expected "
                    + (cells.letters.length() > 0 ? "text as before" : "whole numbers of at least 0"));
        }
        if (cells.size() > PuzzleTable.LONGEST_ROW) {
            throw new DataException(where + "found more than " + PuzzleTable.LONGEST_ROW + " cells");
        }
    }

    /** Numbers or letters, not both, row by row. */
    private static final class Cells {
        private final StringBuilder letters = new StringBuilder();
        private int[] numbers = new int[64];
        private int count;
        private int rows;
        private int width;

        int size() {
            return count + letters.length();
        }

        void add(int number) {
            if (count == numbers.length) {
                numbers = Arrays.copyOf(numbers, 2 * count);
            }
            numbers[count++] = number;
        }

        void endRow(String where) {
            int found = size() - rows * width;
            width = rows == 0 ? found : width;
            if (found != width || found == 0) {
                throw new DataException(where + "found " + found + " cells, expected "
                        + (rows == 0 ? "at least one" : width + " as in row 1"));
            }
            rows++;
        }
    }

    /** The token, for messages. */
    private String shown() throws IOException {
        JsonToken token = json.currentToken();
        if (token == null) {
            return "the end of the file";
        }
        return switch (token) {
            case START_OBJECT -> "an object";
            case START_ARRAY -> "a list";
            case VALUE_STRING -> Shown.quoted(json.getText());
            default -> json.getText();
        };
    }

    private String here() {
        return file + ":" + json.currentTokenLocation().getLineNr() + ": ";
    }

    private String at(JsonProcessingException e) {
        JsonLocation at = e.getLocation() == null ? json.currentLocation() : e.getLocation();
        return file + ":" + at.getLineNr() + ": column " + at.getColumnNr() + ": ";
    }
}
