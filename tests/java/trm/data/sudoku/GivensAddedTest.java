package trm.data.sudoku;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.Golden;
import trm.data.table.ColumnNames;

/** Easier puzzles made of others. Oracle: the rules, the solver, and the law by which givens are drawn. */
class GivensAddedTest {
    @TempDir
    Path dir;

    private static SudokuCsv shipped(String file) {
        return new SudokuCsv(Path.of("data/sudoku").resolve(file), ColumnNames.USUAL, null);
    }

    private static List<SudokuCsv.Row> rows(SudokuRows from) {
        List<SudokuCsv.Row> rows = new ArrayList<>();
        from.read(rows::add);
        return rows;
    }

    private static int givens(SudokuCsv.Row row) {
        return (int) Arrays.stream(row.question()).filter(d -> d != 0).count();
    }

    @Test
    void haveSoManyGivensOfTheirOwnSolution() {
        List<SudokuCsv.Row> originals = rows(shipped("test.csv"));
        GivensAdded easy = new GivensAdded(shipped("test.csv"), new GivensAdded.Amount(true, 30, 38), 1, 7);
        List<SudokuCsv.Row> made = rows(easy);
        assertEquals(originals.size(), made.size());
        assertEquals(0, easy.leftOut());
        int[] counts = new int[82];
        SudokuSolver solver = new SudokuSolver();
        for (int i = 0; i < made.size(); i++) {
            SudokuCsv.Row from = originals.get(i);
            SudokuCsv.Row row = made.get(i);
            counts[givens(row)]++;
            assertArrayEquals(from.answer(), row.answer());
            assertEquals(givens(row) + " givens", row.source());
            for (int cell = 0; cell < 81; cell++) {
                assertTrue(from.question()[cell] == 0 || from.question()[cell] == row.question()[cell]);
                assertTrue(row.question()[cell] == 0 || row.question()[cell] == row.answer()[cell]);
            }
            if (i % 50 == 0) {
                assertEquals(1, solver.solutions(row.question(), 2).size());
            }
        }
        double expected = made.size() / 9.0; // each of nine counts; five deviations of a binomial
        for (int count = 0; count < counts.length; count++) {
            assertEquals(
                    count >= 30 && count <= 38 ? expected : 0,
                    counts[count],
                    count >= 30 && count <= 38 ? 5 * Math.sqrt(expected * 8 / 9) : 0,
                    count + " givens");
        }
    }

    /** Every cell that was empty is as likely to be filled as any other. */
    @Test
    void anyEmptyCellMayBeFilled() throws IOException {
        SudokuCsv.Row original = rows(shipped("train.csv")).get(0);
        Path one = Files.writeString(dir.resolve("one.csv"), "question\n" + text(original.question()) + "\n");
        int n = 4000;
        int[] filled = new int[81];
        SudokuCsv csv = new SudokuCsv(one, ColumnNames.USUAL, null);
        for (SudokuCsv.Row row : rows(new GivensAdded(csv, new GivensAdded.Amount(false, 10, 10), n, 3))) {
            assertEquals(givens(original) + 10, givens(row));
            for (int cell = 0; cell < 81; cell++) {
                filled[cell] += row.question()[cell] != 0 ? 1 : 0;
            }
        }
        double p = 10.0 / (81 - givens(original));
        for (int cell = 0; cell < 81; cell++) {
            boolean given = original.question()[cell] != 0;
            assertEquals(given ? n : n * p, filled[cell], given ? 0 : 5 * Math.sqrt(n * p * (1 - p)), "cell " + cell);
        }
    }

    private static String text(int[] board) {
        StringBuilder text = new StringBuilder();
        for (int digit : board) {
            text.append(digit);
        }
        return text.toString();
    }

    @Test
    void equalSeedsGiveEqualPuzzlesHoweverOftenTheyAreRead() {
        GivensAdded easy = new GivensAdded(shipped("test.csv"), new GivensAdded.Amount(false, 0, 12), 2, 11);
        List<String> first = rows(easy).stream().map(r -> text(r.question())).toList();
        assertEquals(first, rows(easy).stream().map(r -> text(r.question())).toList());
        GivensAdded other = new GivensAdded(shipped("test.csv"), new GivensAdded.Amount(false, 0, 12), 2, 12);
        Set<String> seen = new HashSet<>(first);
        assertEquals(first.size(), seen.size(), "all differ");
        long shared = rows(other).stream()
                .filter(r -> seen.contains(text(r.question())))
                .count();
        assertTrue(
                shared < first.size() / 5, shared + " are those of another seed"); // most are those with nothing added
    }

    @Test
    void whatCannotBeMadeIsLeftOutOrRefused() {
        GivensAdded few = new GivensAdded(shipped("test.csv"), new GivensAdded.Amount(true, 17, 22), 1, 0);
        List<SudokuCsv.Row> made = rows(few);
        long fit =
                rows(shipped("test.csv")).stream().filter(r -> givens(r) <= 22).count();
        assertEquals(fit, made.size());
        assertEquals(5000 - fit, few.leftOut());
        assertTrue(fit > 0 && fit < 5000);
        GivensAdded same = new GivensAdded(shipped("test.csv"), new GivensAdded.Amount(false, 0, 0), 2, 0);
        Golden.assertFails(() -> rows(same), "test.csv: found only 1 different puzzles with ", ", expected 2");
        Golden.assertFails(() -> new GivensAdded.Amount(true, 5, 4), "givens 5..4: expected two numbers from 0 to 81");
        Golden.assertFails(() -> new GivensAdded.Amount(true, 5, 82), "givens 5..82");
        Golden.assertFails(
                () -> new GivensAdded(shipped("test.csv"), new GivensAdded.Amount(true, 5, 6), 0, 0), "each=0");
    }
}
