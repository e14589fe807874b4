package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.arc.ArcPuzzle;
import trm.data.maze.MazeBuilder;
import trm.data.maze.MazePuzzle;
import trm.data.puzzle.Augmentation;
import trm.data.puzzle.OtherPuzzle;
import trm.data.sudoku.Boards;
import trm.data.sudoku.SudokuPuzzle;
import trm.input.DataException;

/** Answers that keep the rules, and symmetries that keep them too. */
class RulesTest {
    private static int[] maze(String cells) {
        return cells.replace('.', ' ')
                .chars()
                .map(c -> MazeBuilder.CELLS.indexOf(c) + 1)
                .toArray();
    }

    private static boolean joins(String question, String answer) {
        return MazePuzzle.INSTANCE.solves(maze(question), maze(answer));
    }

    /** 3 x 3, '.' free. */
    @ParameterizedTest
    @CsvSource({
        "S..#.#..G, Soo#o#..G, false", // ends beside the goal's neighbour
        "S...#...G, Soo.#o..G, true",
        "S...#...G, S..o#.ooG, true", // another shortest path
        "S...#...G, Sooo#o..G, false", // a cell off the path
        "S...#...G, S...#...G, false", // no path
        "S...#...G, So..#o..G, false", // broken
        "S...#...G, Soo.oo..G, false", // through a wall
        "S...#...G, .oo.#o..G, false", // the start is gone
        "S...#...G, Soo##o..G, false", // a wall more
        "S...#...G, Soo.#oo.G, false", // as many as four, shortest is three
        "SG......., SG......., true", // beside each other
        "S.......G, Soo..o..G, true",
        "S.......G, So..oo..G, true",
        "S..o....G, Soo..o..G, false", // a path cell of the question must stay
        "S.#####.G, S.#####.G, false" // there is no way
    })
    void mazes(String question, String answer, boolean valid) {
        assertEquals(valid, joins(question, answer));
    }

    /** Diagonal and wrapped-around neighbours are none. */
    @Test
    void neighbours() {
        assertFalse(joins("S.......G", "S...o...G"));
        assertFalse(joins(".S.......G......".replace("\n", ""), ".S.......G......"));
        assertFalse(joins("..SG.....", "..SG....."), "the end of a row does not touch the next one's beginning");
    }

    /** A longer way that is a path is not a shortest one. */
    @Test
    void detour() {
        assertTrue(joins("S.G......", "SoG......"));
        assertFalse(joins("S.G......", "S.Gooo..."));
    }

    @Test
    void labelsKeepTheRules() {
        Dataset mazes = Dataset.open(Path.of("tests/golden/datasets/maze_small/expected"), "test");
        for (int i = 0; i < mazes.examples(); i++) {
            assertTrue(Puzzles.of(mazes).solves(mazes.inputRow(i), mazes.labelRow(i)), "maze " + i);
            assertFalse(Puzzles.of(mazes).solves(mazes.inputRow(i), mazes.inputRow(i)), "maze " + i);
        }
        assertTrue(
                MazePuzzle.INSTANCE.hasRules() && !ArcPuzzle.INSTANCE.hasRules() && !OtherPuzzle.INSTANCE.hasRules());
    }

    @Test
    void sudokus() {
        int[] puzzle = Boards.tokens(Boards.parse("1..4.2....3.3..2"));
        int[] solved = Boards.tokens(Boards.parse("1324421324313142"));
        assertTrue(SudokuPuzzle.INSTANCE.solves(puzzle, solved));
        int[] other = Boards.tokens(Boards.parse("2134341243211243"));
        assertFalse(SudokuPuzzle.INSTANCE.solves(puzzle, other), "legal, but the givens are others");
        for (int cell = 0; cell < 16; cell++) {
            int[] wrong = solved.clone();
            wrong[cell] = wrong[cell] == 2 ? 3 : 2;
            assertFalse(SudokuPuzzle.INSTANCE.solves(puzzle, wrong), "cell " + cell);
            wrong[cell] = 0; // padding
            assertFalse(SudokuPuzzle.INSTANCE.solves(puzzle, wrong), "cell " + cell);
        }
    }

    /** Symmetries of a solved board are solved boards, all different, the first the board itself; undone they are it. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "1324421324313142",
                "123456456123231564564231312645645312",
                "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
            })
    void symmetriesOfSudoku(String digits) {
        int[] board = Boards.tokens(Boards.parse(digits));
        List<Augmentation> symmetries = SudokuPuzzle.INSTANCE.symmetries(30, board.length, 5);
        assertArrayEquals(board, symmetries.get(0).apply(board));
        Set<String> seen = new HashSet<>();
        boolean transposed = false;
        for (Augmentation symmetry : symmetries) {
            int[] changed = symmetry.apply(board);
            assertTrue(SudokuPuzzle.INSTANCE.solves(changed, changed), symmetry.toString());
            assertArrayEquals(board, symmetry.undo(changed));
            assertEquals(0, symmetry.tokens()[0]);
            assertEquals(1, symmetry.tokens()[1]);
            transposed |= symmetry.transpose();
            seen.add(Arrays.toString(changed));
        }
        assertTrue(seen.size() > 25, seen.size() + " different boards");
        assertEquals(board.length != 36, transposed);
    }

    @Test
    void symmetriesOfMazes() {
        int[] question = maze("S..##...G");
        int[] answer = maze("Soo##o..G");
        List<Augmentation> all = MazePuzzle.INSTANCE.symmetries(8, 9, 0);
        Set<String> seen = new HashSet<>();
        for (Augmentation symmetry : all) {
            assertTrue(MazePuzzle.INSTANCE.solves(symmetry.apply(question), symmetry.apply(answer)));
            assertArrayEquals(answer, symmetry.undo(symmetry.apply(answer)));
            seen.add(Arrays.toString(symmetry.apply(answer)));
        }
        assertEquals(8, seen.size());
        assertEquals(
                "mazes have 8 symmetries, not 9",
                assertThrows(DataException.class, () -> MazePuzzle.INSTANCE.symmetries(9, 9, 0))
                        .getMessage());
    }
}
