package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.LatinSquares;
import trm.data.OwnPuzzles.Look;
import trm.data.OwnPuzzles.Split;
import trm.data.puzzle.Augmentation;
import trm.data.table.ColumnNames;

/** A part held out, copies, and how puzzles are drawn. Oracle: every symmetry of every puzzle, tried here. */
class OwnPuzzlesSplitTest {
    private static final Look LATIN = new Look(null, null, null, null, true, "ABCD");

    @TempDir
    private Path dir;

    private final List<String> notes = new ArrayList<>();
    private Path csv;

    @BeforeEach
    void squares() throws IOException {
        csv = Files.writeString(dir.resolve("latin.csv"), LatinSquares.csv(4, 5, 200, 7));
    }

    private Path build(String name, Look look, Split split) {
        OwnPuzzles.build(csv, null, dir.resolve(name), ColumnNames.USUAL, look, split, notes::add);
        return dir.resolve(name);
    }

    private static List<Integer> list(int[] tokens) {
        return Arrays.stream(tokens).boxed().toList();
    }

    private static Set<List<Integer>> answers(Dataset data) {
        Set<List<Integer>> answers = new HashSet<>();
        for (int i = 0; i < data.examples(); i++) {
            answers.add(list(data.labelRow(i)));
        }
        return answers;
    }

    /** No answer that is tested is one of the 8 x 4! forms of an answer that is trained on; each puzzle is in one part. */
    @Test
    void heldOut() {
        Path folder = build("out", LATIN, new Split(0.3, 0, false, 1));
        Dataset train = Dataset.open(folder, "train");
        Dataset test = Dataset.open(folder, "test");
        assertEquals(200, train.examples() + test.examples());
        assertTrue(test.examples() > 20 && test.examples() <= 60, "held out: " + test.examples());
        Set<List<Integer>> trained = answers(train);
        List<Augmentation> all = train.own().orElseThrow().symmetries(8 * 24, 16, 1);
        for (int i = 0; i < test.examples(); i++) {
            for (Augmentation symmetry : all) {
                assertFalse(trained.contains(list(symmetry.apply(test.labelRow(i)))));
            }
        }
        assertTrue(notes.get(0).startsWith("held out " + test.examples() + " of 200 puzzles, those of "), notes.get(0));
        assertEquals(0, Inspection.of(folder).leakedOriginals());
        Dataset again = Dataset.open(build("again", LATIN, new Split(0.3, 0, false, 1)), "test");
        assertEquals(answers(test), answers(again));
        Dataset other = Dataset.open(build("other", LATIN, new Split(0.3, 0, false, 2)), "test");
        assertNotEquals(answers(test), answers(other));
    }

    /** Rotated squares stay together though --square is not said. */
    @Test
    void symmetricOnesStayTogether() throws IOException {
        csv = Files.writeString(
                dir.resolve("four.csv"), "question,answer\n....,ABCC\n...C,CABC\n....,CBAA\n....,AABB\n");
        Path folder = build("out", Look.of(null), new Split(0.3, 0, false, 1));
        assertTrue(Dataset.open(folder, "test").examples() == 1);
        csv = Files.writeString(dir.resolve("two.csv"), "question,answer\n....,ABCC\n...C,CACB\n....,CCBA\n");
        Golden.assertFails(
                () -> build("none", Look.of(null), new Split(0.4, 0, false, 1)),
                "two.csv: found 3 puzzles of 1 answer, symmetric ones counted once, expected some of which 1 puzzle can be held"
                        + " out (--hold-out 0.4)");
        assertFalse(Files.exists(dir.resolve("none")));
    }

    /** Copies are different symmetric copies of the first of their group; both forms hold the same. */
    @Test
    void copies() {
        Dataset expanded = Dataset.open(build("expanded", LATIN, new Split(0.3, 6, false, 1)), "train");
        Dataset compact = Dataset.open(build("compact", LATIN, new Split(0.3, 6, true, 1)), "train");
        Dataset plain = Dataset.open(build("plain", LATIN, new Split(0.3, 0, false, 1)), "train");
        assertEquals(7 * plain.examples(), expanded.examples());
        assertEquals(expanded.examples(), compact.examples());
        assertEquals(plain.examples(), compact.storedRows());
        List<Augmentation> all = plain.own().orElseThrow().symmetries(8 * 24, 16, 1);
        Set<Integer> used = new HashSet<>();
        for (int i = 0; i < expanded.examples(); i++) {
            assertArrayEquals(expanded.inputRow(i), compact.inputRow(i));
            assertArrayEquals(expanded.labelRow(i), compact.labelRow(i));
            assertEquals(i / 7, expanded.groupOf(i));
            int[] question = plain.inputRow(i / 7);
            int[] answer = plain.labelRow(i / 7);
            int found = -1;
            for (int k = 0; k < all.size() && found < 0; k++) {
                found = Arrays.equals(all.get(k).apply(question), expanded.inputRow(i))
                                && Arrays.equals(all.get(k).apply(answer), expanded.labelRow(i))
                        ? k
                        : -1;
            }
            assertTrue(found >= 0 && (i % 7 > 0 || found == 0), "example " + i);
            used.add(found);
        }
        assertTrue(used.size() > 100, "only " + used.size() + " symmetries are ever drawn");
        Golden.assertFails(
                () -> build("none", Look.of(null), new Split(0.3, 1, false, 1)),
                "latin.csv: --aug 1: found puzzles with 1 symmetry, the identity included, expected at least 2; trm data csv"
                        + " --square and --permute name them");
        assertFalse(Files.exists(dir.resolve("none")));
    }

    @Test
    void drawn() throws IOException {
        Dataset data = Dataset.open(build("out", LATIN, new Split(0.3, 0, false, 1)), "train");
        assertEquals("own", Puzzles.of(data).key());
        assertEquals(Set.of(1), data.own().orElseThrow().empty());
        assertEquals(4, data.own().orElseThrow().columns());
        csv = Files.writeString(
                dir.resolve("lines.json"),
                "[{\"question\": [\"ab\", \"..\", \"ba\"], \"answer\": \"abbaba\"},"
                        + "{\"question\": \"bbbbb.\", \"answer\": \"bbbbbb\"}]");
        Dataset lines = Dataset.open(build("lines", Look.of(null), new Split(0.5, 0, false, 1)), "test");
        assertEquals(2, lines.own().orElseThrow().columns());
        Look look = new Look("ab.", new int[] {2, 3}, new int[] {1, 3}, "b", false, null);
        Dataset other = Dataset.open(build("other", look, new Split(0.5, 0, false, 1)), "test");
        assertEquals(3, other.own().orElseThrow().columns());
        assertEquals(1, other.own().orElseThrow().blockRows());
        assertEquals(Set.of(2), other.own().orElseThrow().empty());
    }

    /** Latin squares of digits are no Sudokus even if the first one is. */
    @Test
    void ruleThatAllKeep() throws IOException {
        String sudoku = "1...,1234341221434321\n";
        String latin = "1...,1234234134124123\n";
        String header = "question,answer\n";
        for (String second : new String[] {sudoku, latin}) {
            String rows = header + (sudoku + second).replace("1...,", "1...............,");
            csv = Files.writeString(dir.resolve("digits.csv"), rows);
            Path folder = dir.resolve("digits" + second.charAt(9));
            OwnPuzzles.build(csv, csv, folder, "question", "answer", ".1234");
            assertEquals(
                    second.equals(sudoku) ? "sudoku" : "own",
                    Puzzles.of(Dataset.open(folder, "train")).key());
        }
    }

    @Test
    void contradictions() throws IOException {
        Split split = new Split(0.3, 0, false, 1);
        for (Object[] bad : new Object[][] {
            {new Look(".ABC", null, null, null, false, null), "expected one of '.ABC'"},
            {
                new Look(null, new int[] {3, 5}, null, null, false, null),
                "found questions of 16 cells, expected 3 x 5 as --board says"
            },
            {
                new Look(null, new int[] {2, 8}, null, null, true, null),
                "found boards of 2 x 8 cells, expected square ones"
            },
            {
                new Look(null, null, new int[] {3, 2}, null, false, null),
                "expected whole blocks of 3 x 2 as --blocks says"
            },
            {new Look(null, null, null, "x", false, null), "--empty: character 1: found 'x', expected one of '.ABCD'"},
            {new Look(null, null, null, null, false, "ABA"), "--permute: found 'A' twice, expected each symbol once"},
        }) {
            Golden.assertFails(() -> build("none", (Look) bad[0], split), (String) bad[1]);
        }
        assertFalse(Files.exists(dir.resolve("none")));
        Path one = build("one", LATIN, split);
        Path two = build("two", new Look(".DCBA", null, null, null, true, "ABCD"), split);
        Golden.assertFails(
                () -> Dataset.open(List.of(one, two), "train"),
                "two/puzzle.json: found the alphabet '.DCBA', expected '.ABCD' as in " + one.resolve("puzzle.json"));
        Files.delete(two.resolve("puzzle.json"));
        assertTrue(Dataset.open(List.of(one, two), "train").own().isPresent());
        Path file = one.resolve("puzzle.json");
        Files.writeString(file, Files.readString(file).replace("\"own\"", "\"arc\""));
        Golden.assertFails(
                () -> Dataset.open(one, "train"),
                "puzzle.json: field 'rule': found 'arc', expected own, or sudoku or maze for puzzles of their sizes");
    }
}
