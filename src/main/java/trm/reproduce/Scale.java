package trm.reproduce;

import java.util.Locale;
import trm.config.ConfigException;

/**
 * How much of a published schedule runs.
 *
 * @param fraction of epochs, epochs between evaluations and warm-up steps; 0 for tiny
 * @param tinySteps optimizer steps of a small model on 4 x 4 Sudoku instead; 0 for none
 */
public record Scale(double fraction, int tinySteps) {
    public static final Scale FULL = new Scale(1, 0);

    /** Steps such that the longest table, depth, is meant to take less than 20 minutes on two cores (docs/reproduce.md). */
    public static final Scale TINY = new Scale(0, 300);

    /** @throws ConfigException if the text is none of full, tiny and a fraction */
    public static Scale parse(String text) {
        switch (text.toLowerCase(Locale.ROOT)) {
            case "full":
                return FULL;
            case "tiny":
                return TINY;
            default:
                double fraction = text.matches("[0-9]*\\.?[0-9]+([eE]-?[0-9]+)?") ? Double.parseDouble(text) : 0;
                if (!(fraction > 0 && fraction <= 1)) {
                    throw new ConfigException(
                            "--scale " + text + ": expected full, tiny or a fraction above 0 and at most 1");
                }
                return new Scale(fraction, 0);
        }
    }

    public boolean isTiny() {
        return tinySteps > 0;
    }
}
