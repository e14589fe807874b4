package trm.data.puzzle;

import java.util.Arrays;

/** Puzzles of which nothing is known but their tokens: they are the same if their questions are equal. */
public final class OtherPuzzle implements Puzzle {
    public static final Puzzle INSTANCE = new OtherPuzzle();

    private OtherPuzzle() {}

    @Override
    public String key() {
        return "none";
    }

    @Override
    public boolean hasShape(int cells, int vocabulary) {
        return true;
    }

    @Override
    public boolean recognises(int vocabulary, int[] input, int[] label) {
        return true;
    }

    @Override
    public String glyphs() {
        return "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    }

    @Override
    public String symmetriesInWords() {
        return "equality of the question";
    }

    @Override
    public String canonical(int[] input, int[] label) {
        return Arrays.toString(input);
    }
}
