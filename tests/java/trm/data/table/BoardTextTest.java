package trm.data.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import trm.data.Golden;
import trm.data.sudoku.Boards;

/** Oracle: the boards written as cells alone. */
class BoardTextTest {
    private static final String SMALL = "1..4..2....33..2";
    private static final String MIDDLE = "1....6" + "..2..." + ".3...." + "....4." + "...5.." + "6....1";
    private static final String LARGE =
            ".1....2....47....53....1...2...6..3...94....8....7.6...9.8.........54..9..5..7.8.";

    private static String read(String text) {
        return Arrays.stream(Boards.parse(text))
                .mapToObj(d -> d == 0 ? "." : "" + d)
                .collect(Collectors.joining());
    }

    private static void assertFails(String text, String... parts) {
        Golden.assertFails(() -> Boards.parse(text), parts);
    }

    @Test
    void signsOfEmptyCells() {
        for (char sign : ".0_*- ".toCharArray()) {
            assertEquals(SMALL, read(SMALL.replace('.', sign)), "sign " + sign);
            assertEquals(MIDDLE, read(MIDDLE.replace('.', sign)), "sign " + sign);
            assertEquals(LARGE, read(LARGE.replace('.', sign)), "sign " + sign);
        }
        assertEquals(SMALL, read("1.04_*2....33..2"));
    }

    @Test
    void frames() {
        for (String text : new String[] {
            "1..4 ..2. ...3 3..2",
            "1..4\n..2.\n...3\n3..2",
            "1..4\r\n..2.\r\n...3\r\n3..2\r\n",
            "\n 1 . . 4\n . . 2 .\n . . . 3\n 3 . . 2\n",
            "1\t.\t.\t4\n.\t.\t2\t.\n.\t.\t.\t3\n3\t.\t.\t2",
            "+----+----+\n|1 . |. 4|\n| . .|2 .|\n+----+----+\n|. . | . 3|\n|3 .| . 2|\n+----+----+",
            "1.|.4\n..|2.\n-----\n..|.3\n3.|.2",
            "1 0 | 0 4\n0 0 | 2 0\n=========\n0 0 | 0 3\n3 0 | 0 2",
            "1..4..2.\n...33..2",
            "\u250c\u2500\u2500\u252c\u2500\u2500\u2510\n\u25021.\u2502.4\u2502\n\u2502..\u25022.\u2502\n\u251c\u2500\u2500\u253c\u2500\u2500\u2524\n"
                    + "\u2502..\u2502.3\u2502\n\u25023.\u2502.2\u2502\n\u2514\u2500\u2500\u2534\u2500\u2500\u2518",
        }) {
            assertEquals(SMALL, read(text), text);
        }
        String rows = MIDDLE.replaceAll("(.{6})", "$1 ");
        assertEquals(MIDDLE, read(rows));
        assertEquals(LARGE, read(LARGE.replaceAll("(.{3})", "$1 ")));
    }

    /** Blanks, or dashes, are empty cells where nothing else is and the number of cells says so. */
    @Test
    void blanksAndDashesForEmptyCells() {
        assertEquals(SMALL, read("1  4\n  2 \n   3\n3  2"));
        assertEquals(SMALL, read("|1 | 4|\n|  |2 |\n+--+--+\n|  | 3|\n|3 | 2|"));
        assertEquals(SMALL, read("1--4 --2- ---3 3--2"));
        assertEquals("1..4....2..33..2", read("1--4\n----\n2--3\n3--2"));
        assertEquals("1324421324313142", read("1324 4213 2431 3142"));
    }

    @Test
    void refused() {
        assertFails("", "puzzle: found 0 cells, expected 16, 36 or 81");
        assertFails("    ", "found 0 cells");
        assertFails(" ".repeat(16), "found 0 cells");
        assertFails("1..4 ..2. ...3 3..", "puzzle: found 15 cells, expected 16, 36 or 81");
        assertFails(
                "1 4 2", "puzzle: found 3 cells, or with blanks or dashes for empty cells [5], expected 16, 36 or 81");
        assertFails("1..4 ..2 ....3 3..2", "puzzle: row 2: found 3 cells, expected 4");
        assertFails("1..4\n..2\n....3\n3..2", "puzzle: row 2: found 3 cells, expected 4");
        assertFails("1.-4..2....33..2", "found '-' beside other signs for empty cells");
        assertFails("1..4..2....33..\u0662", "character 16: found '\u0662', expected a digit");
        assertFails("1..4..2....33..\ud83d\ude00", "character 16: found '\ud83d\ude00'");
        assertFails("1..4\\n..2.\\n...3\\n3..2", "character 5: found '\\\\', expected a digit");
        assertFails("1..4\u00a0..2. ...3 3..2", "character 5: found '\\u00a0'");
        assertFails("1..4 ..5. ...3 3..2", "character 8: found '5', expected 1 .. 4");
        assertFails(".".repeat(256), "found 256 cells");
    }

    /** 16 cells with 20 blanks between them are 36 cells, too. */
    @Test
    void twoReadingsAreRefused() {
        String text = "1 2 3 4  3 4 1 2  2 1 4 3  4 3 2 1  ";
        assertEquals(36, text.length());
        assertFails(text, "can be read in two ways, of 16 cells and of 36: write '.' for empty cells");
    }

    @Test
    void signsOnly() {
        assertTrue(BoardText.isSigns(SMALL) && BoardText.isSigns("12|"));
        assertFalse(BoardText.isSigns("")
                || BoardText.isSigns("---")
                || BoardText.isSigns("question")
                || BoardText.isSigns("1,2"));
    }
}
