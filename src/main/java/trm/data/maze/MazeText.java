package trm.data.maze;

import java.util.List;
import trm.input.DataException;
import trm.input.Shown;

/**
 * The question of a maze as people write it: a line a row, of walls {@code #}, free cells (blanks), one start {@code S} and one goal
 * {@code G}; or all rows in one line, as in tables. Blanks at the end of a line are cells.
 */
public final class MazeText {
    private static final String QUESTION_CELLS = "# SG";

    /** More than any model takes. */
    private static final int MOST_SIDE = 1024;

    private MazeText() {}

    /**
     * Reads a maze.
     *
     * @param where what messages call the text
     * @return tokens [side * side]
     * @throws DataException if it is no square of these characters, has not one start and one goal, or no path joins them
     */
    public static int[] tokens(String where, String text) {
        List<String> lines = text.lines().toList();
        int first = 0; // the empty lines around a maze are none of its rows
        int end = lines.size();
        while (first < end && lines.get(first).isEmpty()) {
            first++;
        }
        while (first < end && lines.get(end - 1).isEmpty()) {
            end--;
        }
        if (first == end) {
            throw new DataException(where + ": found nothing, expected a maze");
        }
        for (int i = first; i < end; i++) {
            checkLine(
                    where + ":" + (i + 1) + ": ", lines.get(i), lines.get(first).length());
        }
        lines = lines.subList(first, end);
        String all = String.join("", lines);
        int side = (int) Math.round(Math.sqrt(all.length()));
        if (lines.size() > 1 ? lines.size() != lines.get(0).length() : side * side != all.length()) {
            throw new DataException(where + ": found " + lines.size() + " lines of "
                    + lines.get(0).length() + " characters, expected a square: a maze has as many rows as columns");
        }
        if (side > MOST_SIDE) {
            throw new DataException(where + ": found a maze of " + side + " x " + side + ", expected at most "
                    + MOST_SIDE + " x " + MOST_SIDE);
        }
        requireOne(where, all, side, 'S', "start");
        requireOne(where, all, side, 'G', "goal");
        int[] tokens =
                all.chars().map(cell -> MazeBuilder.CELLS.indexOf(cell) + 1).toArray();
        if (MazePath.shortest(tokens) < 0) {
            throw new DataException(where + ": found no path from start to goal, expected one");
        }
        return tokens;
    }

    private static void checkLine(String where, String line, int width) {
        for (int i = 0; i < line.length(); i++) {
            if (QUESTION_CELLS.indexOf(line.charAt(i)) < 0) {
                String found = line.substring(i, line.offsetByCodePoints(i, 1));
                throw new DataException(where + "character " + (i + 1) + ": found " + Shown.quoted(found)
                        + ", expected '#', ' ', 'S' or 'G'"
                        + (found.equals("o") ? ": 'o' marks the path of an answer" : ""));
            }
        }
        if (line.length() != width) {
            throw new DataException(where + "found " + line.length() + " characters, expected " + width
                    + " as in the first line: blanks at the end of a line are free cells");
        }
    }

    private static void requireOne(String where, String cells, int side, char cell, String name) {
        int first = cells.indexOf(cell);
        int second = cells.indexOf(cell, first + 1);
        if (first < 0 || second >= 0) {
            throw new DataException(where + ": found "
                    + (first < 0
                            ? "no " + name + " '" + cell + "'"
                            : "a " + name + " '" + cell + "' in " + place(first, side) + " and in "
                                    + place(second, side))
                    + ", expected one");
        }
    }

    private static String place(int cell, int side) {
        return "row " + (cell / side + 1) + ", column " + (cell % side + 1);
    }
}
