package trm.data.maze;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.IntStream;
import trm.data.puzzle.Augmentation;
import trm.data.puzzle.Grid;
import trm.data.puzzle.Puzzle;
import trm.data.puzzle.Symmetries;
import trm.input.DataException;

/** Squares of {@link MazeBuilder#CELLS}: the same if their questions are rotations or reflections of each other. */
public final class MazePuzzle implements Puzzle {
    public static final Puzzle INSTANCE = new MazePuzzle();

    private static final int MOVES_A_BAND = 10;

    private MazePuzzle() {}

    @Override
    public String key() {
        return "maze";
    }

    @Override
    public boolean hasShape(int cells, int vocabulary) {
        int side = side(cells);
        return side * side == cells && vocabulary == MazeBuilder.VOCABULARY;
    }

    @Override
    public boolean recognises(int vocabulary, int[] input, int[] label) {
        return hasShape(input.length, vocabulary) && count(input, 'S') == 1 && count(input, 'G') == 1;
    }

    @Override
    public boolean given(int token) {
        return token > 0 && token != MazePath.FREE;
    }

    private static int side(int cells) {
        return (int) Math.round(Math.sqrt(cells));
    }

    private static long count(int[] tokens, char cell) {
        return Arrays.stream(tokens)
                .filter(t -> t == MazeBuilder.CELLS.indexOf(cell) + 1)
                .count();
    }

    @Override
    public String glyphs() {
        return MazeBuilder.CELLS;
    }

    @Override
    public String symmetriesInWords() {
        return "rotation and reflection of the question";
    }

    @Override
    public String canonical(int[] input, int[] label) {
        byte[] cells = new byte[input.length];
        for (int i = 0; i < cells.length; i++) {
            cells[i] = (byte) input[i];
        }
        int side = side(cells.length);
        Grid maze = new Grid(side, side, cells);
        TreeSet<String> forms = new TreeSet<>();
        for (int k = 0; k < Grid.TRANSFORMS; k++) {
            forms.add(maze.transform(k).toString());
        }
        return forms.first();
    }

    @Override
    public List<Augmentation> symmetries(int count, int cells, long seed) {
        if (count > Augmentation.DIHEDRAL) {
            throw new DataException("mazes have " + Augmentation.DIHEDRAL + " symmetries, not " + count);
        }
        return IntStream.range(0, count)
                .mapToObj(k -> Augmentation.dihedral(k, side(cells), MazeBuilder.VOCABULARY))
                .toList();
    }

    @Override
    public Symmetries drawnSymmetries(int cells) {
        return new Symmetries(true, 0, 0, MazeBuilder.VOCABULARY);
    }

    @Override
    public boolean hasRules() {
        return true;
    }

    @Override
    public boolean solves(int[] input, int[] answer) {
        return MazePath.solves(input, answer);
    }

    @Override
    public boolean[] faults(int[] input, int[] answer) {
        return MazePath.overwritten(input, answer);
    }

    @Override
    public String verdict(int[] input, int[] answer) {
        return MazePath.verdict(input, answer);
    }

    @Override
    public Optional<Measure> measure() {
        return Optional.of(new Measure("path_length", MOVES_A_BAND, MazePath::moves));
    }
}
