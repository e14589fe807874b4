package trm.data.table;

import java.nio.file.Path;
import java.util.Locale;
import trm.data.table.ColumnNames.Role;

/**
 * One puzzle of a table.
 *
 * @param file   where it stands
 * @param line   of the file on which it begins, from 1
 * @param number of the puzzle in a JSON file, from 1; 0 for other files
 * @param texts  by role; null where the table has no such column or the value is null or a grid
 * @param grids  by role: rows of whole numbers, row major, as only JSON has them; null elsewhere
 * @param widths by role: cells of a row where the table has rows of cells, 0 elsewhere
 */
public record PuzzleRow(Path file, long line, long number, String[] texts, int[][] grids, int[] widths) {
    PuzzleRow(Path file, long line, long number) {
        this(
                file,
                line,
                number,
                new String[Role.values().length],
                new int[Role.values().length][],
                new int[Role.values().length]);
    }

    /** "file:line: ", for messages. */
    public String where() {
        return file + ":" + line + ": " + (number == 0 ? "" : "puzzle " + number + ": ");
    }

    /** "file:line: role: ", for messages. */
    public String where(Role role) {
        return where() + role.name().toLowerCase(Locale.ROOT) + ": ";
    }

    public String text(Role role) {
        return texts[role.ordinal()];
    }

    public int[] grid(Role role) {
        return grids[role.ordinal()];
    }

    /** Whether there is a value. */
    public boolean has(Role role) {
        return text(role) != null || grid(role) != null;
    }
}
