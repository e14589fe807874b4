package trm.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import trm.data.sudoku.Boards;

class BoardPrinterTest {
    private static SolveTrace.Solution solution(int[] answer) {
        int[] solved = Boards.parse("1324421324313142");
        int[] near = solved.clone();
        near[1] = 2;
        return new SolveTrace.Solution(
                Boards.parse("1..4.2....3.3..2"), answer, List.of(near, solved), new double[] {0.25, 0.994});
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
        lost[0] = 2;
        assertTrue(s.wrong(lost)[0]);
        assertArrayEquals(new boolean[16], s.wrong(s.last()));
    }
}
