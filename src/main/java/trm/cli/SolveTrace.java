package trm.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import trm.data.Dataset;
import trm.data.puzzle.Puzzle;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.evaluation.BreadthEvaluator;
import trm.evaluation.BreadthEvaluator.Tries;
import trm.evaluation.Evaluator;

/** Watches a model solve boards: its answer and halt probability after each supervision step. */
final class SolveTrace {
    /**
     * One board being solved. Boards are rows of tokens.
     *
     * @param kind of the puzzle
     * @param puzzle the question
     * @param answer the solution, or null when it is not known
     * @param boards the model's board after each supervision step
     * @param haltProbabilities sigmoid of the halt logit after each supervision step
     */
    record Solution(Puzzle kind, int[] puzzle, int[] answer, List<int[]> boards, double[] haltProbabilities) {
        int[] last() {
            return boards.get(boards.size() - 1);
        }

        /** The steps up to the last that changed the board: what the rest left as it was is left out. */
        Solution untilSettled() {
            int steps = boards.size();
            while (steps > 1 && Arrays.equals(boards.get(steps - 1), boards.get(steps - 2))) {
                steps--;
            }
            return first(steps);
        }

        /** The first so many steps. */
        Solution first(int steps) {
            return new Solution(
                    kind, puzzle, answer, boards.subList(0, steps), Arrays.copyOf(haltProbabilities, steps));
        }

        /** The first step (from 1) after which the board is the solution, or 0. */
        int solvedAt() {
            for (int step = 1; step <= boards.size(); step++) {
                if (Arrays.equals(boards.get(step - 1), answer)) {
                    return step;
                }
            }
            return 0;
        }

        /** Whether the last board is the solution. */
        boolean solved() {
            return Arrays.equals(last(), answer);
        }

        /** The board that step {@code step} (from 0) started from: the puzzle, then the previous answer. */
        int[] before(int step) {
            return step == 0 ? puzzle : boards.get(step - 1);
        }

        /** Cells that step {@code step} (from 0) changed. */
        boolean[] changed(int step) {
            return differing(before(step), boards.get(step));
        }

        /** Cells that differ from the solution; when it is not known, those that break a rule or a given, if there are any. */
        boolean[] wrong(int[] board) {
            return answer != null
                    ? differing(answer, board)
                    : kind.hasRules() ? kind.faults(puzzle, board) : new boolean[board.length];
        }

        /** Cells of the last board that are not those of a label; one without loss is right whatever it says. */
        int differing(int[] label) {
            int count = 0;
            for (boolean differs : differing(label, last())) {
                count += differs ? 1 : 0;
            }
            return count;
        }

        private static boolean[] differing(int[] a, int[] b) {
            boolean[] differ = new boolean[a.length];
            for (int i = 0; i < a.length; i++) {
                differ[i] = a[i] != b[i] && a[i] != Dataset.IGNORED;
            }
            return differ;
        }
    }

    private SolveTrace() {}

    /**
     * Runs the model for {@code steps} supervision steps on some rows of {@code examples}.
     *
     * @param kind of the puzzles
     * @param answers solution of each row, entries may be null
     */
    static List<Solution> run(
            LoadedModel model,
            Puzzle kind,
            LaneKernels.Examples examples,
            int[] rows,
            List<int[]> puzzles,
            List<int[]> answers,
            int steps) {
        Backend backend = model.backend();
        List<Solution> solutions = new ArrayList<>();
        for (int i = 0; i < rows.length; i++) {
            solutions.add(new Solution(kind, puzzles.get(i), answers.get(i), new ArrayList<>(), new double[steps]));
        }
        try (Arena arena = new Arena(backend);
                Evaluator evaluator = new Evaluator(
                        backend,
                        arena,
                        model.sizes().withLanes(rows.length),
                        model.parameters(),
                        model.parameters().weights(),
                        steps)) {
            evaluator.run(examples, rows, step -> add(step, backend, evaluator, solutions));
        }
        return solutions;
    }

    /** Asks a model about one puzzle after the other, of which it chooses one of several tries. */
    static final class Chooser implements AutoCloseable {
        private final Backend backend;
        private final int steps;
        private final Tries tries;
        private final Arena arena;
        private final BreadthEvaluator breadth;

        Chooser(LoadedModel model, int steps, Tries tries) {
            this.backend = model.backend();
            this.steps = steps;
            this.tries = tries;
            arena = new Arena(backend);
            try {
                breadth = new BreadthEvaluator(
                        backend,
                        arena,
                        model.sizes().withLanes(tries.count()),
                        model.parameters(),
                        model.parameters().weights(),
                        steps,
                        tries);
            } catch (RuntimeException e) {
                arena.close();
                throw e;
            }
        }

        /**
         * The chosen one of the tries at the puzzle that is example 0.
         *
         * @param answer null if it is not known
         */
        Solution solve(Puzzle kind, LaneKernels.Examples examples, int[] puzzle, int[] answer) {
            List<Solution> solutions = new ArrayList<>();
            for (int i = 0; i < tries.count(); i++) {
                solutions.add(new Solution(kind, puzzle, answer, new ArrayList<>(), new double[steps]));
            }
            BreadthEvaluator.Chosen chosen =
                    breadth.solve(examples, step -> add(step, backend, breadth.evaluator(), solutions));
            return solutions.get(chosen.lane()).first(chosen.steps());
        }

        @Override
        public void close() {
            breadth.close();
            arena.close();
        }
    }

    /** What the lanes say after a step, one solution a lane. */
    private static void add(int step, Backend backend, Evaluator evaluator, List<Solution> solutions) {
        int[] tokens = HostCopy.ints(backend, evaluator.tokens().preds());
        float[] logits = HostCopy.floats(backend, evaluator.model().q());
        int length = tokens.length / solutions.size();
        for (int b = 0; b < solutions.size(); b++) {
            solutions.get(b).boards.add(Arrays.copyOfRange(tokens, b * length, (b + 1) * length));
            solutions.get(b).haltProbabilities[step - 1] = 1 / (1 + Math.exp(-logits[2 * b]));
        }
    }
}
