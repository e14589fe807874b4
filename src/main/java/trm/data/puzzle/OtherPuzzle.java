package trm.data.puzzle;

import java.util.Arrays;
import java.util.stream.Collectors;

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

    /** Numbers, where there are more tokens than glyphs. */
    @Override
    public String text(int[] tokens) {
        return Arrays.stream(tokens).anyMatch(token -> token > glyphs().length())
                ? Arrays.stream(tokens).mapToObj(token -> "" + (token - 1)).collect(Collectors.joining(" "))
                : Puzzle.super.text(tokens);
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
