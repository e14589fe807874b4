package trm.data.arc;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import trm.data.puzzle.Grid;
import trm.data.puzzle.Puzzle;

/** Pairs of grids: the same if they differ in place, rotation, reflection or in the names of colours other than 0. */
public final class ArcPuzzle implements Puzzle {
    public static final Puzzle INSTANCE = new ArcPuzzle();

    private ArcPuzzle() {}

    @Override
    public String key() {
        return "arc";
    }

    @Override
    public boolean hasShape(int cells, int vocabulary) {
        return cells == ArcTokens.TOKENS && vocabulary == ArcTokens.VOCABULARY;
    }

    @Override
    public boolean recognises(int vocabulary, int[] input, int[] label) {
        return hasShape(input.length, vocabulary);
    }

    @Override
    public String glyphs() {
        return "|0123456789";
    }

    @Override
    public String symmetriesInWords() {
        return "place, rotation, reflection and renaming of a pair of grids";
    }

    @Override
    public String canonical(int[] input, int[] label) {
        TreeSet<String> forms = new TreeSet<>();
        for (int k = 0; k < Grid.TRANSFORMS; k++) {
            forms.add(renamed(List.of(
                    ArcTokens.find(input).transform(k), ArcTokens.find(label).transform(k))));
        }
        return forms.first();
    }

    /** Grids with colours 1 .. 9 numbered as they first appear. */
    private static String renamed(List<Grid> grids) {
        byte[] names = new byte[ArcTask.COLOURS];
        byte next = 1;
        List<Grid> renamed = new ArrayList<>();
        for (Grid grid : grids) {
            for (int colour : grid.values()) {
                if (colour != 0 && names[colour] == 0) {
                    names[colour] = next++;
                }
            }
            renamed.add(grid.mapped(names));
        }
        return renamed.toString();
    }
}
