package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import trm.data.arc.ArcPuzzle;
import trm.data.maze.MazePuzzle;
import trm.data.sudoku.Boards;
import trm.data.sudoku.SudokuPuzzle;

class BoardPrinterTest {
    private static SolveTrace.Solution solution(int[] answer) {
        int[] solved = Boards.parse("1324421324313142");
        int[] near = solved.clone();
        near[1] = 2;
        return new SolveTrace.Solution(
                SudokuPuzzle.INSTANCE,
                Boards.tokens(Boards.parse("1..4.2....3.3..2")),
                answer == null ? null : Boards.tokens(answer),
                List.of(Boards.tokens(near), Boards.tokens(solved)),
                new double[] {0.25, 0.994});
    }

    @Test
    void plainTextMarksChangesAndErrors() {
        String expected = """
                puzzle        step 1        step 2
                              halt 0.25     halt 0.99
                1 . | . 4     1 2!| 2*4     1 3*| 2 4
                . 2 | . .     4*2 | 1*3*    4 2 | 1 3
                ----+-----    ----+-----    ----+-----
                . . | 3 .     2*4*| 3 1*    2 4 | 3 1
                3 . | . 2     3 1*| 4*2     3 1 | 4 2

                """;
        assertEquals(expected, new BoardPrinter(false, 100).render(solution(Boards.parse("1324421324313142"))));
    }

    @Test
    void narrowPageGoesOnBelow() {
        String text = new BoardPrinter(false, 24).render(solution(Boards.parse("1324421324313142")));
        assertTrue(text.lines().allMatch(line -> line.length() <= 24), text);
        assertEquals(16, text.lines().count());
    }

    @Test
    void coloursReplaceMarks() {
        String text = new BoardPrinter(true, 100).render(solution(Boards.parse("1324421324313142")));
        assertFalse(text.contains("*") || text.contains("!"));
        assertTrue(text.contains("\u001b[97;41m2\u001b[0m"), "the wrong, changed cell");
        assertTrue(text.contains("\u001b[30;42m3\u001b[0m"), "the changed cell");
    }

    @Test
    void withoutASolutionConflictsAndLostGivensAreWrong() {
        SolveTrace.Solution s = solution(null);
        boolean[] wrong = s.wrong(s.boards().get(0));
        assertTrue(wrong[1] && wrong[2], "2 twice in row 1");
        int[] lost = s.last().clone();
        lost[0] = 3; // the digit 2
        assertTrue(s.wrong(lost)[0]);
        assertArrayEquals(new boolean[16], s.wrong(s.last()));
    }

    /** A maze of 3 x 3: walls are solid, the path is marked, what was overwritten is wrong. */
    private static SolveTrace.Solution maze() {
        return new SolveTrace.Solution(
                MazePuzzle.INSTANCE,
                new int[] {3, 2, 2, 2, 1, 2, 2, 2, 4},
                null,
                List.of(new int[] {3, 5, 2, 2, 5, 2, 2, 2, 4}, new int[] {3, 5, 5, 2, 1, 5, 2, 2, 4}),
                new double[] {0.25, 0.994});
    }

    @Test
    void mazes() {
        String expected = """
                puzzle        step 1        step 2
                              halt 0.25     halt 0.99
                S             S o*          S o o*
                  ##            o!            #*o*
                    G             G             G

                """;
        assertEquals(expected, new BoardPrinter(false, 100).render(maze()));
        String text = new BoardPrinter(true, 100).render(maze());
        assertTrue(text.contains("\u001b[100m  \u001b[0m"), "a wall");
        assertTrue(text.contains("\u001b[1;32mo \u001b[0m"), "a cell of the path, as before");
        assertTrue(text.contains("\u001b[30;42mo \u001b[0m"), "a new one");
        assertTrue(text.contains("\u001b[97;41mo \u001b[0m"), "a wall overwritten");
        assertFalse(text.contains("*") || text.contains("!"));
    }

    /** Boards of other sizes side by side; the digit of a colour, or the colour itself. */
    @Test
    void coloursOfArc() {
        BoardPrinter.Marks marks =
                new BoardPrinter.Marks(new boolean[2], new boolean[] {true, false}, new boolean[] {false, true});
        List<BoardPrinter.Panel> panels = List.of(
                new BoardPrinter.Panel("input", "", new int[] {2, 11}, 1, marks),
                new BoardPrinter.Panel("step 1", "no colour", new int[0], 0, BoardPrinter.Marks.none(0)),
                new BoardPrinter.Panel("solution", "", new int[] {3, 4}, 2, BoardPrinter.Marks.none(2)));
        String expected = """
                input         step 1        solution
                              no colour
                0*                          1 2
                9!

                """;
        assertEquals(expected, new BoardPrinter(false, 100).render(ArcPuzzle.INSTANCE, panels));
        String text = new BoardPrinter(true, 100).render(ArcPuzzle.INSTANCE, panels);
        assertTrue(text.contains("\u001b[97;48;5;234m* \u001b[0m"), text);
        assertTrue(text.contains("\u001b[97;48;5;88m! \u001b[0m"), text);
        assertTrue(text.contains("\u001b[97;48;5;27m  \u001b[0m\u001b[97;48;5;196m  \u001b[0m"), text);
    }
}
