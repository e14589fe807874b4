package trm.data.sudoku;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import trm.data.table.BoardText;

/** Oracle: the answers of {@code data/sudoku}, which two other solvers found; the rules of Sudoku. */
class SudokuSolverTest {
    private final SudokuSolver solver = new SudokuSolver();

    @Test
    void solvesTheHardestAndThoseOf17Givens() {
        int solved = 0;
        for (SudokuCsv.Row row : SudokuCsv.read(Path.of("data/sudoku/test.csv"))) {
            if (row.source().contains("17_clue") || row.rating() > 150) {
                List<int[]> solutions = solver.solutions(row.question(), 2);
                assertEquals(1, solutions.size());
                assertArrayEquals(row.answer(), solutions.get(0));
                solved++;
            }
        }
        assertTrue(solved > 60, solved + " puzzles");
    }

    @Test
    void noneOrSeveral() {
        assertEquals(0, count("11" + ".".repeat(79), 2));
        assertEquals(0, count("12345678." + ".".repeat(71) + "9", 2));
        assertEquals(2, count(".".repeat(81), 2));
        assertEquals(7, count(".".repeat(81), 7));
        String answer = "716985243984723165352641897271568934639412578548379621197836452863254719425197386";
        for (int[] solution :
                solver.solutions(BoardText.read("", answer.replace('1', '.').replace('2', '.'), 9), 100)) {
            assertTrue(Boards.legal(solution));
        }
        // without a solution, and known to be hard to search
        assertEquals(0, count(".....5.8....6.1.43..........1.5........1.6...3.......553.....61........4.........", 2));
    }

    private int count(String board, int most) {
        return solver.solutions(BoardText.read("", board, 9), most).size();
    }
}
