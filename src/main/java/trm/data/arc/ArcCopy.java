package trm.data.arc;

import trm.data.puzzle.Grid;
import trm.data.random.LegacyRandom;
import trm.input.DataException;

/**
 * An augmented copy of an ARC task: its colours are renamed, then every grid is transformed. The copy's name says how:
 * {@code TASK|||tK|||DIGITS}, digit i of ten being the new colour of colour i. A task as it is has its own name.
 *
 * @param task name of the original
 * @param transform 0 .. 7 ({@link Grid#transform})
 * @param colours new colour of each colour, shared and not written
 */
public record ArcCopy(String task, int transform, byte[] colours) {
    static final String SEPARATOR = "|||";
    private static final byte[] SAME = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

    static ArcCopy original(String task) {
        return new ArcCopy(task, 0, SAME);
    }

    /** Draws a copy as the published builder does: the transform, then new colours for all but colour 0. */
    static ArcCopy draw(String task, LegacyRandom random) {
        int transform = random.randint(0, Grid.TRANSFORMS);
        int[] order = random.permutation(new int[] {1, 2, 3, 4, 5, 6, 7, 8, 9});
        byte[] colours = new byte[ArcTask.COLOURS];
        for (int i = 0; i < order.length; i++) {
            colours[i + 1] = (byte) order[i];
        }
        return new ArcCopy(task, transform, colours);
    }

    /**
     * Reads a copy's name.
     *
     * @throws DataException if there are separators in it, but no transform or no ten colours
     */
    public static ArcCopy parse(String name) {
        if (!name.contains(SEPARATOR)) {
            return original(name);
        }
        String[] parts = name.split("\\|\\|\\|", -1);
        String transform = parts[parts.length - 2];
        String digits = parts[parts.length - 1];
        if (parts.length < 3
                || !transform.matches("t[0-7]")
                || !digits.matches("[0-9]{10}")
                || digits.chars().distinct().count() != ArcTask.COLOURS) {
            throw new DataException("identifier '" + name + "': expected TASK, or TASK|||tK|||DIGITS with K 0 .. 7 and"
                    + " each digit once");
        }
        byte[] colours = new byte[ArcTask.COLOURS];
        for (int i = 0; i < colours.length; i++) {
            colours[i] = (byte) (digits.charAt(i) - '0');
        }
        return new ArcCopy(parts[0], transform.charAt(1) - '0', colours);
    }

    String name() {
        if (colours == SAME) {
            return task;
        }
        StringBuilder name = new StringBuilder(task)
                .append(SEPARATOR)
                .append('t')
                .append(transform)
                .append(SEPARATOR);
        for (byte colour : colours) {
            name.append(colour);
        }
        return name.toString();
    }

    Grid apply(Grid grid) {
        return colours == SAME ? grid : grid.mapped(colours).transform(transform);
    }

    /** A grid of the original from one of the copy. */
    public Grid undo(Grid grid) {
        if (colours == SAME) {
            return grid;
        }
        byte[] back = new byte[ArcTask.COLOURS];
        for (int i = 0; i < back.length; i++) {
            back[colours[i]] = (byte) i;
        }
        return grid.transform(Grid.inverse(transform)).mapped(back);
    }
}
