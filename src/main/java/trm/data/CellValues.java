package trm.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import trm.data.table.ColumnNames.Role;
import trm.data.table.PuzzleRow;
import trm.input.DataException;
import trm.input.Shown;

/** The different values of cells, characters or numbers, numbered as they are met, and where each was met first. */
final class CellValues {
    private static final int ASCII = 128;

    private final int most;
    private final int[] ofAscii = new int[ASCII];
    private final Map<Integer, Integer> numbers = new HashMap<>();
    private final List<String> first = new ArrayList<>(); // "file:line: role: character n: "
    private int[] values = new int[16];

    /** @param most different values, 255 at most */
    CellValues(int most) {
        this.most = most;
        Arrays.fill(ofAscii, -1);
    }

    /**
     * The number of a cell's value.
     *
     * @throws DataException if there are too many different ones
     */
    int number(PuzzleRow row, Role role, int cell, int value) {
        if (value < ASCII && ofAscii[value] >= 0) {
            return ofAscii[value];
        }
        Integer known = numbers.get(value);
        if (known != null) {
            return known;
        }
        int number = first.size();
        if (number == most) {
            throw new DataException(
                    row.where(role) + "found more than " + most + " different cells in all, expected at most " + most);
        }
        numbers.put(value, number);
        if (value < ASCII) {
            ofAscii[value] = number;
        }
        values = number == values.length ? Arrays.copyOf(values, 2 * number) : values;
        values[number] = value;
        first.add(row.where(role) + "character " + (cell + 1) + ": ");
        return number;
    }

    /** All, ascending. */
    int[] distinct() {
        int[] distinct = Arrays.copyOf(values, first.size());
        Arrays.sort(distinct);
        return distinct;
    }

    /**
     * The token of each number: the place of its value in the alphabet + 1.
     *
     * @param alphabet null for values that are numbers: the value + 1
     * @throws DataException naming the place of a value that the alphabet lacks
     */
    int[] tokens(int[] alphabet) {
        int[] tokens = new int[first.size()];
        for (int number = 0; number < tokens.length; number++) {
            int value = values[number];
            tokens[number] = alphabet == null ? value + 1 : 1 + place(alphabet, value);
            if (tokens[number] == 0) {
                throw new DataException(first.get(number) + "found "
                        + Shown.quoted(Character.toString(value)) + ", expected one of "
                        + Shown.quoted(new String(alphabet, 0, alphabet.length)));
            }
        }
        return tokens;
    }

    private static int place(int[] alphabet, int value) {
        for (int i = 0; i < alphabet.length; i++) {
            if (alphabet[i] == value) {
                return i;
            }
        }
        return -1;
    }
}
