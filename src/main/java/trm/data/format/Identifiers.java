package trm.data.format;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import trm.input.DataException;

/** {@value #FILE} of a dataset folder: a list of names, one for each row of the puzzle table. */
public final class Identifiers {
    public static final String FILE = "identifiers.json";

    private Identifiers() {}

    /** @throws DataException if the file is missing or no list of names */
    public static List<String> read(Path file) {
        JsonNode json = JsonFile.read(file);
        if (!json.isArray() || json.isEmpty()) {
            throw new DataException(file + ": found " + JsonFile.brief(json) + ", expected a list of names");
        }
        List<String> names = new ArrayList<>(json.size());
        for (JsonNode name : json) {
            if (!name.isTextual()) {
                throw new DataException(
                        file + ": entry " + names.size() + ": found " + JsonFile.brief(name) + ", expected a name");
            }
            names.add(name.textValue());
        }
        return names;
    }
}
