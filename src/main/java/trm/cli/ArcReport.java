package trm.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import trm.data.arc.ArcPuzzle;
import trm.data.arc.ArcTask;
import trm.data.arc.ArcTokens;
import trm.data.puzzle.Grid;
import trm.evaluation.ArcVotes;
import trm.evaluation.ArcVotes.Ballot;
import trm.evaluation.ArcVotes.Ranked;

/** Shows how the test inputs of an ARC task were answered, and what the votes made of it. */
record ArcReport(ArcTask task, ArcVotes votes, BoardPrinter printer) {
    /** @param traces of each test input, as it is */
    void print(List<SolveTrace.Solution> traces) {
        System.out.println(printer.key(ArcPuzzle.INSTANCE));
        List<Ballot> ballots = votes.ballots();
        for (int i = 0; i < ballots.size(); i++) {
            ArcTask.Pair pair = task.test().get(i);
            System.out.println("\ntest input " + (i + 1) + " of " + ballots.size() + ", as it is:");
            System.out.print(printer.render(ArcPuzzle.INSTANCE, steps(pair, traces.get(i))));
            System.out.println(counted(ballots.get(i)) + ":");
            System.out.print(printer.render(ArcPuzzle.INSTANCE, attempts(pair, ballots.get(i))));
            System.out.println(verdict(pair, ballots.get(i)));
        }
    }

    /** For each test input: its attempts with their votes, and which is right; 0 for none, null where the solution is not known. */
    List<Map<String, Object>> result() {
        List<Map<String, Object>> tests = new ArrayList<>();
        List<Ballot> ballots = votes.ballots();
        for (int i = 0; i < ballots.size(); i++) {
            List<Map<String, Object>> attempts = new ArrayList<>();
            for (Ranked answer : attempts(ballots.get(i))) {
                Map<String, Object> attempt = new LinkedHashMap<>();
                attempt.put("grid", rows(answer.answer()));
                attempt.put("votes", answer.count());
                attempt.put("q", answer.meanQ());
                attempts.add(attempt);
            }
            Map<String, Object> test = new LinkedHashMap<>();
            test.put("attempts", attempts);
            test.put("right", task.test().get(i).known() ? right(ballots.get(i)) : null);
            tests.add(test);
        }
        return tests;
    }

    private static List<int[]> rows(Grid grid) {
        List<int[]> rows = new ArrayList<>();
        for (int r = 0; r < grid.rows(); r++) {
            int[] row = new int[grid.columns()];
            for (int c = 0; c < row.length; c++) {
                row[c] = grid.get(r, c);
            }
            rows.add(row);
        }
        return rows;
    }

    /** The input, and the answer after each step up to the last that changed it. */
    private static List<BoardPrinter.Panel> steps(ArcTask.Pair pair, SolveTrace.Solution trace) {
        List<Grid> grids = trace.boards().stream().map(ArcTokens::crop).toList();
        int shown = grids.size();
        while (shown > 1 && grids.get(shown - 1).equals(grids.get(shown - 2))) {
            shown--;
        }
        List<BoardPrinter.Panel> panels = new ArrayList<>();
        panels.add(panel("input", size(pair.input()), pair.input(), pair.input(), null));
        for (int i = 0; i < shown; i++) {
            Grid before = i == 0 ? pair.input() : grids.get(i - 1);
            String halt = BoardPrinter.halt(trace.haltProbabilities()[i]);
            panels.add(panel("step " + (i + 1), halt, grids.get(i), before, pair.known() ? pair.output() : null));
        }
        return panels;
    }

    private static List<BoardPrinter.Panel> attempts(ArcTask.Pair pair, Ballot ballot) {
        List<BoardPrinter.Panel> panels = new ArrayList<>();
        Grid solution = pair.known() ? pair.output() : null;
        for (Ranked answer : attempts(ballot)) {
            String votes = String.format(
                    Locale.ROOT, "%d vote%s, q %.2f", answer.count(), answer.count() == 1 ? "" : "s", answer.meanQ());
            panels.add(panel("attempt " + (panels.size() + 1), votes, answer.answer(), answer.answer(), solution));
        }
        if (solution != null) {
            panels.add(panel("solution", size(solution), solution, solution, solution));
        }
        return panels;
    }

    /** @param solution null where it is not known */
    private static BoardPrinter.Panel panel(String title, String subtitle, Grid grid, Grid before, Grid solution) {
        int columns = grid.columns();
        int cells = grid.rows() * columns;
        BoardPrinter.Marks marks = BoardPrinter.Marks.none(cells);
        int[] tokens = new int[cells];
        for (int i = 0; i < cells; i++) {
            tokens[i] = grid.get(i / columns, i % columns) + ArcTokens.FIRST_COLOUR;
            marks.changed()[i] = differs(before, grid, i / columns, i % columns);
            marks.wrong()[i] = solution != null && differs(solution, grid, i / columns, i % columns);
        }
        return new BoardPrinter.Panel(title, cells == 0 ? "no colour" : subtitle, tokens, columns, marks);
    }

    private static boolean differs(Grid from, Grid grid, int row, int column) {
        return row >= from.rows() || column >= from.columns() || from.get(row, column) != grid.get(row, column);
    }

    private static List<Ranked> attempts(Ballot ballot) {
        return ballot.ranked()
                .subList(0, Math.min(ArcVotes.ATTEMPTS, ballot.ranked().size()));
    }

    private static String counted(Ballot ballot) {
        long all = ballot.ranked().stream().mapToLong(Ranked::count).sum();
        return all + " votes for " + ballot.ranked().size() + " different answers";
    }

    private static String size(Grid grid) {
        return grid.rows() + " x " + grid.columns();
    }

    /** Number of the attempt that is the solution, 0 for none. */
    private static int right(Ballot ballot) {
        List<Ranked> attempts = attempts(ballot);
        for (int i = 0; i < attempts.size(); i++) {
            if (attempts.get(i).hash().equals(ballot.labelHash())) {
                return i + 1;
            }
        }
        return 0;
    }

    private static String verdict(ArcTask.Pair pair, Ballot ballot) {
        if (!pair.known()) {
            return "the file holds no solution of it";
        }
        int right = right(ballot);
        return right == 0
                ? "not solved: neither attempt is the solution"
                : "solved: attempt " + right + " is the solution";
    }
}
