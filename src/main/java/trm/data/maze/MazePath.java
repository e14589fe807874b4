package trm.data.maze;

import java.util.ArrayDeque;
import java.util.Arrays;

/** Paths in mazes of {@link MazeBuilder#CELLS}: steps go to one of four neighbours. */
final class MazePath {
    static final int FREE = token(' ');
    private static final int START = token('S');
    private static final int GOAL = token('G');
    private static final int PATH = token('o');

    private MazePath() {}

    private static int token(char cell) {
        return MazeBuilder.CELLS.indexOf(cell) + 1;
    }

    /**
     * True if the answer is the question with a shortest path from start to goal. Its cells are as many as a shortest path
     * has, and start and goal are joined by them: so none of them is off the path.
     */
    static boolean solves(int[] question, int[] answer) {
        int shortest = shortest(question);
        return count(overwritten(question, answer)) == 0
                && shortest > 0
                && moves(answer) == shortest
                && distance(answer, PATH) == shortest;
    }

    /** Cells of an answer that are neither as in the question nor a free cell that has become path. */
    static boolean[] overwritten(int[] question, int[] answer) {
        boolean[] overwritten = new boolean[question.length];
        for (int i = 0; i < question.length; i++) {
            overwritten[i] = answer[i] != question[i] && !(question[i] == FREE && answer[i] == PATH);
        }
        return overwritten;
    }

    private static int count(boolean[] cells) {
        int count = 0;
        for (boolean cell : cells) {
            count += cell ? 1 : 0;
        }
        return count;
    }

    /** Fewest moves from start to goal of a question, -1 where there is no way. */
    static int shortest(int[] question) {
        return distance(question, FREE);
    }

    /** Of the marked cells: whether they are a path, as short as any, and without cells beside it. */
    static String verdict(int[] question, int[] answer) {
        int shortest = shortest(question);
        int overwritten = count(overwritten(question, answer));
        if (overwritten > 0) {
            return "not a path: " + overwritten + " cells of the maze are overwritten";
        }
        int path = distance(answer, PATH);
        if (path < 0) {
            return "not a path: the " + (moves(answer) - 1) + " marked cells do not join start and goal";
        }
        int beside = moves(answer) - path;
        String rest = beside == 0 ? "" : ", and " + beside + " marked cells beside it";
        return path > shortest
                ? "a path from start to goal of " + path + " moves" + rest + "; not the shortest, of " + shortest
                : (beside == 0 ? "solved: " : "not solved: ") + "a shortest path from start to goal, of " + path
                        + " moves" + rest;
    }

    /** Steps of the path that an answer marks. */
    static int moves(int[] answer) {
        return 1 + (int) Arrays.stream(answer).filter(t -> t == PATH).count();
    }

    /** Fewest steps from start to goal over cells of one kind, -1 where there is no way. */
    private static int distance(int[] maze, int kind) {
        int side = (int) Math.round(Math.sqrt(maze.length));
        int[] steps = new int[maze.length];
        Arrays.fill(steps, -1);
        ArrayDeque<Integer> reached = new ArrayDeque<>();
        for (int i = 0; i < maze.length; i++) {
            if (maze[i] == START) {
                steps[i] = 0;
                reached.add(i);
            }
        }
        while (!reached.isEmpty()) {
            int at = reached.remove();
            if (maze[at] == GOAL) {
                return steps[at];
            }
            int[] next = {
                at >= side ? at - side : -1,
                at + side < maze.length ? at + side : -1,
                at % side > 0 ? at - 1 : -1,
                at % side < side - 1 ? at + 1 : -1
            };
            for (int to : next) {
                if (to >= 0 && steps[to] < 0 && (maze[to] == kind || maze[to] == GOAL)) {
                    steps[to] = steps[at] + 1;
                    reached.add(to);
                }
            }
        }
        return -1;
    }
}
