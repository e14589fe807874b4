package trm.data;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import trm.data.table.ColumnNames.Role;
import trm.data.table.PuzzleRow;
import trm.input.DataException;

/** The puzzles of one file in memory, a byte a cell: the number of its value ({@link CellValues}). */
final class OwnPuzzleFile {
    private static final int MOST_BYTES = Integer.MAX_VALUE - 16;

    private final Path path;
    private final CellValues values;
    private final OwnPuzzleFile like; // null for any
    private boolean numbers;
    private int length; // cells of a question, and of an answer
    private int columns; // of the first question, if it has rows of cells; else 0
    private int count;
    private byte[] cells = new byte[1 << 12]; // [count, 2, length]
    private int[] lines = new int[64]; // on which each puzzle begins

    OwnPuzzleFile(Path path, CellValues values, OwnPuzzleFile like) {
        this.path = path;
        this.values = values;
        this.like = like;
    }

    int length() {
        return length;
    }

    int count() {
        return count;
    }

    /** Cells of a row, as the first question has them; 0 if it has no rows. */
    int columns() {
        return columns;
    }

    /** Whether the cells are numbers, not characters. */
    boolean numbers() {
        return numbers;
    }

    /** @throws DataException naming file:line, unless the puzzle is of the kind and length of the others */
    void add(PuzzleRow row) {
        boolean first = count == 0;
        boolean grid = row.grid(Role.QUESTION) != null;
        boolean wanted = like != null ? like.numbers : first ? grid : numbers;
        for (Role role : new Role[] {Role.QUESTION, Role.ANSWER}) {
            if ((row.grid(role) != null) != wanted) {
                throw new DataException(row.where(role) + "found " + (wanted ? "characters" : "numbers")
                        + " for cells, expected " + (wanted ? "numbers" : "characters") + " as "
                        + (like != null ? like.path + " has" : first ? "the question has" : "the first puzzle has"));
            }
        }
        numbers = wanted;
        int given = like != null ? like.length : length;
        int[] question = cells(row, Role.QUESTION, false);
        int[] answer = cells(row, Role.ANSWER, false);
        if (!fits(question, answer, given) && !grid) {
            int[] bare = cells(row, Role.QUESTION, true);
            int[] bareAnswer = cells(row, Role.ANSWER, true);
            if (fits(bare, bareAnswer, given)) { // the blanks around them are none of the cells
                question = bare;
                answer = bareAnswer;
            }
        }
        checkLength(row, Role.QUESTION, question.length, given == 0 ? question.length : given);
        checkLength(row, Role.ANSWER, answer.length, question.length);
        length = question.length;
        columns = first ? columns(row) : columns;
        reserve(row);
        put(row, Role.QUESTION, question, 0);
        put(row, Role.ANSWER, answer, 1);
        lines[count++] = (int) Math.min(row.line(), Integer.MAX_VALUE);
    }

    /** By the width of a grid, or the first of several lines; 0 where these are not equally long. */
    private int columns(PuzzleRow row) {
        int width = row.widths()[Role.QUESTION.ordinal()];
        String text = row.text(Role.QUESTION);
        if (width == 0 && text != null) {
            List<String> lines = text.strip().lines().toList();
            width = lines.size() < 2
                    ? 0
                    : lines.get(0).codePointCount(0, lines.get(0).length());
        }
        return width == 0 || length % width != 0 ? 0 : width;
    }

    private static int[] cells(PuzzleRow row, Role role, boolean bare) {
        if (row.grid(role) != null) {
            return row.grid(role);
        }
        String text = row.text(role);
        if (text.indexOf('\n') >= 0 || text.indexOf('\r') >= 0) { // rows on lines of their own
            text = text.replace("\n", "").replace("\r", "");
        }
        return (bare ? text.strip() : text).codePoints().toArray();
    }

    private static boolean fits(int[] question, int[] answer, int given) {
        return question.length == answer.length && (given == 0 || question.length == given);
    }

    private static void checkLength(PuzzleRow row, Role role, int found, int wanted) {
        if (found != wanted || found == 0) {
            throw new DataException(row.where(role) + "found " + found + " cells, expected "
                    + (wanted == 0 ? "at least one" : wanted + " as in the first question"));
        }
    }

    private void reserve(PuzzleRow row) {
        long needed = 2L * length * (count + 1L);
        if (needed > MOST_BYTES) {
            throw new DataException(row.where() + "found more than " + MOST_BYTES + " cells in the file");
        }
        if (needed > cells.length) {
            cells = Arrays.copyOf(cells, (int) Math.min(MOST_BYTES, Math.max(needed, cells.length * 3L / 2)));
        }
        lines = count == lines.length ? Arrays.copyOf(lines, 2 * count) : lines;
    }

    private void put(PuzzleRow row, Role role, int[] from, int half) {
        int at = (2 * count + half) * length;
        for (int i = 0; i < length; i++) {
            cells[at + i] = (byte) values.number(row, role, i, from[i]);
        }
    }

    /** Says if a question has several answers, so that no model can be right about it: how often, and where first. */
    Optional<String> conflicts() {
        int size = Integer.highestOneBit(Math.max(1, count)) * 2;
        int[] slots = new int[Math.max(4, size > 1 << 29 ? size : 2 * size)]; // 1 + puzzle, by hash of the question
        int conflicts = 0;
        String where = "";
        for (int puzzle = 0; puzzle < count; puzzle++) {
            int slot = hash(puzzle) & slots.length - 1;
            while (slots[slot] != 0 && !equal(slots[slot] - 1, puzzle, 0)) {
                slot = slot + 1 & slots.length - 1;
            }
            int earlier = slots[slot] - 1;
            if (earlier < 0) {
                slots[slot] = puzzle + 1;
            } else if (!equal(earlier, puzzle, 1)) {
                if (++conflicts == 1) {
                    where = path + ":" + lines[puzzle] + ": the question of line " + lines[earlier]
                            + " with another answer";
                }
            }
        }
        return conflicts == 0
                ? Optional.empty()
                : Optional.of(where + (conflicts == 1 ? "" : ", the first of " + conflicts + " of this kind")
                        + ": no model can be right about both");
    }

    private int hash(int puzzle) {
        int hash = 1;
        for (int i = 0, at = 2 * puzzle * length; i < length; i++) {
            hash = 31 * hash + cells[at + i];
        }
        return hash ^ hash >>> 15;
    }

    /** @param half 0 for the question, 1 for the answer */
    private boolean equal(int a, int b, int half) {
        int from = (2 * a + half) * length;
        int to = (2 * b + half) * length;
        return Arrays.equals(cells, from, from + length, cells, to, to + length);
    }

    /** The tokens of a puzzle's question (half 0) or answer (half 1). @param tokens by number of a value */
    int[] tokens(int puzzle, int half, int[] tokens) {
        int[] row = new int[length];
        for (int i = 0; i < length; i++) {
            row[i] = tokens[cells[(2 * puzzle + half) * length + i] & 0xff];
        }
        return row;
    }
}
