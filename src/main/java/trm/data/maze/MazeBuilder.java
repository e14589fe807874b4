package trm.data.maze;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import trm.data.format.SingleExampleWriter;
import trm.data.puzzle.Augmentation;
import trm.data.puzzle.Grid;
import trm.data.random.LegacyRandom;
import trm.data.table.ColumnNames;
import trm.data.table.ColumnNames.Role;
import trm.data.table.PuzzleRow;
import trm.data.table.PuzzleTable;
import trm.input.DataException;
import trm.input.Shown;

/**
 * Builds a maze dataset folder byte for byte as the published builder does, with its global generator seeded right before
 * the training split. A maze is a square of the characters {@value #CELLS}: wall, free, start, goal, path; the token of a
 * cell is its place in this list + 1.
 */
public final class MazeBuilder {
    /** The characters of a maze, in the order of their tokens. */
    public static final String CELLS = "# SGo";

    /** Tokens, padding included. */
    public static final int VOCABULARY = CELLS.length() + 1;

    /** Rows and columns of a maze that is drawn. */
    public static final int LEAST_SIDE = 3;

    public static final int MOST_SIDE = MazeGenerator.MAX_SIDE;

    /** Cells are places in {@link #CELLS}. */
    public record Maze(Grid question, Grid answer) {}

    private MazeBuilder() {}

    /**
     * What was written.
     *
     * @param side rows and columns of a maze
     * @param trainGroups training mazes
     * @param trainExamples training rows, copies included
     * @param testExamples test rows
     */
    public record Summary(Path out, int side, int trainGroups, int trainExamples, int testExamples) {}

    /**
     * Writes the folder.
     *
     * @param trainCsv  training mazes ({@link PuzzleTable}); ratings are not used
     * @param testCsv   test mazes of the same size
     * @param subsample draws this many training mazes without replacement; null keeps all
     * @param aug       each training maze in all of its eight rotations and reflections
     * @param seed      of the legacy generator, 0 .. 2^32 - 1
     * @param compact   writes the training split in its compact form (docs/data.md), with {@code aug} only
     * @throws DataException if an argument or a row is wrong
     */
    public static Summary build(
            Path trainCsv, Path testCsv, Path out, Integer subsample, boolean aug, long seed, boolean compact) {
        return build(trainCsv, testCsv, ColumnNames.USUAL, out, subsample, aug, seed, compact);
    }

    /** As {@link #build(Path, Path, Path, Integer, boolean, long, boolean)}, of files with columns of other names. */
    public static Summary build(
            Path trainCsv,
            Path testCsv,
            ColumnNames names,
            Path out,
            Integer subsample,
            boolean aug,
            long seed,
            boolean compact) {
        if (subsample != null && subsample < 1) {
            throw new DataException("subsample=" + subsample + ": expected at least 1");
        }
        LegacyRandom random = new LegacyRandom(seed);
        List<Maze> train = read(table(trainCsv, names), 0);
        int side = train.get(0).question.rows();
        List<Maze> test = read(table(testCsv, names), side);
        if (subsample != null && subsample < train.size()) {
            List<Maze> drawn = new ArrayList<>();
            for (int row : random.choice(train.size(), subsample)) {
                drawn.add(train.get(row));
            }
            train = drawn;
        }
        return write(out, train, test, aug, compact);
    }

    /**
     * Writes a folder of mazes that are drawn ({@link MazeGenerator}); none occurs twice, nor in both splits, nor rotated or
     * mirrored.
     *
     * @param train   training mazes
     * @param test    test mazes
     * @param side    rows and columns, {@value #LEAST_SIDE} to {@value #MOST_SIDE}
     * @param minPath fewest moves from start to goal
     * @param seed    0 or more
     * @param aug     as in {@link #build}, as is {@code compact}
     * @throws DataException if an argument is wrong, or so many mazes are not found; nothing has been written then
     */
    public static Summary generate(
            Path out, int train, int test, int side, int minPath, long seed, boolean aug, boolean compact) {
        if (train < 1 || test < 1) {
            throw new DataException("train=" + train + ", test=" + test + ": expected at least 1 each");
        }
        if (side < LEAST_SIDE || side > MOST_SIDE) {
            throw new DataException("side=" + side + ": expected " + LEAST_SIDE + " .. " + MOST_SIDE);
        }
        if (minPath < 1) {
            throw new DataException("minPath=" + minPath + ": expected at least 1");
        }
        MazeGenerator generator = new MazeGenerator(side, minPath, seed);
        return write(out, generator.draw(train), generator.draw(test), aug, compact);
    }

    private static Summary write(Path out, List<Maze> train, List<Maze> test, boolean aug, boolean compact) {
        if (compact && !aug) {
            throw new IllegalArgumentException("there are no copies to be compact about");
        }
        int side = train.get(0).question.rows();
        int copies = aug ? Grid.TRANSFORMS : 1;
        if ((long) train.size() * copies >= Integer.MAX_VALUE) {
            throw new DataException(out + ": " + train.size() + " mazes are too many to augment");
        }
        try {
            SingleExampleWriter.writeIdentifiers(out);
            write(out.resolve("train"), train, copies, side, compact);
            write(out.resolve("test"), test, 1, side, false);
        } catch (IOException e) {
            throw new DataException(out + ": cannot be written: " + e.getMessage(), e);
        }
        return new Summary(out, side, train.size(), train.size() * copies, test.size());
    }

    private static void write(Path dir, List<Maze> mazes, int copies, int side, boolean compact) throws IOException {
        try (SingleExampleWriter writer = compact
                ? SingleExampleWriter.compact(dir, mazes.size(), copies, side * side, VOCABULARY)
                : SingleExampleWriter.expanded(dir, "u1", mazes.size(), copies, side * side, VOCABULARY)) {
            for (Maze maze : mazes) {
                writer.task(maze.question.tokens(), maze.answer.tokens());
                for (int k = 1; k < copies; k++) {
                    writer.copy(Augmentation.dihedral(k, side, VOCABULARY));
                }
            }
        }
    }

    /** A file of mazes. */
    public static PuzzleTable table(Path file, ColumnNames names) {
        Set<Role> required = EnumSet.of(Role.QUESTION, Role.ANSWER);
        Set<Role> optional = EnumSet.of(Role.SOURCE);
        (names.source() == null ? optional : required).add(Role.SOURCE);
        return new PuzzleTable(file, names, required, optional, false);
    }

    /** @param side that the mazes must have, 0 for that of the first */
    public static List<Maze> read(PuzzleTable table, int side) {
        List<Maze> mazes = new ArrayList<>();
        table.read(row -> {
            int wanted = mazes.isEmpty() ? side : mazes.get(0).question.rows();
            Grid question = grid(row, Role.QUESTION, wanted);
            mazes.add(new Maze(question, grid(row, Role.ANSWER, question.rows())));
        });
        if (mazes.isEmpty()) {
            throw new DataException(table.file() + ": found no row, expected at least one");
        }
        return mazes;
    }

    /** A maze may stand on lines of its own. Blanks around it count as cells unless it is a square only without them. */
    private static Grid grid(PuzzleRow row, Role role, int wanted) {
        if (row.grid(role) != null) {
            throw new DataException(row.where(role) + "found numbers, expected the characters '" + CELLS + "'");
        }
        String raw = row.text(role).replace("\n", "").replace("\r", "");
        String text = side(raw, wanted) == 0 && side(raw.strip(), wanted) > 0 ? raw.strip() : raw;
        int side = side(text, wanted);
        if (side == 0) {
            throw new DataException(row.where(role) + "found " + text.length() + " characters, expected "
                    + (wanted > 0 ? wanted * wanted + " as in the first maze" : "a square of them"));
        }
        return grid(row, role, text, side);
    }

    /** 0 if the text is no square, or not the one that is wanted. */
    private static int side(String text, int wanted) {
        int side = wanted > 0 ? wanted : (int) Math.sqrt(text.length());
        return text.length() == side * side ? side : 0;
    }

    private static Grid grid(PuzzleRow row, Role role, String text, int side) {
        byte[] cells = new byte[text.length()];
        for (int i = 0; i < cells.length; i++) {
            cells[i] = (byte) CELLS.indexOf(text.charAt(i));
            if (cells[i] < 0) {
                throw new DataException(row.where(role) + "character " + (i + 1) + ": found "
                        + Shown.quoted(Character.toString(text.charAt(i))) + ", expected one of '" + CELLS + "'");
            }
        }
        return new Grid(side, side, cells);
    }
}
