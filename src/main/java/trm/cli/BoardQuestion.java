package trm.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import trm.data.Dataset;
import trm.data.maze.MazePuzzle;
import trm.data.own.OwnPuzzle;
import trm.data.puzzle.Puzzle;
import trm.data.sudoku.SudokuPuzzle;
import trm.device.Arena;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.evaluation.Choice;
import trm.input.DataException;

/**
 * Boards whose answers have as many cells: Sudokus, mazes, puzzles of one's own.
 *
 * @param boards one or more, of equal size
 */
record BoardQuestion(Puzzle kind, List<Board> boards) implements SolveQuestion {
    /** Label token of every cell of a puzzle without a solution: left out of the loss. */
    private static final int IGNORED_LABEL = 0;

    /**
     * One of them.
     *
     * @param name for people; empty for a single one
     * @param tokens of the cells that are given, row by row
     * @param answer null if it is not known; labels without loss are {@link Dataset#IGNORED}
     * @param identifier row of the puzzle table
     */
    record Board(String name, int[] tokens, int[] answer, int identifier) {
        /** A single puzzle that comes without anything else. */
        static Board of(int[] tokens) {
            return new Board("", tokens, null, 0);
        }
    }

    /** A single board of a known kind. */
    BoardQuestion(Puzzle kind, int[] tokens) {
        this(kind, List.of(Board.of(tokens)));
    }

    @Override
    public int side() {
        return (int) Math.round(Math.sqrt(cells()));
    }

    @Override
    public int cells() {
        return boards.get(0).tokens().length;
    }

    @Override
    public String describe() {
        int columns = kind.columns(cells());
        return "a " + (kind.hasRules() ? kind.key() : "puzzle") + " of " + cells() / columns + " x " + columns;
    }

    @Override
    public String training() {
        return kind == MazePuzzle.INSTANCE
                ? "; a small one in minutes: trm data maze --generate 2000 --test-size 200 --size " + side()
                        + " --min-path " + side() + " --aug --compact --out data/maze-small, then"
                        + " trm train configs/cpu/maze-small.yaml"
                : "";
    }

    @Override
    public void check(CommandSpec spec, Asked asked) {
        asked.arc().given().ifPresent(option -> {
            throw new ParameterException(
                    spec.commandLine(),
                    option + " is for an ARC task; found " + describe() + ", expected no such option");
        });
        if (asked.tries().choice() == Choice.RULES && !kind.hasRules()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--choose rules: found " + describe() + ", expected Sudokus or mazes, whose rules are known");
        }
    }

    @Override
    public void requireIdentifiers(int known, Path model) {
        for (Board board : boards) {
            if (board.identifier() >= known) {
                throw new DataException(board.name() + ": found puzzle identifier " + board.identifier()
                        + ", expected below " + known + ", as " + model + " knows");
            }
        }
    }

    @Override
    public Map<String, Object> solve(Model model, Asked asked) {
        int steps = asked.steps() == null ? model.config().arch().halting().maxSteps() : asked.steps();
        BoardPrinter printer = BoardPrinter.forConsole();
        List<Map<String, Object>> results = new ArrayList<>();
        int[][] current = new int[1][];
        try (LoadedModel loaded = LoadedModel.load(model.backend(), model.file(), model.config(), model.shape(), 1);
                SolveTrace.Chooser chooser = new SolveTrace.Chooser(
                        loaded,
                        steps,
                        asked.tries().of(List.of(), (number, answer) -> kind.solves(current[0], answer)))) {
            LaneKernels.Examples examples = unlabelled(loaded);
            System.out.println(model.name());
            System.out.println(printer.key(kind));
            for (Board board : boards) {
                current[0] = board.tokens();
                HostCopy.put(model.backend(), examples.inputs(), board.tokens());
                HostCopy.put(model.backend(), examples.ids(), new int[] {board.identifier()});
                int[] answer = kind.hasRules() ? null : board.answer();
                SolveTrace.Solution solution = chooser.solve(kind, examples, board.tokens(), answer);
                print(printer, board, solution);
                results.add(result(board, solution));
            }
        }
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("model", model.name());
        result.put("kind", kind.key());
        if (boards.size() == 1) {
            result.putAll(results.get(0));
        } else {
            result.put("puzzles", results);
        }
        return result;
    }

    private Map<String, Object> result(Board board, SolveTrace.Solution solution) {
        Map<String, Object> result = new LinkedHashMap<>();
        if (!board.name().isEmpty()) {
            result.put("name", board.name());
        }
        result.put("puzzle", text(board.tokens()));
        result.put("answer", text(solution.last()));
        if (kind.hasRules()) {
            result.put("legal", kind.solves(board.tokens(), solution.last()));
            result.put("verdict", kind.verdict(board.tokens(), solution.last()));
        }
        if (board.answer() != null) {
            result.put("label", kind.text(board.answer()));
            result.put("exact", solution.differing(board.answer()) == 0);
        }
        result.put("steps", solution.boards().size());
        result.put("halt_probability", solution.haltProbabilities());
        return result;
    }

    /** A puzzle as a data set of its own whose labels are all left out; its tokens and identifier are yet to be put. */
    private LaneKernels.Examples unlabelled(LoadedModel model) {
        Arena arena = model.arena();
        Tensor inputs = arena.tensor(Purpose.DATA, "data.inputs", Dtype.U8, 1, cells());
        Tensor labels = arena.tensor(Purpose.DATA, "data.labels", Dtype.U8, 1, cells());
        Tensor ids = arena.tensor(Purpose.DATA, "data.ids", Dtype.I32, 1);
        int[] ignored = new int[cells()];
        Arrays.fill(ignored, IGNORED_LABEL);
        HostCopy.put(model.backend(), labels, ignored);
        return new LaneKernels.Examples(inputs, labels, ids, IGNORED_LABEL);
    }

    private void print(BoardPrinter printer, Board board, SolveTrace.Solution solution) {
        System.out.println();
        if (!board.name().isEmpty()) {
            System.out.println(board.name());
        }
        System.out.print(printer.render(solution));
        if (kind == SudokuPuzzle.INSTANCE || kind instanceof OwnPuzzle) {
            System.out.println("answer  " + text(solution.last()));
        }
        if (kind.hasRules()) {
            System.out.println(kind.verdict(board.tokens(), solution.last()));
        } else if (board.answer() != null) {
            int wrong = solution.differing(board.answer());
            System.out.println(
                    wrong == 0 ? "right" : "not right: " + wrong + " of " + cells() + " cells are not the answer's");
        }
    }

    /** The cells in one line. Those of a kind with rules have no padding: it reads like the token after it. */
    private String text(int[] board) {
        return kind.text(Arrays.stream(board)
                .map(token -> Math.max(kind.hasRules() ? 1 : 0, token))
                .toArray());
    }
}
