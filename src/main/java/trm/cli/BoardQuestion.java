package trm.cli;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import trm.data.maze.MazePuzzle;
import trm.data.puzzle.Puzzle;
import trm.data.sudoku.SudokuPuzzle;
import trm.device.Arena;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;

/**
 * A square board whose answer has as many cells and whose rules are known: a Sudoku or a maze.
 *
 * @param tokens of the cells that are given, row by row
 */
record BoardQuestion(Puzzle kind, int[] tokens) implements SolveQuestion {
    /** Label token of every cell of a puzzle without a solution: left out of the loss. */
    private static final int IGNORED_LABEL = 0;

    @Override
    public int side() {
        return (int) Math.round(Math.sqrt(tokens.length));
    }

    @Override
    public String describe() {
        return "a " + kind.key() + " of " + side() + " x " + side();
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
    }

    @Override
    public Map<String, Object> solve(Model model, Asked asked) {
        int steps = asked.steps() == null ? model.config().arch().halting().maxSteps() : asked.steps();
        SolveTrace.Solution solution;
        try (LoadedModel loaded = LoadedModel.load(model.backend(), model.file(), model.config(), model.shape(), 1)) {
            solution = SolveTrace.chosen(
                    loaded,
                    kind,
                    unlabelled(loaded),
                    tokens,
                    steps,
                    asked.tries().of(List.of(), (number, answer) -> kind.solves(tokens, answer)));
        }
        print(solution, model.name());
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("model", model.name());
        result.put("kind", kind.key());
        result.put("puzzle", text(tokens));
        result.put("answer", text(solution.last()));
        result.put("legal", kind.solves(tokens, solution.last()));
        result.put("verdict", kind.verdict(tokens, solution.last()));
        result.put("steps", solution.boards().size());
        result.put("halt_probability", solution.haltProbabilities());
        return result;
    }

    /** The puzzle as a data set of its own whose labels are all left out; identifier 0, "none". */
    private LaneKernels.Examples unlabelled(LoadedModel model) {
        Arena arena = model.arena();
        Tensor inputs = arena.tensor(Purpose.DATA, "data.inputs", Dtype.U8, 1, tokens.length);
        Tensor labels = arena.tensor(Purpose.DATA, "data.labels", Dtype.U8, 1, tokens.length);
        Tensor ids = arena.tensor(Purpose.DATA, "data.ids", Dtype.I32, 1);
        int[] ignored = new int[tokens.length];
        Arrays.fill(ignored, IGNORED_LABEL);
        HostCopy.put(model.backend(), inputs, tokens);
        HostCopy.put(model.backend(), labels, ignored);
        return new LaneKernels.Examples(inputs, labels, ids, IGNORED_LABEL);
    }

    private void print(SolveTrace.Solution solution, String model) {
        BoardPrinter printer = BoardPrinter.forConsole();
        System.out.println(model);
        System.out.println(printer.key(kind));
        System.out.println();
        System.out.print(printer.render(solution));
        if (kind == SudokuPuzzle.INSTANCE) {
            System.out.println("answer  " + text(solution.last()));
        }
        System.out.println(kind.verdict(tokens, solution.last()));
    }

    /** The cells in one line; padding, which no board has, reads like the token after it. */
    private String text(int[] board) {
        StringBuilder text = new StringBuilder();
        for (int token : board) {
            text.append(kind.glyph(Math.max(1, token)));
        }
        return text.toString();
    }
}
