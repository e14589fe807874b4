package trm.data.maze;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.Fuzz;
import trm.data.Golden;
import trm.data.puzzle.Puzzle;

/** Mazes as a user writes them, and what is said of an answer; expected values are written by hand. */
class MazeTextTest {
    private static final String WALLED = "S #\n  #\n #G\n";
    private static final String OPEN = "S  \n # \n  G\n";
    private static final Puzzle KIND = MazePuzzle.INSTANCE;

    private static int[] tokens(String text) {
        return text.replace("\n", "")
                .chars()
                .map(c -> MazeBuilder.CELLS.indexOf(c) + 1)
                .toArray();
    }

    @Test
    void formsOfAMaze() {
        int[] open = tokens(OPEN);
        assertArrayEquals(new int[] {3, 2, 2, 2, 1, 2, 2, 2, 4}, open);
        for (String text : List.of(
                OPEN, OPEN.stripTrailing(), OPEN.replace("\n", ""), "\n" + OPEN + "\n\n", OPEN.replace("\n", "\r\n"))) {
            assertArrayEquals(open, MazeText.tokens("x", text), text);
        }
        assertTrue(KIND.hasShape(9, 6) && !KIND.hasShape(9, 7) && !KIND.hasShape(8, 6));
        Golden.assertFails(
                () -> MazeText.tokens("m.txt", WALLED), "m.txt: found no path from start to goal, expected one");
    }

    /** '/' stands for a line break. */
    @ParameterizedTest
    @CsvSource(
            ignoreLeadingAndTrailingWhitespace = false,
            delimiter = '|',
            value = {
                "S  / #/  G|m:2: found 2 characters, expected 3 as in the first line: blanks at the end of a line are free cells",
                "S  / # /  G |m:3: found 4 characters, expected 3 as in the first line",
                "S  / # /S G|m: found a start 'S' in row 1, column 1 and in row 3, column 1, expected one",
                "S G/ # /  G|m: found a goal 'G' in row 1, column 3 and in row 3, column 3, expected one",
                "S  / # /   |m: found no goal 'G', expected one",
                "   / # /  G|m: found no start 'S', expected one",
                "S  / x /  G|m:2: character 2: found 'x', expected '#', ' ', 'S' or 'G'",
                "So / # /  G|m:1: character 2: found 'o', expected '#', ' ', 'S' or 'G': 'o' marks the path of an answer",
                "S  /  G|m: found 2 lines of 3 characters, expected a square: a maze has as many rows as columns",
                "S     G|m: found 1 lines of 7 characters, expected a square",
                "S# /## /  G|m: found no path from start to goal, expected one",
                "//|m: found nothing, expected a maze",
            })
    void whatIsNoMaze(String text, String message) {
        Golden.assertFails(() -> MazeText.tokens("m", text.replace('/', '\n')), message);
    }

    /** The answer of three rows; '/' stands for a line break. */
    @ParameterizedTest
    @CsvSource(
            ignoreLeadingAndTrailingWhitespace = false,
            delimiter = '|',
            value = {
                "Soo/ #o/  G|solved: a shortest path from start to goal, of 4 moves",
                "S  /o# /ooG|solved: a shortest path from start to goal, of 4 moves",
                "Soo/o#o/  G|not solved: a shortest path from start to goal, of 4 moves, and 1 marked cells beside it",
                "S  / # /  G|not a path: the 0 marked cells do not join start and goal",
                "Soo/ # /  G|not a path: the 2 marked cells do not join start and goal",
                "Soo/ oo/  G|not a path: 1 cells of the maze are overwritten",
                "ooo/ #o/  G|not a path: 1 cells of the maze are overwritten",
            })
    void verdicts(String answer, String verdict) {
        int[] question = tokens(OPEN);
        int[] cells = tokens(answer.replace("/", ""));
        assertEquals(verdict, KIND.verdict(question, cells));
        assertEquals(verdict.startsWith("solved"), KIND.solves(question, cells));
        long faults = 0;
        for (boolean fault : KIND.faults(question, cells)) {
            faults += fault ? 1 : 0;
        }
        assertEquals(verdict.contains("overwritten") ? 1 : 0, faults);
    }

    @Test
    void aLongerPath() {
        int[] question = tokens("S   " + " ## " + " G  " + "    ");
        int[] around = tokens("Sooo" + " ##o" + " G o" + " ooo");
        assertEquals("a path from start to goal of 9 moves; not the shortest, of 3", KIND.verdict(question, around));
        assertFalse(KIND.solves(question, around));
    }

    @Test
    void whatIsGiven() {
        int[] question = tokens(OPEN);
        StringBuilder given = new StringBuilder();
        Arrays.stream(question).forEach(token -> given.append(KIND.given(token) ? '1' : '0'));
        assertEquals("100010001", given.toString());
    }

    @Tag("fuzz")
    @Test
    void anyText() throws Exception {
        List<byte[]> seeds = List.of(
                OPEN.getBytes(StandardCharsets.UTF_8),
                WALLED.getBytes(StandardCharsets.UTF_8),
                OPEN.replace("\n", "").getBytes(StandardCharsets.UTF_8));
        List<String> words =
                List.of("S", "G", "#", " ", "o", "\n", "\r\n", "\t", "\u00e4", "\ud83d\ude00", "SG", "####\n");
        Fuzz.run("maze-text", seeds, words, input -> MazeText.tokens("m", new String(input, StandardCharsets.UTF_8)));
    }
}
