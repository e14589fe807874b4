package trm.data.table;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.zip.GZIPOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.Golden;
import trm.data.maze.MazeBuilder;
import trm.data.sudoku.SudokuCsv;
import trm.input.DataException;
import trm.input.InputException;

/**
 * Tables as people have them. Oracle: the same two puzzles in the published form, written out by hand; the answers by the rules
 * of Sudoku.
 */
class PuzzleTableTest {
    private static final String[] QUESTIONS = {
        ".1....2....47....53....1...2...6..3...94....8....7.6...9.8.........54..9..5..7.8.",
        ".1........4..6.7.......5..3....7.5.6.6...2..87....8.9....7..16.9...3.2..6..2....4"
    };
    private static final String[] ANSWERS = {
        "716985243984723165352641897271568934639412578548379621197836452863254719425197386",
        "316427985549863712827915643498371526163592478752648391235784169984136257671259834"
    };

    @TempDir
    private Path dir;

    private Path file(String name, byte[] content) throws IOException {
        return Files.write(dir.resolve(name), content);
    }

    private Path file(String name, String content) throws IOException {
        return file(name, content.getBytes(StandardCharsets.UTF_8));
    }

    private static String table(String header, String row) {
        StringBuilder table = new StringBuilder(header);
        for (int i = 0; i < 2; i++) {
            table.append(row.replace("Q", QUESTIONS[i])
                    .replace("A", ANSWERS[i])
                    .replace("R", i == 0 ? "43" : "2")
                    .replace("S", "mine"));
        }
        return table.toString();
    }

    private void assertReads(byte[] content, String source, Double... ratings) throws IOException {
        List<SudokuCsv.Row> rows = SudokuCsv.read(file("t", content));
        assertEquals(2, rows.size());
        for (int i = 0; i < 2; i++) {
            assertEquals(QUESTIONS[i], text(rows.get(i).question()));
            assertEquals(ANSWERS[i], text(rows.get(i).answer()));
            assertEquals(source, rows.get(i).source());
            assertEquals(ratings.length == 0 ? null : ratings[i], rows.get(i).rating());
        }
    }

    private void assertReads(String content, String source, Double... ratings) throws IOException {
        assertReads(content.getBytes(StandardCharsets.UTF_8), source, ratings);
    }

    private static String text(int[] board) {
        return Arrays.stream(board).mapToObj(d -> d == 0 ? "." : "" + d).collect(Collectors.joining());
    }

    @Test
    void lineEndsQuotesAndMarks() throws IOException {
        String plain = table("source,question,answer,rating\n", "S,Q,A,R\n");
        assertReads(plain, "mine", 43.0, 2.0);
        assertReads("\ufeff" + plain, "mine", 43.0, 2.0);
        assertReads("\ufeff\ufeff" + plain, "mine", 43.0, 2.0);
        assertReads(plain.replace("\n", "\r\n"), "mine", 43.0, 2.0);
        assertReads(plain.replace("\n", "\r"), "mine", 43.0, 2.0);
        assertReads("\n  \n" + plain.replace("\n", "\n\n") + "\n \t\n", "mine", 43.0, 2.0);
        assertReads(plain.stripTrailing(), "mine", 43.0, 2.0);
        assertReads(
                table("\"source\",\"question\",\"answer\",\"rating\"\n", "\"S\",\"Q\",\"A\",\"R\"\n"),
                "mine",
                43.0,
                2.0);
        assertReads(table("source,question,answer,rating\n", "\"a\n\"\"S\"\"\",Q,A,R\n"), "a\n\"mine\"", 43.0, 2.0);
        assertReads("# made by hand\n#\n" + plain, "mine", 43.0, 2.0);
    }

    @Test
    void separatorsAndNames() throws IOException {
        for (String separator : List.of(";", "\t", "|", ", ", " ; ", " | ")) {
            String row = String.join(separator, "Q", "R", "A", "\"S\"") + "\n";
            assertReads(
                    table(String.join(separator, "question", "rating", "answer", "source") + "\n", row),
                    "mine",
                    43.0,
                    2.0);
        }
        assertReads("sep=;\r\n" + table("Source;QUESTION;Answer;Rating\r\n", "S;Q;A;R\r\n"), "mine", 43.0, 2.0);
        assertReads(table("quizzes,solutions\n", "Q,A\n").replace(".", "0"), "");
        assertReads(table("id,puzzle,solution,clues,difficulty\n", "1,Q,A,23,R.5\n"), "", 43.5, 2.5);
        assertReads(table(",puzzle,solution,difficulty\n", "0,Q,A,\n"), "", null, null);
        ColumnNames names = new ColumnNames("start", "end", "stars", "by");
        List<SudokuCsv.Row> rows = new ArrayList<>();
        Path path = file("t", table("by,stars,end,start,question\n", "S,R,A,Q,x\n"));
        new SudokuCsv(path, names, 3).read(rows::add);
        assertEquals(1, rows.size());
        assertEquals(43.0, rows.get(0).rating());
        Golden.assertFails(
                () -> new SudokuCsv(path, new ColumnNames("start", "end", "level", null), null).read(row -> {}),
                "t:1: header: found 'by,stars,end,start,question', expected columns 'start' and 'end' and 'level'");
    }

    @Test
    void charactersAndPacking() throws IOException {
        String plain = table("source,question,answer,rating\n", "S,Q,A,R\n");
        for (String charset : List.of("UTF-16", "x-UTF-16LE-BOM", "UTF-32")) {
            byte[] mark = charset.equals("UTF-32") ? new byte[] {0, 0, (byte) 0xfe, (byte) 0xff} : new byte[0];
            byte[] text = plain.replace(',', '\t').getBytes(Charset.forName(charset));
            byte[] marked = Arrays.copyOf(mark, mark.length + text.length);
            System.arraycopy(text, 0, marked, mark.length, text.length);
            assertReads(marked, "mine", 43.0, 2.0);
        }
        assertReads(gzip(plain), "mine", 43.0, 2.0);
        assertReads(gzip("\ufeff" + plain), "mine", 43.0, 2.0);
        assertReads(zip("a/sudoku.csv", plain, "__MACOSX/a/._sudoku.csv", "x", "a/.DS_Store", "x"), "mine", 43.0, 2.0);
        Files.writeString(dir.resolve("not.csv.gz"), plain);
        assertEquals(2, SudokuCsv.read(dir.resolve("not.csv.gz")).size());
        assertFails(
                zip("a.csv", plain, "b.csv", plain), "t: is a zip archive of 2 files ['a.csv', 'b.csv'], expected one");
        assertFails(zip("[Content_Types].xml", "", "xl/workbook.xml", ""), "t: is a workbook", "save it as CSV");
        byte[] packed = gzip(plain.repeat(20));
        assertFails(Arrays.copyOf(packed, packed.length - 20), "t: cannot be unpacked: the file is damaged or cut off");
        assertFails(gzip(gzip(plain)), "t (unpacked): is packed by gzip", "unpack it first");
    }

    private static byte[] gzip(String text) throws IOException {
        return gzip(text.getBytes(StandardCharsets.UTF_8));
    }

    private static byte[] gzip(byte[] bytes) throws IOException {
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (OutputStream out = new GZIPOutputStream(packed)) {
            out.write(bytes);
        }
        return packed.toByteArray();
    }

    private static byte[] zip(String... namesAndTexts) throws IOException {
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (ZipOutputStream out = new ZipOutputStream(packed)) {
            for (int i = 0; i < namesAndTexts.length; i += 2) {
                out.putNextEntry(new ZipEntry(namesAndTexts[i]));
                out.write(namesAndTexts[i + 1].getBytes(StandardCharsets.UTF_8));
            }
        }
        return packed.toByteArray();
    }

    private void assertFails(byte[] content, String... parts) throws IOException {
        Path path = file("t", content);
        Golden.assertFails(() -> SudokuCsv.read(path), parts);
    }

    private void assertFails(String content, String... parts) throws IOException {
        assertFails(content.getBytes(StandardCharsets.UTF_8), parts);
    }

    @Test
    void otherContentIsRefusedWithWhatToDo() throws IOException {
        assertFails("PAR1....", "t: is a Parquet file", "read_parquet");
        assertFails("version https://git-lfs.github.com/spec/v1\noid", "pointer of Git LFS", "git lfs pull");
        assertFails("\ufeff \n<!DOCTYPE html><html>", "is a web page");
        assertFails("%PDF-1.7", "is a PDF document");
        assertFails(
                new byte[] {(byte) 0xd0, (byte) 0xcf, 0x11, (byte) 0xe0, 0}, "is an Excel workbook", "save it as CSV");
        assertFails(
                "R\u00e4tsel,answer\n".getBytes(StandardCharsets.ISO_8859_1),
                "t:1: found bytes that are not UTF-8 (0xe4): save the file as UTF-8");
        assertFails(
                ("puzzle\r\n\r\n" + QUESTIONS[0] + "\r\n\u00e4").getBytes(StandardCharsets.ISO_8859_1),
                "t:4: found bytes that are not UTF-8");
        assertFails("puzzle\n".getBytes(StandardCharsets.UTF_16LE), "t:1: found a NUL character", "UTF-16");
        Golden.assertFails(() -> SudokuCsv.read(dir), dir + ": is a folder, expected a file");
    }

    @Test
    void wrongHeaders() throws IOException {
        assertFails("", "t:1: header: found an empty file");
        assertFails("\n \n", "t:1: header: found an empty file");
        assertFails("\n".repeat(40_000), "t:1: header: found none within 32768 characters");
        assertFails(table("", "Q,A\n"), "t:1: header: ", "is the line of names missing before the puzzles?");
        assertFails("# \n\nGrid 01\n003020600\n", "t:3: header: found 'Grid 01', expected a column 'question'");
        assertFails(
                "qu\u0435stion,answer\n",
                "header: found 'qu\u0435stion,answer', where 'qu\u0435stion' is qu\\u0435stion");
        assertFails("\u200bquestion,answer\n", "header: found '\\u200bquestion,answer'");
        assertFails(
                table("question,answer,r\u0430ting\n", "Q,A,R\n"),
                "where 'r\u0430ting' is r\\u0430ting, expected names in plain letters");
        assertFails(
                "question,answer,question\n", "found 'question' (column 1) and 'question' (column 3), expected one");
        assertFails("puzzle,question\n", "found 'puzzle' (column 1) and 'question' (column 2)", "--question NAME");
        assertFails("x".repeat(40_000), "t:1: header: found no end of the line");
    }

    @Test
    void wrongRows() throws IOException {
        String head = "source,question,answer,rating\n";
        String row = "\n\"a\nb\"," + QUESTIONS[0] + "," + ANSWERS[0] + ",1\n";
        assertFails(head + row + "x,y\n", "t:5: found 2 fields, expected 4 as in the header");
        assertFails(head + row + "\"x,y\n\n", "t:5: found a quote that is not closed");
        assertFails(head + row + "\"x\"y,\n", "t:5: found text after a closing quote");
        assertFails(head + row + "x".repeat(1_100_000), "t:5: found more than 1048576 characters in a row");
        assertFails(head + row + "\"" + "x\n".repeat(600_000), "t:5: found more than 1048576 characters in a row");
        assertFails(head + row + "x,".repeat(2000), "t:5: found more than 1000 fields");
        assertFails(table(head, "S,Q,A,2,5\n"), "t:2: found 5 fields, expected 4");
        for (String rating : List.of("hard", "0x1p3", "nan", "1e999", "1d", "\u0661", "1 2", "9".repeat(40))) {
            assertFails(table(head, "S,Q,A," + rating + "\n"), "t:2: rating: found '" + rating, ", expected a number");
        }
        Path path = file("t", table(head, "S,Q,A,\n"));
        Golden.assertFails(
                () -> new SudokuCsv(path, ColumnNames.USUAL, 2.5).read(r -> {}),
                "t:2: rating: found none, expected a number: a least difficulty of 2.5 is asked for");
        assertNull(SudokuCsv.read(path).get(0).rating());
    }

    @Test
    void listsAreSolved() throws IOException {
        String list = "# a list\n" + QUESTIONS[0] + "\n\n" + QUESTIONS[1].replace('.', '0') + "  # the second\n#\n";
        assertReads(list, "");
        assertTrue(SudokuCsv.read(file("t", list)).get(1).solved());
        assertReads(table("puzzle\n", "Q\n"), "");
        assertFalse(SudokuCsv.read(file("t", table("puzzle,solution\n", "Q,A\n")))
                .get(0)
                .solved());
        assertFails(
                QUESTIONS[0] + "\n" + QUESTIONS[1].replaceFirst("4", "."),
                "t:2: question: has no answer in the file, and more than one solution (2 or 8 in row 4, column 1)");
        assertFails(
                "." + QUESTIONS[0].substring(1, 80) + "1\n",
                "t:1: question: has no answer in the file, and no solution");
        assertFails("11" + QUESTIONS[0].substring(2), "t:1: question: has no answer in the file, and no solution");
        assertFails(QUESTIONS[0] + "\n" + QUESTIONS[1].substring(1), "t:2: question: found 80 cells, expected 81");
        assertFails("1..4..2....33..2\n", "t:1: question: found 16 cells, expected 81");
    }

    @Test
    void boardsInAnyForm() throws IOException {
        String quoted = table("puzzle,solution\n", "\"Q\",\"A\"\n");
        for (int i = 0; i < 2; i++) {
            quoted = quoted.replace(QUESTIONS[i], drawn(QUESTIONS[i])).replace(ANSWERS[i], drawn(ANSWERS[i]));
        }
        assertReads(quoted, "");
    }

    private static String drawn(String board) {
        StringBuilder drawn = new StringBuilder();
        for (int row = 0; row < 9; row++) {
            for (int column = 0; column < 9; column++) {
                drawn.append(column == 0 ? "" : column % 3 == 0 ? " | " : " ").append(board.charAt(9 * row + column));
            }
            drawn.append(row % 3 == 2 && row < 8 ? "\n------+-------+------\n" : "\n");
        }
        return drawn.toString();
    }

    @Test
    void json() throws IOException {
        String object = "{\"n\": [{}], \"puzzle\": \"Q\", \"Solution\": \"A\", \"difficulty\": R, \"source\": \"S\"}";
        assertReads("\ufeff" + table("", object + "\n"), "mine", 43.0, 2.0);
        assertReads(table("", object + "\r\n\r\n"), "mine", 43.0, 2.0);
        assertReads("[" + table("", object + ",").replaceFirst(",$", "]"), "mine", 43.0, 2.0);
        String grids = table("", "{\"question\": [Q], \"answer\": [A], \"rating\": null}");
        for (String board : List.of(QUESTIONS[0], QUESTIONS[1], ANSWERS[0], ANSWERS[1])) {
            String rows = board.replace('.', '0').replaceAll("(.{9})", "[$1],").replaceAll("(\\d)(?=\\d)", "$1,");
            grids = grids.replace(board, rows.substring(0, rows.length() - 1));
        }
        assertReads(grids, "", null, null);
        assertFails("{\"puzzle\": 5}", "t:1: puzzle 1: question: found 5, expected rows or text");
        assertFails("{\"puzzle\": [[10]]}", "question: found 1 cells, expected 81");
        assertFails("{\"puzzle\": \"\", \"question\": \"\"}", "found 'question' and another key for the question");
        assertFails("{\"a\": 1}\n\n[]", "t:1: puzzle 1: question: found nothing", "the keys are 'a'");
        assertFails("[1]", "t:1: found 1, expected a list of objects with 'question'");
        assertFails("\n[{\"puzzle\": }]", "t:2: column 13: not valid JSON");
        assertFails("[{\"puzzle\": \"", "t:1: column ", "not valid JSON: ends within a value");
        for (String deep : List.of("[", "[{\"a\":", "{\"puzzle\":[")) {
            String message = assertThrows(
                            DataException.class, () -> SudokuCsv.read(file("t", deep + "[".repeat(100_000))))
                    .getMessage();
            assertFalse(message.contains("Stream") || message.contains("jackson"), message);
            assertTrue(message.startsWith(dir.resolve("t") + ":1: "), message);
        }
        assertFails("{\"puzzle\": 1" + "0".repeat(5000), "t:1: column ", "a number longer than 100 digits");
    }

    /** A gzip file may unpack to much more than it has, as tables of like rows do, and not to anything. */
    @Test
    void unpackedInProportion() throws IOException {
        StringBuilder rows = new StringBuilder("source,question,answer,rating\n");
        for (int i = 0; i < 150_000; i++) {
            rows.append(i)
                    .append(',')
                    .append(QUESTIONS[0])
                    .append(',')
                    .append(ANSWERS[0])
                    .append(",1\n");
        }
        byte[] packed = gzip(rows.toString());
        assertTrue(rows.length() > 50 * packed.length && rows.length() > 20_000_000, packed.length + " bytes");
        Path path = file("t", packed);
        int[] count = {0};
        new SudokuCsv(path, ColumnNames.USUAL, null).read(row -> count[0]++);
        assertEquals(150_000, count[0]);
        byte[] lines = new byte[100 << 20];
        Arrays.fill(lines, (byte) '\n');
        System.arraycopy("puzzle".getBytes(StandardCharsets.UTF_8), 0, lines, 0, 6);
        Path bomb = file("bomb", gzip(lines));
        String message =
                assertThrows(InputException.class, () -> SudokuCsv.read(bomb)).getMessage();
        assertTrue(message.contains("bomb: asks for more than "), message);
    }

    @Test
    void mazes() throws IOException {
        Path plain = file("plain", "question,answer\n###S G###,###SoG###\n  S#  #G , oS#o #Go\n");
        List<MazeBuilder.Maze> expected = mazes(plain);
        assertEquals(2, expected.size());
        assertArrayEquals(
                new int[] {1, 1, 2, 0, 1, 1, 0, 3, 1},
                expected.get(1).question().values());
        for (String other : List.of(
                "source, question, answer\na, ###S G###, ###SoG###\nb,   S#  #G ,  oS#o #Go\n",
                "answer\tquestion\n###SoG###\t###S G###\n oS#o #Go\t  S#  #G \n",
                "puzzle;solution\n\"###\nS G\n###\";\"###\nSoG\n###\"\n\"  S\n#  \n#G \";\" oS\n#o \n#Go\"\n",
                "{\"question\": [\"###\", \"S G\", \"###\"], \"answer\": \"###SoG###\"}\n"
                        + "{\"question\": \"  S#  #G \", \"answer\": \" oS#o #Go\"}\n")) {
            assertEquals(expected.toString(), mazes(file("t", other)).toString(), other);
        }
        assertEquals(
                1, mazes(file("t", "question,answer\n ###S G###, ###SoG###\n")).size());
        Path bad = file("t", "question,answer\n###S G##,###SoG##\n");
        Golden.assertFails(() -> mazes(bad), "t:2: question: found 8 characters, expected a square of them");
        Path grid = file("t", "[{\"question\": [[1]], \"answer\": [[1]]}]");
        Golden.assertFails(
                () -> mazes(grid), "t:1: puzzle 1: question: found numbers, expected the characters '# SGo'");
        Path list = file("t", "###S G###\n");
        Golden.assertFails(() -> mazes(list), "header: found '###S G###', expected columns 'question'");
    }

    private static List<MazeBuilder.Maze> mazes(Path path) {
        return MazeBuilder.read(MazeBuilder.table(path, ColumnNames.USUAL), 0);
    }
}
