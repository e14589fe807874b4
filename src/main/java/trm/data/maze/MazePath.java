package trm.data.maze;

import java.util.ArrayDeque;
import java.util.Arrays;

/** Paths in mazes of {@link MazeBuilder#CELLS}: steps go to one of four neighbours. */
final class MazePath {
    private static final int FREE = token(' ');
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
        for (int i = 0; i < question.length; i++) {
            if (answer[i] != question[i] && !(question[i] == FREE && answer[i] == PATH)) {
                return false;
            }
        }
        int shortest = distance(question, FREE);
        return shortest > 0 && moves(answer) == shortest && distance(answer, PATH) == shortest;
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
