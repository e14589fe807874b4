package trm.data.sudoku;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.Dataset;
import trm.data.Golden;

/** Oracles: folders of the published builder; for the small boards, the rules of Sudoku themselves. */
class SudokuTest {
    private static final String HEADER = "source,question,answer,rating\n";
    private static final String ANSWER =
            "147365892325798614896142753538671429274589361961234587453916278689427135712853946";
    private static final String QUESTION =
            "..7.6...23.........9.1...5.5...7.........9.61..12...8...3.......8..2....7...5.94.";

    @TempDir
    Path dir;

    @Test
    void augmentedFolderEqualsThePublishedOne() throws IOException {
        Path input = Golden.path("datasets/sudoku_tiny/input");
        SudokuBuilder.Summary summary =
                SudokuBuilder.build(input.resolve("train.csv"), input.resolve("test.csv"), dir, 10, 5, null, 42);
        Golden.assertSameFolder(Golden.path("datasets/sudoku_tiny/expected"), dir);
        assertEquals(new SudokuBuilder.Summary(dir, 10, 60, 8, "i8"), summary);
    }

    @Test
    void filteredFolderEqualsThePublishedOne() throws IOException {
        Path input = Golden.path("datasets/sudoku_tiny_filter/input");
        Path gz = dir.resolve("train.csv.gz");
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(gz))) {
            Files.copy(input.resolve("train.csv"), out);
        }
        Path out = dir.resolve("out");
        SudokuBuilder.Summary summary = SudokuBuilder.build(gz, input.resolve("test.csv"), out, null, 0, 5, 7);
        Golden.assertSameFolder(Golden.path("datasets/sudoku_tiny_filter/expected"), out);
        assertEquals(new SudokuBuilder.Summary(out, 7, 7, 3, "u1"), summary);
    }

    @Test
    void badCsv() throws IOException {
        assertRowFails("a," + QUESTION.substring(1) + "," + ANSWER + ",1", "question: found 80 cells, expected 81");
        assertRowFails("a,x" + QUESTION.substring(1) + "," + ANSWER + ",1", "question: character 1: found 'x'");
        assertRowFails("a," + QUESTION + "," + ANSWER.substring(1) + ",1", "answer: found 80 cells, expected 81");
        assertRowFails(
                "a," + QUESTION + ",." + ANSWER.substring(1) + ",1",
                "answer: found an empty cell in row 1, column 1, expected 1 .. 9");
        assertRowFails(
                "a,2" + QUESTION.substring(1) + "," + ANSWER + ",1",
                "answer: found 1 in row 1, column 1, expected the question's 2");
        assertRowFails(
                "a," + QUESTION + ",2" + ANSWER.substring(1) + ",1",
                "answer: not a legal sudoku: found 2",
                "row 1, column 1");
        assertRowFails("a," + QUESTION + "," + ANSWER + ",hard", "rating: found 'hard', expected a number");
        assertRowFails("a," + QUESTION + "," + ANSWER, "found 3 fields, expected 4");
        Path path = dir.resolve("t.csv");
        Files.writeString(path, "start,end\n");
        Golden.assertFails(
                () -> SudokuCsv.read(path),
                "t.csv:1: header: found 'start,end', expected a column 'question' ('puzzle', ",
                "; for other names: --question NAME");
        Files.writeString(path, "");
        Golden.assertFails(() -> SudokuCsv.read(path), "t.csv:1: header: found an empty file");
        Golden.assertFails(() -> SudokuCsv.read(dir.resolve("none.csv")), "none.csv: file not found");
    }

    private void assertRowFails(String row, String... parts) throws IOException {
        Path path = dir.resolve("t.csv");
        Files.writeString(path, HEADER + "\"a,\"\"b\"," + QUESTION + "," + ANSWER + ",1\n" + row + "\n");
        Golden.assertFails(() -> SudokuCsv.read(path), "t.csv:3: ");
        Golden.assertFails(() -> SudokuCsv.read(path), parts);
    }

    @Test
    void badBuilds() throws IOException {
        Path csv = dir.resolve("t.csv");
        Files.writeString(csv, HEADER + "a," + QUESTION + "," + ANSWER + ",1\n");
        Path out = dir.resolve("out");
        Golden.assertFails(() -> SudokuBuilder.build(csv, csv, out, null, 0, 2, 0), "t.csv: found no row of rating 2");
        Golden.assertFails(() -> SudokuBuilder.build(csv, csv, out, 0, 0, null, 0), "subsample=0");
        Golden.assertFails(() -> SudokuBuilder.build(csv, csv, out, 1, -1, null, 0), "aug=-1");
        assertFalse(Files.exists(out));
        Golden.assertFails(() -> MiniSudokuBuilder.build(out, 5, 1, 1, 0, 8), "side=5: expected 4 or 6");
        Golden.assertFails(() -> MiniSudokuBuilder.build(out, 4, 1, 1, 0, 7), "minBlanks=7: expected 8 .. 12");
        Golden.assertFails(() -> MiniSudokuBuilder.build(out, 4, 0, 1, 0, 8), "train=0");
        Golden.assertFails(
                () -> MiniSudokuBuilder.build(out, 6, Integer.MAX_VALUE, 1, 0, 18),
                "train=2147483647, test=1: expected at most 10000000 in all");
        Golden.assertFails(() -> MiniSudokuBuilder.build(out, 4, 5_000_000, 1, 0, 12), "train=5000000: found only");
    }

    @Test
    void smallPuzzlesHaveOneSolutionAndSplitsShareNone() throws IOException {
        assertSmall(4, 3000, 500, 8);
        assertSmall(6, 60, 20, 18);
    }

    private void assertSmall(int side, int train, int test, int minBlanks) throws IOException {
        Path out = dir.resolve("mini" + side);
        Path again = dir.resolve("again" + side);
        MiniSudokuBuilder.Summary summary = MiniSudokuBuilder.build(out, side, train, test, 11, minBlanks);
        MiniSudokuBuilder.build(again, side, train, test, 11, minBlanks);
        Golden.assertSameFolder(out, again);
        assertEquals(side == 4 ? 188 : train, summary.trainGrids());
        assertEquals(side == 4 ? 100 : test, summary.testGrids());
        Set<String> questions = new HashSet<>();
        Set<String> trainAnswers = new HashSet<>();
        for (String split : new String[] {"train", "test"}) {
            Dataset data = Dataset.open(out, split);
            assertEquals(split.equals("train") ? train : test, data.examples());
            assertEquals(data.examples(), data.groupIndices().length - 1);
            assertEquals(side + 2, data.info().vocabSize());
            for (int r = 0; r < data.examples(); r++) {
                int[] question = Arrays.stream(data.inputRow(r)).map(t -> t - 1).toArray();
                int[] answer = Arrays.stream(data.labelRow(r)).map(t -> t - 1).toArray();
                assertTrue(questions.add(Arrays.toString(question)));
                assertTrue(Boards.legal(answer));
                assertTrue(Arrays.stream(question).filter(d -> d == 0).count() >= minBlanks);
                for (int i = 0; i < question.length; i++) {
                    assertTrue(question[i] == 0 || question[i] == answer[i]);
                }
                assertEquals(1, naiveCount(question, 0));
                if (split.equals("train")) {
                    trainAnswers.add(Arrays.toString(answer));
                } else {
                    assertFalse(trainAnswers.contains(Arrays.toString(answer)));
                }
            }
        }
    }

    /** Solutions of a board by trying every digit in the first blank cell: slow, and independent of the builder. */
    private static int naiveCount(int[] board, int from) {
        int side = Boards.side(board.length);
        int cell = from;
        while (cell < board.length && board[cell] != 0) {
            cell++;
        }
        if (cell == board.length) {
            return 1;
        }
        int found = 0;
        for (int digit = 1; digit <= side; digit++) {
            board[cell] = digit;
            if (Boards.consistent(board)) {
                found += naiveCount(board, cell + 1);
            }
        }
        board[cell] = 0;
        return found;
    }

    @Test
    void boards() {
        int[] answer = Boards.parse(ANSWER);
        assertTrue(Boards.legal(answer));
        assertEquals(9, Boards.side(81));
        assertEquals(2, Boards.boxRows(6));
        assertEquals(3, Boards.boxColumns(6));
        assertEquals(5, Boards.box(6, 5, 3));
        int[] question = Boards.parse(QUESTION, 9);
        assertTrue(Boards.consistent(question));
        assertFalse(Boards.legal(question));
        assertEquals(0, question[0]);
        assertEquals(8, Boards.tokens(question)[2]);
        int[] wrong = new int[16];
        wrong[0] = 2;
        wrong[5] = 2; // same box
        wrong[15] = 2;
        assertArrayEquals(new int[] {0, 5}, Boards.conflicts(wrong));
        Golden.assertFails(() -> Boards.side(80), "80 cells", "16, 36 or 81");
        Golden.assertFails(() -> Boards.parse("123"), "found 3 cells, expected 16, 36 or 81");
        Golden.assertFails(() -> Boards.parse("123", 4), "found 3 cells, expected 16");
        Golden.assertFails(() -> Boards.parse("1...5...........", 4), "character 5: found '5'", "1 .. 4");
        Golden.assertFails(() -> Boards.parse("1...x...........", 4), "character 5: found 'x'");
        Golden.assertFails(
                () -> Boards.parse("1..1............", 4),
                "contradictory givens: 1 in row 1, column 1 and again in row 1, column 4");
    }
}
