package trm.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.data.arc.ArcBuilder;
import trm.data.arc.ArcFiles;
import trm.data.arc.ArcTask;
import trm.data.maze.MazeBuilder;

/** What puzzles are sorted by in tables, and the file of ours that says where they come from. */
class GroupingTest {
    private static final Path SUDOKU = Golden.path("datasets/sudoku_tiny_filter");
    private static final Path MAZES = Golden.path("datasets/maze_small");

    @TempDir
    private Path dir;

    private List<Grouping> of(String split) {
        return Grouping.of(DataFolders.of(dir), split, Dataset.open(dir, split));
    }

    private void copy(Path golden) throws IOException {
        Golden.copy(golden.resolve("expected"), dir);
    }

    /** What the table says of each group. */
    private static String[] sorts(Grouping grouping) {
        return Arrays.stream(grouping.of()).mapToObj(grouping.names()::get).toArray(String[]::new);
    }

    /** Oracle: the columns of the CSV file, cut out by hand. */
    @Test
    void sudoku() throws IOException {
        copy(SUDOKU);
        Path csv = SUDOKU.resolve("input/test.csv");
        assertEquals(List.of(), of("test"), "the published files do not tell");
        Sources.writeSudoku(dir, csv, 5, null);
        List<String> kept = Files.readAllLines(csv).stream()
                .skip(1)
                .filter(line -> Integer.parseInt(line.substring(line.lastIndexOf(',') + 1)) > 4)
                .toList();
        List<Grouping> all = of("test");
        assertEquals(List.of("source", "rating"), all.stream().map(Grouping::by).toList());
        assertArrayEquals(
                kept.stream().map(line -> line.substring(0, line.indexOf(','))).toArray(String[]::new),
                sorts(all.get(0)));
        String[] bands = sorts(all.get(1));
        for (int i = 0; i < bands.length; i++) {
            int rating = Integer.parseInt(kept.get(i).substring(kept.get(i).lastIndexOf(',') + 1));
            String[] ends = bands[i].split(" to ");
            int least = Integer.parseInt(ends[0]);
            assertTrue(least <= rating && rating <= Integer.parseInt(ends[1]), rating + " in " + bands[i]);
            assertEquals(2 * least - 1, Integer.parseInt(ends[1]));
        }
        assertEquals(List.of(), of("train"), "only the test split has the file");
    }

    @Test
    void bandsOfRatings() throws IOException {
        copy(MAZES);
        String rows = "\"a, b\",-1\nb,0\n\"say \"\"c\"\"\",1\n,300\n";
        Files.writeString(dir.resolve("test/all__sources.csv"), "source,rating\n" + rows);
        List<Grouping> all = of("test");
        assertEquals(List.of("", "a, b", "b", "say \"c\""), all.get(0).names());
        assertEquals(List.of("0", "1", "256 to 511"), all.get(1).names());
        assertArrayEquals(new int[] {0, 0, 1, 2}, all.get(1).of());
    }

    /** Ratings of which some are fractions, and no source. */
    @Test
    void bandsOfFractions() throws IOException {
        copy(MAZES);
        Files.writeString(dir.resolve("test/all__sources.csv"), "source,rating\n,0.5\n,1.9\n,3.7\n,2\n");
        List<Grouping> all = of("test");
        assertEquals("rating", all.get(0).by());
        assertEquals(
                List.of("0 to below 1", "1 to below 2", "2 to below 4"),
                all.get(0).names());
        assertArrayEquals(new int[] {0, 1, 2, 2}, all.get(0).of());
    }

    /** The moves of a maze's path are in its label, of each symmetric copy as well. */
    @Test
    void mazes() throws IOException {
        copy(MAZES);
        for (String split : List.of("test", "train")) {
            Dataset data = Dataset.open(dir, split);
            Grouping grouping = of(split).get(0);
            assertEquals("path_length", grouping.by());
            for (int e = 0; e < data.examples(); e++) {
                long moves =
                        1 + Arrays.stream(data.labelRow(e)).filter(t -> t == 5).count();
                String[] ends =
                        grouping.names().get(grouping.of()[data.groupOf(e)]).split(" to ");
                assertTrue(Integer.parseInt(ends[0]) <= moves && moves <= Integer.parseInt(ends[1]), moves + " moves");
                assertEquals(0, Integer.parseInt(ends[0]) % 10);
                assertEquals(9, Integer.parseInt(ends[1]) % 10);
            }
        }
        Sources.writeMaze(dir, MAZES.resolve("input/test.csv"));
        assertEquals(
                List.of("source", "path_length"),
                of("test").stream().map(Grouping::by).toList());
    }

    /** A task's subset; of ConceptARC its concept. In the order of the test split's groups. */
    @Test
    void arc() {
        String prefix = Golden.path("datasets/arc_tiny/input/arc").toString();
        List<String> tests = List.of("evaluation", "concept");
        Sources.writeArc(
                ArcBuilder.build(prefix, List.of("training", "evaluation", "concept"), tests, dir, 2, 1, note -> {}));
        Dataset data = Dataset.open(dir, "test");
        Grouping grouping = of("test").get(0);
        String[] sorts = sorts(grouping);
        List<ArcTask> concept = ArcFiles.read(prefix, "concept", false, note -> {});
        List<String> names = ArcFiles.read(prefix, "evaluation", false, note -> {}).stream()
                .map(ArcTask::id)
                .toList();
        List<ArcTask> puzzles = ArcTask.readTestPuzzles(dir.resolve("test_puzzles.json"));
        assertEquals(sorts.length, puzzles.size());
        assertEquals(names.size() + concept.size(), sorts.length);
        for (int g = 0; g < sorts.length; g++) {
            String id = puzzles.get(g).id();
            assertEquals(names.contains(id) ? "evaluation" : id.replaceAll("\\d", ""), sorts[g]);
        }
        assertEquals(data.groupIndices().length - 1, sorts.length);
    }

    /** A folder that is built again does not keep the file of what was there. */
    @Test
    void builtAgain() throws IOException {
        Path csv = MAZES.resolve("input/test.csv");
        MazeBuilder.build(csv, csv, dir, null, false, 0, false);
        Sources.writeMaze(dir, csv);
        assertTrue(Files.exists(dir.resolve("test/all__sources.csv")));
        MazeBuilder.generate(dir, 2, 2, 8, 5, 0, false, false);
        assertFalse(Files.exists(dir.resolve("test/all__sources.csv")));
    }

    @Test
    void badFiles() throws IOException {
        copy(MAZES);
        Path file = dir.resolve("test/all__sources.csv");
        Files.writeString(file, "source,rating\na,1\n");
        Golden.assertFails(() -> of("test"), file + ": found 1 rows, expected 4, one a group");
        Files.writeString(file, "source,rating\na,x\n");
        Golden.assertFails(() -> of("test"), file + ":2: rating: found 'x', expected a number or nothing");
        Files.writeString(file, "source\na\n");
        Golden.assertFails(() -> of("test"), file + ":1: header: found 'source', expected columns 'source' and");
    }

    /** Oracle: the group whose examples contain it, by walking all. */
    @Test
    void groupOfExample() {
        for (String name : List.of("arc_tiny", "maze_small", "sudoku_tiny")) {
            Dataset data = Dataset.open(Golden.path("datasets/" + name + "/expected"), "train");
            int example = 0;
            for (int g = 0; g + 1 < data.groupIndices().length; g++) {
                for (; example < data.puzzleIndices()[data.groupIndices()[g + 1]]; example++) {
                    assertEquals(g, data.groupOf(example));
                }
            }
            assertEquals(data.examples(), example);
        }
    }
}
