package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.sudoku.SudokuBuilder;

/** Oracles: tokens written out by hand; for Sudoku, the folder of its own builder. */
class OwnPuzzlesTest {
    @TempDir
    private Path dir;

    private Path out;

    @BeforeEach
    void folder() {
        out = dir.resolve("out");
    }

    private Path file(String name, String text) throws IOException {
        return Files.writeString(dir.resolve(name), text);
    }

    private OwnPuzzles.Summary build(Path train, Path test, String alphabet) {
        return OwnPuzzles.build(train, test, out, "question", "answer", alphabet);
    }

    @Test
    void columnsInAnyPlace() throws IOException {
        Path train = file("train.csv", "answer,note,question\nba\u00e4,\"x, y\",..a\naaa,,bb.\n");
        Path test = file("test.csv", "question,answer\na.a,aba\n");
        assertEquals(new OwnPuzzles.Summary(out, 3, ".ab\u00e4", 5, 2, 1), build(train, test, null));
        Dataset data = Dataset.open(out, "train");
        assertArrayEquals(new int[] {1, 1, 2}, data.inputRow(0));
        assertArrayEquals(new int[] {3, 2, 4}, data.labelRow(0));
        assertArrayEquals(new int[] {3, 3, 1}, data.inputRow(1));
        assertEquals(2, data.groupIndices().length - 1);
        assertArrayEquals(new int[] {2, 1, 2}, Dataset.open(out, "test").inputRow(0));
        assertEquals("b\u00e4.a", build(train, test, "b\u00e4.a").alphabet());
        assertArrayEquals(new int[] {3, 3, 4}, Dataset.open(out, "train").inputRow(0));
        assertEquals(5, Dataset.open(out, "train").info().vocabSize());
    }

    @Test
    void sudokuAsByItsOwnBuilder() {
        Path input = Golden.path("datasets/sudoku_tiny/input");
        build(input.resolve("train.csv"), input.resolve("test.csv"), ".123456789");
        Path own = dir.resolve("own");
        SudokuBuilder.build(input.resolve("train.csv"), input.resolve("test.csv"), own, null, 0, null, 0);
        try {
            assertEquals("sudoku", Puzzles.of(Dataset.open(out, "test")).key());
            Files.delete(out.resolve("puzzle.json")); // all that is more
            Golden.assertSameFolder(own, out);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void grids() throws IOException {
        String json = "[{\"question\": [[0, 2, 0], [1, 0, 7]], \"answer\": [[1, 2, 3], [1, 0, 7]]}]";
        Path train = dir.resolve("train.json.gz");
        try (OutputStream packed = new GZIPOutputStream(Files.newOutputStream(train))) {
            packed.write(json.getBytes(StandardCharsets.UTF_8));
        }
        Path test = file("test.json", json.replace("7", "9"));
        assertEquals(new OwnPuzzles.Summary(out, 6, null, 11, 1, 1), build(train, test, null));
        assertArrayEquals(
                new int[] {1, 3, 1, 2, 1, 8}, Dataset.open(out, "train").inputRow(0));
        assertArrayEquals(
                new int[] {2, 3, 4, 2, 1, 10}, Dataset.open(out, "test").labelRow(0));
    }

    /** The same two puzzles in other forms give the same folder. */
    @Test
    void otherForms() throws IOException {
        Path plain = file("plain.csv", "question,answer\n0123,1123\n1023,1123\n");
        build(plain, plain, null);
        int number = 0;
        for (String text : new String[] {
            "\ufeffquestion\tanswer\r\n0123\t1123\r\n\r\n1023\t1123\r\n",
            "question, answer\n0123, 1123\n1023, 1123\n",
            "question,answer\n0123, 1123\n1023 , 1123\n",
            "Answer;id;Question\n1123;1;\"01\n23\"\n\"11\n23\";2;\"10\n23\"\n",
            "{\"question\":\"0123\",\"answer\":[\"11\",\"23\"]}\n{\"question\":[[\"1\",\"0\"],[\"2\",\"3\"]],\"answer\":\"1123\"}\n"
        }) {
            Path other = file("other" + number++, text);
            Path folder = dir.resolve("folder" + number);
            OwnPuzzles.build(other, other, folder, "question", "answer", null);
            Golden.assertSameFolder(out, folder);
        }
        Path many = file(
                "many.csv",
                "question,answer\n"
                        + IntStream.range(0, 300)
                                .mapToObj(
                                        i -> Character.toString(0x100 + i) + "," + Character.toString(0x100 + i) + "\n")
                                .collect(Collectors.joining()));
        Golden.assertFails(
                () -> build(many, many, null), "many.csv:257: question: found more than 255 different cells");
    }

    private void assertFails(Path train, Path test, String alphabet, String... parts) {
        Golden.assertFails(() -> build(train, test, alphabet), parts);
        assertFalse(Files.exists(out));
    }

    @Test
    void badFiles() throws IOException {
        Path good = file("good.csv", "question,answer\nab,ba\n");
        assertFails(
                file("a.csv", "question,answers\nab,ba\n"),
                good,
                null,
                "a.csv:1: header: found 'question,answers'," + " expected columns 'question' and 'answer'");
        assertFails(file("a.csv", "question,answer\nab,ba,x\n"), good, null, "a.csv:2: found 3 fields, expected 2");
        assertFails(file("a.csv", "question,answer\nab,b\n"), good, null, "a.csv:2: answer: found 1 cells, expected 2");
        assertFails(
                file("a.csv", "question,answer\nab,ba\na,b\n"), good, null, ":3: question: found 1 cells, expected 2");
        assertFails(
                file("a.csv", "question,answer\n,\n"), good, null, "question: found 0 cells, expected at least one");
        assertFails(file("a.csv", "question,answer\n"), good, null, "found no puzzle, expected at least one");
        assertFails(
                good,
                file("a.csv", "question,answer\nabc,bac\n"),
                null,
                "a.csv:2: question: found 3 cells, expected 2");
        assertFails(
                good,
                file("a.csv", "question,answer\nab,bc\n"),
                null,
                "a.csv:2: answer: character 2: found 'c', expected one of 'ab'");
        assertFails(good, good, "aba", "alphabet 'aba': expected each character once");
        assertFails(good, dir.resolve("none.csv"), null, "none.csv: file not found");
        Path grids = file("a.json", "[{\"question\": [[1]], \"answer\": [[1]]}]");
        assertFails(
                good, grids, null, "a.json:1: puzzle 1: question: found numbers for cells, expected characters as ");
        assertFails(grids, grids, "ab", "has numbers for cells, expected no alphabet");
        assertFails(
                file("b.json", "{}"),
                grids,
                null,
                "b.json:1: puzzle 1: question: found nothing, expected rows or text");
        assertFails(
                file("b.json", "[{\"question\": [[1]]}]"),
                grids,
                null,
                "puzzle 1: answer: found nothing, expected rows");
        assertFails(
                file("b.json", "[{\"question\": [[1, 2], [3]], \"answer\": [[1]]}]"),
                grids,
                null,
                "puzzle 1: question: row 2: found 1 cells, expected 2 as in row 1");
        assertFails(
                file("b.json", "[{\"question\": [[1.5]], \"answer\": [[1]]}]"),
                grids,
                null,
                "puzzle 1: question: row 1: found 1.5, expected whole numbers of at least 0");
        assertFails(
                file("b.json", "[{\"question\": [[1]], \"answer\": [[300]]}]"),
                grids,
                null,
                "found 301 different cells, expected at most 255");
        assertFails(
                file("b.json", "[{\"question\": [[1]], \"answer\": [[2147483647]]}]"),
                grids,
                null,
                "found 2147483648 different cells");
    }
}
