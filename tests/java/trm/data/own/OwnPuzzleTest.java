package trm.data.own;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.data.Golden;
import trm.data.format.DatasetInfo;
import trm.data.puzzle.Augmentation;
import trm.data.puzzle.Symmetries;
import trm.data.random.PhiloxRandom;

/** Oracles: files written out by hand; symmetries by trying all of them. */
class OwnPuzzleTest {
    private static final String JSON =
            "{\"rule\": \"own\", \"alphabet\": \".\\u00e4B\\ud83d\\ude42\", \"rows\": 2, \"columns\": 3,"
                    + " \"block_rows\": 1, \"block_columns\": 3, \"empty\": [\".\"], \"square\": false, \"permuted\": [\"B\","
                    + " \"\\ud83d\\ude42\"]}";

    private static final DatasetInfo INFO = new DatasetInfo(0, 0, 0, 5, 6, 1, 1, 1, 1, List.of("all"));

    @TempDir
    private Path dir;

    private Optional<OwnPuzzle> read(String json, DatasetInfo info) throws IOException {
        Files.writeString(dir.resolve("puzzle.json"), json);
        return PuzzleJson.read(dir, info);
    }

    @Test
    void file() throws IOException {
        assertEquals(Optional.empty(), PuzzleJson.read(dir, INFO));
        OwnPuzzle puzzle = read(JSON, INFO).orElseThrow();
        assertEquals(
                new OwnPuzzle("own", ".\u00e4B\ud83d\ude42", 5, 2, 3, 1, 3, Set.of(1), false, List.of(3, 4)), puzzle);
        PuzzleJson.write(dir, puzzle);
        assertEquals(JSON, Files.readString(dir.resolve("puzzle.json")));
        OwnPuzzle numbers = new OwnPuzzle("own", null, 5, 2, 3, 2, 3, Set.of(1), false, List.of(2, 3));
        PuzzleJson.write(dir, numbers);
        assertEquals(numbers, PuzzleJson.read(dir, INFO).orElseThrow());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "[1] | [2] | found [2], expected a JSON object",
                "\"rule\": \"own\", | | field 'rule' is missing",
                "\"own\" | 3 | field 'rule': found 3, expected a name",
                "\\u00e4B | B | field 'alphabet': found \".B\ud83d\ude42\", expected 4 different characters, as many as tokens",
                "\\u00e4B | BB | field 'alphabet': found \".BB\ud83d\ude42\", expected 4 different",
                "\"rows\": 2 | \"rows\": 3 | found a board of 3 x 3 cells, expected 6 cells, seq_len of dataset.json",
                "\"rows\": 2 | \"rows\": 0 | field 'rows': found 0, expected a whole number, 1 to 6",
                "\"block_columns\": 3 | \"block_columns\": 4 | field 'block_columns': found 4, expected a whole number, 1 to 3",
                "[\".\"] | [\"x\"] | field 'empty': found [\"x\"], expected symbols, each once, one of '.\u00e4B\ud83d\ude42'",
                "[\".\"] | [\".\", \".\"] | field 'empty': found",
                "[\".\"] | \".\" | field 'empty': found \".\", expected a list of symbols",
                "false | true | field 'square': found true, expected true or false, false for a board that is not square",
                "false | 0 | field 'square': found 0, expected true or false",
            })
    void badFile(String part, String other, String message) {
        String json = part.equals("[1]") ? other : JSON.replace(part, other == null ? "" : other);
        assertNotEquals(JSON, json);
        Golden.assertFails(() -> read(json, INFO), "puzzle.json: " + message);
    }

    @Test
    void symbols() throws IOException {
        OwnPuzzle puzzle = read(JSON, INFO).orElseThrow();
        assertArrayEquals(new int[] {1, 4, 3, 2}, puzzle.tokens("here: ", ".\ud83d\ude42B\u00e4"));
        assertEquals(".\ud83d\ude42B\u00e4 ?", puzzle.text(new int[] {1, 4, 3, 2, 0, 5}));
        assertEquals("B |\ud83d\ude42|  ", puzzle.cell(3) + "|" + puzzle.cell(4) + "|" + puzzle.cell(0));
        Golden.assertFails(
                () -> puzzle.tokens("here: ", "BBx"),
                "here: character 3: found 'x', expected one of '.\u00e4B\ud83d\ude42'");
        OwnPuzzle numbers = new OwnPuzzle("own", null, 13, 1, 3, 1, 3, Set.of(), false, List.of());
        assertArrayEquals(new int[] {1, 12, 3}, numbers.tokens("", " 0, 11 2\n"));
        assertEquals("0 11 2", numbers.text(new int[] {1, 12, 3}));
        assertEquals(" 2", numbers.cell(3));
        Golden.assertFails(() -> numbers.tokens("here: ", "0 12"), "here: number 2: found '12', expected 0 .. 11");
    }

    private static final OwnPuzzle THREE = new OwnPuzzle("own", ".ABC", 5, 3, 3, 3, 3, Set.of(1), true, List.of(2, 4));

    /** Boards have one form if and only if one of all 16 symmetries makes one of the other. */
    @Test
    void formsAreOrbits() {
        List<Augmentation> all = THREE.drawn(16, new PhiloxRandom(1));
        Random random = new Random(1);
        Map<String, Set<List<Integer>>> orbits = new HashMap<>();
        for (int i = 0; i < 300; i++) {
            int[] board = random.ints(9, 1, 5).toArray();
            Set<List<Integer>> orbit = new HashSet<>();
            all.forEach(symmetry -> orbit.add(list(symmetry.apply(board))));
            Set<List<Integer>> before = orbits.putIfAbsent(THREE.canonical(board, null), orbit);
            if (before != null) {
                assertEquals(before, orbit);
            }
            for (Augmentation symmetry : all) {
                assertEquals(THREE.canonical(board, null), THREE.canonical(symmetry.apply(board), null));
            }
        }
        OwnPuzzle plain = new OwnPuzzle("own", ".ABC", 5, 3, 3, 3, 3, Set.of(1), false, List.of());
        assertNotEquals(
                plain.canonical(new int[] {1, 2, 1, 1, 1, 1, 1, 1, 1}, null),
                plain.canonical(new int[] {1, 1, 1, 2, 1, 1, 1, 1, 1}, null));
        assertEquals("rotation and reflection, and permutation of 'AC' of the question", THREE.symmetriesInWords());
        assertEquals("equality of the question", plain.symmetriesInWords());
    }

    private static List<Integer> list(int[] values) {
        List<Integer> list = new ArrayList<>();
        for (int value : values) {
            list.add(value);
        }
        return list;
    }

    @Test
    void drawnSymmetries() {
        List<Augmentation> five = THREE.symmetries(5, 9, 7);
        assertArrayEquals(Augmentation.dihedral(0, 3, 5).record(), five.get(0).record());
        Set<List<Integer>> different = new HashSet<>();
        for (Augmentation symmetry : THREE.symmetries(16, 9, 7)) {
            different.add(list(symmetry.record()));
            assertEquals(null, Augmentation.fault(symmetry.record(), 3, 5));
            assertEquals(List.of(0, 1, 3), List.of(symmetry.tokens()[0], symmetry.tokens()[1], symmetry.tokens()[3]));
        }
        assertEquals(16, different.size());
        Golden.assertFails(
                () -> THREE.symmetries(17, 9, 7),
                "found puzzles with 16 symmetries, the identity included, expected at least 17");
        OwnPuzzle last = new OwnPuzzle("own", ".ABC", 5, 3, 3, 3, 3, Set.of(1), true, List.of(3, 4));
        assertEquals(new Symmetries(true, 0, 0, 3), last.drawnSymmetries(9));
        Golden.assertFails(() -> THREE.drawnSymmetries(9), "--permute names others than the last symbols");
    }
}
