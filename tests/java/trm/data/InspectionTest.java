package trm.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.arc.ArcPuzzle;
import trm.data.format.Npy;
import trm.data.maze.MazeBuilder;
import trm.data.maze.MazePuzzle;
import trm.data.puzzle.OtherPuzzle;
import trm.data.puzzle.Puzzle;
import trm.data.sudoku.Boards;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.data.sudoku.SudokuForm;
import trm.data.sudoku.SudokuPuzzle;

/**
 * Oracles: there are 288 Sudokus of 4 x 4, of which 2 are essentially different, and 49 such of 6 x 6 (Felgenhauer and
 * Jarvis; Russell and Jarvis); the published builders' own copies, which are symmetric by construction.
 */
class InspectionTest {
    @TempDir
    private Path dir;

    private static void solve(int[] board, int cell, List<Integer> digits, List<int[]> into, int limit) {
        if (into.size() >= limit) {
            return;
        }
        if (cell == board.length) {
            into.add(board.clone());
            return;
        }
        for (int digit : digits) {
            board[cell] = digit;
            if (Boards.consistent(board)) {
                solve(board, cell + 1, digits, into, limit);
            }
        }
        board[cell] = 0;
    }

    @Test
    void essentiallyDifferentSudokus() {
        List<int[]> all = new ArrayList<>();
        solve(new int[16], 0, List.of(1, 2, 3, 4), all, 1000);
        assertEquals(288, all.size());
        Set<String> forms = new HashSet<>();
        Set<String> sketches = new HashSet<>();
        for (int[] board : all) {
            forms.add(SudokuForm.canonical(board));
            sketches.add(SudokuForm.sketch(board));
        }
        assertEquals(2, forms.size());
        assertEquals(2, sketches.size());
        Random random = new Random(2);
        forms.clear();
        for (int i = 0; i < 1500; i++) {
            int[] start = new int[36];
            for (int at : new int[] {0, 7, 21, 14, 28, 35}) { // some random digits, then what follows in random order
                int[] tried = start.clone();
                tried[at] = 1 + random.nextInt(6);
                start = Boards.consistent(tried) ? tried : start;
            }
            List<Integer> digits = Arrays.asList(1, 2, 3, 4, 5, 6);
            Collections.shuffle(digits, random);
            int[] solution = complete(start, digits);
            if (solution != null) {
                forms.add(SudokuForm.canonical(solution));
            }
        }
        assertTrue(forms.size() > 30 && forms.size() <= 49, "found " + forms.size() + " of 49");
    }

    private static int[] complete(int[] board, List<Integer> digits) {
        int cell = 0;
        while (cell < board.length && board[cell] != 0) {
            cell++;
        }
        if (cell == board.length) {
            return board.clone();
        }
        for (int digit : digits) {
            board[cell] = digit;
            if (Boards.consistent(board)) {
                int[] found = complete(board, digits);
                if (found != null) {
                    return found;
                }
            }
        }
        board[cell] = 0;
        return null;
    }

    /** All examples of a group are symmetric to its first; different groups are not (two pairs of an ARC task may be). */
    private static void assertGroups(String name, Puzzle kind) {
        Dataset data = Dataset.open(Golden.path("datasets/" + name + "/expected"), "train");
        assertEquals(kind, Puzzles.of(data));
        Set<String> forms = new HashSet<>();
        int[] groups = data.groupIndices();
        for (int g = 0; g + 1 < groups.length; g++) {
            int first = data.puzzleIndices()[groups[g]];
            int pairs = data.puzzleIndices()[groups[g] + 1] - first;
            for (int p = 0; p < pairs; p++) {
                int[] input = data.inputRow(first + p);
                int[] label = data.labelRow(first + p);
                String form = kind.canonical(input, label);
                for (int puzzle = groups[g]; puzzle < groups[g + 1]; puzzle++) {
                    int row = data.puzzleIndices()[puzzle] + p;
                    assertEquals(form, kind.canonical(data.inputRow(row), data.labelRow(row)));
                    assertEquals(kind.sketch(input, label), kind.sketch(data.inputRow(row), data.labelRow(row)));
                }
                assertTrue(forms.add(form) || kind == ArcPuzzle.INSTANCE, name + " group " + g + " pair " + p);
            }
        }
    }

    @Test
    void copiesAreSymmetricToTheirOriginal() {
        assertGroups("sudoku_tiny", SudokuPuzzle.INSTANCE);
        assertGroups("maze_tiny", MazePuzzle.INSTANCE);
        assertGroups("maze_small", MazePuzzle.INSTANCE);
        assertGroups("arc_tiny", ArcPuzzle.INSTANCE);
    }

    @Test
    void countsOfARecordedFolder() {
        Inspection found = Inspection.of(Golden.path("datasets/sudoku_tiny/expected"));
        assertEquals(SudokuPuzzle.INSTANCE, found.kind());
        assertEquals(2, found.splits().size());
        Inspection.Split train = found.splits().get(0);
        assertEquals("train", train.name());
        assertEquals(60, train.examples());
        assertEquals(60, train.puzzles());
        assertEquals(10, train.groups());
        assertEquals(1, train.usedIdentifiers());
        assertEquals(new Inspection.Range(1, 1, 1), train.examplesPerPuzzle());
        assertEquals(new Inspection.Range(81, 81, 81), train.cells());
        assertEquals(60 * 81, Arrays.stream(train.inputTokens()).sum());
        assertEquals(0, train.labelTokens()[1]); // no blank in an answer
        assertEquals(60 * 9, train.labelTokens()[2]);
        assertEquals(train.inputTokens()[1], Math.round(train.changed().mean() * 60)); // blanks are what changes
        assertEquals(0, train.repeats().repeated());
        assertEquals(8, found.originals());
        assertEquals(0, found.leakedOriginals());
        assertEquals(0, found.leakedInputs());
        Inspection arc = Inspection.of(Golden.path("datasets/arc_tiny/expected"));
        assertEquals(25, arc.splits().get(0).usedIdentifiers());
        assertEquals(3, arc.originals());
    }

    /** Test puzzles that are copies of training puzzles: equal ones are counted both ways, turned ones once. */
    @Test
    void leaks() throws IOException {
        Path input = Golden.path("datasets/maze_small/input");
        MazeBuilder.build(input.resolve("train.csv"), input.resolve("train.csv"), dir, null, false, 0, false);
        Inspection same = Inspection.of(dir);
        int mazes = same.splits().get(1).examples();
        assertEquals(mazes, same.leakedInputs());
        assertEquals(mazes, same.originals());
        assertEquals(mazes, same.leakedOriginals());
        byte[] turned = new byte[mazes * 64];
        Dataset data = Dataset.open(dir, "test");
        for (int r = 0; r < mazes; r++) {
            for (int i = 0; i < 64; i++) {
                turned[r * 64 + i] = (byte) data.inputRow(r)[63 - i]; // half a turn
            }
        }
        Npy.write(dir.resolve("test/all__inputs.npy"), new int[] {mazes, 64}, turned);
        Inspection half = Inspection.of(dir);
        assertEquals(0, half.leakedInputs());
        assertEquals(mazes, half.leakedOriginals());
        System.arraycopy(turned, 0, turned, 64, 64);
        Npy.write(dir.resolve("test/all__inputs.npy"), new int[] {mazes, 64}, turned);
        Inspection.Split twice = Inspection.of(dir).splits().get(1);
        assertEquals(1, twice.repeats().repeated());
        assertEquals(1, twice.repeats().contradictions());
    }

    @Test
    void sudokuLeakBySymmetry() throws IOException {
        Path tiny = Golden.path("datasets/sudoku_tiny/expected");
        Golden.copy(tiny.resolve("train"), dir.resolve("train"));
        Dataset train = Dataset.open(tiny, "train");
        Golden.copy(tiny.resolve("test"), dir.resolve("test"));
        Dataset test = Dataset.open(tiny, "test");
        byte[] inputs = new byte[test.examples() * 81];
        byte[] labels = new byte[inputs.length];
        for (int r = 0; r < test.examples(); r++) {
            int from = r == 5 ? 4 * 6 + 3 : -1; // a shuffled copy of training puzzle 4
            for (int i = 0; i < 81; i++) {
                inputs[r * 81 + i] = (byte) (from < 0 ? test.inputRow(r) : train.inputRow(from))[i];
                labels[r * 81 + i] = (byte) (from < 0 ? test.labelRow(r) : train.labelRow(from))[i];
            }
        }
        Npy.write(dir.resolve("test/all__inputs.npy"), new int[] {test.examples(), 81}, inputs);
        Npy.write(dir.resolve("test/all__labels.npy"), new int[] {test.examples(), 81}, labels);
        Inspection found = Inspection.of(dir);
        assertEquals(1, found.leakedInputs()); // that copy is a training example, too
        assertEquals(1, found.leakedOriginals());
        assertNotEquals(found, Inspection.of(tiny));
    }

    @Test
    void otherFolders() {
        Golden.assertFails(() -> Inspection.of(dir), "found neither train nor test, expected a dataset folder");
        MiniSudokuBuilder.build(dir, 4, 20, 10, 1, 8);
        assertEquals(SudokuPuzzle.INSTANCE, Inspection.of(dir).kind());
        assertEquals("1", SudokuPuzzle.INSTANCE.glyph(2));
        assertEquals(" ", SudokuPuzzle.INSTANCE.glyph(Dataset.IGNORED));
        assertEquals("G", MazePuzzle.INSTANCE.glyph(4));
        assertEquals("9", ArcPuzzle.INSTANCE.glyph(11));
        assertEquals("?", ArcPuzzle.INSTANCE.glyph(12));
        assertEquals("0", OtherPuzzle.INSTANCE.glyph(1));
    }

    /** The first label shows that these are Sudokus; others that are none have no symmetries, and are counted all the same. */
    @Test
    void sudokusThatAreNotSolved() throws IOException {
        MiniSudokuBuilder.build(dir.resolve("mini"), 4, 12, 4, 1, 8);
        Path file = dir.resolve("mini/train/all__labels.npy");
        byte[] good = Files.readAllBytes(file);
        for (int cell = 16; cell < 32; cell++) {
            for (byte token = 0; token < 6; token++) {
                byte[] changed = good.clone();
                changed[128 + cell] = token;
                Files.write(file, changed);
                assertEquals(
                        SudokuPuzzle.INSTANCE,
                        Inspection.of(dir.resolve("mini")).kind());
            }
        }
    }
}
