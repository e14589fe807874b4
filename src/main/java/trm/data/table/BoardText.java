package trm.data.table;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import trm.input.DataException;
import trm.input.Shown;

/**
 * A Sudoku board as people write it, for files and for the command line. A digit is a given; '.', '0', '_' and '*' are empty cells;
 * bars, lines of dashes and '+', tabs and line breaks are a frame. Blanks, and dashes beside cells, are a frame or empty cells: where
 * the text has another sign for an empty cell blanks are frame; else the reading counts that gives a board of 16, 36 or 81
 * cells, and a text with two such readings is refused.
 *
 * <pre>
 *   1..4.2....3.3..2     1..4 ..2. ..3. 3..2     1 4  |   2 |  3  |3  2     +----+----+ ...
 * </pre>
 */
public final class BoardText {
    /** What blanks and dashes are in one reading. */
    private enum Reading {
        FRAMES,
        DASHES_BESIDE_CELLS,
        DASHES,
        BLANKS
    }

    private static final String SIGNS = "'.', '0', '_', '*' or a blank for an empty cell, '|', '-', '+' for a frame";

    private BoardText() {}

    /**
     * Reads a board.
     *
     * @param where  beginning of messages
     * @param side   that it must have; 0 for 4, 6 or 9
     * @return digits [side * side], row major, 0 for an empty cell
     * @throws DataException if the text has a sign of another kind, another number of cells, a digit above the side, or can
     *                       be read in two ways
     */
    public static int[] read(String where, String text, int side) {
        int[] plain = plain(text, side);
        return plain != null ? plain : drawn(where, text, side);
    }

    /** Whether the text has nothing but signs of a board, and cells among them. */
    static boolean isSigns(String text) {
        boolean cell = false;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            cell |= isDigit(c) || isEmptySign(c);
            if (!isDigit(c) && !isEmptySign(c) && !isFrame(c) && c != '-' && !isSpace(c)) {
                return false;
            }
        }
        return cell;
    }

    /** Cells and nothing else, as in files of millions; null for anything else. */
    public static int[] plain(String text, int side) {
        int cells = text.length();
        if (!fits(cells, side)) {
            return null;
        }
        int most = (int) Math.sqrt(cells);
        int[] digits = new int[cells];
        for (int i = 0; i < cells; i++) {
            char c = text.charAt(i);
            if (isEmptySign(c)) {
                continue;
            }
            digits[i] = c - '0';
            if (!isDigit(c) || digits[i] > most) {
                return null;
            }
        }
        return digits;
    }

    private static boolean fits(int cells, int side) {
        return side == 0 ? cells == 16 || cells == 36 || cells == 81 : cells == side * side;
    }

    private static int[] drawn(String where, String text, int side) {
        boolean signed = checkSigns(where, text);
        List<String> lines = text.lines().filter(line -> !line.isEmpty()).toList();
        List<int[]> boards = new ArrayList<>();
        List<Integer> counts = new ArrayList<>();
        Reading first = null;
        for (Reading reading : signed ? new Reading[] {Reading.FRAMES} : Reading.values()) {
            int[] cells = cells(lines, reading);
            if (cells == null) {
                continue;
            }
            if (fits(cells.length, side) && boards.stream().noneMatch(board -> Arrays.equals(board, cells))) {
                boards.add(cells);
                first = first == null ? reading : first;
            }
            if (!counts.contains(cells.length)) {
                counts.add(cells.length);
            }
        }
        String expected = side == 0 ? "16, 36 or 81" : side * side + "";
        if (counts.isEmpty()) {
            throw new DataException(where + "found '-' beside other signs for empty cells, expected one of the two");
        }
        if (boards.isEmpty()) {
            String others = counts.size() == 1
                    ? ""
                    : ", or with blanks or dashes for empty cells " + counts.subList(1, counts.size());
            throw new DataException(where + "found " + counts.get(0) + " cells" + others + ", expected " + expected);
        }
        if (boards.size() > 1) {
            throw new DataException(where + "found a board that can be read in two ways, of " + boards.get(0).length
                    + " cells and of " + boards.get(1).length + ": write '.' for empty cells");
        }
        checkDigits(where, text, boards.get(0).length);
        checkLines(where, lines, first, (int) Math.sqrt(boards.get(0).length));
        return boards.get(0);
    }

    /** Lines hold whole rows, and so do groups of cells in one line if they are as many as the rows. */
    private static void checkLines(String where, List<String> lines, Reading reading, int side) {
        boolean single = lines.size() == 1;
        List<Integer> counts = new ArrayList<>();
        for (String part : single ? List.of(lines.get(0).split("[ \t]++")) : lines) {
            int[] cells = cells(List.of(part), reading);
            if (cells != null && cells.length > 0) {
                counts.add(cells.length);
            }
        }
        if (single && (counts.size() != side || reading == Reading.BLANKS)) {
            return;
        }
        for (int i = 0; i < counts.size(); i++) {
            if (counts.get(i) % side != 0) {
                throw new DataException(
                        where + "row " + (i + 1) + ": found " + counts.get(i) + " cells, expected " + side);
            }
        }
    }

    /** Whether a sign stands for empty cells. */
    private static boolean checkSigns(String where, String text) {
        boolean signed = false;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            signed |= isEmptySign(c);
            if (!isDigit(c) && !isEmptySign(c) && !isFrame(c) && c != '-' && !isSpace(c)) {
                throw wrongSign(where, text, i, "a digit; " + SIGNS);
            }
        }
        return signed;
    }

    private static void checkDigits(String where, String text, int cells) {
        int side = (int) Math.sqrt(cells);
        for (int i = 0; i < text.length(); i++) {
            if (isDigit(text.charAt(i)) && text.charAt(i) - '0' > side) {
                throw wrongSign(where, text, i, "1 .. " + side + "; " + SIGNS);
            }
        }
    }

    private static DataException wrongSign(String where, String text, int at, String expected) {
        String found = text.substring(at, text.offsetByCodePoints(at, 1));
        return new DataException(
                where + "character " + (at + 1) + ": found " + Shown.quoted(found) + ", expected " + expected);
    }

    /** The cells in one reading, null if it has no meaning for the text. */
    private static int[] cells(List<String> lines, Reading reading) {
        int[] cells = new int[lines.stream().mapToInt(String::length).sum()];
        int count = 0;
        boolean visible = false;
        for (String line : lines) {
            if (isFrameLine(line, reading)) {
                continue;
            }
            for (int i = 0; i < line.length(); i++) {
                char c = line.charAt(i);
                boolean dash = c == '-';
                if (dash && (reading == Reading.FRAMES || reading == Reading.BLANKS)) {
                    return null;
                }
                if (isDigit(c) || isEmptySign(c) || dash) {
                    visible = true;
                    cells[count++] = isDigit(c) ? c - '0' : 0;
                } else if (c == ' ' && reading == Reading.BLANKS) {
                    cells[count++] = 0;
                }
            }
        }
        return visible || reading == Reading.FRAMES ? Arrays.copyOf(cells, count) : null;
    }

    /** A line without a cell that draws something; of dashes alone only in the readings where these are a frame. */
    private static boolean isFrameLine(String line, Reading reading) {
        boolean drawn = false;
        boolean dashes = false;
        for (int i = 0; i < line.length(); i++) {
            char c = line.charAt(i);
            if (isDigit(c) || isEmptySign(c)) {
                return false;
            }
            dashes |= c == '-';
            drawn |= c == '+'
                    || c == '='
                    || c >= '\u2500' && c <= '\u257f' && c != '\u2502' && c != '\u2503' && c != '\u2551';
        }
        return drawn || dashes && reading != Reading.DASHES;
    }

    private static boolean isDigit(char c) {
        return c >= '1' && c <= '9';
    }

    private static boolean isEmptySign(char c) {
        return c == '.' || c == '0' || c == '_' || c == '*';
    }

    /** Bars and crossings, as ASCII or as box drawing characters. */
    private static boolean isFrame(char c) {
        return c == '|' || c == '+' || c == '=' || c >= '\u2500' && c <= '\u257f';
    }

    private static boolean isSpace(char c) {
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
    }
}
