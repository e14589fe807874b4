package trm.reproduce;

import java.util.List;
import java.util.Optional;
import trm.config.ConfigException;
import trm.data.sudoku.GivensAdded;

/**
 * A study of training levers (docs/recipes.md): what each does to how fast a small model learns Sudoku on a CPU, alone and together
 * with others.
 *
 * @param name as on the command line
 * @param givens those of its puzzles, which are made of {@code data/sudoku}
 * @param puzzles the same for people
 * @param epochs of its runs, in place of those of {@code base.yaml}
 * @param arms the first of them is what the others are measured against
 */
public record Recipes(
        String name, String title, GivensAdded.Amount givens, String puzzles, int epochs, List<Arm> arms) {
    /** What a lever changes; arms of one theme share a plot. */
    public enum Theme {
        MATRICES("optimizer and activation"),
        SCHEDULE("schedule"),
        LOSS("loss"),
        INPUT("input, and the best together");

        private final String title;

        Theme(String title) {
            this.title = title;
        }

        String title() {
            return title;
        }
    }

    /**
     * Settings that differ from those of {@link #BASE} in one lever, or in several.
     *
     * @param name of the file in {@code configs/recipes}, without its ending; as on the command line and in reports
     */
    public record Arm(String name, Theme theme) {}

    /** What the other arms are measured against. */
    static final String BASE = "base";

    private static final Arm FIRST = new Arm(BASE, Theme.MATRICES);
    private static final Arm COSINE = new Arm("cosine", Theme.SCHEDULE);
    private static final Arm MUON_NORMED = new Arm("muon-normed", Theme.MATRICES);
    private static final Arm FRESH = new Arm("fresh", Theme.INPUT);
    private static final Arm BEST = new Arm("best", Theme.INPUT);

    public static final List<Recipes> ALL = List.of(
            new Recipes(
                    "recipes",
                    "Levers on ordinary Sudoku",
                    new GivensAdded.Amount(true, 30, 38),
                    "9 x 9 puzzles of 30 to 38 givens",
                    14,
                    List.of(
                            FIRST,
                            new Arm("muon", Theme.MATRICES),
                            new Arm("normed", Theme.MATRICES),
                            MUON_NORMED,
                            COSINE,
                            new Arm("no-carry", Theme.SCHEDULE),
                            new Arm("depth", Theme.SCHEDULE),
                            new Arm("late-ema", Theme.SCHEDULE),
                            new Arm("softmax", Theme.LOSS),
                            new Arm("smoothing", Theme.LOSS),
                            new Arm("halt-weight", Theme.LOSS),
                            FRESH,
                            new Arm("prefix", Theme.INPUT),
                            BEST)),
            new Recipes(
                    "recipes-mixed",
                    "Levers on harder Sudoku",
                    new GivensAdded.Amount(false, 0, 12),
                    "9 x 9 puzzles, minimal ones with 0 to 12 givens added",
                    24,
                    List.of(FIRST, MUON_NORMED, COSINE, FRESH, BEST)));

    /** The study of this name, if it is one. */
    public static Optional<Recipes> named(String name) {
        return ALL.stream().filter(recipes -> recipes.name.equals(name)).findFirst();
    }

    /**
     * The arms of these names in the study's order; all of them if none is named.
     *
     * @throws ConfigException if there is none of a name; the message lists them
     */
    List<Arm> arms(List<String> names) {
        return Table.chosen(name, arms, Arm::name, names);
    }
}
