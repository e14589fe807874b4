package trm.data.maze;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.data.Dataset;
import trm.data.Golden;
import trm.data.Puzzles;
import trm.data.puzzle.Augmentation;
import trm.data.sudoku.Boards;

/** Oracle: folders of the published builder, byte for byte; for mazes that are drawn, plain searches. */
class MazeTest {
    private static final String HEADER = "source,question,answer,rating\n";

    @TempDir
    private Path dir;

    @Test
    void foldersEqualThePublishedOnes() throws IOException {
        Path input = Golden.path("datasets/maze_tiny/input");
        Path gz = dir.resolve("train.csv.gz");
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(gz))) {
            Files.copy(input.resolve("train.csv"), out);
        }
        Path out = dir.resolve("tiny");
        assertEquals(
                new MazeBuilder.Summary(out, 30, 4, 32, 3),
                MazeBuilder.build(gz, input.resolve("test.csv"), out, 4, true, 42, false));
        Golden.assertSameFolder(Golden.path("datasets/maze_tiny/expected"), out);
        input = Golden.path("datasets/maze_small/input");
        out = dir.resolve("small");
        MazeBuilder.build(input.resolve("train.csv"), input.resolve("test.csv"), out, null, true, 3, false);
        Golden.assertSameFolder(Golden.path("datasets/maze_small/expected"), out);
    }

    /** The compact form has each maze once, and its examples are those of the other form. */
    @Test
    void compactForm() {
        Path input = Golden.path("datasets/maze_tiny/input");
        MazeBuilder.build(input.resolve("train.csv"), input.resolve("test.csv"), dir, 4, true, 42, true);
        Dataset compact = Dataset.open(dir, "train");
        Dataset expanded = Dataset.open(Golden.path("datasets/maze_tiny/expected"), "train");
        assertEquals(4, compact.storedRows());
        assertEquals(32, compact.examples());
        for (int e = 0; e < 32; e++) {
            assertArrayEquals(expanded.inputRow(e), compact.inputRow(e));
            assertArrayEquals(expanded.labelRow(e), compact.labelRow(e));
        }
    }

    /** Without copies the training split is like a test split. */
    @Test
    void withoutCopies() {
        Path test = Golden.path("datasets/maze_small/input/test.csv");
        MazeBuilder.build(test, test, dir, null, false, 0, false);
        Dataset train = Dataset.open(dir, "train");
        assertEquals(4, train.examples());
        assertEquals(Dataset.open(dir, "test").inputChunks(), train.inputChunks());
        assertEquals(MazePuzzle.INSTANCE, Puzzles.of(train));
    }

    @Test
    void badMazes() throws IOException {
        assertFails("a,S G,S G,1", ":2: question: found 3 characters, expected a square of them");
        assertFails("a,,,1", ":2: question: found 0 characters");
        assertFails("a,S  G,Sox,1", ":2: answer: found 3 characters, expected 4 as in the first maze");
        assertFails("a,S xG,SooG,1", ":2: question: character 3: found 'x', expected one of '# SGo'");
        assertFails("a,S  G,SooG,1\nb,S        ,S        ,1", ":3: question: found 9 characters, expected 4");
        assertFails("a,S  G,SooG", ":2: found 3 fields, expected 4");
        assertFails("", "found no row, expected at least one");
        Path good = Files.writeString(dir.resolve("good.csv"), HEADER + "a,S  G,SooG,1\n");
        Path out = dir.resolve("out");
        Golden.assertFails(
                () -> MazeBuilder.build(good, good, out, 0, true, 0, false), "subsample=0: expected at least 1");
        Golden.assertFails(
                () -> MazeBuilder.build(good, dir.resolve("none.csv"), out, null, true, 0, false),
                "none.csv: file not");
        Path other = Files.writeString(dir.resolve("other.csv"), HEADER + "a,S   G    ,Soo G    ,1\n");
        Golden.assertFails(
                () -> MazeBuilder.build(good, other, out, null, true, 0, false),
                "other.csv:2: question: found 9 characters, expected 4 as in the first maze");
        assertFalse(Files.exists(out));
    }

    // ---- mazes that are drawn ----

    /** 60 mazes of 12 x 12, of 40 moves or more. */
    private MazeBuilder.Summary generate(String name, long seed) {
        return MazeBuilder.generate(dir.resolve(name), 40, 20, 12, 40, seed, false, false);
    }

    /** Oracle: moves to the goal by relaxation until nothing changes, and the rule that chooses among shortest paths. */
    @Test
    void generatedPathsAreTheShortest() {
        assertEquals(new MazeBuilder.Summary(dir.resolve("a"), 12, 40, 40, 20), generate("a", 7));
        for (Dataset data : List.of(Dataset.open(dir.resolve("a"), "train"), Dataset.open(dir.resolve("a"), "test"))) {
            for (int e = 0; e < data.examples(); e++) {
                int[] question = data.inputRow(e);
                assertTrue(MazePuzzle.INSTANCE.solves(question, data.labelRow(e)));
                assertArrayEquals(marked(question, 12, 40), data.labelRow(e));
            }
        }
    }

    /** The path as the generator should mark it, of this many moves or more. */
    private static int[] marked(int[] question, int side, int least) {
        int[] moves = new int[question.length];
        Arrays.fill(moves, 1 << 20);
        for (boolean changed = true; changed; ) {
            changed = false;
            for (int i = 0; i < moves.length; i++) {
                int nearest = question[i] == 4 ? -1 : 1 << 19;
                for (int to : around(i, side)) {
                    nearest = question[i] == 4 || to < 0 ? nearest : Math.min(nearest, moves[to]);
                }
                if (question[i] != 1 && nearest + 1 < moves[i]) {
                    moves[i] = nearest + 1;
                    changed = true;
                }
            }
        }
        int at = IntStream.range(0, question.length)
                .filter(i -> question[i] == 3)
                .findFirst()
                .orElseThrow();
        assertTrue(moves[at] >= least && moves[at] < 1 << 19, moves[at] + " moves");
        int[] answer = question.clone();
        while (moves[at] > 1) {
            int wanted = moves[at] - 1;
            at = Arrays.stream(around(at, side))
                    .filter(to -> to >= 0 && moves[to] == wanted)
                    .findFirst()
                    .orElseThrow();
            answer[at] = 5;
        }
        return answer;
    }

    /** Right, down, left, up; -1 outside. */
    private static int[] around(int i, int side) {
        return new int[] {
            i % side < side - 1 ? i + 1 : -1,
            i + side < side * side ? i + side : -1,
            i % side > 0 ? i - 1 : -1,
            i - side
        };
    }

    @Test
    void noMazeTwice() {
        MazeBuilder.generate(dir, 100, 50, 4, 6, 3, false, false);
        Set<String> seen = new HashSet<>();
        for (String split : List.of("train", "test")) {
            Dataset data = Dataset.open(dir, split);
            for (int e = 0; e < data.examples(); e++) {
                int[] question = data.inputRow(e);
                assertTrue(seen.add(Arrays.toString(question)), split + " " + e);
                for (int k = 1; k < 8; k++) {
                    seen.add(Arrays.toString(
                            Augmentation.dihedral(k, 4, MazeBuilder.VOCABULARY).apply(question)));
                }
            }
        }
    }

    @Test
    void generatedMazesComeFromTheSeed() throws IOException {
        generate("a", 7);
        generate("b", 7);
        generate("c", 8);
        Golden.assertSameFolder(dir.resolve("a"), dir.resolve("b"));
        assertNotEquals(
                Dataset.open(dir.resolve("a"), "train").inputChunks(),
                Dataset.open(dir.resolve("c"), "train").inputChunks());
        MazeBuilder.generate(dir.resolve("d"), 4, 1, 12, 40, 7, true, true);
        Dataset compact = Dataset.open(dir.resolve("d"), "train");
        assertEquals(32, compact.examples());
        assertArrayEquals(Dataset.open(dir.resolve("a"), "train").inputRow(3), compact.inputRow(24));
    }

    /**
     * Oracle: layouts, starts and goals drawn one by one until a path is long enough. Means of the share of walls and of the
     * path's length differ by less than five standard errors.
     */
    @ParameterizedTest
    @CsvSource({"12, 25, 400", "40, 90, 150"}) // the second draws a row in two halves
    void mazesAreThoseOfDrawingPairs(int side, int minPath, int count) {
        List<int[]> wanted = new ArrayList<>();
        Random random = new Random(1);
        while (wanted.size() < count) {
            int[] maze = new int[side * side];
            double walls = 0.3 + 0.2 * random.nextDouble();
            Arrays.setAll(maze, i -> random.nextDouble() < walls ? 1 : 2);
            int start = random.nextInt(maze.length);
            int goal = random.nextInt(maze.length);
            if (maze[start] == 2 && maze[goal] == 2 && start != goal) {
                maze[start] = 3;
                maze[goal] = 4;
                if (length(maze, side) >= minPath) {
                    wanted.add(maze);
                }
            }
        }
        List<int[]> drawn = new MazeGenerator(side, minPath, 2)
                .draw(count).stream()
                        .map(maze -> Boards.tokens(maze.question().values()))
                        .toList();
        assertSameMean(
                wanted, drawn, maze -> Arrays.stream(maze).filter(t -> t == 1).count());
        assertSameMean(wanted, drawn, maze -> length(maze, side));
    }

    private static int length(int[] maze, int side) {
        int[] moves = new int[maze.length];
        ArrayDeque<Integer> reached = new ArrayDeque<>();
        for (int i = 0; i < maze.length; i++) {
            if (maze[i] == 3) {
                reached.add(i);
            }
        }
        while (!reached.isEmpty()) {
            int at = reached.remove();
            for (int to : around(at, side)) {
                if (to >= 0 && maze[to] != 1 && maze[to] != 3 && moves[to] == 0) {
                    moves[to] = moves[at] + 1;
                    reached.add(to);
                }
            }
        }
        return IntStream.range(0, maze.length)
                .filter(i -> maze[i] == 4)
                .map(i -> moves[i])
                .sum();
    }

    private static void assertSameMean(List<int[]> a, List<int[]> b, ToDoubleFunction<int[]> value) {
        double[] mean = new double[2];
        double errors = 0;
        for (List<int[]> mazes : List.of(a, b)) {
            double sum = mazes.stream().mapToDouble(value).sum();
            double m = sum / mazes.size();
            mean[mazes == a ? 0 : 1] = m;
            double squares = mazes.stream()
                    .mapToDouble(maze -> Math.pow(value.applyAsDouble(maze) - m, 2))
                    .sum();
            errors += squares / mazes.size() / mazes.size();
        }
        assertEquals(mean[0], mean[1], 5 * Math.sqrt(errors));
    }

    @Test
    void mazesThatCannotBeDrawn() {
        Path out = dir.resolve("out");
        Golden.assertFails(
                () -> new MazeGenerator(4, 17, 0, 1000).draw(1),
                "mazes of 4 x 4 cells whose shortest path has 17 moves or more: found 0, and no further one in 1000 layouts, where the"
                        + " longest had ",
                "; expected 1: ask for shorter paths, larger mazes or fewer");
        Golden.assertFails(
                () -> new MazeGenerator(3, 6, 0, 100_000).draw(1000), "found ", "the longest had 6; expected 1000:");
        Golden.assertFails(() -> MazeBuilder.generate(out, 0, 1, 4, 2, 0, false, false), "train=0, test=1: expected");
        Golden.assertFails(() -> MazeBuilder.generate(out, 1, 1, 2, 2, 0, false, false), "side=2: expected 3 .. 62");
        Golden.assertFails(() -> MazeBuilder.generate(out, 1, 1, 63, 2, 0, false, false), "side=63: expected 3 .. 62");
        Golden.assertFails(
                () -> MazeBuilder.generate(out, 1, 1, 4, 0, 0, false, false), "minPath=0: expected at least 1");
        Golden.assertFails(() -> MazeBuilder.generate(out, 1, 1, 4, 2, -1, false, false), "seed=-1: expected 0 ..");
        assertFalse(Files.exists(out));
    }

    private void assertFails(String rows, String message) throws IOException {
        Path csv = Files.writeString(dir.resolve("bad.csv"), HEADER + rows + (rows.isEmpty() ? "" : "\n"));
        Golden.assertFails(
                () -> MazeBuilder.build(csv, csv, dir.resolve("out"), null, false, 0, false), csv + "", message);
    }
}
